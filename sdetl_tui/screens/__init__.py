"""One file per place of the wizard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdetl_tui.wizard import STAGE_OF, Place

if TYPE_CHECKING:
    from sdetl_tui.screens.base import PlaceScreen


def screen_of(place: Place) -> PlaceScreen:
    """The screen of a place, made anew.  Each is imported when it is first gone to: the first picture waits for none."""
    match place:
        case Place.START:
            from sdetl_tui.screens.start import StartScreen

            return StartScreen()
        case Place.CUTOVER:
            from sdetl_tui.screens.cutover import CutoverScreen

            return CutoverScreen()
        case Place.SUMMARY:
            from sdetl_tui.screens.summary import SummaryScreen

            return SummaryScreen()
        case Place.FINDINGS:
            from sdetl_tui.screens.findings import FindingsScreen

            return FindingsScreen()
        case Place.TYPES:
            from sdetl_tui.screens.types import TypesScreen

            return TypesScreen()
        case Place.VERSIONS:
            from sdetl_tui.screens.versions import VersionsScreen

            return VersionsScreen()
        case Place.ROLLBACK:
            from sdetl_tui.screens.versions import RollbackScreen

            return RollbackScreen()
        case Place.DRILL:
            from sdetl_tui.screens.drill import DrillScreen

            return DrillScreen()
    from sdetl_tui.screens.stage import StageScreen

    return StageScreen(STAGE_OF[place])
