"""Every place of the wizard by keys alone, over a replay of one real run."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from textual.widgets import DataTable

from sdetl_engine import Event, Finding, Severity, Stage, Status
from sdetl_tui.app import Form
from sdetl_tui.blocks import line
from sdetl_tui.modals.ask import Confirm
from sdetl_tui.themes import THEMES
from sdetl_tui.widgets.paged import PagedTable
from sdetl_tui.wizard import STAGE_OF, Place
from tests.wizard.conftest import Seat, Seated
from tests.wizard.recorded import Replay

KEY_OF = {
    Place.FINDINGS: "f",
    Place.TYPES: "t",
    Place.VERSIONS: "v",
    Place.ROLLBACK: "r",
    Place.DRILL: "d",
    Place.SUMMARY: "s",
}


async def go_to(operator: Seated, place: Place) -> None:
    """By its letter, or along the stages."""
    if place in KEY_OF:
        await operator.press(KEY_OF[place])
        return
    if place_of(operator) not in STAGE_OF:
        await operator.press("s")
    for _ in range(12):
        here = [*STAGE_OF, Place.SUMMARY].index(place_of(operator))
        there = list(STAGE_OF).index(place)
        if here == there:
            return
        await operator.press("full_stop" if here < there else "comma")


def place_of(operator: Seated) -> Place:
    screen = operator.app.place_screen
    assert screen is not None
    return screen.place


@pytest.mark.parametrize("size", [(80, 24), (60, 18), (200, 60)])
async def test_every_place_is_shown_and_has_help(seat: Seat, size: tuple[int, int]) -> None:
    async with seat(Stage.REPORT, size=size) as operator:
        for place in [p for p in Place if p is not Place.START]:
            await go_to(operator, place)
            assert place_of(operator) is place
            assert operator.app.screen.query_one("#blocks").children, f"{place} shows nothing"
            for line in operator.lines:
                assert cell_len(line) <= size[0]


async def test_reviews_are_agreed_to_together_with_one_reason(seat: Seat) -> None:
    reviews = tuple(
        Finding("DUPLICATE-ROWS", Severity.REVIEW, f"rows {n} are equal", "agree", table=f"t{n}", count=n)
        for n in range(1, 4)
    )

    def waiting(replay: Replay) -> None:
        replay.put(dataclasses.replace(replay.record(Stage.PROFILE), status=Status.REVIEW, findings=reviews))

    async with seat(Stage.BACKUP, prepare=waiting) as operator:
        await operator.press("f", "a")
        assert "Agree to 3 reviews" in operator.shown
        await operator.press("tab", "tab", "enter")
        assert operator.replay.deployment.made == []
        await operator.press("escape", "a")
        await operator.type("known")
        await operator.press("enter", "enter")
        assert [d.reason for d in operator.replay.deployment.made] == ["known"] * 3
        assert operator.replay.record(Stage.PROFILE).status is Status.PASSED


async def test_stopping_is_said_until_it_has_stopped_and_can_be_tried_again(seat: Seat) -> None:
    async with seat(Stage.CANARY, holds=True) as operator:
        await operator.press("enter", "y")
        assert "Working ..." in operator.shown
        await operator.press("enter")
        assert "X stops it" in operator.words
        await operator.press("x", "s")
        assert operator.replay.reporter.is_stopping
        assert "Stopping ..." in operator.shown
        operator.replay.let_go()
        await operator.settle()
        assert "Try migrate again" in operator.shown
        assert "stopped" in operator.shown


async def test_leaving_while_work_runs_asks_first(seat: Seat) -> None:
    async with seat(Stage.CANARY, holds=True) as operator:
        await operator.press("enter", "y", "f10")
        assert "Leave while work is under way?" in operator.shown
        await operator.press("enter")
        assert not operator.replay.reporter.is_stopping
        await operator.press("ctrl+c")
        assert operator.app.is_running
        await operator.press("f10", "down", "enter")
        assert operator.replay.reporter.is_stopping
        operator.replay.let_go()
        await operator.settle()
        assert operator.app.return_code == 130


@pytest.mark.parametrize(("finished", "code"), [(None, 0), (Stage.SCORE, 130), (Stage.REPORT, 0)])
async def test_leaving_tells_how_the_run_stands(seat: Seat, finished: Stage | None, code: int) -> None:
    async with seat(finished) as operator:
        await operator.press("f10")
        assert operator.app.return_code == code
        assert any("sdetl" in words or "live" in words for words in operator.app.last_words)


async def test_a_key_that_the_screens_print_as_a_capital_may_be_typed_as_one(seat: Seat) -> None:
    async with seat(Stage.CANARY, holds=True) as operator:
        await operator.press("F")
        assert place_of(operator) is Place.FINDINGS
        await operator.press("G", "Y")
        assert "Working ..." in operator.shown
        await operator.press("X", "S")
        assert operator.replay.reporter.is_stopping
        operator.replay.let_go()
        await operator.settle()


async def test_a_capital_in_a_text_stays_one(seat: Seat) -> None:
    async with seat(Stage.REPORT) as operator:
        await operator.press("f", "slash")
        await operator.type("KeY")
        assert "KeY" in operator.shown


async def test_leaving_tells_the_whole_command_to_go_on(seat: Seat) -> None:
    async with seat(Stage.SCORE) as operator:
        await operator.press("f10")
        assert any(
            f"--workspace {operator.replay.deployment.workspace.root}" in words for words in operator.app.last_words
        )


async def test_elapsed_is_the_time_of_the_stage_at_work(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr("sdetl_tui.bridge.time", SimpleNamespace(monotonic=lambda: clock, strftime=time.strftime))
    async with seat(Stage.CANARY, holds=True) as operator:
        await operator.press("enter", "y")
        clock += 300
        assert operator.app.bridge.poll().elapsed == 300
        operator.replay.reporter.events.append(Event("StageStarted", "validate started", {}, "info"))
        operator.app.bridge.poll()
        clock += 5
        assert operator.app.bridge.poll().elapsed == 5
        operator.replay.let_go()
        await operator.settle()
        assert operator.app.bridge.poll().elapsed == 0


async def test_an_action_that_cannot_be_done_says_why(seat: Seat) -> None:
    async with seat(begun=False) as operator:
        await operator.press("tab", "tab", "tab", "tab")
        for key, why in (("f", "no run yet"), ("g", "no run yet"), ("x", "Nothing is at work"), ("e", "no run yet")):
            operator.app.screen.query_one("#primary").focus()
            await operator.press(key)
            assert why in operator.words, key
    async with seat(Stage.PREFLIGHT) as operator:
        for key, why in (
            ("t", "run it first"),
            ("x", "Nothing is at work"),
            ("f5", "backup is pending"),
            ("ctrl+c", "X stops the work"),
        ):
            await operator.press(key)
            assert why in operator.words, key
    async with seat(Stage.SCORE, read_only=True) as operator:
        assert "READ ONLY" in operator.shown
        await operator.press("enter")
        assert "--read-only" in operator.words
        assert operator.replay.started == []


async def test_going_back_never_undoes_anything(seat: Seat) -> None:
    async with seat(Stage.SCORE) as operator:
        before = operator.replay.records
        for key in ("f", "t", "s", "comma", "comma", "v"):
            await operator.press(key)
        for _ in range(8):
            await operator.press("escape")
        assert operator.replay.records == before
        assert "F10 leaves" in operator.words


async def test_what_was_typed_stays(seat: Seat) -> None:
    async with seat(begun=False, form=Form()) as operator:
        await operator.type("nowhere.db")
        await operator.press("enter")
        await operator.type("embedded")
        await operator.press("enter", "enter")
        operator.app.screen.query_one("#primary").focus()
        await operator.press("v", "escape")
        assert "nowhere.db" in operator.shown
        assert operator.app.form.target == "embedded"


async def test_shrinking_to_nothing_and_back(seat: Seat) -> None:
    async with seat(Stage.VALIDATE) as operator:
        for size in ((59, 18), (60, 17), (1, 1), (3, 40), (200, 2), (80, 24)):
            await operator.pilot.resize_terminal(*size)
            await operator.settle()
            too_small = size[0] < 60 or size[1] < 18
            if too_small and size[0] > 50:
                assert "at least 60 columns and 18 rows" in operator.words
        assert "Look at the cutover" in operator.shown


async def test_the_log_opens_and_closes(seat: Seat) -> None:
    async with seat() as operator:
        await operator.press("enter", "l")
        assert "preflight started" in operator.shown
        await operator.press("l")
        assert "preflight started" not in operator.shown


async def test_a_screen_is_exported_as_text(seat: Seat) -> None:
    async with seat(Stage.CLEAN) as operator:
        await operator.press("comma", "e")
        assert "written to" in operator.words
        (path, *_) = sorted(Path(operator.replay.deployment.folder.path).glob("clean-*.txt"))
        text = path.read_text(encoding="utf-8")
        assert "Ledger: every changed cell" in text
        assert "\x1b" not in text


async def test_another_type_shows_its_cost_before_it_is_recorded(seat: Seat) -> None:
    async with seat(Stage.CANARY) as operator:
        await operator.press("t")
        rows = operator.app.screen.query_one(DataTable)
        rows.move_cursor(row=rows.row_count - 1)
        await operator.press("enter")
        assert "Enter counts how many values would not fit" in operator.words
        await operator.press("end", "ctrl+u")
        await operator.type("bigint")
        await operator.press("enter")
        assert "values do not fit bigint" in operator.words
        await operator.type("numbers only")
        await operator.press("enter", "enter")
        (decision,) = operator.replay.deployment.made
        assert (decision.choice, decision.argument) == ("set-type", "bigint")
        assert operator.replay.stale_from() is Stage.PROFILE


async def test_the_preflight_tells_of_the_terminal_at_its_present_size(seat: Seat) -> None:
    async with seat(Stage.PREFLIGHT, size=(120, 60)) as operator:
        operator.app.go(Place.PREFLIGHT)
        await operator.settle()
        assert "120 x 60, UTF-8, 256 colours" in operator.words
        await operator.pilot.resize_terminal(78, 60)
        await operator.settle()
        assert "78 x 60" in operator.words
        table = operator.app.screen.query("Rows").first(DataTable)
        names = [str(table.get_row_at(n)[1]) for n in range(table.row_count)]
        table.focus()
        table.move_cursor(row=names.index("terminal"))
        await operator.press("enter")
        assert "make the window larger" in operator.words


async def test_a_place_that_one_comes_back_to_shows_what_changed_meanwhile(seat: Seat) -> None:
    async with seat(Stage.SCORE) as operator:
        await operator.press("comma")
        left = operator.app.place_screen
        assert left is not None
        before = left.query_one("#banner").styles.background
        await operator.press("comma")
        assert operator.app.place_screen is not left
        operator.app.theme = THEMES["light"]
        await operator.press("full_stop")
        assert operator.app.place_screen is left
        assert left.query_one("#banner").styles.background != before
        assert left.styles.background == operator.app.screen.styles.background


async def test_a_row_that_is_cut_is_shown_whole_on_enter(seat: Seat) -> None:
    async with seat(Stage.REPORT) as operator:
        await go_to(operator, Place.CUTOVER)
        whole = "registry names the live version"
        assert whole not in operator.words
        tables = [t for t in operator.app.screen.query(PagedTable) if t.name_of_table == "post-checks"]
        tables[0].query_one(DataTable).focus()
        await operator.press("down", "enter")
        assert whole in operator.words


async def test_a_row_that_shows_a_finding_is_shown_whole_on_enter(seat: Seat) -> None:
    async with seat(Stage.REPORT) as operator:
        await operator.press("f", "slash")
        await operator.type("ROW-DUPLICATE")
        await operator.press("enter", "enter")
        assert "Rows that show it" in operator.shown
        operator.app.screen.query_one(DataTable).focus()
        await operator.press("enter")
        assert "Close (Esc)" not in operator.shown
        assert "rowid" in operator.shown


async def test_what_does_not_fit_on_the_screen_is_reached_with_the_page_keys(seat: Seat) -> None:
    async with seat(Stage.REPORT) as operator:
        await operator.press("s")
        below = "Dashboards read"
        assert below not in operator.shown
        await operator.press(*["pagedown"] * 5)
        assert below in operator.shown
        await operator.press(*["pageup"] * 5)
        assert "Deployment checklist" in operator.shown
        # From within a table, too: first its end, then what comes after it.
        operator.app.screen.query_one(DataTable).focus()
        await operator.press(*["pagedown"] * 6)
        assert below in operator.shown


async def test_a_long_question_is_read_with_the_page_keys(seat: Seat) -> None:
    async with seat(Stage.REPORT) as operator:
        lines = [line(f"number {number}") for number in range(40)]
        operator.app.push_screen(Confirm("A long question", lines, accept="Do it", key="y"))
        await operator.settle()
        assert "number 39" not in operator.shown
        await operator.press(*["pagedown"] * 4)
        assert "number 39" in operator.shown
        assert "Do it (Y)" in operator.shown


async def test_where_no_type_can_be_chosen_any_more_the_column_is_shown(seat: Seat) -> None:
    async with seat(Stage.REPORT) as operator:
        await operator.press("t")
        operator.app.screen.query_one(DataTable).focus()
        await operator.press("enter")
        assert "declared" in operator.words
        await operator.press("escape")
        assert "decisions are for the next run" in operator.words
        assert operator.replay.deployment.made == []


async def test_the_log_names_where_the_whole_of_it_is(seat: Seat) -> None:
    async with seat(Stage.REPORT, size=(200, 60)) as operator:
        await operator.press("l")
        assert f"the whole log: {operator.replay.deployment.folder.log}" in operator.words
