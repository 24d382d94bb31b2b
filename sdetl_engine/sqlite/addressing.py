"""How one row of a table is named, by its rowid or else its primary key, and tables in windows of rows."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator

from sdetl_engine.sqlite.open import quote
from sdetl_engine.values.schema import Table

ROWS_PER_WINDOW = 100_000
_ROWID_NAMES = ("rowid", "_rowid_", "oid")


@dataclasses.dataclass(frozen=True, slots=True)
class RowKey:
    """The terms (quoted) that name a row.  ``is_rowid``: there is one and it is the 64-bit rowid."""

    terms: tuple[str, ...]
    is_rowid: bool

    def equal(self, one: str, other: str) -> str:
        """The condition that a row of alias ``one`` is the row of alias ``other``."""
        return " AND ".join(f"{one}.{term} = {other}.{term}" for term in self.terms)

    def of(self, alias: str) -> str:
        """The terms of that alias, separated by commas."""
        return ", ".join(f"{alias}.{term}" for term in self.terms)


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Consecutive rows.  ``first`` and ``last`` are rowids, None for a whole table without rowids."""

    first: int | None
    last: int | None
    rows: int

    def condition(self, key: RowKey, alias: str = "") -> str:
        """The condition that a row lies in the window."""
        if self.first is None:
            return "TRUE"
        term = f"{alias}.{key.terms[0]}" if alias else key.terms[0]
        return f"{term} BETWEEN {self.first} AND {self.last}"


def row_key(table: Table) -> RowKey | None:
    """The key by which rows of the table are found; None when columns have taken all names of the rowid."""
    if not table.has_rowid:
        return RowKey(tuple(quote(name) for name in table.primary_key), is_rowid=False)
    if table.rowid_alias is not None:
        return RowKey((quote(table.rowid_alias),), is_rowid=True)
    taken = {column.name.lower() for column in table.columns}
    name = next((name for name in _ROWID_NAMES if name not in taken), None)
    return RowKey((name,), is_rowid=True) if name else None


def key_text(table: Table, key: RowKey, alias: str) -> str:
    """A term that names the row for people and programs: the primary key as a JSON array, else the rowid.

    A BLOB in the key, which JSON cannot hold, stands as its hexadecimal digits after ``\\x``.
    """
    if not table.primary_key:
        return f"CAST({key.of(alias)} AS TEXT)"
    if table.rowid_alias is not None:
        return f"'[' || {key.of(alias)} || ']'"
    parts = (f"{alias}.{quote(name)}" for name in table.primary_key)
    shown = (f"CASE typeof({part}) WHEN 'blob' THEN '\\x' || lower(hex({part})) ELSE {part} END" for part in parts)
    return f"json_array({', '.join(shown)})"


def windows(
    connection: sqlite3.Connection,
    table: Table,
    key: RowKey,
    rows: int,
    schema: str = "main",
    *,
    at_once: int | None = None,
) -> Iterator[Window]:
    """A table of ``rows`` rows in windows of ``at_once`` rows (`ROWS_PER_WINDOW`) in the order of rowids; without rowids as
    one."""
    at_once = at_once or ROWS_PER_WINDOW
    source = f"{schema}.{quote(table.name)}"
    if not key.is_rowid or not rows:
        yield Window(None, None, rows)
        return
    term = key.terms[0]
    (low,) = connection.execute(f"SELECT min({term}) FROM {source}").fetchone()
    (high,) = connection.execute(f"SELECT max({term}) FROM {source}").fetchone()
    if high - low + 1 == rows:
        for first in range(low, high + 1, at_once):
            last = min(high, first + at_once - 1)
            yield Window(first, last, last - first + 1)
        return
    yield from _found_windows(connection, source, term, at_once)


def _found_windows(connection: sqlite3.Connection, source: str, term: str, at_once: int) -> Iterator[Window]:
    """Windows over rowids with gaps: each is looked up, when it is asked for, from where the last one ended."""
    after = "TRUE"
    while True:
        first, last, rows = connection.execute(
            f"SELECT min(k), max(k), count(*) FROM (SELECT {term} AS k FROM {source} NOT INDEXED "
            f"WHERE {after} ORDER BY {term} LIMIT {at_once})"
        ).fetchone()
        if not rows:
            return
        yield Window(first, last, rows)
        after = f"{term} > {last}"
