"""From the twin run of the dashboards' queries to records and findings: what is worth an operator's attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.grafana.twins import TwinVerdict
from sdetl_engine.postgres.twinrun import Twin
from sdetl_engine.records import PanelRecord, PanelTwin
from sdetl_engine.settings import DashboardSettings
from sdetl_engine.wording import counted


def panel_record(twin: Twin, settings: DashboardSettings) -> PanelRecord:
    """One query as the run keeps it."""
    outcome = twin.candidate
    return PanelRecord(
        dashboard=outcome.dashboard,
        panel=outcome.panel,
        ref=outcome.ref,
        ok=outcome.ok,
        milliseconds=round(outcome.milliseconds, 2),
        rows=outcome.rows,
        error=outcome.error,
        skipped=outcome.skipped,
        slow=outcome.milliseconds > settings.slow_seconds * 1000,
        twin=_twin(twin, settings),
    )


def _twin(twin: Twin, settings: DashboardSettings) -> PanelTwin | None:
    if twin.live is None or twin.found is None:
        return None
    noticeable = twin.candidate.milliseconds >= settings.slower_seconds * 1000
    slower = noticeable and twin.times_slower >= settings.slower_times
    return PanelTwin(
        verdict=twin.found.verdict,
        milliseconds=round(twin.live.milliseconds, 2),
        rows=twin.live.rows,
        how=twin.found.how,
        explained=_is_explained(twin, settings.change),
        times_slower=round(twin.times_slower, 1) if slower else None,
    )


def _is_explained(twin: Twin, margin: float) -> bool:
    """Whether the data can have made the difference: they differ, and not much less than the answer does."""
    if twin.found is None or twin.data is None or twin.found.only_order:
        return True
    if twin.found.verdict is TwinVerdict.CHANGED and twin.data.equal and twin.chooses and twin.found.size == 0:
        return True
    return not twin.data.equal and twin.found.size <= twin.data.share + margin


def panel_findings(
    panels: Sequence[PanelRecord], settings: DashboardSettings, compared_with: str | None
) -> tuple[Finding, ...]:
    """What the panels that work are noticed for; those that fail stop the stage by themselves."""
    return tuple(f for p in panels if p.ok for f in _of_panel(p, settings, compared_with or ""))


def _of_panel(panel: PanelRecord, settings: DashboardSettings, compared_with: str) -> Iterator[Finding]:
    named = f"panel {panel.panel!r} of {panel.dashboard!r}"
    twin = panel.twin
    if twin is not None and twin.verdict is TwinVerdict.EMPTY:
        yield _finding(
            "PANEL-EMPTY",
            Severity.REVIEW,
            f"{named} has nothing to show; on {compared_with} it has {counted(twin.rows, 'row')}",
            "look why the candidate has nothing for it, before anybody sees it; or agree",
        )
    elif twin is not None and twin.verdict is TwinVerdict.CHANGED and not twin.explained:
        yield _finding(
            "PANEL-CHANGED",
            Severity.REVIEW,
            f"{named} changes more than its data: {'; '.join(twin.how)}",
            f"compare the panel on {compared_with} and on the candidate; or agree",
        )
    if twin is not None and twin.times_slower is not None and twin.times_slower >= settings.much_slower_times:
        yield _finding(
            "PANEL-SLOWER",
            Severity.REVIEW,
            f"{named} takes {panel.milliseconds / 1000:.2f} s, {twin.times_slower:.0f} times as long as on "
            f"{compared_with} ({twin.milliseconds / 1000:.3f} s)",
            "see the suggested indexes and those that the live version has; or agree",
        )
    if panel.slow:
        yield _finding(
            "PANEL-SLOW",
            Severity.WARNING,
            f"{named} took {panel.milliseconds / 1000:.1f} s",
            "see the suggested indexes",
        )


def _finding(rule: str, severity: Severity, message: str, advice: str) -> Finding:
    return Finding(rule, severity, message, advice, choices=(Choice.ACCEPT,))
