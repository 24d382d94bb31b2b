"""Grafana before and after the switch: what it shows, whether it reads the target, and what has become of its panels.

Only ever read.  Whatever is wrong with Grafana itself is told and never fails a run: the version that goes live was proved
on the target.  A panel that breaks or becomes empty with the switch is a warning that names it and the way back.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sdetl_engine.deployment import Deployment
from sdetl_engine.events import Reporter
from sdetl_engine.files import write_atomically
from sdetl_engine.grafana.asking import Asking, PanelAsked
from sdetl_engine.grafana.dashboards import Dashboard
from sdetl_engine.grafana.server import DataSource, GrafanaFailed, GrafanaServer
from sdetl_engine.grafana.shape import shape_of
from sdetl_engine.grafana.twins import contrast
from sdetl_engine.records import (
    GrafanaPanel,
    GrafanaSeen,
    GrafanaSource,
    PanelTwin,
    Verdict,
)

TOKEN_VARIABLES = ("SDETL_GRAFANA_TOKEN", "GRAFANA_TOKEN")
_DASHBOARDS: TypeAdapter[tuple[tuple[Dashboard, ...], tuple[str, ...]]] = TypeAdapter(
    tuple[tuple[Dashboard, ...], tuple[str, ...]]
)


def grafana_token_of(environ: Mapping[str, str]) -> str | None:
    """The token that the environment holds, or None."""
    return next((text for name in TOKEN_VARIABLES if (text := environ.get(name, "").strip())), None)


def dashboards_from(run: Deployment) -> tuple[Dashboard, ...]:
    """The dashboards of ``grafana.url``; none while Grafana cannot be asked, which validate tells."""
    try:
        return read_once(run)[0]
    except GrafanaFailed:
        return ()


def read_once(run: Deployment) -> tuple[tuple[Dashboard, ...], tuple[str, ...]]:
    """The dashboards that the settings name, and what could not be read; asked once a run.  Raises GrafanaFailed."""
    if run.settings.grafana.url is None:
        return (), ()
    kept = _kept(run)
    if kept.exists():
        with contextlib.suppress(OSError, ValidationError):
            return _DASHBOARDS.validate_json(kept.read_bytes())
    found = _server(run).dashboards()
    write_atomically(kept, _DASHBOARDS.dump_json(found))
    return found


def _kept(run: Deployment) -> Path:
    return run.folder.path / "grafana.json"


def _server(run: Deployment) -> GrafanaServer:
    token = run.grafana_token or grafana_token_of(os.environ)
    if token is None:
        raise GrafanaFailed(f"there is no token for it: set {TOKEN_VARIABLES[0]}")
    return GrafanaServer(run.settings.grafana, token)


class GrafanaWatch:
    """What Grafana shows of one run's dashboards, at two moments."""

    def __init__(self, run: Deployment, dashboards: Sequence[Dashboard], reporter: Reporter) -> None:
        self._run, self._dashboards, self._reporter = run, dashboards, reporter
        self._now = datetime.now(UTC)
        self._before: dict[tuple[str, str, str], PanelAsked] = {}
        self._began = time.monotonic()

    def look(self, *, ask: bool) -> GrafanaSeen | None:
        """Server, data source and, when there is something to ``ask`` about, every panel; None without a server."""
        url = self._run.settings.grafana.url
        if url is None:
            return None
        problems: list[str] = []
        version: str | None = None
        source: GrafanaSource | None = None
        asked: tuple[PanelAsked, ...] = ()
        try:
            server = _server(self._run)
            version = server.version()
            problems += read_once(self._run)[1]
            source, known = self._source(server, problems)
            if ask and source is not None:
                asking = Asking(server, source.uid, known, self._run.settings.dashboards, self._reporter, self._now)
                asked = asking.ask(self._dashboards, "ask Grafana's panels")
        except GrafanaFailed as failed:
            problems.append(str(failed))
        seen = GrafanaSeen(url, version, source, tuple(self._panel(a) for a in asked), tuple(problems))
        self._before = {(a.dashboard, a.panel, a.ref): a for a in asked}
        return seen

    def _source(self, server: GrafanaServer, problems: list[str]) -> tuple[GrafanaSource | None, tuple[str, ...]]:
        """The data source to ask, with what Grafana says of its health; and the uids of all that there are."""
        try:
            listed = server.data_sources()
        except GrafanaFailed as failed:
            if failed.is_lost:
                raise
            problems.append(f"its data sources cannot be listed: {failed}")
            return self._unlisted(server)
        chosen = self._chosen(listed, problems)
        if chosen is None:
            return None, ()
        verdict, said = _health(server, chosen.uid)
        source = GrafanaSource(
            chosen.uid,
            chosen.name,
            chosen.address,
            chosen.database,
            chosen.user,
            chosen.is_provisioned,
            verdict,
            said,
        )
        return source, tuple(s.uid for s in listed)

    def _unlisted(self, server: GrafanaServer) -> tuple[GrafanaSource | None, tuple[str, ...]]:
        """A token that may only look at dashboards: what the settings or the panels name is asked."""
        named = [q.source for d in self._dashboards for p in d.panels for q in p.queries if q.source]
        uid = self._run.settings.grafana.datasource or next(iter(named), None)
        if uid is None:
            return None, ()
        return GrafanaSource(uid, uid, "", "", "", None, *_health(server, uid)), tuple(named)

    def _chosen(self, listed: Sequence[DataSource], problems: list[str]) -> DataSource | None:
        wanted = self._run.settings.grafana.datasource
        if wanted is None:
            names = {q.source for d in self._dashboards for p in d.panels for q in p.queries if q.source}
            named = [s for s in listed if {s.uid, s.name} & names]
            listed = named or listed
        found = [s for s in listed if wanted in (None, s.uid, s.name)]
        if len(found) == 1:
            return found[0]
        names_found = ", ".join(s.name for s in found) or "none"
        problems.append(
            f"it has no PostgreSQL data source {wanted}"
            if wanted is not None
            else f"which PostgreSQL data source is meant ({names_found}); set grafana.datasource"
        )
        return None

    def _panel(self, asked: PanelAsked) -> GrafanaPanel:
        """One panel, beside what it showed when it was asked before."""
        key = (asked.dashboard, asked.panel, asked.ref)
        answer = asked.answer
        if answer is None:
            return GrafanaPanel(*key, Verdict.UNKNOWN, error=asked.unknown)
        before = self._before.get(key)
        twin = None
        if before is not None and before.answer is not None:
            shape = shape_of(asked.sql, self._run.settings.serving_schema)
            found = contrast(before.answer, answer, shape, seconds_apart=time.monotonic() - self._began)
            twin = PanelTwin(
                found.verdict,
                round(before.answer.milliseconds, 2),
                before.answer.rows,
                found.how,
                explained=found.size <= self._run.settings.dashboards.change,
            )
        verdict = Verdict.PASSED if answer.ok else Verdict.FAILED
        return GrafanaPanel(*key, verdict, round(answer.milliseconds, 2), answer.rows, answer.error, twin)


def _health(server: GrafanaServer, uid: str) -> tuple[Verdict, str]:
    """What Grafana's own test of a data source comes to, and what it says."""
    try:
        wrong = server.health(uid)
    except GrafanaFailed as failed:
        if failed.is_lost:
            raise
        return Verdict.UNKNOWN, str(failed)
    return (Verdict.FAILED, wrong) if wrong is not None else (Verdict.PASSED, "")
