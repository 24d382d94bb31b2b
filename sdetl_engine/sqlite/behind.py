"""Which rows a finding is about, as conditions in SQL on rows of alias ``s``: for the rules that say it of each row.

Each counts what the profile counted, row by row instead of block by block; `register` makes known what they call.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sdetl_engine.profiling.facts import ColumnFacts, TypeVerdict
from sdetl_engine.sqlite import iso
from sdetl_engine.sqlite.addressing import RowKey
from sdetl_engine.sqlite.fits import fits_sql, register_functions, text_codec
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.tally import CONTROLS
from sdetl_engine.values.dates import read_date
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

_MOST_TOGETHER = 16
"""Of so many columns a row is shown."""
_LONGEST_TOGETHER = 60
_OFFSETS = timedelta(days=2)
"""No two clocks of one moment are further apart."""


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """What values are judged by: the term, what was measured and settled, and when (aware)."""

    value: str
    facts: ColumnFacts
    verdict: TypeVerdict
    profiled: datetime


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known that the conditions call."""
    codec = text_codec(connection)

    def has_control(raw: bytes) -> bool:
        errors = "surrogateescape" if codec == "utf-8" else "surrogatepass"
        return CONTROLS.search(raw.decode(codec, errors)) is not None

    def is_after(text: str, limit: str) -> bool:
        reading = read_date(text)
        return reading is not None and reading.moment > datetime.fromisoformat(limit)

    register_functions(connection)
    iso.register(connection)
    connection.create_function("sdetl_has_control", 1, has_control, deterministic=True)
    connection.create_function("sdetl_is_after", 2, is_after, deterministic=True)


def together(columns: Sequence[str]) -> str:
    """A term for the values of several columns, as SQL writes them; for one column, the value itself."""
    if len(columns) == 1:
        return f"s.{quote(columns[0])}"
    return " || ', ' || ".join(map(_written, columns[:_MOST_TOGETHER]))


def _written(column: str) -> str:
    value = f"s.{quote(column)}"
    return f"quote(CASE WHEN typeof({value}) IN ('text', 'blob') THEN substr({value}, 1, {_LONGEST_TOGETHER}) ELSE {value} END)"


# Of values that are there


def _no_date(column: Column) -> str:
    """What no accepted format reads in the settled order; while that is not settled, in neither."""
    value, verdict = column.value, column.verdict
    orders = (True, False) if verdict.day_first is None else (verdict.day_first,)
    read = [f"{iso.to_iso(value, order, verdict.agreement)} IS NOT NULL" for order in orders]
    known = f"typeof({value}) = 'text' AND ({iso.is_iso(value)} OR {' OR '.join(read)})"
    if verdict.agreement:
        known = f"({known}) OR {read[0]}"
    return f"{value} <> '' AND NOT ({known})"


def _either(column: Column) -> str | None:
    """What can be read day first and month first, and is another day then."""
    if column.verdict.agreement:
        return None
    day, month = (iso.to_iso(column.value, day_first) for day_first in (True, False))
    return f"typeof({column.value}) = 'text' AND NOT {iso.is_iso(column.value)} AND {day} <> {month}"


def _other_order(column: Column) -> str | None:
    """What can be read in the order only that fewer values prove."""
    dates = column.facts.dates
    if dates is None or column.verdict.agreement:
        return None
    fewer = dates.day_first_only < dates.month_first_only
    read, unread = (iso.to_iso(column.value, day_first) for day_first in (fewer, not fewer))
    is_text = f"typeof({column.value}) = 'text' AND NOT {iso.is_iso(column.value)}"
    return f"{is_text} AND {read} IS NOT NULL AND {unread} IS NULL"


def _zoned_otherwise(column: Column) -> str | None:
    """What names a zone, or what names none: whichever are fewer."""
    dates = column.facts.dates
    if dates is None:
        return None
    written = _as_iso(column)
    has_offset = f"({written} GLOB '*Z' OR {written} GLOB '*[+-][0-9][0-9]:[0-9][0-9]')"
    return has_offset if 2 * dates.with_offset <= dates.iso + dates.convertible else f"NOT {has_offset}"


def _future(column: Column) -> str:
    """A day and more past the moment of profiling."""
    limit = column.profiled.astimezone(UTC) + timedelta(days=1)
    written = _as_iso(column)
    roughly = f"{written} >= '{(limit - _OFFSETS).date().isoformat()}'"
    return f"CASE WHEN {roughly} THEN sdetl_is_after({written}, '{limit.isoformat()}') ELSE 0 END"


def _as_iso(column: Column) -> str:
    value, verdict = column.value, column.verdict
    order = True if verdict.day_first is None else verdict.day_first
    is_iso = f"typeof({value}) = 'text' AND {iso.is_iso(value)}"
    readable = "TRUE" if verdict.agreement else f"typeof({value}) = 'text'"
    return f"CASE WHEN {is_iso} THEN {value} WHEN {readable} THEN {iso.to_iso(value, order, verdict.agreement)} END"


