"""Writes the demo's ServiceDesk database: the real tables and columns, the real proportions, the real dirt.

Everything in it is invented.  The same rows, seed and day make the same database, so that a finding can be
discussed; dates run up to ``today``, so that panels over the last 90 days show something.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path

from sdetl_engine.demo.rows import Desk, Planted, Row, every_table
from sdetl_engine.demo.tables import TABLES, column_names, create_statement
from sdetl_engine.errors import UsageError
from sdetl_engine.events import Reporter, SilentReporter

DEFAULT_ROWS = 260_000
DEFAULT_SEED = 20251019
_BATCH = 5000


@dataclasses.dataclass(frozen=True, slots=True)
class DemoFacts:
    """What was written: rows per table, and how much of each kind of dirt."""

    path: Path
    rows: dict[str, int]
    planted: Planted


def build_source(
    path: Path,
    *,
    rows: int = DEFAULT_ROWS,
    seed: int = DEFAULT_SEED,
    today: date | None = None,
    reporter: Reporter | None = None,
) -> DemoFacts:
    """Write the database to the new file ``path``; about ``rows`` rows.

    Raises UsageError when the file exists; Cancelled, and then nothing is left behind.
    """
    if os.path.lexists(path):
        raise UsageError(f"{path} exists already; it is not overwritten", next_step="name another file, or remove it")
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    desk = Desk(seed, today or datetime.now(UTC).date(), rows)
    try:
        counts = _write(partial, desk, rows, reporter or SilentReporter())
        partial.chmod(0o600)
        os.rename(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return DemoFacts(path, counts, desk.planted)


def _write(partial: Path, desk: Desk, rows: int, reporter: Reporter) -> dict[str, int]:
    connection = sqlite3.connect(partial, isolation_level=None)
    try:
        # The file is thrown away when anything goes wrong, so it needs no journal.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table in TABLES:
            connection.execute(create_statement(table))
        counts = dict.fromkeys(TABLES, 0)
        for table, made in every_table(desk):
            statement = f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(column_names(table)))})'
            while batch := list[Row](itertools.islice(made, _BATCH)):
                connection.executemany(statement, batch)
                counts[table] += len(batch)
                reporter.progress("build the demo source", sum(counts.values()), rows)
                reporter.check()
        connection.execute("COMMIT")
        return counts
    finally:
        connection.close()
