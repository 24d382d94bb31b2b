"""Comparing a source with a version, also where the run that loaded it is not at hand.

The same source and the same settings give the same types, the same rules and the same ledger: without the run's folder
they are worked out again, up to the score, in a folder that is gone afterwards.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.engine import start_run
from sdetl_engine.events import Reporter
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.records import PreflightResult
from sdetl_engine.results import ResultStore
from sdetl_engine.settings import GateSettings, Settings
from sdetl_engine.stages.diff import DiffResult, choose, diff_version_of
from sdetl_engine.workspace import RunFolder, Workspace

_OPEN = GateSettings(max_mismatched_columns=1.0, max_corrupt_dates=1.0, halt_score=0.0, min_score=0.0)
"""Whether the data may be loaded has been decided: gates change neither types nor rules."""


def diff(
    workspace: Workspace,
    session: TargetSession,
    settings: Settings,
    source: Path,
    reporter: Reporter,
    *,
    run_id: str | None = None,
    version: str | None = None,
) -> DiffResult:
    """Compare ``source`` with the version of ``run_id``, with ``version``, or with the live one (else the newest candidate).

    By the settings of the run that loaded it, when that is in the workspace; else by ``settings``, and ``reworked`` says
    so.  The differences stand in ``differences.db`` in the folder of the run, else of the workspace.  Raises UsageError
    when there is no such version, SourceError, TargetError, Cancelled.
    """
    chosen = choose(session, settings, run_id, version)
    if chosen.run_id is not None and chosen.run_id in workspace.run_ids():
        folder = workspace.run_folder(chosen.run_id)
        return diff_version_of(folder, chosen, session, source, folder.differences, reporter)
    workspace.prepare()
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix=".diff-") as scratch:
        folder = _work_out(Workspace(Path(scratch)), source, settings, reporter)
        result = diff_version_of(folder, chosen, session, source, workspace.differences, reporter)
        change = result.source_change or _other_source(folder, chosen)
    return dataclasses.replace(result, reworked=True, source_change=change)


def _work_out(scratch: Workspace, source: Path, settings: Settings, reporter: Reporter) -> RunFolder:
    """A run without a target, up to the score, which nobody has to agree to.  Raises what it fails of."""
    runner = start_run(scratch, source, None, settings.model_copy(update={"gates": _OPEN}))
    with runner.deployment as deployment, reporter.interrupting(runner.reporter.request_stop):
        deployment.agreed = True
        reporter.progress("work out types, rules and ledger again", 0, None)
        outcome = runner.run(Stage.SCORE)
        if outcome.error is not None:
            raise outcome.error
        return deployment.folder


def _other_source(folder: RunFolder, chosen: registry.Version) -> str | None:
    """That the file is not the one that the version was loaded from, as far as the registry knows that."""
    frozen = ResultStore(folder.results).load(Stage.PREFLIGHT, PreflightResult).frozen
    if chosen.source_md5 in (None, frozen.md5):
        return None
    return f"its MD5 is {frozen.md5}, that of the file that was loaded {chosen.source_md5}"
