"""How fast a table goes from SQLite into PostgreSQL, side by side with other ways, in one run on one server.

    python -m tests.bench.load                           # 1,000,000 rows into an embedded server of its own
    python -m tests.bench.load --rows 200000 --repeat 1  # quicker
    python -m tests.bench.load --dsn 'host=/run/postgresql user=postgres dbname=scratch'

One table of 15 columns is built: ids, integers, reals, texts of few and of many values, three columns of ISO dates;
about 250 bytes a row.  The same rows then take these ways, in turn, ``--repeat`` times; the medians are printed:

``server``    PostgreSQL alone, COPY FROM a prepared binary file into a new table: what cannot be beaten.  The file
              is read by the server itself when it may (a superuser, same machine), else streamed by the client.
``sdetl``     this project's load with its proof: COPY out of SQLite, hashed, read back, compared.
``compare``   the aggregates of every column on both sides, as validation does them.
``pgloader``  when it is installed: the same file, same types, one table, no indexes.
``pandas``    ``to_sql`` in chunks, when pandas and SQLAlchemy are installed.

Client memory is the peak resident size of the process that loads, a fresh one for each measurement.
The database named by ``--dsn`` gets a schema ``sdetl_bench``, dropped afterwards.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import importlib.util
import json
import multiprocessing
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sdetl_engine.events import SilentReporter
from sdetl_engine.postgres import aggregates as target_side
from sdetl_engine.postgres.build import create_tables
from sdetl_engine.postgres.embedded import EmbeddedServer
from sdetl_engine.postgres.load import load_table, open_source
from sdetl_engine.postgres.plan import ColumnPlan, TablePlan, VersionPlan
from sdetl_engine.postgres.proof import prove_table
from sdetl_engine.sqlite import aggregates as source_side
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.scan import scan_table
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.values.types import Kind, TargetType

SCHEMA = "sdetl_bench"
TABLE = "tickets"
COLUMNS = (
    ("id", "INTEGER PRIMARY KEY", Kind.INTEGER),
    ("number", "TEXT", Kind.TEXT),
    ("title", "TEXT", Kind.TEXT),
    ("description", "TEXT", Kind.TEXT),
    ("status", "TEXT", Kind.TEXT),
    ("priority", "INTEGER", Kind.INTEGER),
    ("queue", "TEXT", Kind.TEXT),
    ("assignee", "TEXT", Kind.TEXT),
    ("customer", "INTEGER", Kind.INTEGER),
    ("hours", "REAL", Kind.DOUBLE),
    ("cost", "REAL", Kind.DOUBLE),
    ("reopened", "INTEGER", Kind.INTEGER),
    ("created", "TEXT", Kind.TIMESTAMP),
    ("updated", "TEXT", Kind.TIMESTAMP),
    ("closed", "TEXT", Kind.TIMESTAMP),
)
WORDS = [
    "printer",
    "mail",
    "network",
    "account",
    "disk",
    "screen",
    "slow",
    "lost",
    "broken",
    "cannot",
    "login",
    "café",
    "reset",
    "update",
    "after",
    "meeting",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One way, once: seconds of wall clock, and the client's peak resident bytes where the client is ours."""

    seconds: float
    peak: int | None = None
    parts: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Ground:
    """What every way starts from."""

    source: Path
    folder: Path
    dsn: str
    rows: int
    plan: TablePlan


def build_source(path: Path, rows: int) -> None:
    """The table, the same bytes for the same number of rows."""
    rng = random.Random(7)
    columns = ", ".join(f"{name} {declared}" for name, declared, _ in COLUMNS)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"CREATE TABLE {TABLE} ({columns})")
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO {TABLE} VALUES ({marks})", _rows(rng, rows))
        connection.commit()


