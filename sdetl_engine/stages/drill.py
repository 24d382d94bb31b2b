"""Drill: the way out and the way back, rehearsed with real switches, real readers and real faults, and timed.

Everything happens in a serving schema of its own (``<serving>_drill``) and in a folder of its own, by the very
functions that real runs, rollbacks and restores use.  The serving schema itself is only read, before and after, to
prove that it was not touched.  Whatever happens, everything of the drill is dropped, and it is looked whether it is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from sdetl_engine.checklist import Stage
from sdetl_engine.drill_records import DrillResult, Fault, ReaderReport
from sdetl_engine.drilling.data import drill_data
from sdetl_engine.drilling.faults import Scene, break_it
from sdetl_engine.drilling.ground import Ground, drill_folder
from sdetl_engine.drilling.readers import Readers
from sdetl_engine.drilling.relay import Relay
from sdetl_engine.drilling.session import WatchedSession
from sdetl_engine.drilling.steps import Steps, expect
from sdetl_engine.drilling.tools import Tools
from sdetl_engine.errors import Cancelled, SdetlError
from sdetl_engine.events import Reporter, SilentReporter
from sdetl_engine.files import append_line
from sdetl_engine.keeping.manifest import find_backup
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.content import TableContent, differences, schema_content
from sdetl_engine.postgres.footprint import Footprint, changes, footprint
from sdetl_engine.postgres.locks import operator, run_lock
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import Settings
from sdetl_engine.wording import counted
from sdetl_engine.workspace import Workspace


@dataclasses.dataclass(slots=True)
class _Rehearsal:
    """A drill on its way, and what has been measured so far."""

    workspace: Workspace
    ground: Ground
    reporter: Reporter
    tools: Tools
    steps: Steps
    source: str = ""
    rows: int = 0
    rto_seconds: float | None = None
    restore_seconds: float | None = None
    readers: ReaderReport | None = None
    is_untouched: bool = False
    left_behind: tuple[str, ...] = ()
    content: dict[str, dict[str, TableContent]] = dataclasses.field(default_factory=dict)
    """What each version held when it went live."""


def drill(
    workspace: Workspace,
    session: TargetSession,
    settings: Settings,
    reporter: Reporter,
    tools: Tools,
    *,
    source: Path | None = None,
    faults: Sequence[Fault] = tuple(Fault),
    budget_seconds: float | None = None,
) -> DrillResult:
    """Rehearse, and record it in ``rollback_tests.log`` and the target's registry, passed or not.

    ``budget_seconds`` for a rollback, else ``drill.rto_seconds``.  A step that fails makes a drill that did not pass,
    not an error.  Raises TargetError when the target cannot be reached or something foreign is in the way, LockHeld
    when another drill is on, Cancelled; nothing is recorded then, and nothing of the drill is left.
    """
    began, at = time.monotonic(), datetime.now(UTC)
    budget = budget_seconds if budget_seconds is not None else settings.drill.rto_seconds
    wanted = tuple(fault for fault in Fault if fault in faults)
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(session.connect())
        lock.autocommit = True
        server_version = lock.info.server_version // 10_000
        stack.enter_context(run_lock(lock, f"{settings.drill_schema} (rehearsal)"))
        folder = stack.enter_context(drill_folder(workspace))
        ground = Ground(session, settings, folder)
        ground.sweep()
        earlier = _earlier(session)
        before = _look(session, settings, reporter)
        rehearsal = _Rehearsal(workspace, ground, reporter, tools, Steps(reporter))
        try:
            _rehearse(rehearsal, source, wanted, budget)
        except Cancelled:
            raise
        except SdetlError:
            if not rehearsal.steps.failed:
                raise
        finally:
            _clear_away(rehearsal)
        _prove_untouched(rehearsal, settings, before)
    result = DrillResult(
        at=at,
        serving_schema=settings.serving_schema,
        drill_schema=ground.schema,
        server_version=server_version,
        source=rehearsal.source,
        rows=rehearsal.rows,
        faults=wanted,
        passed=not rehearsal.steps.failed,
        steps=tuple(rehearsal.steps.taken),
        rto_seconds=rehearsal.rto_seconds,
        budget_seconds=budget,
        restore_seconds=rehearsal.restore_seconds,
        readers=rehearsal.readers,
        serving_untouched=rehearsal.is_untouched,
        left_behind=rehearsal.left_behind,
        earlier=earlier,
        seconds=time.monotonic() - began,
    )
    _record(workspace, session, result, reporter)
    return result


def _rehearse(drilled: _Rehearsal, source: Path | None, faults: Sequence[Fault], budget: float) -> None:
    """The steps in order; the first that fails ends them."""
    steps, ground = drilled.steps, drilled.ground
    with steps.step("prepare the data") as note:
        data = drill_data(drilled.workspace, ground.settings, ground.folder, source, drilled.reporter)
        ground.settings = data.settings
        drilled.source, drilled.rows = data.label, data.second_rows
        note.detail = (
            f"{data.label}: {counted(data.first_rows, 'row')} for version 1, {data.second_rows:,} for version 2"
        )
    with steps.step("build version 1 and cut over") as note:
        first, _ = _build(drilled, data.first)
        note.detail = f"{first} is live in {ground.schema}"
    with _reading(drilled, first) as readers:
        with steps.step("build version 2 and cut over, under readers") as note:
            second, run_id = _build(drilled, data.second)
            _learn(drilled, readers)
            note.detail = f"{second} is live; {readers.report().reads:,} reads so far"
        scene = Scene(ground, drilled.tools, drilled.reporter, data.second, readers, drilled.content)
        for number, fault in enumerate(faults):
            with steps.step(f"break: {fault}") as note:
                note.detail = break_it(fault, scene)
            _roll_back(drilled, readers, f"roll back after {fault}", first, count=True)
            if number + 1 < len(faults):
                _roll_back(drilled, readers, "go forward again", second, count=False)
        if not faults:
            _roll_back(drilled, readers, "roll back", first, count=True)
        with steps.step("restore a backup") as note:
            note.detail = _restore(drilled, readers, run_id, first)
        with steps.step("readers saw whole versions only") as note:
            note.detail = _judge(readers.report())
    with steps.step("rollback within the budget") as note:
        rto = drilled.rto_seconds or 0.0
        note.detail = f"{rto:.2f} s of {budget:g} s"
        expect(rto <= budget, f"the slowest rollback took {rto:.2f} s, the budget is {budget:g} s")


def _build(drilled: _Rehearsal, path: Path) -> tuple[str, str]:
    """The whole checklist on one file; returns version and run id.  What the version holds is noted."""
    ground = drilled.ground
    runner = drilled.tools.start_run(
        ground.workspace, path, None, ground.settings, skip_canary=True, session=WatchedSession(ground.session)
    )
    runner.reporter = Relay(runner.deployment, drilled.reporter)
    with runner.deployment as run:
        run.agreed = True
        outcome = runner.run(Stage.REPORT)
        if outcome.error is not None:
            raise outcome.error
        version = run.version
        with run.connect() as connection:
            drilled.content[version] = schema_content(connection, ground.schema, drilled.reporter)
    return version, run.run_id


@contextlib.contextmanager
def _reading(drilled: _Rehearsal, first: str) -> Iterator[Readers]:
    """Readers at work on the largest tables; what they saw is kept, however this ends."""
    content = drilled.content[first]
    tables = sorted((t for t in content if content[t].rows), key=lambda t: content[t].rows, reverse=True)
    readers = Readers(drilled.ground.session.connect, drilled.ground.schema, tables)
    _learn(drilled, readers)
    try:
        with readers:
            yield readers
    finally:
        drilled.readers = readers.report()


def _learn(drilled: _Rehearsal, readers: Readers) -> None:
    with drilled.ground.session.connect() as connection:
        readers.learn(connection, drilled.ground.schema)


def _roll_back(drilled: _Rehearsal, readers: Readers, name: str, to: str, *, count: bool) -> None:
    """Go back by the function that an operator's rollback uses, and compare every digest.  ``count`` it as an RTO."""
    ground = drilled.ground
    with drilled.steps.step(name) as note:
        done = drilled.tools.roll_back(ground.session, ground.settings, drilled.reporter)
        readers.expect_errors(False)
        expect(done.live_version == to, f"{done.live_version} went live, not {to}")
        _expect_content(drilled, to)
        if count:
            drilled.rto_seconds = max(drilled.rto_seconds or 0.0, done.rto_seconds)
        tried = f" (attempt {done.attempts}: readers were in the way)" if done.attempts > 1 else ""
        note.detail = f"{to} live again in {done.rto_seconds:.3f} s{tried}, every digest as when it went live"


