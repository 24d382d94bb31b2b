"""The reporter of a run inside a drill: what it says goes on to whoever watches the drill, and a stop comes through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.events import Reporter
from sdetl_engine.runner import RunReporter


class Relay(RunReporter):
    """``on_event`` hears every fact of the run with the stage it comes from, in the thread that works."""

    def __init__(
        self, run: Deployment, outer: Reporter, on_event: Callable[[Stage | None, str], None] | None = None
    ) -> None:
        super().__init__(run)
        self._outer = outer
        self._on_event = on_event

    def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
        """Replace the snapshot, here and outside."""
        super().progress(what, done, total, unit)
        self._outer.progress(what, done, total, unit)

    def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
        """Into the run's log; outside only as detail, since warnings about a rehearsal's data are nobody's concern."""
        super().event(name, message, level=level, **context)
        self._outer.event(name, message, level="debug", **context)
        if self._on_event is not None:
            self._on_event(self.stage, name)

    def check(self) -> None:
        """Raise Cancelled when the drill is to stop."""
        super().check()
        self._outer.check()

    @contextlib.contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """A request to stop the drill breaks the run's long calls."""
        with super().interrupting(interrupt), self._outer.interrupting(interrupt):
            yield
