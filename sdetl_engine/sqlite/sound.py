"""Is a file whole: SQLite's integrity check and its foreign key check, both of which can be stopped."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping

from sdetl_engine.events import Reporter, SilentReporter
from sdetl_engine.sqlite.guard import stoppable, unreadable
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.values.schema import ForeignKey, Table

MESSAGES = 100
_ABOUT_DATA = (" value in ", "CHECK constraint failed in ", "NUMERIC value in ")


def check_sound(connection: sqlite3.Connection, reporter: Reporter) -> tuple[str, ...]:
    """What ``PRAGMA integrity_check`` complains about, at most 100 messages; empty when the file is sound.

    The messages name tables, columns and rows, never values.  Raises SourceError when the file is too damaged for
    the check itself, Cancelled when asked to stop.
    """
    reporter.progress("integrity check", 0, None, "checks")
    try:
        with stoppable(connection, reporter), _any_text(connection):
            rows = connection.execute(f"PRAGMA integrity_check({MESSAGES})").fetchall()
    except sqlite3.DatabaseError as error:
        raise unreadable(error) from None
    messages = tuple(
        line for (message,) in rows for line in message.splitlines() if line and not line.startswith("***")
    )
    return () if messages == ("ok",) else messages[:MESSAGES]


def is_about_data(message: str) -> bool:
    """True for a message of the integrity check about a broken rule (NOT NULL, CHECK, STRICT), not about damage."""
    return any(words in message for words in _ABOUT_DATA)


def foreign_key_violations(connection: sqlite3.Connection, reporter: Reporter | None = None) -> Mapping[str, int]:
    """How many references point nowhere, by child table, for the tables that have any.

    Counts each pair of row and declared foreign key.  Where SQLite refuses to check ("foreign key mismatch": the
    parent's columns have no unique index), the values are looked up all the same.  Raises SourceError, Cancelled.
    """
    found: dict[str, int] = {}
    try:
        with stoppable(connection, reporter or SilentReporter()):
            for table in read_schema(connection).tables:
                count = _violations(connection, table) if table.foreign_keys else 0
                if count:
                    found[table.name] = count
    except sqlite3.DatabaseError as error:
        raise unreadable(error) from None
    return found


def _violations(connection: sqlite3.Connection, table: Table) -> int:
    try:
        row = connection.execute("SELECT count(*) FROM pragma_foreign_key_check(?)", (table.name,)).fetchone()
        return int(row[0])
    except sqlite3.OperationalError as error:
        if "foreign key mismatch" not in str(error):
            raise
    return sum(_unmatched(connection, table.name, key) for key in table.foreign_keys)


def _unmatched(connection: sqlite3.Connection, child: str, key: ForeignKey) -> int:
    terms = ", ".join(quote(name) for name in key.columns)
    complete = " AND ".join(f"{quote(name)} IS NOT NULL" for name in key.columns)
    query = f"SELECT count(*) FROM {quote(child)} WHERE {complete}"
    if key.parent_columns:
        parents = ", ".join(quote(name) for name in key.parent_columns)
        known = " AND ".join(f"{quote(name)} IS NOT NULL" for name in key.parent_columns)
        query += f" AND ({terms}) NOT IN (SELECT {parents} FROM {quote(key.parent)} WHERE {known})"
    return int(connection.execute(query).fetchone()[0])


@contextlib.contextmanager
def _any_text(connection: sqlite3.Connection) -> Iterator[None]:
    """Messages about a damaged file may quote names that are no longer UTF-8."""
    before = connection.text_factory
    connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
    try:
        yield
    finally:
        connection.text_factory = before
