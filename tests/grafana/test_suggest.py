from __future__ import annotations

from pathlib import Path

import pytest

from sdetl_engine.demo import demo_dashboards
from sdetl_engine.demo.tables import column_names
from sdetl_engine.grafana.dashboards import Dashboard, Panel, Query, read_dashboards
from sdetl_engine.grafana.suggest import suggest_indexes

ROWS = {"tickets": 11_000, "comments": 108_000, "roster": 48}


def dashboard(*queries: str, title: str = "Desk") -> Dashboard:
    panels = tuple(Panel(f"p{n}", "stat", (Query("A", sql),)) for n, sql in enumerate(queries))
    return Dashboard(title, "u", "d.json", panels)


def suggested(sql: str) -> set[str]:
    return {s.spelling for s in suggest_indexes([dashboard(sql)], "servicedesk", rows=ROWS)}


@pytest.mark.parametrize(
    ("sql", "spellings"),
    [
        ('SELECT 1 FROM servicedesk.tickets WHERE $__timeFilter("TKT-Created Time")', {"tickets(TKT-Created Time)"}),
        ("SELECT 1 FROM servicedesk.tickets WHERE Team IN (${team:sqlstring})", {"tickets(team)"}),
        (
            "SELECT 1 FROM servicedesk.tickets WHERE team IN ('${team:raw}') AND size > 3",
            {"tickets(team)", "tickets(size)"},
        ),
        (
            "SELECT 1 FROM servicedesk.tickets t JOIN servicedesk.comments c ON c.ticket_id = t.id",
            {"tickets(id)", "comments(ticket_id)"},
        ),
        ("SELECT 1 FROM servicedesk.tickets JOIN servicedesk.comments USING (id)", {"tickets(id)", "comments(id)"}),
        (
            """WITH c AS (SELECT ticket_id FROM servicedesk.comments WHERE visible = 'Yes')
            SELECT 1 FROM servicedesk.tickets t LEFT JOIN c ON t.id = c.ticket_id WHERE n = 1""",
            {"comments(visible)", "tickets(id)"},
        ),
        ("SELECT (SELECT 1 FROM servicedesk.comments x WHERE x.a = t.b) FROM servicedesk.tickets t", {"comments(a)"}),
        ("SELECT 1 FROM servicedesk.tickets WHERE cause <> '' AND cause != 'x' AND lower(a) = 'b' AND c = ''", set()),
        ("SELECT 1 FROM other.tickets WHERE a = 1", set()),
        ("SELECT 1 FROM servicedesk.roster WHERE name = 'Bo'", set()),
        ("this is no SQL (", set()),
        ("SELECT 1 FROM servicedesk.tickets WHERE $__nothing(a)", set()),
    ],
)
def test_columns_that_panels_join_or_filter_by(sql: str, spellings: set[str]) -> None:
    assert suggested(sql) == spellings


def test_the_most_used_comes_first_and_names_its_panels() -> None:
    one, two = (
        "SELECT 1 FROM servicedesk.tickets WHERE a = 1",
        "SELECT 1 FROM servicedesk.tickets WHERE a = 2 AND b = 1",
    )
    first, second = suggest_indexes([dashboard(one, two), dashboard(one, title="Team")], "servicedesk", rows=ROWS)
    assert (first.spelling, first.panels) == ("tickets(a)", ("Desk: p0", "Desk: p1", "Team: p0"))
    assert second.reason == "1 panel filters or joins tickets by b: Desk: p1"


@pytest.mark.parametrize(
    ("existing", "left"),
    [("tickets(a)", False), ("tickets(a, b)", False), ("tickets(b, a)", True), ("tickets(ab)", True)],
)
def test_what_an_index_already_leads_with_is_not_suggested(existing: str, left: bool) -> None:
    found = [dashboard("SELECT 1 FROM servicedesk.tickets WHERE a = 1")]
    assert bool(suggest_indexes(found, "servicedesk", rows=ROWS, existing=[existing])) is left


def test_a_column_of_two_values_is_not_suggested() -> None:
    found = [dashboard("SELECT 1 FROM servicedesk.tickets WHERE met = 'yes' AND a = 1")]
    distinct = {("tickets", "met"): 2, ("tickets", "a"): 3}
    assert [s.columns for s in suggest_indexes(found, "servicedesk", rows=ROWS, distinct=distinct)] == [("a",)]


def test_our_own_dashboards_want_what_they_join_and_filter_by_and_nothing_of_small_tables() -> None:
    rows = {"tickets": 11_000, "comments": 108_000, "timesheets": 135_000, "comment_quality": 6300} | {
        "comment_sentiment": 109,
        "cloud_team_roster": 48,
    }
    found = suggest_indexes(read_dashboards(demo_dashboards()), "servicedesk", rows=rows)
    spelled = [s.spelling for s in found]
    assert spelled[:2] == ["tickets(TKT-Created Time)", "tickets(TKT-Team)"]
    assert {"tickets(TKT-Ticket ID)", "comments(ticket_id)", "timesheets(TS-Date)"} <= set(spelled)
    assert {s.table for s in found} == {"tickets", "comments", "timesheets"}
    assert all(column in column_names(s.table) for s in found for column in s.columns)
    assert suggest_indexes(read_dashboards(demo_dashboards()), "servicedesk", rows=dict.fromkeys(rows, 9999)) == ()


def test_published_dashboards_want_their_ticket_columns(shared_data: Path) -> None:
    found = suggest_indexes(read_dashboards(shared_data / "grafana"), "servicedesk", rows=ROWS)
    most_used = {s.spelling: len(s.panels) for s in found}
    assert most_used["tickets(TKT-Status)"] == 11
    assert most_used["tickets(TKT-Team)"] == 5
    assert {"comments(visible_to_customer)", "tickets(TKT-Ticket ID)", "tickets(TKT-Created Time)"} <= set(most_used)
