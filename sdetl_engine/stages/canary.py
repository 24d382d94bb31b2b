"""Canary: a sample closed over its relations goes through the same load in a schema of its own, and is dropped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import TargetError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.observe.health import HealthCheck
from sdetl_engine.postgres import build, registry
from sdetl_engine.postgres.plan import VersionPlan
from sdetl_engine.postgres.rows import quarantine
from sdetl_engine.records import CleanedResult, LoadedResult, PreflightResult, ProfileResult
from sdetl_engine.sqlite.cleaned import sweep_partials
from sdetl_engine.sqlite.subset import sample_subset
from sdetl_engine.steps.comparing import compare_sides
from sdetl_engine.steps.loading import load_version, with_rows
from sdetl_engine.steps.planning import target_plan


def canary(run: Deployment, reporter: Reporter) -> LoadedResult:
    """Sample, load, validate, drop.  The schema is gone again however this ends."""
    run.hold_target_lock()
    schema_name = run.settings.canary.schema_name
    sample = run.folder.path / "canary.db"
    # A canary that was killed while it sampled left these; the run's folder is locked, so nobody else writes them.
    sweep_partials(run.folder.path)
    sample.unlink(missing_ok=True)
    _sweep(run, schema_name)
    try:
        rows = _sample(run, sample, reporter)
        plan, _ = target_plan(run)
        loaded = _rehearse(run, sample, schema_name, _for_sample(with_rows(plan, rows)), reporter)
    finally:
        sample.unlink(missing_ok=True)
    if loaded.differences:
        raise ValidationFailed(
            f"the canary differs from its sample: {loaded.differences[0]}"
            + (f" (and {len(loaded.differences) - 1} more)" if len(loaded.differences) > 1 else ""),
            left_behind="nothing: the canary was rolled back; the live version untouched",
            next_step="report it with the run's log",
            result=loaded,
        )
    return loaded


def _sample(run: Deployment, sample: Path, reporter: Reporter) -> dict[str, int]:
    cleaned = run.results.load(Stage.CLEAN, CleanedResult)
    drawn = sample_subset(
        Path(cleaned.path),
        sample,
        run.results.load(Stage.PREFLIGHT, PreflightResult).source_schema,
        run.results.load(Stage.PROFILE, ProfileResult).relations,
        run.settings.canary.fraction,
        run.settings.canary.seed,
        reporter,
    )
    return dict(drawn.rows)


def _for_sample(plan: VersionPlan) -> VersionPlan:
    """Keys and proofs of the full data hold for a closed sample too; counts of orphans do not."""
    keys = tuple(dataclasses.replace(k, orphans=max(k.orphans, 1) if k.orphans else 0) for k in plan.foreign_keys)
    return dataclasses.replace(plan, foreign_keys=keys)


def _rehearse(run: Deployment, sample: Path, schema_name: str, plan: VersionPlan, reporter: Reporter) -> LoadedResult:
    """Everything in one transaction that is rolled back: a killed canary leaves nothing in the target."""
    health = HealthCheck(run.folder.path, run.settings.health, ping=run.target().ping)
    with run.connect() as connection, reporter.interrupting(connection.cancel_safe):
        loaded = load_version(
            connection, sample, schema_name, plan, run.settings, reporter, run_id=run.run_id, health=health
        )
        compared = compare_sides(connection, sample, schema_name, plan, run.settings, reporter)
        differences = tuple(f"{c.table}.{c.column}: {', '.join(c.differs)}" for c in compared if c.differs)
        differences += build.compare_types(plan, build.read_columns(connection, schema_name))
        connection.rollback()
    reporter.event("CanaryDropped", f"{schema_name} is gone again", rows=loaded.rows)
    return dataclasses.replace(loaded, dropped=True, differences=differences)


def _sweep(run: Deployment, schema_name: str) -> None:
    """A canary that was left standing bears sdetl's mark; one without it is somebody else's and stays.

    Versions bear that mark too, live ones and those that are kept for a rollback: the registry knows them.
    Raises TargetError when the name is not the canary's.
    """
    with run.connect() as connection:
        if registry.is_known(connection, schema_name):
            raise TargetError(
                f"schema {schema_name} holds a version that the registry knows, and is no canary's",
                left_behind="nothing: it was not touched",
                next_step="choose another name in the setting canary.schema",
                kind="name-taken",
            )
        build.drop_schema_if_ours(connection, schema_name)
        build.drop_schema_if_ours(connection, quarantine.schema_name(schema_name))
        connection.commit()
