"""Summary: the checklist with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_tui.screens.base import PlaceScreen
from sdetl_tui.views import summary
from sdetl_tui.wizard import Place

if TYPE_CHECKING:
    from sdetl_engine import CheckedLine
    from sdetl_tui.blocks import Block
    from sdetl_tui.bridge import Job
    from sdetl_tui.wizard import Situation


class SummaryScreen(PlaceScreen):
    """The twelve lines.  One of them is proved by the target's registry, so they are read beside the screen."""

    place = Place.SUMMARY

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[CheckedLine, ...] | None = None
        self._live_now: str | None = None
        self._asked_for: object = None

    def signature(self, now: Situation) -> object:
        """Read again whenever a stage has ended."""
        if not now.running and now.has_run and now.records != self._asked_for:
            self._asked_for = now.records
            self._ask()
        return (now.records, now.running, self._lines, self._live_now)

    def arrive(self) -> None:
        """What is live may be another version than before."""
        super().arrive()
        self._asked_for = None

    def blocks(self) -> Sequence[Block]:
        """Lines, papers, words."""
        look = self.look()
        return summary.blocks(look, self._lines, self._live_now) if look is not None else ()

    def detail(self, table: str, key: str) -> Sequence[Block]:
        """One line with its whole evidence."""
        look = self.look()
        return summary.detail(self._lines, look, key) if look is not None else ()

    def _ask(self) -> None:
        runner = self.wizard.bridge.runner
        if runner is None:
            return

        def done(job: Job) -> None:
            if job.error is None:
                self._lines, self._live_now = job.result

        def ask() -> tuple[tuple[CheckedLine, ...], str | None]:
            return engine.checklist_lines(runner), engine.live_now(runner)

        self.wizard.bridge.start_job("evidence", ask, done)
