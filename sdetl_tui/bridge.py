"""Between the screens and the engine: the only file that knows threads.

The engine works in its own thread (``Runner.start``); what takes a moment beside it (asking the target for versions,
rolling back) runs as a ``Job`` in a thread of its own.  Nothing calls into the screens from there: the app calls
``poll`` a few times a second, gets a ``Pulse``, and jobs hand over their results inside that call.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import sdetl_engine as engine
from sdetl_engine import (
    Event,
    ExitCode,
    RateMeter,
    SdetlError,
    Snapshot,
)
from sdetl_tui.wizard import Situation

if TYPE_CHECKING:
    from sdetl_engine import (
        Decision,
        Finding,
        Gate,
        Health,
        Outcome,
        Runner,
        RunState,
        Settings,
        Stage,
        StageRecord,
        Workspace,
    )

_LOG_LINES = 2000
_RATES = 240
_TOLD = 12
_HEALTH_SECONDS = 5.0
_AGREEMENT = "CUTOVER-AGREEMENT"


class Engine(Protocol):
    """What the wizard asks of the engine beside a runner.  ``sdetl_engine`` itself fits; tests give another."""

    def start_run(self, workspace: Workspace, source: Path, target: str | None, settings: Settings) -> Runner:
        """A new run."""

    def resume_run(self, workspace: Workspace, run_id: str) -> Runner:
        """A run taken up again."""

    def run_states(self, workspace: Workspace) -> list[RunState]:
        """Every run of the workspace."""


@dataclasses.dataclass(frozen=True, slots=True)
class LogLine:
    """One fact of the engine as the drawer shows it.  ``at`` is local time, HH:MM:SS."""

    at: str
    level: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Pulse:
    """What a look at the engine found.  ``remaining`` in seconds, None where it cannot be told honestly."""

    situation: Situation
    snapshot: Snapshot | None = None
    per_second: float | None = None
    remaining: float | None = None
    elapsed: float = 0.0
    """Seconds since the stage at work began; 0 while nothing works."""
    rates: tuple[float, ...] = ()
    health: Health | None = None
    log_count: int = 0
    told: tuple[LogLine, ...] = ()
    """What the stage at work has told since it began, the newest last."""


class JobReporter:
    """The engine's side of a job that tells what it does and can be stopped.  Thread-safe; see ``Reporter``."""

    def __init__(self) -> None:
        self.latest: Snapshot | None = None
        self.events: list[Event] = []
        self._stop = threading.Event()
        self._interrupts: list[Callable[[], None]] = []
        self._mutex = threading.Lock()

    def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
        """Replace the snapshot."""
        before = self.latest
        started = before.started if before is not None and before.what == what else time.monotonic()
        self.latest = Snapshot(what, done, total, unit, started)

    def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
        """Keep the fact."""
        self.events.append(Event(name, message, context, level))

    def check(self) -> None:
        """Raise Cancelled once a stop was asked for."""
        if self._stop.is_set():
            raise engine.Cancelled

    @contextlib.contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Call ``interrupt`` from the stopping thread while the block runs."""
        self.check()
        with self._mutex:
            self._interrupts.append(interrupt)
        try:
            yield
        finally:
            with self._mutex:
                self._interrupts.remove(interrupt)

    def stop(self) -> None:
        """Ask the job to stop at its next safe point."""
        self._stop.set()
        with self._mutex:
            waiting = list(self._interrupts)
        for interrupt in waiting:
            interrupt()


@dataclasses.dataclass(slots=True)
class Job:
    """Something that runs beside the screens.  ``error`` is what the engine raised."""

    name: str
    then: Callable[[Job], None]
    only_looks: bool = True
    result: Any = None
    error: SdetlError | None = None
    is_done: bool = False
    reporter: JobReporter = dataclasses.field(default_factory=JobReporter)
    started: float = dataclasses.field(default_factory=time.monotonic)


class Bridge:
    """One session of the wizard over one workspace: at most one run, and small jobs beside it."""

    def __init__(
        self, workspace: Workspace, *, face: Engine | None = None, read_only: bool = False, dry_run: bool = False
    ) -> None:
        self.workspace = workspace
        self.read_only = read_only
        self.dry_run = dry_run
        self.runner: Runner | None = None
        self.log: collections.deque[LogLine] = collections.deque(maxlen=_LOG_LINES)
        self.rolled_back = False
        self._face: Engine = face if face is not None else engine
        self._jobs: list[Job] = []
        self._reporters: dict[str, JobReporter] = {}
        self._meter = RateMeter()
        self._rates: collections.deque[float] = collections.deque(maxlen=_RATES)
        self._work_began: float | None = None
        self._told: collections.deque[LogLine] = collections.deque(maxlen=_TOLD)
        self._health: tuple[float, Health] | None = None
        self._log_count = 0

    # runs

    def begin(self, source: Path, target: str | None, settings: Settings) -> None:
        """Begin a new run; the one before, if any, is closed and can be resumed.  Raises SdetlError."""
        self.take(self._face.start_run(self.workspace, source, target, settings))

    def open_run(self, run_id: str) -> Runner:
        """Open a run that ended early, for ``take``.  Checks its files: not for the screens' thread.  Raises SdetlError."""
        if self.runner is not None and self.runner.deployment.run_id == run_id:
            return self.runner
        return self._face.resume_run(self.workspace, run_id)

    def take(self, runner: Runner) -> None:
        """Make a run the one at hand; the one before is closed and can be taken up again."""
        if runner is self.runner:
            return
        self.close()
        self.runner = runner
        self._rates.clear()

    def run_states(self) -> list[RunState]:
        """Every run of the workspace, newest first."""
        return self._face.run_states(self.workspace)

    def run(self, until: Stage) -> None:
        """Let the engine work until that stage is finished, or something needs the operator."""
        runner = self._the_runner()
        self._rates.clear()
        self._work_began = time.monotonic()
        runner.start(until, pausing=True)

    def decide(self, made: Sequence[tuple[Stage, Decision]], *, reconsider: bool = True) -> dict[Stage, Gate]:
        """Record decisions and evaluate the gates of their stages again at once.  Raises UsageError."""
        runner = self._the_runner()
        for _, decision in made:
            runner.deployment.decide(decision)
        return {stage: runner.reconsider(stage) for stage in dict.fromkeys(s for s, _ in made)} if reconsider else {}

    def forget(self, stage: Stage) -> None:
        """Let a stage, and what comes after it, run again."""
        self._the_runner().forget(stage)

    def release_target(self) -> None:
        """Give the lock on the target back, for a rollback in a session of its own; the next stage takes it again."""
        if self.runner is not None:
            self.runner.deployment.release_target_lock()

    def would_be(self, decisions: Sequence[Decision], stage: Stage) -> Gate:
        """What the gate of that stage would be with these decisions on top of those that stand.  Changes nothing."""
        runner = self._the_runner()
        findings = [dataclasses.replace(f, decision=None) for f in runner.record(stage).findings]
        return engine.gate_of(engine.decide(findings, (*runner.deployment.decisions, *decisions)))

    def stop(self, code: ExitCode = ExitCode.CANCELLED) -> None:
        """Ask the stage at work, and the jobs beside it, to stop at their next safe points."""
        for job in self._jobs:
            job.reporter.stop()
        if self.is_running:
            self._the_runner().reporter.request_stop(code)

    @property
    def is_running(self) -> bool:
        """True while the engine's thread works."""
        return self.runner is not None and self.runner.is_running

    @property
    def is_busy(self) -> bool:
        """True while a stage is at work, or a job that changes something."""
        return self.is_running or any(not job.only_looks for job in self._jobs)

    @property
    def findings(self) -> tuple[tuple[Stage, Finding], ...]:
        """The findings of all stages, each with its stage."""
        return tuple((r.stage, f) for r in self.records for f in r.findings)

    @property
    def records(self) -> tuple[StageRecord, ...]:
        """The ten stages, or none while there is no run."""
        return self.runner.records if self.runner is not None else ()

    @property
    def outcome(self) -> Outcome | None:
        """How the last piece of work ended."""
        return self.runner.outcome if self.runner is not None else None

    # looking

    def situation(self) -> Situation:
        """What decides which action is possible."""
        runner = self.runner
        if runner is None:
            return Situation(read_only=self.read_only, dry_run=self.dry_run)
        running = runner.is_running
        records = runner.records
        return Situation(
            records=records,
            running=running,
            stopping=running and runner.reporter.is_stopping,
            stale_from=None if running else runner.stale_from(),
            outcome=None if running else runner.outcome,
            read_only=self.read_only,
            dry_run=self.dry_run,
            cutover_agreed=any(d.rule == _AGREEMENT for d in runner.deployment.decisions),
        )

    def poll(self) -> Pulse:
        """Look at the engine once, and hand over what jobs have found."""
        for job in [job for job in self._jobs if job.is_done]:
            self._jobs.remove(job)
            job.then(job)
        self._drain()
        situation = self.situation()
        snapshot = self.runner.reporter.latest if self.runner is not None and situation.running else None
        rate = remaining = None
        if snapshot is not None:
            self._meter.update(snapshot)
            rate = self._meter.per_second
            remaining = self._meter.remaining_seconds(snapshot)
            self._rates.append(rate or 0.0)
        return Pulse(
            situation=situation,
            snapshot=snapshot,
            per_second=rate,
            remaining=remaining,
            elapsed=self._elapsed(running=situation.running),
            rates=tuple(self._rates),
            health=self._measure(running=situation.running),
            log_count=self._log_count,
            told=tuple(self._told) if situation.running else (),
        )

    # jobs

    def start_job(
        self, name: str, work: Callable[[], Any], then: Callable[[Job], None], *, only_looks: bool = True
    ) -> None:
        """Run ``work`` beside the screens; ``then`` gets the job inside a later ``poll``.  One of a name at a time.

        ``only_looks``: it changes nothing, so nobody needs to be asked before it is cut off.
        """
        if any(job.name == name for job in self._jobs):
            return
        job = Job(name, then, only_looks)
        self._reporters[name] = job.reporter
        self._start(job, work)

    def look_beside(
        self, name: str, work: Callable[[JobReporter], Any], then: Callable[[Job], None]
    ) -> Callable[[], None]:
        """Read something beside the screens, any number of a name at a time.  What is returned leaves it off: it is
        stopped, and ``then`` is never called."""
        job = Job(name, then)

        def leave_off() -> None:
            job.then = _forget
            job.reporter.stop()

        self._start(job, lambda: work(job.reporter))
        return leave_off

    def _start(self, job: Job, work: Callable[[], Any]) -> None:
        self._jobs.append(job)
        threading.Thread(target=_work, args=(job, work), name=f"sdetl-{job.name}", daemon=True).start()

    def job_reporter(self, name: str) -> JobReporter:
        """The reporter of a job that is at work; a fresh one for a new job of that name."""
        return self._reporters[name]

    def job_events(self, name: str) -> Sequence[Event]:
        """What the job of that name has told so far."""
        reporter = self._reporters.get(name)
        return tuple(reporter.events) if reporter is not None else ()

    @property
    def can_stop(self) -> bool:
        """True while something is at work that listens to a stop."""
        return self.is_running or bool(self._jobs)

    @property
    def jobs(self) -> tuple[str, ...]:
        """Names of what is at work beside the stages."""
        return tuple(job.name for job in self._jobs)

    # the end

    def close(self, seconds: float = 30.0) -> bool:
        """Wait for the engine's thread, then give the run's locks and connections back.  False when it did not end."""
        runner, self.runner = self.runner, None
        if runner is None:
            return True
        ended = runner.wait(seconds)
        if ended:
            with contextlib.suppress(SdetlError):
                runner.deployment.__exit__(None, None, None)
        return ended

    def _the_runner(self) -> Runner:
        if self.runner is None:
            raise engine.UsageError("there is no run yet", next_step="begin or resume one on the start screen")
        return self.runner

    def _drain(self) -> None:
        if self.runner is None:
            return
        events = self.runner.reporter.events
        while events:
            self._note(events.popleft())

    def _note(self, event: Event) -> None:
        self._log_count += 1
        if event.name == "StageStarted":
            self._work_began = time.monotonic()
            self._told.clear()
        noted = LogLine(time.strftime("%H:%M:%S"), event.level, event.message)
        self.log.append(noted)
        if event.name != "StageStarted":
            self._told.append(noted)

    def _elapsed(self, *, running: bool) -> float:
        if not running:
            self._work_began = None
        return time.monotonic() - self._work_began if self._work_began is not None else 0.0

    def _measure(self, *, running: bool) -> Health | None:
        now = time.monotonic()
        if running and (self._health is None or now - self._health[0] > _HEALTH_SECONDS):
            with contextlib.suppress(OSError):
                self._health = (now, engine.measure(self.workspace.root))
        return self._health[1] if self._health is not None else None


def _forget(job: Job) -> None:
    """What nobody waits for any more."""


def _work(job: Job, work: Callable[[], Any]) -> None:
    try:
        job.result = work()
    except SdetlError as error:
        job.error = error
    except Exception as error:  # noqa: BLE001 - a border: a job that dies must say so on the screen
        job.error = SdetlError(
            f"a defect in sdetl ({type(error).__name__})", next_step="report it with what you were doing", kind="defect"
        )
    job.is_done = True


def source_size(path: Path) -> int | None:
    """Bytes of a file, or None when it cannot be read."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None
