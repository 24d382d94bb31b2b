"""Reading from Grafana's HTTP API, and what is said when it does not answer as documented."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sdetl_engine.errors import Cancelled, UsageError
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.grafana.answers import ColumnKind
from sdetl_engine.grafana.asking import Asking
from sdetl_engine.grafana.frames import NotFrames, read_answer
from sdetl_engine.grafana.said import without_values
from sdetl_engine.grafana.server import GrafanaFailed, GrafanaServer
from sdetl_engine.settings import DashboardSettings, GrafanaSettings, load_settings
from tests.grafana.stub import TOKEN, Fault, Grafana, grafana

NOW = datetime(2025, 10, 19, tzinfo=UTC)


@pytest.fixture
def known(database: str) -> Iterator[Grafana]:
    with grafana(database) as server:
        yield server


def server_of(known: Grafana, token: str = TOKEN, **settings: Any) -> GrafanaServer:
    return GrafanaServer(GrafanaSettings(url=known.url, **{"timeout_seconds": 5.0, **settings}), token)


def titles(known: Grafana, **settings: Any) -> list[str]:
    found, problems = server_of(known, **settings).dashboards()
    assert problems == ()
    return [d.title for d in found]


def ask(known: Grafana, sql: str, **settings: Any) -> Any:
    return server_of(known, **settings).query(sql, "pg1", "table", NOW - timedelta(days=1), NOW, 100)


def test_dashboards_are_found_by_tag_folder_and_uid(known: Grafana) -> None:
    known.add("a", "SELECT 1", tags=("servicedesk",))
    known.add("b", "SELECT 1", tags=("servicedesk", "kpi"), folder="f1")
    known.add("c", "SELECT 1")
    assert titles(known) == ["Desk a", "Desk b", "Desk c"]
    assert titles(known, tag=("kpi",)) == ["Desk b"]
    assert titles(known, tag=("servicedesk", "kpi")) == ["Desk a", "Desk b"]
    assert titles(known, folder="ServiceDesk") == titles(known, folder="f1") == ["Desk b"]
    assert titles(known, uids=("c",)) == ["Desk c"]
    assert titles(known, uids=("c",), tag=("kpi",)) == ["Desk c", "Desk b"]
    with pytest.raises(GrafanaFailed, match="no folder 'nowhere'"):
        server_of(known, folder="nowhere").dashboards()


def test_more_dashboards_than_a_page_holds(known: Grafana) -> None:
    for n in range(130):
        known.add(f"d{n}", "SELECT 1")
    assert len(titles(known, most_dashboards=120)) == 120
    assert len(titles(known, most_dashboards=500)) == 130


def test_a_dashboard_that_cannot_be_read_is_named_and_the_others_are_read(known: Grafana) -> None:
    known.add("good", "SELECT 1")
    known.add("gone")
    known.dashboards["v2"] = {"dashboard": {"tags": [], "title": "x", "elements": {}}, "meta": {"folderUid": ""}}
    known.faults["/api/dashboards/uid/gone"] = Fault(500)
    found, problems = server_of(known).dashboards()
    assert [d.title for d in found] == ["Desk good"]
    assert sorted(problems) == [
        "dashboard gone: it answers 500: it is broken",
        "grafana:v2 is a dashboard in Grafana's schema v2, which is not read",
    ]


def test_a_panel_is_asked_as_grafana_documents_it(known: Grafana) -> None:
    answer = ask(
        known, "SELECT 1 AS n, 'a' AS t, timestamptz '2025-10-19 00:00Z' AS time, true AS b, NULL::int AS nothing"
    )
    assert (answer.ok, answer.rows, answer.columns) == (True, 1, ("n", "t", "time", "b", "nothing"))
    assert answer.kinds == (
        *(ColumnKind.NUMBER, ColumnKind.TEXT, ColumnKind.TIME, ColumnKind.BOOLEAN),
        ColumnKind.NUMBER,
    )
    assert answer.values == (("1", "a", "1760832000000", "True", None),)
    (body,) = known.queries
    assert (body["from"], body["to"]) == ("1760745600000", "1760832000000")
    assert body["queries"][0]["datasource"] == {"uid": "pg1"}


def test_a_query_that_fails_is_an_answer(known: Grafana) -> None:
    answer = ask(known, "SELECT nothing")
    assert (answer.ok, answer.error) == (False, 'db query error: pq: column "nothing" does not exist')
    assert ask(known, "SELECT 1 WHERE false").is_empty


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'Anna Arm'::int",
        "SELECT 'Anna Arm'::date",
        "SELECT to_date('Anna Arm', 'YYYY')",
        "SELECT 'Anna Arm'::jsonb",
        "SELECT ('{' || 'Anna Arm')::int[]",
        "SELECT make_interval(secs => 'Anna Arm \"x\"'::float)",
        "SELECT now() AT TIME ZONE 'Anna Arm'",
        "SELECT 'x' ~ ('Anna Arm' || '(')",
        "DO $$ BEGIN RAISE EXCEPTION 'Anna Arm is late'; END $$",
    ],
)
def test_no_value_of_a_row_comes_back_with_an_error(known: Grafana, sql: str) -> None:
    answer = ask(known, sql)
    assert not answer.ok
    assert answer.error.startswith("db query error: pq: ")
    assert "Anna" not in answer.error
    assert "Arm" not in answer.error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ERROR: invalid input syntax for type integer: "Anna" (SQLSTATE 22P02)', None),
        ('pq: invalid input syntax for type integer: "Anna"', "pq: invalid input syntax for type integer"),
        ('ERROR: relation "servicedesk.tickets" does not exist (SQLSTATE 42P01)', ""),
        ("pq: permission denied for table tickets", ""),
        ("pq: canceling statement due to statement timeout", ""),
        ('pq: column "t.team" must appear in the GROUP BY clause or be used in an aggregate function', ""),
        ("pq: function date_trunk(unknown, timestamp without time zone) does not exist", ""),
        ("pq: operator does not exist: text + integer", ""),
        ("dial tcp 10.0.0.1:5432: connect: connection refused", ""),
        ("failed to parse 'Anna' as \"Arm\"", 'failed to parse "..."'),
    ],
)
def test_what_grafana_says_of_names_is_passed_on(text: str, said: str | None) -> None:
    wanted = "ERROR: invalid input syntax for type integer (SQLSTATE 22P02)" if said is None else said or text
    assert without_values(text) == wanted


@pytest.mark.parametrize(
    ("fault", "said", "is_lost"),
    [
        (Fault(403), "the token may not do that (403)", False),
        (Fault(404), "not found (404)", False),
        (Fault(500), "it answers 500: it is broken", False),
        (Fault(502, "<html>", "text/html"), "it answers 502", False),
        (Fault(200, "{not json"), "it answers with something else than JSON", False),
        (Fault(200, "<html>log in</html>", "text/html"), "it answers with something else than JSON", False),
        (Fault(200, "3"), "it answers with something else than JSON", False),
        (Fault(200, "{}"), "its answer is not understood: it holds no result of the query", False),
        (
            Fault(
                200, '{"results": {"A": {"frames": [{"schema": {"fields": [{}]}, "data": {"values": [[1], [2]]}}]}}}'
            ),
            "its answer is not understood: a frame's fields and values do not match",
            False,
        ),
        (Fault(seconds=1.5), "it did not answer within 0.3 s (grafana.timeout_seconds)", True),
    ],
)
def test_what_is_said_when_it_does_not_answer_as_documented(
    known: Grafana, fault: Fault, said: str, is_lost: bool
) -> None:
    known.faults["/api/ds/query"] = fault
    with pytest.raises(GrafanaFailed) as failed:
        ask(known, "SELECT 1", timeout_seconds=0.3 if fault.seconds else 5.0)
    assert (str(failed.value), failed.value.is_lost) == (said, is_lost)


def test_a_refused_token_is_told_and_never_shown(known: Grafana) -> None:
    with pytest.raises(GrafanaFailed) as failed:
        server_of(known, token="glsa_wrong").dashboards()
    assert str(failed.value) == "the token is refused (401)"
    assert "glsa_wrong" not in repr(failed.value)


def test_nobody_there(database: str) -> None:
    with grafana(database) as known:
        pass
    with pytest.raises(GrafanaFailed, match="it does not answer") as failed:
        server_of(known).version()
    assert failed.value.is_lost


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://admin:secret@grafana/", "no user or password belongs here"),
        ("grafana.example.org", "it must be like"),
        ("ftp://grafana/", "it must be like"),
        ("http://grafana:port/", "it is no address"),
    ],
)
def test_addresses_that_are_none(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        load_settings(extra={"grafana.url": url})
    assert "secret" not in refused.value.message


def asked(known: Grafana, reporter: Any = None, **settings: Any) -> list[tuple[str, bool, str]]:
    server = server_of(known, **settings)
    asking = Asking(server, "pg1", ("pg1", "pg2"), DashboardSettings(), reporter or SilentReporter(), NOW)
    dashboards, _ = server.dashboards()
    panels = asking.ask(dashboards, "ask")
    return [
        (p.panel, p.answer.ok if p.answer else False, p.unknown or (p.answer and p.answer.error) or "") for p in panels
    ]


def test_variables_are_put_in_and_macros_left_to_grafana(known: Grafana) -> None:
    team = {"name": "team", "type": "query", "query": "SELECT unnest(ARRAY['x', 'y'])", "current": {"value": "$__all"}}
    known.add(
        "a",
        "SELECT 1 WHERE 'x' IN ($team) AND now() > $__timeFrom()",
        "SELECT '$nobody'",
        templating={"list": [{**team, "includeAll": True}]},
        time={"from": "now-1d", "to": "now"},
    )
    assert asked(known) == [
        ("panel 1", True, ""),
        ("panel 2", False, "the dashboard defines no variable 'nobody'; set dashboards.variables.nobody"),
    ]
    assert known.queries[-1]["queries"][0]["rawSql"] == "SELECT 1 WHERE 'x' IN ('x','y') AND now() > $__timeFrom()"


def test_a_panel_asks_the_data_source_that_it_names(known: Grafana) -> None:
    known.add_source("pg2")
    known.add("a", "SELECT 1", "SELECT 2")
    panels = known.dashboards["a"]["dashboard"]["panels"]
    panels[1]["targets"][0] |= {"datasource": {"type": "postgres", "uid": "pg2"}, "format": "time_series"}
    asked(known)
    assert [(q["queries"][0]["datasource"]["uid"], q["queries"][0]["format"]) for q in known.queries] == [
        ("pg1", "table"),
        ("pg2", "time_series"),
    ]


def test_who_does_not_answer_is_not_asked_for_ever(known: Grafana) -> None:
    known.add("a", *["SELECT 1"] * 9)
    known.faults["/api/ds/query"] = Fault(seconds=0.6)
    began = time.monotonic()
    panels = asked(known, timeout_seconds=0.2)
    assert time.monotonic() - began < 9 * 0.6
    assert known.count("/api/ds/query") == 2
    assert {said for _, _, said in panels} == {"it did not answer within 0.2 s (grafana.timeout_seconds)"}
    assert len(panels) == 9


def test_a_wish_to_stop_leaves_the_rest_unknown(known: Grafana) -> None:
    known.add("a", *["SELECT 1"] * 4)
    panels = asked(known, RecordingReporter(cancel_at_check=3))
    assert [(ok, said) for _, ok, said in panels] == [
        *([(True, "")] * 2),
        *([(False, Cancelled().message)] * 2),
    ]


def test_frames_of_several_series_are_told_apart_by_their_labels() -> None:
    def frame(team: str, *values: int) -> dict[str, Any]:
        fields = [{"name": "time", "type": "time"}, {"name": "n", "type": "number", "labels": {"team": team}}]
        return {"schema": {"fields": fields}, "data": {"values": [list(range(len(values))), list(values)]}}

    document = {"results": {"A": {"frames": [frame("a", 1, 2), frame("b", 3)]}}}
    answer = read_answer(document, "A", 10, 1.0)
    assert (answer.rows, answer.columns) == (3, ("time", "n {team=a}", "n {team=b}"))
    assert answer.values == (("0", "1", None), ("1", "2", None), ("0", None, "3"))
    with pytest.raises(NotFrames, match="no list"):
        read_answer({"results": {"A": {"frames": 7}}}, "A", 10, 1.0)
