"""What a drill uses of the rest of the engine.  Handed in, because a stage imports no other stage."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from sdetl_engine.events import Reporter
from sdetl_engine.keeping.manifest import FoundBackup
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.restored import RestoredVersion, RestoreResult
from sdetl_engine.runner import Runner
from sdetl_engine.settings import Settings
from sdetl_engine.workspace import Workspace


class StartRun(Protocol):
    """Begin a run of the checklist."""

    def __call__(
        self,
        workspace: Workspace,
        source: Path,
        target: None,
        settings: Settings,
        *,
        skip_canary: bool,
        session: TargetSession,
    ) -> Runner:
        """See ``engine.start_run``."""


class ResumeRun(Protocol):
    """Go on with a run that ended early."""

    def __call__(self, workspace: Workspace, run_id: str, *, session: TargetSession) -> Runner:
        """See ``engine.resume_run``."""


class SwitchedBack(Protocol):
    """What a rollback came to."""

    @property
    def live_version(self) -> str:
        """The version that is live now."""

    @property
    def rto_seconds(self) -> float:
        """From the order to rows read back under the serving name."""

    @property
    def attempts(self) -> int:
        """How often it was tried: each time readers were in the way, it yielded."""


class RollBack(Protocol):
    """Make the version live again that was live before the present one."""

    def __call__(self, session: TargetSession, settings: Settings, reporter: Reporter) -> SwitchedBack:
        """See ``stages.rollback.rollback``."""


class RestoreBeside(Protocol):
    """Restore a dump as a candidate."""

    def __call__(
        self, workspace: Workspace, session: TargetSession, settings: Settings, reporter: Reporter, backup: FoundBackup
    ) -> RestoredVersion:
        """See ``stages.restore.restore_beside``."""


class MakeRestoredLive(Protocol):
    """Switch a restored version in."""

    def __call__(
        self, session: TargetSession, settings: Settings, reporter: Reporter, restored: RestoredVersion
    ) -> RestoreResult:
        """See ``stages.restore.make_restored_live``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tools:
    """The very functions that a real run, rollback and restore use."""

    start_run: StartRun
    resume_run: ResumeRun
    roll_back: RollBack
    restore_beside: RestoreBeside
    make_restored_live: MakeRestoredLive