def _restore(drilled: _Rehearsal, readers: Readers, run_id: str, dumped: str) -> str:
    """The dump that version 2's run took of version 1 comes back as a version of its own."""
    began, ground = time.monotonic(), drilled.ground
    backup = find_backup(ground.workspace, run_id)
    session = WatchedSession(ground.session)
    restored = drilled.tools.restore_beside(ground.workspace, session, ground.settings, drilled.reporter, backup)
    done = drilled.tools.make_restored_live(session, ground.settings, drilled.reporter, restored)
    _learn(drilled, readers)
    drilled.restore_seconds = time.monotonic() - began
    drilled.content[done.live_version] = drilled.content[dumped]
    _expect_content(drilled, done.live_version)
    return f"{done.live_version} live in {drilled.restore_seconds:.2f} s, every digest that of {dumped}"


def _expect_content(drilled: _Rehearsal, version: str) -> None:
    with drilled.ground.session.connect() as connection:
        found = schema_content(connection, drilled.ground.schema, drilled.reporter)
    wrong = differences(drilled.content[version], found)
    expect(not wrong, f"{version} is not what it was when it went live: {wrong[0] if wrong else ''}")


def _judge(seen: ReaderReport) -> str:
    expect(seen.reads > 0, "no reader read anything")
    expect(seen.torn == 0, f"{seen.torn} kinds of reads saw tables of two versions")
    expect(seen.errors == 0, f"readers met {counted(seen.errors, 'error')}: {seen.first_error}")
    missed = f", {seen.expected_errors} missed the dropped table" if seen.expected_errors else ""
    return f"{counted(seen.reads, 'read')} by {counted(seen.readers, 'reader')}, longest wait {seen.longest_wait_ms:.0f} ms{missed}"


