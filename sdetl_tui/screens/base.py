"""The frame that all places share.  A screen draws what its view says and passes keys on; it decides nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.reactive import Reactive
from textual.widget import Widget
from textual.widgets import Button, Log, Static

from sdetl_engine import Status
from sdetl_tui.blocks import Facts, Note, Span, Tone, line
from sdetl_tui.modals.ask import Detail, error_lines
from sdetl_tui.text import content, contents, plain
from sdetl_tui.views.purposes import purpose
from sdetl_tui.views.states import state_of
from sdetl_tui.widgets.draw import drawn
from sdetl_tui.widgets.frame import Banner, KeyLine, Meter, NextBar, Rail, Shown, StatusBar
from sdetl_tui.widgets.paged import PagedTable
from sdetl_tui.widgets.spared import SparedScreen
from sdetl_tui.wizard import STAGE_OF, Place, next_line, primary

if TYPE_CHECKING:
    from sdetl_engine import SdetlError
    from sdetl_tui.blocks import Block
    from sdetl_tui.bridge import Pulse
    from sdetl_tui.screens.host import Host
    from sdetl_tui.views.look import Look
    from sdetl_tui.wizard import Action, Deed, Situation


_SAID_SECONDS = 2.0
"""An answer stays at least so long, even when what it answers changes the picture."""


class PlaceScreen(SparedScreen[None]):
    """One place.  Subclasses say what stands in the body (``blocks``), what a row shows (``detail``), and what Enter does
    beside the common deeds (``perform``)."""

    AUTO_FOCUS: ClassVar[str | None] = "#primary"
    KEPT: ClassVar[bool] = False
    """True for a place that is drawn from the run alone: made once, it is there at once when one comes again."""

    # Textual paints the whole screen anew when the focus moves; the two widgets paint themselves.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="back"),
        # Reached only while nothing else is focused that knows Enter: for keys that come faster than the focus.
        Binding("enter", "primary", show=False, id="primary"),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("comma", "step(-1)", "Stage before", show=False, id="before"),
        Binding("full_stop", "step(1)", "Next stage", show=False, id="after"),
        Binding("f5", "again", "Again", show=False, id="again"),
    ]

    place: Place
    hints: ClassVar[tuple[tuple[str, str], ...]] = (
        *(("f", "Findings"), ("g", "Go on"), ("x", "Stop"), ("l", "Log"), ("f1", "Help"), ("f10", "Quit")),
    )
    """At most six keys, so that they stand in 80 columns; F1 tells all."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn_for: object = None
        self._log_seen = 0
        self._said = ""
        self._said_at = 0.0
        self._is_said_over = False
        self._row_in_full = Facts(())
        self._is_log_headed = False
        self.last_pulse: Pulse | None = None
        self._is_composed = False

    @property
    def wizard(self) -> Host:
        """The app, as far as screens know it."""
        return cast("Host", self.app)

    # what a place says; to be overridden

    def blocks(self) -> Sequence[Block]:
        """The body."""
        return ()

    def detail(self, table: str, key: str) -> Sequence[Block]:
        """One row in full."""
        return ()

    def signature(self, now: Situation) -> object:
        """The body is drawn again when this changes."""
        return (now.records, now.running, now.stale_from)

    def look(self) -> Look | None:
        """The run to look at, or None."""
        # Not needed for the first picture, and it brings every result of the engine along.
        from sdetl_tui.views.look import Look

        runner = self.wizard.bridge.runner
        if runner is None:
            return None
        return Look(runner.deployment, runner.records, self.wizard.glyphs, self.wizard.terminal_check)

    def perform(self, deed: Deed) -> None:
        """A deed that only this place knows how to do."""
        self.say("Nothing can be done here now")

    def problem(self, error: SdetlError) -> None:
        """What was asked for cannot be done."""
        self.say(f"{error.message}; {error.next_step}")

    # frame

    def compose(self) -> ComposeResult:
        """Banner, rail and body, log, next action, status, keys."""
        yield Static(
            content(
                line("sdetl needs a terminal of at least 60 columns and 18 rows. Make it larger, or leave with F10.")
            ),
            id="too-small",
        )
        with Vertical(id="all"):
            yield Banner(id="banner")
            yield Rail(id="flat-rail")
            with Horizontal(id="middle"):
                yield Rail(id="rail")
                with Vertical(id="right"):
                    with VerticalScroll(id="body", can_focus=False):
                        yield Shown(id="head")
                        yield from self.compose_top()
                        yield Meter(id="meter")
                        yield Vertical(id="blocks")
                    with VerticalScroll(id="aside", can_focus=False):
                        yield Static(content(line(Span("The row under the cursor stands here.", Tone.DIM))))
            yield Log(id="log", max_lines=2000, highlight=False)
            yield NextBar(id="nextbar")
            yield StatusBar(id="status")
            yield KeyLine(self.hints)

    def compose_top(self) -> ComposeResult:
        """Widgets of the place's own, above the blocks."""
        yield from ()

    def on_mount(self) -> None:
        """Marks for colours, and the first picture."""
        self._is_composed = True
        self.app.set_class(self.wizard.is_production, "production")
        self.query_one("#log", Log).set_class(self.wizard.log_open, "open")
        self.query_one("#log", Log).can_focus = False
        self.beat(self.wizard.bridge.poll())

    def on_screen_resume(self) -> None:
        """Back in sight: what has changed meanwhile."""
        if self._is_composed:
            self.beat(self.wizard.bridge.poll())

    def arrive(self) -> None:
        """Somebody came here, not back here: what was said is over, and Enter does what the button names."""
        if self._is_composed:
            self._said = ""
            if self.AUTO_FOCUS is not None:
                self.query_one(self.AUTO_FOCUS).focus()

    def on_resize(self) -> None:
        """Bars and the banner depend on the width."""
        if self.last_pulse is not None:
            self.beat(self.last_pulse)

    def beat(self, pulse: Pulse) -> None:
        """Show what a look at the engine found.  Cheap when nothing has changed."""
        if not self._is_composed:
            return
        self.last_pulse = pulse
        now = pulse.situation
        width = self.size.width
        app = self.wizard
        self.query_one(Banner).tell(app.environment_word, app.moving, app.run_id, app.modes, width, app.glyphs.cut)
        self.query_one("#rail", Rail).tell(now, self.place, app.glyphs, flat=False)
        self.query_one("#flat-rail", Rail).tell(now, self.place, app.glyphs, flat=True)
        self.query_one("#head", Shown).show(contents(self._head(now)))
        is_here = now.running_stage is not None and STAGE_OF.get(self.place) is now.running_stage
        self.query_one(Meter).tell(pulse, app.glyphs, self.query_one("#body").size.width, in_full=is_here)
        signature = self.signature(now)
        is_other = signature != self._drawn_for
        self._is_said_over |= is_other
        if self._is_said_over and time.monotonic() - self._said_at > _SAID_SECONDS:
            self._said = ""
        self._tell_next(now)
        self.query_one(StatusBar).tell(pulse, app.bridge.jobs, app.hint)
        self._tell_log(pulse)
        if is_other:
            self._drawn_for = signature
            self.call_later(self.redraw)

    async def redraw(self) -> None:
        """Draw the body again; the focus stays where it was, as far as that is still there."""
        body = self.query_one("#blocks", Vertical)
        focused = self.focused
        table = focused.parent.name_of_table if focused is not None and isinstance(focused.parent, PagedTable) else None
        with self.app.batch_update():
            await body.remove_children()
            await body.mount_all(drawn((*self._trouble(), *self.blocks()), self.wizard.glyphs))
        again = next((t for t in self.query(PagedTable) if t.name_of_table == table), None)
        if again is not None and again.query("Rows"):
            again.query("Rows").first().focus()
        elif self.focused is None:
            self.query_one("#primary", Button).focus()

    def draw_again(self) -> None:
        """Something else than the run changed: draw at the next beat."""
        self._drawn_for = None

    def say(self, words: str) -> None:
        """Answer a key in the line at the bottom: until something has changed, and long enough to be read."""
        self._said, self._said_at, self._is_said_over = words, time.monotonic(), False
        if self.last_pulse is not None:
            self._tell_next(self.last_pulse.situation)

    def _head(self, now: Situation) -> Sequence[tuple[Span, ...]]:
        stage = STAGE_OF.get(self.place)
        title = line(Span(str(self.place).capitalize(), Tone.STRONG))
        if stage is not None:
            seconds, state = now.record(stage).seconds, state_of(stage, now)
            took = f" in {seconds:.1f} s" if seconds else ""
            sign = self.wizard.glyphs.status[state.sign]
            title = line(Span(str(stage), Tone.STRONG), "  ", Span(f"{sign} {state.words}{took}", state.tone))
        return (title, line(Span(purpose(self.place), Tone.DIM)))

    def _trouble(self) -> Sequence[Block]:
        """How the last work ended, when it did not end well, on the stage where it did."""
        stage = STAGE_OF.get(self.place)
        outcome = self.wizard.bridge.outcome
        if stage is None or outcome is None or outcome.error is None or self.wizard.bridge.is_running:
            return ()
        record = self.wizard.bridge.situation().record(stage)
        if record.status in (Status.FAILED, Status.CANCELLED):
            return (Note(error_lines(outcome.error)),)
        open_ones = [f for f in record.findings if f.is_open]
        if not open_ones:
            return ()
        lines = [line(Span(f"{f.severity}: ", Tone.BAD), f.message) for f in open_ones[:4]]
        if len(open_ones) > 4:
            lines.append(line(f"and {len(open_ones) - 4} more: F opens them all"))
        return (Note(tuple(lines), "The gate waits for your decision"),)

    def _tell_next(self, now: Situation) -> None:
        words = self._said or self.next_words(now)
        self.query_one(NextBar).tell(self.action(now), words, alarm=bool(self._said))

    def action(self, now: Situation) -> Action:
        """What Enter does here."""
        return primary(self.place, now)

    def next_words(self, now: Situation) -> str:
        """What comes next, or why not."""
        return next_line(self.place, now)

    def toggle_log(self, *, is_open: bool) -> None:
        """Open or close the drawer."""
        self.query_one("#log", Log).set_class(is_open, "open")
        if self.last_pulse is not None:
            self._tell_log(self.last_pulse)

    def _tell_log(self, pulse: Pulse) -> None:
        if not self.wizard.log_open:
            return
        runner = self.wizard.bridge.runner
        if runner is not None and not self._is_log_headed:
            self._is_log_headed = True
            kept = plain(str(runner.deployment.folder.log), 300)
            self.query_one("#log", Log).write_line(f"what is told from now on; the whole log: {kept}")
        if pulse.log_count == self._log_seen:
            return
        new = pulse.log_count - self._log_seen
        self._log_seen = pulse.log_count
        lines = list(self.wizard.bridge.log)[-new:]
        self.query_one("#log", Log).write_lines(
            [f"{item.at} {item.level:<7} {plain(item.message, 300)}" for item in lines]
        )

    # keys

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Enter on the primary button."""
        if event.button.id == "primary":
            event.stop()
            now = self.wizard.bridge.situation()
            self.wizard.carry_out(self.action(now), self)

    def action_primary(self) -> None:
        """Enter while nothing is focused."""
        self.wizard.carry_out(self.action(self.wizard.bridge.situation()), self)

    def on_paged_table_opened(self, event: PagedTable.Opened) -> None:
        """A row in full."""
        self._row_in_full = event.in_full
        self.open_row(event.table, event.key)

    def open_row(self, table: str, key: str) -> None:
        """Show a row's detail; where nothing more is known than its cells, those with nothing cut."""
        blocks = self.detail(table, key) or (self._row_in_full,)
        self.app.push_screen(Detail(str(self.place), blocks, self.wizard.glyphs))

    async def on_paged_table_pointed(self, event: PagedTable.Pointed) -> None:
        """On wide terminals the row under the cursor stands beside the table."""
        aside = self.query_one("#aside", VerticalScroll)
        if not aside.display:
            return
        await aside.remove_children()
        blocks = self.detail(event.table, event.key) or (event.in_full,)
        await aside.mount_all(drawn(blocks, self.wizard.glyphs))

    def action_back(self) -> None:
        """Esc: back to where one was."""
        self.wizard.back()

    def action_page(self, pages: int) -> None:
        """What does not fit on the screen: a page on or back."""
        body = self.query_one("#body", VerticalScroll)
        body.scroll_relative(y=pages * max(1, body.size.height - 2), animate=False)

    def action_step(self, by: int) -> None:
        """To the stage before or after."""
        places = [*STAGE_OF, Place.SUMMARY]
        here = places.index(self.place) if self.place in places else -1
        if 0 <= here + by < len(places):
            self.wizard.go(places[here + by])

    def action_again(self) -> None:
        """F5: read again; the stage screens check again."""
        self.draw_again()
