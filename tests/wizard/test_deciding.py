"""Decisions, confirmations and long tables by keys alone, over a replay of one real run."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from typing import overload

import pytest
from textual.events import Key
from textual.widgets import DataTable, Static

from sdetl_engine import RULES, Cancelled, Choice, Evidence, Finding, Reporter, Severity, Stage, Status
from sdetl_tui.app import Form
from sdetl_tui.blocks import Column, Row, SlowRows, Table, line
from sdetl_tui.modals.ask import Detail
from sdetl_tui.wizard import Place
from tests.wizard.conftest import Seat, Seated
from tests.wizard.recorded import Recorded, Replay
from tests.wizard.test_screens import place_of


def pages(operator: Seated) -> list[str]:
    """What stands under the tables of more than one page; it may have been scrolled out of sight."""
    return [str(told.render()) for told in operator.app.screen.query(".pages").results(Static)]


async def declare_the_mark(operator: Seated) -> None:
    """On the findings: open the halt, keep the proposed mark, say why."""
    await operator.press("enter")
    assert "with this decision the gate goes from halted to passed" in operator.words
    await operator.press("enter")
    await operator.type("the form writes ? for unknown")
    await operator.press("enter", "enter")


async def test_a_decision_without_a_reason_leads_to_the_field_for_it(seat: Seat) -> None:
    async with seat(Stage.BACKUP) as operator:
        await operator.press("g", "y")
        for _ in range(5):
            await operator.press("enter")
        assert "a decision needs a reason" in operator.words
        focused = operator.app.screen.focused
        assert focused is not None
        assert focused.id == "reason"


async def test_every_place_has_a_page_of_help(seat: Seat) -> None:
    async with seat(Stage.REPORT) as operator:
        for place in [p for p in Place if p is not Place.START]:
            operator.app.go(place)
            await operator.settle()
            await operator.press("f1")
            assert f"Help: {place}" in operator.shown
            await operator.press("escape")
            assert place_of(operator) is place


async def test_from_start_to_summary_by_enter_and_g(seat: Seat) -> None:
    async with seat(begun=False) as operator:
        assert place_of(operator) is Place.START
        await operator.press("enter")
        assert place_of(operator) is Place.PREFLIGHT
        await operator.press("enter")
        assert operator.replay.record(Stage.PREFLIGHT).status is Status.PASSED
        await operator.press("enter")
        assert place_of(operator) is Place.BACKUP
        await operator.press("g")
        assert "always before the cutover" in operator.words
        await operator.press("enter")
        assert operator.replay.started == [Stage.PREFLIGHT]
        await operator.press("g", "y")
        assert operator.replay.record(Stage.PROFILE).status is Status.HALTED
        assert place_of(operator) is Place.PROFILE
        assert "Decide: 1 that halt" in operator.shown


async def test_a_halt_is_decided_with_a_reason_and_the_gate_follows_at_once(seat: Seat) -> None:
    async with seat(Stage.BACKUP) as operator:
        await operator.press("enter")
        assert "HALTED" in operator.shown
        await operator.press("enter")
        assert place_of(operator) is Place.FINDINGS
        await declare_the_mark(operator)
        assert "profile is now passed" in operator.words
        (decision,) = operator.replay.deployment.made
        assert (decision.rule, decision.table, decision.column, decision.argument) == (
            *("BREAKER-DATES", "visits", "at", "?"),
        )
        assert decision.reason == "the form writes ? for unknown"
        await operator.press("h")
        assert "Run profile again" in operator.words
        await operator.press("enter")
        assert operator.replay.record(Stage.PROFILE).status in (Status.PASSED, Status.REVIEW)


async def test_a_decision_needs_a_reason(seat: Seat) -> None:
    async with seat(Stage.BACKUP) as operator:
        for _ in range(6):
            await operator.press("enter")
        assert "a decision needs a reason" in operator.words
        await operator.press("escape")
        assert operator.replay.deployment.made == []


async def test_what_may_be_agreed_is_decided_though_nothing_asks_for_it(seat: Seat) -> None:
    rule = RULES["DATE-NUMBERS"]
    proposed = Finding(
        *(rule.code, rule.severity, "all 9 numbers of visits.ms could be dates in milliseconds", "say so"),
        table="visits",
        column="ms",
        choices=rule.choices,
        suggestion="milliseconds",
    )

    def with_numbers(replay: Replay) -> None:
        for stage in Stage:
            found = (proposed,) if stage is Stage.PROFILE else ()
            replay.put(dataclasses.replace(replay.record(stage), findings=found))

    async with seat(Stage.SCORE, prepare=with_numbers) as operator:
        await operator.press("f", "enter")
        assert "its numbers are dates, in this unit" in operator.words
        await operator.press("enter")
        await operator.type("the vendor says so")
        await operator.press("shift+tab")
        await operator.type("days")
        await operator.press("enter", "enter", "enter")
        assert "numbers count no 'days'" in operator.words
        assert operator.replay.deployment.made == []
        await operator.type("milliseconds")
        await operator.press("enter", "enter", "enter")
        (decision,) = operator.replay.deployment.made
        assert (decision.choice, decision.column, decision.argument) == (Choice.READ_NUMBERS, "ms", "milliseconds")


async def test_a_halt_cannot_be_agreed_to(seat: Seat) -> None:
    async with seat(Stage.BACKUP) as operator:
        await operator.press("enter")
        await operator.press("enter", "enter")
        assert "gate goes from halted to passed" in operator.words
        assert "agree: go on with it as it is" not in operator.words
        await operator.press("escape", "a")
        assert "Agree to 1 review" in operator.words
        assert "BREAKER-DATES" not in operator.words.partition("Agree to 1 review")[2].partition("Cancel")[0]
        assert operator.replay.deployment.made == []


async def test_the_cutover_arms_only_when_the_name_is_equal(seat: Seat) -> None:
    async with seat(Stage.VALIDATE) as operator:
        await operator.press("enter")
        assert "Cut over" in operator.shown
        await operator.press("enter")
        await operator.type("servicedes")
        assert "1 more characters" in operator.words
        await operator.press("enter")
        assert operator.app.screen.query_one("#accept").disabled
        await operator.type("x")
        assert "another name" in operator.words
        await operator.press("backspace", "k")
        assert "armed" in operator.shown
        await operator.press("escape")
        assert operator.replay.started == [Stage.CUTOVER]
        await operator.press("enter")
        await operator.type("servicedesk")
        await operator.press("enter", "enter")
        assert operator.replay.record(Stage.CUTOVER).status is Status.PASSED
        assert operator.replay.deployment.made[-1].reason == "typed servicedesk in the wizard"


@pytest.mark.parametrize("stage", [Stage.CLEAN, Stage.MIGRATE])
async def test_what_writes_much_is_confirmed_by_another_key(seat: Seat, stage: Stage) -> None:
    before = list(Stage)[list(Stage).index(stage) - 1]
    async with seat(before) as operator:
        await operator.press("enter")
        assert "undo:" in operator.shown
        assert operator.app.focused is not None
        assert operator.app.focused.id == "cancel"
        await operator.press("enter")
        assert operator.replay.started == []
        await operator.press("enter", "y")
        assert operator.replay.started == [stage]


def many_findings(replay: Replay) -> None:
    """Ten thousand findings of the profile; the 7,777th is a review among warnings."""
    many = tuple(
        Finding(
            *(
                "RELATION-ORPHANS",
                Severity.REVIEW if n == 7777 else Severity.WARNING,
                f"{n} rows point nowhere",
                "look",
            ),
            table=f"table_{n:05}",
            column="ref",
            count=n,
            evidence=(Evidence(str(n), "x"),),
        )
        for n in range(10_000)
    )
    replay.put(dataclasses.replace(replay.record(Stage.PROFILE), findings=many))


async def test_ten_thousand_findings_are_shown_by_pages(seat: Seat) -> None:
    async with seat(Stage.SCORE, prepare=many_findings) as operator:
        await operator.press("f")
        assert pages(operator)[-1].startswith("rows 1 to 200 of")
        await operator.press("ctrl+end", "pagedown")
        assert pages(operator)[-1].startswith("rows 201 to 400 of")


async def test_ten_thousand_findings_are_searched_filtered_and_sorted(seat: Seat) -> None:
    async with seat(Stage.SCORE, prepare=many_findings) as operator:
        await operator.press("f", "slash")
        await operator.type("table_0777")
        await operator.press("enter")
        table = operator.app.screen.query("Rows").first(DataTable)
        assert table.row_count == 10
        assert "10 of 10," in operator.words
        assert "table_07777" in operator.words
        await operator.press("w")
        table = operator.app.screen.query("Rows").first(DataTable)
        assert table.row_count == 1
        await operator.press("enter")
        assert "7777 rows point nowhere" in operator.words
        await operator.press("escape", "w", "w", "w", "slash")
        await operator.press(*["backspace"] * len("table_0777"), "enter", "o")
        table = operator.app.screen.query("Rows").first(DataTable)
        assert table.row_count == 200
        assert "table_09999" in str(table.get_row_at(0)[3])


async def test_all_rows_behind_a_finding_are_turned_page_by_page(seat: Seat, recorded: Recorded) -> None:
    found = [f for f in recorded.stages[Stage.PROFILE].findings if f.rule == "RELATION-ORPHANS"]
    finding = max(found, key=lambda f: f.count)
    assert finding.count > 400
    assert len(finding.evidence) < 200

    def alone(replay: Replay) -> None:
        replay.put(dataclasses.replace(replay.record(Stage.PROFILE), findings=(finding,)))

    async with seat(Stage.PROFILE, size=(120, 60), prepare=alone) as operator:
        await operator.press("f", "slash")
        await operator.type("ORPHANS")
        await operator.press("enter", "enter")
        assert f"Rows that show it ({finding.count:,})" in operator.words
        table = operator.app.screen.query("Rows").first(DataTable)
        table.focus()
        first = [str(cell) for cell in table.get_row_at(0)]
        await operator.press("ctrl+end", "pagedown")
        assert pages(operator)[-1].startswith(f"rows 201 to 400 of {finding.count:,}")
        await operator.press("ctrl+end", "pagedown")
        assert pages(operator)[-1].startswith(f"rows 401 to {min(600, finding.count):,}")
        await operator.press("pageup")
        await operator.press("ctrl+home", "pageup")
        await operator.press("ctrl+home")
        assert pages(operator)[-1].startswith("rows 1 to 200 of")
        assert [str(cell) for cell in table.get_row_at(0)] == first


class Sparse(SlowRows):
    """A first page that is there at once, and no end to the search for the second."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def __len__(self) -> int:
        return 300

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        raise AssertionError("the screens must not read them themselves")

    def read(self, first: int, limit: int, reporter: Reporter | None = None) -> Sequence[Row]:
        assert reporter is not None
        if first == 0:
            return [Row(str(n), (line(f"row {n}"),)) for n in range(limit)]
        while True:
            try:
                reporter.check()
            except Cancelled:
                self.stopped.set()
                raise
            time.sleep(0.01)