def _rows(rng: random.Random, rows: int) -> Iterator[tuple[object, ...]]:
    sentences = [" ".join(rng.choices(WORDS, k=14)) for _ in range(5000)]
    for i in range(1, rows + 1):
        moment = 1_600_000_000 + i * 97
        yield (
            i,
            f"T{i:09d}",
            f"{sentences[i % 4999][:40]} #{i}",
            sentences[(i * 31) % 5000],
            ("New", "In Progress", "Waiting Customer", "Complete")[i % 4],
            i % 5,
            f"Queue {i % 23}",
            f"agent{i % 117}@example.org",
            1000 + i % 40_000,
            (i % 977) / 7,
            rng.random() * 1000,
            None if i % 3 else i % 11,
            _iso(moment),
            _iso(moment + 4_000),
            None if i % 6 == 0 else _iso(moment + 90_000),
        )


def _iso(moment: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment))


def plan_of(path: Path, rows: int) -> TablePlan:
    """The plan that the engine would make of the table: facts from its own full scan."""
    with contextlib.closing(open_readonly(path)) as connection:
        source = read_schema(connection).table(TABLE)
    facts = scan_table(
        path,
        source,
        {name: kind for name, _, kind in COLUMNS},
        markers={},
        day_first={},
        evidence_rows=5000,
        now=datetime.now(UTC),
        reporter=SilentReporter(),
    )
    columns = tuple(ColumnPlan(name, name, TargetType(kind), facts.column(name)) for name, _, kind in COLUMNS)
    return TablePlan(TABLE, source, columns, rows=rows)


def prepare(connection: psycopg.Connection[Any], plan: TablePlan) -> None:
    """A fresh schema with the empty table, in the connection's transaction."""
    name = sql.Identifier(SCHEMA)
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
    create_tables(connection, SCHEMA, VersionPlan((plan,)))


def by_sdetl(ground: Ground) -> Measured:
    """Load with proof; refuses to give a time for rows that are not proved."""
    reporter = SilentReporter()
    with psycopg.connect(ground.dsn) as connection, contextlib.closing(open_source(ground.source)) as source:
        began = time.perf_counter()
        prepare(connection, ground.plan)
        sent = load_table(
            source, connection, SCHEMA, ground.plan, batch_rows=10_000, reporter=reporter, health=lambda: None
        )
        loaded = time.perf_counter()
        proof = prove_table(connection, SCHEMA, ground.plan, sent, reporter=reporter)
        if not proof.equal or proof.rows_held != ground.rows:
            raise SystemExit("the load is not proved")
        proved = time.perf_counter()
        connection.commit()
        ended = time.perf_counter()
    return Measured(ended - began, parts={"load": loaded - began, "proof": proved - loaded, "commit": ended - proved})


def by_server(ground: Ground) -> Measured:
    """The server reads a binary file of the same rows."""
    prepared = ground.folder / "rows.bin"
    with psycopg.connect(ground.dsn) as connection:
        table = sql.Identifier(SCHEMA, TABLE)
        began = time.perf_counter()
        prepare(connection, ground.plan)
        if _server_reads_files(connection):
            path = sql.Literal(str(prepared))
            connection.execute(sql.SQL("COPY {} FROM {} (FORMAT binary)").format(table, path))
        else:
            statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(table)
            with connection.cursor() as cursor, prepared.open("rb") as file, cursor.copy(statement) as copy:
                while block := file.read(1 << 18):
                    copy.write(block)
        connection.commit()
        return Measured(time.perf_counter() - began)


