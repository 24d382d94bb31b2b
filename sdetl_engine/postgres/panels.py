"""Trying the dashboards' queries: read-only, with a timeout, timed, leaving the transaction they run in as it was."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.string import TextLoader

from sdetl_engine.events import Reporter
from sdetl_engine.grafana.answers import Answer, ColumnKind, Row, kept
from sdetl_engine.grafana.dashboards import Dashboard, Panel, Query
from sdetl_engine.grafana.macros import expand, without_comments
from sdetl_engine.grafana.templating import Context
from sdetl_engine.grafana.timerange import interval_seconds, range_of
from sdetl_engine.grafana.unknown import UnknownInQuery
from sdetl_engine.grafana.variables import narrowed, resolve_variables
from sdetl_engine.settings import DashboardSettings

MOST_ROWS = 1_000_000
"""Grafana reads no more rows of one query."""
_POINTS = 500
"""Grafana asks for about as many points as a panel is wide."""
_ROWS_AT_ONCE = 1000
_MOST_VALUES = 1000
_KIND_OF = {
    **dict.fromkeys((20, 21, 23, 26, 700, 701, 790, 1700), ColumnKind.NUMBER),
    **dict.fromkeys((1082, 1083, 1114, 1184, 1266), ColumnKind.TIME),
    16: ColumnKind.BOOLEAN,
}
"""PostgreSQL's types by their fixed numbers, as Grafana's data source takes them; all others are texts to it."""
_READS = re.compile(r"[\s(]*(?:SELECT|WITH|VALUES|TABLE|SHOW|EXPLAIN)\b", re.IGNORECASE)


_BETWEEN_WORDS = re.compile("(?<!^)(?=[A-Z])")


class NotAQuery(Exception):
    """A panel's text is something else than one statement that reads."""


@dataclasses.dataclass(frozen=True, slots=True)
class PanelOutcome:
    """One query of a dashboard, tried.  ``error`` names the variable or macro, or is PostgreSQL's code and message.

    ``sql`` is the query as PostgreSQL got it, empty when it could not be expanded; ``answer`` what came of it.
    """

    dashboard: str
    panel: str
    ref: str
    ok: bool
    milliseconds: float = 0.0
    rows: int = 0
    error: str | None = None
    skipped: str | None = None
    sql: str = ""
    answer: Answer = dataclasses.field(default_factory=lambda: Answer(False))


def run_dashboards(
    connection: psycopg.Connection[Any],
    dashboards: Sequence[Dashboard],
    settings: DashboardSettings,
    *,
    reporter: Reporter,
    now: datetime | None = None,
    keep_rows: int = 0,
    what: str = "try the dashboards",
) -> tuple[PanelOutcome, ...]:
    """Every query of every panel, inside the connection's transaction.  Raises Cancelled.

    ``keep_rows``: so many rows of each answer are kept, to be compared; ``what`` is said to whoever watches.
    """
    moment = now or datetime.now(UTC)
    total, done = sum(len(p.queries) for d in dashboards for p in d.panels), 0
    outcomes = []
    for dashboard in dashboards:
        reporter.progress(what, done, total, "queries")
        context = _context(connection, dashboard, settings, moment)
        reporter.check()
        for panel in dashboard.panels:
            for query in panel.queries:
                outcomes.append(_try(connection, dashboard, panel, query, context, settings.timeout_seconds, keep_rows))
                reporter.check()
                done += 1
                reporter.progress(what, done, total, "queries")
    return tuple(outcomes)


def run_panel(connection: psycopg.Connection[Any], sql: str, *, timeout_seconds: float, keep_rows: int = 0) -> Answer:
    """One query as PostgreSQL gets it, timed until its last row; the first ``keep_rows`` rows are kept.

    It reads no more rows than ``MOST_ROWS``.  Runs in a savepoint that is rolled back.  Raises psycopg.Error only when the connection is lost.
    """
    began = time.monotonic()
    rows = 0
    columns: tuple[str, ...] = ()
    kinds: tuple[ColumnKind, ...] = ()
    values: list[Row] = []
    try:
        with _result(connection, sql, timeout_seconds) as (cursor, found):
            for row in found:
                if not rows:
                    columns, kinds = _names(cursor), _kinds(cursor)
                rows += 1
                if rows <= keep_rows:
                    values.append(tuple(map(kept, row)))
                if rows == MOST_ROWS:
                    break
    except NotAQuery as refused:
        return Answer(False, error=str(refused))
    except psycopg.Error as error:
        if connection.closed:
            raise
        return Answer(False, milliseconds=(time.monotonic() - began) * 1000, error=_said(error))
    return Answer(True, rows, columns, kinds, tuple(values), (time.monotonic() - began) * 1000)


