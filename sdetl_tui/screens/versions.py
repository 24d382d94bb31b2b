"""Versions and rollback: both ask the target's registry."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from sdetl_engine import LateWrites
from sdetl_tui.blocks import Note, Span, Tone, line
from sdetl_tui.modals.ask import Choose, Confirm, error_lines
from sdetl_tui.screens.base import PlaceScreen
from sdetl_tui.views import versions
from sdetl_tui.wizard import Place

if TYPE_CHECKING:
    from sdetl_engine import RolledBack, SdetlError, Version
    from sdetl_tui.blocks import Block
    from sdetl_tui.bridge import Job
    from sdetl_tui.wizard import Action, Deed, Situation


class RegistryScreen(PlaceScreen):
    """Reads the registry when it is opened and after each rollback."""

    hints: ClassVar[tuple[tuple[str, str], ...]] = (
        *(("escape", "Back"), ("v", "Versions"), ("r", "Roll back"), ("d", "Drill"), ("f1", "Help"), ("f10", "Quit")),
    )

    def __init__(self) -> None:
        super().__init__()
        self.versions: Sequence[Version] | None = None
        self.done: RolledBack | None = None
        self.error: SdetlError | None = None

    def on_mount(self) -> None:
        """Ask at once."""
        super().on_mount()
        self.ask()

    def signature(self, now: Situation) -> object:
        """What was asked has been answered."""
        return (self.versions, self.done, self.error)

    def ask(self) -> None:
        """Read the registry."""

        def done(job: Job) -> None:
            self.error = job.error
            if job.error is None:
                self.versions = job.result

        self.wizard.ask_versions(done)

    def action_again(self) -> None:
        """F5: read again."""
        self.ask()

    def roll_back(self, to: Version | None) -> None:
        """Find what would stay behind, ask once more, then switch."""

        def looked(job: Job) -> None:
            if isinstance(job.result, LateWrites):
                self._ask_to_switch(to, job.result)
            else:
                self.error = job.error

        self.wizard.find_late_writes(looked)

    def _ask_to_switch(self, to: Version | None, late: LateWrites) -> None:
        name = to.version if to is not None else "the version that was live before"
        lines = [
            line("Makes ", Span(name, Tone.STRONG), " live again, in one transaction of some milliseconds."),
            line("Readers see one version or the other, whole; nothing is deleted."),
            line("The way back from this: roll back once more."),
            *versions.left_behind(late),
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self.wizard.roll_back(to.version if to is not None else None, late, self._rolled_back)

        self.app.push_screen(Confirm("Roll back", lines, accept="Switch back", key="y"), answered)

    def _rolled_back(self, job: Job) -> None:
        self.error, self.done = job.error, job.result
        self.ask()

    def trouble(self) -> Sequence[Block]:
        """What went wrong, when something did."""
        return (Note(error_lines(self.error)),) if self.error is not None else ()


class VersionsScreen(RegistryScreen):
    """Every version that the registry knows."""

    place = Place.VERSIONS

    def blocks(self) -> Sequence[Block]:
        """The table."""
        done = (versions.went_back(self.done),) if self.done is not None else ()
        return (*self.trouble(), *done, *versions.blocks(self.versions))

    def detail(self, table: str, key: str) -> Sequence[Block]:
        """One version."""
        version = self._version(key)
        return versions.detail(version) if version is not None else ()

    def open_row(self, table: str, key: str) -> None:
        """A retired version can be made live again; the others are shown."""
        version = self._version(key)
        if version is None:
            return
        why_not = self.wizard.why_no_rollback()
        if version.status != "retired" or why_not is not None:
            super().open_row(table, key)
            return

        def chosen(way: str | None) -> None:
            if way == "show":
                super(VersionsScreen, self).open_row(table, key)
            elif way == "back-to":
                self.roll_back(version)

        ways = [("show", "Show it"), ("back-to", "Roll back to it"), ("close", "Back")]
        self.app.push_screen(Choose(version.version, [line("It has been live before.")], ways), chosen)

    def _version(self, key: str) -> Version | None:
        return next((v for v in self.versions or () if v.version == key), None)


class RollbackScreen(RegistryScreen):
    """The way back, one version at a time."""

    place = Place.ROLLBACK

    def perform(self, deed: Deed) -> None:
        """To the version before."""
        self.roll_back(None)

    def blocks(self) -> Sequence[Block]:
        """What it would do, or did."""
        return (*self.trouble(), *versions.way_back(self.versions, self.done))

    def action(self, now: Situation) -> Action:
        """Only where there is a way back."""
        found = super().action(now)
        if found.why_not is None and self.versions is not None and not versions.can_go_back(self.versions):
            return dataclasses.replace(found, why_not="there is no version to go back to")
        return found

    def next_words(self, now: Situation) -> str:
        """After it was done, the same way leads forward again."""
        why_not = self.action(now).why_not
        if why_not is not None:
            return f"Not now: {why_not}"
        if self.done is not None:
            return "done: once more makes the other version live again"
        return super().next_words(now)
