"""Every row behind a finding, page by page: as many as the finding counts, each once, the kept ones among them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from sdetl_engine import (
    Cancelled,
    Deployment,
    Evidence,
    Finding,
    Runner,
    Stage,
    Workspace,
    can_show_rows,
    finding_rows,
    load_settings,
    start_run,
)
from sdetl_engine.demo import build_source
from sdetl_tui.bridge import JobReporter
from tests.conftest import make_sqlite

ASSIGNMENTS = ("health.start_free_bytes=0", "health.min_free_bytes=0", "profile.sample_rows=2000")
# One column of each kind of trouble; every tenth row has it.
_TROUBLE = """
CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO parents VALUES (1, 'one'), (2, 'two'), (3, 'three');
CREATE TABLE things (id INTEGER PRIMARY KEY, at TIMESTAMP, seen TIMESTAMP, amount INTEGER, words TEXT, named INTEGER,
  parent INTEGER REFERENCES parents, closed TIMESTAMP);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
INSERT INTO things SELECT i,
  CASE i % 10 WHEN 0 THEN 'not yet' WHEN 1 THEN '' WHEN 2 THEN NULL ELSE printf('2025-01-%02d 10:00:00', 1 + i % 28) END,
  CASE WHEN i % 2 THEN printf('%d/12/2024 9:%02d', 1 + i % 28, i % 60) ELSE printf('2024-12-%02d', 1 + i % 28) END,
  CASE WHEN i % 50 = 0 THEN 'many' ELSE i END,
  CASE WHEN i % 50 = 0 THEN CAST(x'6162ff' AS TEXT) ELSE 'word ' || i END,
  CASE WHEN i % 4 THEN 'name ' || i ELSE i END,
  CASE WHEN i % 10 = 0 THEN 77 ELSE 1 + i % 3 END,
  CASE WHEN i % 200 = 0 THEN 'soon' WHEN i % 200 = 1 THEN 12345 ELSE printf('2025-02-%02d', 1 + i % 28) END
  FROM n;
