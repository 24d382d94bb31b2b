"""The document of a run: ``report.json`` keeps all of it, ``sdetl run --json`` prints what other programs rely on.

A key that does not apply is absent, not invented.  No cell values, no credentials.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from sdetl_engine.checklist import FINISHED, Stage, Status
from sdetl_engine.deployment import Deployment
from sdetl_engine.grafana.twins import TwinVerdict
from sdetl_engine.outcome import Outcome, StageRecord
from sdetl_engine.records import (
    BackupResult,
    CleanedResult,
    CutoverResult,
    GrafanaSeen,
    LoadedResult,
    PanelRecord,
    PreflightResult,
    ProfileResult,
    ScoreResult,
    ValidateResult,
    Verdict,
)
from sdetl_engine.runner import finding_as_json


def run_document(run: Deployment, records: Sequence[StageRecord], outcome: Outcome | None) -> dict[str, Any]:
    """Everything about the run that is known at this moment.  ``outcome`` is None while it is under way."""
    done = with_results(run, records)
    document: dict[str, Any] = {"run_id": run.run_id}
    if outcome is not None:
        document |= {"outcome": str(outcome.kind), "exit_code": int(outcome.exit_code)}
    document["source"] = _source(run, done)
    if run.session is not None:
        document["target"] = _target(run, records, done)
    document["stages"] = [
        {"name": str(r.stage), "status": str(r.status), "seconds": round(r.seconds, 3), "summary": dict(r.summary)}
        for r in records
    ]
    document["findings"] = [finding_as_json(f) for r in records for f in r.findings]
    for key, value in _parts(run, done):
        document[key] = value
    if outcome is not None and _is_candidate_ready(run, records):
        document["cutover_command"] = _cutover_command(run)
    if outcome is not None and outcome.error is not None:
        document["error"] = outcome.error.as_json()
    if run.folder.report_html.exists():
        document["report"] = str(run.folder.report_html)
    return document


def printed_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a run's document that are agreed on with other programs, and no other; the rest is in ``report.json``."""
    printed = {key: value for key, value in document.items() if key in _PRINTED}
    for key, agreed in _PRINTED_WITHIN.items():
        value = printed.get(key)
        if isinstance(value, list):
            printed[key] = [{k: v for k, v in one.items() if k in agreed} for one in value]
        elif value is not None:
            printed[key] = {k: v for k, v in value.items() if k in agreed}
    return printed


_PRINTED = (
    *("run_id", "outcome", "exit_code", "source", "target", "stages", "findings", "score", "ledger", "types", "proof"),
    *("dashboards", "cutover", "error", "report"),
)
_PRINTED_WITHIN: Mapping[str, tuple[str, ...]] = {
    "source": ("path", "md5", "bytes", "tables"),
    "findings": (*("rule", "severity", "table", "column", "count", "fraction", "message", "advice", "decision"),),
    "dashboards": ("title", "panels", "passed", "failed", "slowest_ms"),
    "cutover": ("seconds", "lock_seconds", "rollback_command"),
}
"""Of these, ``report.json`` has more."""


def with_results(run: Deployment, records: Sequence[StageRecord]) -> set[Stage]:
    """The stages that have come to a result, also to a bad one, and are not about to run again."""
    waiting = (Status.PENDING, Status.RUNNING)
    return {r.stage for r in records if r.status not in waiting and run.results.has(r.stage)}


def _source(run: Deployment, done: set[Stage]) -> dict[str, Any]:
    source: dict[str, Any] = {"path": str(run.source)}
    if Stage.BACKUP in done:
        backup = run.results.load(Stage.BACKUP, BackupResult)
        source |= {
            "md5": backup.md5,
            "sha256": backup.sha256,
            "bytes": backup.bytes,
            "tables": {t.table: t.rows for t in backup.tables},
        }
    return source


def _target(run: Deployment, records: Sequence[StageRecord], done: set[Stage]) -> dict[str, Any]:
    target: dict[str, Any] = {"serving_schema": run.settings.serving_schema}
    if Stage.PREFLIGHT in done:
        preflight = run.results.load(Stage.PREFLIGHT, PreflightResult)
        target |= _present(server_version=preflight.server_version, previous_version=preflight.live_version)
    if any(r.stage is Stage.MIGRATE and r.status in FINISHED for r in records):
        target["version_schema"] = run.version
    if Stage.CUTOVER in done:
        target |= _present(previous_version=run.results.load(Stage.CUTOVER, CutoverResult).previous_version)
    return target


def _parts(run: Deployment, done: set[Stage]) -> list[tuple[str, Any]]:
    parts: list[tuple[str, Any]] = []
    if Stage.SCORE in done:
        parts.append(("score", _score(run.results.load(Stage.SCORE, ScoreResult))))
    if Stage.CLEAN in done:
        cleaned = run.results.load(Stage.CLEAN, CleanedResult)
        parts.append(("ledger", {"cells_changed": cleaned.cells_changed, "by_rule": dict(cleaned.by_rule)}))
    if Stage.PROFILE in done:
        parts.append(("types", _types(run.results.load(Stage.PROFILE, ProfileResult))))
    if Stage.MIGRATE in done:
        loaded = run.results.load(Stage.MIGRATE, LoadedResult)
        parts.append(("proof", _proof(loaded)))
        parts.append(("not_migrated", [_not_migrated(n) for n in loaded.not_migrated]))
    if Stage.VALIDATE in done:
        parts.append(("dashboards", dashboards(run.results.load(Stage.VALIDATE, ValidateResult))))
    grafana = _grafana(run, done)
    if grafana:
        parts.append(("grafana", grafana))
    if Stage.CUTOVER in done:
        parts.append(("cutover", _cutover(run.results.load(Stage.CUTOVER, CutoverResult))))
    return parts


