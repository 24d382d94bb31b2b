"""How a run stands and how it ended, as plain data: for callers, screens and the report."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from sdetl_engine.checklist import Stage, Status
from sdetl_engine.errors import ExitCode, SdetlError
from sdetl_engine.findings import Finding


class OutcomeKind(enum.StrEnum):
    """How a run ended."""

    LIVE = "live"
    VALIDATED = "validated"
    HALTED = "halted"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclasses.dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage as it stands: status, seconds, findings with their decisions, summary."""

    stage: Stage
    status: Status = Status.PENDING
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    summary: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.  ``error`` is absent when it ended well."""

    kind: OutcomeKind
    exit_code: ExitCode
    stages: tuple[StageRecord, ...]
    error: SdetlError | None = None
