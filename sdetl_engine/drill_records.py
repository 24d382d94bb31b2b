"""What a drill is asked to break, and what came of it: for callers, the registry and ``rollback_tests.log``."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdetl_engine.postgres.registry import Drill


class Fault(enum.StrEnum):
    """What a drill can break.  The order is the order in which a drill breaks them."""

    BAD_CANDIDATE = "bad-candidate"
    """Rows vanish from the candidate after it was validated; the cutover must refuse it."""
    KILLED_CONNECTION = "killed-connection"
    """The server ends the session that switches, right before its COMMIT; the switch must be whole or not at all."""
    FULL_DISK = "full-disk"
    """PostgreSQL reports a full disk (SQLSTATE 53100) in the middle of a load; nothing of the load may stay."""
    KILLED_SDETL = "killed-sdetl"
    """A child process is killed with SIGKILL in the middle of its load; nothing may stay, and a new start goes on."""
    DROPPED_TABLE = "dropped-table"
    """Somebody drops a table of the version that is live; the rollback must bring a whole version back."""


class StepStatus(enum.StrEnum):
    """How one step ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True, slots=True)
class DrillStep:
    """One step, timed in seconds.  ``detail``: what was seen, in a sentence."""

    name: str
    status: StepStatus
    seconds: float
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class ReaderReport:
    """What readers saw that never stopped reading while everything else happened.

    ``errors`` are those that nobody was to see; ``expected_errors`` those while a table was missing.  ``torn``
    statements saw tables of two versions.  Milliseconds for the longest wait of one statement.
    """

    readers: int
    reads: int
    errors: int
    expected_errors: int
    torn: int
    longest_wait_ms: float
    first_error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class DrillResult:
    """A drill that ended, passed or not.

    ``rto_seconds`` is the slowest rollback, from the order to rows read back under the serving name, and
    ``restore_seconds`` the restore of a backup up to live; None when the drill did not get so far.
    ``left_behind``: objects and files of the drill that are still there, normally none.
    """

    at: datetime
    serving_schema: str
    drill_schema: str
    server_version: int
    source: str
    rows: int
    faults: tuple[Fault, ...]
    passed: bool
    steps: tuple[DrillStep, ...]
    rto_seconds: float | None
    budget_seconds: float
    restore_seconds: float | None
    readers: ReaderReport | None
    serving_untouched: bool
    left_behind: tuple[str, ...]
    earlier: tuple[Drill, ...]
    """Earlier drills of this target, newest first."""
    seconds: float

    @property
    def within_budget(self) -> bool:
        """True when the rollback was measured and took no longer than the budget."""
        return self.rto_seconds is not None and self.rto_seconds <= self.budget_seconds

    @property
    def seconds_by_step(self) -> Mapping[str, float]:
        """Seconds by name of step, in order."""
        return {step.name: step.seconds for step in self.steps}
