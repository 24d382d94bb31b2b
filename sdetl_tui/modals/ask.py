"""The guard ladder's dialogs: confirm with a letter, type a name, leave while work runs, an error, a detail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from sdetl_tui.blocks import Span, Tone, line
from sdetl_tui.text import content, contents
from sdetl_tui.widgets.draw import drawn
from sdetl_tui.widgets.field import Field

if TYPE_CHECKING:
    from sdetl_engine import SdetlError
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.glyphs import Glyphs
    from sdetl_tui.widgets.paged import PagedTable

ARMED_SECONDS = 60.0
"""A dialog for the gravest deeds closes by itself: nobody confirms this morning's question in the afternoon."""


Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A box over the screen, whose body the page keys scroll, wherever the focus is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
    ]

    def action_page(self, pages: int) -> None:
        """What does not fit into the box: a page on or back."""
        for body in self.query(VerticalScroll).filter(".dialog-body"):
            body.scroll_relative(y=pages * max(1, body.size.height - 1), animate=False)


class Confirm(Dialog[bool]):
    """Effect and way back; Cancel is focused, and a letter of its own accepts."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,n", "cancel", "Cancel", show=False)]

    def __init__(self, title: str, lines: Sequence[Line], *, accept: str, key: str) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._accept = accept
        self._key = key

    def compose(self) -> ComposeResult:
        """Title, lines, two buttons."""
        with Vertical(classes="dialog"):
            yield Static(content(line(Span(self._title, Tone.STRONG))), classes="dialog-title")
            with VerticalScroll(classes="dialog-body"):
                yield Static(contents(self._lines))
            with Horizontal(classes="buttons"):
                yield Button(content(line(" Cancel (Esc) ")), id="cancel", compact=True)
                yield Button(
                    content(line(f" {self._accept} ({self._key.upper()}) ")),
                    id="accept",
                    compact=True,
                    variant="warning",
                )

    def on_mount(self) -> None:
        """The harmless one is focused."""
        self.query_one("#cancel", Button).focus()

    def on_key(self, event: Key) -> None:
        """The letter that accepts, small or capital."""
        if event.key.lower() == self._key:
            event.stop()
            self.dismiss(True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Either button."""
        self.dismiss(event.button.id == "accept")

    def action_cancel(self) -> None:
        """Esc."""
        self.dismiss(False)


class TypeToConfirm(Dialog[bool | None]):
    """For the cutover and what cannot be undone by a key: a name has to be typed; the button arms when it is equal.

    The result is None when for a minute nobody typed: it does not lie in wait for whoever comes by next.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False)]

    def __init__(
        self,
        title: str,
        lines: Sequence[Line],
        *,
        name: str,
        accept: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._wanted = name
        self._accept = accept
        self._clock = clock
        self._ends = clock() + ARMED_SECONDS

    def compose(self) -> ComposeResult:
        """Title, lines, the field, what is missing, two buttons."""
        with Vertical(classes="dialog"):
            yield Static(content(line(Span(self._title, Tone.STRONG))), classes="dialog-title")
            with VerticalScroll(classes="dialog-body"):
                yield Static(contents(self._lines))
            yield Static(content(line("Type ", Span(self._wanted, Tone.STRONG), " to arm the button:")))
            yield Field(id="typed", longest=200)
            yield Static(content(line("nothing typed yet")), id="missing")
            with Horizontal(classes="buttons"):
                yield Button(content(line(" Cancel (Esc) ")), id="cancel", compact=True)
                yield Button(
                    content(line(f" {self._accept} ")), id="accept", compact=True, variant="error", disabled=True
                )

    def on_mount(self) -> None:
        """Ready to type; a clock that disarms."""
        self.query_one(Input).focus()
        self.set_interval(1.0, self._tick)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Armed only while the name is equal."""
        equal = event.value == self._wanted
        self._ends = self._clock() + ARMED_SECONDS
        self.query_one("#accept", Button).disabled = not equal
        told = "armed: Enter goes to the button" if equal else self._missing(event.value)
        self.query_one("#missing", Static).update(content(line(told)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the field moves to the button; it never accepts by itself."""
        if event.value == self._wanted:
            self.query_one("#accept", Button).focus()
        else:
            self.query_one("#missing", Static).update(content(line(Span(self._missing(event.value), Tone.BAD))))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Accepts only while armed."""
        armed = self.query_one(Input).value == self._wanted
        self.dismiss(event.button.id == "accept" and armed)

    def action_cancel(self) -> None:
        """Esc."""
        self.dismiss(False)

    def _missing(self, typed: str) -> str:
        if not typed:
            return "nothing typed yet"
        if self._wanted.startswith(typed):
            return f"{len(self._wanted) - len(typed)} more characters"
        return "that is another name: nothing happens until it is equal"

    def _tick(self) -> None:
        if self._clock() > self._ends:
            self.dismiss(None)


class Choose(Dialog[str | None]):
    """A few named ways on; the first is focused and harmless.  The result is the way's id, None for Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Back", show=False)]

    def __init__(self, title: str, lines: Sequence[Line], ways: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._ways = ways

    def compose(self) -> ComposeResult:
        """Title, lines, one button per way."""
        with Vertical(classes="dialog"):
            yield Static(content(line(Span(self._title, Tone.STRONG))), classes="dialog-title")
            with VerticalScroll(classes="dialog-body", can_focus=False):
                yield Static(contents(self._lines))
            with Vertical(classes="ways"):
                for way, label in self._ways:
                    yield Button(content(line(f" {label} ")), id=way, compact=True)

    def on_mount(self) -> None:
        """The harmless one is focused."""
        self.query(Button).first().focus()

    def on_key(self, event: Key) -> None:
        """Arrows move between the ways."""
        if event.key in ("down", "up"):
            event.stop()
            (self.focus_next if event.key == "down" else self.focus_previous)()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A way was chosen."""
        self.dismiss(event.button.id)

    def action_cancel(self) -> None:
        """Esc."""
        self.dismiss(None)


class Detail(Dialog[None]):
    """One thing in full."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "close", "Close", show=False)]

    def __init__(self, title: str, blocks: Sequence[Block], glyphs: Glyphs) -> None:
        super().__init__()
        self._title = title
        self._blocks = blocks
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """Title and blocks, scrolling."""
        with Vertical(classes="dialog tall"):
            yield Static(
                content(line(Span(self._title, Tone.STRONG), Span("   Esc closes", Tone.DIM))), classes="dialog-title"
            )
            with VerticalScroll(classes="dialog-body", can_focus=True):
                yield from drawn(self._blocks, self._glyphs)

    def on_paged_table_opened(self, event: PagedTable.Opened) -> None:
        """A row of a table in it, with nothing cut."""
        event.stop()
        self.app.push_screen(Detail(self._title, (event.in_full,), self._glyphs))

    def action_close(self) -> None:
        """Esc."""
        self.dismiss(None)


def error_lines(error: SdetlError) -> tuple[Line, ...]:
    """What happened, what is left behind, what to do next."""
    return (
        line(Span(error.message, Tone.BAD)),
        line(""),
        line(Span("left behind: ", Tone.DIM), error.left_behind),
        line(Span("next: ", Tone.DIM), Span(error.next_step, Tone.STRONG)),
    )
