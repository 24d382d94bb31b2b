"""What grows in a workspace beside backups: cleaned copies of runs, and exports of late writes; judged, and removed.

A cleaned copy is needed for as long as the version that was loaded from it may be live: only with it can be told, row by
row, what was written to that version.  Ledger, journal and report of a run stay for ever.
"""

from __future__ import annotations

import dataclasses
import re
import stat
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sdetl_engine.errors import SdetlError
from sdetl_engine.journal import Journal
from sdetl_engine.keeping.needed import runs_in_need
from sdetl_engine.postgres.registry import Version
from sdetl_engine.workspace import Workspace

CLEANED, EXPORT = "cleaned copy", "late writes"
_EXPORT = re.compile(r"\d{8}_\d{6}_\d{6}")
_EXPORTED = re.compile(r"writes\.sql|\d+_.*\.csv", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class Leftover:
    """A cleaned copy (``name`` is its run's id) or an export (its folder's name), and why it stays; None: it may go."""

    kind: str
    name: str
    files: tuple[Path, ...]
    bytes: int
    made: datetime
    stays: str | None


def cleaned_copies(
    workspace: Workspace,
    retention_days: int,
    *,
    target: str | None,
    versions: Sequence[Version],
    now: datetime | None = None,
) -> list[Leftover]:
    """Every cleaned copy, newest first.  ``versions``: those of ``target`` that stay; None: no target is looked at."""
    needed = runs_in_need(workspace)
    limit = (now or datetime.now(UTC)) - timedelta(days=retention_days)
    loaded = {v.run_id: v.version for v in versions if v.run_id is not None}
    found: list[Leftover] = []
    for run_id in workspace.run_ids():
        path = workspace.run_folder(run_id).clean
        if not _is_file(path):
            continue
        made = datetime.strptime(run_id, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        stays: str | None = None
        if not found:
            stays = "it is the newest: the next drill uses it"
        elif run_id in needed:
            stays = f"run {run_id} needs it: {needed[run_id]}"
        elif made >= limit:
            stays = f"it is not older than {retention_days} days"
        elif run_id in loaded:
            stays = f"version {loaded[run_id]} was loaded from it: it tells what was written to that since"
        else:
            stays = _why_elsewhere(workspace, run_id, target)
        found.append(Leftover(CLEANED, run_id, (path,), path.stat().st_size, made, stays))
    return found


def _why_elsewhere(workspace: Workspace, run_id: str, target: str | None) -> str | None:
    """Whether another target may still have the version that was loaded from it."""
    try:
        started = Journal(workspace.run_folder(run_id).journal).last("run_started")
    except SdetlError:
        return "the journal of its run cannot be read"
    loaded_into = started["target"] if started is not None else None
    if loaded_into is None or loaded_into == target:
        return None
    if target is None:
        return "whether its version is still in the target can be seen with --target only"
    return f"its run was about another target: {loaded_into}"


def exports(workspace: Workspace, days: int, *, now: datetime | None = None) -> list[Leftover]:
    """Every export of late writes, newest first."""
    limit = (now or datetime.now(UTC)) - timedelta(days=days)
    root = workspace.late_writes
    if root.is_symlink() or not root.is_dir():
        return []
    found = []
    for folder in sorted(root.iterdir(), reverse=True):
        if not _EXPORT.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
            continue
        made = datetime.strptime(folder.name, "%Y%m%d_%H%M%S_%f").replace(tzinfo=UTC)
        files = tuple(f for f in sorted(folder.iterdir()) if _EXPORTED.fullmatch(f.name) and _is_file(f))
        if not files:
            continue
        stays = f"it is not older than {days} days" if made >= limit else None
        found.append(Leftover(EXPORT, folder.name, files, sum(f.stat().st_size for f in files), made, stays))
    return found


def remove(leftovers: Iterable[Leftover]) -> None:
    """Remove their files, and the folder of an export once nothing else is in it."""
    for leftover in leftovers:
        for file in leftover.files:
            if _is_file(file):
                file.unlink()
        if leftover.kind == EXPORT and leftover.files:
            folder = leftover.files[0].parent
            if not any(folder.iterdir()):
                folder.rmdir()


def _is_file(path: Path) -> bool:
    """A regular file that stands where it seems to."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and not path.parent.is_symlink()
    except OSError:
        return False