def _is_candidate_ready(run: Deployment, records: Sequence[StageRecord]) -> bool:
    """True when nothing but somebody's word keeps a validated version from going live."""
    status = {r.stage: r.status for r in records}
    untried = status.get(Stage.CUTOVER) in (None, Status.PENDING, Status.REVIEW)
    return status.get(Stage.VALIDATE) is Status.PASSED and untried and run.settings.cutover.strategy != "manual"


def _cutover_command(run: Deployment) -> str:
    """The exact command that makes the candidate live."""
    return shlex.join(["sdetl", "run", "--resume", run.run_id, "--workspace", str(run.workspace.root), "--yes"])


def _score(score: ScoreResult) -> dict[str, Any]:
    dimensions = {
        name: _present(weight=d.weight, before=_rounded(d.before), after=_rounded(d.after))
        for name, d in score.dimensions.items()
    }
    return {"before": _rounded(score.before), "after": _rounded(score.after), "dimensions": dimensions}


def _types(profile: ProfileResult) -> dict[str, dict[str, Any]]:
    types: dict[str, dict[str, Any]] = {}
    for verdict in profile.verdicts:
        types.setdefault(verdict.table, {})[verdict.column] = _present(
            declared=verdict.declared,
            observed=str(verdict.observed) if verdict.observed else None,
            confidence=round(verdict.confidence, 4),
            chosen=None if verdict.left_out else verdict.chosen,
        )
    return types


def _proof(loaded: LoadedResult) -> dict[str, Any]:
    return {
        p.table: {
            "rows_sent": p.rows_sent,
            "rows_held": p.rows_held,
            "sha256_sent": p.sha256_sent,
            "sha256_held": p.sha256_held,
            "equal": p.equal,
        }
        for p in loaded.proof
    }


def _not_migrated(item: Any) -> dict[str, Any]:
    return _present(kind=item.kind, name=item.name, table=item.table, reason=item.reason)


def dashboards(validated: ValidateResult) -> list[dict[str, Any]]:
    """Dashboards with their panels counted, failures named, and how they compare with the version that was live."""
    return [_dashboard(title, [p for p in validated.panels if p.dashboard == title]) for title in validated.dashboards]


def _dashboard(title: str, panels: Sequence[PanelRecord]) -> dict[str, Any]:
    tried = [p for p in panels if p.skipped is None]
    return {
        "title": title,
        "panels": len(tried),
        "passed": sum(p.ok for p in tried),
        "failed": [{"panel": p.panel, "error": p.error or ""} for p in tried if not p.ok],
        "slowest_ms": round(max((p.milliseconds for p in tried), default=0.0), 1),
        **_present(compared=_compared(tried)),
    }


def _compared(tried: Sequence[PanelRecord]) -> dict[str, Any] | None:
    """The dashboard on the candidate beside the live version; None when there was none."""
    pairs = [(p, p.twin) for p in tried if p.twin is not None]
    if not pairs:
        return None
    counts = {str(v): sum(t.verdict is v for _, t in pairs) for v in TwinVerdict}
    differ = [(p, t) for p, t in pairs if t.verdict is not TwinVerdict.EQUAL or t.times_slower is not None]
    return {
        **counts,
        "slower": sum(t.times_slower is not None for _, t in pairs),
        "differ": [
            _present(
                panel=p.panel,
                verdict=str(t.verdict),
                how="; ".join(t.how),
                explained=t.explained,
                live_rows=t.rows,
                rows=p.rows,
                live_ms=round(t.milliseconds, 1),
                ms=round(p.milliseconds, 1),
                times_slower=t.times_slower,
            )
            for p, t in differ
        ],
    }


def _grafana(run: Deployment, done: set[Stage]) -> dict[str, Any]:
    """What Grafana itself showed before the switch and after it; empty when no server was named."""
    before = run.results.load(Stage.VALIDATE, ValidateResult).grafana if Stage.VALIDATE in done else None
    after = run.results.load(Stage.CUTOVER, CutoverResult).grafana if Stage.CUTOVER in done else None
    latest = after or before
    if latest is None:
        return {}
    source = latest.source
    return _present(
        url=latest.url,
        version=latest.version,
        datasource=_present(**dataclasses.asdict(source)) if source is not None else None,
        problems=list(latest.problems),
        before=_grafana_panels(before) if before is not None else None,
        after=_grafana_panels(after) if after is not None else None,
    )


def _grafana_panels(seen: GrafanaSeen) -> dict[str, Any]:
    counts = {
        str(v): sum(p.verdict is v for p in seen.panels) for v in (Verdict.PASSED, Verdict.FAILED, Verdict.UNKNOWN)
    }
    return {
        **counts,
        "panels": [
            _present(
                dashboard=p.dashboard,
                panel=p.panel,
                verdict=str(p.verdict),
                rows=p.rows,
                ms=round(p.milliseconds, 1),
                error=p.error,
                compared=str(p.twin.verdict) if p.twin is not None else None,
                how="; ".join(p.twin.how) if p.twin is not None and p.twin.how else None,
            )
            for p in seen.panels
        ],
    }


def _cutover(cutover: CutoverResult) -> dict[str, Any]:
    return _present(
        seconds=round(cutover.seconds, 4),
        lock_seconds=round(cutover.lock_seconds, 4),
        rollback_command=cutover.rollback_command,
        led_roles=list(cutover.led_roles) or None,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _present(**fields: object) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
