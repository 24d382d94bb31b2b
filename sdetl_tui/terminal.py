"""What this terminal can do.  Decided before textual is imported, which reads its environment when it is."""

from __future__ import annotations

import dataclasses
import locale
import os
from collections.abc import MutableMapping
from typing import Literal, TextIO

from sdetl_engine import UsageError

ThemeName = Literal["dark", "light", "contrast", "ansi"]
SMALLEST = (60, 18)
"""Columns and rows under which only a message is shown."""


@dataclasses.dataclass(frozen=True, slots=True)
class Terminal:
    """Choices for one session.  Rates are seconds between two looks at the engine, and between two log lines."""

    ascii: bool
    colour: bool
    remote: bool
    multiplexed: bool
    theme: ThemeName
    mouse: bool

    @property
    def poll_seconds(self) -> float:
        """Over SSH each redraw costs bandwidth (4 kB/s at 1 Hz, 31 at 10): look less often."""
        return 0.5 if self.remote else 0.2


def detect(
    environ: MutableMapping[str, str],
    stdin: TextIO,
    stdout: TextIO,
    *,
    ascii_only: bool = False,
    theme: ThemeName | None = None,
    mouse: bool = True,
) -> Terminal:
    """Look at the terminal and set textual's environment.  Raises UsageError where a full screen cannot be."""
    if not (stdin.isatty() and stdout.isatty()):
        raise UsageError(
            "the wizard needs a terminal on standard input and output",
            next_step="use sdetl run SOURCE --target T (or sdetl --plain for the wizard line by line)",
        )
    if environ.get("TERM", "") in ("", "dumb", "unknown"):
        raise UsageError(
            f"a terminal of type {environ.get('TERM', '') or '(none)'} cannot show a full screen",
            next_step="use sdetl --plain, or sdetl run SOURCE --target T",
        )
    colour = "NO_COLOR" not in environ or not environ["NO_COLOR"]
    remote = any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY"))
    encoding = (stdout.encoding or locale.getpreferredencoding(do_setlocale=False) or "").lower().replace("-", "")
    found = Terminal(
        ascii=ascii_only or encoding != "utf8" or environ["TERM"] == "linux",
        colour=colour,
        remote=remote,
        multiplexed=bool(environ.get("TMUX") or environ.get("STY")),
        theme=theme or ("dark" if colour else "ansi"),
        mouse=mouse,
    )
    _prepare(environ, found)
    return found


def _prepare(environ: MutableMapping[str, str], terminal: Terminal) -> None:
    """Quiet animations: they cost bandwidth and say nothing."""
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    environ.setdefault("TEXTUAL_FPS", "10" if terminal.remote else "30")
    # Nobody waits a second after Esc; sequences arrive in one piece even over slow lines.
    environ.setdefault("ESCDELAY", "50")


def leave_word() -> str:
    """How to keep a session alive, for terminals that are neither tmux nor screen."""
    return "not inside tmux or screen: a lost connection stops the run at a safe point" if os.name == "posix" else ""
