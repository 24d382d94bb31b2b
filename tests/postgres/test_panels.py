from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from sdetl_engine.errors import Cancelled
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.grafana.dashboards import Dashboard, Panel, Query, Variable
from sdetl_engine.grafana.unknown import UnknownInQuery
from sdetl_engine.postgres.panels import PanelOutcome, read_values, run_dashboards, run_panel
from sdetl_engine.settings import DashboardSettings

NOW = datetime(2025, 10, 19, tzinfo=UTC)
TEAM = Variable(
    "team", "query", ("$__all",), query="SELECT team FROM desk.tickets ORDER BY 1", multi=True, include_all=True
)


@pytest.fixture
def desk(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """A connection inside a transaction, as in a rehearsal: what it made is not committed."""
    connection.execute("CREATE SCHEMA desk")
    connection.execute("CREATE TABLE desk.tickets (id bigint, team text, created timestamp)")
    connection.execute(
        "INSERT INTO desk.tickets SELECT i, 'team ' || i % 3, timestamp '2025-10-18' - i * interval '1 day' "
        "FROM generate_series(1, 300) i"
    )
    yield connection
    if not connection.closed:
        connection.rollback()


def dashboard(*sql: str, variables: tuple[Variable, ...] = (TEAM,), **more: Any) -> Dashboard:
    panels = tuple(Panel(f"p{n}", "stat", (Query("A", text),)) for n, text in enumerate(sql))
    return Dashboard("Desk", "u", "d.json", panels, variables, **more)


def tried(connection: psycopg.Connection[Any], found: Dashboard, **settings: Any) -> tuple[PanelOutcome, ...]:
    return run_dashboards(connection, [found], DashboardSettings(**settings), reporter=SilentReporter(), now=NOW)


def setting(connection: psycopg.Connection[Any], name: str) -> object:
    row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    return row and row[0]


def test_a_query_is_counted_timed_and_its_columns_named(desk: psycopg.Connection[Any]) -> None:
    result = run_panel(desk, "SELECT id, '100 %s' AS \"a b\" FROM desk.tickets WHERE id % 2 = 0;", timeout_seconds=5)
    assert (result.ok, result.rows, result.columns, result.error) == (True, 150, ("id", "a b"), None)
    assert 0 < result.milliseconds < 5000


def test_a_query_without_rows_passes(desk: psycopg.Connection[Any]) -> None:
    result = run_panel(desk, "SELECT id FROM desk.tickets WHERE false", timeout_seconds=5)
    assert (result.ok, result.rows, result.columns) == (True, 0, ())


def test_an_error_is_told_with_its_code_and_the_next_query_runs(desk: psycopg.Connection[Any]) -> None:
    result = run_panel(desk, "SELECT nothing FROM desk.tickets", timeout_seconds=5)
    assert (result.ok, result.error) == (False, '42703: column "nothing" does not exist')
    late = run_panel(desk, "SELECT 1 / (id - 300) FROM desk.tickets ORDER BY id", timeout_seconds=5)
    assert (late.ok, late.error) == (False, "22012: division by zero")
    assert run_panel(desk, "SELECT 1", timeout_seconds=5).ok


def test_an_error_quotes_no_value_of_a_row(desk: psycopg.Connection[Any]) -> None:
    result = run_panel(desk, "SELECT ('secret ' || id)::integer FROM desk.tickets", timeout_seconds=5)
    assert (result.ok, result.error) == (False, "22P02: invalid text representation")


def test_a_query_over_the_limit_is_stopped(desk: psycopg.Connection[Any]) -> None:
    result = run_panel(desk, "SELECT pg_sleep(30)", timeout_seconds=0.2)
    assert not result.ok
    assert result.error is not None
    assert result.error.startswith("57014: it took longer")
    assert 150 < result.milliseconds < 10_000


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "ROLLBACK",
        " /* sorry */ COMMIT",
        "-- sorry\nROLLBACK",
        "SELECT 1; COMMIT",
        "SELECT 1; ROLLBACK; SELECT 2",
        "DELETE FROM desk.tickets",
        "WITH gone AS (DELETE FROM desk.tickets RETURNING id) SELECT * FROM gone",
        "EXPLAIN ANALYZE DELETE FROM desk.tickets",
        "SELECT * INTO desk.copy FROM desk.tickets",
        "SET search_path = desk",
        "DROP TABLE desk.tickets",
        "DO 'BEGIN DELETE FROM desk.tickets; END'",
        ";",
        "SELECT 1 \0",
    ],
)
def test_a_panel_changes_nothing_and_cannot_end_the_transaction(
    desk: psycopg.Connection[Any], database: str, sql: str
) -> None:
    assert not run_panel(desk, sql, timeout_seconds=5).ok
    assert desk.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS
    assert run_panel(desk, "SELECT id FROM desk.tickets", timeout_seconds=5).rows == 300
    with psycopg.connect(database) as other:
        found = other.execute("SELECT to_regclass('desk.tickets')").fetchone()
    assert found == (None,)


