"""Aggregates of the cleaned file, computed by SQLite from its own values, by another road than the load takes."""

from __future__ import annotations

import contextlib
import functools
import math
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from sdetl_engine.events import Reporter
from sdetl_engine.processes import Processes
from sdetl_engine.profiling.facts import ColumnFacts
from sdetl_engine.sqlite.addressing import row_key
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.sqlite.shape import fits_target_sql, register_shaping
from sdetl_engine.sqlite.shares import shared_out
from sdetl_engine.values.aggregates import TEXT_LENGTH, ColumnAggregate, Measure, measures_of
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

Wanted = tuple[str, ColumnFacts | None, TargetType, bool]
"""Column name in the file, its facts, its target type, and whether misfits stand in the quarantine."""

_COLUMNS_AT_ONCE = 100
_TWO_TO_32 = 2**32
_MOST_TOTAL = 2**62
"""Sums that cannot come near SQLite's largest integer are added up in one go."""
_FARTHEST_SECOND = 300_000_000_000
"""Seconds from 1970 to the ends of the years 0000 and 9999, rounded up."""
_MICROSECONDS = 1_000_000
_TRUE = "'1', 'true', 't', 'yes', 'y'"


def aggregate_table(
    path: Path, table: Table, columns: Sequence[Wanted], *, distinct_rows: int, reporter: Reporter
) -> tuple[ColumnAggregate, ...]:
    """One aggregate per column.  Distinct values are counted among the first ``distinct_rows`` rows in load order.

    The columns of a large table are shared out among processes, each of which scans it for its own.
    """
    measure = functools.partial(_measure, path, table, distinct_rows=distinct_rows)
    with contextlib.closing(open_readonly(path)) as connection:
        shares = shared_out(connection, table, [(place, c[0], _costs(c[2].kind)) for place, c in enumerate(columns)])
    of_shares = [[columns[place] for place in share] for share in shares]
    if len(shares) > 1:
        with Processes([functools.partial(measure, share) for share in of_shares], reporter) as processes:
            found = processes.results()
    else:
        found = [measure(share, reporter=reporter) for share in of_shares]
    by_place = {p: a for share, part in zip(shares, found, strict=True) for p, a in zip(share, part, strict=True)}
    return tuple(by_place[place] for place in range(len(columns)))


def _costs(kind: Kind) -> float:
    """What a value of that kind costs, beside what its length costs: a number is 1."""
    return 4 if kind in DATE_KINDS else 1


def _measure(
    path: Path, table: Table, columns: Sequence[Wanted], *, distinct_rows: int, reporter: Reporter
) -> list[ColumnAggregate]:
    found: list[ColumnAggregate] = []
    with contextlib.closing(_open(path)) as connection, reporter.interrupting(connection.interrupt):
        try:
            for start in range(0, len(columns), _COLUMNS_AT_ONCE):
                reporter.check()
                found += _aggregate(connection, table, columns[start : start + _COLUMNS_AT_ONCE], distinct_rows)
        except sqlite3.OperationalError:
            # An interruption is a wish to stop; anything else is the file's own trouble.
            reporter.check()
            raise
    return found


def _open(path: Path) -> sqlite3.Connection:
    connection = open_readonly(path)
    register_shaping(connection)
    connection.create_function("sdetl_double", 1, _double, deterministic=True)
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="backslashreplace")
    return connection


def is_rendered(target: TargetType, facts: ColumnFacts | None) -> bool:
    """True when numbers become text or bytes on the way, so that lengths and order are not SQLite's."""
    return target.kind in (Kind.TEXT, Kind.BYTES) and (facts is None or bool(facts.integers or facts.reals))


