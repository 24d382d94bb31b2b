"""Checks that stand right before a step that relies on them."""

from __future__ import annotations

from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import SourceError
from sdetl_engine.files import sha256_of
from sdetl_engine.records import BackupResult, CleanedResult, PreflightResult
from sdetl_engine.sqlite.freeze import changed, fingerprint


def source_difference(run: Deployment) -> str | None:
    """What is different about the source since it was frozen, in a few words; None when nothing is."""
    before = run.results.load(Stage.PREFLIGHT, PreflightResult).frozen.fingerprint
    return changed(before, fingerprint(run.source))


def refuse_changed_source(run: Deployment) -> None:
    """Raise SourceError when the source is not the file that was backed up."""
    difference = source_difference(run)
    if difference is not None:
        raise SourceError(
            f"the source {run.source} has changed since it was backed up: {difference}",
            left_behind="the backup of the earlier state in the run's folder; the live version untouched",
            next_step="start a new run with the present file",
            kind="source-changed",
        )


def difference_to_backup(run: Deployment) -> str | None:
    """Why a run cannot go on: the source, its frozen copy or its cleaned copy is not what it was.  None when they are."""
    difference = source_difference(run)
    if difference is not None:
        return f"the source {run.source} has changed: {difference}"
    frozen = run.results.load(Stage.PREFLIGHT, PreflightResult).frozen
    files = {frozen.path: frozen.sha256}
    if run.results.has(Stage.BACKUP):
        backup = run.results.load(Stage.BACKUP, BackupResult)
        files[backup.path] = backup.sha256
    if run.results.has(Stage.CLEAN):
        cleaned = run.results.load(Stage.CLEAN, CleanedResult)
        files[cleaned.path] = cleaned.sha256
    for path, sha256 in files.items():
        if not Path(path).exists() or sha256_of(Path(path)) != sha256:
            return f"{path} is missing or was altered"
    return None