def _server_reads_files(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(
        "SELECT pg_has_role(current_user, 'pg_read_server_files', 'member') AND inet_server_addr() IS NULL"
    ).fetchone()
    return bool(row and row[0])


def write_prepared(ground: Ground) -> None:
    """The loaded table as a binary file, for :func:`by_server`."""
    by_sdetl(ground)
    path = ground.folder / "rows.bin"
    with psycopg.connect(ground.dsn) as connection, connection.cursor() as cursor, path.open("wb") as file:
        table = sql.Identifier(SCHEMA, TABLE)
        with cursor.copy(sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(table)) as copy:
            for block in copy:
                file.write(block)
    path.chmod(0o644)


def by_compare(ground: Ground) -> Measured:
    """Both sides at once, of what :func:`by_sdetl` has left in the database."""
    wanted = tuple((c.source_name, c.facts, c.target, False) for c in ground.plan.loaded_columns)
    table, reporter = ground.plan.source, SilentReporter()
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(1) as pool, psycopg.connect(ground.dsn) as connection:
        future = pool.submit(
            _timed,
            lambda: source_side.aggregate_table(ground.source, table, wanted, distinct_rows=200_000, reporter=reporter),
        )
        held, seconds = _timed(
            lambda: target_side.aggregate_table(connection, SCHEMA, ground.plan, distinct_rows=200_000)
        )
        measured, source_seconds = future.result()
    different = [(a.column, a.differs(h)) for a, h in zip(measured, held, strict=True) if a.differs(h)]
    if different:
        raise SystemExit(f"the sides differ: {different}")
    parts = {"SQLite": source_seconds, "PostgreSQL": seconds}
    return Measured(time.perf_counter() - began, parts=parts)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def by_pgloader(ground: Ground) -> Measured:
    """One table, dates as timestamps, no indexes."""
    with psycopg.connect(ground.dsn, autocommit=True) as connection:
        prepare(connection, ground.plan)
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(SCHEMA, TABLE)))
    casts = ", ".join(f"column {TABLE}.{n} to timestamp" for n, _, kind in COLUMNS if kind is Kind.TIMESTAMP)
    script = ground.folder / "pgloader.load"
    script.write_text(
        f"LOAD DATABASE FROM sqlite://{ground.source} INTO {_address(ground.dsn)}\n"
        f"WITH include drop, create tables, create no indexes, reset no sequences\n"
        f"SET search_path TO '{SCHEMA}'\nCAST {casts};\n"
    )
    began = time.perf_counter()
    ended = subprocess.run(
        ["pgloader", "--root-dir", str(ground.folder), str(script)], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    with psycopg.connect(ground.dsn, autocommit=True) as connection:
        rows = _count(connection)
    if ended.returncode or rows != ground.rows:
        raise SystemExit(
            f"pgloader loaded {rows} of {ground.rows} rows:\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
        )
    return Measured(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)


def _address(dsn: str) -> str:
    """The way pgloader spells a connection; a socket's folder stands after ``unix:``."""
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    login = percent(parts.get("user", ""), safe="") + (":" + percent(parts["password"]) if "password" in parts else "")
    host = parts.get("host", "localhost")
    place = f"unix:{host}" if host.startswith("/") else host
    return f"postgresql://{login}@{place}:{parts.get('port', '5432')}/{parts['dbname']}"


def _count(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCHEMA, TABLE))).fetchone()
    return int(row[0]) if row else 0


def by_pandas(ground: Ground) -> Measured:
    """``read_sql`` and ``to_sql``, in chunks of 10,000 rows."""
    import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]
    import sqlalchemy  # type: ignore[import-untyped,import-not-found,unused-ignore]

    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(ground.dsn))
    dates = [name for name, _, kind in COLUMNS if kind is Kind.TIMESTAMP]
    with psycopg.connect(ground.dsn) as connection:
        prepare(connection, ground.plan)
    began = time.perf_counter()
    with contextlib.closing(sqlite3.connect(ground.source)) as source:
        chunks = pandas.read_sql(f"SELECT * FROM {TABLE}", source, chunksize=10_000, parse_dates=dates)
        for chunk in chunks:
            chunk.to_sql(TABLE, engine, schema=SCHEMA, if_exists="append", index=False)
    return Measured(time.perf_counter() - began)


WAYS: dict[str, Callable[[Ground], Measured]] = {
    "server": by_server,
    "sdetl": by_sdetl,
    "compare": by_compare,
    "pgloader": by_pgloader,
    "pandas": by_pandas,
}


def available() -> list[str]:
    """The ways that can be gone on this machine."""
    missing = set()
    if shutil.which("pgloader") is None:
        missing.add("pgloader")
    if any(importlib.util.find_spec(name) is None for name in ("pandas", "sqlalchemy")):
        missing.add("pandas")
    return [way for way in WAYS if way not in missing]


