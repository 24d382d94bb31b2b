"""What a stage says while it works, and how it hears that it should stop.

Two roads lead out of a stage.  Numbers go into one latest-value :class:`Snapshot` snapshot that a screen
polls as often as it likes; nothing is queued per row.  Facts (a table finished, a note) go out as
:class:`Event` objects, a handful per stage.  One road leads in: :meth:`Reporter.check`, called between
batches, raises :class:`~sdetl_engine.errors.Cancelled`; :meth:`Reporter.interrupting` names a function that
breaks a long call (``sqlite3.Connection.interrupt``, ``psycopg.Connection.cancel_safe``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """How far a piece of work is.  ``total`` is None when it cannot be known honestly."""

    what: str
    done: int
    total: int | None
    unit: str
    started: float
    """``time.monotonic()`` when this piece of work began."""


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """A fact, in the past tense: ``TableLoaded`` with its numbers.  Never holds a cell's value."""

    name: str
    message: str
    context: Mapping[str, object] = dataclasses.field(default_factory=dict)
    level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""


class Reporter(Protocol):
    """What the engine asks of whoever watches it.  The engine cannot tell a screen from a test."""

    def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
        """Replace the snapshot.  Cheap enough to call once per batch."""

    def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
        """Tell a fact."""

    def check(self) -> None:
        """Raise ``Cancelled`` when somebody asked to stop.  Called at every safe point."""

    def interrupting(self, interrupt: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
        """While the block runs, a request to stop also calls ``interrupt`` (from another thread)."""


class SilentReporter:
    """Listens to nothing and never stops anything: for callers that need neither."""

    def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
        """Ignored."""

    def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
        """Ignored."""

    def check(self) -> None:
        """Never cancels."""

    @contextlib.contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Nothing to register: nobody can ask."""
        yield


class RecordingReporter(SilentReporter):
    """Keeps everything it hears, and cancels at the n-th safe point when asked: for tests."""

    def __init__(self, *, cancel_at_check: int | None = None) -> None:
        self.events: list[Event] = []
        self.snapshots: list[Snapshot] = []
        self._checks = 0
        self._cancel_at = cancel_at_check

    def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
        """Keep the snapshot."""
        self.snapshots.append(Snapshot(what, done, total, unit, time.monotonic()))

    def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
        """Keep the event."""
        self.events.append(Event(name, message, context, level))

    def check(self) -> None:
        """Count safe points; raise at the chosen one."""
        from sdetl_engine.errors import Cancelled

        self._checks += 1
        if self._cancel_at is not None and self._checks >= self._cancel_at:
            raise Cancelled
