"""Cutovers and rollbacks under load: is any read torn, empty, refused or killed, and how long does a reader wait?

    python -m tests.bench.switches [--switches 1000] [--readers 6] [--target CONNINFO]

Readers never rest: they join all tables in one statement, in any order, plainly and prepared, read a view and a
materialized view of another schema as a role with column grants, aggregate for longer, and hold transactions open.  Every
row of a version bears its number, so that a read which mixes two versions shows.  Without a target a server of the wheel
is started.  How long reads take before the first switch is told beside: a machine that is busy makes readers wait, too.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg

from sdetl_engine.errors import SdetlError
from sdetl_engine.postgres.embedded import EmbeddedServer
from tests.postgres.versions import Desk, desk

ROWS = 20_000
BEFORE_SECONDS = 20
LIMIT_MS = 150
"""How long a reader is to wait at most."""
TABLES = """
CREATE TABLE {0}.tickets (id bigint PRIMARY KEY, version text, team text);
CREATE TABLE {0}.comments (id bigint PRIMARY KEY, version text, ticket_id bigint REFERENCES {0}.tickets);
CREATE TABLE {0}.timesheets (id bigint PRIMARY KEY, version text, ticket_id bigint REFERENCES {0}.tickets);
INSERT INTO {0}.tickets SELECT n, '{0}', 'team ' || n % 7 FROM generate_series(1, {1}) n;
INSERT INTO {0}.comments SELECT n, '{0}', n FROM generate_series(1, {1}) n;
INSERT INTO {0}.timesheets SELECT n, '{0}', n FROM generate_series(1, {1}) n;
ANALYZE {0}.tickets; ANALYZE {0}.comments; ANALYZE {0}.timesheets;
"""
JOINED = (
    "SELECT t.version, c.version, s.version, v.version, (SELECT n FROM rep.totals) FROM {} "
    "WHERE c.ticket_id = t.id AND s.ticket_id = t.id AND v.id = t.id AND t.id = {}"
)
SIDES = ["servicedesk.tickets t", "servicedesk.comments c", "servicedesk.timesheets s", "rep.desk v"]
LONG = (
    "SELECT min(t.version), max(c.version), min(s.version), max(c.version), count(*) FROM servicedesk.tickets t "
    "JOIN servicedesk.comments c ON c.ticket_id = t.id JOIN servicedesk.timesheets s ON s.ticket_id = t.id "
    "WHERE t.id <= 4000"
)


@dataclasses.dataclass
class Seen:
    """What one reader saw.  ``waits``: milliseconds of every read."""

    waits: list[float] = dataclasses.field(default_factory=list)
    wrong: Counter[str] = dataclasses.field(default_factory=Counter)


def read(conninfo: str, role: str, kind: str, stop: threading.Event, seen: Seen) -> None:
    """Read until told to stop."""
    chance = random.Random(kind)
    with psycopg.connect(conninfo, autocommit=kind != "transaction") as connection:
        connection.execute(f"SET ROLE {role}")
        connection.commit()
        while not stop.is_set():
            began = time.perf_counter()
            try:
                # PostgreSQL locks the tables of a statement in the order in which it names them.
                sides = SIDES if kind == "prepared" else chance.sample(SIDES, len(SIDES))
                query = LONG if kind == "long" else JOINED.format(", ".join(sides), chance.randint(1, ROWS))
                row = connection.execute(query, prepare=kind == "prepared").fetchone()
            except psycopg.Error as error:
                seen.wrong[f"{type(error).__name__}: {error.diag.message_primary}"] += 1
                connection.rollback()
                continue
            seen.waits.append((time.perf_counter() - began) * 1000)
            if row is None:
                seen.wrong["empty"] += 1
            elif len(set(row[:4])) != 1:
                seen.wrong["torn"] += 1
            if kind == "transaction":
                time.sleep(0.01)
                connection.commit()


@contextlib.contextmanager
def server(target: str | None) -> Iterator[str]:
    """The target, or a fresh database of an embedded server."""
    if target is not None:
        yield target
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with EmbeddedServer.join(Path(folder) / "postgres", 18, durable=True) as embedded:
            name = f"bench_{uuid.uuid4().hex[:8]}"
            with psycopg.connect(f"{embedded.conninfo} dbname=postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            yield f"{embedded.conninfo} dbname={name}"


def prepare(it: Desk) -> tuple[str, list[str]]:
    """Two versions, one live, and a role that reads columns of them, a view and a materialized view."""
    first = it.candidate(ROWS, TABLES)
    it.switch_to(first)
    role = it.role("reader")
    it.run(
        "CREATE SCHEMA rep",
        "CREATE VIEW rep.desk AS SELECT id, version FROM servicedesk.tickets",
        "CREATE MATERIALIZED VIEW rep.totals AS SELECT count(*) AS n FROM servicedesk.comments",
        f"GRANT USAGE ON SCHEMA servicedesk, rep TO {role}; GRANT SELECT ON rep.desk, rep.totals TO {role}",
        f"GRANT SELECT (id, version) ON servicedesk.tickets TO {role}",
        f"GRANT SELECT ON servicedesk.comments, servicedesk.timesheets TO {role}",
    )
    return role, [first, it.candidate(ROWS, TABLES)]


def main() -> int:
    """Run, print, and fail when a read was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=1000)
    parser.add_argument("--readers", type=int, default=6)
    parser.add_argument("--target")
    options = parser.parse_args()
    kinds = ["plain", "prepared", "long", "transaction", "plain", "prepared"]
    with server(options.target) as conninfo, desk(conninfo) as it:
        role, versions = prepare(it)
        stop, seen = threading.Event(), [Seen() for _ in range(options.readers)]
        readers = [
            threading.Thread(target=read, args=(conninfo, role, kinds[n % len(kinds)], stop, one))
            for n, one in enumerate(seen)
        ]
        for reader in readers:
            reader.start()
        time.sleep(BEFORE_SECONDS)
        undisturbed = max(wait for one in seen for wait in one.waits)
        print(f"before the first switch: longest read of {BEFORE_SECONDS} s {undisturbed:.1f} ms")
        locked, attempts, refused = [], 0, 0
        began = time.monotonic()
        for number in range(1, options.switches + 1):
            try:
                done = it.switch_to(next(version for version in versions if version != it.live()))
            except SdetlError as error:
                refused += 1
                print(f"switch {number}: {error.message}", file=sys.stderr)
                continue
            locked.append(done.lock_seconds * 1000)
            attempts += done.attempts
        seconds = time.monotonic() - began
        stop.set()
        for reader in readers:
            reader.join()
        return tell(seen, locked, attempts, refused, seconds)


def tell(seen: list[Seen], locked: list[float], attempts: int, refused: int, seconds: float) -> int:
    """Print what came of it; 1 when anything was wrong."""
    wrong = sum((one.wrong for one in seen), Counter[str]())
    waits = sorted(wait for one in seen for wait in one.waits)
    print(
        f"{len(locked)} switches in {seconds:.0f} s, {attempts - len(locked)} tries refused and repeated, {refused} given up"
    )
    if locked:
        print(f"locks held: median {statistics.median(locked):.1f} ms, longest {max(locked):.1f} ms")
    print(
        f"{len(waits):,} reads: median {statistics.median(waits):.1f} ms, p99.9 {waits[int(len(waits) * 0.999)]:.1f} ms, "
        f"longest {waits[-1]:.1f} ms, {sum(wait > LIMIT_MS for wait in waits)} over {LIMIT_MS} ms"
    )
    print("wrong reads: " + (", ".join(f"{count} {what}" for what, count in wrong.items()) or "none"))
    return 1 if wrong or refused or not locked else 0


if __name__ == "__main__":
    sys.exit(main())
