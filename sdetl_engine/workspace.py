"""The workspace: where runs, their backups and the embedded server live.  Created with mode 0700."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import platformdirs

from sdetl_engine.errors import EnvironmentFailed, UsageError
from sdetl_engine.files import private_folder

RUN_ID = re.compile(r"\d{8}T\d{6}Z")


@dataclasses.dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of the workspace; nothing is created before ``prepare``."""

    root: Path

    @classmethod
    def default(cls) -> Workspace:
        """The platform's data folder for sdetl."""
        return cls(Path(platformdirs.user_data_dir("sdetl", appauthor=False)))

    def prepare(self) -> Workspace:
        """Create what is missing.  Raises EnvironmentFailed when the folder cannot be written."""
        try:
            private_folder(self.root)
            private_folder(self.runs)
        except OSError as error:
            raise EnvironmentFailed(
                f"the workspace {self.root} cannot be created: {error.strerror}",
                next_step="name another folder with --workspace",
                kind="workspace",
            ) from None
        return self

    @property
    def runs(self) -> Path:
        """One folder per run."""
        return self.root / "runs"

    @property
    def postgres(self) -> Path:
        """The embedded server's data."""
        return self.root / "postgres"

    def postgres_beside(self, major: int) -> Path:
        """The data of an embedded server of another major version than ``postgres`` has, for scratch databases."""
        return self.root / f"postgres-{major}"

    @property
    def late_writes(self) -> Path:
        """What was written to versions before they were rolled back, one folder per export."""
        return self.root / "late_writes"

    @property
    def by_hand(self) -> Path:
        """The SQL of rollbacks that are made by hand."""
        return self.root / "by_hand"

    @property
    def deployments_log(self) -> Path:
        """One line per finished run."""
        return self.root / "deployments.log"

    @property
    def rollback_tests_log(self) -> Path:
        """One line per drill."""
        return self.root / "rollback_tests.log"

    @property
    def differences(self) -> Path:
        """What the last diff found of a version whose run is not here."""
        return self.root / "differences.db"

    @property
    def metrics(self) -> Path:
        """The Prometheus textfile."""
        return self.root / "metrics.prom"

    def run_folder(self, run_id: str) -> RunFolder:
        """The folder of a run that exists.  Raises UsageError when it does not."""
        if not RUN_ID.fullmatch(run_id) or not (self.runs / run_id).is_dir():
            known = ", ".join(self.run_ids()[:5]) or "none"
            raise UsageError(f"there is no run {run_id} in {self.root} (newest: {known})", next_step="see sdetl status")
        return RunFolder(self.runs / run_id)

    def run_ids(self) -> list[str]:
        """Ids of all runs, newest first."""
        if not self.runs.is_dir():
            return []
        return sorted((p.name for p in self.runs.iterdir() if RUN_ID.fullmatch(p.name)), reverse=True)

    def new_run(self) -> RunFolder:
        """Create the folder of a new run.  Ids are UTC times to the second; one that is taken is stepped over."""
        moment = datetime.now(UTC).replace(microsecond=0)
        while True:
            folder = self.runs / moment.strftime("%Y%m%dT%H%M%SZ")
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                moment += timedelta(seconds=1)
            else:
                return RunFolder(folder)


@dataclasses.dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def run_id(self) -> str:
        """The run's id, e.g. ``20251019T143022Z``."""
        return self.path.name

    @property
    def stamp(self) -> str:
        """The run's time as files and versions bear it, e.g. ``20251019_143022``."""
        return f"{self.run_id[:8]}_{self.run_id[9:15]}"

    @property
    def plan(self) -> Path:
        """Settings and decisions."""
        return self.path / "plan.toml"

    @property
    def journal(self) -> Path:
        """The durable record."""
        return self.path / "journal.jsonl"

    @property
    def log(self) -> Path:
        """The structured log."""
        return self.path / "log.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the process that works on this run."""
        return self.path / "run.lock"

    @property
    def backup(self) -> Path:
        """Frozen source, dump, manifest."""
        return self.path / "backup"

    @property
    def results(self) -> Path:
        """What each finished stage found, for resume and for the screens."""
        return self.path / "results"

    @property
    def clean(self) -> Path:
        """The cleaned copy."""
        return self.path / "clean.db"

    @property
    def ledger(self) -> Path:
        """Every changed cell."""
        return self.path / "ledger.db"

    @property
    def differences(self) -> Path:
        """What the last diff found."""
        return self.path / "differences.db"

    @property
    def cutover_sql(self) -> Path:
        """The SQL of a cutover that is made by hand."""
        return self.path / "cutover.sql"

    @property
    def rollback_sql(self) -> Path:
        """The SQL of its way back."""
        return self.path / "rollback.sql"

    @property
    def report_html(self) -> Path:
        """The document for the change ticket."""
        return self.path / "report.html"

    @property
    def report_json(self) -> Path:
        """The same for programs."""
        return self.path / "report.json"
