"""The wizard as an operator meets it: a real terminal of 80x24, keys alone, a real engine, a real PostgreSQL."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sdetl_engine import Stage, Workspace, run_states
from tests.migrating import TICKETS, rows_of
from tests.terminal.operator import Operator, at_terminal, is_restored

MakeSource = Callable[[str], Path]


def go_on_to_cutover(operator: Operator) -> None:
    """G through every stage that asks nothing."""
    operator.press("g")
    operator.sees("Go on until something needs you")
    operator.press("y")
    operator.sees("Go on to cutover")
    operator.press("enter")
    operator.sees("Look at the cutover")


def cut_over(operator: Operator) -> None:
    """Look at it, type the name, switch; then the report, up to the summary."""
    operator.press("enter")
    operator.sees("Cut over", "candidate")
    operator.press("enter")
    operator.sees("Type servicedesk to arm the button")
    operator.press("servicedesk")
    operator.sees("armed: Enter goes to the button")
    operator.press("enter", "enter")
    operator.sees("Go on to report")
    operator.press("enter")
    operator.sees("Write the report")
    operator.press("enter")
    operator.sees("Go on to summary")
    operator.press("enter")
    operator.sees("Leave sdetl")


def test_the_demo_from_start_to_cutover_again_and_back_by_keys_alone(tmp_path: Path) -> None:
    space = tmp_path / "w"
    with at_terminal("demo", "--rows", "3000", workspace=space) as operator:
        operator.sees("Begin a new run", "EMBEDDED")
        print(f"first paint after {operator.first_paint:.2f} s, demo source built by then")
        operator.press("enter")
        operator.sees("Start pre-flight")
        go_on_to_cutover(operator)
        cut_over(operator)
        operator.press("enter")
        assert operator.ends() == 0
        assert is_restored(operator.sent)
        assert b"went live in servicedesk" in operator.sent
    (source,) = (space / "demo").glob("*.db")
    with at_terminal(str(source), "--target", "embedded", workspace=space) as operator:
        operator.sees("Begin a new run", "10 of 10")
        operator.read(1.0)
        operator.press("enter")
        operator.sees("Start pre-flight")
        go_on_to_cutover(operator)
        cut_over(operator)
        operator.press("r")
        operator.sees("goes back to")
        operator.press("enter")
        operator.sees("live again", "Cancel (Esc)")
        operator.press("y")
        operator.sees("done: once more makes the other version live again", "readers waited")
        operator.press("s")
        operator.sees("Leave sdetl", "Deployment checklist")
        operator.press("pgdn", "pgdn")
        operator.sees("and no longer is", "rolled back or replaced")
        operator.press("enter")
        assert operator.ends() == 0
        assert is_restored(operator.sent)
    states = run_states(Workspace(space))
    assert [s.outcome for s in states] == ["live", "live"]


def test_nothing_is_sent_while_nothing_changes(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    with at_terminal(str(sqlite_file(TICKETS)), "--target", database, workspace=tmp_path / "w") as operator:
        operator.sees("Begin a new run", "PRODUCTION")
        operator.press("enter")
        operator.sees("Start pre-flight")
        operator.press("enter")
        operator.sees("Go on to backup")
        operator.read(1.0)
        assert operator.read(2.0) == 0
        operator.press("f10")
        assert operator.ends() == 130
        assert is_restored(operator.sent)
        assert "--resume" in operator.shown()


def test_keys_that_a_slow_line_delivers_together_do_what_they_do_one_by_one(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    with at_terminal(str(sqlite_file(TICKETS)), "--target", database, workspace=tmp_path / "w") as operator:
        operator.sees("Begin a new run")
        operator.press("enter")
        operator.sees("Start pre-flight")
        operator.press("enter")
        operator.sees("Go on to backup")
        operator.press("f/drill\r")
        operator.sees("holding 'drill'", seconds=5)
        operator.press("/\x15warning\r")
        operator.sees("holding 'warning'", seconds=5)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_between_stages_ends_at_once(
    sqlite_file: MakeSource, database: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with at_terminal(str(sqlite_file(TICKETS)), "--target", database, workspace=tmp_path / "w") as operator:
        operator.sees("Begin a new run")
        operator.press("enter")
        operator.sees("Start pre-flight")
        operator.signal(number)
        assert operator.ends() == code
        assert is_restored(operator.sent)


def begun(operator: Operator, stage: Stage, space: Path) -> None:
    """Begin, and go on until that stage is at work: the journal says so sooner than the screen does."""
    operator.sees("Begin a new run")
    operator.press("enter")
    operator.sees("Start pre-flight")
    operator.press("g")
    operator.sees("Go on until something needs you")
    operator.press("y")
    until_begun(operator, stage, space)


def until_begun(operator: Operator, stage: Stage, space: Path, times: int = 1) -> None:
    """Read the screen until the journal says that a stage was begun, for the second time with ``times=2``."""
    ends = time.monotonic() + 120
    while _times_begun(space, stage) < times:
        assert time.monotonic() < ends, f"{stage} was not begun\n{operator.shown()}"
        operator.read(0.005)


def _times_begun(space: Path, stage: Stage) -> int:
    journals = list(space.glob("runs/*/journal.jsonl"))
    # A line that is just being written is not one yet.
    lines = [line for journal in journals for line in journal.read_text(encoding="utf-8").split("\n")[:-1]]
    facts = [json.loads(line) for line in lines]
    return sum(fact["event"] == "stage_started" and fact["stage"] == stage for fact in facts)


def taken_up_to_the_end(source: Path, database: str, space: Path, stage: Stage) -> None:
    """Start again: the run is offered, taken up, and goes through to the cutover."""
    (state,) = run_states(Workspace(space))
    assert state.is_resumable
    with at_terminal(str(source), "--target", database, workspace=space) as operator:
        operator.sees(state.run_id, f"at {stage}")
        operator.press("enter")
        operator.sees(f"Take it up at {stage}")
        operator.press("enter")
        operator.sees("taken up:", "finished and stand")
        go_on_to_cutover(operator)
        cut_over(operator)
        operator.press("enter")
        assert operator.ends() == 0
        assert is_restored(operator.sent)
    assert rows_of(database, "events") == 120_000
    assert [s.outcome for s in run_states(Workspace(space))] == ["live"]


def test_sigterm_at_work_stops_at_a_safe_point(long_source: Path, database: str, tmp_path: Path) -> None:
    space = tmp_path / "w"
    with at_terminal(str(long_source), "--target", database, workspace=space) as operator:
        begun(operator, Stage.PROFILE, space)
        operator.signal(signal.SIGTERM)
        assert operator.ends() == 143
        assert is_restored(operator.sent)
    assert journal_of(space)[-1]["exit_code"] == 143
    (state,) = run_states(Workspace(space))
    assert (state.outcome, state.is_resumable) == ("cancelled", True)


def test_a_closed_terminal_stops_at_a_safe_point(long_source: Path, database: str, tmp_path: Path) -> None:
    space = tmp_path / "w"
    with at_terminal(str(long_source), "--target", database, workspace=space) as operator:
        begun(operator, Stage.CLEAN, space)
        operator.hang_up()
        assert operator.process.wait(60) == 129
    assert journal_of(space)[-1]["exit_code"] == 129
    (state,) = run_states(Workspace(space))
    assert state.is_resumable


@pytest.mark.parametrize("stage", [Stage.PROFILE, Stage.MIGRATE])
def test_a_killed_run_is_offered_again_and_completes(
    long_source: Path, database: str, tmp_path: Path, stage: Stage
) -> None:
    space = tmp_path / "w"
    with at_terminal(str(long_source), "--target", database, workspace=space) as operator:
        begun(operator, stage, space)
        operator.signal(signal.SIGKILL)
        assert operator.ends() == -signal.SIGKILL
    assert [s.outcome for s in run_states(Workspace(space))] == ["interrupted"]
    taken_up_to_the_end(long_source, database, space, stage)


def test_a_dumb_terminal_is_refused(tmp_path: Path) -> None:
    with at_terminal(workspace=tmp_path / "w", TERM="dumb") as operator:
        assert operator.ends() == 2
        assert "sdetl run" in operator.shown()
        assert b"?1049h" not in operator.sent


def test_without_colour_none_is_sent(tmp_path: Path) -> None:
    with at_terminal(workspace=tmp_path / "w", NO_COLOR="1") as operator:
        operator.sees("Begin a new run", "no run yet in this workspace")
        operator.read(1.0)
        operator.press("f10")
        assert operator.ends() == 0
        assert b"38;2;" not in operator.sent
        assert b"48;2;" not in operator.sent
        assert b"38;5;" not in operator.sent


def test_an_ascii_locale_gets_ascii(tmp_path: Path) -> None:
    with at_terminal(workspace=tmp_path / "w", LANG="C", LC_ALL="C") as operator:
        operator.sees("Begin a new run")
        operator.press("f1")
        operator.sees("Help: start")
        assert operator.sent.isascii()


def journal_of(space: Path) -> list[dict[str, object]]:
    """What the only run of a workspace wrote down."""
    (run,) = (space / "runs").iterdir()
    return [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
