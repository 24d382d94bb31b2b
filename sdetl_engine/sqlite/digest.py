"""A digest of what a table holds, whatever way it lies in the file.

`table_digest` is SHA-256 over a canonical encoding of every stored value in row order.  A byte copy, a copy with its
WAL checkpointed and a ``VACUUM INTO`` of the same database give the same digest; one changed bit, type, NULL, row or
order of rows gives another.  Anybody can compute it again:

* Rows in order of the rowid; in a ``WITHOUT ROWID`` table in order of its primary key.
* Columns in the order of the table, without ``VIRTUAL`` generated ones, which hold nothing of their own.
* Every 50,000 rows (at last fewer) make a leaf.  The SHA-256 of a leaf is fed for every 1000 of its rows (at last
  fewer) ``marshal.dumps(rows, 2)``: a list of one tuple per row, with NULL as ``None``, INTEGER as ``int``, REAL as ``float`` and TEXT as ``bytes`` in UTF-8, exactly as stored, NUL and
  malformed sequences included.  When some value in the table is a BLOB, a BLOB is ``bytes`` and a TEXT a tuple of one
  ``bytes``.
* The digest of the table is the SHA-256 of ``marshal.dumps((names, blobs), 2)``, the tuple of these column names as
  UTF-8 ``bytes`` and 1 when some value in the table is a BLOB, else 0; followed by the 32 bytes of every leaf's.

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
import functools
import hashlib
import marshal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sdetl_engine import processes
from sdetl_engine.events import Reporter, SilentReporter
from sdetl_engine.processes import Processes
from sdetl_engine.sqlite.guard import stoppable
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.sqlite.shares import is_large
from sdetl_engine.values.schema import Column, Schema, Table

ROWS_AT_ONCE = 1000
_FIRST_ROWS = 10
_PIECE_BYTES = 1024 * 1024
"""Rows are fetched in pieces of about so many bytes, so that long ones do not fill the memory."""
_LEAF_ROWS = 50_000
_MARSHAL_VERSION = 2
_HEAD = 5
"""Bytes before the rows of a list."""
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


def file_digest(path: Path, schema: Schema, reporter: Reporter) -> dict[str, TableDigest]:
    """The same of a file that nobody writes.  Of a large table two processes digest one half each.

    Raises Cancelled, sqlite3.DatabaseError.
    """
    with contextlib.closing(open_readonly(path)) as connection:
        return {table.name: _file_table_digest(path, connection, table, reporter) for table in schema.tables}


def table_digest(connection: sqlite3.Connection, table: Table, reporter: Reporter | None = None) -> TableDigest:
    """Read a whole table once and digest it as the module describes; memory does not grow with the rows.

    Raises Cancelled through the reporter, and sqlite3.DatabaseError where the file is damaged.
    """
    watcher = reporter or SilentReporter()
    with stoppable(connection, watcher):
        everything = _Part(_count(connection, table))
        blobs = _holds_blobs(connection, table, everything)
        return _of_leaves(table, blobs, [_leaves(connection, table, everything, blobs, watcher)])


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """So many consecutive rows that begin with a leaf, by their rowids; None where the part has no end."""

    rows: int
    first: int | None = None
    last: int | None = None

    def conditions(self, table: Table) -> list[str]:
        """SQL that is true for the rows of the part, to be joined by AND."""
        term = next(iter(_order(table)), "")
        from_first = [f"{term} >= {self.first}"] if self.first is not None else []
        return from_first + ([f"{term} <= {self.last}"] if self.last is not None else [])


def _file_table_digest(path: Path, connection: sqlite3.Connection, table: Table, reporter: Reporter) -> TableDigest:
    with stoppable(connection, reporter):
        parts = _parts(connection, table)
    if len(parts) == 1:
        return table_digest(connection, table, reporter)
    for blobs in (False, True):
        jobs = [functools.partial(_digest_part, path, table, part, blobs) for part in parts]
        with Processes(jobs, reporter) as running:
            found = [leaves for leaves in running.results() if leaves is not None]
        if len(found) == len(parts):
            break
    return _of_leaves(table, blobs, found)


def _parts(connection: sqlite3.Connection, table: Table) -> list[_Part]:
    """The table in as many parts of whole leaves as are worth a process; in one where rows have no number."""
    count = processes.useful()
    order = _order(table)
    rows = _count(connection, table)
    if count < 2 or not table.has_rowid or not order or not is_large(connection, table, len(table.columns)):
        return [_Part(rows)]
    name, (term,) = quote(table.name), order
    leaves = -(-rows // _LEAF_ROWS)
    starts = sorted({part * leaves // count * _LEAF_ROWS for part in range(1, count)} - {0})
    query = f"SELECT {term} FROM {name} NOT INDEXED ORDER BY {term} LIMIT 1 OFFSET ?"
    firsts = [connection.execute(query, (start,)).fetchone()[0] for start in starts]
    return [
        _Part(end - start, first, None if after is None else after - 1)
        for start, end, first, after in zip(
            [0, *starts], [*starts, rows], [None, *firsts], [*firsts, None], strict=True
        )
    ]


def _count(connection: sqlite3.Connection, table: Table) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {quote(table.name)} NOT INDEXED").fetchone()[0])


def _digest_part(path: Path, table: Table, part: _Part, blobs: bool, *, reporter: Reporter) -> _Leaves | None:
    """The leaves of a part; None when it holds a BLOB that was not reckoned with."""
    with contextlib.closing(open_readonly(path)) as connection:
        if not blobs and _holds_blobs(connection, table, part):
            return None
        return _leaves(connection, table, part, blobs, reporter)


@dataclasses.dataclass(frozen=True, slots=True)
class _Leaves:
    """The rows of a part, and the digests of its leaves one behind the other."""

    rows: int
    digests: bytes


def _leaves(connection: sqlite3.Connection, table: Table, part: _Part, blobs: bool, watcher: Reporter) -> _Leaves:
    rows, digests, at_once = 0, b"", _FIRST_ROWS
    leaf = hashlib.sha256()
    with _text_as(connection, _boxed if blobs else bytes):
        cursor = connection.execute(_select(table, part))
        while batch := cursor.fetchmany(min(at_once, ROWS_AT_ONCE - rows % ROWS_AT_ONCE)):
            # A list is its head and then its rows: pieces of it give the same bytes as the whole.
            encoded = memoryview(_encoded(batch))
            if rows % ROWS_AT_ONCE == 0:
                leaf.update(_head_of_list(min(ROWS_AT_ONCE, part.rows - rows)))
            leaf.update(encoded[_HEAD:])
            at_once = max(1, min(ROWS_AT_ONCE, len(batch) * _PIECE_BYTES // len(encoded)))
            rows += len(batch)
            if rows % _LEAF_ROWS == 0:
                digests += leaf.digest()
                leaf = hashlib.sha256()
            watcher.progress(f"digest of {table.name}", rows, None)
            watcher.check()
    if rows % _LEAF_ROWS:
        digests += leaf.digest()
    return _Leaves(rows, digests)


def _of_leaves(table: Table, blobs: bool, parts: Sequence[_Leaves]) -> TableDigest:
    digest = hashlib.sha256(_encoded((tuple(column.name.encode() for column in _columns(table)), int(blobs))))
    for part in parts:
        digest.update(part.digests)
    return TableDigest(sum(part.rows for part in parts), digest.hexdigest())


def _columns(table: Table) -> list[Column]:
    return [column for column in table.columns if column.generated != "virtual"]


def _encoded(value: Any) -> bytes:
    return marshal.dumps(value, _MARSHAL_VERSION)


def _head_of_list(rows: int) -> bytes:
    """What marshal writes before the rows of a list."""
    return b"[" + rows.to_bytes(4, "little")


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


def _holds_blobs(connection: sqlite3.Connection, table: Table, part: _Part) -> bool:
    # In SQLite's order of storage classes everything but a BLOB is less than the empty BLOB: one comparison per
    # value, without naming its type.  In groups, because the depth of an expression is limited.
    terms = [f"{quote(column.name)} >= x''" for column in _columns(table)]
    groups = [" OR ".join(terms[start : start + _TERMS_AT_ONCE]) for start in range(0, len(terms), _TERMS_AT_ONCE)]
    conditions = [f"({' OR '.join(f'({group})' for group in groups)})", *part.conditions(table)]
    query = f"SELECT EXISTS (SELECT 1 FROM {quote(table.name)} NOT INDEXED WHERE {' AND '.join(conditions)})"
    return bool(connection.execute(query).fetchone()[0])


def _select(table: Table, part: _Part) -> str:
    terms = ", ".join(quote(column.name) for column in _columns(table))
    conditions = " AND ".join(part.conditions(table))
    order = ", ".join(_order(table))
    return (
        f"SELECT {terms} FROM {quote(table.name)} NOT INDEXED"
        + (f" WHERE {conditions}" if conditions else "")
        + (f" ORDER BY {order}" if order else "")
    )


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