async def strike(operator: Seated, key: str) -> None:
    """Press a key without waiting for what it begins."""
    operator.app.post_message(Key(key, None))
    for _ in range(6):
        await operator.pilot.pause(0)


@pytest.mark.parametrize("way_out", ["pageup", "escape"])
async def test_a_search_for_rows_says_so_and_can_be_left(seat: Seat, way_out: str) -> None:
    async with seat(Stage.SCORE, size=(120, 40)) as operator:
        rows, here = Sparse(), place_of(operator)
        table = Table("sparse", (Column("Row"),), rows, title="Few and far between")
        operator.app.push_screen(Detail("sparse", (table,), operator.app.glyphs))
        await operator.settle()
        assert "row 0" in operator.shown
        operator.app.screen.query("Rows").first(DataTable).focus()
        await operator.press("ctrl+end")
        await strike(operator, "pagedown")
        assert pages(operator) == ["looking for rows from 201 on ...; PgUp leaves it off"]
        assert "looking for rows" in operator.app.bridge.jobs
        await strike(operator, way_out)
        assert rows.stopped.wait(5)
        await operator.settle()
        assert not operator.app.bridge.jobs
        if way_out == "pageup":
            assert pages(operator)[-1].startswith("rows 1 to 200 of 300")
        else:
            assert operator.app.screen is operator.app.place_screen
            assert place_of(operator) is here


