"""What an operator should hear about Grafana: before the switch, and after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.grafana.twins import FAILED_BEFORE, TwinVerdict
from sdetl_engine.records import Check, GrafanaPanel, GrafanaSeen, PanelTwin, ValidateResult, Verdict
from sdetl_engine.wording import counted, inflected

_MOST_NAMED = 20
Key = tuple[str, str, str]


def before_findings(seen: GrafanaSeen | None, database: str, role: str | None) -> tuple[Finding, ...]:
    """What is wrong with Grafana itself.  ``database``: the target's; ``role``: what the panels were tried as."""
    if seen is None:
        return ()
    found = [_unknown(problem) for problem in seen.problems]
    failing = [p for p in seen.panels if p.verdict is Verdict.FAILED]
    if failing:
        first = failing[0]
        found.append(
            _finding(
                "GRAFANA-FAILING",
                f"{len(failing)} of {len(seen.panels)} panel queries fail in Grafana already, on the version that is live; "
                f"the first is {first.panel!r} of {first.dashboard!r}: {first.error}",
                "correct them in Grafana, or know that the switch does not mend them",
            )
        )
    source = seen.source
    if source is None:
        return tuple(found)
    if source.health is Verdict.FAILED:
        found.append(
            _source(f"Grafana says of its data source {source.name!r}: {source.said}", "correct it in Grafana")
        )
    elif source.health is Verdict.UNKNOWN:
        found.append(_unknown(f"the health of data source {source.name!r}: {source.said}"))
    if source.database and source.database != database:
        found.append(
            _source(
                f"data source {source.name!r} reads database {source.database!r}, the target is {database!r}",
                "name the data source that reads the target with grafana.datasource, or correct --target",
            )
        )
    if source.user and role is not None and source.user != role:
        found.append(
            _source(
                f"data source {source.name!r} logs in as {source.user!r}, the panels were tried as {role!r}",
                f"set dashboards.role={source.user}",
            )
        )
    return tuple(found)


def after_findings(
    seen: GrafanaSeen | None, rehearsed: ValidateResult | None, rollback_command: str | None
) -> tuple[Finding, ...]:
    """What became worse in Grafana with the switch; each names the way back."""
    if seen is None:
        return ()
    found = [_unknown(problem) for problem in seen.problems]
    unknown = [p for p in seen.panels if p.verdict is Verdict.UNKNOWN]
    if unknown:
        found.append(
            _unknown(
                f"{len(unknown)} of {counted(len(seen.panels), 'panel')} {inflected(len(unknown), 'was', 'were')} not asked: {unknown[0].error}"
            )
        )
    known = {(p.dashboard, p.panel, p.ref): p.twin for p in rehearsed.panels} if rehearsed is not None else {}
    back = f"look at it in Grafana; to go back: {rollback_command}" if rollback_command else "look at it in Grafana"
    worse = list(_worse(seen, known))
    for panel, what in worse[:_MOST_NAMED]:
        named = f"panel {panel.panel!r} of {panel.dashboard!r}"
        found.append(_finding("GRAFANA-PANEL", f"since the switch, {named} {what}", back))
    if len(worse) > _MOST_NAMED:
        found.append(_finding("GRAFANA-PANEL", f"so do {len(worse) - _MOST_NAMED} more panels", back))
    return tuple(found)


def after_check(seen: GrafanaSeen, rehearsed: ValidateResult | None) -> Check:
    """The post-check of all panels.  It never fails: Grafana may be down while the version is sound."""
    name = "panels through Grafana"
    unknown = sum(p.verdict is Verdict.UNKNOWN for p in seen.panels)
    if not seen.panels or unknown:
        why = seen.problems[0] if seen.problems else "there is none to ask about"
        said = f"{unknown} of {len(seen.panels)} were not asked" if unknown else why
        return Check(name, Verdict.UNKNOWN, said)
    known = {(p.dashboard, p.panel, p.ref): p.twin for p in rehearsed.panels} if rehearsed is not None else {}
    worse = len(list(_worse(seen, known)))
    failing = sum(p.verdict is Verdict.FAILED for p in seen.panels)
    said = f"{len(seen.panels) - failing} of {len(seen.panels)} answer"
    return Check(
        name, Verdict.WARNING if worse or failing else Verdict.PASSED, said + (f", {worse} got worse" if worse else "")
    )


def _worse(seen: GrafanaSeen, rehearsed: Mapping[Key, PanelTwin | None]) -> Iterator[tuple[GrafanaPanel, str]]:
    """Panels that fail, show nothing any more, or changed beyond what was known before the switch."""
    for panel in seen.panels:
        twin, before = panel.twin, rehearsed.get((panel.dashboard, panel.panel, panel.ref))
        known = before.verdict if before is not None else None
        if panel.verdict is Verdict.FAILED:
            if twin is None or FAILED_BEFORE not in twin.how:
                yield panel, f"fails through Grafana: {panel.error}"
        elif twin is None or twin.verdict is known:
            continue
        elif twin.verdict is TwinVerdict.EMPTY:
            yield panel, f"has nothing to show through Grafana instead of {counted(twin.rows, 'row')}"
        elif twin.verdict is TwinVerdict.CHANGED and not twin.explained:
            yield panel, f"has changed in Grafana: {'; '.join(twin.how)}"


def _unknown(what: str) -> Finding:
    return _finding("GRAFANA-UNKNOWN", f"Grafana could not be asked: {what}", "look at the dashboards in a browser")


def _source(message: str, advice: str) -> Finding:
    return _finding("GRAFANA-DATASOURCE", message, advice)


def _finding(rule: str, message: str, advice: str) -> Finding:
    return Finding(rule, Severity.WARNING, message, advice, choices=(Choice.ACCEPT,))
