"""Clean: a new file with ISO dates and NULL for missing; every changed cell in the ledger; twice changes nothing."""

from __future__ import annotations

from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.files import sha256_of
from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.observe.health import HealthCheck
from sdetl_engine.records import CleanedResult, PreflightResult, ProfileResult
from sdetl_engine.sqlite import cleaned
from sdetl_engine.steps.cleaning import cleaning_rules
from sdetl_engine.wording import counted, inflected


def clean(run: Deployment, reporter: Reporter) -> CleanedResult:
    """Write ``clean.db`` and ``ledger.db`` in the run's folder, validated before they take their names."""
    preflight = run.results.load(Stage.PREFLIGHT, PreflightResult)
    profile = run.results.load(Stage.PROFILE, ProfileResult)
    rules = cleaning_rules(profile, run.settings)
    cleaned.sweep_partials(run.folder.path)
    for leftover in (run.folder.clean, run.folder.ledger):
        leftover.unlink(missing_ok=True)
    health = HealthCheck(run.folder.path, run.settings.health)
    done = cleaned.clean(
        Path(preflight.frozen.path),
        run.folder.clean,
        run.folder.ledger,
        preflight.source_schema,
        rules,
        reporter=reporter,
        health=health,
    )
    again = done.second_pass_changes
    if again:
        raise ValidationFailed(
            f"cleaning is not idempotent: a second pass over {run.folder.clean} would change {counted(again, 'cell')}",
            left_behind="the cleaned file and its ledger, for a look; nothing in the target",
            next_step="report it with the run's log",
        )
    run.metrics.count("etl_dates_standardized", done.by_rule.get("date_to_iso", 0))
    run.metrics.count("etl_empty_strings_converted", done.by_rule.get("empty_to_null", 0))
    return CleanedResult(
        path=str(run.folder.clean),
        ledger=str(run.folder.ledger),
        sha256=sha256_of(run.folder.clean),
        rows=done.rows,
        cells_changed=done.cells_changed,
        by_rule=done.by_rule,
        by_column=_by_column(done),
        second_pass_changes=again,
        findings=tuple(_kept(k, _agreed_to(k, profile)) for k in done.kept),
    )


def _by_column(done: cleaned.CleanResult) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for count in done.counts:
        found.setdefault(f"{count.table}.{count.column}", {})[str(count.rule)] = count.cells
    return found


def _agreed_to(kept: cleaned.Kept, profile: ProfileResult) -> bool:
    """True when the profile has asked about these very cells already, and the run went on."""
    return any(
        (f.rule, f.table, f.column) == ("EMPTY-NOT-NULL", kept.table, kept.column) and f.count >= kept.count
        for f in profile.findings
    )


def _kept(kept: cleaned.Kept, agreed: bool) -> Finding:
    return Finding(
        "EMPTY-KEPT",
        Severity.INFO if agreed else Severity.REVIEW,
        f"{counted(kept.count, 'value')} in {kept.table}.{kept.column} {inflected(kept.count, 'was kept as it is', 'were kept as they are')}: {kept.why}",
        "load the column as text, or agree: what its type cannot hold stands in the quarantine",
        table=kept.table,
        column=kept.column,
        count=kept.count,
        choices=(Choice.ACCEPT, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT),
    )
