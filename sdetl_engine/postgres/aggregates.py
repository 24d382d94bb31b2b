"""The same aggregates of a loaded table, computed by PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.plan import ColumnPlan, TablePlan
from sdetl_engine.values.aggregates import TEXT_LENGTH, ColumnAggregate, Measure, measures_of
from sdetl_engine.values.types import DATE_KINDS, Kind

_COLUMNS_AT_ONCE = 200


def aggregate_table(
    connection: psycopg.Connection[Any], schema: str, plan: TablePlan, *, distinct_rows: int
) -> tuple[ColumnAggregate, ...]:
    """One aggregate per loaded column.  Distinct values are counted among the first ``distinct_rows`` rows."""
    connection.execute("SET LOCAL synchronize_seqscans = off")
    columns = plan.loaded_columns
    found: list[ColumnAggregate] = []
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        found += _aggregate(connection, schema, plan, columns[start : start + _COLUMNS_AT_ONCE], distinct_rows)
    return tuple(found)


def _aggregate(
    connection: psycopg.Connection[Any],
    schema: str,
    plan: TablePlan,
    columns: Sequence[ColumnPlan],
    distinct_rows: int,
) -> list[ColumnAggregate]:
    terms = [(c, measures_of(c.target.kind, rendered=_is_rendered(c))) for c in columns]
    select = sql.SQL(", ").join(
        _measure_sql(m, c) for c, measures in terms for m in measures if m is not Measure.DISTINCT
    )
    table = sql.Identifier(schema, plan.name)
    row = connection.execute(sql.SQL("SELECT {} FROM {}").format(select, table)).fetchone()
    assert row is not None
    values = iter(row)
    found = []
    for column, measures in terms:
        measured: dict[Measure, int | float | str | None] = {}
        for measure in measures:
            if measure is Measure.DISTINCT:
                measured[measure] = _distinct(connection, table, column, distinct_rows)
            else:
                raw = next(values)
                measured[measure] = int(raw) if measure is Measure.TOTAL and isinstance(raw, str) else raw
        found.append(ColumnAggregate(column.name, column.target.kind, measured))
    return found


def _is_rendered(column: ColumnPlan) -> bool:
    facts = column.facts
    return column.target.kind in (Kind.TEXT, Kind.BYTES) and (facts is None or bool(facts.integers or facts.reals))


def _measure_sql(measure: Measure, column: ColumnPlan) -> sql.Composable:
    value = _value_sql(column)
    kind = column.target.kind
    match measure:
        case Measure.PRESENT:
            return sql.SQL("count({})").format(value)
        case Measure.SMALLEST | Measure.LARGEST:
            function = sql.SQL("min" if measure is Measure.SMALLEST else "max")
            if kind is Kind.TEXT:
                return sql.SQL('substr({}({} COLLATE "C"), 1, {})').format(function, value, sql.Literal(TEXT_LENGTH))
            return sql.SQL("{}({}){}").format(function, value, _cast(kind))
        case Measure.TOTAL if kind in (Kind.DOUBLE, Kind.NUMERIC):
            return sql.SQL("coalesce(sum({}), 0)::float8").format(value)
        case Measure.TOTAL:
            return sql.SQL("coalesce(sum({}), 0)::numeric(40, 0)::text").format(value)
        case Measure.LENGTH:
            return sql.SQL("coalesce(sum({}({})), 0)::bigint").format(_length(kind), value)
        case Measure.DISTINCT:
            raise AssertionError("distinct values are counted by themselves")


def _cast(kind: Kind) -> sql.SQL:
    return sql.SQL("::float8") if kind is Kind.NUMERIC else sql.SQL("")


def _length(kind: Kind) -> sql.SQL:
    return sql.SQL("octet_length" if kind is Kind.BYTES else "length")


def _value_sql(column: ColumnPlan) -> sql.Composable:
    """The value as it is measured: dates as whole seconds since 1970, truth as 0 and 1."""
    name = sql.Identifier(column.name)
    kind = column.target.kind
    if kind in DATE_KINDS:
        return sql.SQL("extract(epoch FROM date_trunc('second', {}::{}))::bigint").format(
            name, sql.SQL("timestamptz" if kind is Kind.TIMESTAMPTZ else "timestamp")
        )
    if kind is Kind.BOOLEAN:
        return sql.SQL("{}::int").format(name)
    if kind in (Kind.JSON, Kind.JSONB):
        return sql.SQL("{}::text").format(name)
    return name


def _distinct(connection: psycopg.Connection[Any], table: sql.Identifier, column: ColumnPlan, rows: int) -> int:
    value = _value_sql(column)
    limit = sql.SQL(" LIMIT {}").format(sql.Literal(rows))
    row = connection.execute(
        sql.SQL(
            "SELECT count(*) FROM (SELECT v FROM (SELECT {} AS v FROM {}{}) first WHERE v IS NOT NULL GROUP BY v) s"
        ).format(value, table, limit)
    ).fetchone()
    return int(row[0]) if row else 0
