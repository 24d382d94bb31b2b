"""Backups in the workspace: which are complete, which have expired, and removing just those.

A backup is complete when its manifest is there, since that is written last.  Age is what the manifest says,
never the file's time.  The newest complete one is never removed, nor one that an open run still needs.
"""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sdetl_engine.deployment import is_busy
from sdetl_engine.errors import BackupError, SdetlError
from sdetl_engine.journal import Journal
from sdetl_engine.manifest import read_manifest
from sdetl_engine.workspace import Workspace


@dataclasses.dataclass(frozen=True, slots=True)
class Backup:
    """One complete backup: the run it belongs to, when it was made (UTC), and the files its manifest names."""

    run_id: str
    created: datetime
    folder: Path
    files: tuple[str, ...]


def complete_backups(workspace: Workspace) -> list[Backup]:
    """Every backup whose manifest can be read, newest first."""
    found = []
    for run_id in workspace.run_ids():
        folder = workspace.run_folder(run_id).backup
        backup = _read(run_id, folder)
        if backup is not None:
            found.append(backup)
    return sorted(found, key=lambda b: b.created, reverse=True)


def expired_backups(
    workspace: Workspace, retention_days: int, *, keep_runs: Iterable[str] = (), now: datetime | None = None
) -> list[Backup]:
    """Complete backups older than the limit.

    None when the clock stands before the newest of them: then ages mean nothing.  Never the newest one, those
    in ``keep_runs``, nor those of runs that are at work or could still be resumed.
    """
    moment = now or datetime.now(UTC)
    backups = complete_backups(workspace)
    if not backups or moment < backups[0].created:
        return []
    limit = moment - timedelta(days=retention_days)
    kept = set(keep_runs)
    return [
        b for b in backups[1:] if b.created < limit and b.run_id not in kept and not _is_needed(workspace, b.run_id)
    ]


def remove_backups(workspace: Workspace, backups: Iterable[Backup]) -> tuple[str, ...]:
    """Remove the files that the manifests name, the manifest first; returns the ids of the runs concerned.

    Only regular files directly in the run's own backup folder; anything else is left alone.
    """
    removed = []
    for backup in backups:
        folder = workspace.runs / backup.run_id / "backup"
        if folder.is_symlink() or not folder.is_dir():
            continue
        for name in ("manifest.json", *backup.files):
            _remove_file(folder, name)
        removed.append(backup.run_id)
    return tuple(removed)


def _remove_file(folder: Path, name: str) -> None:
    if Path(name).name != name:
        return
    path = folder / name
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
    except FileNotFoundError:
        return


def _read(run_id: str, folder: Path) -> Backup | None:
    try:
        manifest = read_manifest(folder)
    except BackupError:
        return None
    return Backup(run_id, manifest.created, folder, manifest.files)


def _is_needed(workspace: Workspace, run_id: str) -> bool:
    folder = workspace.run_folder(run_id)
    if is_busy(folder):
        return True
    try:
        ended = Journal(folder.journal).last("run_ended")
    except SdetlError:
        return False
    return ended is None
