"""Aggregates of the cleaned file, computed by SQLite from its own values, by another road than the load takes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sdetl_engine.events import Reporter
from sdetl_engine.profiling.facts import ColumnFacts
from sdetl_engine.sqlite.fits import fits_sql, register_functions
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.values.aggregates import TEXT_LENGTH, ColumnAggregate, Measure, measures_of
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

Wanted = tuple[str, ColumnFacts | None, TargetType, bool]
"""Column name in the file, its facts, its target type, and whether misfits stand in the quarantine."""

_COLUMNS_AT_ONCE = 100
_TWO_TO_32 = 2**32


def aggregate_table(
    path: Path, table: Table, columns: Sequence[Wanted], *, distinct_rows: int, reporter: Reporter
) -> tuple[ColumnAggregate, ...]:
    """One aggregate per column.  Distinct values are counted among the first ``distinct_rows`` rows in row order."""
    connection = open_readonly(path)
    try:
        register_functions(connection)
        connection.text_factory = lambda raw: raw.decode("utf-8", errors="backslashreplace")
        with reporter.interrupting(connection.interrupt):
            found: list[ColumnAggregate] = []
            for start in range(0, len(columns), _COLUMNS_AT_ONCE):
                found += _aggregate(connection, table, columns[start : start + _COLUMNS_AT_ONCE], distinct_rows)
            return tuple(found)
    finally:
        connection.close()


def _aggregate(
    connection: sqlite3.Connection, table: Table, columns: Sequence[Wanted], distinct_rows: int
) -> list[ColumnAggregate]:
    terms = [(c, measures_of(c[2].kind, rendered=is_rendered(c[2], c[1]))) for c in columns]
    select = ", ".join(_measure_sql(m, c) for c, measures in terms for m in measures if m is not Measure.DISTINCT)
    values = iter(connection.execute(f"SELECT {select} FROM {quote(table.name)}").fetchone())
    found = []
    for column, measures in terms:
        measured: dict[Measure, int | float | str | None] = {}
        for measure in measures:
            if measure is Measure.DISTINCT:
                measured[measure] = _distinct(connection, table, column, distinct_rows)
            else:
                measured[measure] = _value(measure, column[2].kind, next(values))
        found.append(ColumnAggregate(column[0], column[2].kind, measured))
    return found


def is_rendered(target: TargetType, facts: ColumnFacts | None) -> bool:
    """True when numbers become text or bytes on the way, so that lengths and order are not SQLite's."""
    return target.kind in (Kind.TEXT, Kind.BYTES) and (facts is None or bool(facts.integers or facts.reals))


def _measure_sql(measure: Measure, column: Wanted) -> str:
    value = _value_sql(column)
    kind = column[2].kind
    match measure:
        case Measure.PRESENT:
            return f"count({value})"
        case Measure.SMALLEST | Measure.LARGEST:
            function = "min" if measure is Measure.SMALLEST else "max"
            if kind is Kind.TEXT:
                return f"substr({function}({value} COLLATE BINARY), 1, {TEXT_LENGTH})"
            return f"{function}({value})"
        case Measure.TOTAL:
            if kind in (Kind.DOUBLE, Kind.NUMERIC):
                return f"total({value})"
            # sum() of large integers overflows; halves of them do not.
            return f"printf('%d %d', sum(({value}) >> 32), sum(({value}) & 4294967295))"
        case Measure.LENGTH:
            return f"ifnull(sum(length({value})), 0)"
        case Measure.DISTINCT:
            raise AssertionError("distinct values are counted by themselves")


def _value_sql(column: Wanted) -> str:
    """The value as it is measured: dates as whole seconds since 1970, truth as 0 and 1, bytes as BLOB."""
    name, _, target, quarantined = column
    term = f"(+{quote(name)})"
    if target.kind in DATE_KINDS:
        offset = (
            f"CASE WHEN substr({term}, -6, 1) IN ('+', '-') AND length({term}) > 16 THEN substr({term}, -6) ELSE '' END"
        )
        seconds = f"substr({term}, 1, 19)"
        if target.kind is Kind.TIMESTAMPTZ:
            seconds = f"CASE WHEN substr({term}, 17, 1) = ':' THEN substr({term}, 1, 19) ELSE substr({term}, 1, 16) END || {offset}"
        value = f"CAST(strftime('%s', {seconds}) AS INTEGER)"
    elif target.kind is Kind.BOOLEAN:
        value = f"CASE WHEN {term} IS NULL OR {term} = '' THEN NULL ELSE lower({term}) IN ('1', 'true', 't', 'yes', 'y') END"
    elif target.kind is Kind.BYTES:
        value = f"CAST({term} AS BLOB)"
    elif target.kind is Kind.INTEGER:
        value = f"CAST({term} AS INTEGER)"
    elif target.kind in (Kind.DOUBLE, Kind.NUMERIC):
        value = f"CAST({term} AS REAL)"
    else:
        value = term
    if quarantined:
        return f"CASE WHEN {term} IS NOT NULL AND {fits_sql(target.kind, term)} THEN {value} END"
    return value


def _distinct(connection: sqlite3.Connection, table: Table, column: Wanted, rows: int) -> int:
    order = "rowid" if table.has_rowid and all(c.name.lower() != "rowid" for c in table.columns) else ""
    if not table.has_rowid:
        order = ", ".join(quote(name) for name in table.primary_key)
    value = _value_sql(column)
    inner = f"SELECT {value} AS v FROM {quote(table.name)}" + (f" ORDER BY {order}" if order else "") + f" LIMIT {rows}"
    (count,) = connection.execute(f"SELECT count(DISTINCT v COLLATE BINARY) FROM ({inner})").fetchone()
    return int(count)


def _value(measure: Measure, kind: Kind, raw: object) -> int | float | str | None:
    if measure is Measure.TOTAL and kind not in (Kind.DOUBLE, Kind.NUMERIC):
        high, low = str(raw).split()
        return int(high) * _TWO_TO_32 + int(low)
    assert raw is None or isinstance(raw, (int, float, str))
    return raw
