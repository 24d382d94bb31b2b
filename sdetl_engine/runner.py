"""The one engine thread: runs stages in order, journals them, turns failures into outcomes, stops on request.

``Runner.run`` does the work in the calling thread; ``Runner.start`` does it in a thread of the engine's own,
for screens.  Whoever watches polls ``progress`` (the latest snapshot) and drains ``events`` (a bounded queue:
when nobody drains it, the oldest facts are dropped; the journal and the log have them all).
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg

from sdetl_engine.checklist import FINISHED, Stage, Status
from sdetl_engine.decisions import takes_effect_in
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import (
    NOTHING,
    Cancelled,
    EnvironmentFailed,
    ExitCode,
    GateStopped,
    SdetlError,
    ValidationFailed,
)
from sdetl_engine.events import Event, Snapshot
from sdetl_engine.findings import Choice, Decision, Finding, Gate, Severity, StageResult, decide, gate_of
from sdetl_engine.observe.health import measure
from sdetl_engine.observe.metrics import DURATIONS
from sdetl_engine.outcome import Outcome, OutcomeKind, StageRecord
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.records import RESULT_KINDS

StageFunction = Callable[[Deployment, "RunReporter"], StageResult]
EndFunction = Callable[[Deployment, Sequence["StageRecord"], "Outcome"], None]
_QUEUE = 1000


class RunReporter:
    """The engine's side of the conversation; thread-safe.  See ``events.Reporter``."""

    def __init__(self, run: Deployment) -> None:
        self._run = run
        self.stage: Stage | None = None
        self.latest: Snapshot | None = None
        self.events: collections.deque[Event] = collections.deque(maxlen=_QUEUE)
        self._stop: Cancelled | None = None
        self._interrupts: list[Callable[[], None]] = []
        self._mutex = threading.Lock()

    def begin(self, stage: Stage) -> None:
        """What is told from now on belongs to that stage, which has made no progress yet."""
        self.stage, self.latest = stage, None

    def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
        """Replace the snapshot."""
        before = self.latest
        started = before.started if before is not None and before.what == what else time.monotonic()
        self.latest = Snapshot(what, done, total, unit, started)

    def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
        """Log the fact and queue it for whoever watches."""
        self._run.log.write(level, self.stage, message, fact=name, **context)
        self.events.append(Event(name, message, context, level))

    def check(self) -> None:
        """Raise Cancelled once a stop was asked for."""
        if self._stop is not None:
            raise self._stop

    @contextlib.contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Register ``interrupt`` to be called from the stopping thread."""
        self.check()
        with self._mutex:
            self._interrupts.append(interrupt)
        try:
            yield
        finally:
            with self._mutex:
                self._interrupts.remove(interrupt)

    def request_stop(self, exit_code: ExitCode = ExitCode.CANCELLED) -> None:
        """Ask the stage to stop at its next safe point.  Called from any thread; the first request counts."""
        words = {ExitCode.HANGUP: "the terminal was closed (SIGHUP)", ExitCode.TERMINATED: "ended by SIGTERM"}
        with self._mutex:
            if self._stop is None:
                self._stop = Cancelled(words.get(exit_code, "cancelled by the operator"), exit_code=exit_code)
            waiting = list(self._interrupts)
        for interrupt in waiting:
            interrupt()

    def go_on(self) -> None:
        """Forget a stop that has been carried out, and the snapshot of the work that it ended."""
        with self._mutex:
            self._stop = None
        self.latest = None

    @property
    def stop_wish(self) -> Cancelled | None:
        """What ``check`` raises once a stop was asked for."""
        return self._stop

    @property
    def is_stopping(self) -> bool:
        """True once a stop was asked for."""
        return self._stop is not None


class Runner:
    """Runs the stages of one deployment.

    ``recipes`` maps each stage to its function and ``at_end`` writes the documents, however the run ended; both
    come from the public face, so that this file knows no stage.
    """

    def __init__(self, run: Deployment, recipes: Mapping[Stage, StageFunction], at_end: EndFunction) -> None:
        self.deployment = run
        self.reporter = RunReporter(run)
        self._recipes = recipes
        self._at_end = at_end
        self._records = {stage: StageRecord(stage) for stage in Stage}
        self._thread: threading.Thread | None = None
        self.outcome: Outcome | None = None

    @property
    def records(self) -> tuple[StageRecord, ...]:
        """Every stage as it stands, in order."""
        return tuple(self._records[stage] for stage in Stage)

    def record(self, stage: Stage) -> StageRecord:
        """One stage as it stands."""
        return self._records[stage]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all stages, with decisions."""
        return tuple(f for record in self.records for f in record.findings)

    def start(self, until: Stage = Stage.REPORT, *, only: Sequence[Stage] | None = None, pausing: bool = False) -> None:
        """Run in the engine's own thread; ``outcome`` is set when it ends.  One at a time."""
        if self.is_running:
            raise RuntimeError("the engine thread is at work already")
        options = {"only": only, "pausing": pausing}
        self._thread = threading.Thread(target=self.run, args=(until,), kwargs=options, name="sdetl-engine")
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """True while the engine's thread works."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the engine's thread; True when it has ended."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.is_running

    def run(
        self, until: Stage = Stage.REPORT, *, only: Sequence[Stage] | None = None, pausing: bool = False
    ) -> Outcome:
        """Run every stage up to ``until`` (or just ``only``) that is not finished.  Never raises for a known failure.

        Stages that a later decision has made stale run again.  ``pausing``: stopping well before the report is a
        pause, not the end of the run; whoever steps through the checklist goes on with another call.
        """
        self._take_up()
        try:
            for stage in Stage:
                if (only is None or stage in only) and self._records[stage].status not in FINISHED:
                    self._run_stage(stage)
                if stage is until:
                    break
        except SdetlError as error:
            self.outcome = self._failed(error)
        except psycopg.Error as error:
            self.outcome = self._failed(statement_error(error, f"stage {self.reporter.stage}"))
        except Exception as error:  # noqa: BLE001 - the border of the engine: recorded, told in one line, exit code 1
            self.outcome = self._defect(error)
        else:
            self.outcome = self._paused() if pausing and until is not Stage.REPORT else self._ended_well()
        return self.outcome

    def stale_from(self) -> Stage | None:
        """The first stage that has run and that a decision made since would make come out differently."""
        stale: list[Stage] = []
        for record in self.deployment.journal.records:
            if record["event"] == "decision_made":
                effect = takes_effect_in(Choice(record["decision"]["choice"]))
                if effect is not None and self._records[effect].status is not Status.PENDING:
                    stale.append(effect)
            elif record["event"] == "stage_started":
                started = Stage(record["stage"])
                stale = [stage for stage in stale if stage != started]
        return min(stale, key=list(Stage).index, default=None)

    def reconsider(self, stage: Stage) -> Gate:
        """Evaluate the gate of a stage that has run against the decisions as they stand now."""
        record = self._records[stage]
        findings = decide(record.findings, self.deployment.decisions)
        gate = gate_of(findings)
        self._records[stage] = dataclasses.replace(record, findings=findings, status=Status(gate.value))
        self._journal_gate(self._records[stage])
        return gate

    def restore(self) -> tuple[Stage, ...]:
        """Take up a run that ended early: stages that finished keep their results.  Returns those taken over."""
        taken: list[Stage] = []
        for stage in Stage:
            finished = self.deployment.journal.last("stage_finished", stage=str(stage))
            if finished is None or Status(finished["status"]) not in FINISHED:
                break
            if finished.get("result_sha256") != self.deployment.results.digest(stage):
                break
            self._records[stage] = StageRecord(
                stage,
                Status(finished["status"]),
                float(finished["seconds"]),
                self._findings_of(stage, finished["findings"]),
                finished["summary"],
            )
            taken.append(stage)
        return tuple(taken)

    def _findings_of(self, stage: Stage, journaled: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
        """The findings of a finished stage with the decisions about them, and with the evidence that its result holds."""
        kind = RESULT_KINDS.get(stage)
        if kind is None or not self.deployment.results.has(stage):
            return tuple(_finding(f) for f in journaled)
        return decide(self.deployment.results.load(stage, kind).findings, self.deployment.decisions)

    def forget(self, stage: Stage) -> None:
        """Let a stage, and all that come after it, run again."""
        for later in list(Stage)[list(Stage).index(stage) :]:
            self._records[later] = StageRecord(later)
            self.deployment.results.forget(later)

    def _take_up(self) -> None:
        """Go on after an earlier call: a stop that was carried out is over, and what is stale runs again."""
        if self.outcome is not None:
            self.outcome = None
            self.reporter.go_on()
            self.deployment.journal.write(
                "run_resumed", after=[str(r.stage) for r in self.records if r.status in FINISHED]
            )
        if (stale := self.stale_from()) is not None:
            self.forget(stale)

    def _run_stage(self, stage: Stage) -> None:
        run, reporter = self.deployment, self.reporter
        reporter.begin(stage)
        reporter.check()
        if stage is Stage.CANARY and run.skip_canary:
            self._finish(StageRecord(stage, Status.SKIPPED, summary={"reason": "skipped by --skip-canary"}), None)
            return
        self._records[stage] = StageRecord(stage, Status.RUNNING)
        run.results.forget(stage)
        run.journal.write("stage_started", stage=str(stage))
        reporter.event("StageStarted", f"{stage} started")
        began = time.monotonic()
        try:
            result = self._recipes[stage](run, reporter)
        except (psycopg.Error, sqlite3.Error, EnvironmentFailed) as error:
            # What a wish to stop broke off is no failure of what was broken off.
            cause = reporter.stop_wish or error
            self._stage_failed(stage, cause, time.monotonic() - began)
            if cause is error:
                raise
            raise cause from None
        except BaseException as error:
            self._stage_failed(stage, error, time.monotonic() - began)
            raise
        seconds = time.monotonic() - began
        findings = decide(result.findings, self._decisions_on(result.findings))
        status = Status(gate_of(findings).value)
        self._finish(StageRecord(stage, status, seconds, findings, result.summary), run.results.save(stage, result))
        if status not in FINISHED:
            stopped = _stopped_at_gate(stage, findings)
            self._name_what_stays(stopped)
            raise stopped

    def _decisions_on(self, findings: Sequence[Finding]) -> Sequence[Decision]:
        """The decisions as they stand; with ``--yes``, every open review is agreed to and that is recorded."""
        run = self.deployment
        if run.agreed:
            for finding in decide(findings, run.decisions):
                if finding.is_open and finding.severity is Severity.REVIEW:
                    run.decide(
                        Decision(
                            finding.rule,
                            _agreement(finding),
                            "agreed beforehand with --yes",
                            finding.table,
                            finding.column,
                        )
                    )
        return run.decisions

    def _finish(self, record: StageRecord, result_sha256: str | None) -> None:
        self._records[record.stage] = record
        run = self.deployment
        run.journal.write(
            "stage_finished",
            stage=str(record.stage),
            status=str(record.status),
            seconds=round(record.seconds, 3),
            summary=dict(record.summary),
            findings=[finding_as_json(f) for f in record.findings],
            result_sha256=result_sha256,
        )
        level = "info" if record.status in FINISHED else "warning"
        self.reporter.event(
            "StageFinished",
            f"{record.stage} {record.status} in {record.seconds:.1f} s",
            level=level,
            status=str(record.status),
            seconds=round(record.seconds, 3),
        )
        self._tell(record.findings)
        if record.stage in DURATIONS:
            run.metrics.set(DURATIONS[record.stage], record.seconds)
        self._save_metrics()

    def _journal_gate(self, record: StageRecord) -> None:
        self._finish(record, self.deployment.results.digest(record.stage))

    def _name_what_stays(self, error: SdetlError) -> None:
        """A backup, and a candidate that waits for its switch, are left behind, whatever stopped the run."""
        run = self.deployment
        stands = self._records[Stage.MIGRATE].status in FINISHED and run.journal.last("switched") is None
        if not stands and error.left_behind == NOTHING and self._records[Stage.BACKUP].status in FINISHED:
            error.left_behind = "the run's folder with its backup; nothing new in the target"
        if not stands or run.version in error.left_behind:
            return
        candidate = f"the candidate {run.version} in the target, not live"
        said = error.left_behind
        for words in ("the candidate, not live", "nothing new in the target", "nothing"):
            if words in said:
                error.left_behind = said.replace(words, candidate, 1)
                return
        error.left_behind = f"{candidate}; {said}"

    def _stage_failed(self, stage: Stage, error: BaseException, seconds: float) -> None:
        if isinstance(error, SdetlError):
            self._name_what_stays(error)
        status = Status.CANCELLED if isinstance(error, (Cancelled, KeyboardInterrupt)) else Status.FAILED
        record = StageRecord(stage, status, seconds)
        if isinstance(error, ValidationFailed) and error.result is not None:
            # What a stage found that failed by its own verdict is there for the documents and the screens.
            findings = decide(error.result.findings, self.deployment.decisions)
            record = dataclasses.replace(record, findings=findings, summary=error.result.summary)
            self.deployment.results.save(stage, error.result)
        self._records[stage] = record
        self.deployment.metrics.error(stage)
        self._save_metrics()
        fields = error.as_json() if isinstance(error, SdetlError) else {"kind": "defect", "type": type(error).__name__}
        self.deployment.journal.write(
            "stage_failed",
            stage=str(stage),
            status=str(status),
            error=fields,
            summary=dict(record.summary),
            findings=[finding_as_json(f) for f in record.findings],
        )
        self._tell(record.findings)

    def _tell(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if finding.severity is not Severity.INFO:
                self.reporter.event(
                    "FindingMade", f"{finding.rule}: {finding.message}", level="warning", rule=finding.rule
                )

    def _save_metrics(self) -> None:
        health = measure(self.deployment.folder.path)
        self.deployment.metrics.set("etl_disk_space_gb", health.free_bytes / 10**9)
        self.deployment.metrics.set("etl_memory_usage_percent", health.memory_used * 100)
        try:
            self.deployment.metrics.save()
        except OSError as error:
            self.deployment.log.write("warning", None, f"metrics were not written: {error.strerror}")

    def _failed(self, error: SdetlError) -> Outcome:
        if isinstance(error, Cancelled):
            kind = OutcomeKind.CANCELLED
        elif isinstance(error, GateStopped):
            kind = OutcomeKind.HALTED
        else:
            kind = OutcomeKind.FAILED
        return self._end(Outcome(kind, error.exit_code, self.records, error))

    def _defect(self, error: Exception) -> Outcome:
        """A traceback goes to the log, without values of variables; the person gets one line."""
        frames = [
            f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in traceback.extract_tb(sys.exc_info()[2])
        ]
        self.deployment.log.write("error", self.reporter.stage, f"defect: {type(error).__name__}", frames=frames)
        defect = SdetlError(
            f"a defect in sdetl ({type(error).__name__} at {frames[-1] if frames else '?'})",
            left_behind="the source untouched, the version that was live still live",
            next_step=f"report it with {self.deployment.folder.log}; it holds no data of yours",
        )
        return self._end(Outcome(OutcomeKind.FAILED, ExitCode.DEFECT, self.records, defect))

    def _paused(self) -> Outcome:
        self.deployment.journal.write("run_paused", after=[str(r.stage) for r in self.records if r.status in FINISHED])
        self.reporter.event("RunPaused", "waiting for the operator")
        return Outcome(OutcomeKind.VALIDATED, ExitCode.DONE, self.records)

    def _ended_well(self) -> Outcome:
        live = self._records[Stage.CUTOVER].status in FINISHED
        return self._end(Outcome(OutcomeKind.LIVE if live else OutcomeKind.VALIDATED, ExitCode.DONE, self.records))

    def _end(self, outcome: Outcome) -> Outcome:
        error: dict[str, Any] = {"error": outcome.error.as_json()} if outcome.error else {}
        self.deployment.journal.write("run_ended", outcome=str(outcome.kind), exit_code=int(outcome.exit_code), **error)
        message = outcome.error.message if outcome.error else f"run ended: {outcome.kind}"
        self._write_documents(outcome)
        self.reporter.event("RunEnded", message, level="error" if outcome.error else "info", outcome=str(outcome.kind))
        return outcome

    def _write_documents(self, outcome: Outcome) -> None:
        """A report that cannot be written costs a warning, never what the run has done."""
        try:
            self._at_end(self.deployment, self.records, outcome)
        except (OSError, SdetlError) as error:
            self.reporter.event("ReportNotWritten", f"the report was not written: {error}", level="warning")


def finding_as_json(finding: Finding) -> dict[str, Any]:
    """A finding as ``run --json`` and the journal have it: no evidence, since that holds values."""
    fields: dict[str, Any] = {
        "rule": finding.rule,
        "severity": str(finding.severity),
        "table": finding.table,
        "column": finding.column,
        "count": finding.count,
        "fraction": finding.fraction,
        "message": finding.message,
        "advice": finding.advice,
        "choices": [str(c) for c in finding.choices],
        "suggestion": finding.suggestion,
    }
    if finding.decision is not None:
        fields["decision"] = {k: v for k, v in dataclasses.asdict(finding.decision).items() if v is not None}
    return {k: v for k, v in fields.items() if v is not None}


def _finding(fields: Mapping[str, Any]) -> Finding:
    decision = fields.get("decision")
    return Finding(
        rule=fields["rule"],
        severity=Severity(fields["severity"]),
        message=fields["message"],
        advice=fields["advice"],
        table=fields.get("table"),
        column=fields.get("column"),
        count=fields["count"],
        fraction=fields.get("fraction"),
        choices=tuple(Choice(c) for c in fields["choices"]),
        suggestion=fields.get("suggestion"),
        decision=Decision(**{**decision, "choice": Choice(decision["choice"])}) if decision else None,
    )


def _agreement(finding: Finding) -> Choice:
    """What "yes" means: accept where that is open, else the first choice that loses nothing."""
    if Choice.ACCEPT in finding.choices or not finding.choices:
        return Choice.ACCEPT
    return Choice.QUARANTINE if Choice.QUARANTINE in finding.choices else finding.choices[0]


def _stopped_at_gate(stage: Stage, findings: Sequence[Finding]) -> GateStopped:
    blocking = [f for f in findings if f.is_open]
    worst = [f for f in blocking if f.severity is Severity.HALT] or blocking
    more = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
    if worst[0].severity is Severity.HALT:
        return GateStopped(
            f"{stage} halted: {worst[0].message}{more}",
            left_behind="the source untouched; the run's folder with backup and findings; nothing new in the target",
            next_step=worst[0].advice,
            kind="halted",
        )
    return GateStopped(
        f"{stage} needs your agreement: {worst[0].message}{more}",
        left_behind="the source untouched; the run's folder with backup and findings",
        next_step=f"{worst[0].advice}; or agree with --yes",
        kind="review",
    )
