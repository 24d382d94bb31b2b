"""Keys whose values SQLite keeps apart and the type in PostgreSQL does not: ``1`` and ``'1'`` in a column of texts."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from decimal import Decimal

from sdetl_engine.profiling.facts import ColumnFacts
from sdetl_engine.sqlite.open import quote
from sdetl_engine.values.dates import read_date
from sdetl_engine.values.numbers import is_decimal_text
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import DATE_KINDS, Kind

_NUMBERS = frozenset({Kind.INTEGER, Kind.DOUBLE, Kind.NUMERIC})
_TRUE = frozenset({"1", "true", "t", "yes", "y"})


def may_collide(kind: Kind, facts: ColumnFacts) -> bool:
    """True when two different values of the column could be equal as ``kind``."""
    if kind in _NUMBERS:
        return facts.texts > facts.empties
    if kind in DATE_KINDS:
        return facts.dates is not None and len(facts.dates.shapes) > 1
    if kind in (Kind.UUID, Kind.BOOLEAN, Kind.TIME):
        return True
    return sum(bool(n) for n in (facts.integers + facts.reals, facts.texts, facts.blobs)) > 1


def colliding_rows(
    connection: sqlite3.Connection,
    table: Table,
    columns: Sequence[str],
    kinds: Mapping[str, Kind],
    day_first: Mapping[str, bool | None],
) -> int:
    """Rows beyond the first of each value as the types will hold it, without those that repeat a value already."""
    connection.create_function("sdetl_held", 4, _held, deterministic=True)
    raw = [quote(name) for name in columns]
    held = [_held_sql(quote(name), kinds[name], day_first.get(name)) for name in columns]
    none_null = " AND ".join(f"{column} IS NOT NULL" for column in raw)
    asked = f"FROM {quote(table.name)} WHERE {none_null}"
    as_they_are = ", ".join(f"{column} COLLATE BINARY" for column in raw)
    (different,) = connection.execute(f"SELECT count(*) FROM (SELECT 1 {asked} GROUP BY {as_they_are})").fetchone()
    (left,) = connection.execute(f"SELECT count(*) FROM (SELECT 1 {asked} GROUP BY {', '.join(held)})").fetchone()
    return int(different - left)


def _held_sql(column: str, kind: Kind, day_first: bool | None) -> str:
    order = "NULL" if day_first is None else int(day_first)
    # Texts travel as bytes: Python's sqlite3 refuses those that are not valid UTF-8.
    value = f"CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END"
    return f"sdetl_held('{kind}', {order}, typeof({column}), {value})"


def _held(kind: str, day_first: int | None, storage: str, value: bytes | float) -> bytes | float:
    """What the value becomes; itself where the kind cannot hold it."""
    wanted = Kind(kind)
    if not isinstance(value, bytes):
        return value if wanted in _NUMBERS else repr(value).encode()
    text = value.decode("utf-8", "surrogateescape")
    if wanted in _NUMBERS and storage == "text" and is_decimal_text(text):
        number = Decimal(text)
        return int(number) if number == number.to_integral_value() and abs(number) < 2**63 else float(number)
    if wanted in DATE_KINDS:
        reading = read_date(text, None if day_first is None else bool(day_first))
        return value if reading is None else reading.moment.isoformat().encode()
    if wanted is Kind.UUID:
        return value.lower()
    if wanted is Kind.BOOLEAN:
        return b"1" if text.lower() in _TRUE else b"0"
    return value
