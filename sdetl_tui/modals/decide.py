"""Deciding: on one finding, on all reviews that are shown, on a column's type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, OptionList, Static

import sdetl_engine as engine
from sdetl_engine import Decision, Gate, Stage, gate_of
from sdetl_tui.blocks import Span, Tone, line
from sdetl_tui.modals.ask import Detail, Dialog
from sdetl_tui.text import content, contents
from sdetl_tui.views import findings, types
from sdetl_tui.views.findings import ARGUED
from sdetl_tui.widgets.draw import drawn
from sdetl_tui.widgets.field import Field

if TYPE_CHECKING:
    from sdetl_engine import Choice, Finding, TypeVerdict
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.glyphs import Glyphs
    from sdetl_tui.views.findings import Item
    from sdetl_tui.views.look import Look
    from sdetl_tui.widgets.paged import PagedTable

WouldBe = Callable[[Sequence[Decision], Stage], Gate]


class Decide(Dialog[Decision | None]):
    """A finding with its evidence; below, what may be said about it, why, and what that does to the gate."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Back", show=False)]

    def __init__(self, look: Look, item: Item, would_be: WouldBe, why_not: str | None) -> None:
        super().__init__()
        self._look = look
        self._stage, self._finding = item
        self._would_be = would_be
        self._why_not = why_not if why_not is not None else _why_not(self._finding)
        self._offers = findings.offers(self._finding)

    def compose(self) -> ComposeResult:
        """The finding, then the form when a decision is possible."""
        with Vertical(classes="dialog tall"):
            with VerticalScroll(classes="dialog-body", can_focus=True):
                yield from drawn(findings.detail(self._look, (self._stage, self._finding)), self._look.glyphs)
            if self._why_not is not None:
                yield Static(content(line(Span(self._why_not, Tone.DIM))))
                with Horizontal(classes="buttons"):
                    yield Button(content(line(" Close (Esc) ")), id="cancel", compact=True)
                return
            yield OptionList(*self._prompts(0), id="choices", compact=True, markup=False)
            yield Field(self._finding.suggestion or "", hint="which", id="argument")
            yield Field(hint="why? (stands in journal, plan and report)", id="reason", longest=500)
            yield Static("", id="effect")
            with Horizontal(classes="buttons"):
                yield Button(content(line(" Cancel (Esc) ")), id="cancel", compact=True)
                yield Button(content(line(" Record the decision ")), id="record", compact=True, variant="primary")

    def on_mount(self) -> None:
        """Choices first."""
        if self._why_not is None:
            choices = self.query_one(OptionList)
            choices.highlighted = 0
            choices.focus()
            self._tell()
        else:
            self.query_one("#cancel", Button).focus()

    def on_paged_table_opened(self, event: PagedTable.Opened) -> None:
        """A row that shows it, with nothing cut."""
        event.stop()
        self.app.push_screen(Detail(self._finding.rule, (event.in_full,), self._look.glyphs))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Another choice: does it need an argument, and what would it do?"""
        for number, prompt in enumerate(self._prompts(event.option_index)):
            event.option_list.replace_option_prompt_at_index(number, prompt)
        self._tell()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter goes on to what is still to be said."""
        self.query_one("#argument" if self._choice in ARGUED and not self._argument else "#reason", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The effect follows."""
        self._tell()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on."""
        if event.input.id == "argument":
            self.query_one("#reason", Input).focus()
        else:
            self.query_one("#record", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Record, or back."""
        event.stop()
        if event.button.id == "cancel":
            self.dismiss(None)
            return
        missing = self._missing()
        if missing is not None:
            field, words = missing
            self.query_one("#effect", Static).update(content(line(Span(words, Tone.BAD))))
            self.query_one(field, Input).focus()
            return
        self.dismiss(self._decision())

    def action_cancel(self) -> None:
        """Esc."""
        self.dismiss(None)

    @property
    def _choice(self) -> Choice:
        return self._picked.choice

    @property
    def _picked(self) -> findings.Offer:
        return self._offers[self.query_one(OptionList).highlighted or 0]

    @property
    def _argument(self) -> str:
        return self.query_one("#argument", Input).value

    def _prompts(self, chosen: int) -> list[str]:
        """The choices as lines; the chosen one is marked by more than a colour."""
        return [f"{'(*)' if number == chosen else '( )'} {offer.words}" for number, offer in enumerate(self._offers)]

    def _decision(self) -> Decision:
        reason = self.query_one("#reason", Input).value.strip()
        argument = self._argument if self._choice in ARGUED else None
        table, column = self._finding.table, self._finding.column
        if self._picked.everywhere:
            table = column = "*"
        return Decision(self._finding.rule, self._choice, reason, table, column, argument)

    def _missing(self) -> tuple[str, str] | None:
        """The field that lacks something, and what."""
        if self._choice in ARGUED and self._argument == "":
            return "#argument", "it needs to be said which (the field below the choices)"
        if self._choice in ARGUED and (fault := engine.argument_fault(self._choice, self._argument)) is not None:
            return "#argument", fault
        if not self.query_one("#reason", Input).value.strip():
            return "#reason", "a decision needs a reason: a few words"
        return None

    def _tell(self) -> None:
        self.query_one("#argument", Input).display = self._choice in ARGUED
        before = gate_of(self._look.record(self._stage).findings)
        after = self._would_be([self._decision()], self._stage)
        self.query_one("#effect", Static).update(content(findings.gate_word(before, after)))


class AgreeAll(Dialog[str | None]):
    """One reason for agreeing to several reviews."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Back", show=False)]

    def __init__(self, agreed: Sequence[Finding]) -> None:
        super().__init__()
        self._agreed = agreed

    def compose(self) -> ComposeResult:
        """What is agreed to, and the reason."""
        lines: list[Line] = [line(f"{f.rule}  {findings.where(f)}: {f.message}") for f in self._agreed]
        with Vertical(classes="dialog"):
            yield Static(
                content(line(Span(f"Agree to {engine.counted(len(self._agreed), 'review')}", Tone.STRONG))),
                classes="dialog-title",
            )
            with VerticalScroll(classes="dialog-body", can_focus=True):
                yield Static(contents(lines, limit=300))
            yield Field(hint="why? (stands in journal, plan and report)", id="reason", longest=500)
            with Horizontal(classes="buttons"):
                yield Button(content(line(" Cancel (Esc) ")), id="cancel", compact=True)
                yield Button(
                    content(line(" Agree to them ")), id="agree", compact=True, variant="warning", disabled=True
                )

    def on_mount(self) -> None:
        """Ready for the reason."""
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Armed by a reason."""
        self.query_one("#agree", Button).disabled = not event.value.strip()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes to the button."""
        if event.value.strip():
            self.query_one("#agree", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Agree, or back."""
        event.stop()
        self.dismiss(self.query_one(Input).value.strip() if event.button.id == "agree" else None)

    def action_cancel(self) -> None:
        """Esc."""
        self.dismiss(None)


class Retype(Dialog[tuple[str, str] | None]):
    """Another type for a column: its cost is counted before it can be recorded.  The result is type and reason."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Back", show=False)]

    def __init__(
        self, verdict: TypeVerdict, ask: Callable[[str, Callable[[Sequence[Block], bool], None]], None], glyphs: Glyphs
    ) -> None:
        super().__init__()
        self._verdict = verdict
        self._ask = ask
        self._glyphs = glyphs
        self._counted: str | None = None

    def compose(self) -> ComposeResult:
        """The column, the new type, its cost, the reason."""
        with Vertical(classes="dialog tall"):
            yield from drawn(types.facts(self._verdict), self._glyphs)
            yield Field(
                self._verdict.chosen,
                hint="type, e.g. text, bigint, numeric(10,2), timestamptz",
                id="type",
            )
            yield Static(content(line("Enter counts how many values would not fit")), id="hint")
            yield VerticalScroll(id="cost", classes="dialog-body", can_focus=False)
            yield Field(hint="why?", id="reason", longest=500)
            with Horizontal(classes="buttons"):
                yield Button(content(line(" Cancel (Esc) ")), id="cancel", compact=True)
                yield Button(content(line(" Record this type ")), id="record", compact=True, variant="primary")

    def on_mount(self) -> None:
        """The type first."""
        self.query_one("#type", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Count the cost, or go to the button."""
        if event.input.id == "reason":
            self.query_one("#record", Button).focus()
            return
        asked = event.value.strip()
        self._hint("counting ...")

        def counted(blocks: Sequence[Block], is_possible: bool) -> None:
            self._counted = asked if is_possible else None
            self._hint("that is what it costs" if is_possible else "another type, please")
            self.run_worker(self._show(blocks))
            if is_possible:
                self.query_one("#reason", Input).focus()

        self._ask(asked, counted)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Record, when it was counted and has a reason."""
        event.stop()
        if event.button.id == "cancel":
            self.dismiss(None)
            return
        wanted, reason = self.query_one("#type", Input).value.strip(), self.query_one("#reason", Input).value.strip()
        if wanted != self._counted:
            self._hint("Enter in the type field first: its cost has not been counted")
        elif not reason:
            self._hint("a decision needs a reason: a few words")
        else:
            self.dismiss((wanted, reason))

    def action_cancel(self) -> None:
        """Esc."""
        self.dismiss(None)

    def _hint(self, words: str) -> None:
        self.query_one("#hint", Static).update(content(line(words)))

    async def _show(self, blocks: Sequence[Block]) -> None:
        place = self.query_one("#cost", VerticalScroll)
        await place.remove_children()
        await place.mount_all(drawn(blocks, self._glyphs))


def _why_not(finding: Finding) -> str | None:
    if finding.decision is not None:
        return "It is decided."
    if not findings.is_decidable(finding):
        return "It asks for no decision: it is counted and shown."
    return None
