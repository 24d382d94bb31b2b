"""What an operator agrees to is carried out from the profile to the diff, and nothing of it unasked."""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sdetl_engine import (
    Choice,
    Decision,
    SilentReporter,
    Stage,
    UsageError,
    Workspace,
    diff,
    load_settings,
    open_session,
    start_run,
)
from sdetl_engine.sqlite import iso
from sdetl_engine.values.agreement import Agreement, NumberUnit
from tests.conftest import make_sqlite
from tests.migrating import Ended, finish, migrate

VISITS = """
CREATE TABLE visits (id INTEGER PRIMARY KEY, s INTEGER, ms INTEGER, jd REAL, digits INTEGER, stamp TIMESTAMP, short TEXT,
                     day TEXT, local TEXT, note TEXT, body TEXT, bytes TEXT, aside TEXT);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
INSERT INTO visits SELECT i, 1700000000 + i, 1700000000123 + i * 1000, 2460000.5 + i, 20240101 + i % 28, 1700000000 + i,
  printf('%d/%d/%02d 9:05', 1 + i % 28, 1 + i % 12, i), printf('%d-MAR-%02d', 1 + i % 28, i % 30),
  printf('2024-%02d-%02d 12:00:00', 1 + i % 12, 1 + i % 28), 'note', 'body', 'bytes', 'aside' FROM n;
UPDATE visits SET s = '' WHERE id = 2;
UPDATE visits SET s = 'soon' WHERE id = 3;
UPDATE visits SET s = 1700000000.5 WHERE id = 4;
UPDATE visits SET s = 0 WHERE id = 5;
UPDATE visits SET local = '2024-03-31 02:30:00' WHERE id = 6;
UPDATE visits SET local = '2024-10-27 02:30:00' WHERE id = 7;
UPDATE visits SET local = '2024-07-01T10:00:00Z' WHERE id = 8;
UPDATE visits SET body = CAST(x'636166e9' AS TEXT) WHERE id = 9;
UPDATE visits SET body = 'a' || char(0) || 'b' WHERE id = 10;
UPDATE visits SET note = CAST(x'6100e9' AS TEXT) WHERE id = 11;
UPDATE visits SET bytes = CAST(x'ff00fe' AS TEXT) WHERE id = 12;
UPDATE visits SET local = '2024-12-31 24:00:00' WHERE id = 14;
UPDATE visits SET local = '2016-12-31 23:59:60' WHERE id = 15;
UPDATE visits SET aside = CAST(x'ff00fe' AS TEXT) WHERE id = 13;
"""
UNITS = (
    "visits.s=seconds",
    "visits.ms=milliseconds",
    "visits.jd=julian-days",
    "visits.digits=digits",
    "visits.stamp=seconds",
)
AGREED = (
    f"clean.numbers_as_dates={json.dumps(UNITS)}",
    'clean.two_digit_years=["visits.short=1970", "visits.day=1950"]',
    'clean.day_first=["visits.short"]',
    'clean.time_zones=["*=Europe/Berlin"]',
    'clean.roll_over=["visits.local"]',
    'clean.decode=["visits.body=cp1252", "visits.body=strip-nul", "visits.note=escape"]',
    "load.types.visits.bytes=bytea",
    "load.types.visits.stamp=timestamp",
)


def _equal(source: Path, conninfo: str, workspace: Path) -> bool:
    settings = load_settings()
    with open_session(Workspace(workspace), conninfo, settings) as session:
        return diff(Workspace(workspace), session, settings, source, SilentReporter()).equal


def test_what_is_agreed_arrives_and_the_ledger_accounts_for_it(database: str, tmp_path: Path) -> None:
    source = make_sqlite(tmp_path / "s.db", VISITS)
    ended = migrate(source, database, tmp_path / "w", settings=AGREED, markers=("visits.s=1970-01-01 00:00:00",))
    assert ended.document["outcome"] == "live", ended.document["error"]
    types = {name: column["chosen"] for name, column in ended.document["types"]["visits"].items()}
    assert [types[c] for c in ("s", "ms", "jd", "short", "local")] == ["timestamptz"] * 5
    assert [types[c] for c in ("digits", "day", "stamp", "bytes", "note")] == [
        "date",
        "date",
        "timestamp",
        "bytea",
        "text",
    ]
    assert ended.document["ledger"]["by_rule"] == {
        "number_to_date": 57 + 60 * 4,
        "mark_to_null": 1,
        "empty_to_null": 1,
        "date_to_iso": 60,
        "zone_named": 60 + 59,
        "text_decoded": 3,
    }
    seen = {
        (1, "s"): _utc("2023-11-14 22:13:21"),
        (2, "s"): None,
        (3, "s"): None,
        (4, "s"): _utc("2023-11-14 22:13:20.5"),
        (5, "s"): None,
        (1, "ms"): _utc("2023-11-14 22:13:21.123"),
        (1, "jd"): _utc("2023-02-26"),
        (1, "digits"): datetime.date(2024, 1, 2),
        (1, "stamp"): datetime.datetime(2023, 11, 14, 22, 13, 21),  # noqa: DTZ001 - a clock's time
        (1, "short"): _utc("2001-02-02 08:05"),
        (1, "day"): datetime.date(2001, 3, 2),
        (6, "local"): _utc("2024-03-31 01:30"),
        (7, "local"): _utc("2024-10-27 01:30"),
        (8, "local"): _utc("2024-07-01 10:00"),
        (14, "local"): _utc("2024-12-31 23:00"),
        (15, "local"): _utc("2016-12-31 23:00"),
        (9, "body"): "café",
        (10, "body"): "ab",
        (11, "note"): "a\\x00\\xe9",
        (12, "bytes"): b"\xff\x00\xfe",
        (13, "aside"): None,
    }
    with psycopg.connect(database) as connection:
        columns = [c.name for c in connection.execute("SELECT * FROM servicedesk.visits").description or ()]
        rows = {row[0]: dict(zip(columns, row, strict=True)) for row in connection.execute("TABLE servicedesk.visits")}
        aside = connection.execute(
            f'SELECT "column", raw FROM {ended.document["target"]["version_schema"]}_quarantine.cells ORDER BY 1'
        ).fetchall()
    assert {key: rows[key[0]][key[1]] for key in seen} == seen
    assert aside == [("aside", b"\xff\x00\xfe"), ("s", b"soon")]
    assert _equal(source, database, tmp_path / "w")


