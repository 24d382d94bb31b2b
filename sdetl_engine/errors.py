"""Everything that can stop sdetl, as one tree.

    SdetlError                      kind, message, left_behind, next_step, exit_code
     ├── UsageError            2    options, settings, plan
     ├── GateStopped           3    circuit breaker, quality gate, a review nobody agreed to
     ├── ValidationFailed      4    canary, proof of load, validate, post-cutover checks
     ├── EnvironmentFailed     5    the surroundings; its leaves name which
     │    ├── SourceError           missing, not SQLite, malformed, encrypted, locked, changed
     │    ├── TargetError           unreachable, too old, without rights, refused
     │    ├── ResourceError         disk, memory
     │    ├── BackupError           a backup or dump that cannot be made or proved
     │    └── LockHeld              another run works on the same target and serving schema
     └── Cancelled          130/129/143   the operator, SIGHUP, SIGTERM

Anything else that escapes is a defect in sdetl (exit code 1).  Texts carry names of files, tables and
columns, never a row's content and never a connection string.
"""

from __future__ import annotations

import copyreg
import enum

from sdetl_engine.findings import StageResult

NOTHING = "nothing"


class ExitCode(enum.IntEnum):
    """What the process tells its caller; fixed by the product contract."""

    DONE = 0
    DEFECT = 1
    USAGE = 2
    GATE = 3
    VALIDATION = 4
    ENVIRONMENT = 5
    HANGUP = 129
    CANCELLED = 130
    TERMINATED = 143


class SdetlError(Exception):
    """An outcome that the operator must hear about.

    ``message`` says what happened and to which object; ``left_behind`` what remains because of it
    (normally "nothing"); ``next_step`` what to do now.  ``kind`` is a stable word for programs.
    """

    exit_code: ExitCode = ExitCode.DEFECT
    kind: str = "defect"

    def __init__(self, message: str, *, next_step: str, left_behind: str = NOTHING, kind: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.left_behind = left_behind
        if kind is not None:
            self.kind = kind

    def __reduce__(self) -> tuple[object, ...]:
        # Pickling would call __init__ with the message alone.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]

    def as_json(self) -> dict[str, str]:
        """The ``error`` object of ``sdetl run --json``."""
        return {"kind": self.kind, "message": self.message, "left_behind": self.left_behind, "next": self.next_step}


class UsageError(SdetlError):
    """The command line, a setting or the plan is wrong; nothing was opened."""

    exit_code = ExitCode.USAGE
    kind = "usage"


class GateStopped(SdetlError):
    """A gate stands in the way: halted, or in review without agreement."""

    exit_code = ExitCode.GATE
    kind = "gate"


class ValidationFailed(SdetlError):
    """What was read back is not what it ought to be.

    ``result`` is what the stage had found out by then, the failure included; None when it had come to no result.
    """

    exit_code = ExitCode.VALIDATION
    kind = "validation"

    def __init__(
        self,
        message: str,
        *,
        next_step: str,
        left_behind: str = NOTHING,
        kind: str | None = None,
        result: StageResult | None = None,
    ) -> None:
        super().__init__(message, next_step=next_step, left_behind=left_behind, kind=kind)
        self.result = result


class EnvironmentFailed(SdetlError):
    """Something around sdetl is in the way."""

    exit_code = ExitCode.ENVIRONMENT
    kind = "environment"


class SourceError(EnvironmentFailed):
    """The source cannot be read as one quiet, sound SQLite database, or is not the one it was."""

    kind = "source"


class TargetError(EnvironmentFailed):
    """PostgreSQL is unreachable, too old, without rights, or refused a statement."""

    kind = "target"


class ResourceError(EnvironmentFailed):
    """Disk or memory is short."""

    kind = "resource"


class BackupError(EnvironmentFailed):
    """A backup or a dump could not be made, or could not be proved."""

    kind = "backup"


class LockHeld(EnvironmentFailed):
    """Another run holds the lock of this target and serving schema, or of this run."""

    kind = "lock"


class Cancelled(SdetlError):
    """Ended at a safe point because somebody asked: Ctrl-C, SIGTERM or SIGHUP."""

    exit_code = ExitCode.CANCELLED
    kind = "cancelled"

    def __init__(self, message: str = "cancelled by the operator", *, exit_code: ExitCode = ExitCode.CANCELLED) -> None:
        super().__init__(message, next_step="run again with --resume to continue after the last finished stage")
        self.exit_code = exit_code
