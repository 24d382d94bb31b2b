"""The dashboards on the live version and on the candidate, beside each other, before anybody switches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sdetl_engine.events import SilentReporter
from sdetl_engine.grafana.dashboards import Dashboard, Panel, Query
from sdetl_engine.grafana.twins import TwinVerdict
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.twinrun import TwinRun, run_twins
from sdetl_engine.records import PanelRecord
from sdetl_engine.settings import DashboardSettings
from sdetl_engine.steps.paneling import panel_findings, panel_record

LIVE, CANDIDATE = "desk", "desk_v2"


@pytest.fixture
def desk(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Two versions that hold the same 300 tickets, the second to be changed by a test."""
    with psycopg.connect(database, autocommit=True) as connection:
        registry.ensure(connection)
        for schema in (LIVE, CANDIDATE):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {} AS SELECT i AS id, 'team ' || i % 3 AS team, i / 10.0::float8 AS hours, "
                    "timestamp '2025-10-18' - i * interval '1 hour' AS created FROM generate_series(1, 300) i"
                ).format(sql.Identifier(schema, "tickets"))
            )
        yield connection


def run(database: str, *queries: str, **settings: Any) -> TwinRun:
    panels = tuple(Panel(f"p{n}", "stat", (Query("A", text),)) for n, text in enumerate(queries))
    with psycopg.connect(database) as connection:
        return run_twins(
            connection,
            CANDIDATE,
            LIVE,
            [Dashboard("Desk", "u", "d.json", panels)],
            DashboardSettings(**settings),
            SilentReporter(),
        )


def records(database: str, *queries: str, **settings: Any) -> list[PanelRecord]:
    return [panel_record(twin, DashboardSettings(**settings)) for twin in run(database, *queries, **settings).twins]


def verdicts(database: str, *queries: str, **settings: Any) -> list[TwinVerdict | None]:
    return [r.twin.verdict if r.twin is not None else None for r in records(database, *queries, **settings)]


def found(database: str, *queries: str, **settings: Any) -> list[tuple[str, str]]:
    chosen = DashboardSettings(**settings)
    panels = records(database, *queries, **settings)
    return [(f.rule, str(f.severity)) for f in panel_findings(panels, chosen, LIVE)]


@pytest.mark.usefixtures("desk")
def test_two_versions_that_hold_the_same_answer_alike_now_included(database: str) -> None:
    queries = (
        "SELECT count(*) FROM desk.tickets",
        "SELECT team, sum(hours), avg(hours) FROM desk.tickets GROUP BY 1",
        "SELECT now() AS time, extract(epoch FROM now() - created) FROM desk.tickets",
        "SELECT id FROM desk.tickets ORDER BY created DESC LIMIT 5",
        "SELECT 1 WHERE false",
    )
    assert verdicts(database, *queries) == [TwinVerdict.EQUAL] * 5
    assert found(database, *queries) == []
    assert run(database, "SELECT 1").compared_with == LIVE


def test_a_broken_an_emptied_and_a_slower_panel_are_each_named(desk: psycopg.Connection[Any], database: str) -> None:
    desk.execute("DELETE FROM desk_v2.tickets WHERE team = 'team 2'")
    desk.execute("ALTER TABLE desk_v2.tickets DROP COLUMN hours")
    queries = (
        "SELECT sum(hours) FROM desk.tickets",
        "SELECT id FROM desk.tickets WHERE team = 'team 2'",
        "SELECT pg_sleep(CASE WHEN count(*) = 300 THEN 0 ELSE 0.8 END) IS NULL FROM desk.tickets",
        "SELECT max(id) FROM desk.tickets WHERE team = 'team 2'",
    )
    panels = records(database, *queries)
    assert [(p.ok, p.twin and str(p.twin.verdict)) for p in panels] == [
        (False, "broken"),
        (True, "empty"),
        (True, "equal"),
        (True, "empty"),
    ]
    slower = panels[2].twin
    assert slower is not None
    assert slower.times_slower is not None
    assert slower.times_slower >= 10
    findings = panel_findings(panels, DashboardSettings(), LIVE)
    assert [f.rule for f in findings] == ["PANEL-EMPTY", "PANEL-SLOWER", "PANEL-EMPTY"]
    assert all(f.is_open for f in findings)
    assert "'p1' of 'Desk' has nothing to show; on desk it has 100 rows" in findings[0].message
    assert found(database, queries[2], slower_seconds=3.0) == []


def test_a_change_that_the_data_explain_is_shown_and_no_finding(desk: psycopg.Connection[Any], database: str) -> None:
    desk.execute("INSERT INTO desk_v2.tickets SELECT i, 'team 0', 1, '2025-10-19' FROM generate_series(301, 330) i")
    (panel,) = records(database, "SELECT team, count(*) FROM desk.tickets GROUP BY 1 ORDER BY 1")
    assert panel.twin is not None
    assert (panel.twin.verdict, panel.twin.explained, panel.twin.how) == (
        TwinVerdict.CHANGED,
        True,
        ("1 row differs in count",),
    )
    assert found(database, "SELECT team, count(*) FROM desk.tickets GROUP BY 1") == []


