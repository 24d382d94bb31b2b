"""The ledger: one line for every cell that cleaning changed, in a SQLite file of its own.

``ledger(id, "table", row_key, "column", rule, before, after)``: ``id`` counts from 1 without gaps; ``row_key`` is the
primary key as a JSON array, or the rowid of a table without one; ``before`` and ``after`` keep their storage class.
``counts`` sums the lines up by table, column and rule.  The same source and rules give the same bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.rewriting import Rule

APPLICATION_ID = 0x7364746C
FORMAT = 1

_CREATE = (
    """CREATE TABLE ledger(
        id INTEGER PRIMARY KEY,
        "table" TEXT NOT NULL,
        row_key TEXT NOT NULL,
        "column" TEXT NOT NULL,
        rule TEXT NOT NULL,
        before,
        after)""",
    """CREATE TABLE counts(
        "table" TEXT NOT NULL,
        "column" TEXT NOT NULL,
        rule TEXT NOT NULL,
        cells INTEGER NOT NULL,
        PRIMARY KEY("table", "column", rule)) WITHOUT ROWID""",
)

Value = str | int | float | bytes | None


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerLine:
    """One changed cell.  ``before`` and ``after`` are what the cell held: content of the source, never to be logged."""

    id: int
    table: str
    row_key: str
    column: str
    rule: Rule
    before: Value
    after: Value


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """How many cells of a column one rule changed."""

    table: str
    column: str
    rule: Rule
    cells: int


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerPage:
    """Some lines in order of their ids, and how many there are in all under the same conditions."""

    lines: tuple[LedgerLine, ...]
    total: int


def create(connection: sqlite3.Connection) -> None:
    """Make an empty ledger in the main database of the connection."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    for statement in _CREATE:
        connection.execute(statement)


def write_counts(connection: sqlite3.Connection, counts: Sequence[Count]) -> None:
    """Sum up what has been written."""
    connection.executemany(
        "INSERT INTO main.counts VALUES (?, ?, ?, ?)", [(c.table, c.column, c.rule.value, c.cells) for c in counts]
    )


def read_counts(path: Path) -> tuple[Count, ...]:
    """How many lines there are by table, column and rule, in that order; pairs without lines are absent."""
    with contextlib.closing(_open(path)) as connection:
        rows = connection.execute('SELECT "table", "column", rule, cells FROM counts ORDER BY 1, 2, 3').fetchall()
    return tuple(Count(table, column, Rule(rule), cells) for table, column, rule, cells in rows)


def read_page(
    path: Path,
    *,
    offset: int = 0,
    limit: int = 100,
    after_id: int = 0,
    table: str | None = None,
    column: str | None = None,
    rule: Rule | None = None,
) -> LedgerPage:
    """``limit`` lines from the ``offset``-th on, of those that have an id over ``after_id`` and meet the conditions.

    ``total`` does not depend on ``offset``, ``limit`` and ``after_id``.  Going on with ``after_id``, the id of the last
    line seen, costs the same on every page; ``offset`` walks over what it leaves out, except without conditions.
    """
    wanted = {"table": table, "column": column, "rule": rule.value if rule else None}
    given = {name: value for name, value in wanted.items() if value is not None}
    with contextlib.closing(_open(path)) as connection:
        matches = "".join(f' AND "{name}" = :{name}' for name in given)
        (total,) = connection.execute(
            f"SELECT coalesce(sum(cells), 0) FROM counts WHERE TRUE{matches}", given
        ).fetchone()
        if not given:
            after_id, offset = after_id + offset, 0
        rows = connection.execute(
            f'SELECT id, "table", row_key, "column", rule, before, after FROM ledger'
            f" WHERE id > :after_id{matches} ORDER BY id LIMIT :limit OFFSET :offset",
            {**given, "after_id": after_id, "limit": limit, "offset": offset},
        ).fetchall()
    return LedgerPage(
        tuple(LedgerLine(i, t, k, c, Rule(r), before, after) for i, t, k, c, r, before, after in rows), total
    )


def _open(path: Path) -> sqlite3.Connection:
    connection = open_readonly(path)
    # A key may hold bytes that are no text.
    connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
    return connection
