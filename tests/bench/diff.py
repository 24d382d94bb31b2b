"""What ``sdetl diff`` costs on equal data, beside reading both sides once.

    python -m tests.bench.diff [--rows 1000000]

Loads the benchmark's table of 15 columns (0.5 % of its dates to be rewritten) into the bundled PostgreSQL, then measures
in one process: every row out of SQLite, every row out of PostgreSQL by binary COPY, and the diff.  The limit is twice
the sum of the first two; memory must not depend on the rows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from sdetl_engine import SilentReporter, Workspace, diff, load_settings, open_session
from sdetl_engine.postgres.embedded import EmbeddedServer
from tests.bench.compare import build


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_measure(*given.child)))
        return
    folder = Path(tempfile.mkdtemp(prefix="sdetl-bench-"))
    folder.chmod(0o711)
    try:
        with EmbeddedServer.join(folder / "postgres", 18) as server:
            source, space = folder / "source.db", folder / "w"
            build(source, given.rows, dirty=True)
            words = [
                "run",
                str(source),
                "--target",
                server.conninfo,
                "--yes",
                "--skip-canary",
                "--workspace",
                str(space),
            ]
            subprocess.run([sys.executable, "-m", "sdetl_tui", *words], check=True, capture_output=True)
            child = [sys.executable, "-m", "tests.bench.diff", "--child", str(source), server.conninfo, str(space)]
            found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratio = found["diff"] / (found["sqlite"] + found["postgres"])
    print(
        f"{given.rows:,} rows: {found}; diff / reading both sides {ratio:.2f} (at most 2: {'yes' if ratio <= 2 else 'NO'})"
    )


def _measure(source: str, conninfo: str, space: str) -> dict[str, float]:
    seconds = {
        "sqlite": _read_sqlite(source),
        "postgres": _read_postgres(conninfo),
        "peak_before_mb": _peak_megabytes(),
    }
    workspace, settings = Workspace(Path(space)), load_settings(environ=os.environ)
    began = time.monotonic()
    with open_session(workspace, conninfo, settings) as session:
        result = diff(workspace, session, settings, Path(source), SilentReporter())
    assert result.equal
    return {**seconds, "diff": time.monotonic() - began, "peak_mb": _peak_megabytes()}


def _read_sqlite(source: str) -> float:
    began = time.monotonic()
    with contextlib.closing(sqlite3.connect(source)) as connection:
        for _ in connection.execute("SELECT * FROM tickets"):
            pass
    return time.monotonic() - began


def _read_postgres(conninfo: str) -> float:
    began = time.monotonic()
    query = "COPY servicedesk.tickets TO STDOUT (FORMAT binary)"
    with psycopg.connect(conninfo) as connection, connection.cursor() as cursor, cursor.copy(query) as copy:
        for _ in copy:
            pass
    return time.monotonic() - began


def _peak_megabytes() -> float:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
