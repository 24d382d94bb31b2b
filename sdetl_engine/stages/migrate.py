"""Migrate: everything into a new version schema, in one transaction, with proof; nothing left behind if it fails."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import TargetError
from sdetl_engine.events import Reporter
from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.observe.health import HealthCheck
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.build import schema_exists
from sdetl_engine.records import BackupResult, CleanedResult, LoadedResult, ScoreResult
from sdetl_engine.steps.guards import refuse_changed_source
from sdetl_engine.steps.loading import load_version, refuse_empty
from sdetl_engine.steps.planning import target_plan
from sdetl_engine.wording import counted, inflected


def migrate(run: Deployment, reporter: Reporter) -> LoadedResult:
    """Load, prove, register, commit.  Raises TargetError, ValidationFailed, ResourceError, Cancelled."""
    cleaned = run.results.load(Stage.CLEAN, CleanedResult)
    run.hold_target_lock()
    refuse_changed_source(run)
    plan, findings = target_plan(run)
    refuse_empty(plan, cleaned.rows)
    health = HealthCheck(run.folder.path, run.settings.health, ping=run.target().ping)
    with run.connect() as connection, reporter.interrupting(connection.cancel_safe):
        registry.ensure(connection)
        _sweep_interrupted(run, connection)
        loaded = load_version(
            connection,
            Path(cleaned.path),
            run.version,
            plan,
            run.settings,
            reporter,
            run_id=run.run_id,
            health=health,
        )
        _register(run, connection, loaded)
        reporter.check()
        run.journal.write("load_committing", version=run.version)
        connection.commit()
    reporter.event("VersionLoaded", f"{counted(loaded.rows, 'row')} in {run.version}", rows=loaded.rows)
    return dataclasses.replace(loaded, findings=(*findings, *_findings(loaded)))


def _sweep_interrupted(run: Deployment, connection: psycopg.Connection[Any]) -> None:
    """The same run may have loaded this version before it died, after the commit and before it could note that.

    Its own candidate is dropped and loaded anew; anything else under that name is somebody else's.
    """
    if not schema_exists(connection, run.version):
        return
    known = registry.get_version(connection, run.version)
    ours = known is not None and known.run_id == run.run_id and known.status == registry.VersionStatus.CANDIDATE
    if not ours or run.journal.last("load_committing", version=run.version) is None:
        raise TargetError(
            f"there is already a schema {run.version} in the target",
            next_step="rename or drop it if it is yours, then start a new run",
            kind="name-taken",
        )
    registry.drop_version(connection, run.version)


def _register(run: Deployment, connection: psycopg.Connection[Any], loaded: LoadedResult) -> None:
    score = run.results.load(Stage.SCORE, ScoreResult)
    backup = run.results.load(Stage.BACKUP, BackupResult)
    registry.add_version(
        connection,
        run.version,
        serving_schema=run.settings.serving_schema,
        status=registry.VersionStatus.CANDIDATE,
        created_by=run.who,
        run_id=run.run_id,
        source_name=run.source.name,
        source_md5=backup.md5,
        table_rows={p.table: p.rows_held for p in loaded.proof},
        score=round(score.after, 2),
        of_a_drill=run.target().is_rehearsing,
    )


def _findings(loaded: LoadedResult) -> list[Finding]:
    """What the source has and the version has not, and what stands in the quarantine."""
    found = []
    if loaded.not_migrated:
        kinds: dict[str, int] = {}
        for item in loaded.not_migrated:
            kinds[item.kind] = kinds.get(item.kind, 0) + 1
        listed = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(kinds.items()))
        found.append(
            Finding(
                "NOT-MIGRATED",
                Severity.WARNING,
                f"{counted(len(loaded.not_migrated), 'thing')} that the source declares {inflected(len(loaded.not_migrated), 'was', 'were')} not migrated: {listed}",
                "the report lists each with its reason",
                count=len(loaded.not_migrated),
                choices=(Choice.ACCEPT,),
            )
        )
    for proof in loaded.proof:
        if proof.quarantined:
            found.append(
                Finding(
                    "QUARANTINED",
                    Severity.WARNING,
                    f"{counted(proof.quarantined, 'value')} of {proof.table} that their type cannot hold stand in "
                    f"{loaded.quarantine_schema}.cells with their raw bytes",
                    "look at them there; load the column as text to have them in the table",
                    table=proof.table,
                    count=proof.quarantined,
                    choices=(Choice.ACCEPT, Choice.LOAD_AS_TEXT),
                )
            )
    found += [
        Finding(
            "FK-NOT-VALID",
            Severity.WARNING,
            f"foreign key {name} is NOT VALID: {counted(count, 'row')} {inflected(count, 'has', 'have')} no parent",
            "new rows are checked; correct the old ones in the source",
            count=count,
            choices=(Choice.ACCEPT,),
        )
        for name, count in loaded.orphans.items()
    ]
    return found