def _aggregate(
    connection: sqlite3.Connection, table: Table, columns: Sequence[Wanted], distinct_rows: int
) -> list[ColumnAggregate]:
    measures = [measures_of(c[2].kind, rendered=is_rendered(c[2], c[1])) for c in columns]
    values: dict[int, Iterator[object]] = {}
    for stored in (True, False):
        places = [place for place, column in enumerate(columns) if _is_as_stored(column) is stored]
        values |= _measured(connection, table, columns, places, measures, stored=stored)
    counted = [place for place in range(len(columns)) if Measure.DISTINCT in measures[place]]
    distinct: dict[int, int | float | str | None] = {}
    if counted:
        source = _values_of(table, columns, counted, ordered=True)
        query = [f"count(DISTINCT v{place} COLLATE BINARY)" for place in counted]
        found = _select(connection, query, source, limit=distinct_rows)
        distinct = {place: _value(Measure.DISTINCT, Kind.INTEGER, n) for place, n in zip(counted, found, strict=True)}
    return [
        ColumnAggregate(
            column[0],
            column[2].kind,
            {
                m: distinct[p] if m is Measure.DISTINCT else _value(m, column[2].kind, next(values[p]), _unit(column))
                for m in measures[p]
            },
        )
        for p, column in enumerate(columns)
    ]


def _measured(
    connection: sqlite3.Connection,
    table: Table,
    columns: Sequence[Wanted],
    places: Sequence[int],
    measures: Sequence[Sequence[Measure]],
    *,
    stored: bool,
) -> dict[int, Iterator[object]]:
    """What the columns at those places come to, by place, in the order of their measures without distinct values.

    Values as they are stored are measured where they lie: handing them out of a subquery would copy every text.
    """
    if not places:
        return {}
    wanted = {place: [m for m in measures[place] if m is not Measure.DISTINCT] for place in places}
    names = {place: _value_sql(columns[place]) if stored else f"v{place}" for place in places}
    terms = [_measure_sql(m, columns[place], names[place]) for place in places for m in wanted[place]]
    if stored:
        row = connection.execute(f"SELECT {', '.join(terms)} FROM {quote(table.name)} NOT INDEXED").fetchone()
    else:
        row = _select(connection, terms, _values_of(table, columns, places, ordered=False), limit=-1)
    found = iter(row)
    return {place: iter([next(found) for _ in wanted[place]]) for place in places}


def _select(connection: sqlite3.Connection, terms: Sequence[str], source: str, *, limit: int) -> Sequence[object]:
    # The limit, even of -1, keeps SQLite from writing the inner terms into the outer ones and computing them again.
    row: tuple[object, ...] = connection.execute(f"SELECT {', '.join(terms)} FROM ({source} LIMIT {limit})").fetchone()
    return row


def _values_of(table: Table, columns: Sequence[Wanted], places: Sequence[int], *, ordered: bool) -> str:
    inner = ", ".join(f"{_value_sql(columns[place])} AS v{place}" for place in places)
    key = row_key(table) if ordered else None
    order = f" ORDER BY {', '.join(key.terms)}" if key else ""
    return f"SELECT {inner} FROM {quote(table.name)} NOT INDEXED{order}"


def _measure_sql(measure: Measure, column: Wanted, value: str) -> str:
    kind = column[2].kind
    match measure:
        case Measure.PRESENT:
            return f"count({value})"
        case Measure.SMALLEST | Measure.LARGEST:
            function = "min" if measure is Measure.SMALLEST else "max"
            extreme = f"{function}({value} COLLATE BINARY)"
            return f"substr({extreme}, 1, {TEXT_LENGTH})" if kind is Kind.TEXT else extreme
        case Measure.TOTAL if kind in (Kind.DOUBLE, Kind.NUMERIC):
            return f"total({value})"
        case Measure.TOTAL if _largest_total(column) < _MOST_TOTAL:
            return f"ifnull(sum({value}), 0)"
        case Measure.TOTAL:
            # sum() of large integers overflows; halves of them do not.
            return f"printf('%d %d', sum({value} >> 32), sum({value} & {_TWO_TO_32 - 1}))"
        case Measure.LENGTH:
            return f"ifnull(sum(length({value})), 0)"
        case Measure.DISTINCT:
            raise AssertionError("distinct values are counted by themselves")


