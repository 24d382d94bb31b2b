"""Trying the dashboards' queries: read-only, with a timeout, timed, leaving the transaction they run in as it was."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from sdetl_engine.events import Reporter
from sdetl_engine.grafana.dashboards import Dashboard, Query, Variable
from sdetl_engine.grafana.macros import Context, UnknownInQuery, Value, expand, range_of
from sdetl_engine.settings import DashboardSettings

_POINTS = 500
"""Grafana asks for about as many points as a panel is wide."""
_ROWS_AT_ONCE = 1000
_MOST_VALUES = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class PanelOutcome:
    """One query, tried.  ``error`` is PostgreSQL's code and primary message, without details."""

    dashboard: str
    panel: str
    ref: str
    ok: bool
    milliseconds: float = 0.0
    rows: int = 0
    error: str | None = None
    skipped: str | None = None


def run_dashboards(
    connection: psycopg.Connection[Any],
    dashboards: Sequence[Dashboard],
    settings: DashboardSettings,
    *,
    reporter: Reporter,
    now: datetime | None = None,
) -> tuple[PanelOutcome, ...]:
    """Every query of every panel, inside the connection's transaction.  Raises Cancelled."""
    moment = now or datetime.now(UTC)
    total, done = sum(len(p.queries) for d in dashboards for p in d.panels), 0
    outcomes = []
    for dashboard in dashboards:
        context = _context(connection, dashboard, settings, moment)
        for panel in dashboard.panels:
            for query in panel.queries:
                reporter.progress("try the dashboards", done, total, "queries")
                reporter.check()
                outcomes.append(_try(connection, dashboard, panel.title, query, context, settings.timeout_seconds))
                reporter.check()
                done += 1
    reporter.progress("try the dashboards", total, total, "queries")
    return tuple(outcomes)


def _try(
    connection: psycopg.Connection[Any],
    dashboard: Dashboard,
    panel: str,
    query: Query,
    context: Context,
    timeout_seconds: float,
) -> PanelOutcome:
    if query.skipped is not None:
        return PanelOutcome(dashboard.title, panel, query.ref, ok=False, skipped=query.skipped)
    began = time.monotonic()
    try:
        rows = len(run_query(connection, expand(query.sql, context), timeout_seconds=timeout_seconds))
    except UnknownInQuery as unknown:
        return PanelOutcome(dashboard.title, panel, query.ref, ok=False, error=str(unknown))
    except psycopg.Error as error:
        if connection.closed:
            raise
        took = (time.monotonic() - began) * 1000
        return PanelOutcome(dashboard.title, panel, query.ref, ok=False, milliseconds=took, error=_said(error))
    return PanelOutcome(dashboard.title, panel, query.ref, True, (time.monotonic() - began) * 1000, rows)


def run_query(connection: psycopg.Connection[Any], text: str, *, timeout_seconds: float) -> list[Any]:
    """First column of the result, of at most a million rows.  Read-only, in a savepoint that is rolled back."""
    statement = text.strip().rstrip(";").rstrip()
    first: list[Any] = []
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT sdetl_panel")
        try:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{round(timeout_seconds * 1000)}ms"])
            cursor.execute("SET LOCAL transaction_read_only = on")
            # The extended protocol takes one statement only: nothing can follow a semicolon.
            cursor.execute(statement.encode(), prepare=True)
            while len(first) < 1_000_000 and (rows := cursor.fetchmany(_ROWS_AT_ONCE)):
                first += [row[0] if row else None for row in rows]
        finally:
            if not connection.closed:
                cursor.execute("ROLLBACK TO SAVEPOINT sdetl_panel")
                cursor.execute("RELEASE SAVEPOINT sdetl_panel")
    return first


def _said(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "57014: it took longer than the limit (dashboards.timeout_seconds)"
    return f"{error.sqlstate or '?'}: {error.diag.message_primary or type(error).__name__}"


def _context(
    connection: psycopg.Connection[Any], dashboard: Dashboard, settings: DashboardSettings, now: datetime
) -> Context:
    start, end = range_of(dashboard.time_from, dashboard.time_to, default_days=settings.range_days, now=now)
    interval = max(1, round((end - start).total_seconds() / _POINTS))
    known: dict[str, Value] = {name: Value((text,)) for name, text in settings.variables.items()}
    for variable in dashboard.variables:
        if variable.name not in known:
            value = _value(connection, variable, Context(start, end, interval, known), settings.timeout_seconds)
            if value is not None:
                known[variable.name] = value
    return Context(start, end, interval, known)


def _value(
    connection: psycopg.Connection[Any], variable: Variable, context: Context, timeout_seconds: float
) -> Value | None:
    """What the variable stands for: its current choice, all of its values, or the first that its query gives."""
    quoted = variable.multi or variable.include_all
    if variable.is_all and variable.all_value is not None:
        return Value((variable.all_value,), literal=variable.all_value)
    if variable.current and not variable.is_all:
        return Value(variable.current, quoted)
    values = _options(connection, variable, context, timeout_seconds)
    if not values:
        return Value(("",), quoted) if variable.kind in ("textbox", "datasource", "constant") else None
    return Value(values if variable.is_all else values[:1], quoted)


def _options(
    connection: psycopg.Connection[Any], variable: Variable, context: Context, timeout_seconds: float
) -> tuple[str, ...]:
    if variable.kind != "query" or not variable.query.strip():
        return variable.options
    try:
        found = run_query(connection, expand(variable.query, context), timeout_seconds=timeout_seconds)
    except (psycopg.Error, UnknownInQuery):
        if connection.closed:
            raise
        return variable.options
    return tuple(dict.fromkeys(str(v) for v in found if v is not None))[:_MOST_VALUES]
