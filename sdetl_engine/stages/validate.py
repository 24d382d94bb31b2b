"""Validate: both sides compared, types read back, sample queries run, and every dashboard panel tried on the
candidate under the name that dashboards use, in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.checklist import Stage
from sdetl_engine.comparing import compare_sides
from sdetl_engine.deployment import Deployment
from sdetl_engine.diffing import Sampling, basis_of, diff_version
from sdetl_engine.errors import TargetError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.grafana.dashboards import Dashboard
from sdetl_engine.planning import dashboards_of, target_plan
from sdetl_engine.postgres import build, registry
from sdetl_engine.postgres.carry.belongings import Belongings, give
from sdetl_engine.postgres.carry.changes import Changes, qualified_names
from sdetl_engine.postgres.panels import PanelOutcome, run_dashboards
from sdetl_engine.postgres.plan import VersionPlan
from sdetl_engine.postgres.serving import fingerprints
from sdetl_engine.postgres.switch import rename_schema
from sdetl_engine.records import (
    Check,
    CleanedResult,
    LoadedResult,
    PanelRecord,
    PreflightResult,
    TableDiff,
    ValidateResult,
    Verdict,
)
from sdetl_engine.sqlite.differences import new_differences


def validate(run: Deployment, reporter: Reporter) -> ValidateResult:
    """Read the candidate back in every way that readers will.  Raises ValidationFailed naming what differs."""
    loaded = run.results.load(Stage.MIGRATE, LoadedResult)
    cleaned = run.results.load(Stage.CLEAN, CleanedResult)
    run.hold_target_lock()
    plan, _ = target_plan(run)
    with run.connect() as connection, reporter.interrupting(connection.cancel_safe):
        marks = fingerprints(connection, loaded.version)
        columns = compare_sides(connection, Path(cleaned.path), loaded.version, plan, run.settings, reporter)
        actual = build.read_columns(connection, loaded.version)
        types = build.compare_types(plan, actual)
        queries = _sample_queries(connection, loaded.version, plan, loaded)
        connection.rollback()
        diff = _diff(run, connection, loaded.version, reporter)
    dashboards = dashboards_of(run)
    sound = not any(c.differs for c in columns) and not types and all(q.verdict is Verdict.PASSED for q in queries)
    panels = _rehearse(run, loaded.version, dashboards, reporter) if dashboards and sound else ()
    result = ValidateResult(
        columns=columns,
        type_differences=types,
        types_checked=sum(len(t) for t in actual.values()),
        sample_queries=queries,
        panels=panels,
        dashboards={d.title: d.file for d in dashboards} if sound else {},
        rehearsed_as=run.settings.dashboards.role,
        fingerprints=marks,
        diff=diff,
        findings=_findings(panels, bool(dashboards)),
    )
    _refuse(result, loaded)
    return result


def _diff(
    run: Deployment, connection: psycopg.Connection[Any], version: str, reporter: Reporter
) -> tuple[TableDiff, ...]:
    """The ledger equation, as much of it as ``validate.diff`` asks for; differences stand in the run's folder."""
    wanted = run.settings.validate_
    if wanted.diff == "off":
        return ()
    preflight = run.results.load(Stage.PREFLIGHT, PreflightResult)
    basis = basis_of(
        run.folder,
        run.results,
        run.settings,
        Path(preflight.frozen.path),
        preflight.source_schema,
        as_measured=True,
    )
    sampling = Sampling(wanted.diff_rows, run.settings.profile.seed) if wanted.diff == "sampled" else None
    with new_differences(run.folder.differences) as log:
        diff = diff_version(connection, version, version, basis, log, reporter, sampling)
    connection.rollback()
    return diff


def _sample_queries(
    connection: psycopg.Connection[Any], schema: str, plan: VersionPlan, loaded: LoadedResult
) -> tuple[Check, ...]:
    """Row counts as a reader counts them, and the first row of every table."""
    held = {p.table: p.rows_held for p in loaded.proof}
    checks = []
    for table in plan.tables:
        name = sql.Identifier(schema, table.name)
        counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
        first = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(name)).fetchone()
        rows = counted[0] if counted else 0
        good = rows == held[table.name] and (first is not None) == (rows > 0)
        checks.append(
            Check(f"SELECT count(*) FROM {table.name}", Verdict.PASSED if good else Verdict.FAILED, f"{rows} rows")
        )
    return tuple(checks)


