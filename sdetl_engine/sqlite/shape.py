"""The SELECT terms whose values go on the wire of PostgreSQL's binary COPY.

Binary COPY carries no types, only bytes: a timestamp is an int8 of microseconds since 2000-01-01, a date an int4 of
days, a boolean one byte.  SQLite's own C code computes them, and texts go through as the bytes that they are, so
that no Python object is made of a date or a string.  The few shapes that SQL cannot compute exactly have a
``convert`` function.

Only values that were proved to fit are shaped (``sqlite.fits``): ``unixepoch`` takes 2024-02-30 for a date.  Where
nothing was proved, or where it is cheap, a value that does not fit is refused, never rounded or guessed at.
Source connections deliver TEXT as UTF-8 bytes, whatever the encoding of the file (``text_factory = bytes``).
"""

from __future__ import annotations

import dataclasses
import decimal
import enum
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sdetl_engine.profiling.facts import ColumnFacts
from sdetl_engine.sqlite.fits import fits_sql, register_functions
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.values.jsonb import canonical
from sdetl_engine.values.types import Kind, TargetType

SECONDS_TO_2000 = 946_684_800
DAYS_TO_2000 = 10_957


class Wire(enum.StrEnum):
    """How psycopg is to write the value: the name of a type whose binary form has the same bytes."""

    INT8 = "int8"
    INT4 = "int4"
    FLOAT8 = "float8"
    BYTES = "bytea"
    NUMERIC = "numeric"


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnShape:
    """One column on its way: the SELECT term, the wire type, and what Python still has to do to a non-NULL value."""

    expression: str
    wire: Wire
    convert: Callable[[object], object] | None = None


def open_for_load(path: Path) -> sqlite3.Connection:
    """A read-only connection that delivers TEXT as UTF-8 bytes and knows the functions of ``sqlite.fits``."""
    connection = open_readonly(path)
    register_shaping(connection)
    connection.text_factory = bytes
    return connection


def register_shaping(connection: sqlite3.Connection) -> None:
    """Put the functions on the connection that the SQL of this module and of ``sqlite.fits`` calls."""
    register_functions(connection)
    connection.create_function("sdetl_fits_numeric", 3, _fits_numeric, deterministic=True)


def fits_target_sql(target: TargetType, term: str) -> str:
    """SQL that is 1 when the type holds the non-NULL value exactly, precision and scale included, else 0."""
    fits = fits_sql(target.kind, term)
    if target.precision is None:
        return fits
    # Unary plus takes away the column's affinity; a text reaches the function as it is written.
    within = f"sdetl_fits_numeric((+{term}), {target.precision}, {target.scale or 0})"
    return f"CASE WHEN {fits} THEN {within} ELSE 0 END"


def column_shape(
    name: str, target: TargetType, facts: ColumnFacts | None, *, quarantine_misfits: bool = False
) -> ColumnShape:
    """The shape of one column.  Without ``facts`` nothing is taken for granted.

    With ``quarantine_misfits``, values that the type cannot hold become NULL on the wire.
    """
    term = quote(name)
    shape = _shape(term, target, facts)
    if not quarantine_misfits:
        return shape
    guarded = f"CASE WHEN {term} IS NOT NULL AND {fits_target_sql(target, term)} THEN {shape.expression} END"
    return dataclasses.replace(shape, expression=guarded)


def _shape(term: str, target: TargetType, facts: ColumnFacts | None) -> ColumnShape:
    match target.kind:
        case Kind.INTEGER:
            return _integer(term, facts)
        case Kind.DOUBLE:
            return _double(term, facts)
        case Kind.NUMERIC:
            return ColumnShape(f"(+{term})", Wire.NUMERIC, _numeric(target))
        case Kind.BOOLEAN:
            return ColumnShape(_boolean(term), Wire.BYTES)
        case Kind.DATE:
            return ColumnShape(f"unixepoch({term}) / 86400 - {DAYS_TO_2000}", Wire.INT4)
        case Kind.TIMESTAMP:
            return ColumnShape(_timestamp(term, facts, zoned=False), Wire.INT8)
        case Kind.TIMESTAMPTZ:
            return ColumnShape(_timestamp(term, facts, zoned=True), Wire.INT8)
        case Kind.TIME:
            return ColumnShape(_time(term), Wire.INT8)
        case Kind.TEXT:
            return _text(term, facts)
        case Kind.BYTES:
            return ColumnShape(term, Wire.BYTES, None if _only_stored_bytes(facts) else _as_bytes)
        case Kind.JSON:
            return ColumnShape(term, Wire.BYTES)
        case Kind.JSONB:
            return ColumnShape(term, Wire.BYTES, _jsonb)
        case Kind.UUID:
            return ColumnShape(term, Wire.BYTES, _uuid)


def _integer(term: str, facts: ColumnFacts | None) -> ColumnShape:
    if facts is None or facts.texts or facts.reals > facts.whole_reals:
        return ColumnShape(term, Wire.INT8, _as_integer)
    return ColumnShape(f"CAST({term} AS INTEGER)" if facts.reals else term, Wire.INT8)


def _double(term: str, facts: ColumnFacts | None) -> ColumnShape:
    """SQLite's own reading of a text can be off by the last bit: Python reads those."""
    if facts is None or facts.texts:
        return ColumnShape(term, Wire.FLOAT8, _as_double)
    return ColumnShape(f"CAST({term} AS REAL)" if facts.integers else term, Wire.FLOAT8)


