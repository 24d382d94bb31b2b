"""Opening SQLite files that nobody vouches for.

Only files inside a run's folder are opened with SQLite.  The source itself never is: even a read-only open of
a WAL database leaves ``-wal`` and ``-shm`` beside it (see ``sqlite.freeze``).
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from sdetl_engine.errors import UsageError

_KEPT_STATEMENTS = 8
"""Statements that Python keeps prepared, 128 unless told otherwise.  Those that go through a table window by window are
long, and all different: a hundred of them take 40 MB."""


def quote(name: str) -> str:
    """An SQLite identifier, quoted.  Any name except one with a NUL, which SQL text cannot carry."""
    if "\0" in name:
        raise UsageError("a name holds a NUL character", next_step="rename it in the source and start again")
    return '"' + name.replace('"', '""') + '"'


def open_readonly(path: Path) -> sqlite3.Connection:
    """A hardened read-only connection in autocommit mode; TEXT comes back as ``str``.

    May be handed from one thread to another, but not used by two at once.
    """
    return _harden(_connect(path, "ro"))


def open_writable(path: Path) -> sqlite3.Connection:
    """The same for a file of our own that is written.  Creates the file when it is not there."""
    return _harden(_connect(path, "rwc"))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=5.0,
        cached_statements=_KEPT_STATEMENTS,
    )


def open_scratch() -> sqlite3.Connection:
    """A database of nobody else's, in memory while it is small and in a nameless file when it grows."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _harden(connection: sqlite3.Connection) -> sqlite3.Connection:
    # https://www.sqlite.org/security.html: nothing in the schema of a file may run code of its own.
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA mmap_size=0")
    connection.execute("PRAGMA temp_store=FILE")
    _allow_json_checks(connection)
    return connection


def _allow_json_checks(connection: sqlite3.Connection) -> None:
    """Read the schema once, and see whether its CHECKs need what this SQLite distrusts."""
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlite3.DatabaseError as error:
        if re.search(r"unsafe use of JSON\w*\(\)", str(error), re.IGNORECASE):
            trust_json_checks(connection)


def trust_json_checks(connection: sqlite3.Connection) -> None:
    """Let CHECKs call SQLite's own JSON functions, which older versions count among the unsafe ones.

    Django writes such CHECKs.  The functions have no side effects, and extensions cannot be loaded here.  For files
    that are empty yet and get the tables of a source that was read.
    """
    connection.execute("PRAGMA trusted_schema=ON")
