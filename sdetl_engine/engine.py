"""Starting, resuming and looking at runs: the composition of the house, behind the public face."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.checklist import FINISHED, Stage, Status
from sdetl_engine.deployment import Deployment, is_busy
from sdetl_engine.errors import EnvironmentFailed, SdetlError
from sdetl_engine.files import write_atomically
from sdetl_engine.journal import Journal
from sdetl_engine.outcome import Outcome, StageRecord
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.records import PreflightResult
from sdetl_engine.report.document import run_document
from sdetl_engine.report.evidence import checklist, details
from sdetl_engine.report.render import render_html, render_json
from sdetl_engine.runner import Runner, StageFunction
from sdetl_engine.settings import Settings, load_settings
from sdetl_engine.stages.backup import backup
from sdetl_engine.stages.canary import canary
from sdetl_engine.stages.clean import clean
from sdetl_engine.stages.cutover import cutover
from sdetl_engine.stages.migrate import migrate
from sdetl_engine.stages.preflight import preflight
from sdetl_engine.stages.profile import profile
from sdetl_engine.stages.report import report
from sdetl_engine.stages.score import score
from sdetl_engine.stages.validate import validate
from sdetl_engine.steps.guards import difference_to_backup
from sdetl_engine.version import sdetl_version
from sdetl_engine.workspace import RunFolder, Workspace

RECIPES: Mapping[Stage, StageFunction] = {
    Stage.PREFLIGHT: preflight,
    Stage.BACKUP: backup,
    Stage.PROFILE: profile,
    Stage.CLEAN: clean,
    Stage.SCORE: score,
    Stage.CANARY: canary,
    Stage.MIGRATE: migrate,
    Stage.VALIDATE: validate,
    Stage.CUTOVER: cutover,
    Stage.REPORT: report,
}


@dataclasses.dataclass(frozen=True, slots=True)
class RunState:
    """A run in the workspace, as the start screen and ``sdetl status`` show it."""

    run_id: str
    source: str
    target: str | None
    finished: tuple[Stage, ...]
    stopped_at: str | None
    """The stage that did not finish, or None."""
    outcome: str
    """``live``, ``halted``, ...; ``paused`` between two stages, ``interrupted`` when the process died in the middle
    of one; ``running`` while one works on it."""
    is_resumable: bool
    message: str = ""

    @property
    def goes_on_at(self) -> Stage | None:
        """Where taking it up goes on: the first stage that is not finished, None when all are."""
        return next((stage for stage in Stage if stage not in self.finished), None)


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedLine:
    """One line of the deployment checklist: its state, and what proves it."""

    text: str
    status: Status
    evidence: str


def start_run(
    workspace: Workspace,
    source: Path,
    target: str | None,
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    skip_canary: bool = False,
    session: TargetSession | None = None,
) -> Runner:
    """A new run, ready to go.  ``target`` as ``--target`` takes it; None for stages that need none.

    ``session`` takes its place where there is one already; it is closed with the run.
    The caller closes ``runner.deployment``.  Raises UsageError, EnvironmentFailed.
    """
    workspace.prepare()
    if session is None and target is not None:
        session = TargetSession.parse(target, workspace, settings, environ or os.environ)
    folder = workspace.new_run()
    run = Deployment(workspace, folder, source.absolute(), session, settings, skip_canary=skip_canary)
    # The plan stands before the journal says that the run began: whoever takes it up needs both.
    run.save_plan()
    run.journal.write(
        "run_started",
        sdetl=sdetl_version(),
        source=os.fspath(run.source),
        target=session.spoken if session else None,
        settings_sha256=_digest(settings),
        skip_canary=skip_canary,
        who=run.who,
    )
    return Runner(run, RECIPES, write_documents)


def resume_run(
    workspace: Workspace,
    run_id: str,
    *,
    source: Path | None = None,
    target: str | None = None,
    settings: Settings | None = None,
    environ: Mapping[str, str] | None = None,
    session: TargetSession | None = None,
) -> Runner:
    """Take up a run that ended early, after its last finished stage.  ``session`` as for a new run.

    Refuses, each with its reason, when the run is finished, when source, target or settings are not what they
    were, or when a file of the run is not what the journal says.
    """
    folder = workspace.run_folder(run_id)
    started, decisions = _read_start(folder)
    if source is not None and os.fspath(source.absolute()) != started["source"]:
        raise _refused(run_id, f"it is about {started['source']}, not {source}")
    plan = load_settings(plan=folder.plan)
    base = _without_decisions(plan, decisions, started["settings_sha256"])
    if base is None:
        raise _refused(run_id, "its plan.toml was changed by hand")
    if settings is not None and _digest(settings) != started["settings_sha256"]:
        raise _refused(run_id, f"the settings changed: {', '.join(_changed_keys(base, settings))}")
    spoken = target if target is not None else started["target"]
    if session is None and spoken is not None:
        session = TargetSession.parse(spoken, workspace, base, environ or os.environ)
    if session is not None and started["target"] is not None and session.spoken != started["target"]:
        raise _refused(run_id, f"its target was {started['target']}, not {session.spoken}")
    run = Deployment(
        workspace, folder, Path(started["source"]), session, base, skip_canary=bool(started["skip_canary"])
    )
    try:
        return _taken_up(run)
    except BaseException:
        run.__exit__(None, None, None)
        raise


def _taken_up(run: Deployment) -> Runner:
    ended = run.journal.last("run_ended")
    if ended is not None and ended["outcome"] == "live":
        raise _refused(run.run_id, "it is finished: its version went live")
    runner = Runner(run, RECIPES, write_documents)
    taken = runner.restore()
    if (stale := runner.stale_from()) is not None:
        runner.forget(stale)
        taken = tuple(stage for stage in taken if runner.record(stage).status in FINISHED)
    if Stage.PREFLIGHT in taken:
        _refuse_changes(run)
    run.journal.write("run_resumed", after=[str(stage) for stage in taken], who=run.who)
    return runner


def _refuse_changes(run: Deployment) -> None:
    if (difference := difference_to_backup(run)) is not None:
        raise _refused(run.run_id, difference)
    before = run.results.load(Stage.PREFLIGHT, PreflightResult).target_identity
    if run.session is not None and before is not None and run.session.identity() != before:
        raise _refused(run.run_id, "the target is another server or database than it was")


def run_states(workspace: Workspace) -> list[RunState]:
    """Every run of the workspace, newest first."""
    return [_state(workspace.run_folder(run_id)) for run_id in workspace.run_ids()]


def _state(folder: RunFolder) -> RunState:
    try:
        journal = Journal(folder.journal)
        started = journal.last("run_started") or {}
    except SdetlError as error:
        return RunState(folder.run_id, "?", None, (), None, "unreadable", is_resumable=False, message=error.message)
    finished = tuple(
        Stage(r["stage"])
        for r in journal.records
        if r["event"] == "stage_finished" and r["status"] in ("passed", "skipped")
    )
    begun = [r for r in journal.records if r["event"] in ("run_started", "run_resumed")]
    ended = journal.last("run_ended")
    over = ended is not None and (not begun or ended["seq"] > begun[-1]["seq"])
    paused = _is_paused(journal)
    last = next((Stage(r["stage"]) for r in reversed(journal.records) if "stage" in r), None)
    if is_busy(folder):
        outcome = "running"
    elif paused:
        outcome = "paused"
    elif not over or ended is None:
        outcome = "interrupted"
    else:
        outcome = str(ended["outcome"])
    return RunState(
        folder.run_id,
        str(started.get("source", "?")),
        started.get("target"),
        tuple(dict.fromkeys(finished)),
        str(last) if last is not None and last not in finished else None,
        outcome,
        is_resumable=outcome in ("paused", "interrupted", "halted", "failed", "cancelled", "validated")
        and bool(started),
        message=str((ended or {}).get("error", {}).get("message", "")) if over else "",
    )


def _is_paused(journal: Journal) -> bool:
    """True when the run waits for its operator between two stages."""
    told = [r["event"] for r in journal.records if r["event"] in ("stage_started", "run_paused", "run_ended")]
    return bool(told) and told[-1] == "run_paused"


def write_documents(run: Deployment, records: Sequence[StageRecord], outcome: Outcome) -> None:
    """``report.json`` and ``report.html`` of a run, however it ended."""
    document = run_document(run, records, outcome) | {"report": os.fspath(run.folder.report_html)}
    lines = checklist(run, records, _last_drill(run))
    document["checklist"] = lines
    write_atomically(run.folder.report_json, render_json(document))
    write_atomically(run.folder.report_html, render_html(document, lines, details(run, records, sdetl_version())))


def checklist_lines(runner: Runner) -> tuple[CheckedLine, ...]:
    """The twelve lines of the deployment checklist as they stand, each with its evidence."""
    run = runner.deployment
    return tuple(
        CheckedLine(line["text"], Status(line["status"]), line["evidence"])
        for line in checklist(run, runner.records, _last_drill(run))
    )


def live_now(runner: Runner) -> str | None:
    """The version that the target's registry says is live; None when none is, or the target does not answer."""
    run = runner.deployment
    if run.session is None:
        return None
    try:
        with run.connect() as connection:
            live = registry.live_version(connection, run.settings.serving_schema)
    except (SdetlError, psycopg.Error):
        return None
    return live.version if live is not None else None