def _rewritten(column: Column) -> str:
    value, verdict = column.value, column.verdict
    written = iso.to_iso(value, verdict.day_first, verdict.agreement)
    is_text = "TRUE" if verdict.agreement else f"typeof({value}) = 'text'"
    return f"{is_text} AND NOT {iso.is_iso(value)} AND {written} IS NOT NULL"


def _mismatch(column: Column) -> str | None:
    return _misfit(column, column.facts.proposed)


def _residue(column: Column) -> str | None:
    return _misfit(column, TargetType.parse(column.verdict.chosen).kind)


def _misfit(column: Column, kind: Kind) -> str | None:
    """Pairs of truth are judged by the column as a whole: their rows are not told one by one."""
    if kind in DATE_KINDS:
        return _no_date(column)
    return None if kind is Kind.BOOLEAN else f"{column.value} <> '' AND NOT ({fits_sql(kind, column.value)})"


def _present(column: Column) -> str:
    return f"{column.value} <> ''"


def _text(column: Column) -> str:
    return f"typeof({column.value}) = 'text' AND {column.value} <> ''"


def _empty(column: Column) -> str:
    return f"{column.value} = ''"


def _marked(column: Column) -> str:
    """What usually stands for missing."""
    marks = (mark.replace("'", "''") for mark in column.facts.missing_marks)
    listed = ", ".join(f"'{mark}'" for mark in marks)
    return f"typeof({column.value}) = 'text' AND {column.value} COLLATE BINARY IN ({listed})"


def _zero_led(column: Column) -> str:
    value = f"(+{column.value})"
    digits = f"{value} GLOB '0[0-9]*' AND {value} NOT GLOB '*[^0-9]*' AND instr({value}, char(0)) = 0"
    return f"typeof({value}) = 'text' AND {digits}"


def _with_controls(column: Column) -> str:
    value = column.value
    roughly = f"({value} GLOB '*[{_GLOBBED}]*' OR instr({value}, char(0)) > 0)"
    return f"typeof({value}) = 'text' AND CASE WHEN {roughly} THEN sdetl_has_control(CAST({value} AS BLOB)) ELSE 0 END"


def _whole_real(column: Column) -> str:
    return f"typeof({column.value}) = 'real' AND {column.value} = CAST({column.value} AS INTEGER)"


_GLOBBED = "\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"

OF_VALUES: Mapping[str, Callable[[Column], str | None]] = {
    "BREAKER-COLUMNS": _mismatch,
    "BREAKER-DATES": _no_date,
    "DATE-CORRUPT": _no_date,
    "DATE-FUTURE": _future,
    "DATE-NUMBERS": _present,
    "DATE-ORDER": _either,
    "DATE-ORDER-CONFLICT": _other_order,
    "DATE-ORDER-UNDECIDED": _either,
    "DATE-SHORT-YEARS": _text,
    "DATE-TO-ISO": _rewritten,
    "DATE-ZONES-MIXED": _zoned_otherwise,
    "EMPTY-NOT-NULL": _empty,
    "EMPTY-TO-NULL": _empty,
    "LEADING-ZEROS": _zero_led,
    "MISSING-MARK": _marked,
    "TEXT-CONTROL": _with_controls,
    "TEXT-UNLOADABLE": _residue,
    "TYPE-MISMATCH": _mismatch,
    "TYPE-MIXED": _present,
    "TYPE-RESIDUE": _residue,
    "WHOLE-REALS": _whole_real,
}
"""By rule: the condition on a value of one column that is there and no declared mark; None where rows cannot be told."""


# Of rows by several columns


def _without_key(_table: Table, _key: RowKey, columns: Sequence[str]) -> str:
    return " OR ".join(f"s.{quote(column)} IS NULL" for column in columns)


def _repeated(table: Table, key: RowKey, columns: Sequence[str]) -> str | None:
    """What has a key that a row before it has, told apart byte by byte as PostgreSQL will."""
    present = " AND ".join(f"s.{quote(column)} IS NOT NULL" for column in columns)
    equal = _equal_before(table, key, columns)
    return f"{present} AND {equal}" if equal is not None else None


def _equal_before(table: Table, key: RowKey, columns: Sequence[str]) -> str | None:
    """What equals a row before it in those columns."""
    if not key.is_rowid:
        return None
    compared = ", ".join(f"f.{quote(column)} COLLATE BINARY" for column in columns)
    firsts = f"SELECT min({key.of('f')}) FROM {quote(table.name)} AS f GROUP BY {compared}"
    return f"{key.of('s')} NOT IN ({firsts})"


OF_ROWS: Mapping[str, Callable[[Table, RowKey, Sequence[str]], str | None]] = {
    "KEY-DUPLICATE": _repeated,
    "KEY-NULL": _without_key,
    "ROW-DUPLICATE": _equal_before,
}
"""By rule: the condition on a row, by the columns of a key or by all."""
