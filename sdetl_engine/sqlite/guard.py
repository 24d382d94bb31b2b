"""Statements over files that nobody vouches for: how they are stopped, and what their failure is called."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from sdetl_engine.errors import SdetlError, SourceError
from sdetl_engine.events import Reporter

_STEPS_BETWEEN_CHECKS = 100_000


@contextlib.contextmanager
def stoppable(connection: sqlite3.Connection, reporter: Reporter) -> Iterator[None]:
    """Inside the block a statement on ``connection`` ends soon after somebody asked to stop.

    Raises Cancelled in place of SQLite's "interrupted".
    """
    stopped: list[SdetlError] = []

    def ask() -> int:
        # What a progress handler raises is lost in sqlite3; it is kept here and raised below.
        try:
            reporter.check()
        except SdetlError as asked:
            stopped.append(asked)
        return len(stopped)

    connection.set_progress_handler(ask, _STEPS_BETWEEN_CHECKS)
    try:
        # The progress handler rests while SQLite walks over one B-tree; interrupt() works there as well.
        with reporter.interrupting(connection.interrupt):
            yield
    except sqlite3.OperationalError as error:
        if stopped:
            raise stopped[0] from None
        if result_code(error) == sqlite3.SQLITE_INTERRUPT:
            reporter.check()
        raise
    finally:
        connection.set_progress_handler(None, 0)


def result_code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; None for an error that Python's module raised by itself (a text not UTF-8)."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def unreadable(error: sqlite3.DatabaseError) -> SourceError:
    """The SourceError for what SQLite raised while it read a file: damage, or something only its own program has."""
    if result_code(error) == sqlite3.SQLITE_ERROR:
        return SourceError(
            f"the source cannot be read without the program that made it: {error}",
            kind="source-unsupported",
            next_step="let that program export it, or drop what needs the extension from a copy, and use that",
        )
    return SourceError(
        f"the source is damaged, says SQLite {sqlite3.sqlite_version}: {error}",
        kind="source-malformed",
        next_step="get the file again from where it comes, or recover it with `sqlite3 FILE .recover`",
    )
