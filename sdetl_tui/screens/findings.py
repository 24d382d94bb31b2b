"""Findings: filter, order, search; decide on one, or agree to all reviews that are shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from sdetl_engine import Choice, Decision, Severity, Stage
from sdetl_tui.modals.decide import AgreeAll, Decide
from sdetl_tui.screens.base import PlaceScreen
from sdetl_tui.views import findings
from sdetl_tui.views.findings import Order, Which
from sdetl_tui.widgets.field import Field
from sdetl_tui.wizard import Place

if TYPE_CHECKING:
    from sdetl_tui.blocks import Block
    from sdetl_tui.views.findings import Filter, Item
    from sdetl_tui.wizard import Situation


class FindingsScreen(PlaceScreen):
    """Everything that the gates noticed."""

    place = Place.FINDINGS
    hints: ClassVar[tuple[tuple[str, str], ...]] = (
        *(("enter", "Decide"), ("w", "Which"), ("o", "Order"), ("slash", "Search"), ("a", "Agree"), ("f1", "Help")),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "which", "Which", id="which"),
        Binding("o", "order", "Order", id="order"),
        Binding("slash", "search", "Search", id="search"),
        Binding("a", "agree_all", "Agree to reviews", id="agree-all"),
    ]

    def compose_top(self) -> ComposeResult:
        """The search field, shown when asked for."""
        field = Field(self.filter.search, hint="rule, table, column or words", id="search")
        field.display = bool(self.filter.search)
        yield field

    @property
    def filter(self) -> Filter:
        """Kept by the app: going away loses nothing."""
        return self.wizard.finding_filter

    def set_filter(self, **changes: object) -> None:
        """Change what is shown."""
        self.wizard.finding_filter = dataclasses.replace(self.filter, **changes)  # type: ignore[arg-type]
        self.draw_again()

    def on_mount(self) -> None:
        """The table is what one wants here."""
        super().on_mount()
        self.call_after_refresh(lambda: self.query("Rows").first().focus() if self.query("Rows") else None)

    def signature(self, now: Situation) -> object:
        """Findings and decisions are in the records."""
        return (now.records, now.running, self.filter)

    def blocks(self) -> Sequence[Block]:
        """The filtered table."""
        look = self.look()
        return findings.blocks(look, self.wizard.bridge.findings, self.filter) if look is not None else ()

    def detail(self, table: str, key: str) -> Sequence[Block]:
        """One finding with its evidence."""
        look = self.look()
        return findings.detail(look, self._item(key)) if look is not None else ()

    def open_row(self, table: str, key: str) -> None:
        """Evidence, choices, reason."""
        look = self.look()
        if look is None or table != "findings":
            return
        item = self._item(key)

        def decided(decision: Decision | None) -> None:
            if decision is not None:
                self.wizard.decide([(item[0], decision)], self)

        why_not = self.wizard.why_no_decision(item[0])
        self.app.push_screen(Decide(look, item, self.wizard.bridge.would_be, why_not), decided)

    def action_which(self) -> None:
        """Next of: all, open, decided, grave."""
        kinds = list(Which)
        self.set_filter(which=kinds[(kinds.index(self.filter.which) + 1) % len(kinds)], stage=None)

    def action_order(self) -> None:
        """Next of: gravity, count, place."""
        orders = list(Order)
        self.set_filter(order=orders[(orders.index(self.filter.order) + 1) % len(orders)])

    def action_search(self) -> None:
        """Open the search field."""
        field = self.query_one("#search", Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while typing."""
        if event.input.id == "search":
            self.set_filter(search=event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the table."""
        event.input.display = bool(event.value)
        if self.query("Rows"):
            self.query("Rows").first().focus()

    def action_agree_all(self) -> None:
        """Agree to every open review that is shown and can be agreed to."""
        agreeable = [item for item in findings.chosen(self.wizard.bridge.findings, self.filter) if _can_agree(item)]
        why_not = next((why for stage, _ in agreeable if (why := self.wizard.why_no_decision(stage))), None)
        if why_not is not None:
            self.say(f"Not now: {why_not}")
            return
        if not agreeable:
            self.say("Nothing here can be agreed to: no open review is shown (a halt needs its own decision)")
            return

        def agreed(reason: str | None) -> None:
            if reason:
                made = [(stage, Decision(f.rule, Choice.ACCEPT, reason, f.table, f.column)) for stage, f in agreeable]
                self.wizard.decide(made, self)

        self.app.push_screen(AgreeAll([item[1] for item in agreeable]), agreed)

    def _item(self, key: str) -> Item:
        return self.wizard.bridge.findings[int(key)]


def _can_agree(item: Item) -> bool:
    stage, finding = item
    return (
        finding.is_open
        and finding.severity is Severity.REVIEW
        and stage is not Stage.CUTOVER
        and Choice.ACCEPT in findings.choices(finding)
    )
