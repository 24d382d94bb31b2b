"""Cutover: what would change for readers, then the switch, then the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import sdetl_engine as engine
from sdetl_engine import Stage, Status
from sdetl_tui.blocks import Note
from sdetl_tui.modals.ask import error_lines
from sdetl_tui.screens.base import PlaceScreen
from sdetl_tui.views import cutover
from sdetl_tui.wizard import Place

if TYPE_CHECKING:
    from sdetl_engine import SdetlError, VersionContrast
    from sdetl_tui.blocks import Block
    from sdetl_tui.bridge import Job
    from sdetl_tui.wizard import Situation


class CutoverScreen(PlaceScreen):
    """The only stage whose view asks the target."""

    place = Place.CUTOVER
    hints: ClassVar[tuple[tuple[str, str], ...]] = (
        *(("f", "Findings"), ("v", "Versions"), ("r", "Roll back"), ("l", "Log"), ("f1", "Help"), ("f10", "Quit")),
    )

    def __init__(self) -> None:
        super().__init__()
        self._contrast: VersionContrast | None = None
        self._error: SdetlError | None = None
        self._asked_for: object = None

    def signature(self, now: Situation) -> object:
        """Ask again whenever the run has changed."""
        state = (now.record(Stage.MIGRATE), now.record(Stage.CUTOVER))
        loaded = now.record(Stage.MIGRATE).status is Status.PASSED
        if loaded and not now.running and state != self._asked_for:
            self._asked_for = state
            self._ask()
        return (now.records, now.running, self._contrast, self._error)

    def blocks(self) -> Sequence[Block]:
        """Live and candidate."""
        look = self.look()
        if look is None:
            return ()
        trouble = (Note(error_lines(self._error)),) if self._error is not None else ()
        return (*trouble, *cutover.blocks(look, self._contrast))

    def detail(self, table: str, key: str) -> Sequence[Block]:
        """One table's columns."""
        look = self.look()
        return cutover.detail(look, self._contrast, table, key) if look is not None else ()

    def action_again(self) -> None:
        """F5: ask the target again."""
        self._asked_for = None
        self.draw_again()

    def _ask(self) -> None:
        runner = self.wizard.bridge.runner
        if runner is None:
            return

        def done(job: Job) -> None:
            self._contrast, self._error = job.result, job.error

        self.wizard.bridge.start_job("comparing", lambda: engine.contrast(runner.deployment), done)