def _utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def test_nothing_is_a_date_unasked(database: str, tmp_path: Path) -> None:
    source = make_sqlite(tmp_path / "s.db", VISITS)
    until = ("gates.max_corrupt_dates=1", "gates.max_mismatched_columns=1", "gates.min_score=0")
    ended = migrate(source, database, tmp_path / "w", settings=until, skip_canary=True)
    types = {name: column["chosen"] for name, column in ended.document["types"]["visits"].items()}
    assert [types[c] for c in ("ms", "jd", "digits", "stamp")] == ["bigint", "double precision", "bigint", "bigint"]
    assert [types[c] for c in ("short", "day", "local", "body")] == ["text"] * 4
    assert _equal(source, database, tmp_path / "w")


def _decided(source: Path, workspace: Path, *decisions: Decision) -> Ended:
    runner = start_run(Workspace(workspace), source, None, load_settings())
    for decision in decisions:
        runner.deployment.decide(decision)
    return finish(runner, Stage.PROFILE, agreed=False)


@pytest.mark.parametrize(
    ("rule", "choice", "argument", "column", "becomes"),
    [
        ("DATE-NUMBERS", Choice.READ_NUMBERS, "seconds", "stamp", "timestamptz"),
        ("DATE-SHORT-YEARS", Choice.READ_YEARS, "1970", "day", "date"),
        ("DATE-ZONES-MIXED", Choice.NAME_ZONE, "Europe/Berlin", "local", "timestamptz"),
        ("TEXT-UNLOADABLE", Choice.KEEP_BYTES, None, "bytes", "bytea"),
        ("TEXT-UNLOADABLE", Choice.DECODE, "escape", "note", "text"),
    ],
)
def test_a_decision_settles_the_finding_that_offers_it(
    tmp_path: Path, rule: str, choice: Choice, argument: str | None, column: str, becomes: str
) -> None:
    source = make_sqlite(tmp_path / "s.db", VISITS)
    before = _decided(source, tmp_path / "before")
    (offered,) = [f for f in before.runner.records[2].findings if (f.rule, f.column) == (rule, column)]
    assert choice in offered.choices
    after = _decided(source, tmp_path / "after", Decision(rule, choice, "we asked", "visits", column, argument))
    assert (rule, column) not in {(f.rule, f.column) for f in after.runner.records[2].findings}
    assert after.document["types"]["visits"][column]["chosen"] == becomes


def test_a_decision_whose_argument_cannot_be_is_not_recorded(tmp_path: Path) -> None:
    source = make_sqlite(tmp_path / "s.db", VISITS)
    with pytest.raises(UsageError, match="count no 'fortnights'"):
        _decided(
            source, tmp_path / "w", Decision("DATE-NUMBERS", Choice.READ_NUMBERS, "so", "visits", "ms", "fortnights")
        )


@pytest.mark.parametrize(
    "assignment",
    [
        'clean.numbers_as_dates=["t.c=fortnights"]',
        'clean.two_digit_years=["t.c=70"]',
        'clean.time_zones=["t.c=Mars/Olympus"]',
        'clean.decode=["t.c=cp9999"]',
        'clean.decode=["cp1252"]',
    ],
)
def test_an_agreement_that_cannot_be_is_wrong_use(assignment: str) -> None:
    with pytest.raises(UsageError):
        load_settings(assignments=(assignment,))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("CREATE TABLE t (c INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1700000000, 1)", "is part of a key"),
        ("CREATE TABLE t (c INTEGER) STRICT; INSERT INTO t VALUES (1700000000)", "STRICT"),
        ("CREATE TABLE t (d INTEGER); INSERT INTO t VALUES (1700000000)", "names no column"),
    ],
)
def test_an_agreement_that_nobody_could_carry_out_is_refused(tmp_path: Path, script: str, said: str) -> None:
    source = make_sqlite(tmp_path / "s.db", script)
    ended = migrate(
        source, None, tmp_path / "w", until=Stage.PROFILE, settings=('clean.numbers_as_dates=["t.c=seconds"]',)
    )
    error: dict[str, Any] = ended.document["error"]
    assert ended.document["exit_code"] == 2
    assert said in error["message"]


def test_what_sql_makes_of_numbers_is_what_the_rule_makes_of_them() -> None:
    """SQLite writes the dates of common numbers itself; the others are left to the rule."""
    numbers = (
        0,
        1,
        999,
        1_700_000_000,
        1_700_000_000_123,
        1_700_000_000_123_456,
        1_700_000_000_123_456_789,
        -1,
        2**63 - 1,
    )
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        iso.register(connection)
        for unit in NumberUnit:
            for form in ("instant", "clock", "day"):
                agreed = Agreement.parse(f"{unit}||||{form}")
                for number in numbers:
                    (made,) = connection.execute(f"SELECT {iso.to_iso('?1', None, agreed)}", (number,)).fetchone()
                    assert made == agreed.iso(number, None), (unit, form, number)
