"""A second quarter's run beside the first: what changes for the dashboards is named before anybody switches."""

from __future__ import annotations

from pathlib import Path

from sdetl_engine import Stage, Workspace, resume_run
from sdetl_tui.blocks import Facts, Table
from sdetl_tui.glyphs import UNICODE
from sdetl_tui.text import written
from sdetl_tui.views import validate
from sdetl_tui.views.look import Look
from tests.conftest import make_sqlite
from tests.migrating import TICKETS, Ended, dashboard, finish, migrate

PANELS = (
    "SELECT count(*) FROM servicedesk.tickets",
    "SELECT id FROM servicedesk.tickets WHERE title LIKE 'Ticket%'",
    "SELECT pg_sleep(CASE WHEN max(body) = 'new' THEN 0.8 ELSE 0 END) IS NULL FROM servicedesk.comments WHERE id = 10",
    "SELECT sum(hours) FROM servicedesk.tickets",
)
CHANGE = """
UPDATE tickets SET title = 'Request ' || id;
UPDATE comments SET body = 'new' WHERE id = 10;
ALTER TABLE tickets DROP COLUMN hours;
"""


def second_quarter(tmp_path: Path, change: str, database: str, *panels: str) -> Ended:
    """Everything is agreed to up to the load; validate and cutover find nobody who agrees."""
    boards = dashboard(tmp_path / "boards", *panels)
    first = migrate(make_sqlite(tmp_path / "first.db", TICKETS), database, tmp_path / "w", dashboards=boards)
    assert first.document["outcome"] == "live"
    assert "compared" not in first.document["dashboards"][0]
    source = make_sqlite(tmp_path / "second.db", TICKETS + change)
    loaded = migrate(source, database, tmp_path / "w", dashboards=boards, until=Stage.MIGRATE)
    return finish(resume_run(Workspace(tmp_path / "w"), loaded.document["run_id"]), Stage.CUTOVER, agreed=False)


def test_the_same_data_again_gives_equal_panels(database: str, tmp_path: Path) -> None:
    ended = second_quarter(tmp_path, "", database, *PANELS)
    assert (ended.status["validate"], ended.status["cutover"]) == ("passed", "review")
    compared = ended.document["dashboards"][0]["compared"]
    assert (compared["equal"], compared["differ"]) == (4, [])
    assert ended.summary("validate")["panels_equal"] == 4
    assert not {r for r in ended.rules if r.startswith("PANEL-")}


def test_an_emptied_and_a_slower_panel_ask_before_the_switch(database: str, tmp_path: Path) -> None:
    ended = second_quarter(tmp_path, CHANGE, database, *PANELS[:3])
    assert (ended.outcome.exit_code, ended.status["validate"], ended.status["cutover"]) == (3, "review", "pending")
    findings = {f["rule"]: f["message"] for f in ended.document["findings"] if f["rule"].startswith("PANEL-")}
    assert set(findings) == {"PANEL-EMPTY", "PANEL-SLOWER"}
    assert "'panel 2' of 'Desk'" in findings["PANEL-EMPTY"]
    assert "'panel 3' of 'Desk'" in findings["PANEL-SLOWER"]
    emptied, slower = ended.document["dashboards"][0]["compared"]["differ"]
    assert (emptied["panel"], emptied["verdict"], emptied["live_rows"], emptied["rows"]) == ("panel 2", "empty", 400, 0)
    assert slower["panel"] == "panel 3"
    assert slower["times_slower"] >= 10
    report = Path(ended.document["report"]).read_text(encoding="utf-8")
    assert "Beside the version that was live" in report
    assert "nothing to show instead of 400 rows" in report


def test_a_broken_panel_is_named_and_the_screen_shows_it_first(database: str, tmp_path: Path) -> None:
    ended = second_quarter(tmp_path, CHANGE, database, *PANELS)
    assert (ended.outcome.exit_code, ended.status["validate"]) == (4, "failed")
    assert "'panel 4' of dashboard 'Desk' fails: 42703" in ended.document["error"]["message"]
    look = Look(ended.runner.deployment, ended.runner.records, UNICODE)
    facts, panels = validate.blocks(look)[:2]
    assert isinstance(facts, Facts)
    assert isinstance(panels, Table)
    said = {name: written(text) for name, text in facts.rows}
    assert said["beside live"].startswith("2 equal, 1 empty, 1 broken, 1 slower (live: servicedesk_v")
    shown = [[written(cell) for cell in row.cells] for row in panels.rows]
    assert shown[0][3:5] == ["broken", "panel 4"]
    assert {row[4]: row[3] for row in shown}["panel 2"] == "! empty"
    detail = validate.detail(look, "panels", panels.rows[0].key)
    assert isinstance(detail[0], Facts)
    assert any(name == "on live" for name, _ in detail[0].rows)
