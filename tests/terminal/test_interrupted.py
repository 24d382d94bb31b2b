"""Killed, ended or hung up while a stage works, at a real terminal: offered again, taken up, completed.

``SDETL_TEST_EVERY_STAGE=1`` goes through all ten stages and all three ways (some ten minutes); else a few of each.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sdetl_engine import RunState, Stage, Workspace, run_states
from tests.migrating import rows_of
from tests.terminal.operator import Operator, at_terminal, is_restored
from tests.terminal.test_wizard import cut_over, go_on_to_cutover, until_begun

KILL, TERM, HUP = signal.SIGKILL, signal.SIGTERM, signal.SIGHUP
_EXIT = {KILL: -9, TERM: 143, HUP: 129}
_EVERY = [(stage, how) for stage in Stage for how in (KILL, TERM, HUP)]
_FEW = [(Stage.BACKUP, HUP), (Stage.CUTOVER, KILL), (Stage.REPORT, KILL)]


@pytest.mark.parametrize(("stage", "how"), _EVERY if os.environ.get("SDETL_TEST_EVERY_STAGE") else _FEW)
def test_an_interrupted_stage_is_taken_up(
    long_source: Path, database: str, tmp_path: Path, stage: Stage, how: signal.Signals
) -> None:
    space = tmp_path / "w"
    with at_terminal(str(long_source), "--target", database, workspace=space) as operator:
        interrupted_at(operator, stage, how, space)
        assert operator.ends() == _EXIT[how]
        assert how is KILL or is_restored(operator.sent)
    (state,) = run_states(Workspace(space))
    print(f"{stage} {how.name}: found {state.outcome}, stopped at {state.stopped_at}, {len(state.finished)} finished")
    assert state.is_resumable or state.outcome == "live"
    with at_terminal(str(long_source), "--target", database, workspace=space) as operator:
        if state.is_resumable:
            taken_up(operator, state)
            to_the_end(operator, state)
            operator.press("enter")
        else:
            operator.sees("10 of 10", "live")
            operator.press("f10")
        assert operator.ends() == 0
        assert is_restored(operator.sent)
    assert rows_of(database, "events") == 120_000
    assert [s.outcome for s in run_states(Workspace(space))] == ["live"]


def interrupted_at(operator: Operator, stage: Stage, how: signal.Signals, space: Path) -> None:
    """Go there by keys, and send the signal as soon as the journal says that the stage has begun."""
    operator.sees("Begin a new run")
    operator.press("enter")
    operator.sees("Start pre-flight")
    times = 1
    if stage in (Stage.CUTOVER, Stage.REPORT):
        go_on_to_cutover(operator)
        operator.press("enter")
        operator.sees("Cut over", "candidate")
        type_the_name(operator)
        times = 2 if stage is Stage.CUTOVER else 1
        if stage is Stage.REPORT:
            operator.sees("Go on to report")
            operator.press("enter")
            operator.sees("Write the report")
            operator.press("enter")
    else:
        operator.press("g")
        operator.sees("Go on until something needs you")
        operator.press("y")
    until_begun(operator, stage, space, times)
    operator.signal(how)


def taken_up(operator: Operator, state: RunState) -> None:
    """The start screen says what it found, and offers it before anything else."""
    where = f" at {state.goes_on_at}" if state.goes_on_at else ""
    operator.sees(f"Enter takes up {state.run_id}", f"{state.outcome}{where}")
    operator.press("enter")
    operator.sees(f"Take it up{where}")
    operator.press("enter")
    operator.sees("taken up:", "finished and stand")


def to_the_end(operator: Operator, state: RunState) -> None:
    """From where it stopped to the summary."""
    if state.goes_on_at not in (Stage.CUTOVER, Stage.REPORT, None):
        go_on_to_cutover(operator)
        cut_over(operator)
        return
    if state.goes_on_at is Stage.CUTOVER:
        switch(operator)
    if state.goes_on_at is not None:
        operator.sees("Write the report")
        operator.press("enter")
        operator.sees("Go on to summary")
        operator.press("enter")
    operator.sees("Leave sdetl")


def switch(operator: Operator) -> None:
    """What was agreed to before it was broken off is agreed to once more, then the version goes live."""
    operator.sees(" Cut over ", "taken up:")
    type_the_name(operator)
    operator.sees("Go on to report")
    operator.press("enter")


def type_the_name(operator: Operator) -> None:
    """Ask for the switch, and arm it."""
    operator.press("enter")
    operator.sees("Type servicedesk to arm the button")
    operator.press("servicedesk")
    operator.sees("armed: Enter goes to the button")
    operator.press("enter", "enter")