def _timestamp(term: str, facts: ColumnFacts | None, *, zoned: bool) -> str:
    """Microseconds since 2000-01-01 (UTC for a zone).  The fraction is cut out as text: SQLite rounds to milliseconds."""
    dates = facts.dates if facts is not None else None
    plain = dates is not None and not dates.fractional and not dates.with_offset
    if plain:
        return f"(unixepoch({term}) - {SECONDS_TO_2000}) * 1000000"
    second = f"substr({term}, 1, CASE WHEN substr({term}, 17, 1) = ':' THEN 19 ELSE 16 END)"
    if zoned:
        # What follows the seconds and the fraction: Z, or +HH:MM after an optional blank.
        rest = f"ltrim(substr({term}, CASE WHEN substr({term}, 17, 1) = ':' THEN 20 ELSE 17 END), '.0123456789')"
        second = f"{second} || CASE WHEN length({term}) > 10 THEN trim({rest}) ELSE '' END"
    after = f"substr({term}, 21)"
    digits = f"substr({after}, 1, length({after}) - length(ltrim({after}, '0123456789')))"
    fraction = (
        f"CASE WHEN substr({term}, 20, 1) = '.' THEN CAST(substr({digits} || '000000', 1, 6) AS INTEGER) ELSE 0 END"
    )
    return f"(unixepoch({second}) - {SECONDS_TO_2000}) * 1000000 + {fraction}"


def _time(term: str) -> str:
    seconds = f"substr({term}, 1, 2) * 3600 + substr({term}, 4, 2) * 60 + CAST(substr({term}, 7, 2) AS INTEGER)"
    fraction = f"CAST(substr(substr({term}, 10) || '000000', 1, 6) AS INTEGER)"
    return f"({seconds}) * 1000000 + {fraction}"


def _boolean(term: str) -> str:
    """One byte; two, which PostgreSQL refuses, for what is neither true nor false."""
    word = f"(+{term}) COLLATE NOCASE"
    return (
        f"CASE WHEN {term} IS NULL THEN NULL"
        f" WHEN (+{term}) = 1 OR {word} IN ('1', 'true', 't', 'yes', 'y') THEN x'01'"
        f" WHEN (+{term}) = 0 OR {word} IN ('0', 'false', 'f', 'no', 'n') THEN x'00' ELSE x'0000' END"
    )


def _text(term: str, facts: ColumnFacts | None) -> ColumnShape:
    if facts is not None and not facts.integers and not facts.reals:
        return ColumnShape(term, Wire.BYTES)
    return ColumnShape(term, Wire.BYTES, _as_bytes)


def _only_stored_bytes(facts: ColumnFacts | None) -> bool:
    return facts is not None and not facts.integers and not facts.reals


def _as_bytes(value: object) -> bytes:
    """Numbers as text, exactly: SQLite's own CAST keeps 15 digits of a REAL, Python's repr all of them."""
    if isinstance(value, bytes):
        return value
    return repr(value).encode()


def _as_integer(value: object) -> int:
    """The same number.  Raises ValueError for a text that writes none, and for a fraction."""
    if isinstance(value, bytes):
        return int(value)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("a fraction")
    assert isinstance(value, (int, float))
    return int(value)


def _as_double(value: object) -> float:
    """The nearest double.  Raises ValueError for a text that writes no number."""
    assert isinstance(value, (bytes, int, float))
    return float(value)


_EXACT = decimal.Context(prec=140_000, traps=[decimal.Inexact, decimal.InvalidOperation])
"""More digits than a numeric of PostgreSQL has; rounding raises."""


def _decimal(value: object) -> decimal.Decimal:
    """Of an integer, of a text as written, of a REAL the shortest that reads back the same."""
    if isinstance(value, (bytes, str)):
        return decimal.Decimal(value.decode() if isinstance(value, bytes) else value)
    return decimal.Decimal(repr(value))


def _numeric(target: TargetType) -> Callable[[object], decimal.Decimal]:
    """The exact decimal, padded to the scale, so that the bytes sent are the bytes that PostgreSQL sends back.

    The function raises ArithmeticError for a value that would have to be rounded.
    """
    if target.precision is not None:
        step = decimal.Decimal(1).scaleb(-(target.scale or 0))
        return lambda value: _EXACT.quantize(_decimal(value), step)
    return _without_exponent


def _without_exponent(value: object) -> decimal.Decimal:
    """1E+3 has no scale in PostgreSQL: it is sent as 1000."""
    number = _decimal(value)
    exponent = number.as_tuple().exponent
    return _EXACT.quantize(number, decimal.Decimal(1)) if isinstance(exponent, int) and exponent > 0 else number


def _fits_numeric(value: object, precision: int, scale: int) -> int:
    """1 when ``numeric(precision, scale)`` holds the number without rounding."""
    try:
        number = _decimal(value)
    except decimal.InvalidOperation:
        return 0
    _, digits, exponent = number.normalize(_EXACT).as_tuple()
    if not isinstance(exponent, int):
        return 0
    return int(number.is_zero() or (-exponent <= scale and len(digits) + exponent <= precision - scale))


def _jsonb(value: object) -> bytes:
    """Version byte 1, then the document as PostgreSQL will write it."""
    assert isinstance(value, bytes)
    return b"\x01" + canonical(value.decode()).encode()


def _uuid(value: object) -> bytes:
    """Sixteen bytes.  Raises ValueError for what is no UUID."""
    assert isinstance(value, bytes)
    return bytes.fromhex(value.decode().replace("-", ""))