def read_values(connection: psycopg.Connection[Any], sql: str, *, timeout_seconds: float) -> tuple[str, ...]:
    """The values that a variable's query gives: column ``__value`` when there is one, else the first; no NULLs.

    Raises UnknownInQuery saying what PostgreSQL said.
    """
    values: dict[str, None] = {}
    try:
        with _result(connection, sql, timeout_seconds) as (cursor, found):
            for row in found:
                names = _names(cursor)
                value = row[names.index("__value") if "__value" in names else 0] if row else None
                if value is not None:
                    values[str(value)] = None
                if len(values) == _MOST_VALUES:
                    break
    except NotAQuery as refused:
        raise UnknownInQuery(f"its query {refused}") from None
    except psycopg.Error as error:
        if connection.closed:
            raise
        raise UnknownInQuery(f"its query fails: {_said(error)}") from None
    return tuple(values)


@contextlib.contextmanager
def _result(
    connection: psycopg.Connection[Any], sql: str, timeout_seconds: float
) -> Iterator[tuple[psycopg.Cursor[Any], Iterator[Sequence[Any]]]]:
    """The rows as they come, every value as PostgreSQL writes it, in a read-only savepoint that is rolled back."""
    _refuse_other_statements(sql)
    with connection.cursor() as control, connection.cursor() as cursor:
        # Python cannot hold every date that PostgreSQL can; as text, no value of a result is refused.
        for known in connection.adapters.types:
            cursor.adapters.register_loader(known.oid, TextLoader)
        control.execute("SAVEPOINT sdetl_panel")
        try:
            control.execute(
                "SELECT set_config('statement_timeout', %s, true)", [f"{max(1, round(timeout_seconds * 1000))}ms"]
            )
            control.execute("SET LOCAL transaction_read_only = on")
            chunk = _ROWS_AT_ONCE if psycopg.capabilities.has_stream_chunked() else 1
            rows = cursor.stream(sql.encode(), size=chunk)
            assert isinstance(rows, Generator)
            with contextlib.closing(rows):
                yield cursor, rows
        finally:
            if not connection.closed:
                control.execute("ROLLBACK TO SAVEPOINT sdetl_panel")
                control.execute("RELEASE SAVEPOINT sdetl_panel")


def _refuse_other_statements(sql: str) -> None:
    """Only what reads may pass: a COMMIT in a panel would end the transaction that all of this is rolled back with.

    A second statement after a semicolon is refused by PostgreSQL, which gets the text by the extended protocol.
    """
    if "\0" in sql:
        raise NotAQuery("holds a NUL character")
    if not _READS.match(without_comments(sql)):
        raise NotAQuery("is no statement that reads (SELECT, WITH, VALUES, TABLE, SHOW, EXPLAIN)")


def _names(cursor: psycopg.Cursor[Any]) -> tuple[str, ...]:
    return tuple(column.name for column in cursor.description or ())


def _kinds(cursor: psycopg.Cursor[Any]) -> tuple[ColumnKind, ...]:
    return tuple(_KIND_OF.get(column.type_code, ColumnKind.TEXT) for column in cursor.description or ())


def _said(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "57014: it took longer than the limit (dashboards.timeout_seconds)"
    state = error.sqlstate or "?"
    kind = _BETWEEN_WORDS.sub(" ", type(error).__name__).lower()
    # Messages of class 22 (data exception) quote a value of the row; they are named by PostgreSQL's word for the code.
    return f"{state}: {kind if state.startswith('22') else error.diag.message_primary or kind}"


def _try(
    connection: psycopg.Connection[Any],
    dashboard: Dashboard,
    panel: Panel,
    query: Query,
    context: Context,
    timeout_seconds: float,
    keep_rows: int,
) -> PanelOutcome:
    if query.skipped is not None:
        return PanelOutcome(dashboard.title, panel.title, query.ref, ok=False, skipped=query.skipped)
    try:
        text = expand(query.sql, narrowed(context, panel.repeat))
    except UnknownInQuery as unknown:
        return PanelOutcome(dashboard.title, panel.title, query.ref, ok=False, error=str(unknown))
    answer = run_panel(connection, text, timeout_seconds=timeout_seconds, keep_rows=keep_rows)
    return PanelOutcome(
        dashboard.title,
        panel.title,
        query.ref,
        answer.ok,
        answer.milliseconds,
        answer.rows,
        answer.error,
        sql=text,
        answer=answer,
    )


def _context(
    connection: psycopg.Connection[Any], dashboard: Dashboard, settings: DashboardSettings, now: datetime
) -> Context:
    """The range, interval and variables of a dashboard as it opens; its variables' queries are run."""
    start, end = range_of(dashboard.time_from, dashboard.time_to, default_days=settings.range_days, now=now)
    return resolve_variables(
        dashboard.variables,
        settings.variables,
        Context(start, end, interval_seconds(start, end, _POINTS), dashboard=dashboard.title),
        lambda sql: read_values(connection, sql, timeout_seconds=settings.timeout_seconds),
    )
