"""Walking over the rows of a table in chunks."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Mapping

from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.sample import ends_of, rowid_name
from sdetl_engine.values.schema import Table

_FIRST_CHUNK = 256
_SMALLEST_CHUNK = 16
_LARGEST_CHUNK = 8192
_CHUNK_BYTES = 2 * 1024**2
_COPY = "temp.sdetl_rows"


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """Where the rows are: SQL of the table, its rowid and its columns by name; ``low`` and ``high`` rowid.

    ``is_copy``: the table is a temporary one, which only the connection sees that made it, and its rowids mean nothing.
    """

    table: str
    rowid: str
    low: int | None
    high: int | None
    total: int
    columns: Mapping[str, str]
    is_copy: bool = False

    @property
    def are_dense(self) -> bool:
        """True when every rowid from the lowest to the highest is there."""
        return self.low is not None and self.high is not None and self.high - self.low + 1 == self.total


def locate(connection: sqlite3.Connection, table: Table, total: int | None = None) -> Rows:
    """The rows of a table by rowid.  A table without one is copied into a temporary table on disk that has one.

    ``total``: how many rows there are, when the caller has counted them.
    """
    rowid, name = rowid_name(table), quote(table.name)
    columns = {column.name: quote(column.name) for column in table.columns}
    is_copy = rowid is None
    if rowid is None:
        copied = {original: f"c{number}" for number, original in enumerate(columns)}
        terms = ", ".join(f"{columns[original]} AS {alias}" for original, alias in copied.items())
        connection.execute(f"CREATE TEMP TABLE sdetl_rows AS SELECT {terms} FROM {name}")
        rowid, name, columns = "rowid", _COPY, copied
    low, high = ends_of(connection, name, rowid)
    if total is None:
        (total,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    return Rows(name, rowid, low, high, total, columns, is_copy)


class Ranges:
    """Hands out the rows in chunks, in order.  Chunks grow until they carry enough bytes."""

    def __init__(self, connection: sqlite3.Connection, rows: Rows) -> None:
        self._connection = connection
        self._rows = rows
        self._next = rows.low
        self._size = _FIRST_CHUNK

    def take(self) -> tuple[int, int, int] | None:
        """The next chunk: first and last rowid, and how many rows; None at the end."""
        if self._next is None or self._rows.high is None or self._next > self._rows.high:
            return None
        rowid, low = self._rows.rowid, self._next
        if self._rows.are_dense:
            high = min(low + self._size - 1, self._rows.high)
            self._next = high + 1
            return low, high, high - low + 1
        some = f"SELECT {rowid} AS r FROM {self._rows.table} WHERE {rowid} >= ? ORDER BY {rowid} LIMIT ?"
        high, count = self._connection.execute(f"SELECT max(r), count(*) FROM ({some})", (low, self._size)).fetchone()
        self._next = high + 1 if count else None
        return (low, high, count) if count else None

    def adapt(self, carried: int) -> None:
        """Learn from the bytes of text that a chunk brought."""
        if carried > 2 * _CHUNK_BYTES:
            self._size = max(_SMALLEST_CHUNK, self._size // 2)
        elif carried < _CHUNK_BYTES // 2:
            self._size = min(_LARGEST_CHUNK, self._size * 2)
