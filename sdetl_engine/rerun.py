"""Restoring a source's backup: its frozen copy goes through the checklist again, into a version of its own."""

from __future__ import annotations

from sdetl_engine.engine import start_run
from sdetl_engine.errors import BackupError
from sdetl_engine.events import Reporter
from sdetl_engine.keeping.manifest import FoundBackup, check_file
from sdetl_engine.runner import Runner
from sdetl_engine.settings import Settings
from sdetl_engine.workspace import Workspace


def restore_source(
    workspace: Workspace, backup: FoundBackup, target: str, settings: Settings, reporter: Reporter
) -> Runner:
    """A new run on the backup's copy of the source, ready to go, once the copy is what its manifest says.

    ``settings``: those of the run that took the backup (its ``plan.toml``) make the same version again.
    The caller closes ``runner.deployment``.  Raises BackupError, UsageError, Cancelled.
    """
    manifest = backup.manifest
    wrong = check_file(manifest.folder, manifest.source, reporter)
    if wrong is not None:
        raise BackupError(
            f"the backup of run {manifest.run_id} is damaged: {wrong}",
            next_step="restore an older backup; sdetl status lists the runs",
            kind="backup-damaged",
        )
    return start_run(workspace, manifest.folder / manifest.source.name, target, settings)
