"""The SELECT terms whose values go on the wire of PostgreSQL's binary COPY.

Binary COPY carries no types, only bytes: a timestamp is an int8 of microseconds since 2000-01-01, a date an int4 of
days, a boolean one byte.  SQLite's own C code computes them, and texts go through as the bytes that they are, so
that no Python object is made of a date or a string.  The few shapes that SQL cannot compute exactly have a
``convert`` function.

Only values that were proved to fit are shaped (``sqlite.fits``): ``unixepoch`` takes 2024-02-30 for a date.
Source connections deliver TEXT as bytes (``text_factory = bytes``).
"""

from __future__ import annotations

import dataclasses
import decimal
import enum
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sdetl_engine.profiling.facts import ColumnFacts
from sdetl_engine.sqlite.fits import fits_sql, register_functions
from sdetl_engine.sqlite.open import open_readonly, quote
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
    register_functions(connection)
    connection.text_factory = bytes
    return connection


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
    guarded = f"CASE WHEN {term} IS NOT NULL AND {fits_sql(target.kind, term)} THEN {shape.expression} END"
    return dataclasses.replace(shape, expression=guarded)


def _shape(term: str, target: TargetType, facts: ColumnFacts | None) -> ColumnShape:
    match target.kind:
        case Kind.INTEGER:
            only = facts is not None and not facts.texts and not facts.reals
            return ColumnShape(term if only else f"CAST({term} AS INTEGER)", Wire.INT8)
        case Kind.DOUBLE:
            only = facts is not None and not facts.texts and not facts.integers
            return ColumnShape(term if only else f"CAST({term} AS REAL)", Wire.FLOAT8)
        case Kind.NUMERIC:
            return ColumnShape(term, Wire.NUMERIC, _numeric(target))
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
    return (
        f"CASE WHEN {term} IS NULL OR {term} = '' THEN NULL"
        f" WHEN (+{term}) IN (1) OR (+{term}) COLLATE NOCASE IN ('1', 'true', 't', 'yes', 'y') THEN x'01' ELSE x'00' END"
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


def _numeric(target: TargetType) -> Callable[[object], decimal.Decimal]:
    """The exact decimal: of an integer, of a text as written, of a REAL the shortest that reads back the same.

    With a scale it is padded to it, so that the bytes sent are the bytes that PostgreSQL sends back.
    """
    step = None if target.precision is None else decimal.Decimal(1).scaleb(-(target.scale or 0))
    context = decimal.Context(prec=1100)

    def convert(value: object) -> decimal.Decimal:
        text = value.decode() if isinstance(value, bytes) else repr(value)
        number = decimal.Decimal(text)
        if step is None:
            exponent = number.as_tuple().exponent
            # 1E+3 has no scale in PostgreSQL: it is sent as 1000.
            return (
                context.quantize(number, decimal.Decimal(1)) if isinstance(exponent, int) and exponent > 0 else number
            )
        return context.quantize(number, step)

    return convert


def _jsonb(value: object) -> bytes:
    """Version byte 1, then the document."""
    assert isinstance(value, bytes)
    json.loads(value)
    return b"\x01" + value


def _uuid(value: object) -> bytes:
    assert isinstance(value, bytes)
    return bytes.fromhex(value.decode().replace("-", ""))
