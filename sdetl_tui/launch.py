"""Opening the wizard: look at the terminal, import the screens, run, and leave the terminal as it was."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sdetl_engine import ExitCode
from sdetl_tui.quick import share_evenly
from sdetl_tui.terminal import Outlasting, detect, is_gone, is_utf8
from sdetl_tui.text import plain

if TYPE_CHECKING:
    from sdetl_engine import Settings, Workspace
    from sdetl_tui.terminal import ThemeName


@dataclasses.dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says about the screens."""

    read_only: bool = False
    dry_run: bool = False
    ascii: bool = False
    mouse: bool = True
    plain: bool = False
    theme: ThemeName | None = None


def open_wizard(
    workspace: Workspace,
    settings: Callable[[Path | None], Settings],
    wishes: Wishes,
    *,
    source: Path | None = None,
    target: str | None = None,
    plan: Path | None = None,
) -> int:
    """Run the wizard; returns the exit code.  Raises UsageError where a full screen cannot be."""
    settings(plan)  # a plan or setting that is wrong is said before the screen opens
    if wishes.plain:
        return _open_lines(workspace, settings, wishes, source=source, target=target, plan=plan)
    terminal = detect(
        os.environ, sys.stdin, sys.stdout, ascii_only=wishes.ascii, theme=wishes.theme, mouse=wishes.mouse
    )
    # Only now: textual reads its environment when it is imported.
    from sdetl_tui.app import SdetlApp
    from sdetl_tui.bridge import Bridge
    from sdetl_tui.session import Form, Session

    share_evenly()
    bridge = Bridge(workspace.prepare(), read_only=wishes.read_only, dry_run=wishes.dry_run)
    form = Form(str(source or ""), target or "", str(plan or ""))
    app = SdetlApp(Session(bridge, terminal, form, settings))
    screen, sys.__stderr__ = sys.__stderr__, Outlasting(sys.stderr)  # type: ignore[assignment,misc]
    try:
        app.run(mouse=terminal.mouse)
    finally:
        sys.__stderr__ = screen  # type: ignore[misc]
        # A closed terminal can be noticed by a failing read, before the signal says so.
        hung_up = is_gone()
        bridge.stop(ExitCode.HANGUP if hung_up else ExitCode.CANCELLED)
        bridge.close()
    if hung_up:
        return int(ExitCode.HANGUP)
    for words in (*app.last_words, *_defect_words(workspace, app.defect)):
        sys.stderr.write(plain(words) + "\n")
    return int(app.return_code or 0)


def _open_lines(
    workspace: Workspace,
    settings: Callable[[Path | None], Settings],
    wishes: Wishes,
    *,
    source: Path | None,
    target: str | None,
    plan: Path | None,
) -> int:
    """The wizard line by line: no terminal is needed, and nothing of textual."""
    from sdetl_tui.bridge import Bridge
    from sdetl_tui.lines import Teller
    from sdetl_tui.plain import LineMode
    from sdetl_tui.session import Form

    def write(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def read() -> str | None:
        return sys.stdin.readline() or None

    ascii_only = wishes.ascii or not is_utf8(sys.stdout, os.environ)
    bridge = Bridge(workspace.prepare(), read_only=wishes.read_only, dry_run=wishes.dry_run)
    form = Form(str(source or ""), target or "", str(plan or ""))
    try:
        return LineMode(bridge, form, settings, Teller(write, read, ascii_only=ascii_only), ascii_only=ascii_only).run()
    finally:
        bridge.stop()
        bridge.close()


def _defect_words(workspace: Workspace, error: Exception | None) -> tuple[str, ...]:
    """One line for the person; where it happened goes to a file, without the values of variables."""
    if error is None:
        return ()
    path = workspace.root / "defect.log"
    frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    with contextlib.suppress(OSError):
        path.write_text("\n".join([f"{type(error).__name__}: {error}", *frames]) + "\n", encoding="utf-8")
    return (
        f"error: a defect in sdetl's screens ({type(error).__name__}); the run is stopped at a safe point",
        f"next: sdetl takes the run up again; report the defect with {path}",
    )
