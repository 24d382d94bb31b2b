"""Ways in which a run is interrupted: between two stages, at a safe point inside one, and by a real SIGKILL."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from hypothesis import strategies as st

from sdetl_engine import Settings, Stage, Workspace, load_settings, resume_run, run_states, start_run
from sdetl_engine.deployment import Deployment
from sdetl_engine.runner import RunReporter
from tests.migrating import Ended, finish


def end_backend(watcher: psycopg.Connection[Any], pid: int) -> None:
    """Have the server end a session, and wait until it is gone.  ``watcher``: another session, in autocommit mode."""
    watcher.execute("SELECT pg_terminate_backend(%s)", [pid])
    while watcher.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
        pass


@dataclasses.dataclass(frozen=True, slots=True)
class AfterStage:
    """The run is told to end with that stage."""

    stage: Stage


@dataclasses.dataclass(frozen=True, slots=True)
class AtCheck:
    """A stop is asked for when the run asks for the so-many-th time whether there is one."""

    number: int


@dataclasses.dataclass(frozen=True, slots=True)
class KilledAtCheck:
    """The run's process dies of SIGKILL when it asks for the so-many-th time."""

    number: int


@dataclasses.dataclass(frozen=True, slots=True)
class KilledAfter:
    """The run's process dies of SIGKILL after so many seconds."""

    seconds: float


Interruption = None | AfterStage | AtCheck | KilledAtCheck | KilledAfter
MOST_CHECKS = 250
"""Somewhat more than a run over a small database makes."""
GENTLE = st.one_of(
    st.none(),
    st.builds(AfterStage, st.sampled_from(list(Stage)[:8])),
    st.builds(AtCheck, st.integers(1, MOST_CHECKS)),
)
DEADLY = st.one_of(
    st.builds(KilledAtCheck, st.integers(1, MOST_CHECKS)),
    st.builds(KilledAfter, st.floats(0.05, 2.5)),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Gone:
    """A run that went through: its id, what it failed of if it did, and whether it really was interrupted."""

    run_id: str
    error: str | None
    was_interrupted: bool


def run_through(source: Path, conninfo: str, space: Path, settings: Sequence[str], interruption: Interruption) -> Gone:
    """A run to its end, interrupted on the way and taken up again."""
    chosen = load_settings(assignments=settings)
    if isinstance(interruption, (KilledAtCheck, KilledAfter)):
        was_killed = _killed(source, conninfo, space, settings, interruption)
        return _taken_up(source, conninfo, space, chosen, was_killed)
    runner = start_run(Workspace(space), source, conninfo, chosen, skip_canary=interruption is None)
    if isinstance(interruption, AtCheck):
        runner.reporter = _Stopping(runner.deployment, interruption.number)
    first = finish(runner, interruption.stage if isinstance(interruption, AfterStage) else Stage.REPORT)
    if first.document["outcome"] == "live" or first.document["exit_code"] not in (0, 130):
        return _gone(first, False)
    return _gone(finish(resume_run(Workspace(space), first.document["run_id"])), True)


def _taken_up(source: Path, conninfo: str, space: Path, settings: Settings, was_killed: bool) -> Gone:
    """What somebody does who finds a run of a process that is no more: go on with it, or begin if it never began."""
    workspace = Workspace(space)
    for state in run_states(workspace) if space.exists() else ():
        if state.outcome == "live":
            return Gone(state.run_id, None, was_killed)
        if state.is_resumable:
            return _gone(finish(resume_run(workspace, state.run_id)), was_killed)
    return _gone(finish(start_run(workspace, source, conninfo, settings)), was_killed)


def _gone(ended: Ended, was_interrupted: bool) -> Gone:
    error = None if ended.document["outcome"] == "live" else str(ended.document.get("error", ended.document["outcome"]))
    return Gone(ended.document["run_id"], error, was_interrupted)


class _Stopping(RunReporter):
    """Somebody asks for a stop at the so-many-th safe point."""

    def __init__(self, run: Deployment, number: int) -> None:
        super().__init__(run)
        self._left = number

    def check(self) -> None:
        """One more."""
        self._left -= 1
        if not self._left:
            self._reached()
        super().check()

    def _reached(self) -> None:
        self.request_stop()


class _Dying(_Stopping):
    """Nobody asks: the process is gone."""

    def _reached(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _killed(
    source: Path, conninfo: str, space: Path, settings: Sequence[str], interruption: KilledAtCheck | KilledAfter
) -> bool:
    """Run in a process of its own; True when it died on the way."""
    at = interruption.number if isinstance(interruption, KilledAtCheck) else 0
    after = interruption.seconds if isinstance(interruption, KilledAfter) else 0
    words = [str(source), conninfo, str(space), str(at), str(after), *settings]
    child = subprocess.run([sys.executable, "-m", "tests.interrupting", *words], check=False, timeout=120)
    return child.returncode == -signal.SIGKILL


def _die_on_the_way(source: str, conninfo: str, space: str, at: str, after: str, *settings: str) -> None:
    """What the child does."""
    if float(after):
        threading.Timer(float(after), os.kill, (os.getpid(), signal.SIGKILL)).start()
    runner = start_run(Workspace(Path(space)), Path(source), conninfo, load_settings(assignments=settings))
    if int(at):
        runner.reporter = _Dying(runner.deployment, int(at))
    finish(runner)
    os._exit(0)


if __name__ == "__main__":
    _die_on_the_way(*sys.argv[1:])