"""


def profiled(source: Path, space: Path, *assignments: str) -> Runner:
    settings = load_settings(assignments=(*ASSIGNMENTS, *assignments))
    runner = start_run(Workspace(space), source, None, settings)
    with runner.deployment:
        runner.run(Stage.PROFILE)
    return runner


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    folder = tmp_path_factory.mktemp("troubled")
    return profiled(make_sqlite(folder / "things.db", _TROUBLE), folder / "w")


def all_rows(run: Deployment, finding: Finding, limit: int) -> Iterator[Evidence]:
    after = None
    while True:
        page = finding_rows(run, finding, after=after, limit=limit)
        yield from page.evidence
        after = page.last
        if after is None:
            return


def asked(runner: Runner) -> list[Finding]:
    return [f for f in runner.findings if can_show_rows(runner.deployment, f)]


@pytest.mark.parametrize(
    ("rule", "column", "rows"),
    [
        ("BREAKER-COLUMNS", "at", 500),
        ("TYPE-MISMATCH", "at", 500),
        ("DATE-CORRUPT", "closed", 50),
        ("DATE-TO-ISO", "seen", 2500),
        ("TYPE-RESIDUE", "amount", 100),
        ("TEXT-UNLOADABLE", "words", 100),
        ("TYPE-MISMATCH", "named", 3750),
        ("FK-ORPHANS", "parent", 500),
    ],
)
def test_as_many_rows_are_shown_as_are_counted(troubled: Runner, rule: str, column: str, rows: int) -> None:
    (finding,) = [f for f in troubled.findings if (f.rule, f.column) == (rule, column)]
    assert can_show_rows(troubled.deployment, finding)
    shown = list(all_rows(troubled.deployment, finding, limit=77))
    assert len(shown) == len({e.key for e in shown}) == finding.count == rows
    assert set(finding.evidence) <= set(shown)


def test_the_demo_counts_what_it_shows(tmp_path: Path) -> None:
    source = build_source(tmp_path / "demo.db", rows=3000, today=date(2025, 10, 19)).path
    runner = profiled(source, tmp_path / "w")
    findings = asked(runner)
    assert {f.rule for f in findings} >= {"DATE-TO-ISO", "RELATION-ORPHANS"}
    for finding in findings:
        shown = list(all_rows(runner.deployment, finding, limit=500))
        assert len(shown) == finding.count, (finding.rule, finding.table, finding.column)


def test_a_declared_mark_is_not_among_them(tmp_path: Path) -> None:
    source = make_sqlite(tmp_path / "things.db", _TROUBLE)
    runner = profiled(source, tmp_path / "w", 'clean.null_markers=["things.amount=many"]')
    assert not [f for f in runner.findings if (f.rule, f.column) == ("TYPE-RESIDUE", "amount")]
    other = Finding("TYPE-RESIDUE", next(iter(runner.findings)).severity, "", "", table="things", column="amount")
    assert finding_rows(runner.deployment, other).evidence == ()


def test_what_is_no_rule_about_rows_shows_none(tmp_path: Path) -> None:
    runner = profiled(make_sqlite(tmp_path / "empty.db", "CREATE TABLE none (id INTEGER, at TEXT)"), tmp_path / "w")
    (finding,) = [f for f in runner.findings if f.rule == "TABLE-EMPTY"]
    assert not can_show_rows(runner.deployment, finding)
    assert finding_rows(runner.deployment, finding).evidence == ()


# What the profile only counts: every kind of it in a column of its own, with neighbours that are none.
_COUNTED = """
CREATE TABLE events (place TEXT, day TEXT COLLATE NOCASE, at TIMESTAMP, mixed TIMESTAMP, zoned TIMESTAMP,
  code TEXT, title TEXT, ref REAL, since TIMESTAMP, must TIMESTAMP NOT NULL, status TEXT, booked_at INTEGER, old TEXT,
  anything);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO events SELECT 'p' || (i % 7), 'd' || i,
  CASE i % 100 WHEN 0 THEN printf('29%02d-01-01 10:00:00', i / 100) WHEN 1 THEN '13/2/2901 9:00' ELSE printf('2024-12-%02d 10:00:00', 1 + i % 28) END,
  CASE i % 100 WHEN 0 THEN '12/31/2024' WHEN 1 THEN '5/6/2024' ELSE printf('%02d/12/2024', 13 + i % 15) END,
  CASE i % 40 WHEN 0 THEN '2024-12-01T10:00:00Z' WHEN 1 THEN '2024-12-01 10:00:00+05:30' ELSE printf('2024-12-%02d 10:00:00', 1 + i % 28) END,
  CASE i % 5 WHEN 0 THEN '0' WHEN 1 THEN '007' WHEN 2 THEN '70' WHEN 3 THEN '0x7' ELSE 'a01' END,
  CASE i % 50 WHEN 0 THEN 'bell' || char(7) WHEN 1 THEN 'tab' || char(9) WHEN 2 THEN 'next' || char(133) WHEN 3 THEN 'bidi' || char(8238)
    ELSE 'title ' || i END,
  CASE WHEN i % 3 THEN i * 1.0 END,
  CASE WHEN i % 25 THEN printf('2024-12-%02d 10:00:00', 1 + i % 28) ELSE '' END,
  CASE WHEN i % 25 THEN printf('2024-12-%02d 10:00:00', 1 + i % 28) ELSE '' END,
  CASE i % 20 WHEN 0 THEN 'N/A' WHEN 1 THEN '?' WHEN 2 THEN 'n/a?' ELSE 'open' END,
  1700000000 + i, printf('%02d/12/%02d', 13 + i % 15, i % 30), CASE i % 3 WHEN 0 THEN i WHEN 1 THEN 'word' ELSE x'00ff' END FROM n;