async def test_rows_without_a_name_of_their_own_are_shown(seat: Seat) -> None:
    finding = Finding(
        *("DRIFT-CATEGORY", Severity.REVIEW, "two values are new", "look"),
        table="no such table",
        column="state",
        count=2,
        evidence=(Evidence("", "Parked"), Evidence("", "On hold")),
    )

    def alone(replay: Replay) -> None:
        replay.put(dataclasses.replace(replay.record(Stage.PROFILE), findings=(finding,)))

    async with seat(Stage.PROFILE, size=(120, 40), prepare=alone) as operator:
        await operator.press("f", "slash")
        await operator.type("two values")
        await operator.press("enter", "enter")
        assert "Parked" in operator.shown
        assert "On hold" in operator.shown


async def test_the_ledger_is_turned_page_by_page(seat: Seat, recorded: Recorded) -> None:
    changed = recorded.stages[Stage.CLEAN].summary["cells_changed"]
    assert isinstance(changed, int)
    assert changed > 200
    async with seat(Stage.CLEAN, size=(120, 60)) as operator:
        await operator.press("comma")
        operator.app.screen.query("Rows").last().focus()
        await operator.press("ctrl+end", "pagedown")
        assert pages(operator)[-1].startswith(f"rows 201 to {min(400, changed):,} of {changed:,}")
        await operator.press("pageup")
        assert pages(operator)[-1].startswith("rows 1 to 200 of")


async def test_the_way_back_says_when_there_is_none(seat: Seat, recorded: Recorded) -> None:
    session = recorded.deployment.session
    assert session is not None
    async with seat(Stage.REPORT, form=Form(str(recorded.deployment.source), session.spoken)) as operator:
        await operator.press("r")
        await operator.settle()
        assert "There is no version to go back to" in operator.words
        await operator.press("enter")
        assert "Not now: there is no version to go back to" in operator.words
