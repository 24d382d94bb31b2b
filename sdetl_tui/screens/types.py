"""Types: what every column becomes; another type shows its cost before it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import Choice, Decision, ProfileResult, Stage
from sdetl_tui.blocks import Note
from sdetl_tui.modals.ask import error_lines
from sdetl_tui.modals.decide import Retype
from sdetl_tui.screens.base import PlaceScreen
from sdetl_tui.views import profile, types
from sdetl_tui.wizard import Place

if TYPE_CHECKING:
    from sdetl_tui.blocks import Block
    from sdetl_tui.bridge import Job
    from sdetl_tui.wizard import Situation

_RULE = "TYPE-MISMATCH"
"""Under which an override stands in the plan: it says what the declaration should have said."""


class TypesScreen(PlaceScreen):
    """The plan of target types."""

    place = Place.TYPES

    def on_mount(self) -> None:
        """The table is what one wants here."""
        super().on_mount()
        self.call_after_refresh(lambda: self.query("Rows").first().focus() if self.query("Rows") else None)

    def signature(self, now: Situation) -> object:
        """Overrides are decisions."""
        look = self.look()
        return (now.records, now.running, len(look.run.decisions) if look is not None else 0)

    def blocks(self) -> Sequence[Block]:
        """One row per column."""
        look = self.look()
        return types.blocks(look) if look is not None else ()

    def detail(self, table: str, key: str) -> Sequence[Block]:
        """What is known of the column."""
        look = self.look()
        return profile.detail(look, "columns", key) if look is not None else ()

    def open_row(self, table: str, key: str) -> None:
        """Another type for this column."""
        look = self.look()
        result = look.result(Stage.PROFILE, ProfileResult) if look is not None else None
        verdict = next((v for v in result.verdicts if f"{v.table}.{v.column}" == key), None) if result else None
        if look is None or verdict is None:
            return
        if (why_not := self.wizard.why_no_decision(Stage.PROFILE)) is not None:
            self.say(f"Not now: {why_not}")
            super().open_row(table, key)
            return
        run = look.run

        def ask(wanted: str, then: Callable[[Sequence[Block], bool], None]) -> None:
            def done(job: Job) -> None:
                if job.error is not None:
                    then((Note(error_lines(job.error)),), False)
                else:
                    then(types.cost(job.result), True)

            self.wizard.bridge.start_job(
                "counting", lambda: engine.type_cost(run, verdict.table, verdict.column, wanted), done
            )

        def chosen(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                wanted, reason = answer
                decision = Decision(_RULE, Choice.SET_TYPE, reason, verdict.table, verdict.column, wanted)
                self.wizard.decide([(Stage.PROFILE, decision)], self)

        self.app.push_screen(Retype(verdict, ask, self.wizard.glyphs), chosen)