def _in_child(way: str, ground: Ground, answers: multiprocessing.Queue[Measured]) -> None:
    measured = WAYS[way](ground)
    answers.put(dataclasses.replace(measured, peak=measured.peak or _peak()))


def _peak() -> int:
    """Peak resident bytes of this process; ``ru_maxrss`` would count the parent's before the fork on Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def measure(way: str, ground: Ground) -> Measured:
    """Go one way once, in a process of its own, after a checkpoint."""
    with psycopg.connect(ground.dsn, autocommit=True) as connection, contextlib.suppress(psycopg.Error):
        connection.execute("CHECKPOINT")
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[Measured] = context.Queue()
    process = context.Process(target=_in_child, args=(way, ground, answers))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{way} failed")
    return answers.get()


def versions(dsn: str) -> dict[str, str]:
    """What is compared with what."""
    found = {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version, "psycopg": psycopg.__version__}
    with psycopg.connect(dsn) as connection:
        found["postgresql"] = connection.info.parameter_status("server_version") or "?"
        row = connection.execute("SHOW wal_level").fetchone()
        found["wal_level"] = str(row[0]) if row else "?"
    if shutil.which("pgloader"):
        said = subprocess.run(["pgloader", "--version"], capture_output=True, text=True, check=False).stdout
        found["pgloader"] = said.splitlines()[0].rpartition(" ")[2].strip('"')
    if importlib.util.find_spec("pandas"):
        found["pandas"] = metadata.version("pandas")
    return found


@contextlib.contextmanager
def server(dsn: str | None, folder: Path) -> Iterator[str]:
    """The conninfo of the server to measure on."""
    if dsn is not None:
        yield make_conninfo(dsn, dbname=conninfo_to_dict(dsn).get("dbname") or "postgres")
        return
    with EmbeddedServer.join(folder / "postgres", 18) as embedded:
        yield make_conninfo(embedded.conninfo, dbname="postgres")


def show(found: dict[str, list[Measured]], rows: int) -> None:
    """The table of medians and ratios."""
    medians = {way: statistics.median(m.seconds for m in all_) for way, all_ in found.items()}
    print(f"{'way':10}{'seconds':>9}{'rows/s':>12}{'of server':>11}{'of sdetl':>10}{'client MB':>11}")
    for way, seconds in medians.items():
        peak = max(m.peak or 0 for m in found[way]) / 1e6
        against = [f"{seconds / medians[other]:.2f}" if other in medians else "-" for other in ("server", "sdetl")]
        print(f"{way:10}{seconds:9.2f}{rows / seconds:12,.0f}{against[0]:>11}{against[1]:>10}{peak:11.0f}")
        parts = {n: statistics.median(m.parts[n] for m in found[way]) for n in found[way][0].parts}
        if parts:
            print("          " + ", ".join(f"{name} {value:.2f} s" for name, value in parts.items()))


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description="Loading one table, side by side.", epilog="See the module's text.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dsn", help="a scratch database; without it an embedded server is started")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=available())
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sdetl-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # so that a server of another account can read the prepared file
        with server(arguments.dsn, folder) as dsn:
            source = folder / "source.db"
            build_source(source, arguments.rows)
            ground = Ground(source, folder, dsn, arguments.rows, plan_of(source, arguments.rows))
            print(json.dumps(versions(dsn)), f"{source.stat().st_size / 1e6:.0f} MB of SQLite", file=sys.stderr)
            write_prepared(ground)
            found: dict[str, list[Measured]] = {way: [] for way in arguments.ways}
            for _ in range(arguments.repeat):
                for way in arguments.ways:
                    found[way].append(measure(way, ground))
            with psycopg.connect(dsn) as connection:
                connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))
    if arguments.json:
        print(json.dumps({way: [dataclasses.asdict(m) for m in all_] for way, all_ in found.items()}))
    else:
        show(found, arguments.rows)


if __name__ == "__main__":
    main()
