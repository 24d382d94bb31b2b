"""What screens ask of the app: to go somewhere, to do something that they name, to show what belongs to the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Sequence

    from sdetl_engine import Check, Decision, LateWrites, Settings, Stage, TargetSession
    from sdetl_tui.bridge import Bridge, Job
    from sdetl_tui.glyphs import Glyphs
    from sdetl_tui.screens.base import PlaceScreen
    from sdetl_tui.session import Drilled, Form
    from sdetl_tui.views.findings import Filter
    from sdetl_tui.wizard import Action, Place


class Host(Protocol):
    """The app as its screens know it."""

    bridge: Bridge
    form: Form
    glyphs: Glyphs
    finding_filter: Filter
    drilled: Drilled
    holder: str | None
    log_open: bool

    @property
    def is_production(self) -> bool:
        """True when the target may have readers."""

    @property
    def environment_word(self) -> str:
        """The environment in a word."""

    @property
    def target(self) -> str:
        """The target, without a password."""

    @property
    def moving(self) -> str:
        """Source and target in a few words."""

    @property
    def run_id(self) -> str | None:
        """The run at hand."""

    @property
    def terminal_check(self) -> Check:
        """What the terminal can do."""

    @property
    def modes(self) -> tuple[str, ...]:
        """READ ONLY, DRY RUN."""

    @property
    def hint(self) -> str:
        """What else is worth saying at the bottom."""

    @property
    def serving_schema(self) -> str:
        """The schema that dashboards read."""

    @property
    def drill_schema(self) -> str:
        """What a drill serves and drops again."""

    @property
    def place_screen(self) -> PlaceScreen | None:
        """The place that is shown, below any dialog."""

    def go(self, place: Place) -> None:
        """Go there, or say why not."""

    def back(self) -> None:
        """Where one was before."""

    def bell(self) -> None:
        """Ring the terminal's bell."""

    def carry_out(self, action: Action, screen: PlaceScreen) -> None:
        """Do what the primary button says."""

    def resume(self, run_id: str) -> None:
        """Take a run up."""

    def run_again(self, stage: Stage, screen: PlaceScreen) -> None:
        """F5 on a stage."""

    def decide(self, made: Sequence[tuple[Stage, Decision]], screen: PlaceScreen) -> None:
        """Record decisions."""

    def why_no_decision(self, stage: Stage) -> str | None:
        """Why nothing can be decided now, or None."""

    def why_no_rollback(self) -> str | None:
        """Why there is no rollback now, or None."""

    def session_opener(self) -> Callable[[], contextlib.AbstractContextManager[tuple[TargetSession, Settings]]]:
        """How a job reaches the target."""

    def ask_versions(self, then: Callable[[Job], None]) -> None:
        """Read the registry."""

    def find_late_writes(self, then: Callable[[Job], None]) -> None:
        """Look for what was written to the live version."""

    def roll_back(self, wanted: str | None, late: LateWrites, then: Callable[[Job], None]) -> None:
        """Make an earlier version live."""
