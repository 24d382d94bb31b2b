"""Start: source, target and plan; the runs of the workspace; who works on the target."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Label, Static
from textual.widgets.data_table import RowDoesNotExist

import sdetl_engine as engine
from sdetl_tui.blocks import Note, Span, Tone, line
from sdetl_tui.modals.ask import Choose, error_lines
from sdetl_tui.screens.base import PlaceScreen
from sdetl_tui.text import content, contents
from sdetl_tui.views import versions
from sdetl_tui.widgets.field import Field
from sdetl_tui.widgets.paged import Rows
from sdetl_tui.wizard import Place

if TYPE_CHECKING:
    from sdetl_engine import RunState, SdetlError
    from sdetl_tui.blocks import Block
    from sdetl_tui.bridge import Job
    from sdetl_tui.wizard import Situation


class StartScreen(PlaceScreen):
    """The answers that a run begins with, and the runs there are."""

    place = Place.START
    AUTO_FOCUS: ClassVar[str | None] = None

    def compose_top(self) -> ComposeResult:
        """Three fields."""
        form = self.wizard.form
        with Vertical(classes="form"):
            for name, value, hint in (
                ("source", form.source, "the SQLite file; it is only ever read"),
                ("target", form.target, "libpq URL, key/value string, service name, or: embedded"),
                ("plan", form.plan, "optional: a plan.toml of an earlier run"),
            ):
                with Horizontal():
                    yield Label(name)
                    yield Field(value, hint=hint, id=f"field-{name}")
            yield Static("", id="problem", classes="problem")

    def __init__(self) -> None:
        super().__init__()
        self._states: Sequence[RunState] | None = None
        self._read_for: object = None
        self._first_values: dict[str, str] = {}

    def on_mount(self) -> None:
        """A run that can be taken up comes before a new one."""
        super().on_mount()
        self._focus_fields()
        self._ask_for_holder()

    def signature(self, now: Situation) -> object:
        """Runs change when one begins or ends."""
        state = (now.has_run, now.running)
        if state != self._read_for:
            self._read_for = state
            self._read()
        return (self._states, self.wizard.holder)

    def blocks(self) -> Sequence[Block]:
        """Who holds the lock, and the runs."""
        notes: list[Block] = []
        if self.wizard.holder:
            notes.append(Note((line(Span("target: ", Tone.NOTICE), self.wizard.holder),)))
        if self._states is None:
            return (*notes, Note((line(Span("reading the runs of this workspace ...", Tone.DIM)),)))
        return (*notes, versions.runs(self._states))

    def next_words(self, now: Situation) -> str:
        """A run that can be resumed is offered first."""
        if now.has_run:
            return super().next_words(now)
        offered = self._offered()
        if offered is not None:
            where = f" at {offered.goes_on_at}" if offered.goes_on_at else ""
            return f"Enter takes up {offered.run_id} ({offered.outcome}{where})"
        return super().next_words(now)

    def action_primary(self) -> None:
        """Enter while nothing is focused: never a new run by accident where one waits to be taken up."""
        if self._states is None or self._offered() is not None:
            self._focus_runs()
        else:
            super().action_primary()

    def on_input_changed(self, event: Input.Changed) -> None:
        """What was typed stays, wherever one goes meanwhile."""
        self._keep()
        self.query_one("#problem", Static).update("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes to the next field, then to the button."""
        fields = list(self.query(Input))
        place = fields.index(event.input) + 1
        (fields[place] if place < len(fields) else self.query_one("#primary", Button)).focus()
        if event.input.id == "field-target":
            self._ask_for_holder()
        elif event.input.id == "field-source":
            self._source_is_there()

    def problem(self, error: SdetlError) -> None:
        """The answers do not do."""
        self.query_one("#problem", Static).update(contents(error_lines(error)))

    def open_row(self, table: str, key: str) -> None:
        """A run: take it up, or see where its report is."""
        state = next((s for s in self._states or () if s.run_id == key), None)
        if state is None:
            return
        lines = [
            line(Span("source  ", Tone.DIM), state.source),
            line(Span("target  ", Tone.DIM), state.target or "none"),
            line(Span("done    ", Tone.DIM), ", ".join(state.finished) or "nothing"),
            line(Span("state   ", Tone.DIM), state.outcome + (f" at {state.stopped_at}" if state.stopped_at else "")),
        ]
        if state.message:
            lines += [line(""), line(state.message)]
        try:
            report = self.wizard.bridge.workspace.run_folder(key).report_html
        except engine.SdetlError as error:  # taken away since the list was read
            self.problem(error)
            return
        if report.exists():
            lines.append(line(Span("report  ", Tone.DIM), str(report)))
        where = f" at {state.goes_on_at}" if state.goes_on_at else ""
        ways = [("resume", f"Take it up{where}")] if self._can_resume(state.is_resumable) else []
        ways.append(("back", "Back"))

        def chosen(way: str | None) -> None:
            if way == "resume":
                self.wizard.resume(key)

        self.app.push_screen(Choose(f"Run {key}", lines, ways), chosen)

    def _ask_for_holder(self) -> None:
        """Who works on the target.  The embedded server is not started just to ask: its runs stand in the table."""
        app = self.wizard
        if not app.is_production or app.bridge.situation().has_run:
            return
        opening = app.session_opener()

        def ask() -> str | None:
            with opening() as (session, settings):
                return engine.lock_holder(session, settings.serving_schema)

        def done(job: Job) -> None:
            app.holder = (
                (f"worked on by {job.result}" if job.result else None)
                if job.error is None
                else f"it does not answer: {job.error.message}"
            )

        app.bridge.start_job("asking the target", ask, done)

    def _can_resume(self, is_resumable: bool) -> bool:
        return is_resumable and not self.wizard.bridge.read_only and not self.wizard.bridge.is_running

    def _keep(self) -> None:
        form = self.wizard.form
        form.source = self.query_one("#field-source", Input).value
        form.target = self.query_one("#field-target", Input).value
        form.plan = self.query_one("#field-plan", Input).value

    def _read(self) -> None:
        """The journals of the runs, beside the screen: the first picture does not wait for them."""

        def done(job: Job) -> None:
            self._states = job.result if job.error is None else ()
            self.call_after_refresh(self.call_after_refresh, self._focus_runs)

        self.wizard.bridge.start_job("reading the runs", self.wizard.bridge.run_states, done)

    def _focus_runs(self) -> None:
        """A run that can be taken up comes before a new one, unless somebody is typing already."""
        grids, offered = self.query(Rows), self._offered()
        is_typing = isinstance(self.focused, Input) and self.focused.value != self._untouched(self.focused)
        if grids and offered is not None and not self.wizard.bridge.situation().has_run and not is_typing:
            grids.first().focus()
            with contextlib.suppress(RowDoesNotExist):  # on a later page
                grids.first().move_cursor(row=grids.first().get_row_index(offered.run_id))

    def _untouched(self, field: Input) -> str:
        return self._first_values.get(field.id or "", "")

    def _focus_fields(self) -> None:
        form = self.wizard.form
        self._first_values = {field.id or "": field.value for field in self.query(Input)}
        if not form.source or not self._source_is_there():
            self.query_one("#field-source", Input).focus()
        elif not form.target:
            self.query_one("#field-target", Input).focus()
        else:
            self.query_one("#primary", Button).focus()

    def _source_is_there(self) -> bool:
        """Whether the file that was named is there; when not, the form says so at once."""
        named = self.wizard.form.source.strip()
        is_there = not named or Path(named).expanduser().exists()
        if not is_there:
            self.query_one("#problem", Static).update(content(line(Span(f"there is no file {named}", Tone.BAD))))
        return is_there

    def _offered(self) -> RunState | None:
        """The newest run that can be taken up; where a source is named, of that source."""
        named = self.wizard.form.source.strip()
        source = Path(named).expanduser().resolve() if named else None
        waiting = (s for s in self._states or () if s.is_resumable)
        return next((s for s in waiting if source is None or Path(s.source).resolve() == source), None)
