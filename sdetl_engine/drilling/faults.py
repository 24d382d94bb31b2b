"""The faults of a drill.  Each is caused, is seen to have happened, and is survived: else it raises ValidationFailed.

What is real and what is simulated: rows are really deleted, sessions really ended by the server, processes really
killed, tables really dropped.  A full disk is simulated: the server itself writes to ``/dev/full``, which the kernel
answers with "no space left on device", in the transaction of the load; where the role may not have the server write
files, a statement raises SQLSTATE 53100 by hand.  No disk is filled.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from sdetl_engine.checklist import Stage
from sdetl_engine.drill_records import Fault
from sdetl_engine.drilling import VICTIM, VICTIM_IS_LOADING
from sdetl_engine.drilling.ground import Ground
from sdetl_engine.drilling.readers import Readers
from sdetl_engine.drilling.relay import Relay
from sdetl_engine.drilling.session import WatchedSession
from sdetl_engine.drilling.steps import expect
from sdetl_engine.drilling.tools import Tools
from sdetl_engine.errors import ExitCode, TargetError
from sdetl_engine.events import Reporter
from sdetl_engine.postgres import build, registry
from sdetl_engine.postgres.content import TableContent, differences, schema_content, table_names
from sdetl_engine.postgres.locks import operator
from sdetl_engine.postgres.serving import count_rows
from sdetl_engine.postgres.switch import SwitchOrder, switch
from sdetl_engine.runner import Runner

_PATIENCE_SECONDS = 60.0
_DISK_FULL = "53100"


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """What a fault finds: version 2 live, version 1 retired, readers reading."""

    ground: Ground
    tools: Tools
    reporter: Reporter
    source: Path
    readers: Readers
    content: Mapping[str, Mapping[str, TableContent]]
    """What each version held when it went live."""

    def live(self) -> registry.Version:
        """The version that is live in the drill's schema."""
        with self.ground.session.connect() as connection:
            live = registry.live_version(connection, self.ground.schema)
        assert live is not None
        return live

    def expect_untouched(self, version: str) -> None:
        """Version ``version`` is live, and holds what it held."""
        live = self.live()
        expect(live.version == version, f"{live.version} is live in {self.ground.schema}, not {version}")
        with self.ground.session.connect() as connection:
            wrong = differences(self.content[version], schema_content(connection, self.ground.schema, self.reporter))
        expect(not wrong, f"the live version {version} is not what it was: {wrong[0] if wrong else ''}")

    def expect_gone(self, version: str) -> None:
        """Nothing of that version stands in the target.  The server may take a moment to notice a killed client."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with self.ground.session.connect() as connection:
            connection.autocommit = True
            while build.schema_exists(connection, version) and time.monotonic() < deadline:
                time.sleep(0.05)
            expect(not build.schema_exists(connection, version), f"schema {version} was left behind in the target")
            expect(registry.get_version(connection, version) is None, f"{version} was left behind in the registry")

    def begin(self, on_event: Callable[[Stage | None, str], None] | None = None) -> tuple[Runner, WatchedSession]:
        """A run of version 3, ready to go."""
        session = WatchedSession(self.ground.session)
        runner = self.tools.start_run(
            self.ground.workspace, self.source, None, self.ground.settings, skip_canary=True, session=session
        )
        runner.reporter = Relay(runner.deployment, self.reporter, on_event)
        runner.deployment.agreed = True
        return runner, session

    def drop_candidate(self, version: str) -> None:
        """Take a candidate that has served its purpose out of the target."""
        with self.ground.session.connect() as connection:
            registry.drop_version(connection, version)
            connection.commit()


def break_it(fault: Fault, scene: Scene) -> str:
    """Cause the fault, see that it happened and what it did.  Returns what was seen.  Raises ValidationFailed."""
    return _FAULTS[fault](scene)


def _bad_candidate(scene: Scene) -> str:
    before = scene.live().version
    runner, session = scene.begin()
    with runner.deployment as run:
        _expect_done(runner, Stage.VALIDATE)
        with session.connect() as connection:
            table = _fullest(connection, run.version)
            deleted = connection.execute(
                sql.SQL("DELETE FROM {0} WHERE ctid = (SELECT min(ctid) FROM {0})").format(
                    sql.Identifier(run.version, table)
                )
            ).rowcount
            connection.commit()
        expect(deleted == 1, "no row of the candidate could be deleted: the fault did not happen")
        outcome = runner.run(Stage.CUTOVER)
        expect(
            outcome.exit_code is ExitCode.VALIDATION,
            f"a candidate that lost a row was not refused: the run ended {outcome.kind}",
        )
        version = run.version
    scene.expect_untouched(before)
    scene.drop_candidate(version)
    said = outcome.error.message if outcome.error else ""
    return f"a row of {table} vanished from the candidate; the cutover refused it: {said}"


def _killed_connection(scene: Scene) -> str:
    live = scene.live()
    killed: list[int] = []
    backends: list[int] = []

    def connect() -> psycopg.Connection[Any]:
        connection = scene.ground.session.connect()
        backends.append(connection.info.backend_pid)
        return connection

    def kill(xid: str) -> None:
        with scene.ground.session.connect() as connection:
            connection.autocommit = True
            connection.execute("SELECT pg_terminate_backend(%s)", [backends[0]])
            _await_end(connection, backends[0])
        killed.append(backends[0])

    assert live.previous is not None
    order = SwitchOrder(
        serving_schema=scene.ground.schema,
        to_version=live.previous,
        expected_live=live.version,
        adopt_as=f"{scene.ground.schema}_never",
        action="rollback",
        who=operator(),
    )
    try:
        switch(connect, order, scene.ground.settings.cutover, scene.reporter, before_commit=kill)
    except TargetError as error:
        said = error.message
    else:
        said = ""
    expect(bool(killed), "the session that switches was not ended: the fault did not happen")
    expect(bool(said), "the switch said that it succeeded although its session was ended before the COMMIT")
    scene.expect_untouched(live.version)
    return f"the server ended the session before its COMMIT; {live.version} stayed live, whole: {said}"


def _full_disk(scene: Scene) -> str:
    before = scene.live().version
    statement, how = _disk_full_statement(scene.ground)
    seen: list[str] = []

    def fill_up(stage: Stage | None, fact: str) -> None:
        if stage is not Stage.MIGRATE or fact != "TableLoaded" or seen:
            return
        connection = session.at_work
        assert connection is not None
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            seen.append(error.sqlstate or "")
            raise

    runner, session = scene.begin(fill_up)
    with runner.deployment as run:
        outcome = runner.run(Stage.MIGRATE)
        version = run.version
    expect(seen == [_DISK_FULL], f"the server did not report a full disk ({seen}): the fault did not happen")
    expect(
        outcome.exit_code is ExitCode.ENVIRONMENT, f"the load went on with a full disk: the run ended {outcome.kind}"
    )
    scene.expect_gone(version)
    scene.expect_untouched(before)
    return f"{how}; nothing of the load stayed: {outcome.error.message if outcome.error else ''}"


def _killed_sdetl(scene: Scene) -> str:
    before = scene.live().version
    runner, _ = scene.begin()
    with runner.deployment as run:
        _expect_done(runner, Stage.SCORE)
        version, run_id = run.version, run.run_id
    _kill_in_the_load(scene, run_id)
    scene.expect_gone(version)
    scene.expect_untouched(before)
    resumed = scene.tools.resume_run(scene.ground.workspace, run_id, session=WatchedSession(scene.ground.session))
    resumed.reporter = Relay(resumed.deployment, scene.reporter)
    resumed.deployment.agreed = True
    with resumed.deployment:
        _expect_done(resumed, Stage.VALIDATE)
    scene.drop_candidate(version)
    return "a process was killed with rows of its load in the server; none stayed, and a new start went on to validate"


def _dropped_table(scene: Scene) -> str:
    schema = scene.ground.schema
    scene.readers.expect_errors(True)
    with scene.ground.session.connect() as connection:
        table = scene.readers.tables[0]
        connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(schema, table)))
        connection.commit()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not scene.readers.expected_errors and time.monotonic() < deadline:
        time.sleep(0.01)
    expect(scene.readers.expected_errors > 0, f"no reader missed table {table}: the fault did not happen")
    return f"table {table} of the live version was dropped; readers missed it"


_FAULTS: Mapping[Fault, Callable[[Scene], str]] = {
    Fault.BAD_CANDIDATE: _bad_candidate,
    Fault.KILLED_CONNECTION: _killed_connection,
    Fault.FULL_DISK: _full_disk,
    Fault.KILLED_SDETL: _killed_sdetl,
    Fault.DROPPED_TABLE: _dropped_table,
}


def _expect_done(runner: Runner, until: Stage) -> None:
    outcome = runner.run(until)
    if outcome.error is not None:
        raise outcome.error


def _fullest(connection: psycopg.Connection[Any], schema: str) -> str:
    """The table with the most rows."""
    return max(table_names(connection, schema), key=lambda table: count_rows(connection, schema, table))


def _await_end(connection: psycopg.Connection[Any], backend: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if not connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [backend]).fetchone():
            return
        time.sleep(0.01)


def _disk_full_statement(ground: Ground) -> tuple[LiteralString, str]:
    """A statement that ends in SQLSTATE 53100 on this server for this role, and how to speak of it."""
    statement: LiteralString = "COPY (SELECT repeat('x', 1000000)) TO '/dev/full'"
    with ground.session.connect() as connection:
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            if error.sqlstate == _DISK_FULL:
                return statement, "the server got 'no space left on device' from the kernel (/dev/full) in the load"
    return (
        "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$",
        "the server raised SQLSTATE 53100 (disk full) by hand in the load",
    )


def _kill_in_the_load(scene: Scene, run_id: str) -> None:
    """Start the victim, wait until rows of its load are in the server, and kill it."""
    session = scene.ground.session
    job = {
        "target": dataclasses.asdict(session.target),
        "server_workspace": os.fspath(session.workspace.root),
        "workspace": os.fspath(scene.ground.workspace.root),
        "run_id": run_id,
    }
    with _running_victim() as child:
        assert child.stdin is not None
        child.stdin.write(json.dumps(job) + "\n")
        child.stdin.flush()
        expect(
            _says_ready(child), "the process that was to be killed did not get to its load: the fault did not happen"
        )
        child.kill()
        child.wait()


@contextlib.contextmanager
def _running_victim() -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-m", VICTIM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _says_ready(child: subprocess.Popen[str]) -> bool:
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        return bool(selector.select(_PATIENCE_SECONDS)) and child.stdout.readline().strip() == VICTIM_IS_LOADING
