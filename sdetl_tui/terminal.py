"""What this terminal can do.  Decided before textual is imported, which reads its environment when it is."""

from __future__ import annotations

import dataclasses
import io
import locale
import os
import termios
from collections.abc import Mapping, MutableMapping
from typing import Literal, TextIO

from sdetl_engine import Check, UsageError, Verdict

ThemeName = Literal["dark", "light", "contrast", "ansi"]
SMALLEST = (60, 18)
"""Columns and rows under which only a message is shown."""
DESIGNED = (80, 24)
"""Columns and rows in which nothing has to be left out."""


@dataclasses.dataclass(frozen=True, slots=True)
class Terminal:
    """Choices for one session.  Rates are seconds between two looks at the engine, and between two log lines."""

    ascii: bool
    colour: bool
    remote: bool
    multiplexed: bool
    theme: ThemeName
    mouse: bool
    term: str = "xterm-256color"
    """As ``TERM`` calls it."""
    colours: int = 256
    """How many it can show; 0 where none are wanted."""

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
    found = Terminal(
        ascii=ascii_only or not is_utf8(stdout, environ) or environ["TERM"] == "linux",
        colour=colour,
        remote=remote,
        multiplexed=bool(environ.get("TMUX") or environ.get("STY")),
        theme=theme or ("dark" if colour else "ansi"),
        mouse=mouse,
        term=environ["TERM"],
        colours=_colours(environ) if colour else 0,
    )
    _prepare(environ, found)
    return found


def _colours(environ: Mapping[str, str]) -> int:
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return 1 << 24
    return 256 if "256" in environ["TERM"] else 16


def is_utf8(stdout: TextIO, environ: Mapping[str, str]) -> bool:
    """True when what is written there is UTF-8 and the locale agrees, so that signs other than ASCII arrive.

    Python writes UTF-8 in the locales C and POSIX, too (PEP 540), whatever the terminal makes of it.
    """
    encoding = stdout.encoding or locale.getpreferredencoding(do_setlocale=False) or ""
    named = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "UTF-8")
    return _bare(encoding) == "utf8" and "utf8" in _bare(named)


def _bare(encoding: str) -> str:
    return encoding.lower().replace("-", "")


def _prepare(environ: MutableMapping[str, str], terminal: Terminal) -> None:
    """Quiet animations: they cost bandwidth and say nothing."""
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    # A key waits for the next frame; frames are made only where something has changed, and over SSH that is looked for
    # twice a second.
    environ.setdefault("TEXTUAL_FPS", "20" if terminal.remote else "60")
    # Milliseconds after which a lone Esc is one.  Sequences arrive in one piece, even over slow lines.
    environ.setdefault("ESCDELAY", "50" if terminal.remote else "25")
    if terminal.theme == "ansi":
        # The filter that takes colours away is chosen before the app chooses its theme: with another theme at that
        # moment, NO_COLOR would turn everything black on black.
        environ["TEXTUAL_THEME"] = "ansi-dark"
    if terminal.colour:
        environ.pop("NO_COLOR", None)  # empty: that means colour, but textual only asks whether it is there


def terminal_check(terminal: Terminal, columns: int, rows: int) -> Check:
    """What the terminal of this session can do, as one more check of the pre-flight: the engine cannot know."""
    colours = f"{terminal.colours:,} colours" if terminal.colours else "no colours"
    signs = "ASCII" if terminal.ascii else "UTF-8"
    line = "over SSH" if terminal.remote else "on this machine"
    kept = "in tmux or screen" if terminal.multiplexed else line
    fixes = []
    if columns < DESIGNED[0] or rows < DESIGNED[1]:
        fixes.append("make the window larger: columns and hints are left out")
    if terminal.remote and not terminal.multiplexed:
        fixes.append("begin inside tmux or screen: then a lost connection does not stop the run")
    return Check(
        "terminal",
        Verdict.WARNING if fixes else Verdict.PASSED,
        f"{columns} x {rows}, {signs}, {colours}, {kept}, {terminal.term}",
        "{} x {}; inside tmux or screen over SSH".format(*DESIGNED),
        "; ".join(fixes),
    )


def leave_word() -> str:
    """How to keep a session alive, for terminals that are neither tmux nor screen."""
    return "not inside tmux or screen: a lost connection stops the run at a safe point" if os.name == "posix" else ""


class Outlasting(io.TextIOBase):
    """A stream to the terminal that outlives it: once the terminal is gone, what is written goes nowhere.

    Textual writes in a thread of its own, which dies of an error; the queue before it then fills up, and the process
    would wait for room in it for ever.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or forget."""
        try:
            return self._stream.write(text)
        except OSError:
            let_go()
            return len(text)

    def flush(self) -> None:
        """Flush, or forget."""
        try:
            self._stream.flush()
        except OSError:
            let_go()

    def fileno(self) -> int:
        """That of the stream."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """As the stream says."""
        return self._stream.isatty()


def is_gone() -> bool:
    """True when the terminal on standard input was closed."""
    try:
        termios.tcgetattr(0)
    except termios.error:
        return True
    return False


def let_go() -> None:
    """Send what still is to be written nowhere.  Reading from a terminal that is gone says "end" and needs no help."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
