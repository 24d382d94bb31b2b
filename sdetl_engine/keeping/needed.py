"""Which runs of a workspace may still go on, and so need their files."""

from __future__ import annotations

from sdetl_engine.deployment import is_busy
from sdetl_engine.errors import SdetlError
from sdetl_engine.journal import Journal
from sdetl_engine.workspace import RunFolder, Workspace

_UNREADABLE = "its journal cannot be read, so nobody can tell"


def runs_in_need(workspace: Workspace) -> dict[str, str]:
    """Run id to why its files are needed: it is at work, or it ended early and can be resumed.

    Once a later run has gone live on the same target, an earlier one can no longer go live, and needs nothing.
    """
    needed: dict[str, str] = {}
    overtaken: set[str] = set()
    for run_id in workspace.run_ids():
        folder = workspace.run_folder(run_id)
        target, why = _state(folder)
        if why is None and target is not None:
            overtaken.add(target)
        elif why is not None and (target not in overtaken or is_busy(folder)):
            needed[run_id] = why
    return {run_id: why for run_id, why in needed.items() if why}


def _state(folder: RunFolder) -> tuple[str | None, str | None]:
    """The run's target, and why it needs its files: None when it went live, empty when it is done all the same."""
    if is_busy(folder):
        return None, "it is being worked on"
    try:
        journal = Journal(folder.journal)
    except SdetlError:
        return None, _UNREADABLE
    started = journal.last("run_started")
    if started is None:
        return None, ""
    target = started["target"]
    told = [r for r in journal.records if r["event"] in ("run_started", "run_resumed", "run_ended")]
    if told[-1]["event"] != "run_ended":
        return target, "it was cut off and can be resumed"
    outcome = told[-1]["outcome"]
    if outcome == "live":
        return target, None
    if outcome == "validated" and target is None:
        return None, ""
    return target, f"it ended {outcome} and can be resumed"
