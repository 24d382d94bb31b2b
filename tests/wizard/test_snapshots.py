"""A few places as they are drawn, held against pictures: ``pytest tests/wizard/test_snapshots.py --snapshot-update`` makes
the pictures anew; look at them before they are committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual.pilot import Pilot

from sdetl_engine import Runner, RunState, Settings, Stage, UsageError, Workspace, load_settings
from sdetl_tui.app import SdetlApp
from sdetl_tui.bridge import Bridge
from sdetl_tui.session import Form, Session
from sdetl_tui.terminal import Terminal, ThemeName


class TwoRuns:
    """A workspace with one run that went live and one that stopped; nothing in it changes."""

    states: ClassVar[list[RunState]] = [
        RunState("20260103T081500Z", "/srv/tickets.db", "embedded", tuple(Stage)[:6], "migrate", "cancelled", True),
        RunState("20251003T080000Z", "/srv/tickets.db", "embedded", tuple(Stage), None, "live", False),
    ]

    def run_states(self, workspace: Workspace) -> list[RunState]:
        """Always the same."""
        return self.states

    def start_run(self, workspace: Workspace, source: Path, target: str | None, settings: Settings) -> Runner:
        """Not asked for here."""
        raise UsageError("no run in a picture", next_step="none")

    def resume_run(self, workspace: Workspace, run_id: str) -> Runner:
        """Not asked for here."""
        raise UsageError("no run in a picture", next_step="none")


def wizard(folder: Path, *, theme: ThemeName = "dark", ascii_only: bool = False) -> SdetlApp:
    terminal = Terminal(
        ascii=ascii_only, colour=theme != "ansi", remote=False, multiplexed=True, theme=theme, mouse=True
    )
    bridge = Bridge(Workspace(folder), face=TwoRuns())
    return SdetlApp(
        Session(bridge, terminal, Form("/srv/tickets.db", "embedded"), lambda plan: load_settings(plan=plan))
    )


async def settle(pilot: Pilot[Any]) -> None:
    """Until the runs have been read and the focus stands on them."""
    for _ in range(100):
        await pilot.pause(0.1)
        if pilot.app.screen.query("Rows") and pilot.app.screen.focused is not None:
            break
    await pilot.pause(0.3)


SIZES = [(80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
def test_the_start_in_colour(snap_compare: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    assert snap_compare(wizard(tmp_path), terminal_size=size, run_before=settle)


def test_the_start_without_colour(snap_compare: Any, tmp_path: Path) -> None:
    assert snap_compare(wizard(tmp_path, theme="ansi"), terminal_size=(80, 24), run_before=settle)


def test_the_start_in_ascii(snap_compare: Any, tmp_path: Path) -> None:
    assert snap_compare(wizard(tmp_path, ascii_only=True), terminal_size=(80, 24), run_before=settle)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
def test_the_help(snap_compare: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    async def asked(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("f1")
        await pilot.pause(0.3)

    assert snap_compare(wizard(tmp_path), terminal_size=size, run_before=asked)


def test_a_terminal_that_is_too_small(snap_compare: Any, tmp_path: Path) -> None:
    assert snap_compare(wizard(tmp_path), terminal_size=(50, 12), run_before=settle)
