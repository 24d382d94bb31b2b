"""From what was proved of the data to what the version will hold: the plan that is shown and then built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.grafana.dashboards import Dashboard, read_dashboards, with_distinct_titles
from sdetl_engine.grafana.suggest import IndexSuggestion, suggest_indexes
from sdetl_engine.postgres.ddl.design import plan_version
from sdetl_engine.postgres.plan import VersionPlan
from sdetl_engine.records import CleanedResult, PreflightResult, ProfileResult, ScoreResult
from sdetl_engine.results import ResultStore
from sdetl_engine.settings import Settings
from sdetl_engine.steps.grafana_watch import dashboards_from
from sdetl_engine.steps.loading import with_rows
from sdetl_engine.values.types import DATE_KINDS, TargetType
from sdetl_engine.wording import counted


def target_plan(run: Deployment) -> tuple[VersionPlan, tuple[Finding, ...]]:
    """The plan of the full load, and what it suggests to the operator."""
    profile = run.results.load(Stage.PROFILE, ProfileResult)
    cleaned = run.results.load(Stage.CLEAN, CleanedResult)
    suggestions = _suggestions(run, cleaned, profile)
    load = run.settings.load
    build_them = load.suggested_indexes == "build" or (load.suggested_indexes == "ask" and run.agreed)
    plan = plan_of(run.results, run.settings, tuple(s.spelling for s in suggestions) if build_them else ())
    findings = [] if build_them or load.suggested_indexes == "ignore" else [_suggest_index(s) for s in suggestions]
    findings += _suggest_partitions(run, profile, cleaned)
    return plan, tuple(findings)


def plan_of(results: ResultStore, settings: Settings, suggested_indexes: Sequence[str] = ()) -> VersionPlan:
    """What a run whose stages up to the score are done loads.  Raises EnvironmentFailed when a result is missing."""
    profile = results.load(Stage.PROFILE, ProfileResult)
    plan = plan_version(
        results.load(Stage.PREFLIGHT, PreflightResult).source_schema,
        profile.verdicts,
        results.load(Stage.SCORE, ScoreResult).clean_tables,
        profile.relation_facts,
        load=settings.load,
        exclude_tables=settings.source.exclude_tables,
        suggested_indexes=suggested_indexes,
    )
    return with_rows(plan, results.load(Stage.CLEAN, CleanedResult).rows)


def dashboards_of(run: Deployment) -> tuple[Dashboard, ...]:
    """The dashboards of ``--dashboards`` and of ``--grafana``; where both have one, the server's is what people look at."""
    directory = run.settings.dashboards.directory
    files = read_dashboards(Path(directory)) if directory is not None else ()
    served = dashboards_from(run)
    uids = {d.uid for d in served}
    return with_distinct_titles((*(d for d in files if not d.uid or d.uid not in uids), *served))


def _suggestions(run: Deployment, cleaned: CleanedResult, profile: ProfileResult) -> tuple[IndexSuggestion, ...]:
    """What the dashboards' queries would use and neither key, nor index, nor the plan gives them."""
    schema = run.results.load(Stage.PREFLIGHT, PreflightResult).source_schema
    existing = [f"{t.name}({t.primary_key[0]})" for t in schema.tables if t.primary_key]
    existing += [f"{t.name}({i.terms[0].column})" for t in schema.tables for i in t.indexes if i.terms and not i.where]
    return suggest_indexes(
        dashboards_of(run),
        run.settings.serving_schema,
        rows=cleaned.rows,
        existing=(*existing, *run.settings.load.indexes),
        distinct={(c.table, c.column): c.distinct for t in profile.tables for c in t.columns},
    )


def _suggest_index(suggestion: IndexSuggestion) -> Finding:
    return Finding(
        "INDEX-SUGGESTED",
        Severity.INFO,
        suggestion.reason,
        f"add {suggestion.spelling!r} to load.indexes, or set load.suggested_indexes=build",
        table=suggestion.table,
        choices=(Choice.ADD_INDEX, Choice.ACCEPT),
        suggestion=suggestion.spelling,
    )


def _suggest_partitions(run: Deployment, profile: ProfileResult, cleaned: CleanedResult) -> list[Finding]:
    """A table that is large and has a well-filled date column would gain from partitions."""
    load = run.settings.load
    found = []
    for table, rows in cleaned.rows.items():
        if rows < load.partition_suggest_rows or table in load.partition:
            continue
        dated = [v for v in profile.verdicts if v.table == table and TargetType.parse(v.chosen).kind in DATE_KINDS]
        filled = [v for v in dated if profile.table(table).column(v.column).missing < rows / 100]
        if filled:
            argument = f"{filled[0].column} by month"
            found.append(
                Finding(
                    "PARTITION-SUGGESTED",
                    Severity.INFO,
                    f"{table} has {counted(rows, 'row')}; split by months of {filled[0].column}, recent panels would read less",
                    f"set load.partition.{table} to {argument!r}",
                    table=table,
                    column=filled[0].column,
                    count=rows,
                    choices=(Choice.PARTITION, Choice.ACCEPT),
                    suggestion=argument,
                )
            )
    return found
