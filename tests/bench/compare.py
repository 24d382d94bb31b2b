"""How fast sdetl is, beside other ways to do the same, on this machine and server, in one run.

    python -m tests.bench.compare [--rows 1000000] [--target CONNINFO] [--workspace DIR] [--keep]

Builds one table of 15 columns (ids, numbers, texts of few and many values, three date columns), then measures, one
after the other, on the same PostgreSQL (the bundled one, unless ``--target`` names another; then it must be able to read
files of this machine for the server's own COPY):

- ``server``     COPY FROM a binary file that the server wrote itself: the least that anything can need
- ``load``       sdetl's load with its proof (binary COPY, hashed, read back and hashed), in a process of its own
- ``vacuum``     ``VACUUM INTO``; ``clean``: sdetl's cleaning with its ledger, 0.5 % of the dates to be rewritten
- ``profile``    sdetl's sample and full scan
- ``run``        all ten stages, ``sdetl run``, in a process of its own
- ``pgloader``   copying the clean data, when pgloader is installed
- ``pandas``     ``DataFrame.to_sql`` of the clean data, when pandas and SQLAlchemy are installed (a tenth of the rows, scaled)

Prints seconds, ratios against the limits that were asked for, peak memory of the client, and the versions compared.
Only ratios of one run mean anything: machines are shared and noisy.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict

from sdetl_engine.events import SilentReporter
from sdetl_engine.postgres.embedded import EmbeddedServer

COLUMNS = (
    *(
        "id INTEGER PRIMARY KEY",
        "account INTEGER",
        "parent INTEGER",
        "hours REAL",
        "rate REAL",
        "title TEXT",
        "body TEXT",
    ),
    *("status TEXT", "team TEXT", "person TEXT", "code TEXT", "flag INTEGER"),
    *("created TIMESTAMP", "modified TIMESTAMP", "closed TIMESTAMP"),
)
TABLE = f"CREATE TABLE tickets ({', '.join(COLUMNS)})"
ROWS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO tickets SELECT i, i % 997, CASE WHEN i % 3 = 0 THEN NULL ELSE i / 2 END, (i % 400) / 4.0, (i * 7919 % 100003) / 7.0,
    'Ticket ' || i || ' about the printer on floor ' || (i % 40),
    'The user called and cannot work; please ring back before noon. Reference ' || (i * 31 % 1000003) || ', seen ' || (i % 17) || ' times.',
    substr('OpenDoneWaitHold', 1 + 4 * (i % 4), 4), 'Team ' || (i % 23), 'Person ' || (i * 17 % 611), printf('%08d', i * 13 % 10000019),
    i % 2,
    {created}, {modified}, CASE WHEN i % 5 = 0 THEN NULL ELSE {closed} END FROM n
"""
ISO = "datetime(1700000000 + i * 37 + {shift}, 'unixepoch')"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--target", help="conninfo of a PostgreSQL; default: the bundled server")
    parser.add_argument("--workspace", type=Path, help="a folder with room; default: a temporary one")
    parser.add_argument("--keep", action="store_true", help="leave the temporary workspace behind")
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "FILE", "CONNINFO"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_child(*given.child)))
        return
    folder = given.workspace or Path(tempfile.mkdtemp(prefix="sdetl-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    try:
        with _server(given.target, folder) as conninfo:
            _measure(folder, conninfo, given.rows)
    finally:
        if given.workspace is None and not given.keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _server(target: str | None, folder: Path) -> Iterator[str]:
    if target is not None:
        yield target
        return
    with EmbeddedServer.join(folder / "postgres", 18) as server:
        yield server.conninfo


def build(path: Path, rows: int, *, dirty: bool) -> None:
    """The source: ISO dates, or with every 200th date as a spreadsheet writes it."""
    terms = {}
    for name, shift in (("created", 0), ("modified", 4000), ("closed", 90_000)):
        iso = ISO.format(shift=shift)
        slashed = f"strftime('%d/%m/%Y %H:%M', 1700000000 + i * 37 + {shift}, 'unixepoch')"
        terms[name] = f"CASE WHEN i % 200 = 7 THEN {slashed} ELSE {iso} END" if dirty else iso
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("BEGIN")
        connection.execute(TABLE)
        connection.execute(ROWS.format(**terms), {"rows": rows})
        connection.execute("COMMIT")


def _measure(folder: Path, conninfo: str, rows: int) -> None:
    clean, dirty = folder / "clean_source.db", folder / "dirty_source.db"
    for path, is_dirty in ((clean, False), (dirty, True)):
        path.unlink(missing_ok=True)
        build(path, rows, dirty=is_dirty)
    with psycopg.connect(conninfo) as connection:
        server = connection.info.parameter_status("server_version")
    print(
        f"{rows:,} rows of {len(COLUMNS)} columns, {clean.stat().st_size / 1e6:.0f} MB; PostgreSQL {server}, "
        f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}, {os.cpu_count()} cores"
    )
    seconds: dict[str, float] = {}
    loads = [_in_child("load", clean, conninfo) for _ in range(2)]
    load = min(loads, key=lambda one: one["seconds"])
    seconds["load"] = load["seconds"]
    seconds["server"] = _server_copy(conninfo, folder)
    seconds["vacuum"] = _vacuum(dirty, folder)
    for what in ("clean", "profile"):
        seconds[what] = min(_in_child(what, dirty, conninfo)["seconds"] for _ in range(2))
    seconds["run"], run_megabytes = _whole_run(dirty, conninfo, folder)
    seconds |= _others(clean, conninfo, folder, rows)
    for name, value in seconds.items():
        print(f"  {name:<9}{value:8.2f} s")
    print(
        f"  client memory while loading: {load['peak_mb']:.0f} MB, in the whole run: {run_megabytes:.0f} MB (limit 200)"
    )
    _ratios(seconds)


def _settle() -> None:
    """Let the disk finish what was written before, so that nobody pays for another's writing."""
    os.sync()


def _ratios(seconds: dict[str, float]) -> None:
    wanted = [
        ("load / server", "load", "server", "at most", 2.5),
        ("pgloader / load", "pgloader", "load", "at least", 2.5),
        ("pandas / load", "pandas", "load", "at least", 5.0),
        ("clean / vacuum", "clean", "vacuum", "at most", 7.0),
        ("run / pgloader", "run", "pgloader", "at most", 1.5),
    ]
    for name, one, other, word, limit in wanted:
        if one in seconds and other in seconds:
            ratio = seconds[one] / seconds[other]
            good = ratio <= limit if word == "at most" else ratio >= limit
            print(f"  {name:<16}{ratio:6.2f}  ({word} {limit}: {'yes' if good else 'NO'})")
        else:
            print(f"  {name:<16}  not measured: {one if one not in seconds else other} is not installed")


def _in_child(what: str, source: Path, conninfo: str) -> dict[str, Any]:
    """In a process of its own, so that memory is its own too."""
    _settle()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.compare", "--child", what, str(source), conninfo],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        most = _most_megabytes(child)
        said = child.communicate()[0]
    if child.returncode:
        raise SystemExit(f"measuring {what} failed with exit code {child.returncode}")
    found: dict[str, Any] = json.loads(said)
    return {**found, "peak_mb": most}


def _child(what: str, file: str, conninfo: str) -> dict[str, float]:
    return {"seconds": {"load": _load, "clean": _clean, "profile": _profile}[what](Path(file), conninfo)}


def _profiled(path: Path) -> tuple[Any, Any, float]:
    """Schema, facts of the one table, and the seconds that sample and scan took."""
    from datetime import UTC, datetime

    from sdetl_engine.profiling.sampling import judge_sample, proposals
    from sdetl_engine.sqlite.open import open_readonly
    from sdetl_engine.sqlite.sample import sample_table
    from sdetl_engine.sqlite.scan import scan_table
    from sdetl_engine.sqlite.schema import read_schema

    with contextlib.closing(open_readonly(path)) as connection:
        schema = read_schema(connection)
        began = time.monotonic()
        table = schema.tables[0]
        samples = judge_sample(sample_table(connection, table, 5000, 1), table.columns, markers={}, confidence=0.95)
    facts = scan_table(
        path,
        table,
        proposals(table, samples),
        markers={},
        evidence_rows=20,
        now=datetime.now(UTC),
        reporter=SilentReporter(),
    )
    return schema, facts, time.monotonic() - began


def _profile(path: Path, _conninfo: str) -> float:
    return _profiled(path)[2]


def _load(path: Path, conninfo: str) -> float:
    """The load of the whole guarded run, with its proof, committed."""
    from sdetl_engine.postgres import build as ddl
    from sdetl_engine.postgres.plan import ColumnPlan, TablePlan, VersionPlan
    from sdetl_engine.postgres.rows.load import load_table, open_source
    from sdetl_engine.postgres.rows.proof import prove_table
    from sdetl_engine.values.declared import declared_target

    schema, facts, _ = _profiled(path)
    table = schema.tables[0]
    columns = []
    for column in table.columns:
        target = declared_target(column.declared)
        assert target is not None
        columns.append(ColumnPlan(column.name, column.name, target, facts.column(column.name)))
    plan = TablePlan(table.name, table, tuple(columns), rows=facts.rows)
    with psycopg.connect(conninfo) as connection, contextlib.closing(open_source(path)) as source:
        connection.execute("DROP SCHEMA IF EXISTS bench CASCADE")
        connection.commit()
        began = time.monotonic()
        ddl.create_version_schema(connection, "bench", run_id="bench")
        ddl.create_tables(connection, "bench", VersionPlan((plan,)))
        sent = load_table(
            source, connection, "bench", plan, batch_rows=10_000, reporter=SilentReporter(), health=lambda: None
        )
        proof = prove_table(connection, "bench", plan, sent, reporter=SilentReporter())
        connection.commit()
        assert proof.equal
        return time.monotonic() - began


def _clean(path: Path, _conninfo: str) -> float:
    from sdetl_engine.sqlite.cleaned import ColumnRules, clean
    from sdetl_engine.sqlite.open import open_readonly
    from sdetl_engine.sqlite.schema import read_schema

    with contextlib.closing(open_readonly(path)) as connection:
        schema = read_schema(connection)
    rules = {("tickets", c): ColumnRules(to_iso=True, day_first=True) for c in ("created", "modified", "closed")}
    output, ledger = path.with_name("bench_clean.db"), path.with_name("bench_ledger.db")
    for leftover in (output, ledger):
        leftover.unlink(missing_ok=True)
    began = time.monotonic()
    clean(path, output, ledger, schema, rules, reporter=SilentReporter(), health=lambda: None)
    return time.monotonic() - began


def _server_copy(conninfo: str, folder: Path) -> float:
    """What the server alone needs to take the same rows from a binary file of its own."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        file = f"{row[0]}/sdetl_bench.copy"
        connection.execute(f"COPY bench.tickets TO '{file}' (FORMAT binary)")
        connection.commit()
        best = float("inf")
        for _ in range(2):
            _settle()
            began = time.monotonic()
            connection.execute("CREATE TABLE bench.again (LIKE bench.tickets)")
            connection.execute(f"COPY bench.again FROM '{file}' (FORMAT binary)")
            connection.commit()
            best = min(best, time.monotonic() - began)
            connection.execute("DROP TABLE bench.again")
            connection.commit()
    Path(file).unlink(missing_ok=True)
    return best


def _vacuum(path: Path, folder: Path) -> float:
    output = folder / "vacuumed.db"
    output.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _settle()
        began = time.monotonic()
        connection.execute("VACUUM INTO ?", [str(output)])
        took = time.monotonic() - began
    output.unlink()
    return took


def _whole_run(path: Path, conninfo: str, folder: Path) -> tuple[float, float]:
    """Seconds, and the largest memory in MB that the command and its processes were seen to hold together."""
    command = ["run", str(path), "--target", conninfo, "--workspace", str(folder / "w"), "--yes"]
    environ = {**os.environ, "SDETL_SERVING_SCHEMA": "bench_serving", "SDETL_CANARY__SCHEMA": "bench_canary"}
    _settle()
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "sdetl_tui", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environ,
    ) as running:
        most = _most_megabytes(running)
    if running.returncode:
        raise SystemExit(f"sdetl run failed with exit code {running.returncode}")
    return time.monotonic() - began, most


def _most_megabytes(running: subprocess.Popen[Any]) -> float:
    """The largest memory that a process and its descendants were seen to hold together, until it ends."""
    most = 0.0
    while running.poll() is None:
        most = max(most, _megabytes_of(running.pid))
        time.sleep(0.1)
    return most


def _megabytes_of(pid: int) -> float:
    """Of a process and its descendants; of pages that several share each counts its part (Linux), else all."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                held = one.memory_full_info()
                total += getattr(held, "pss", 0) or held.rss
    return total / 1024**2


def _others(path: Path, conninfo: str, folder: Path, rows: int) -> dict[str, float]:
    found = {}
    if shutil.which("pgloader"):
        found["pgloader"] = _pgloader(path, conninfo, folder)
    with contextlib.suppress(ImportError):
        found["pandas"] = _pandas(path, conninfo, rows)
    return found


def _pgloader(path: Path, conninfo: str, folder: Path) -> float:
    parts = conninfo_to_dict(conninfo)
    host = str(parts.get("host") or "localhost")
    place = f"unix:{host}" if host.startswith("/") else host
    password = f":{parts['password']}" if parts.get("password") else ""
    url = f"postgresql://{parts.get('user', '')}{password}@{place}:{parts.get('port', 5432)}/{parts['dbname']}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS public.tickets")
    version = subprocess.run(["pgloader", "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[
        0
    ]
    print(f"  {version}")
    _settle()
    began = time.monotonic()
    done = subprocess.run(["pgloader", str(path), url], capture_output=True, text=True, check=False, cwd=folder)
    took = time.monotonic() - began
    with psycopg.connect(conninfo, autocommit=True) as connection:
        held = connection.execute("SELECT to_regclass('public.tickets')").fetchone()
        assert held is not None
        if held[0] is None:
            raise SystemExit(f"pgloader loaded nothing: {done.stdout[-500:]} {done.stderr[-500:]}")
        connection.execute("DROP TABLE public.tickets")
    return took


def _pandas(path: Path, conninfo: str, rows: int) -> float:
    import importlib

    pandas: Any = importlib.import_module("pandas")
    sqlalchemy: Any = importlib.import_module("sqlalchemy")
    print(f"  pandas {pandas.__version__}")
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        _settle()
        began = time.monotonic()
        frame = pandas.read_sql_query(f"SELECT * FROM tickets LIMIT {rows // 10}", connection)
        frame.to_sql("bench_pandas", engine, index=False, if_exists="replace", chunksize=10_000)
        took = time.monotonic() - began
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("DROP TABLE bench_pandas")
    return took * 10


if __name__ == "__main__":
    main()
