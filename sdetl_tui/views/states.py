"""The state of a stage as the operator reads it: the engine's status, unless something is waited for that it has no word
for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from sdetl_engine import Stage, Status
from sdetl_tui.blocks import STATUS_TONE, Tone

if TYPE_CHECKING:
    from sdetl_tui.wizard import Situation


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """``sign`` is the status whose sign stands for it; ``short`` fits into the step rail, ``words`` into a title."""

    sign: Status
    tone: Tone
    short: str
    words: str


def state_of(stage: Stage, now: Situation) -> State:
    """How a stage stands."""
    status = now.record(stage).status
    if stage is Stage.CUTOVER and now.waits_for_hand and status is Status.FAILED:
        return _waits(is_begun=now.is_half_made)
    if now.is_stale(stage):
        return State(status, Tone.NOTICE, "again", "to be run again with your decisions")
    return State(status, STATUS_TONE[status], _SHORT[status], str(status))


def _waits(*, is_begun: bool) -> State:
    """Nothing has gone wrong: the switch is in somebody else's hands."""
    words = "made by hand in part: the rest is waited for" if is_begun else "waits for its SQL to be run by hand"
    return State(Status.REVIEW, Tone.NOTICE, "half" if is_begun else "waits", words)


_SHORT = {
    Status.PENDING: "",
    Status.RUNNING: "runs",
    Status.PASSED: "passed",
    Status.REVIEW: "review",
    Status.HALTED: "HALTED",
    Status.FAILED: "FAILED",
    Status.SKIPPED: "skipped",
    Status.CANCELLED: "stopped",
    Status.UNKNOWN: "unknown",
}
