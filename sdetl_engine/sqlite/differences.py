"""Where differences between two sides are kept: a SQLite file, so that a million of them need no memory.

``difference(id, kind, "table", key, "column", expected, actual, note)``; ``kind`` as in :class:`Kind`; NULL in
``expected`` and ``actual`` is NULL where a column is named, and nothing where none is.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import enum
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from sdetl_engine.sqlite.open import open_readonly, open_writable
from sdetl_engine.sqlite.partial import refuse_taken, writing
from sdetl_engine.values.encodings import visible

_LONGEST_SHOWN = 1000
_AT_ONCE = 1000
_COLUMNS = ("kind", "table", "key", "column", "expected", "actual", "note")
_SELECT = 'SELECT id, kind, "table", key, "column", expected, actual, note FROM difference'


class DifferenceKind(enum.StrEnum):
    """What is different."""

    CELL = "cell"
    """Both sides have the row, and another value in one column."""
    MISSING_ROW = "missing-row"
    """The source has a row that the target has not."""
    EXTRA_ROW = "extra-row"
    """The target has a row that the source has not."""
    LEDGER = "ledger"
    """A line of the ledger that source or rules do not bear out."""
    QUARANTINE = "quarantine"
    """A value that should stand in the quarantine and does not, or the other way round."""
    SCHEMA = "schema"
    """A table or column that is not there, is too many, or has another type; its values were not compared."""


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One difference.  ``key``, ``expected`` and ``actual`` are content: shown and exported, never logged.

    ``key`` is the primary key as a JSON array, the rowid of a table without one, or empty where there is neither.
    """

    kind: DifferenceKind
    table: str
    key: str = ""
    column: str | None = None
    expected: str | None = None
    actual: str | None = None
    note: str = ""
    id: int = 0

    @property
    def has_values(self) -> bool:
        """True when ``expected`` and ``actual`` say something (None is then NULL)."""
        return self.kind in (DifferenceKind.CELL, DifferenceKind.LEDGER, DifferenceKind.QUARANTINE)


@dataclasses.dataclass(frozen=True, slots=True)
class DifferencePage:
    """Some differences in the order in which they were found, and how many there are in all."""

    differences: tuple[Difference, ...]
    total: int


class DifferenceLog:
    """Takes differences down while they are found."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[object, ...]] = []
        self.counts: dict[tuple[str, DifferenceKind], int] = {}

    def add(self, found: Difference) -> None:
        """One more."""
        where = (found.table, found.kind)
        self.counts[where] = self.counts.get(where, 0) + 1
        row = (str(found.kind), found.table, found.key, found.column, found.expected, found.actual, found.note)
        self._waiting.append(tuple(_storable(part) for part in row))
        if len(self._waiting) >= _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        self._connection.executemany(
            'INSERT INTO difference (kind, "table", key, "column", expected, actual, note) VALUES (?, ?, ?, ?, ?, ?, ?)',
            self._waiting,
        )
        self._waiting.clear()

    def of(self, table: str) -> Mapping[DifferenceKind, int]:
        """Differences of a table by kind."""
        return {kind: count for (name, kind), count in self.counts.items() if name == table}


@contextlib.contextmanager
def new_differences(path: Path) -> Iterator[DifferenceLog]:
    """A file for differences at ``path``, in place of one that is there; it takes its name when the block ends well."""
    partial = path.with_name(path.name + ".partial")
    with writing(path.parent):
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        try:
            with contextlib.closing(open_writable(partial)) as connection:
                # A file of one writer that is thrown away when it fails needs no journal.
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(
                    'CREATE TABLE difference (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, "table" TEXT NOT NULL,'
                    ' key TEXT NOT NULL, "column" TEXT, expected TEXT, actual TEXT, note TEXT NOT NULL)'
                )
                connection.execute("BEGIN")
                log = DifferenceLog(connection)
                yield log
                log.flush()
                connection.execute("COMMIT")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def read_differences(
    path: Path, *, offset: int = 0, limit: int = 100, table: str | None = None, after_id: int = 0
) -> DifferencePage:
    """``limit`` differences from the ``offset``-th on, of those behind ``after_id``; ``total`` counts all of them."""
    condition, given = ('"table" = ?', (table,)) if table is not None else ("TRUE", ())
    with contextlib.closing(open_readonly(path)) as connection:
        (total,) = connection.execute(f"SELECT count(*) FROM difference WHERE {condition}", given).fetchone()
        rows = connection.execute(
            f"{_SELECT} WHERE {condition} AND id > ? ORDER BY id LIMIT ? OFFSET ?",
            (*given, after_id, limit, offset),
        ).fetchall()
    return DifferencePage(tuple(_difference(*row) for row in rows), total)


def export_differences(path: Path, output: Path) -> int:
    """Write all of them to a new CSV file; returns how many.  NULL is ``NULL``, texts stand in single quotes.

    Raises UsageError when the file exists, ResourceError when the disk is full.
    """
    refuse_taken(output)
    count = 0
    with (
        writing(output.parent),
        contextlib.closing(open_readonly(path)) as connection,
        output.open("x", encoding="utf-8", newline="") as file,
    ):
        output.chmod(0o600)
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for row in connection.execute(f"{_SELECT} ORDER BY id"):
            d = _difference(*row)
            values = (shown_value(d.expected), shown_value(d.actual)) if d.has_values else ("", "")
            writer.writerow([d.kind, *map(_inert, (d.table, d.key, d.column or "")), *values, _inert(d.note)])
            count += 1
    return count


def shown_value(value: str | None, limit: int = _LONGEST_SHOWN) -> str:
    """A value on one line: ``NULL``, or the text in quotes with control characters visible."""
    return "NULL" if value is None else f"'{visible(value, limit)}'"


def _difference(
    number: int,
    kind: str,
    table: str,
    key: str,
    column: str | None,
    expected: str | None,
    actual: str | None,
    note: str,
) -> Difference:
    return Difference(DifferenceKind(kind), table, key, column, expected, actual, note, number)


def _inert(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = visible(text, _LONGEST_SHOWN)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _storable(part: object) -> object:
    return part.encode("utf-8", "backslashreplace").decode() if isinstance(part, str) else part
