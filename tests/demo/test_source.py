from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from sdetl_engine.demo.source import DemoFacts, build_source
from sdetl_engine.demo.tables import TABLES
from sdetl_engine.errors import Cancelled, UsageError
from sdetl_engine.events import RecordingReporter

TODAY = date(2025, 10, 19)
ISO = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d\d)")
TICKET_DATES = [n for n, t in TABLES["tickets"] if t == "TIMESTAMP" or n.endswith((" Time", " Date"))]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoFacts:
    """A demo source of about 30,000 rows, as of a fixed day."""
    return build_source(tmp_path_factory.mktemp("demo") / "servicedesk.db", rows=30_000, today=TODAY)


def select(demo: DemoFacts, sql: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{demo.path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def column(demo: DemoFacts, table: str, name: str) -> list[Any]:
    return [row[0] for row in select(demo, f'SELECT "{name}" FROM "{table}"')]


def digest(demo: DemoFacts) -> str:
    rows = [select(demo, f'SELECT * FROM "{table}" ORDER BY rowid') for table in TABLES]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_the_seven_tables_have_their_documented_columns(demo: DemoFacts) -> None:
    widths = {table: len(select(demo, f'PRAGMA table_info("{table}")')) for table in TABLES}
    assert widths == {
        "tickets": 60,
        "comments": 10,
        "timesheets": 21,
        "comment_quality": 17,
        "comment_sentiment": 13,
        "cloud_team_roster": 3,
        "import_metadata": 9,
    }
    assert {"TKT-Job#/Ref#", "TKT-SLA Closed - This Month"} <= {n for n, _ in TABLES["tickets"]}
    assert [r[0] for r in select(demo, "SELECT name FROM sqlite_master WHERE type <> 'table'")] == []


def test_tables_have_their_share_of_the_rows(demo: DemoFacts) -> None:
    counted = {table: len(column(demo, table, "rowid")) for table in TABLES}
    assert counted == demo.rows
    assert (counted["import_metadata"], counted["cloud_team_roster"], counted["comment_sentiment"]) == (16, 48, 109)
    assert 29_000 < sum(counted.values()) < 31_000
    assert counted["timesheets"] > counted["comments"] > counted["tickets"] > counted["comment_quality"]


def test_the_same_seed_and_day_make_the_same_data(demo: DemoFacts, tmp_path: Path) -> None:
    again = build_source(tmp_path / "again.db", rows=30_000, today=TODAY)
    other = build_source(tmp_path / "other.db", rows=30_000, today=TODAY, seed=1)
    later = build_source(tmp_path / "later.db", rows=30_000, today=TODAY + timedelta(days=1))
    assert digest(again) == digest(demo)
    assert again.path.read_bytes() == demo.path.read_bytes()
    assert len({digest(demo), digest(other), digest(later)}) == 3


def test_dates_are_declared_in_two_ways_and_hold_text(demo: DemoFacts) -> None:
    declared = dict(TABLES["tickets"])
    assert {declared[name] for name in TICKET_DATES} == {"TEXT", "TIMESTAMP"}
    kinds = {k for name in TICKET_DATES for (k,) in select(demo, f'SELECT DISTINCT typeof("{name}") FROM tickets')}
    assert kinds == {"text", "null"}


def test_every_column_of_dates_settles_the_order_of_day_and_month(demo: DemoFacts) -> None:
    found = {
        "comments.created_time": column(demo, "comments", "created_time"),
        "TS-Date": column(demo, "timesheets", "TS-Date"),
        "comment_quality.created_time": column(demo, "comment_quality", "created_time"),
        "comment_quality.analysis_timestamp": column(demo, "comment_quality", "analysis_timestamp"),
        **{name: column(demo, "tickets", name) for name in TICKET_DATES},
    }
    counted = {}
    for name, values in found.items():
        texts = [v for v in values if v]
        slashed = [m for m in map(SLASHED.fullmatch, texts) if m]
        assert len(slashed) + sum(bool(ISO.fullmatch(v)) for v in texts) == len(texts)
        assert all(int(m[2]) <= 12 for m in slashed)
        if slashed:
            assert any(int(m[1]) > 12 for m in slashed), name
            counted[name] = len(slashed)
    assert counted == demo.planted.slashed_dates
    assert len(counted) > 8
    assert sum(counted.values()) < 30_000 * 0.01


def test_some_foreign_dates_stand_only_behind_the_first_5000_rows(demo: DemoFacts) -> None:
    values = column(demo, "comments", "created_time")
    places = [i for i, v in enumerate(values) if "/" in v]
    assert places
    assert min(places) >= 5000


def test_missing_dates_are_null_or_empty(demo: DemoFacts) -> None:
    empty = sum(column(demo, "tickets", name).count("") for name in TICKET_DATES)
    assert empty == demo.planted.empty_dates > 0
    assert column(demo, "tickets", "TKT-Closure Date").count(None) > 0
    assert column(demo, "tickets", "TKT-Customer Reference").count("") > 0


def test_ids_beside_nulls_are_whole_reals(demo: DemoFacts) -> None:
    for name in ("TKT-Parent ID", "TKT-Account Id"):
        held = column(demo, "tickets", name)
        assert {type(v) for v in held} == {float, type(None)}
        assert all(v.is_integer() for v in held if v is not None)


def test_nine_in_ten_timesheets_are_orphans(demo: DemoFacts) -> None:
    orphans = select(
        demo,
        'SELECT "TS-Crm ID" FROM timesheets WHERE CAST("TS-Ticket Project Master Code" AS INTEGER) '
        'NOT IN (SELECT "TKT-Ticket ID" FROM tickets)',
    )
    assert 0.89 < len(orphans) / demo.rows["timesheets"] < 0.92
    assert abs(len(orphans) - demo.planted.orphan_timesheets) <= demo.planted.duplicate_timesheets
    assert 0.16 < sum(crm == 0 for (crm,) in orphans) / demo.rows["timesheets"] < 0.22


def test_one_timesheet_lies_nine_months_ahead_and_some_are_there_twice(demo: DemoFacts) -> None:
    dates = column(demo, "timesheets", "TS-Date")
    assert [d for d in dates if d > "2025-10-20" and "/" not in d] == ["2026-07-16 00:00:00"]
    rows = Counter(select(demo, "SELECT * FROM timesheets"))
    assert sum(n - 1 for n in rows.values()) == demo.planted.duplicate_timesheets == 2


def test_most_comments_are_automatic_and_hardly_any_visible(demo: DemoFacts) -> None:
    users, visible = column(demo, "comments", "user_id"), column(demo, "comments", "visible_to_customer")
    assert 0.59 < users.count(1) / len(users) < 0.63
    assert visible.count("Yes") == demo.planted.visible_comments
    assert 0 < visible.count("Yes") / len(visible) < 0.003


def test_titles_hold_what_breaks_screens(demo: DemoFacts) -> None:
    titles = "\n".join(column(demo, "tickets", "TKT-Title"))
    for hostile in ("\x1b[31m", "\x1b]0;", "\x07", "[/x]", "[@click=app.exit]x[/]", "🔥", "ש", "\u202e", "' and \""):
        assert hostile in titles


def test_references_keep_their_leading_zeros(demo: DemoFacts) -> None:
    references = [v for v in column(demo, "tickets", "TKT-Job#/Ref#") if v is not None]
    assert all(isinstance(v, str) and v.startswith("0") and v.isdigit() for v in references)


def test_recent_weeks_are_filled(demo: DemoFacts) -> None:
    assert len(select(demo, "SELECT 1 FROM tickets WHERE \"TKT-Created Time\" > '2025-10-12'")) > 10
    assert (
        select(
            demo,
            "SELECT 1 FROM tickets WHERE \"TKT-Created Time\" GLOB '2???-*' AND \"TKT-Created Time\" > '2025-10-20'",
        )
        == []
    )


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "precious.db"
    path.write_text("mine")
    with pytest.raises(UsageError, match="not overwritten"):
        build_source(path, rows=1000)
    assert path.read_text() == "mine"


def test_a_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        build_source(tmp_path / "demo.db", rows=30_000, reporter=RecordingReporter(cancel_at_check=3))
    assert list(tmp_path.iterdir()) == []
