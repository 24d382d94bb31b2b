"""Every panel of some dashboards asked through Grafana, as a browser would that has just opened them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from sdetl_engine.errors import Cancelled
from sdetl_engine.events import Reporter
from sdetl_engine.grafana.answers import Answer
from sdetl_engine.grafana.dashboards import Dashboard, Panel, Query
from sdetl_engine.grafana.macros import expand, without_comments
from sdetl_engine.grafana.server import GrafanaFailed, GrafanaServer
from sdetl_engine.grafana.templating import Context, replace_variables
from sdetl_engine.grafana.timerange import interval_seconds, range_of
from sdetl_engine.grafana.unknown import UnknownInQuery
from sdetl_engine.grafana.variables import narrowed, resolve_variables
from sdetl_engine.settings import DashboardSettings

_POINTS = 500
_MOST_VALUES = 1000
_PATIENCE = 2
"""After so many questions in a row without an answer, Grafana is asked nothing more."""


@dataclasses.dataclass(frozen=True, slots=True)
class PanelAsked:
    """One query of a panel.  ``answer`` is None when Grafana could not be asked, and ``unknown`` says why.

    ``sql`` is the query as PostgreSQL gets it.
    """

    dashboard: str
    panel: str
    ref: str
    answer: Answer | None = None
    unknown: str = ""
    sql: str = ""


class Asking:
    """Asks one Grafana at one moment: the same ranges for every question, however long it takes."""

    def __init__(
        self,
        server: GrafanaServer,
        uid: str,
        known: Sequence[str],
        settings: DashboardSettings,
        reporter: Reporter,
        now: datetime,
    ) -> None:
        """``uid`` of the data source for panels that name none of those that are ``known``."""
        self._server, self._uid, self._known = server, uid, known
        self._settings, self._reporter, self._now = settings, reporter, now
        self._lost = 0
        self._over = ""

    def ask(self, dashboards: Sequence[Dashboard], what: str) -> tuple[PanelAsked, ...]:
        """Every query that can be asked.  A wish to stop ends the questions; what is left is unknown, and says so."""
        total = sum(d.queries for d in dashboards)
        asked: list[PanelAsked] = []
        for dashboard in dashboards:
            context = self._context(dashboard)
            for panel in dashboard.panels:
                for query in panel.queries:
                    if query.skipped is None:
                        self._reporter.progress(what, len(asked), total, "queries")
                        asked.append(self._panel(dashboard, panel, query, context))
        return tuple(asked)

    def _panel(self, dashboard: Dashboard, panel: Panel, query: Query, context: Context) -> PanelAsked:
        asked = PanelAsked(dashboard.title, panel.title, query.ref)
        narrow = narrowed(context, panel.repeat)
        try:
            # Macros are Grafana's to expand; template variables are the browser's, whose place is taken here.
            text = replace_variables(without_comments(query.sql), narrow)
            asked = dataclasses.replace(asked, sql=expand(query.sql, narrow))
        except UnknownInQuery as unknown:
            return dataclasses.replace(asked, answer=Answer(False, error=str(unknown)))
        try:
            uid = query.source if query.source in self._known else self._uid
            answer = self._question(text, uid, query.form, context, self._settings.compare_rows)
        except GrafanaFailed as failed:
            return dataclasses.replace(asked, unknown=str(failed))
        return dataclasses.replace(asked, answer=answer)

    def _context(self, dashboard: Dashboard) -> Context:
        start, end = range_of(
            dashboard.time_from, dashboard.time_to, default_days=self._settings.range_days, now=self._now
        )
        context = Context(start, end, interval_seconds(start, end, _POINTS), dashboard=dashboard.title)
        return resolve_variables(
            dashboard.variables, self._settings.variables, context, lambda sql: self._values(sql, context)
        )

    def _values(self, sql: str, context: Context) -> tuple[str, ...]:
        """The values that a variable's query gives: column ``__value`` when there is one, else the first; no NULLs."""
        try:
            answer = self._question(sql, self._uid, "table", context, _MOST_VALUES)
        except GrafanaFailed as failed:
            raise UnknownInQuery(f"its query was not asked: {failed}") from None
        if not answer.ok:
            raise UnknownInQuery(f"its query fails: {answer.error}")
        place = answer.columns.index("__value") if "__value" in answer.columns else 0
        return tuple(dict.fromkeys(v for row in answer.values if row and (v := row[place]) is not None))

    def _question(self, sql: str, uid: str, form: str, context: Context, keep_rows: int) -> Answer:
        try:
            self._reporter.check()
        except Cancelled as stop:
            self._over = stop.message
        if self._over:
            raise GrafanaFailed(self._over)
        try:
            answer = self._server.query(sql, uid, form, context.start, context.end, keep_rows)
        except GrafanaFailed as failed:
            self._lost = self._lost + 1 if failed.is_lost else 0
            if self._lost >= _PATIENCE:
                self._over = str(failed)
            raise
        self._lost = 0
        return answer
