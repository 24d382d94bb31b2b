"""Rate and time to go of a piece of work, from progress snapshots.  The clock is handed in."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable

from sdetl_engine.events import Snapshot


class RateMeter:
    """Rows (or bytes) per second over the last few seconds, and the seconds that remain.

    Honest: no rate before half a second of work, no time to go without a total.
    """

    def __init__(self, *, window: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._what: str | None = None
        self._points: collections.deque[tuple[float, int]] = collections.deque()

    def update(self, progress: Snapshot) -> None:
        """Take in a snapshot; a new piece of work starts afresh."""
        if progress.what != self._what:
            self._what = progress.what
            self._points.clear()
            self._points.append((progress.started, 0))
        now = self._clock()
        self._points.append((now, progress.done))
        while len(self._points) > 2 and now - self._points[0][0] > self._window:
            self._points.popleft()

    @property
    def per_second(self) -> float | None:
        """Units per second, or None while there is too little to tell."""
        if len(self._points) < 2:
            return None
        (began, first), (ended, last) = self._points[0], self._points[-1]
        return (last - first) / (ended - began) if ended - began >= 0.5 else None

    def remaining_seconds(self, progress: Snapshot) -> float | None:
        """Seconds to go at the present rate, or None when that cannot be told."""
        rate = self.per_second
        if rate is None or rate <= 0 or progress.total is None:
            return None
        return max(0.0, (progress.total - progress.done) / rate)