def _largest_total(column: Wanted) -> float:
    """A bound of the sum of a column's values as they are measured, whatever their signs; infinite when unknown."""
    _, facts, target, _ = column
    if facts is None:
        return math.inf
    if target.kind is Kind.BOOLEAN:
        return facts.rows
    if target.kind in DATE_KINDS:
        return facts.rows * _FARTHEST_SECOND * (_MICROSECONDS // _unit(column))
    if not _holds_only(facts, "integers"):
        return math.inf
    return facts.rows * max(abs(facts.smallest_integer or 0), abs(facts.largest_integer or 0))


def _unit(column: Wanted) -> int:
    """What a measured value is to be multiplied by: dates without fractions are measured in seconds."""
    return _MICROSECONDS if column[2].kind in DATE_KINDS and not _may_be_fractional(column[1]) else 1


def _may_be_fractional(facts: ColumnFacts | None) -> bool:
    return facts is None or facts.dates is None or bool(facts.dates.fractional)


def _is_as_stored(column: Wanted) -> bool:
    return _value_sql(column) == f"(+{quote(column[0])})"


def _value_sql(column: Wanted) -> str:
    """The value as it is measured: dates as seconds or microseconds since 1970, truth as 0 and 1, bytes as BLOB."""
    name, facts, target, quarantined = column
    term = f"(+{quote(name)})"
    kind = target.kind
    if kind in DATE_KINDS:
        value = _moment(term, facts, zoned=kind is Kind.TIMESTAMPTZ)
    elif kind is Kind.BOOLEAN:
        value = f"CASE WHEN {term} IS NOT NULL THEN lower({term}) IN ({_TRUE}) END"
    elif kind is Kind.BYTES:
        value = f"CAST({term} AS BLOB)"
    elif kind is Kind.INTEGER:
        value = term if _holds_only(facts, "integers") else f"CAST({term} AS INTEGER)"
    elif kind in (Kind.DOUBLE, Kind.NUMERIC):
        texts = facts is None or facts.texts
        in_sql = term if _holds_only(facts, "reals") else f"CAST({term} AS REAL)"
        value = f"sdetl_double({term})" if texts else in_sql
    else:
        value = term
    if quarantined:
        return f"CASE WHEN {term} IS NOT NULL AND {fits_target_sql(target, term)} THEN {value} END"
    return value


def _holds_only(facts: ColumnFacts | None, storage: Literal["integers", "reals"]) -> bool:
    """True when every value is stored in that class, so that no cast would change it."""
    if facts is None or facts.texts or facts.blobs:
        return False
    return facts.reals == 0 if storage == "integers" else facts.integers == 0


def _moment(term: str, facts: ColumnFacts | None, *, zoned: bool) -> str:
    """By Julian days, exact to the second after rounding; the fraction is read as a decimal number of its own."""
    dates = facts.dates if facts is not None else None
    if dates is not None and not dates.fractional and not dates.with_offset:
        return _seconds(term)
    minutes = f"substr({term}, 17, 1) <> ':'"
    moment = f"substr({term}, 1, 19)"
    if zoned and (dates is None or dates.with_offset):
        offset = (
            f"CASE WHEN length({term}) > 16 AND substr({term}, -6, 1) IN ('+', '-') THEN substr({term}, -6) ELSE '' END"
        )
        moment = f"substr({term}, 1, CASE WHEN {minutes} THEN 16 ELSE 19 END) || {offset}"
    if not _may_be_fractional(facts):
        return _seconds(moment)
    fraction = f"CAST(round(CAST('0' || substr({term}, 20) AS REAL) * {_MICROSECONDS}) AS INTEGER)"
    return f"{_seconds(moment)} * {_MICROSECONDS} + CASE WHEN substr({term}, 20, 1) = '.' THEN {fraction} ELSE 0 END"


def _seconds(moment: str) -> str:
    return f"CAST(round((julianday({moment}) - 2440587.5) * 86400) AS INTEGER)"


def _double(value: object) -> float | None:
    """As Python reads it: SQLite's reading of a text can be off by the last bit."""
    assert value is None or isinstance(value, (int, float, str))
    return None if value is None else float(value)


def _value(measure: Measure, kind: Kind, raw: object, unit: int = 1) -> int | float | str | None:
    if measure is Measure.TOTAL and not isinstance(raw, int):
        if kind in (Kind.DOUBLE, Kind.NUMERIC):
            # SQLite has no NaN, which is what infinities of both signs come to.
            assert raw is None or isinstance(raw, float)
            return math.nan if raw is None else raw
        high, low = str(raw).split()
        return int(high) * _TWO_TO_32 + int(low)
    assert raw is None or isinstance(raw, (int, float, str))
    if isinstance(raw, int) and measure in (Measure.SMALLEST, Measure.LARGEST, Measure.TOTAL):
        return raw * unit
    return raw
