"""One check and what it came to: pre-flight's, the sample queries', and those after the switch."""

from __future__ import annotations

import dataclasses
import enum


class Verdict(enum.StrEnum):
    """What one check came to."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Could not be checked; never shown as passed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One check: what was looked at, what was measured, against which limit, and the fix."""

    name: str
    verdict: Verdict
    measured: str
    limit: str = ""
    fix: str = ""
