"""Source databases in the states that real ones are found in, and a record of everything in a folder."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROWS = 500


def listing(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Name, mode, time and bytes of everything in a folder."""
    found = {}
    for path in sorted(folder.iterdir()):
        facts = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[path.name] = (facts.st_mode, facts.st_mtime_ns, content)
    return found


def make(path: Path, *, journal_mode: str = "delete", rows: int = ROWS, encoding: str = "UTF-8") -> Path:
    """Tickets and notes that always hold the same number of rows; quiet, nothing pending."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA encoding='{encoding}'")
        connection.execute(f"PRAGMA journal_mode={journal_mode}")
        connection.execute("CREATE TABLE tickets (id INTEGER PRIMARY KEY, title TEXT, hours REAL)")
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, ticket INTEGER, body TEXT)")
        connection.executemany("INSERT INTO tickets VALUES (?, ?, ?)", [(i, f"Ticket {i}", i / 4) for i in range(rows)])
        connection.executemany("INSERT INTO notes VALUES (?, ?, ?)", [(i, i, "x" * 200) for i in range(rows)])
        connection.commit()
    return path


def program(path: Path, body: str) -> subprocess.Popen[str]:
    """Start another process that opens the database as ``connection``; returns once it has printed ``ready``."""
    script = f"import os, sqlite3, sys, time\nconnection = sqlite3.connect(sys.argv[1], isolation_level=None)\n{body}"
    arguments = [sys.executable, "-c", script, os.fsdecode(path)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@contextlib.contextmanager
def running(path: Path, body: str) -> Iterator[subprocess.Popen[str]]:
    """The same for the time of a block."""
    process = program(path, body)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(path: Path, body: str, *, kill: bool = False) -> None:
    """Let such a process do its work to the end, or kill -9 it once it is ready."""
    process = program(path, body)
    if kill:
        process.send_signal(signal.SIGKILL)
    process.communicate()


WAIT = "print('ready', flush=True); time.sleep(60)"

PENDING_WAL = """
connection.execute("PRAGMA wal_autocheckpoint=0")
connection.execute("INSERT INTO tickets VALUES (9001, 'only in the wal', 1.5)")
connection.execute("UPDATE tickets SET title = 'new title' WHERE id = 3")
"""

SPILLED = """
connection.execute("PRAGMA cache_size=2")
connection.execute("PRAGMA cache_spill=2")
connection.execute("BEGIN")
connection.execute("UPDATE notes SET body = 'half done' || body")
"""


def with_pending_wal(path: Path) -> Path:
    """A WAL database whose last program died without a checkpoint: -wal and -shm lie beside it."""
    make(path, journal_mode="wal")
    run(path, PENDING_WAL + "print('ready', flush=True); os._exit(1)")
    assert path.with_name(path.name + "-wal").stat().st_size > 0
    return path


def with_hot_journal(path: Path) -> Path:
    """A database whose last program was killed in the middle of a big transaction."""
    make(path)
    quiet = path.read_bytes()
    run(path, SPILLED + WAIT, kill=True)
    assert path.with_name(path.name + "-journal").stat().st_size > 0
    assert path.read_bytes() != quiet
    return path


def rows_of(path: Path, query: str) -> list[tuple[object, ...]]:
    """What a query gives in a file that stands alone."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        return connection.execute(query).fetchall()
