"""Asking SQLite whether a value can be held exactly by a kind, where it lies.

The questions are SQL, so that millions of values are asked at the speed of C; what SQL cannot decide goes to
functions in Python, which :func:`register_functions` puts on a connection.  Values reach those as bytes: Python's
sqlite3 refuses to hand over TEXT that is not valid UTF-8.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal

from sdetl_engine.values.dates import MAX_LENGTH, read_date
from sdetl_engine.values.numbers import LONGEST_NUMBER, decimals_of, is_plain_bigint, is_plain_decimal
from sdetl_engine.values.types import Kind


def text_codec(connection: sqlite3.Connection) -> str:
    """The codec of texts cast to BLOB on this connection: the encoding of the main database."""
    (encoding,) = connection.execute("PRAGMA main.encoding").fetchone()
    name = encoding.decode() if isinstance(encoding, bytes) else encoding
    return {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}[name]


def register_functions(connection: sqlite3.Connection) -> None:
    """Put the deterministic functions on the connection that the SQL of :func:`fits_sql` calls."""
    codec = text_codec(connection)
    for name, judge in _JUDGES.items():
        connection.create_function(name, 1, _on_bytes(judge, codec), deterministic=True)
    connection.create_function("sdetl_decimals", 1, decimals_of, deterministic=True)


def fits_sql(kind: Kind, term: str) -> str:
    """SQL that is 1 when the value of ``term`` can be loaded as ``kind`` as it is, exactly, else 0.

    ``term`` is an SQL expression, evaluated several times; its value must not be NULL.  Dates must be ISO text
    already, and a ``timestamp`` without offset; a ``timestamptz`` without offset is UTC.  Numbers written as texts
    must be written plainly: a leading zero or a plus sign makes a code of them, not a number.
    """
    # Unary plus takes away the column's affinity, which would turn the constants compared with into numbers.
    value = f"(+{term})"
    return _BUILDERS[kind](value)


def text_judge(kind: Kind) -> Callable[[str], bool] | None:
    """What decides whether a well-formed text without NUL can be held by ``kind``; None where every one can.

    The same answers as :func:`fits_sql` gives, except for dates and booleans: those depend on the whole column.
    """
    return _TEXT_JUDGES.get(kind)


def spelling_judge(kind: Kind) -> Callable[[str], bool] | None:
    """What decides whether PostgreSQL writes a text that ``kind`` holds just as it is; None where it always does."""
    return _is_lower if kind is Kind.UUID else None


def decimals_sql(value: str) -> str:
    """SQL that is the number of digits behind the point which a number needs; NULL for what is no finite number."""
    return f"CASE typeof({value}) WHEN 'integer' THEN 0 WHEN 'real' THEN sdetl_decimals({value}) END"


def is_iso_sql(value: str) -> str:
    """SQL that is 1 for a text in one of ``values.dates.ISO_SHAPES``.

    SQLite's date functions echo days that do not exist, but a modifier makes them compute: only a text that names
    an existing second in this very shape survives ``datetime(value, '+0 days')`` unchanged.
    """
    return _iso_sql(value, "sdetl_is_iso")


def _iso_sql(value: str, slow: str) -> str:
    return (
        f"CASE WHEN typeof({value}) <> 'text' THEN 0"
        f" WHEN datetime({value}, '+0 days') = {value} COLLATE BINARY AND {value} >= '0001' THEN 1"
        f" WHEN length({value}) = 10 THEN {_calendar_day_sql(value)}"
        f" ELSE {_call(slow, value, MAX_LENGTH)} END"
    )


def _call(function: str, value: str, longest: int) -> str:
    """A call of one of our functions, spared for texts that are too long to be what is asked for."""
    return f"CASE WHEN length({value}) <= {longest} THEN {function}(CAST({value} AS BLOB)) ELSE 0 END"


def _whole_sql(value: str) -> str:
    return f"{value} = CAST({value} AS INTEGER)"


def _integer_sql(value: str) -> str:
    return (
        f"CASE typeof({value}) WHEN 'integer' THEN 1 WHEN 'real' THEN {_whole_sql(value)}"
        f" WHEN 'text' THEN CAST(CAST({value} AS INTEGER) AS TEXT) = {value} COLLATE BINARY ELSE 0 END"
    )


def _double_sql(value: str) -> str:
    return (
        f"CASE typeof({value}) WHEN 'real' THEN 1 WHEN 'integer' THEN {value} = CAST({value} AS REAL)"
        f" WHEN 'text' THEN {_call('sdetl_is_double', value, LONGEST_NUMBER)} ELSE 0 END"
    )


def _numeric_sql(value: str) -> str:
    return (
        f"CASE typeof({value}) WHEN 'integer' THEN 1 WHEN 'real' THEN abs({value}) < 9e999"
        f" WHEN 'text' THEN {_call('sdetl_is_decimal', value, LONGEST_NUMBER)} ELSE 0 END"
    )


def _boolean_sql(value: str) -> str:
    return (
        f"CASE typeof({value}) WHEN 'integer' THEN {value} IN (0, 1) WHEN 'text' THEN {value} COLLATE NOCASE"
        f" IN ('true', 'false', 't', 'f', 'yes', 'no', 'y', 'n', '0', '1') ELSE 0 END"
    )


def _date_sql(value: str) -> str:
    return f"CASE WHEN typeof({value}) <> 'text' THEN 0 ELSE {_calendar_day_sql(value)} END"


def _calendar_day_sql(value: str) -> str:
    """SQL that is 1 for the text of a day that exists, written ``YYYY-MM-DD``; 0 for any other text."""
    return f"ifnull(date({value}, '+0 days') = {value} COLLATE BINARY AND {value} >= '0001', 0)"


def _time_sql(value: str) -> str:
    return f"CASE WHEN typeof({value}) <> 'text' THEN 0 ELSE {_call('sdetl_is_time', value, MAX_LENGTH)} END"


def _text_sql(value: str) -> str:
    # As many bytes as characters rules out NUL (where length stops), and UTF-16 files; the pattern rules out what is
    # not ASCII: a stray byte counts as one character too.
    ascii_only = f"length(CAST({value} AS BLOB)) = length({value}) AND {value} NOT GLOB '*[^\x01-\x7f]*'"
    return (
        f"CASE typeof({value}) WHEN 'blob' THEN 0"
        f" WHEN 'text' THEN CASE WHEN {ascii_only} THEN 1"
        f" ELSE sdetl_is_text(CAST({value} AS BLOB)) END ELSE 1 END"
    )


def _json_sql(value: str) -> str:
    return f"CASE WHEN typeof({value}) <> 'text' THEN 0 ELSE sdetl_is_json(CAST({value} AS BLOB)) END"


def _jsonb_sql(value: str) -> str:
    return f"CASE WHEN typeof({value}) <> 'text' THEN 0 ELSE sdetl_is_jsonb(CAST({value} AS BLOB)) END"


def _uuid_sql(value: str) -> str:
    digit = "[0-9a-fA-F]"
    pattern = "-".join(digit * n for n in (8, 4, 4, 4, 12))
    return (
        f"CASE WHEN typeof({value}) <> 'text' THEN 0 ELSE {value} GLOB '{pattern}' AND instr({value}, char(0)) = 0 END"
    )


def _anything_sql(value: str) -> str:
    return f"{value} IS NOT NULL"


_BUILDERS: dict[Kind, Callable[[str], str]] = {
    Kind.INTEGER: _integer_sql,
    Kind.DOUBLE: _double_sql,
    Kind.NUMERIC: _numeric_sql,
    Kind.BOOLEAN: _boolean_sql,
    Kind.DATE: _date_sql,
    Kind.TIMESTAMP: lambda value: _iso_sql(value, "sdetl_is_naive_iso"),
    Kind.TIMESTAMPTZ: is_iso_sql,
    Kind.TIME: _time_sql,
    Kind.TEXT: _text_sql,
    Kind.BYTES: _anything_sql,
    Kind.JSON: _json_sql,
    Kind.JSONB: _jsonb_sql,
    Kind.UUID: _uuid_sql,
}


def _on_bytes(judge: Callable[[str], bool], codec: str) -> Callable[[bytes], int]:
    def judged(raw: bytes) -> int:
        try:
            text = raw.decode(codec)
        except UnicodeDecodeError:
            return 0
        return int("\0" not in text and judge(text))

    return judged


def _is_iso(text: str) -> bool:
    reading = read_date(text)
    return reading is not None and reading.is_iso


def _is_naive_iso(text: str) -> bool:
    reading = read_date(text)
    return reading is not None and reading.is_iso and reading.offset_minutes is None


def _is_double(text: str) -> bool:
    """A plain decimal that a double holds without changing its number."""
    if not is_plain_decimal(text):
        return False
    nearest = float(text)
    return abs(nearest) != float("inf") and Decimal(repr(nearest)) == Decimal(text)


def _is_time(text: str) -> bool:
    reading = read_date(f"2000-01-01 {text}")
    return reading is not None and reading.is_iso and reading.offset_minutes is None


def _is_text(_text: str) -> bool:
    """What could be decoded and holds no NUL is text."""
    return True


def _is_json(text: str) -> bool:
    """RFC 8259, as PostgreSQL's ``json`` reads it: no NaN, no Infinity."""
    try:
        json.loads(text, parse_constant=_refuse_constant, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


def _is_jsonb(text: str) -> bool:
    """JSON whose strings and numbers PostgreSQL's ``jsonb`` can store, not only spell."""
    if not _is_json(text):
        return False
    try:
        document = json.loads(text, parse_int=_jsonb_number, parse_float=_jsonb_number)
    except ValueError:
        return False
    return all(_is_storable(string) for string in _strings(document))


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _jsonb_number(text: str) -> None:
    """Refuse what PostgreSQL's ``numeric`` cannot hold: over 131072 digits before the point, 16383 behind it."""
    if len(text) > LONGEST_NUMBER or not -16_000 < Decimal(text).adjusted() < 131_000:
        raise ValueError("not a numeric")


def _strings(document: object) -> Iterator[str]:
    """Every string of a parsed document, keys included."""
    waiting = [document]
    while waiting:
        match waiting.pop():
            case str() as string:
                yield string
            case dict() as members:
                yield from members
                waiting.extend(members.values())
            case list() as items:
                waiting.extend(items)


def _is_storable(string: str) -> bool:
    return "\0" not in string and not any("\ud800" <= c <= "\udfff" for c in string)


_JUDGES: dict[str, Callable[[str], bool]] = {
    "sdetl_is_iso": _is_iso,
    "sdetl_is_naive_iso": _is_naive_iso,
    "sdetl_is_double": _is_double,
    "sdetl_is_decimal": is_plain_decimal,
    "sdetl_is_time": _is_time,
    "sdetl_is_text": _is_text,
    "sdetl_is_json": _is_json,
    "sdetl_is_jsonb": _is_jsonb,
}
_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and _UUID.fullmatch(text) is not None


def _is_lower(text: str) -> bool:
    return text == text.lower()


_TEXT_JUDGES: dict[Kind, Callable[[str], bool]] = {
    Kind.INTEGER: is_plain_bigint,
    Kind.DOUBLE: _is_double,
    Kind.NUMERIC: is_plain_decimal,
    Kind.TIME: _is_time,
    Kind.JSON: _is_json,
    Kind.JSONB: _is_jsonb,
    Kind.UUID: _is_uuid,
}
