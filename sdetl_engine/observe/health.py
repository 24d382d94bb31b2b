"""The surroundings while work is under way: free disk, memory in use, the server's answer.

Limits come from settings; what is measured is bytes and shares (0..1).
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import humanize
import psutil

from sdetl_engine.errors import ResourceError
from sdetl_engine.settings import HealthSettings

EVERY_SECONDS = 0.25
"""Batches that follow one another more quickly than this share a reading: taking one costs milliseconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """One reading.  ``free_bytes`` is for the folder that the run writes to."""

    free_bytes: int
    memory_used: float


def measure(folder: Path) -> Health:
    """Read the disk of ``folder`` and the machine's memory now."""
    return Health(shutil.disk_usage(folder).free, psutil.virtual_memory().percent / 100)


class HealthCheck:
    """Called between batches; raises ResourceError when disk or memory is short, or what ``ping`` raises.

    Keeps the last reading in ``latest`` for the screen, and warns once about memory through ``warn``.
    """

    def __init__(
        self,
        folder: Path,
        limits: HealthSettings,
        *,
        ping: Callable[[], None] | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._ping = ping
        self._warn = warn
        self._warned = False
        self._next = 0.0
        self.latest = measure(folder)

    def __call__(self) -> None:
        """Measure, compare, ping; nothing when that was done a moment ago."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_SECONDS
        self.latest = health = measure(self._folder)
        if health.free_bytes < self._limits.min_free_bytes:
            raise ResourceError(
                f"only {humanize.naturalsize(health.free_bytes, binary=True)} are free on the disk of {self._folder} "
                f"(limit {humanize.naturalsize(self._limits.min_free_bytes, binary=True)}, health.min_free_bytes)",
                next_step="free some space, then continue with --resume",
                kind="disk",
            )
        if health.memory_used > self._limits.max_memory:
            raise ResourceError(
                f"{health.memory_used:.0%} of the memory is in use (limit {self._limits.max_memory:.0%}, health.max_memory)",
                next_step="end other programs, then continue with --resume",
                kind="memory",
            )
        if health.memory_used > self._limits.warn_memory and not self._warned:
            self._warned = True
            self._warn(f"{health.memory_used:.0%} of the memory is in use")
        if self._ping is not None:
            self._ping()
