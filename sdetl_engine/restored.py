"""What restoring and proving backups came to, for callers and for the registry of drills."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sdetl_engine.checks import Check, Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class VerifiedBackup:
    """A backup that was looked at, file by file and by restoring it.  ``seconds`` for everything."""

    run_id: str
    folder: str
    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """True when nothing failed and something was proved."""
        verdicts = [check.verdict for check in self.checks]
        return Verdict.PASSED in verdicts and Verdict.FAILED not in verdicts


@dataclasses.dataclass(frozen=True, slots=True)
class RestoredVersion:
    """A version that was restored beside what is live, proved and registered, and that is not live yet.

    ``expected_live`` is the version that is live meanwhile, None when none is.  Seconds for restoring and proving.
    """

    version: str
    serving_schema: str
    run_id: str
    expected_live: str | None
    rows: Mapping[str, int]
    checks: tuple[Check, ...]
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class RestoreResult:
    """A restored version that is live now.  Times in seconds; readers waited at most ``lock_seconds``."""

    live_version: str
    previous_version: str | None
    run_id: str
    rows: Mapping[str, int]
    checks: tuple[Check, ...]
    restore_seconds: float
    switch_seconds: float
    lock_seconds: float
    not_there: tuple[str, ...] = ()
    """What readers found in the schema that is live no more, and do not find now."""
