"""A run that was left half way: offered on the start screen before anything else, taken up where it stopped."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from sdetl_engine import Choice, Decision, RunState, SourceError, Stage, Status
from sdetl_tui.app import Form
from sdetl_tui.modals.ask import TypeToConfirm
from sdetl_tui.wizard import Place
from tests.wizard.conftest import Seat
from tests.wizard.recorded import Face, Recorded
from tests.wizard.test_screens import place_of

STOPPED = RunState("20251019T143022Z", "/data/desk.db", "embedded", (Stage.PREFLIGHT,), "backup", "interrupted", True)
DONE = RunState("20250719T090000Z", "/data/desk.db", "embedded", tuple(Stage), None, "live", False)


def with_runs(recorded: Recorded, *states: RunState) -> Face:
    """A workspace with these runs, of the source that the wizard was begun with."""
    return Face(recorded, [dataclasses.replace(s, source=str(recorded.deployment.source)) for s in states])


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    """The runs' folders, where the wizard under test looks for them."""
    for state in (STOPPED, DONE):
        (tmp_path / "w" / "runs" / state.run_id).mkdir(parents=True)


async def test_a_run_that_can_be_taken_up_comes_first(seat: Seat, recorded: Recorded) -> None:
    face = with_runs(recorded, DONE, STOPPED)
    async with seat(Stage.PREFLIGHT, begun=False, face=face) as operator:
        assert "Enter takes up 20251019T143022Z (interrupted at backup)" in operator.words
        await operator.press("enter")
        assert "Take it up at backup" in operator.shown
        await operator.press("enter")
        assert face.asked.resumed == STOPPED.run_id
        assert place_of(operator) is Place.BACKUP
        assert "taken up: 1 stage is finished and stands" in operator.words
        assert operator.replay.started == []
        await operator.press("enter")
        assert operator.replay.started == [Stage.BACKUP]


async def test_enter_twice_never_begins_a_new_run_where_one_waits(seat: Seat, recorded: Recorded) -> None:
    face = with_runs(recorded, STOPPED)
    async with seat(Stage.PREFLIGHT, begun=False, face=face) as operator:
        await operator.press("enter", "escape")
        assert face.asked.resumed is None
        assert face.asked.source is None
        assert place_of(operator) is Place.START


async def test_a_run_of_another_source_than_the_one_that_was_named_does_not_come_first(
    seat: Seat, recorded: Recorded
) -> None:
    async with seat(Stage.PREFLIGHT, begun=False, face=Face(recorded, [STOPPED])) as operator:
        assert STOPPED.run_id in operator.shown
        assert "fill in source and target, then Enter" in operator.words
        await operator.press("enter")
        assert place_of(operator) is Place.PREFLIGHT
    async with seat(Stage.PREFLIGHT, begun=False, face=Face(recorded, [DONE, STOPPED]), form=Form()) as operator:
        assert "Enter takes up 20251019T143022Z" in operator.words
        await operator.press("enter")
        assert "Take it up at backup" in operator.shown


async def test_between_two_stages_it_says_what_comes_next(seat: Seat, recorded: Recorded) -> None:
    paused = dataclasses.replace(STOPPED, finished=tuple(Stage)[:5], stopped_at=None, outcome="paused")
    async with seat(Stage.SCORE, begun=False, face=with_runs(recorded, paused)) as operator:
        assert "before canary" in operator.words
        await operator.press("enter")
        assert "Take it up at canary" in operator.shown
        await operator.press("enter")
        assert place_of(operator) is Place.CANARY


async def test_a_run_that_lacks_only_its_end_goes_to_the_summary(seat: Seat, recorded: Recorded) -> None:
    over = dataclasses.replace(DONE, outcome="interrupted", is_resumable=True)
    async with seat(Stage.REPORT, begun=False, face=with_runs(recorded, over)) as operator:
        assert "after report" in operator.words
        await operator.press("enter")
        assert "Take it up" in operator.shown
        await operator.press("enter")
        assert place_of(operator) is Place.SUMMARY


async def test_a_finished_run_is_shown_and_not_taken_up(seat: Seat, recorded: Recorded) -> None:
    async with seat(begun=False, face=with_runs(recorded, DONE)) as operator:
        operator.app.screen.query("Rows").first().focus()
        await operator.press("enter")
        assert "Run 20250719T090000Z" in operator.shown
        assert "Take it up" not in operator.shown


async def test_a_run_that_was_pruned_meanwhile_says_so(seat: Seat, recorded: Recorded, tmp_path: Path) -> None:
    async with seat(begun=False, face=with_runs(recorded, STOPPED)) as operator:
        (tmp_path / "w" / "runs" / STOPPED.run_id).rmdir()
        await operator.press("enter")
        assert operator.app.is_running
        assert STOPPED.run_id in operator.shown.partition("Runs")[0]


async def test_why_it_cannot_be_taken_up_is_said(
    seat: Seat, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = with_runs(recorded, STOPPED)

    def changed(workspace: object, run_id: str) -> object:
        raise SourceError("the source has changed since the backup", next_step="begin a new run")

    monkeypatch.setattr(face, "resume_run", changed)
    async with seat(Stage.PREFLIGHT, begun=False, face=face) as operator:
        await operator.press("enter", "enter")
        assert "the source has changed since the backup" in operator.words
        assert "begin a new run" in operator.words
        assert place_of(operator) is Place.START


@pytest.mark.parametrize("status", [Status.PENDING, Status.CANCELLED, Status.FAILED])
async def test_a_switch_that_was_broken_off_wants_its_name_again(seat: Seat, status: Status) -> None:
    async with seat(Stage.VALIDATE) as operator:
        operator.replay.put(dataclasses.replace(operator.replay.record(Stage.CUTOVER), status=status))
        agreed = Decision("CUTOVER-AGREEMENT", Choice.ACCEPT, "typed servicedesk in the wizard")
        operator.replay.deployment.decide(agreed)
        operator.app.go(Place.CUTOVER)
        await operator.settle()
        await operator.press("enter")
        assert "Type servicedesk to arm the button" in operator.words
        await operator.press("escape", "f5")
        assert operator.replay.started == []
        await operator.press("escape", "enter")
        await operator.type("servicedesk")
        await operator.press("enter", "enter")
        assert operator.replay.started == [Stage.CUTOVER]


async def test_a_question_that_nobody_answers_closes_and_says_that_nothing_was_switched(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with seat(Stage.VALIDATE) as operator:
        operator.replay.put(dataclasses.replace(operator.replay.record(Stage.CUTOVER), status=Status.PENDING))
        operator.replay.deployment.decide(Decision("CUTOVER-AGREEMENT", Choice.ACCEPT, "typed servicedesk"))
        operator.app.go(Place.CUTOVER)
        await operator.settle()
        await operator.press("enter")
        await operator.type("service")
        question = operator.app.screen
        assert isinstance(question, TypeToConfirm)
        question._tick()
        await operator.settle()
        assert "4 more characters" in operator.words
        now = time.monotonic()
        monkeypatch.setattr(question, "_clock", lambda: now + 61)
        question._tick()
        await operator.settle()
        assert "Nothing was switched: for a minute nobody typed" in operator.words
        assert operator.replay.started == []
