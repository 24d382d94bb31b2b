"""The stages in order, and the lines of the deployment checklist that each one proves.  Data, not code."""

from __future__ import annotations

import dataclasses
import enum


class Stage(enum.StrEnum):
    """The ten stages.  Their order here is the order of the checklist."""

    PREFLIGHT = "preflight"
    BACKUP = "backup"
    PROFILE = "profile"
    CLEAN = "clean"
    SCORE = "score"
    CANARY = "canary"
    MIGRATE = "migrate"
    VALIDATE = "validate"
    CUTOVER = "cutover"
    REPORT = "report"


class Status(enum.StrEnum):
    """Status of a stage, and nothing else.  ``unknown`` means "could not be checked", never passed."""

    PENDING = "pending"
    RUNNING = "running"
    PASSED = "passed"
    REVIEW = "review"
    HALTED = "halted"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


FINISHED = frozenset({Status.PASSED, Status.SKIPPED})


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of the deployment checklist.  ``stage`` proves it; None: proved beside the checklist (the drill)."""

    text: str
    stage: Stage | None


LINES: tuple[Line, ...] = (
    Line("Pre-flight checks passed", Stage.PREFLIGHT),
    Line("Source database backed up (MD5 verified)", Stage.BACKUP),
    Line("PostgreSQL schema backed up (pg_dump)", Stage.BACKUP),
    Line("Profiler run (circuit breaker status checked)", Stage.PROFILE),
    Line("Quality score >= threshold", Stage.SCORE),
    Line("Canary deployment validated", Stage.CANARY),
    Line("Row counts match (SQLite == PostgreSQL)", Stage.MIGRATE),
    Line("Column types correct (TIMESTAMP not TEXT)", Stage.VALIDATE),
    Line("Sample queries execute without error", Stage.VALIDATE),
    Line("All dashboards load correctly", Stage.VALIDATE),
    Line("Rollback procedure tested (drill)", None),
    Line("Deployment documented in log", Stage.REPORT),
)

PURPOSE: dict[Stage, str] = {
    Stage.PREFLIGHT: "Look at everything the run needs before anything is touched.",
    Stage.BACKUP: "Take a frozen, proved copy of the source and a dump of what dashboards read today.",
    Stage.PROFILE: "Find the actual type of every column, and stop if the data cannot be repaired.",
    Stage.CLEAN: "Write a cleaned copy: ISO dates, NULL for missing; every changed cell in a ledger.",
    Stage.SCORE: "Weigh the quality before and after cleaning; stop under the threshold.",
    Stage.CANARY: "Rehearse the load with a sample in a schema of its own.",
    Stage.MIGRATE: "Load everything into a new version schema in one transaction, with proof.",
    Stage.VALIDATE: "Compare both sides and try every dashboard query on the candidate.",
    Stage.CUTOVER: "Make the candidate live in one transaction; readers see the old version or the new one.",
    Stage.REPORT: "Write the document for the change ticket and the line in deployments.log.",
}
