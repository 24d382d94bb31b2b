"""A stage of the checklist: its view, its detail, F5 to run it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from sdetl_engine import SdetlError, Stage
from sdetl_tui.blocks import Note
from sdetl_tui.modals.ask import error_lines
from sdetl_tui.screens.base import PlaceScreen
from sdetl_tui.views.places import VIEWS
from sdetl_tui.wizard import Place

if TYPE_CHECKING:
    from sdetl_tui.blocks import Block
    from sdetl_tui.wizard import Situation


class StageScreen(PlaceScreen):
    """Any stage whose view needs nothing but the run."""

    KEPT: ClassVar[bool] = True

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.place = Place(stage.value)

    def signature(self, now: Situation) -> object:
        """What its view looks at: only the report tells of the other stages, only the pre-flight of the terminal."""
        others = now.records if self.stage is Stage.REPORT else ()
        terminal = self.wizard.terminal_check if self.stage is Stage.PREFLIGHT else None
        return (self.wizard.run_id, now.record(self.stage), now.running, now.stale_from, others, terminal)

    def blocks(self) -> Sequence[Block]:
        """The stage's view."""
        look = self.look()
        if look is None:
            return ()
        try:
            return VIEWS[self.stage][0](look)
        except SdetlError as error:
            return (Note(error_lines(error)),)

    def detail(self, table: str, key: str) -> Sequence[Block]:
        """A row of one of its tables."""
        look = self.look()
        if look is None:
            return ()
        try:
            return VIEWS[self.stage][1](look, table, key)
        except SdetlError as error:
            return (Note(error_lines(error)),)

    def action_again(self) -> None:
        """F5: check again in place."""
        self.wizard.run_again(self.stage, self)
