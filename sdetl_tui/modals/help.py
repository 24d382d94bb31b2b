"""F1: the page of a place.  Made once and kept, so that it is there at once however busy the machine is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from sdetl_tui.blocks import Facts, Note, Span, Tone, line
from sdetl_tui.help import KEYS, PAGES
from sdetl_tui.modals.ask import Dialog
from sdetl_tui.text import content
from sdetl_tui.widgets.prose import Prose

if TYPE_CHECKING:
    from sdetl_tui.blocks import Line
    from sdetl_tui.glyphs import Glyphs
    from sdetl_tui.widgets.prose import Told
    from sdetl_tui.wizard import Place


class Help(Dialog[None]):
    """What a place is for, and the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,f1", "close", "Close", show=False)]
    # Nothing here depends on the size: classes for it would cost a second picture.
    HORIZONTAL_BREAKPOINTS = []  # noqa: RUF012 - textual declares these as attributes of instances
    VERTICAL_BREAKPOINTS = []  # noqa: RUF012

    def __init__(self, place: Place, glyphs: Glyphs) -> None:
        super().__init__()
        self._place = place
        self._title = Static(content(_title(place)), classes="dialog-title")
        self._page = Prose(_page(place), glyphs)

    def compose(self) -> ComposeResult:
        """Title and page, scrolling."""
        with Vertical(classes="dialog tall"):
            yield self._title
            with VerticalScroll(classes="dialog-body", can_focus=True):
                yield self._page

    def tell(self, place: Place) -> None:
        """Turn to the page of that place."""
        if place is not self._place:
            self._place = place
            self._title.update(content(_title(place)))
            self._page.tell(_page(place))
        if self.is_mounted:
            self.query_one(VerticalScroll).scroll_home(animate=False)

    def action_close(self) -> None:
        """Esc."""
        self.dismiss(None)


def _title(place: Place) -> Line:
    return line(Span(f"Help: {place}", Tone.STRONG), Span("   Esc closes", Tone.DIM))


def _page(place: Place) -> tuple[Told, ...]:
    keys = tuple((key, line(what)) for key, what in KEYS)
    return (Note(tuple(line(text) for text in PAGES[place].split("\n"))), Facts(keys, "Keys"))
