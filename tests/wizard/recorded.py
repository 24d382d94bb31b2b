"""A run whose work is done already: its records and results are real, its stages take no time.

``Recorded`` is what one real small run left: what its gates said first, and what they said once its marks were
declared.  ``Replay`` stands where the runner stands: started stages end in the instant they are started, as they did
in the real run, unless the test holds them at work.  No thread works, so keys are answered at once.
"""

from __future__ import annotations

import collections
import dataclasses
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from sdetl_engine import (
    Cancelled,
    Decision,
    Deployment,
    Event,
    ExitCode,
    Gate,
    GateStopped,
    Outcome,
    OutcomeKind,
    Runner,
    RunState,
    Settings,
    Snapshot,
    Stage,
    StageRecord,
    Status,
    Workspace,
    decide,
    effective,
    gate_of,
    takes_effect_in,
)
from sdetl_engine.checklist import FINISHED


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """One real run: the deployment with its files, and its stages as they ended."""

    deployment: Deployment
    first: StageRecord
    """The profile as it was first: halted."""
    stages: Mapping[Stage, StageRecord]
    """Every stage as it ended, the decisions taken off again."""


class _Reporter:
    """The engine's side of the conversation, for one thread."""

    def __init__(self) -> None:
        self.latest: Snapshot | None = None
        self.events: collections.deque[Event] = collections.deque()
        self.is_stopping = False
        self.stopped_with: ExitCode | None = None

    def request_stop(self, exit_code: ExitCode = ExitCode.CANCELLED) -> None:
        self.is_stopping = True
        self.stopped_with = exit_code


class _Deployment:
    """The run's files and target as they are, with decisions of this replay alone."""

    def __init__(self, real: Deployment) -> None:
        self._real = real
        self.made: list[Decision] = []
        self.is_closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(self.made)

    @property
    def settings(self) -> Settings:
        return effective(self._real.plan_settings, self.made)

    def decide(self, decision: Decision) -> None:
        self.made.append(dataclasses.replace(decision, who="me@here"))

    def release_target_lock(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        self.is_closed = True


class Replay:
    """A runner over a recorded run.  ``holds``: started stages stay at work until ``let_go``."""

    def __init__(self, recorded: Recorded, finished: Stage | None = None, *, holds: bool = False) -> None:
        self.deployment = _Deployment(recorded.deployment)
        self.reporter = _Reporter()
        self.outcome: Outcome | None = None
        self.holds = holds
        self.started: list[Stage] = []
        """Every stage that was begun, in order."""
        self.fails: dict[Stage, Exception] = {}
        self.records: tuple[StageRecord, ...] = tuple(StageRecord(stage) for stage in Stage)
        self._recorded = recorded
        self._until: Stage | None = None
        self._stale: Stage | None = None
        if finished is not None:
            self._pass(finished)

    def as_runner(self) -> Runner:
        """For whoever wants a runner: it has all of it that the wizard uses."""
        return cast("Runner", self)

    @property
    def is_running(self) -> bool:
        return self._until is not None

    def record(self, stage: Stage) -> StageRecord:
        return next(r for r in self.records if r.stage is stage)

    def put(self, record: StageRecord) -> None:
        """Let a stage stand like this."""
        self.records = tuple(record if r.stage is record.stage else r for r in self.records)

    def start(self, until: Stage, *, pausing: bool = False) -> None:
        assert not self.is_running
        if self._stale is not None:
            self.forget(self._stale)
            self._stale = None
        self.reporter.is_stopping = False
        self.outcome = None
        self._until = until
        self._begin_next()
        if not self.holds:
            self.let_go()

    def let_go(self) -> None:
        """Let what is at work come to its end: as it did, or stopped where a stop was asked for."""
        until, stages = self._until, list(Stage)
        while self.is_running and until is not None:
            stage = next(r.stage for r in self.records if r.status is Status.RUNNING)
            if self.reporter.is_stopping:
                self.put(StageRecord(stage, Status.CANCELLED))
                self._end(OutcomeKind.CANCELLED, ExitCode.CANCELLED, Cancelled("cancelled by the operator"))
                return
            self.put(self._ended(stage))
            if (status := self.record(stage).status) not in FINISHED:
                stop = GateStopped(f"{stage} is {status}", next_step="decide")
                self._end(OutcomeKind.HALTED, ExitCode.GATE, stop)
                return
            if stages.index(stage) >= stages.index(until):
                self._end(OutcomeKind.VALIDATED, ExitCode.DONE)
                return
            self._begin_next()

    def wait(self, timeout: float | None = None) -> bool:
        return not self.is_running

    def stale_from(self) -> Stage | None:
        return self._stale

    def reconsider(self, stage: Stage) -> Gate:
        record = self.record(stage)
        findings = decide(record.findings, self.deployment.decisions)
        gate = gate_of(findings)
        self.put(dataclasses.replace(record, findings=findings, status=Status(gate.value)))
        effects = [takes_effect_in(d.choice) for d in self.deployment.decisions]
        self._stale = next((e for e in Stage if e in effects and self.record(e).status is not Status.PENDING), None)
        return gate

    def forget(self, stage: Stage) -> None:
        for later in list(Stage)[list(Stage).index(stage) :]:
            self.put(StageRecord(later))

    def _pass(self, last: Stage) -> None:
        for stage in list(Stage)[: list(Stage).index(last) + 1]:
            self.put(dataclasses.replace(self._recorded.stages[stage], status=Status.PASSED))

    def _begin_next(self) -> None:
        stage = next(r.stage for r in self.records if r.status not in FINISHED)
        self.started.append(stage)
        self.put(StageRecord(stage, Status.RUNNING))
        self.reporter.events.append(Event("StageStarted", f"{stage} started", {}, "info"))

    def _ended(self, stage: Stage) -> StageRecord:
        declared = any(d.choice == "mark-missing" for d in self.deployment.decisions)
        is_first = stage is Stage.PROFILE and not declared
        record = self._recorded.first if is_first else self._recorded.stages[stage]
        findings = decide(record.findings, self.deployment.decisions)
        return dataclasses.replace(record, findings=findings, status=Status(gate_of(findings).value))

    def _end(self, kind: OutcomeKind, code: ExitCode, error: Any = None) -> None:
        self._until = None
        self.outcome = Outcome(kind, code, self.records, error)


class Face:
    """What the wizard asks of the engine: runs that are begun or taken up are replays."""

    def __init__(self, recorded: Recorded, states: Sequence[RunState] = ()) -> None:
        self.replay = Replay(recorded)
        self.states = list(states)
        self.asked = types.SimpleNamespace(source=None, target=None, resumed=None)

    def start_run(self, workspace: Workspace, source: Path, target: str | None, settings: Settings) -> Runner:
        self.asked.source, self.asked.target = source, target
        return self.replay.as_runner()

    def resume_run(self, workspace: Workspace, run_id: str) -> Runner:
        self.asked.resumed = run_id
        return self.replay.as_runner()

    def run_states(self, workspace: Workspace) -> list[RunState]:
        return self.states
