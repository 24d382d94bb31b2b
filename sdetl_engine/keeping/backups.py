"""Backups in the workspace: which are complete, which have expired, and removing just those.

A backup is complete when its manifest is there, since that is written last.  Age is what the manifest says,
never the file's time.  The newest good one is never removed, nor one that an open run still needs.
"""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sdetl_engine.errors import BackupError
from sdetl_engine.keeping.manifest import read_manifest
from sdetl_engine.keeping.needed import runs_in_need
from sdetl_engine.workspace import Workspace


@dataclasses.dataclass(frozen=True, slots=True)
class Backup:
    """One complete backup: the run it belongs to, when it was made (UTC), and the files its manifest names."""

    run_id: str
    created: datetime
    folder: Path
    files: tuple[str, ...]
    sizes: Mapping[str, int]
    """Bytes by file, as the manifest has them."""

    @property
    def bytes(self) -> int:
        """What it takes."""
        return sum(self.sizes.values())

    @property
    def is_whole(self) -> bool:
        """True when its files are there in their full length.  Whether they are sound, ``verify_backup`` tells."""
        try:
            return all((self.folder / name).stat().st_size == size for name, size in self.sizes.items())
        except OSError:
            return False


def complete_backups(workspace: Workspace) -> list[Backup]:
    """Every backup whose manifest can be read, newest first."""
    found = []
    for run_id in workspace.run_ids():
        folder = workspace.run_folder(run_id).backup
        backup = _read(run_id, folder)
        if backup is not None:
            found.append(backup)
    return sorted(found, key=lambda b: b.created, reverse=True)


@dataclasses.dataclass(frozen=True, slots=True)
class JudgedBackup:
    """A backup, and why it stays; None when it may go."""

    backup: Backup
    stays: str | None


def judge_backups(
    workspace: Workspace,
    retention_days: int,
    *,
    keep_runs: Mapping[str, str] | None = None,
    keep_newest: int = 1,
    now: datetime | None = None,
) -> list[JudgedBackup]:
    """Every complete backup, newest first, with the reason why it stays.

    The newest ``keep_newest`` stay, and the newest whose files are all there in their full length, whatever their age;
    so do those of ``keep_runs`` (run id to reason), of runs that are at work or can be resumed, and all of them while
    the clock stands before the newest: then ages mean nothing.
    """
    moment = now or datetime.now(UTC)
    backups = complete_backups(workspace)
    limit = moment - timedelta(days=retention_days)
    reasons = {**runs_in_need(workspace), **(keep_runs or {})}
    good = next((b.run_id for b in backups if b.is_whole), None)
    judged = []
    for number, backup in enumerate(backups):
        stays: str | None = None
        if moment < backups[0].created:
            stays = "the clock stands before the newest backup"
        elif backup.run_id == good:
            stays = "it is the newest good one"
        elif number < keep_newest:
            stays = f"it is one of the newest {keep_newest}"
        elif backup.created >= limit:
            stays = f"it is not older than {retention_days} days"
        judged.append(JudgedBackup(backup, stays or reasons.get(backup.run_id)))
    return judged


def expired_backups(
    workspace: Workspace, retention_days: int, *, keep_runs: Iterable[str] = (), now: datetime | None = None
) -> list[Backup]:
    """The backups that retention takes away; see ``judge_backups``."""
    kept = dict.fromkeys(keep_runs, "its run needs it")
    return [j.backup for j in judge_backups(workspace, retention_days, keep_runs=kept, now=now) if j.stays is None]


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
    sizes = {manifest.source.name: manifest.source.bytes}
    if manifest.dump is not None:
        sizes[manifest.dump.file.name] = manifest.dump.file.bytes
    return Backup(run_id, manifest.created, folder, manifest.files, sizes)
