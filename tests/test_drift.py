"""A second quarter's source against what is live: what was gained, lost and changed is told before anything is loaded."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from sdetl_engine import ExitCode, Finding, Stage
from sdetl_engine.profiling.drift import ColumnState, DriftLimits, TableState, drift_findings
from tests.migrating import TICKETS, migrate

MakeSource = Callable[[str], Path]
LIMITS = DriftLimits(rows=0.5, nulls=0.1, categories=1)


def state(rows: int, **columns: tuple[str, int]) -> TableState:
    return TableState(rows, {name: ColumnState(*column) for name, column in columns.items()})


def told(
    live: dict[str, TableState],
    coming: dict[str, TableState],
    values: dict[tuple[str, str], tuple[str, ...]] | None = None,
) -> list[tuple[str, str | None, str | None]]:
    return [(f.rule, f.table, f.column) for f in drift_findings(live, coming, values or {}, LIMITS)]


def test_the_same_data_has_no_drift() -> None:
    desk = {"t": state(100, a=("text", 5))}
    assert told(desk, desk) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (100, 150, []),
        (100, 151, ["DRIFT-ROWS-MORE"]),
        (100, 50, []),
        (100, 49, ["DRIFT-ROWS-LOST"]),
        (100, 0, ["DRIFT-ROWS-LOST"]),
        (0, 1, ["DRIFT-ROWS-MORE"]),
        (0, 0, []),
    ],
)
def test_rows_may_change_by_the_limit(before: int, after: int, expected: list[str]) -> None:
    assert [rule for rule, _, _ in told({"t": state(before)}, {"t": state(after)})] == expected


@pytest.mark.parametrize(
    ("before", "after", "jumped"), [(10, 20, False), (10, 21, True), (90, 79, True), (0, 10, False)]
)
def test_missing_values_may_change_by_the_limit(before: int, after: int, jumped: bool) -> None:
    found = told({"t": state(100, a=("text", before))}, {"t": state(100, a=("text", after))})
    assert (found == [("DRIFT-NULLS", "t", "a")]) is jumped


def test_an_empty_table_has_no_share_of_missing_values() -> None:
    assert [r for r, _, _ in told({"t": state(100, a=("text", 0))}, {"t": state(0, a=("text", 0))})] == [
        "DRIFT-ROWS-LOST"
    ]


def test_names_and_types_are_compared() -> None:
    live = {"t": state(9, a=("text", 0), b=("bigint", 0)), "gone": state(3)}
    coming = {"t": state(9, b=("text", 0), c=("text", 0)), "fresh": state(4)}
    assert told(live, coming) == [
        ("DRIFT-TABLE-LOST", "gone", None),
        ("DRIFT-TABLE-NEW", "fresh", None),
        ("DRIFT-COLUMN-LOST", "t", "a"),
        ("DRIFT-COLUMN-NEW", "t", "c"),
        ("DRIFT-TYPE", "t", "b"),
    ]


NEXT_QUARTER = """
ALTER TABLE tickets ADD COLUMN satisfaction INTEGER;
ALTER TABLE tickets DROP COLUMN code;
UPDATE tickets SET closed = NULL WHERE id > 100;
UPDATE tickets SET state = 'escalated' WHERE id = 7;
DELETE FROM comments WHERE id > 100;
CREATE TABLE surveys (id INTEGER PRIMARY KEY);
"""


def test_a_run_compares_with_what_is_live(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    quarter = TICKETS + "ALTER TABLE tickets ADD COLUMN state TEXT; UPDATE tickets SET state = 'open';"
    first = migrate(sqlite_file(quarter), database, tmp_path / "w", skip_canary=True)
    assert not [r for r in first.rules if r.startswith("DRIFT")]
    same = migrate(tmp_path / "source.db", database, tmp_path / "w", until=Stage.PROFILE)
    assert not [r for r in same.rules if r.startswith("DRIFT")]

    with sqlite3.connect(tmp_path / "source.db") as connection:
        connection.executescript(NEXT_QUARTER)
    ended = migrate(tmp_path / "source.db", database, tmp_path / "w", until=Stage.PROFILE, agreed=False)

    found = {(f["rule"], f.get("table"), f.get("column")): f for f in ended.document["findings"]}
    drift = {key for key in found if key[0].startswith("DRIFT")}
    assert drift == {
        ("DRIFT-TABLE-NEW", "surveys", None),
        ("DRIFT-COLUMN-LOST", "tickets", "code"),
        ("DRIFT-COLUMN-NEW", "tickets", "satisfaction"),
        ("DRIFT-NULLS", "tickets", "closed"),
        ("DRIFT-CATEGORY", "tickets", "state"),
        ("DRIFT-ROWS-LOST", "comments", None),
    }
    assert ended.outcome.exit_code is ExitCode.GATE
    log = ended.runner.deployment.folder.log.read_text() + ended.runner.deployment.folder.journal.read_text()
    assert "escalated" not in log


def test_drift_against_a_schema_that_nobody_managed(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE SCHEMA servicedesk CREATE TABLE tickets (id int, title text) CREATE TABLE old (a int)"
        )
    ended = migrate(sqlite_file(TICKETS), database, tmp_path / "w", until=Stage.PROFILE)
    assert {"DRIFT-TABLE-LOST", "DRIFT-TYPE", "DRIFT-COLUMN-NEW", "DRIFT-ROWS-MORE"} <= ended.rules
    quiet = migrate(
        tmp_path / "source.db", database, tmp_path / "w", until=Stage.PROFILE, settings=("drift.compare=false",)
    )
    assert not [r for r in quiet.rules if r.startswith("DRIFT")]


def _evidence(found: tuple[Finding, ...]) -> list[str]:
    return [e.value for f in found for e in f.evidence]


def test_new_values_are_evidence_and_stand_in_no_message() -> None:
    desk = {"t": state(9, a=("text", 0))}
    found = drift_findings(desk, desk, {("t", "a"): ("x\x1b", "y")}, LIMITS)
    assert _evidence(found) == ["x\\x1b", "y"]
    assert "2 values of t.a are new" in found[0].message
