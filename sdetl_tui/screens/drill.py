"""Drill: choose what is broken, rehearse, see each step as it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import DrillResult, DrillStep, Fault, StepStatus
from sdetl_tui.blocks import Note, Span, Tone, line
from sdetl_tui.modals.ask import Confirm, error_lines
from sdetl_tui.screens.base import PlaceScreen
from sdetl_tui.views import drill as view
from sdetl_tui.wizard import Action, Deed, Place

if TYPE_CHECKING:
    from sdetl_engine import Drill, SdetlError
    from sdetl_tui.blocks import Block
    from sdetl_tui.bridge import Job
    from sdetl_tui.wizard import Situation


class DrillScreen(PlaceScreen):
    """The rehearsal.  It goes on when one looks elsewhere; coming back shows where it is."""

    place = Place.DRILL

    def __init__(self) -> None:
        super().__init__()
        self._earlier: tuple[Drill, ...] | None = None
        self._error: SdetlError | None = None

    def on_mount(self) -> None:
        """What earlier drills said."""
        super().on_mount()
        self._ask()

    def signature(self, now: Situation) -> object:
        """Steps taken, and what came of it."""
        kept = self.wizard.drilled
        return (len(self._steps()), kept.result, kept.faults, self._is_running, self._earlier, self._error)

    def blocks(self) -> Sequence[Block]:
        """Plan, steps or result."""
        kept = self.wizard.drilled
        error = kept.error or self._error
        trouble = (Note(error_lines(error)),) if error is not None else ()
        shown = view.blocks(
            self.wizard.drill_schema,
            kept.faults,
            self._steps(),
            kept.result,
            self._earlier,
            self.wizard.glyphs,
            is_running=self._is_running,
        )
        return (*trouble, *shown)

    def detail(self, table: str, key: str) -> Sequence[Block]:
        """One step."""
        return view.step_detail(self._steps()[int(key)]) if table == "steps" else ()

    def open_row(self, table: str, key: str) -> None:
        """A fault is switched on or off; a step is shown."""
        if table != "faults":
            super().open_row(table, key)
            return
        kept = self.wizard.drilled
        fault = Fault(key)
        kept.faults = tuple(f for f in Fault if (f in kept.faults) != (f is fault))
        self.draw_again()

    def action(self, now: Situation) -> Action:
        """One at a time."""
        if self._is_running:
            return Action(Deed.NOTHING, "Rehearsing ...", why_not=f"{self._now()}; X stops it and clears up")
        return super().action(now)

    def next_words(self, now: Situation) -> str:
        """What is done just now."""
        return (self.action(now).why_not if self._is_running else None) or super().next_words(now)

    def perform(self, deed: Deed) -> None:
        """Ask once more, then rehearse."""
        kept = self.wizard.drilled
        broken = ", ".join(kept.faults) or "nothing"
        lines = [
            line(
                "Rehearses in schema ",
                Span(self.wizard.drill_schema, Tone.STRONG),
                " of ",
                self.wizard.target,
                ".",
            ),
            line(f"Breaks: {broken}. Readers of {self.wizard.serving_schema} notice nothing."),
            line("X stops it; whatever happens, everything of the drill is dropped."),
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self._start()

        self.app.push_screen(Confirm("Drill", lines, accept="Rehearse", key="y"), answered)

    def action_again(self) -> None:
        """F5: read the earlier drills again."""
        self._ask()

    @property
    def _is_running(self) -> bool:
        return "drill" in self.wizard.bridge.jobs

    def _steps(self) -> tuple[DrillStep, ...]:
        kept = self.wizard.drilled
        if kept.result is not None:
            return kept.result.steps
        events = [e for e in self.wizard.bridge.job_events("drill") if e.name == "DrillStepFinished"]
        return tuple(_step(e.context, e.message) for e in events)

    def _now(self) -> str:
        started = [e.message for e in self.wizard.bridge.job_events("drill") if e.name == "DrillStepStarted"]
        return started[-1] if started else "getting ready"

    def _start(self) -> None:
        app, kept = self.wizard, self.wizard.drilled
        kept.result = kept.error = None
        bridge = app.bridge
        opening = app.session_opener()

        def work() -> object:
            with opening() as (session, settings):
                return engine.drill(
                    bridge.workspace, session, settings, bridge.job_reporter("drill"), faults=kept.faults
                )

        def done(job: Job) -> None:
            kept.error = job.error
            kept.result = job.result if isinstance(job.result, DrillResult) else None
            app.bell()
            screen = app.place_screen
            if isinstance(screen, DrillScreen):
                screen.action_again()

        bridge.start_job("drill", work, done, only_looks=False)

    def _ask(self) -> None:
        opening = self.wizard.session_opener()

        def work() -> object:
            with opening() as (session, _):
                return engine.earlier_drills(session)

        def done(job: Job) -> None:
            self._error = job.error
            self._earlier = job.result if job.error is None else ()

        self.wizard.bridge.start_job("earlier drills", work, done)


def _step(context: object, message: str) -> DrillStep:
    assert isinstance(context, dict)
    name, status = str(context["step"]), StepStatus(str(context["status"]))
    return DrillStep(name, status, float(context["seconds"]), message.partition(", ")[2])
