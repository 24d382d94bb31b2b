"""The same aggregates of a loaded table, computed by PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.plan import ColumnPlan, TablePlan
from sdetl_engine.values.aggregates import TEXT_LENGTH, ColumnAggregate, Measure, measures_of
from sdetl_engine.values.types import DATE_KINDS, Kind

_COLUMNS_AT_ONCE = 200


def aggregate_table(
    connection: psycopg.Connection[Any], schema: str, plan: TablePlan, *, distinct_rows: int
) -> tuple[ColumnAggregate, ...]:
    """One aggregate per loaded column.  Distinct values are counted among the first ``distinct_rows`` rows in load
    order, which is that of the heap.  Raises TargetError."""
    columns = plan.loaded_columns
    found: list[ColumnAggregate] = []
    try:
        for start in range(0, len(columns), _COLUMNS_AT_ONCE):
            found += _aggregate(connection, schema, plan, columns[start : start + _COLUMNS_AT_ONCE], distinct_rows)
    except psycopg.Error as error:
        raise statement_error(error, f"measuring table {plan.name}") from None
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
    counted = [c for c, measures in terms if Measure.DISTINCT in measures]
    distinct = _distinct(connection, table, counted, distinct_rows)
    return [
        ColumnAggregate(
            column.name,
            column.target.kind,
            {m: distinct[column.name] if m is Measure.DISTINCT else _value(m, next(values)) for m in measures},
        )
        for column, measures in terms
    ]


def _value(measure: Measure, raw: Any) -> int | float | str | None:
    if measure is Measure.TOTAL and isinstance(raw, str):
        return int(raw)
    assert raw is None or isinstance(raw, (int, float, str))
    return raw


def _is_rendered(column: ColumnPlan) -> bool:
    facts = column.facts
    return column.target.kind in (Kind.TEXT, Kind.BYTES) and (facts is None or bool(facts.integers or facts.reals))


def _measure_sql(measure: Measure, column: ColumnPlan) -> sql.Composable:
    name = sql.Identifier(column.name)
    kind = column.target.kind
    match measure:
        case Measure.PRESENT:
            return sql.SQL("count({})").format(name)
        case Measure.SMALLEST | Measure.LARGEST:
            return _extreme(sql.SQL("min" if measure is Measure.SMALLEST else "max"), name, kind)
        case Measure.TOTAL if kind in (Kind.DOUBLE, Kind.NUMERIC):
            return sql.SQL("coalesce(sum({}), 0)::float8").format(name)
        case Measure.TOTAL if kind in DATE_KINDS:
            return sql.SQL("coalesce({}, 0)::numeric(40, 0)::text").format(_total_of_dates(name, column))
        case Measure.TOTAL:
            number = sql.SQL("::int") if kind is Kind.BOOLEAN else sql.SQL("")
            return sql.SQL("coalesce(sum({}{}), 0)::numeric(40, 0)::text").format(name, number)
        case Measure.LENGTH:
            function = sql.SQL("octet_length" if kind is Kind.BYTES else "length")
            text = sql.SQL("::text") if kind is Kind.JSON else sql.SQL("")
            return sql.SQL("coalesce(sum({}({}{})), 0)::bigint").format(function, name, text)
        case Measure.DISTINCT:
            raise AssertionError("distinct values are counted by themselves")


def _extreme(function: sql.SQL, name: sql.Identifier, kind: Kind) -> sql.Composable:
    if kind is Kind.TEXT:
        return sql.SQL('substr({}({} COLLATE "C"), 1, {})').format(function, name, sql.Literal(TEXT_LENGTH))
    if kind in DATE_KINDS:
        # Before PostgreSQL 14 extract() is a double: seconds and their fraction are taken apart to stay exact.
        extreme = sql.SQL("{}({})::{}").format(function, name, _clock(kind))
        return sql.SQL(
            "extract(epoch FROM date_trunc('second', {0}))::bigint * 1000000"
            " + mod(extract(microseconds FROM {0})::bigint, 1000000)"
        ).format(extreme)
    return sql.SQL("{}({}){}").format(function, name, sql.SQL("::float8" if kind is Kind.NUMERIC else ""))


def _total_of_dates(name: sql.Identifier, column: ColumnPlan) -> sql.Composable:
    """Microseconds since 1970.  ``date_part`` gives a double, several times faster than ``extract`` and exact here."""
    value = sql.SQL("{}::{}").format(name, _clock(column.target.kind))
    dates = column.facts.dates if column.facts is not None else None
    if dates is not None and not dates.fractional:
        return sql.SQL("sum(date_part('epoch', {})::bigint) * 1000000").format(value)
    return sql.SQL(
        "sum(date_part('epoch', date_trunc('second', {0}))::bigint) * 1000000"
        " + sum(mod(date_part('microseconds', {0})::bigint, 1000000))"
    ).format(value)


def _clock(kind: Kind) -> sql.SQL:
    return sql.SQL("timestamptz" if kind is Kind.TIMESTAMPTZ else "timestamp")


def _distinct(
    connection: psycopg.Connection[Any], table: sql.Identifier, columns: Sequence[ColumnPlan], rows: int
) -> dict[str, int]:
    """Among the first rows of the heap: an index, or a scan that joins another's, would give others."""
    if not columns:
        return {}
    connection.execute("SAVEPOINT sdetl_distinct")
    connection.execute(
        "SET LOCAL synchronize_seqscans = off; SET LOCAL enable_indexscan = off;"
        "SET LOCAL max_parallel_workers_per_gather = 0"
    )
    counts = {column.name: _distinct_values(connection, table, column, rows) for column in columns}
    # The settings are those of this question alone.
    connection.execute("ROLLBACK TO SAVEPOINT sdetl_distinct")
    connection.execute("RELEASE SAVEPOINT sdetl_distinct")
    return counts


def _distinct_values(connection: psycopg.Connection[Any], table: sql.Identifier, column: ColumnPlan, rows: int) -> int:
    query = "SELECT count(*) FROM (SELECT v FROM (SELECT {} AS v FROM {} LIMIT {}) f WHERE v IS NOT NULL GROUP BY v) s"
    row = connection.execute(sql.SQL(query).format(sql.Identifier(column.name), table, sql.Literal(rows))).fetchone()
    return int(row[0]) if row else 0
