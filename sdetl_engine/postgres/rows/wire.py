"""Rows as PostgreSQL's binary COPY carries them, taken apart, and their fields as people read them.

A row is a 16-bit count of fields, then for each its length in 32 bits (-1: NULL) and its bytes
(https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4).  Nothing of a field is lost in the text made
of it: two fields of one type give the same text only when their bytes are the same.
"""

from __future__ import annotations

import datetime
import struct
import uuid
from collections.abc import Callable, Mapping

from sdetl_engine.values.types import Kind

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""What stands before the first row."""
TRAILER = b"\xff\xff"
_LENGTH = struct.Struct("!i")
_DOUBLE = struct.Struct("!d")
_NUMERIC = struct.Struct("!HhHH")
_DAYS_TO_2000 = 730_119
"""Days from the first day of year 1 to 2000-01-01."""
_MICROSECONDS_OF_DAY = 86_400_000_000
_NUMERIC_SIGNS = {0x4000: "-", 0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}


def fields_of(row: bytes) -> list[bytes | None]:
    """The fields of one row; None for NULL."""
    fields: list[bytes | None] = []
    place = 2
    while place < len(row):
        (length,) = _LENGTH.unpack_from(row, place)
        place += 4
        fields.append(None if length < 0 else row[place : place + length])
        place += max(length, 0)
    return fields


def literal(kind: Kind, field: bytes | None) -> str | None:
    """The field as text; None for NULL.  A field of another width than its type has is shown as its bytes."""
    if field is None:
        return None
    reader = _READERS.get(kind)
    if reader is None:
        return field.decode("utf-8", "backslashreplace")
    try:
        return reader(field)
    except (struct.error, ValueError):
        return "\\x" + field.hex()


def _integer(field: bytes) -> str:
    return str(int.from_bytes(field, "big", signed=True))


def _double(field: bytes) -> str:
    return repr(_DOUBLE.unpack(field)[0])


def _numeric(field: bytes) -> str:
    count, weight, sign, scale = _NUMERIC.unpack_from(field)
    if sign in _NUMERIC_SIGNS and sign != 0x4000:
        return _NUMERIC_SIGNS[sign]
    groups = struct.unpack_from(f"!{count}H", field, _NUMERIC.size)
    whole = "".join(f"{groups[i] if i < count else 0:04d}" for i in range(weight + 1)).lstrip("0") or "0"
    behind = -(-scale // 4)
    digits = "".join(f"{_group(groups, weight + 1 + i):04d}" for i in range(behind))[:scale]
    return _NUMERIC_SIGNS.get(sign, "") + whole + (f".{digits}" if scale else "")


def _group(groups: tuple[int, ...], place: int) -> int:
    return groups[place] if 0 <= place < len(groups) else 0


def _boolean(field: bytes) -> str:
    return "true" if field == b"\1" else "false"


def _date(field: bytes) -> str:
    days = int.from_bytes(field, "big", signed=True)
    if days in (2**31 - 1, -(2**31)):
        return "infinity" if days > 0 else "-infinity"
    return _day(days)


def _timestamp(field: bytes) -> str:
    microseconds = int.from_bytes(field, "big", signed=True)
    if microseconds in (2**63 - 1, -(2**63)):
        return "infinity" if microseconds > 0 else "-infinity"
    days, rest = divmod(microseconds, _MICROSECONDS_OF_DAY)
    return f"{_day(days)} {_clock(rest)}"


def _timestamptz(field: bytes) -> str:
    text = _timestamp(field)
    return text if "infinity" in text else text + "+00"


def _time(field: bytes) -> str:
    return _clock(int.from_bytes(field, "big", signed=True))


def _day(days: int) -> str:
    ordinal = days + _DAYS_TO_2000 + 1
    if 1 <= ordinal <= datetime.date.max.toordinal():
        return datetime.date.fromordinal(ordinal).isoformat()
    return f"day {days} since 2000-01-01"


def _clock(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}" if fraction else text


def _bytes(field: bytes) -> str:
    return "\\x" + field.hex()


def _jsonb(field: bytes) -> str:
    return field[1:].decode("utf-8", "backslashreplace")


def _uuid(field: bytes) -> str:
    return str(uuid.UUID(bytes=field))


_READERS: Mapping[Kind, Callable[[bytes], str]] = {
    Kind.INTEGER: _integer,
    Kind.DOUBLE: _double,
    Kind.NUMERIC: _numeric,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.TIMESTAMP: _timestamp,
    Kind.TIMESTAMPTZ: _timestamptz,
    Kind.TIME: _time,
    Kind.BYTES: _bytes,
    Kind.JSONB: _jsonb,
    Kind.UUID: _uuid,
}