INSERT INTO events SELECT * FROM events WHERE rowid % 200 = 0;
INSERT INTO events SELECT * FROM events WHERE rowid = 200;
CREATE TABLE stays (person TEXT, night INTEGER, room TEXT, PRIMARY KEY (person, night));
INSERT INTO stays SELECT place, CASE WHEN rowid % 90 THEN rowid END, day FROM events;
CREATE TABLE visits (id INTEGER PRIMARY KEY, person TEXT, night INTEGER, FOREIGN KEY (person, night) REFERENCES stays);
INSERT INTO visits SELECT rowid, place, CASE WHEN rowid % 4 THEN rowid ELSE -rowid END FROM events;
"""


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    folder = tmp_path_factory.mktemp("counted")
    return profiled(make_sqlite(folder / "events.db", _COUNTED), folder / "w")


@pytest.mark.parametrize(
    ("rule", "column", "value"),
    [
        (
            "ROW-DUPLICATE",
            None,
            "'p4', 'd200', '2902-01-01 10:00:00', '12/31/2024', '2024-12-01T10:00:00Z', '0', 'bell",
        ),
        ("DATE-FUTURE", "at", "13/2/2901 9:00"),
        ("DATE-ORDER-CONFLICT", "mixed", "12/31/2024"),
        ("DATE-ZONES-MIXED", "zoned", "2024-12-01 10:00:00+05:30"),
        ("LEADING-ZEROS", "code", "007"),
        ("TEXT-CONTROL", "title", "next\\x85"),
        ("WHOLE-REALS", "ref", "1.0"),
        ("EMPTY-TO-NULL", "since", "(empty)"),
        ("EMPTY-NOT-NULL", "must", "(empty)"),
        ("MISSING-MARK", "status", "N/A"),
        ("DATE-NUMBERS", "booked_at", "1700000001"),
        ("DATE-SHORT-YEARS", "old", "14/12/01"),
        ("TYPE-MIXED", "anything", "x'00ff'"),
        ("KEY-NULL", None, "'p6', NULL"),
        ("FK-ORPHANS", None, "'p4', -4"),
    ],
)
def test_what_is_only_counted_is_shown_when_asked_for(
    counted: Runner, rule: str, column: str | None, value: str
) -> None:
    (finding,) = [f for f in counted.findings if (f.rule, f.column) == (rule, column)]
    shown = list(all_rows(counted.deployment, finding, limit=13))
    assert len(shown) == len({e.key for e in shown}) == finding.count > 0
    assert any(e.value.startswith(value) for e in shown)


_KEYED = """
CREATE TABLE readings (place TEXT COLLATE NOCASE, day INTEGER, at TIMESTAMP, PRIMARY KEY (place, day)) WITHOUT ROWID;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
INSERT INTO readings SELECT CASE i % 3 WHEN 0 THEN 'north' WHEN 1 THEN CAST(x'6dff' AS TEXT) ELSE x'00ff' END, i,
  CASE WHEN i % 32 = 0 THEN 'soon' ELSE printf('2025-01-%02d 10:00:00', 1 + i % 28) END FROM n;
"""


def test_rows_without_rowids_are_shown_by_their_keys(tmp_path: Path) -> None:
    runner = profiled(make_sqlite(tmp_path / "keyed.db", _KEYED), tmp_path / "w")
    (finding,) = [f for f in runner.findings if (f.rule, f.column) == ("DATE-CORRUPT", "at")]
    shown = list(all_rows(runner.deployment, finding, limit=37))
    assert len(shown) == len({e.key for e in shown}) == finding.count == 125
    assert {'["north",96]', '["m\\xff",64]', '["\\\\x00ff",32]'} <= {e.key for e in shown}


def test_a_search_for_rows_stops_when_asked(troubled: Runner) -> None:
    (finding,) = [f for f in troubled.findings if (f.rule, f.column) == ("DATE-CORRUPT", "closed")]
    reporter = JobReporter()
    reporter.stop()
    with pytest.raises(Cancelled):
        finding_rows(troubled.deployment, finding, reporter=reporter)


# Keys that SQLite lets be NULL, or equal but for their case; dates whose order nothing settles, and one of which something does.
_ORDERED = """
CREATE TABLE visits (code TEXT COLLATE NOCASE PRIMARY KEY, settled TIMESTAMP);
CREATE TABLE calls (id INTEGER PRIMARY KEY, open TIMESTAMP);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
INSERT INTO visits SELECT CASE WHEN i % 10 THEN 'v' || i END, printf('%02d/%02d/2024', 1 + i % 28, 1 + i % 12)
  FROM n;
INSERT INTO calls SELECT rowid, printf('%02d/%02d/2024', 1 + rowid % 12, 1 + rowid % 11) FROM visits;
"""


@pytest.mark.parametrize(
    ("rule", "column"), [("KEY-NULL", "code"), ("DATE-ORDER", "settled"), ("DATE-ORDER-UNDECIDED", "open")]
)
def test_rows_of_keys_and_of_orders_are_counted_alike(tmp_path: Path, rule: str, column: str) -> None:
    runner = profiled(make_sqlite(tmp_path / "visits.db", _ORDERED), tmp_path / "w")
    (finding,) = [f for f in runner.findings if (f.rule, f.column) == (rule, column)]
    shown = list(all_rows(runner.deployment, finding, limit=211))
    assert len(shown) == len({e.key for e in shown}) == finding.count > 250


def test_rows_that_repeat_a_key_are_those_after_the_first(troubled: Runner) -> None:
    severity = next(iter(troubled.findings)).severity
    repeated = Finding("KEY-DUPLICATE", severity, "", "", table="things", column="parent")
    shown = list(all_rows(troubled.deployment, repeated, limit=1000))
    assert len(shown) == 5000 - len({1, 2, 3, 77})
    assert {"rowid 1", "rowid 2", "rowid 3", "rowid 10"}.isdisjoint(e.key for e in shown)
