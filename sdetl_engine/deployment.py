"""One run: its folder, lock, settings, decisions, target, and the results of its stages.

A stage takes what it needs from here.  Nothing in here knows the order of stages.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from sdetl_engine import decisions as decisions_module
from sdetl_engine.errors import LockHeld, UsageError
from sdetl_engine.files import private_folder, write_atomically
from sdetl_engine.findings import Choice, Decision
from sdetl_engine.journal import Journal
from sdetl_engine.observe.log import RunLog
from sdetl_engine.observe.metrics import Metrics
from sdetl_engine.postgres.locks import operator, run_lock
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.results import ResultStore
from sdetl_engine.settings import PlanDecision, Settings, dump_plan
from sdetl_engine.workspace import RunFolder, Workspace


class Deployment:
    """One run.  Use as a context manager: leaving closes connections, locks and files.

    ``source`` is absolute.  ``session`` is the way to the target, None when the run needs none (a stage on
    its own).  ``agreed`` says that review findings and the cutover were agreed to beforehand (``--yes``).
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: RunFolder,
        source: Path,
        session: TargetSession | None,
        settings: Settings,
        *,
        skip_canary: bool = False,
    ) -> None:
        self.workspace = workspace
        self.folder = folder
        self.source = source
        self.session = session
        self.plan_settings = settings
        self.skip_canary = skip_canary
        self.agreed = False
        self.grafana_token: str | None = None
        """What somebody typed; where nobody did, the environment's is taken.  Never written anywhere."""
        self.who = operator()
        self._closing = contextlib.ExitStack()
        self._lock_folder()
        private_folder(folder.backup)
        self.journal = Journal(folder.journal)
        self.log = RunLog(folder.log, folder.run_id)
        self._closing.callback(self.log.close)
        self.metrics = Metrics(workspace.metrics)
        self.results = ResultStore(folder.results)
        self._target_lock: psycopg.Connection[Any] | None = None
        self._target_hold = contextlib.ExitStack()
        self._made = [_decision(r["decision"]) for r in self.journal.records if r["event"] == "decision_made"]
        if session is not None:
            self._closing.callback(session.close)
        self._closing.callback(self.release_target_lock)

    def __enter__(self) -> Deployment:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.folder.run_id

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Decisions of the plan, then those made in this run, oldest first."""
        return (*self.plan_settings.standing_decisions, *self._made)

    @property
    def settings(self) -> Settings:
        """The settings as they are in force: the plan's, with every decision carried out."""
        return decisions_module.effective(self.plan_settings, self.decisions)

    @property
    def version(self) -> str:
        """The name of the version that this run loads."""
        return f"{self.settings.serving_schema}_v{self.folder.stamp}"

    def decide(self, decision: Decision) -> None:
        """Record a decision for ever: journal first, then the run's plan.  Raises UsageError for one that cannot be."""
        if not decision.reason.strip():
            raise UsageError(f"a decision about {decision.rule} needs a reason", next_step="say why in a few words")
        decisions_module.check(decision)
        decision = _stamped(decision, self.who)
        self.journal.write("decision_made", decision=_as_json(decision))
        self._made.append(decision)
        self.save_plan()

    def save_plan(self) -> None:
        """Write ``plan.toml``: enough to repeat the run."""
        made = tuple(PlanDecision(**_as_json(d)) for d in self._made)
        settings = self.plan_settings.model_copy(update={"decisions": (*self.plan_settings.decisions, *made)})
        write_atomically(self.folder.plan, dump_plan(settings))

    def target(self) -> TargetSession:
        """The way to the target.  Raises UsageError when the run has none."""
        if self.session is None:
            raise UsageError("this needs a target", next_step="name one with --target")
        return self.session

    @property
    def pool(self) -> ConnectionPool[psycopg.Connection[Any]]:
        """Connections of the run, opened at the first use."""
        return self.target().pool

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of its own to the target, to be closed by the caller."""
        return self.target().connect()

    def hold_target_lock(self) -> None:
        """Take the lock of target and serving schema, for as long as this run is open.  Raises LockHeld."""
        if self._target_lock is not None:
            return
        with contextlib.ExitStack() as held:
            connection = held.enter_context(self.connect())
            connection.autocommit = True
            held.enter_context(run_lock(connection, self.plan_settings.serving_schema))
            self._target_hold = held.pop_all()
        self._target_lock = connection

    def release_target_lock(self) -> None:
        """Give the lock back before the run ends; ``hold_target_lock`` takes it again."""
        self._target_lock = None
        self._target_hold.close()

    @property
    def target_lock(self) -> psycopg.Connection[Any] | None:
        """The session that holds the lock, or None."""
        return self._target_lock

    def _lock_folder(self) -> None:
        descriptor = os.open(self.folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
        self._closing.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            self._closing.close()
            raise LockHeld(
                f"run {self.folder.run_id} is being worked on by {holder or 'another process'}",
                next_step="wait until it has finished, or end it there",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{self.who}, process {os.getpid()}\n".encode(), 0)


def is_busy(folder: RunFolder) -> bool:
    """True while some process works on the run."""
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _stamped(decision: Decision, who: str) -> Decision:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return dataclasses.replace(decision, who=decision.who or who, when=decision.when or when)


def _as_json(decision: Decision) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(decision).items() if v is not None}


def _decision(fields: dict[str, Any]) -> Decision:
    return Decision(**{**fields, "choice": Choice(fields["choice"])})