def _rehearse(
    run: Deployment, version: str, dashboards: Sequence[Dashboard], reporter: Reporter
) -> tuple[PanelRecord, ...]:
    """Rename in a transaction, read as the readers do, roll back.  Other sessions go on reading the live version."""
    settings = run.settings
    with run.connect() as connection, reporter.interrupting(connection.cancel_safe):
        _rename(connection, settings.serving_schema, version)
        if settings.dashboards.role is not None:
            _become(connection, settings.dashboards.role)
        outcomes = run_dashboards(
            connection,
            dashboards,
            settings.dashboards,
            reporter=reporter,
        )
        connection.rollback()
    return tuple(_record(o, settings.dashboards.slow_seconds) for o in outcomes)


def _rename(connection: psycopg.Connection[Any], serving: str, version: str) -> None:
    """The renames of the cutover, and what readers were granted; never committed."""
    if not build.schema_exists(connection, serving):
        rename_schema(connection, version, serving)
        return
    with qualified_names(connection):
        belongings = Belongings.read(connection, serving)
        rename_schema(connection, serving, _aside(version, registry.live_version(connection, serving)))
        rename_schema(connection, version, serving)
        give(Changes(connection), belongings, to_new=True)
    connection.execute("SET LOCAL row_security = on")


def _aside(version: str, live: registry.Version | None) -> str:
    """A name for the live schema while the rehearsal lasts; it is never committed."""
    return f"{live.version}" if live is not None else f"{version}_aside"


def _become(connection: psycopg.Connection[Any], role: str) -> None:
    try:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    except psycopg.Error as error:
        raise TargetError(
            f"the dashboards' role {role} cannot be taken on: {error.diag.message_primary}",
            left_behind="the candidate, not live; the live version untouched",
            next_step=f"GRANT {role} TO the operator's role, or unset dashboards.role; then continue with --resume",
            kind="role",
        ) from None


def _record(outcome: PanelOutcome, slow_seconds: float) -> PanelRecord:
    return PanelRecord(
        dashboard=outcome.dashboard,
        panel=outcome.panel,
        ref=outcome.ref,
        ok=outcome.ok,
        milliseconds=round(outcome.milliseconds, 2),
        rows=outcome.rows,
        error=outcome.error,
        skipped=outcome.skipped,
        slow=outcome.milliseconds > slow_seconds * 1000,
    )


def _refuse(result: ValidateResult, loaded: LoadedResult) -> None:
    """Raise ValidationFailed, which carries the result, when anything differs or breaks; the gravest is named."""
    wrong = _differences(result) or _broken_panels(result)
    if not wrong:
        return
    what, next_step = wrong[0]
    raise ValidationFailed(
        what + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""),
        left_behind=f"the candidate {loaded.version}, not live; the live version untouched",
        next_step=next_step,
        result=result,
    )


def _differences(result: ValidateResult) -> list[tuple[str, str]]:
    """What the candidate holds otherwise than the cleaned file, each with the next step."""
    columns = [
        f"{c.table}.{c.column} differs between SQLite and PostgreSQL in {', '.join(c.differs)}"
        for c in result.columns
        if c.differs
    ]
    types = [f"column types are not as planned: {difference}" for difference in result.type_differences]
    queries = [f"{q.name}: {q.measured}" for q in result.sample_queries if q.verdict is not Verdict.PASSED]
    rows = [
        f"table {t.table} is not source + ledger - quarantine: {t.total:,} differences" for t in result.diff if t.total
    ]
    return [(what, "report it with the run's log") for what in (*columns, *types, *queries, *rows)]


def _broken_panels(result: ValidateResult) -> list[tuple[str, str]]:
    return [
        (
            f"panel {p.panel!r} of dashboard {p.dashboard!r} fails: {p.error}",
            "correct the dashboard or the plan, then start a new run",
        )
        for p in result.panels
        if not p.ok and p.skipped is None
    ]


def _findings(panels: Sequence[PanelRecord], tried: bool) -> tuple[Finding, ...]:
    if not tried:
        return (
            Finding(
                "DASHBOARDS-NOT-TRIED",
                Severity.WARNING,
                "no dashboards were named, so none was tried",
                "name their folder with --dashboards",
                choices=(Choice.ACCEPT,),
            ),
        )
    slow = [p for p in panels if p.slow]
    return tuple(
        Finding(
            "PANEL-SLOW",
            Severity.WARNING,
            f"panel {p.panel!r} of {p.dashboard!r} took {p.milliseconds / 1000:.1f} s",
            "see the suggested indexes",
            choices=(Choice.ACCEPT,),
        )
        for p in slow
    )