def test_a_change_beyond_the_data_is_a_finding(desk: psycopg.Connection[Any], database: str) -> None:
    desk.execute("UPDATE desk_v2.tickets SET hours = hours * 4 WHERE id > 5")
    panel = "SELECT sum(hours) FROM desk.tickets"
    assert found(database, panel) == [("PANEL-CHANGED", "review")]
    assert found(database, panel, change=5) == []


def test_a_change_where_the_tables_hold_the_same_is_a_finding(desk: psycopg.Connection[Any], database: str) -> None:
    desk.execute("CREATE VIEW desk.recent AS SELECT * FROM desk.tickets")
    desk.execute("CREATE VIEW desk_v2.recent AS SELECT * FROM desk_v2.tickets WHERE id > 3")
    assert found(database, "SELECT count(*) FROM desk.recent") == [("PANEL-CHANGED", "review")]
    desk.execute("UPDATE desk_v2.tickets SET hours = 2 WHERE id = 7")
    assert found(database, "SELECT count(*) FROM desk.recent") == []


def test_equal_rows_that_a_limit_chooses_among_are_no_finding(desk: psycopg.Connection[Any], database: str) -> None:
    desk.execute("CREATE TABLE desk_v2.turned AS SELECT * FROM desk_v2.tickets ORDER BY id DESC")
    desk.execute("DROP TABLE desk_v2.tickets")
    desk.execute("ALTER TABLE desk_v2.turned RENAME TO tickets")
    (panel,) = records(database, "SELECT created, team FROM desk.tickets LIMIT 2")
    assert panel.twin is not None
    assert (panel.twin.verdict, panel.twin.explained) == (TwinVerdict.CHANGED, True)
    assert verdicts(database, "SELECT team, id FROM desk.tickets ORDER BY team") == [TwinVerdict.EQUAL]
    (panel,) = records(database, "SELECT id FROM desk.tickets ORDER BY id % 3")
    assert panel.twin is not None
    assert panel.twin.how == ("the same rows in another order",)


def test_a_date_that_became_text_is_a_finding_whatever_the_data(desk: psycopg.Connection[Any], database: str) -> None:
    desk.execute("ALTER TABLE desk_v2.tickets ALTER created TYPE text")
    (panel,) = records(database, "SELECT created AS time FROM desk.tickets")
    assert panel.twin is not None
    assert panel.twin.how == ("column time is text instead of time",)
    assert not panel.twin.explained


def test_longer_answers_than_are_kept_are_never_called_equal(desk: psycopg.Connection[Any], database: str) -> None:
    assert verdicts(database, "SELECT id FROM desk.tickets", compare_rows=100) == [TwinVerdict.UNKNOWN]
    desk.execute("DELETE FROM desk_v2.tickets WHERE id > 290")
    assert verdicts(database, "SELECT id FROM desk.tickets", compare_rows=100) == [TwinVerdict.CHANGED]


def test_what_failed_before_and_works_now_is_told(desk: psycopg.Connection[Any], database: str) -> None:
    desk.execute("ALTER TABLE desk_v2.tickets ADD priority int DEFAULT 1")
    assert verdicts(database, "SELECT priority FROM desk.tickets", "SELECT nothing") == [
        TwinVerdict.FIXED,
        TwinVerdict.BROKEN,
    ]


@pytest.mark.usefixtures("desk")
def test_nothing_stays_of_it(database: str) -> None:
    run(database, "SELECT 1", "SELECT broken")
    with psycopg.connect(database) as other:
        assert other.execute("SELECT to_regclass('desk.tickets'), to_regclass('desk_v2.tickets')").fetchone() == (
            "desk.tickets",
            "desk_v2.tickets",
        )


def test_the_role_of_the_dashboards_reads_the_candidate_with_the_grants_that_the_switch_will_carry(
    desk: psycopg.Connection[Any], database: str
) -> None:
    role = "twin_" + str(desk.info.dbname).rpartition("_")[2]
    desk.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    try:
        desk.execute(sql.SQL("GRANT USAGE ON SCHEMA desk TO {}").format(sql.Identifier(role)))
        desk.execute(sql.SQL("GRANT SELECT (id) ON desk.tickets TO {}").format(sql.Identifier(role)))
        panels = records(database, "SELECT max(id) FROM desk.tickets", "SELECT max(team) FROM desk.tickets", role=role)
        assert [(p.ok, p.twin and str(p.twin.verdict)) for p in panels] == [(True, "equal"), (False, "broken")]
        assert panels[1].error == "42501: permission denied for table tickets"
    finally:
        desk.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
        desk.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.mark.usefixtures("desk")
def test_it_can_be_switched_off(database: str) -> None:
    assert verdicts(database, "SELECT 1", compare=False) == [None]


def test_without_a_version_to_compare_with_the_candidate_alone_is_tried(
    desk: psycopg.Connection[Any], database: str
) -> None:
    desk.execute("DROP SCHEMA desk CASCADE")
    assert verdicts(database, "SELECT id FROM desk.tickets") == [None]