def test_the_transaction_goes_on_as_it_was(desk: psycopg.Connection[Any]) -> None:
    before = [setting(desk, name) for name in ("statement_timeout", "transaction_read_only", "search_path")]
    for sql in ("SELECT 1", "SELECT 1/0", "SELECT set_config('search_path', 'desk', true)"):
        run_panel(desk, sql, timeout_seconds=5)
    assert [setting(desk, name) for name in ("statement_timeout", "transaction_read_only", "search_path")] == before
    desk.execute("DELETE FROM desk.tickets")


@pytest.mark.parametrize("value", ["'infinity'::timestamp", "'4713-01-01 BC'::date", "'99999-01-01'::timestamptz"])
def test_values_that_python_cannot_hold_are_no_failure(desk: psycopg.Connection[Any], value: str) -> None:
    result = run_panel(desk, f"SELECT {value} UNION ALL SELECT {value}", timeout_seconds=5)
    assert (result.ok, result.rows) == (True, 2)


def test_more_rows_than_grafana_reads_are_not_read(desk: psycopg.Connection[Any]) -> None:
    result = run_panel(desk, "SELECT 1 FROM generate_series(1, 9000) a, generate_series(1, 9000) b", timeout_seconds=60)
    assert (result.ok, result.rows) == (True, 1_000_000)
    assert run_panel(desk, "SELECT 1", timeout_seconds=5).ok


def test_the_values_of_a_variable(desk: psycopg.Connection[Any]) -> None:
    query = "SELECT DISTINCT team FROM desk.tickets UNION ALL SELECT NULL ORDER BY 1"
    assert read_values(desk, query, timeout_seconds=5) == ("team 0", "team 1", "team 2")
    assert read_values(desk, "SELECT 'label' AS __text, 7 AS __value", timeout_seconds=5) == ("7",)
    assert len(read_values(desk, "SELECT generate_series(1, 5000)", timeout_seconds=5)) == 1000
    with pytest.raises(UnknownInQuery, match="42P01"):
        read_values(desk, "SELECT team FROM desk.teams", timeout_seconds=5)
    with pytest.raises(UnknownInQuery, match="no statement that reads"):
        read_values(desk, "COMMIT", timeout_seconds=5)


def test_dashboards_run_with_their_range_and_variables(desk: psycopg.Connection[Any]) -> None:
    found = dashboard(
        "SELECT count(*) FROM desk.tickets WHERE $__timeFilter(created) AND team IN ($team) HAVING count(*) = 11",
        "SELECT $__timeGroupAlias(created, '1w'), count(*) FROM desk.tickets WHERE team IN (${team:sqlstring}) GROUP BY 1",
        "SELECT id FROM desk.tickets WHERE team = 'team 1' AND '${site}' = 'Perth'",
        time_from="now-12d/d",
        time_to="now-2d",
    )
    outcomes = tried(desk, found, variables={"site": "Perth"})
    assert [(o.panel, o.ok, o.rows, o.error) for o in outcomes] == [
        ("p0", True, 1, None),
        ("p1", True, 44, None),
        ("p2", True, 100, None),
    ]


def test_one_broken_panel_is_named_and_the_others_are_tried(desk: psycopg.Connection[Any]) -> None:
    gone = Variable("gone", "query", (), query="SELECT name FROM desk.gone")
    found = dashboard(
        "SELECT missing FROM desk.tickets", "SELECT $nobody", "SELECT '$gone'", "SELECT 1", variables=(gone,)
    )
    assert [(o.panel, o.ok, o.error) for o in tried(desk, found)] == [
        ("p0", False, '42703: column "missing" does not exist'),
        ("p1", False, "the dashboard defines no variable 'nobody'; set dashboards.variables.nobody"),
        (
            "p2",
            False,
            "the variable 'gone' has no value: its query fails: 42P01: relation \"desk.gone\" does not exist",
        ),
        ("p3", True, None),
    ]


def test_a_repeated_panel_is_tried_with_one_value(desk: psycopg.Connection[Any]) -> None:
    plain = dashboard("SELECT id FROM desk.tickets WHERE team = $team")
    assert not tried(desk, plain)[0].ok
    repeated = dataclasses.replace(plain, panels=(dataclasses.replace(plain.panels[0], repeat=("team",)),))
    assert [(o.ok, o.rows) for o in tried(desk, repeated)] == [(True, 100)]


def test_skipped_queries_are_told_and_not_tried(desk: psycopg.Connection[Any]) -> None:
    found = dataclasses.replace(dashboard(), panels=(Panel("p", "stat", (Query("A", "SELECT 1/0", "hidden"),)),))
    assert [(o.ok, o.skipped, o.error) for o in tried(desk, found)] == [(False, "hidden", None)]


def test_a_stop_is_heard_between_queries(desk: psycopg.Connection[Any]) -> None:
    reporter = RecordingReporter(cancel_at_check=3)
    with pytest.raises(Cancelled):
        run_dashboards(desk, [dashboard(*["SELECT 1"] * 9)], DashboardSettings(), reporter=reporter, now=NOW)
    assert reporter.snapshots[-1].done < 9
    assert run_panel(desk, "SELECT 1", timeout_seconds=5).ok


def test_a_lost_connection_is_no_panel_error(desk: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.OperationalError):
        run_panel(desk, "SELECT pg_terminate_backend(pg_backend_pid())", timeout_seconds=5)
