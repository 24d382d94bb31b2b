"""A table of any length: one page of rows is in the widget, the rest is asked for when it is turned to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable, Static

from sdetl_tui.blocks import SlowRows, Tone
from sdetl_tui.blocks import line as say
from sdetl_tui.text import content, plain, written

if TYPE_CHECKING:
    from sdetl_engine import Reporter
    from sdetl_tui.blocks import Column, Facts, Line, Row, Table
    from sdetl_tui.bridge import Job
    from sdetl_tui.glyphs import Glyphs

_NARROWEST = 6
_LEAST_SPARE = 20
"""A spare column is left out rather than shown narrower than this."""
PAGE = 200
"""Rows in the widget at a time: a page settles in well under a tenth of a second."""
_LONGEST_CELL = 160


class Looker(Protocol):
    """The app, as far as a table knows it."""

    def look_beside(self, work: Callable[[Reporter], object], then: Callable[[Job], None]) -> Callable[[], None]:
        """Look for rows beside the screens; what is returned leaves it off."""


class PagedTable(Vertical):
    """A title, a page of rows, and which page it is.  Enter on a row posts ``Opened``.

    Rows that may take a while are looked for beside the screens: meanwhile the page before stands, and says so.
    """

    DEFAULT_CSS = """
    PagedTable { height: auto; margin-bottom: 1; }
    PagedTable > .title { height: 1; text-style: bold; }
    PagedTable > DataTable { height: auto; max-height: 16; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
    PagedTable > .pages { height: 1; color: $text-muted; }
    PagedTable > .empty { height: auto; color: $text-muted; }
    """

    class Opened(Message):
        """Somebody wants to see a row in full.  ``in_full``: all that the table itself has of it."""

        def __init__(self, table: str, key: str, in_full: Facts) -> None:
            super().__init__()
            self.table = table
            self.key = key
            self.in_full = in_full

    class Pointed(Opened):
        """The cursor stands on another row."""

    def __init__(self, table: Table, glyphs: Glyphs) -> None:
        super().__init__()
        self._cut = glyphs.cut
        self._table = table
        self._page = 0
        self._width = 0
        self._shown: Sequence[Row] | None = None
        self._sought: int | None = None
        self._leave_off: Callable[[], None] | None = None

    def compose(self) -> ComposeResult:
        """Title, rows, page."""
        if self._table.title:
            yield Static(content(say(self._table.title)), classes="title")
        if len(self._table.rows) == 0:
            yield Static(content(say(self._table.empty)), classes="empty")
            return
        yield Rows()
        if self.pages > 1 or isinstance(self._table.rows, SlowRows):
            yield Static("", classes="pages")

    def on_resize(self, event: Resize) -> None:
        """Columns share the width there is."""
        if len(self._table.rows) and event.size.width != self._width:
            self._width = event.size.width
            if self._shown is None:
                self._seek(0, 0)
            else:
                self._fill(self._shown, self.query_one(Rows).cursor_row)

    def on_unmount(self) -> None:
        """Nobody waits for rows any more."""
        self._stop_seeking()

    @property
    def name_of_table(self) -> str:
        """Which table of its view it is."""
        return self._table.name

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return -(-len(self._table.rows) // PAGE)

    def turn(self, pages: int) -> bool:
        """Go some pages on or back; False when there is none there."""
        wanted = self._page + pages
        if self._shown is None or not 0 <= wanted < self.pages:
            return False
        if self._sought is None:
            self._seek(wanted, PAGE - 1 if pages < 0 else 0)
        return True

    def leave_off(self) -> bool:
        """Stop looking for another page; False when none was looked for."""
        if self._sought is None or self._shown is None:
            return False
        self._stop_seeking()
        self._tell_page()
        return True

    def _seek(self, page: int, cursor: int) -> None:
        """Get a page: at once, or beside the screens where that may take a while."""
        rows, first = self._table.rows, page * PAGE
        if not isinstance(rows, SlowRows):
            self._page = page
            self._fill(rows[first : first + PAGE], cursor)
            return

        def arrived(job: Job) -> None:
            self._sought = self._leave_off = None
            if job.error is not None:
                self._say(job.error.message)
                return
            self._page = page
            self._fill(job.result, cursor)

        self._sought = page
        leave = "; PgUp leaves it off" if self._shown is not None else ""
        self._say(f"looking for rows from {first + 1:,} on ...{leave}")
        self._leave_off = cast("Looker", self.app).look_beside(lambda told: rows.read(first, PAGE, told), arrived)

    def _stop_seeking(self) -> None:
        if self._leave_off is not None:
            self._leave_off()
        self._sought = self._leave_off = None

    def _fill(self, rows: Sequence[Row], cursor: int = 0) -> None:
        self._shown = rows
        grid = self.query_one(Rows)
        shown = _shared(self._table.columns, rows, self._width)
        styles = _styles(self.app.theme_variables)
        grid.clear(columns=True)
        for place, width in shown.items():
            column = self._table.columns[place]
            grid.add_column(Text(plain(column.title), justify="right" if column.right else "left"), width=width)
        for row in rows:
            cells = [
                _cell(row.cells[i], self._table.columns[i], width, styles, self._cut) for i, width in shown.items()
            ]
            grid.add_row(*cells, key=row.key)
        grid.move_cursor(row=min(cursor, len(rows) - 1))
        self._tell_page()

    def _tell_page(self) -> None:
        first, count = self._page * PAGE, len(self._shown or ())
        if self.pages > 1:
            last = first + count
            self._say(f"rows {first + 1:,} to {last:,} of {len(self._table.rows):,}; PgUp and PgDn turn the page")
        elif isinstance(self._table.rows, SlowRows):
            self._say("" if count else self._table.empty)

    def _say(self, words: str) -> None:
        self.query_one(".pages", Static).update(content(say(words)))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter or a click on a row."""
        event.stop()
        if event.row_key.value is not None:
            self.post_message(self.Opened(self._table.name, event.row_key.value, self._in_full(event.row_key.value)))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """The cursor moved."""
        event.stop()
        if event.row_key.value is not None and self.query_one(Rows).has_focus:
            self.post_message(self.Pointed(self._table.name, event.row_key.value, self._in_full(event.row_key.value)))

    def _in_full(self, key: str) -> Facts:
        return self._table.in_full(next(row for row in self._shown or () if row.key == key))


class Rows(DataTable[Text]):
    """The rows of one page.  At either end the arrow keys leave the table, the page keys turn the page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "turn(1)", "Next page", show=False),
        Binding("pageup", "turn(-1)", "Page before", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False, show_cursor=True)

    def action_turn(self, pages: int) -> None:
        """To the end of this page first, then to the next one, then to what stands beyond the table."""
        edge = self.row_count - 1 if pages > 0 else 0
        owner = self.parent
        if pages < 0 and isinstance(owner, PagedTable) and owner.leave_off():
            return
        if self.cursor_row == edge:
            around = next((a for a in self.ancestors if isinstance(a, VerticalScroll)), None)
            if not (isinstance(owner, PagedTable) and owner.turn(pages)) and around is not None:
                around.scroll_relative(y=pages * max(1, around.size.height - 2), animate=False)
        elif pages > 0:
            self.action_page_down()
        else:
            self.action_page_up()

    def action_cursor_down(self) -> None:
        """Past the last row the focus goes on."""
        if self.cursor_row >= self.row_count - 1:
            owner = self.parent
            if not (isinstance(owner, PagedTable) and owner.turn(1)):
                self.screen.focus_next()
            return
        super().action_cursor_down()

    def action_cursor_up(self) -> None:
        """Past the first row the focus goes back."""
        if self.cursor_row <= 0:
            owner = self.parent
            if not (isinstance(owner, PagedTable) and owner.turn(-1)):
                self.screen.focus_previous()
            return
        super().action_cursor_up()


def _shared(columns: Sequence[Column], rows: Sequence[Row], room: int) -> dict[int, int]:
    """Width by column.  As wide as their content; where that is more than there is room for, spare columns go, the last
    first, and then the widest give way."""
    widths = {i: _natural(column, [row.cells[i] for row in rows]) for i, column in enumerate(columns)}
    least = {i: min(width, _LEAST_SPARE) if columns[i].spare else width for i, width in widths.items()}
    for i in reversed(range(len(columns))):
        if columns[i].spare and sum(least.values()) > _free(room, len(least)):
            del widths[i], least[i]
    while sum(widths.values()) > _free(room, len(widths)) and max(widths.values()) > _NARROWEST:
        over = sum(widths.values()) - _free(room, len(widths))
        widest = max(widths.values())
        among = [i for i, width in widths.items() if width == widest]
        second = max((width for width in widths.values() if width < widest), default=0)
        for i in among:
            widths[i] = max(second, _NARROWEST, widest - -(-over // len(among)))
    return widths


def _natural(column: Column, cells: Sequence[Line]) -> int:
    return max([cell_len(plain(column.title)), *(cell_len(written(cell, _LONGEST_CELL)) for cell in cells)])


def _free(room: int, columns: int) -> int:
    """Every column has a blank on either side; the scrollbar takes one cell."""
    return room - 2 * columns - 1


def _styles(theme: Mapping[str, str]) -> dict[Tone, str]:
    """The theme's colours as DataTable's texts want them; the terminal's own where the theme names none."""

    def colour(name: str, otherwise: str) -> str:
        value = theme.get(name, "")
        return value[:7] if value.startswith("#") else otherwise

    return {
        Tone.PLAIN: "",
        Tone.DIM: "dim",
        Tone.STRONG: "bold",
        Tone.GOOD: colour("text-success", "green"),
        Tone.NOTICE: colour("text-warning", "yellow"),
        Tone.BAD: f"bold {colour('text-error', 'red')}",
        Tone.ACCENT: f"bold {colour('text-accent', 'cyan')}",
    }


def _cell(cell: Line, column: Column, width: int, styles: Mapping[Tone, str], cut: str) -> Text:
    """DataTable draws rich texts; those are literal too."""
    text = Text(no_wrap=True, justify="right" if column.right else "left")
    for span in cell:
        text.append(plain(span.text, _LONGEST_CELL), style=styles[span.tone])
    if column.tail and text.cell_len > width:
        over = text.cell_len - width + 1
        return Text(cut, no_wrap=True).append_text(text[over:])
    if text.cell_len > width:
        text.truncate(width - 1, overflow="crop")
        text.append(cut)
    return text
