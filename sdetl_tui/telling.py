"""A piece of work beside the checklist, told in lines on stderr; Ctrl-C, SIGTERM and SIGHUP stop it at a safe point."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import ClassVar

from rich.console import Console
from rich.status import Status

from sdetl_engine import Cancelled, ExitCode
from sdetl_tui.text import literal, plain


class Teller:
    """A reporter for people.  Use it as a context manager around the work; ``again`` is what to do after a stop."""

    _CODES: ClassVar[Mapping[signal.Signals, ExitCode]] = {
        signal.SIGINT: ExitCode.CANCELLED,
        signal.SIGTERM: ExitCode.TERMINATED,
        signal.SIGHUP: ExitCode.HANGUP,
    }

    def __init__(self, console: Console, again: str) -> None:
        self._console = console
        self._again = again
        self._status: Status | None = console.status("") if console.is_terminal else None
        self._stop: Cancelled | None = None
        self._interrupts: list[Callable[[], None]] = []
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Teller:
        for number in self._CODES:
            self._before[number] = signal.signal(number, self._handle)
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._status is not None:
            self._status.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
        """One line that is written over, on a terminal."""
        if self._status is not None:
            self._status.update(literal(f"{what}: {done:,}" + (f" of {total:,} {unit}" if total else f" {unit}")))

    def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
        """A line of its own, unless it is detail."""
        if level == "debug" or name == "DrillStepStarted":
            return
        seconds = context.get("seconds")
        took = f"{seconds:7.2f} s  " if isinstance(seconds, float) else ""
        style = {"warning": "yellow", "error": "red"}.get(level, "")
        self._console.print(literal(f"{took}{plain(message)}", style=style), soft_wrap=True)

    def check(self) -> None:
        """Raise Cancelled once a signal came."""
        if self._stop is not None:
            raise self._stop

    @contextlib.contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """While the block runs, a signal also calls ``interrupt``."""
        self.check()
        self._interrupts.append(interrupt)
        try:
            yield
        finally:
            self._interrupts.remove(interrupt)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._stop is None:
            words = (
                "cancelled by the operator" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
            )
            self._stop = Cancelled(words, exit_code=self._CODES[signal.Signals(number)])
            self._stop.next_step = self._again
            self._console.print("stopping at the next safe point; clearing away")
        for interrupt in list(self._interrupts):
            interrupt()
