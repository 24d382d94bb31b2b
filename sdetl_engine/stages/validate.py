"""Validate: both sides compared, types read back, sample queries run, and every dashboard panel tried on the candidate
under the name that dashboards use and beside the live version, in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.checklist import Stage
from sdetl_engine.checks import Check, Verdict
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.grafana.dashboards import Dashboard
from sdetl_engine.postgres import build
from sdetl_engine.postgres.plan import VersionPlan
from sdetl_engine.postgres.serving import fingerprints
from sdetl_engine.postgres.twinrun import run_twins
from sdetl_engine.records import CleanedResult, LoadedResult, PanelRecord, PreflightResult, TableDiff, ValidateResult
from sdetl_engine.sqlite.differences import new_differences
from sdetl_engine.steps.comparing import compare_sides
from sdetl_engine.steps.diffing import Sampling, basis_of, diff_version
from sdetl_engine.steps.grafana_findings import before_findings
from sdetl_engine.steps.grafana_watch import GrafanaWatch
from sdetl_engine.steps.paneling import panel_findings, panel_record
from sdetl_engine.steps.planning import dashboards_of, target_plan
from sdetl_engine.switching.led_readers import roles_to_lead
from sdetl_engine.wording import counted

_NOT_TRIED = (
    Finding(
        "DASHBOARDS-NOT-TRIED",
        Severity.WARNING,
        "no dashboards were named, so none was tried",
        "name their folder with --dashboards, or their server with --grafana",
        choices=(Choice.ACCEPT,),
    ),
)


def validate(run: Deployment, reporter: Reporter) -> ValidateResult:
    """Read the candidate back in every way that readers will.  Raises ValidationFailed naming what differs."""
    loaded = run.results.load(Stage.MIGRATE, LoadedResult)
    cleaned = run.results.load(Stage.CLEAN, CleanedResult)
    run.hold_target_lock()
    plan, _ = target_plan(run)
    with run.connect() as connection, reporter.interrupting(connection.cancel_safe):
        database = connection.info.dbname
        marks = fingerprints(connection, loaded.version)
        columns = compare_sides(connection, Path(cleaned.path), loaded.version, plan, run.settings, reporter)
        actual = build.read_columns(connection, loaded.version)
        types = build.compare_types(plan, actual)
        queries = _sample_queries(connection, loaded.version, plan, loaded)
        connection.rollback()
        diff = _diff(run, connection, loaded.version, reporter)
    dashboards = dashboards_of(run)
    sound = not any(c.differs for c in columns) and not types and all(q.verdict is Verdict.PASSED for q in queries)
    panels, compared_with = _rehearse(run, loaded.version, dashboards, reporter) if dashboards and sound else ((), None)
    grafana = GrafanaWatch(run, dashboards, reporter).look(ask=compared_with is not None)
    result = ValidateResult(
        columns=columns,
        type_differences=types,
        types_checked=sum(len(t) for t in actual.values()),
        sample_queries=queries,
        panels=panels,
        dashboards={d.title: d.file for d in dashboards} if sound else {},
        rehearsed_as=run.settings.dashboards.role,
        fingerprints=marks,
        compared_with=compared_with,
        grafana=grafana,
        diff=diff,
        findings=(
            *(panel_findings(panels, run.settings.dashboards, compared_with) if dashboards else _NOT_TRIED),
            *before_findings(grafana, database, run.settings.dashboards.role),
            *_not_sampled(diff, plan),
        ),
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


def _not_sampled(diff: Sequence[TableDiff], plan: VersionPlan) -> Iterator[Finding]:
    """What the ledger equation was not held against, although a sample was asked for."""
    rows = {table.name: table.rows for table in plan.tables}
    for table in diff:
        if table.skipped and not table.total:
            yield Finding(
                "ROWS-NOT-SAMPLED",
                Severity.INFO,
                f"no sample of table {table.table} was compared row by row: {table.skipped}",
                'its aggregates were compared, and its load was proved; validate.diff = "full" compares every row',
                table=table.table,
                count=rows[table.table],
            )


def _sample_queries(
    connection: psycopg.Connection[Any], schema: str, plan: VersionPlan, loaded: LoadedResult
) -> tuple[Check, ...]:
    """Row counts as a reader counts them, and the first row of every table."""
    held = {p.table: p.rows_held for p in loaded.proof}
    checks = []
    for table in plan.tables:
        name = sql.Identifier(schema, table.name)
        answer = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
        first = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(name)).fetchone()
        rows = answer[0] if answer else 0
        good = rows == held[table.name] and (first is not None) == (rows > 0)
        checks.append(
            Check(
                f"SELECT count(*) FROM {table.name}", Verdict.PASSED if good else Verdict.FAILED, counted(rows, "row")
            )
        )
    return tuple(checks)


def _rehearse(
    run: Deployment, version: str, dashboards: Sequence[Dashboard], reporter: Reporter
) -> tuple[tuple[PanelRecord, ...], str | None]:
    """Every panel on the candidate and on what is live; the records, and what the candidate was compared with."""
    settings = run.settings
    with run.connect() as connection, reporter.interrupting(connection.cancel_safe):
        roles = roles_to_lead(connection, settings)
        connection.rollback()
        found = run_twins(
            connection, version, settings.serving_schema, dashboards, settings.dashboards, reporter, roles
        )
    return tuple(panel_record(twin, settings.dashboards) for twin in found.twins), found.compared_with


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
        f"table {t.table} is not source + ledger - quarantine: {counted(t.total, 'difference')}"
        for t in result.diff
        if t.total
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
