"""The drill with the tools that it needs: the composition of the house for rehearsals, behind the public face."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from sdetl_engine.drill_records import DrillResult, Fault
from sdetl_engine.drilling.tools import Tools
from sdetl_engine.engine import resume_run, start_run
from sdetl_engine.events import Reporter
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.registry import Drill
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import Settings
from sdetl_engine.stages import drill as recipe
from sdetl_engine.stages.restore import make_restored_live, restore_beside
from sdetl_engine.stages.rollback import rollback
from sdetl_engine.workspace import Workspace


def drill(
    workspace: Workspace,
    session: TargetSession,
    settings: Settings,
    reporter: Reporter,
    *,
    source: Path | None = None,
    faults: Sequence[Fault] = tuple(Fault),
    budget_seconds: float | None = None,
) -> DrillResult:
    """Rehearse the way out and the way back beside what is live; see ``stages.drill``.

    ``source``: what to drill with; else the newest run's cleaned copy, or a small demo source.  ``budget_seconds`` for
    one rollback, else ``drill.rto_seconds``.  The reporter hears ``DrillStepStarted`` and ``DrillStepFinished``.
    Raises TargetError, LockHeld, Cancelled; a drill that fails is a result that did not pass.
    """
    tools = Tools(start_run, resume_run, functools.partial(rollback, log=False), restore_beside, make_restored_live)
    return recipe.drill(
        workspace, session, settings, reporter, tools, source=source, faults=faults, budget_seconds=budget_seconds
    )


def earlier_drills(session: TargetSession, limit: int = 10) -> tuple[Drill, ...]:
    """The newest drills that the target's registry knows, newest first."""
    with session.connect() as connection:
        return tuple(registry.drills(connection, limit))