def _clear_away(drilled: _Rehearsal) -> None:
    """Drop everything, whatever happened, and look whether it is gone."""
    ground = drilled.ground
    with contextlib.suppress(SdetlError), drilled.steps.step("drop everything") as note:
        ground.sweep()
        drilled.left_behind = ground.left()
        expect(not drilled.left_behind, f"left behind: {', '.join(drilled.left_behind)}")
        note.detail = f"nothing of {ground.schema} is left in the target"


def _look(session: TargetSession, settings: Settings, reporter: Reporter) -> Footprint:
    with session.connect() as connection, reporter.interrupting(connection.cancel_safe):
        return footprint(connection, place_of(connection, settings.serving_schema) or settings.serving_schema, reporter)


def _prove_untouched(drilled: _Rehearsal, settings: Settings, before: Footprint) -> None:
    with contextlib.suppress(SdetlError), drilled.steps.step("serving schema untouched") as note:
        said = changes(before, _look(drilled.ground.session, settings, SilentReporter()))
        expect(not said, f"during the drill, {said[0] if said else ''}")
        drilled.is_untouched = True
        note.detail = (
            f"{settings.serving_schema}: {counted(len(before.content), 'table')}, the same objects and digests as before"
            if before.oid is not None
            else f"there is no schema {settings.serving_schema}, before and after"
        )


def _earlier(session: TargetSession) -> tuple[registry.Drill, ...]:
    with session.connect() as connection:
        registry.ensure(connection)
        connection.commit()
        return tuple(registry.drills(connection))


def _record(workspace: Workspace, session: TargetSession, result: DrillResult, reporter: Reporter) -> None:
    """The line in ``rollback_tests.log``, and the entry in the target's registry as long as the target answers."""
    line = {
        "at": result.at.isoformat(timespec="seconds"),
        "by": operator(),
        "target": session.spoken,
        "serving_schema": result.serving_schema,
        "server_version": result.server_version,
        "source": result.source,
        "rows": result.rows,
        "faults": [str(fault) for fault in result.faults],
        "passed": result.passed,
        "rto_seconds": _rounded(result.rto_seconds),
        "budget_seconds": result.budget_seconds,
        "restore_seconds": _rounded(result.restore_seconds),
        "seconds": _rounded(result.seconds),
    }
    append_line(workspace.rollback_tests_log, json.dumps(line, ensure_ascii=True))
    try:
        with session.connect() as connection:
            registry.record_drill(
                connection,
                serving_schema=result.serving_schema,
                server_version=result.server_version,
                passed=result.passed,
                rollback_seconds=result.rto_seconds,
                restore_seconds=result.restore_seconds,
                who=operator(),
                steps=[dataclasses.asdict(step) for step in result.steps],
            )
            connection.commit()
    except (SdetlError, psycopg.Error):
        reporter.event("DrillNotRecorded", "the target's registry could not be written", level="warning")


def _rounded(seconds: float | None) -> float | None:
    return round(seconds, 3) if seconds is not None else None
