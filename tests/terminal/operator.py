"""Somebody at a real terminal: a pty, keys, and a picture of what the screen shows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "enter": "\r",
    "esc": "\x1b",
    "tab": "\t",
    "down": "\x1b[B",
    "up": "\x1b[A",
    "pgdn": "\x1b[6~",
    "f1": "\x1bOP",
    "f5": "\x1b[15~",
    "f10": "\x1b[21~",
}
_BETWEEN_KEYS = 0.2
_PRIVATE = re.compile(rb"\x1b\[[<>=?][0-9;:]*[ -/]*[@-~]")
# As a login does it: a session of its own, with the pty as its controlling terminal, so that closing it hangs up.
_LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"


class Operator:
    """A process of ``sdetl`` on a pty.  ``sent`` is every byte that came, ``screen`` what they draw."""

    def __init__(self, *words: str, workspace: Path, size: tuple[int, int] = (80, 24), **environ: str) -> None:
        self.sent = b""
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self._half = b""
        self._terminal, inside = os.openpty()
        columns, rows = size
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("PG", "SDETL_", "SSH_", "TEXTUAL_", "NO_COLOR"))
        }
        self._began = time.monotonic()
        self.first_paint = 0.0
        self.longest_silence = 0.0
        self._last_came = self._began
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LOGIN, sys.executable, "-m", "sdetl_tui", *words],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            cwd=ROOT,
            env={
                **kept,
                "PYTHONPATH": str(ROOT),
                "TERM": "xterm-256color",
                "LANG": "C.UTF-8",
                "LC_ALL": "C.UTF-8",
                "SDETL_WORKSPACE": str(workspace),
                "SDETL_HEALTH__START_FREE_BYTES": "0",
                "SDETL_HEALTH__MIN_FREE_BYTES": "0",
                **environ,
            },
        )
        os.close(inside)

    def press(self, *keys: str) -> None:
        """Keys by name, else as typed; not faster than fingers are."""
        for key in keys:
            self.read(_BETWEEN_KEYS)
            os.write(self._terminal, KEYS.get(key, key).encode())

    def answer(self, key: str, mark: bytes, seconds: float = 60.0) -> float:
        """Press a key now; seconds until these bytes have come.  They are drawn only afterwards: drawing takes time too."""
        came = b""
        began = time.monotonic()
        os.write(self._terminal, KEYS.get(key, key).encode())
        while mark not in came:
            left = began + seconds - time.monotonic()
            data = self._receive(left)
            if not data:
                raise AssertionError(f"{key} was not answered by {mark!r}\n{self.shown()}")
            came += data
        took = time.monotonic() - began
        self._draw(came)
        return took

    def shown(self) -> str:
        """The screen as text."""
        return "\n".join(self.screen.display)

    def read(self, seconds: float) -> int:
        """Read for so long, or until the process has gone; how many bytes came."""
        ends, before = time.monotonic() + seconds, len(self.sent)
        while (left := ends - time.monotonic()) > 0 and self._read_some(left):
            pass
        return len(self.sent) - before

    def sees(self, *words: str, seconds: float = 60.0) -> None:
        """Wait until all these words stand on the screen."""
        self.until(lambda: all(word in self.shown() for word in words), f"the screen shows {words}", seconds)

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Wait until something holds; fails with the screen as it is."""
        ends = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > ends:
                raise AssertionError(f"not within {seconds} s: {what}\n{self.shown()}")
            if not self._read_some(0.5) and not holds():
                raise AssertionError(f"sdetl ended before: {what}\n{self.shown()}")

    def ends(self, seconds: float = 30.0) -> int:
        """Wait for the end; the exit code, 128 + N never for a signal N that killed it (that is -N)."""
        finish = time.monotonic() + seconds
        while self._read_some(0.2):
            assert time.monotonic() < finish, f"still running\n{self.shown()}"
        return self.process.wait(max(0.1, finish - time.monotonic()))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def hang_up(self) -> None:
        """The terminal goes away, as with a lost connection."""
        os.close(self._terminal)
        self._terminal = -1

    def close(self) -> None:
        """End whatever is left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._terminal >= 0:
            self.hang_up()

    def _read_some(self, seconds: float) -> bool:
        """Take in what comes within that time; False when nothing will come any more."""
        if self._terminal < 0:
            return False
        data = self._receive(seconds)
        if data is None:
            return self.process.poll() is None
        self._draw(data)
        return bool(data)

    def _receive(self, seconds: float) -> bytes | None:
        """What comes within that time: None for nothing yet, no bytes when the process has let the terminal go."""
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, seconds))
        if not ready:
            return None
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # Linux: the last one who had it open has closed it
            return b""
        now = time.monotonic()
        if not self.first_paint and b"\x1b[?1049h" in self.sent:
            self.first_paint = now - self._began
        self.longest_silence = max(self.longest_silence, now - self._last_came)
        self._last_came = now
        self.sent += data
        return data

    def _draw(self, data: bytes) -> None:
        # pyte takes private sequences for ordinary ones; a sequence may arrive in two pieces.
        data = self._half + data
        cut = data.rfind(b"\x1b")
        if cut >= 0 and len(data) - cut < 16 and not re.match(rb"\x1b(\[[0-?]*[ -/]*[@-~]|[^\[])", data[cut:]):
            data, self._half = data[:cut], data[cut:]
        else:
            self._half = b""
        self._stream.feed(_PRIVATE.sub(b"", data))


@contextlib.contextmanager
def at_terminal(*words: str, workspace: Path, size: tuple[int, int] = (80, 24), **environ: str) -> Iterator[Operator]:
    """``sdetl`` with these words on a terminal of that size; whatever happens, it is ended."""
    operator = Operator(*words, workspace=workspace, size=size, **environ)
    try:
        yield operator
    finally:
        operator.close()


def is_restored(sent: bytes) -> bool:
    """True when the alternate screen was left, the cursor is shown, and the mouse and pasting are as before."""
    on = {b"?1049": b"h", b"?1000": b"h", b"?1003": b"h", b"?2004": b"h", b"?25": b"l"}
    for mode, switched in on.items():
        states = re.findall(rb"\x1b\[" + re.escape(mode) + rb"([hl])", sent)
        if states and states[-1] == switched:
            return False
    return b"\x1b[?1049l" in sent
