"""A digest of what a table holds, whatever way it lies in the file.

`table_digest` is SHA-256 over a canonical encoding of every stored value in row order.  A byte copy, a copy with its
WAL checkpointed and a ``VACUUM INTO`` of the same database give the same digest; one changed bit, type, NULL, row or
order of rows gives another.  Anybody can compute it again:

* Rows in order of the rowid; in a ``WITHOUT ROWID`` table in order of its primary key.
* Columns in the order of the table, without ``VIRTUAL`` generated ones, which hold nothing of their own.
* The hash is fed first ``marshal.dumps((names, blobs), 2)``: the tuple of these column names as UTF-8 ``bytes``, and
  1 when some value in the table is a BLOB, else 0.
* Then for every 1000 rows (the last time fewer) ``marshal.dumps(rows, 2)``: a list of one tuple per row, with NULL as
  ``None``, INTEGER as ``int``, REAL as ``float`` and TEXT as ``bytes`` in UTF-8, exactly as stored, NUL and
  malformed sequences included.  When ``blobs`` is 1, a BLOB is ``bytes`` and a TEXT a tuple of one ``bytes``.

Of the marshal format, version 2, only this is used, all of it little-endian; it has no references between objects,
so equal values always give equal bytes:

====== ==========================================================================
``N``  None
``i``  4 bytes: an int in signed 32 bits
``l``  4 bytes n, negative for a negative int, then abs(n) digits of 15 bits in 2 bytes each, lowest first
``g``  8 bytes: an IEEE 754 double
``s``  4 bytes length, then as many bytes
``(``  4 bytes count, then as many objects: a tuple
``[``  4 bytes count, then as many objects: a list
====== ==========================================================================
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import marshal
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from sdetl_engine.events import Reporter, SilentReporter
from sdetl_engine.sqlite.guard import stoppable
from sdetl_engine.sqlite.open import quote
from sdetl_engine.values.schema import Column, Schema, Table

ROWS_AT_ONCE = 1000
_MARSHAL_VERSION = 2
_TERMS_AT_ONCE = 100


@dataclasses.dataclass(frozen=True, slots=True)
class TableDigest:
    """The number of rows of a table and the digest of their content, hexadecimal."""

    rows: int
    sha256: str


def database_digest(
    connection: sqlite3.Connection, schema: Schema, reporter: Reporter | None = None
) -> dict[str, TableDigest]:
    """The digest of every table of ``schema``, by table name.  Raises Cancelled, sqlite3.DatabaseError."""
    return {table.name: table_digest(connection, table, reporter) for table in schema.tables}


def table_digest(connection: sqlite3.Connection, table: Table, reporter: Reporter | None = None) -> TableDigest:
    """Read a whole table once and digest it as the module describes; memory does not grow with the rows.

    Raises Cancelled through the reporter, and sqlite3.DatabaseError where the file is damaged.
    """
    watcher = reporter or SilentReporter()
    columns = [column for column in table.columns if column.generated != "virtual"]
    with stoppable(connection, watcher):
        blobs = _holds_blobs(connection, table, columns)
        digest = hashlib.sha256(_encoded((tuple(column.name.encode() for column in columns), int(blobs))))
        rows = 0
        with _text_as(connection, _boxed if blobs else bytes):
            cursor = connection.execute(_select(table, columns))
            while batch := cursor.fetchmany(ROWS_AT_ONCE):
                digest.update(_encoded(batch))
                rows += len(batch)
                watcher.progress(f"digest of {table.name}", rows, None)
                watcher.check()
    return TableDigest(rows, digest.hexdigest())


def _encoded(value: Any) -> bytes:
    return marshal.dumps(value, _MARSHAL_VERSION)


def _boxed(text: bytes) -> tuple[bytes]:
    return (text,)


@contextlib.contextmanager
def _text_as(connection: sqlite3.Connection, factory: Callable[[bytes], object]) -> Iterator[None]:
    before = connection.text_factory
    connection.text_factory = factory
    try:
        yield
    finally:
        connection.text_factory = before


def _holds_blobs(connection: sqlite3.Connection, table: Table, columns: list[Column]) -> bool:
    # In SQLite's order of storage classes everything but a BLOB is less than the empty BLOB: one comparison per
    # value, without naming its type.  In groups, because the depth of an expression is limited.
    groups = [
        " OR ".join(f"{quote(column.name)} >= x''" for column in columns[start : start + _TERMS_AT_ONCE])
        for start in range(0, len(columns), _TERMS_AT_ONCE)
    ]
    condition = " OR ".join(f"({group})" for group in groups)
    query = f"SELECT EXISTS (SELECT 1 FROM {quote(table.name)} NOT INDEXED WHERE {condition})"
    return bool(connection.execute(query).fetchone()[0])


def _select(table: Table, columns: list[Column]) -> str:
    terms = ", ".join(quote(column.name) for column in columns)
    order = ", ".join(_order(table))
    return f"SELECT {terms} FROM {quote(table.name)} NOT INDEXED" + (f" ORDER BY {order}" if order else "")


def _order(table: Table) -> list[str]:
    """The terms that name the order in which the table lies in its B-tree anyway, so that nothing is sorted.

    Empty when SQL cannot name it, all names of the rowid being taken by columns.  A scan of the table itself then
    still comes in that order.
    """
    if table.has_rowid:
        taken = {column.name.lower() for column in table.columns}
        return [name for name in ("rowid", "_rowid_", "oid") if name not in taken][:1]
    key = next((index for index in table.indexes if index.origin == "pk"), None)
    return [
        f"{quote(term.column or '')} COLLATE {quote(term.collation)}{' DESC' if term.descending else ''}"
        for term in (key.terms if key else ())
    ]
