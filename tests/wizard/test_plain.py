"""The wizard line by line: answers go in, lines come out, and the database is what they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import psycopg

from sdetl_engine import Workspace, load_settings, run_states
from sdetl_tui.bridge import Bridge
from sdetl_tui.lines import Teller
from sdetl_tui.plain import LineMode
from sdetl_tui.session import Form
from tests.migrating import TICKETS

MARKED = """
CREATE TABLE tickets (id INTEGER PRIMARY KEY, created TIMESTAMP, title TEXT);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
INSERT INTO tickets SELECT i, CASE WHEN i % 3 = 0 THEN '?' ELSE printf('2025-01-%02d 10:00:00', 1 + i % 28) END, 'a' FROM n;
"""
HOSTILE = """
CREATE TABLE "[@click=app.exit]x[/]" (id INTEGER PRIMARY KEY, "\u202eevil" TEXT, created TIMESTAMP);
INSERT INTO "[@click=app.exit]x[/]" VALUES (1, char(27) || ']0;title' || char(7), '31/12/2024 9:05'), (2, '[/x]' || char(8238), '');
"""


@dataclasses.dataclass
class Visit:
    """One session: its exit code and everything that it said."""

    code: int
    said: str


def visit(workspace: Path, source: Path, target: str, *answers: str, ascii_only: bool = False) -> Visit:
    """Give the answers one after the other; then the input ends."""
    left = list(answers)
    told: list[str] = []
    bridge = Bridge(Workspace(workspace).prepare())
    teller = Teller(told.append, lambda: left.pop(0) if left else None, ascii_only=ascii_only)
    mode = LineMode(
        bridge, Form(str(source), target), lambda plan: load_settings(plan=plan), teller, ascii_only=ascii_only
    )
    try:
        code = mode.run()
    finally:
        bridge.close()
    return Visit(code, "\n".join(told))


def test_from_the_start_to_the_summary(
    tmp_path: Path, database: str, sqlite_file: Callable[[str], Path], connection: psycopg.Connection[object]
) -> None:
    answers = ("", "", "on", "y", "cutover", "", "", "servicedesk", "", "", "summary", "quit")
    seen = visit(tmp_path / "w", sqlite_file(TICKETS), database, *answers)
    assert seen.code == 0
    assert "Deployment documented in log" in seen.said
    assert connection.execute("SELECT count(*) FROM servicedesk.tickets").fetchone() == (400,)


def test_another_name_than_the_serving_schemas_switches_nothing(
    tmp_path: Path, database: str, sqlite_file: Callable[[str], Path], connection: psycopg.Connection[object]
) -> None:
    answers = ("", "on", "y", "cutover", "", "", "servicedesc", "quit")
    seen = visit(tmp_path / "w", sqlite_file(TICKETS), database, *answers)
    assert "Nothing was switched." in seen.said
    assert seen.code == 3
    assert connection.execute("SELECT to_regnamespace('servicedesk')").fetchone() == (None,)


def test_a_mark_that_halts_is_declared_missing_with_a_reason(
    tmp_path: Path, database: str, sqlite_file: Callable[[str], Path]
) -> None:
    halted = ("", "on", "y", "findings", "decide 1", "1", "", "unknown in the export", "y")
    seen = visit(tmp_path / "w", sqlite_file(MARKED), database, *halted, "profile", "", "quit")
    assert "with this decision the gate goes from halted to passed" in seen.said
    assert "== profile, passed ==" in seen.said
    (state,) = run_states(Workspace(tmp_path / "w"))
    assert "profile" in state.finished
    assert 'reason = "unknown in the export"' in (tmp_path / "w" / "runs" / state.run_id / "plan.toml").read_text()


def test_a_decision_without_a_reason_is_none(tmp_path: Path, database: str, sqlite_file: Callable[[str], Path]) -> None:
    answers = ("", "on", "y", "findings", "decide 1", "1", "", "", "quit")
    seen = visit(tmp_path / "w", sqlite_file(MARKED), database, *answers)
    assert "nothing was recorded" in " ".join(seen.said.split())
    assert seen.code == 3


def test_a_run_that_was_left_is_offered_and_taken_up(
    tmp_path: Path, database: str, sqlite_file: Callable[[str], Path]
) -> None:
    source = sqlite_file(TICKETS)
    left = visit(tmp_path / "w", source, database, "", "", "", "")
    assert left.code == 130
    (state,) = run_states(Workspace(tmp_path / "w"))
    assert state.is_resumable
    again = visit(tmp_path / "w", source, database, "y", "on", "y", "quit")
    assert f"Run {state.run_id} stopped" in again.said
    assert "== validate, passed ==" in again.said


def test_nothing_but_printable_text_is_written(
    tmp_path: Path, database: str, sqlite_file: Callable[[str], Path]
) -> None:
    answers = ("", "on", "y", "findings", "show 1", "types", "profile", "clean", "show 2 1", "validate", "quit")
    seen = visit(tmp_path / "w", sqlite_file(HOSTILE), database, *answers, ascii_only=True)
    assert "[@click=app.exit]x[/]" in seen.said
    assert [c for c in seen.said if not (c == "\n" or " " <= c <= "~")] == []