def _last_drill(run: Deployment) -> tuple[datetime, bool, float | None] | None:
    """The newest drill in the target's registry; None when there is none, or the target does not answer."""
    if run.session is None or not run.results.has(Stage.PREFLIGHT):
        return None
    try:
        with run.connect() as connection:
            last = registry.last_drill(connection)
    except (SdetlError, psycopg.Error):
        return None
    return (last[0], last[1], last[3]) if last else None


def _read_start(folder: RunFolder) -> tuple[Mapping[str, Any], int]:
    if is_busy(folder):
        raise EnvironmentFailed(
            f"run {folder.run_id} is being worked on by another process",
            next_step="wait until it has finished, or end it there",
            kind="lock",
        )
    journal = Journal(folder.journal)
    started = journal.last("run_started")
    if started is None:
        raise _refused(folder.run_id, "it never really began")
    return started, sum(r["event"] == "decision_made" for r in journal.records)


def _without_decisions(plan: Settings, made: int, digest: str) -> Settings | None:
    """The settings as they were when the run began; None when they are not found in the plan.

    The journal has every decision first: the last one may be missing in the plan of a process that was killed.
    """
    for count in (made, made - 1):
        base = plan.model_copy(update={"decisions": plan.decisions[: max(0, len(plan.decisions) - count)]})
        if _digest(base) == digest:
            return base
    return None


def _refused(run_id: str, reason: str) -> EnvironmentFailed:
    return EnvironmentFailed(
        f"run {run_id} cannot be resumed: {reason}",
        left_behind="the run's folder as it was",
        next_step="start a new run",
        kind="resume",
    )


def _digest(settings: Settings) -> str:
    # Without the defaults: a newer sdetl has more settings, and the same plan still means the same.
    text = json.dumps(settings.model_dump(mode="json", by_alias=True, exclude_defaults=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _changed_keys(before: Settings, after: Settings) -> Sequence[str]:
    old, new = before.model_dump(by_alias=True), after.model_dump(by_alias=True)
    return [key for key in old if old[key] != new[key]]
