"""The score: what it counts, what it leaves out, and receipts that add up."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdetl_engine.profiling.facts import ColumnFacts, DateFacts, KeyFacts, TableFacts, TypeVerdict
from sdetl_engine.quality.score import DIMENSIONS, Dimension, Score, score
from sdetl_engine.values.types import Kind
from tests.profiling import measured

ISO = "2024-12-31 09:05:00"
WEIGHTS: Mapping[str, float] = {
    "completeness": 40,
    "validity": 30,
    "consistency": 20,
    "uniqueness": 5,
    "integrity": 5,
}


def before(profiled: measured.Profiled) -> Score:
    return score(profiled.tables, profiled.verdicts, profiled.relation_facts, WEIGHTS, profiled.schema)


def after(profiled: measured.Profiled, folder: Path, marks: tuple[str, ...] = ()) -> Score:
    tables = measured.cleaned(profiled, folder, marks)
    return score(tables, profiled.verdicts, profiled.relation_facts, WEIGHTS, profiled.schema)


def part(found: Score, dimension: str) -> tuple[int, int]:
    return found.dimensions[dimension].assessed, found.dimensions[dimension].failed


def test_a_clean_table_loses_nothing(tmp_path: Path) -> None:
    found = before(measured.column(tmp_path, "TIMESTAMP", [ISO] * 9))
    assert (found.total, found.receipts) == (100.0, ())


def test_a_dimension_with_nothing_to_assess_is_left_out_of_the_weights(tmp_path: Path) -> None:
    """Texts only: validity, consistency and integrity say nothing; half of the keyless rows are there twice."""
    found = before(measured.table(tmp_path, "CREATE TABLE t (c TEXT)", {"t": [("a",), ("a",)]}))
    assert {name for name, d in found.dimensions.items() if d.score is None} == {"validity", "consistency", "integrity"}
    assert found.total == pytest.approx(100 - 100 * 5 / 45 / 2)


@pytest.mark.parametrize("script", ["", "CREATE TABLE t (c TEXT)"])
def test_nothing_to_assess_is_no_success(tmp_path: Path, script: str) -> None:
    found = before(measured.table(tmp_path, script, {}))
    assert (found.total, found.receipts, found.is_empty) == (0.0, (), True)


def test_cleaning_repairs_dates_empties_and_marks(tmp_path: Path) -> None:
    values = [ISO, "31/12/2024 9:05", "", "?", ISO]
    profiled = measured.column(tmp_path, "TIMESTAMP", values, marks=["*=?"])
    assert part(before(profiled), "validity") == (10, 3)
    assert part(before(profiled), "consistency") == (3, 1)
    clean = after(profiled, tmp_path, ("*=?",))
    assert part(clean, "validity") == (8, 0)
    assert part(clean, "consistency") == (3, 0)


def test_what_cleaning_cannot_repair_stays_failed(tmp_path: Path) -> None:
    profiled = measured.column(tmp_path, "TIMESTAMP", [ISO] * 39 + ["rubbish"])
    assert part(before(profiled), "validity")[1] == part(after(profiled, tmp_path), "validity")[1] == 1


def test_outvoted_dates_are_misfits_of_the_cleaned_file(tmp_path: Path) -> None:
    """Else the load takes them for dates, and they become NULL without a trace."""
    profiled = measured.column(tmp_path, "DATE", ["25/12/2024"] * 39 + ["12/25/2024"], decided=True)
    facts = measured.cleaned(profiled, tmp_path)[0].column("c")
    assert (facts.misfits, facts.texts) == (1, 40)
    assert part(score([TableFacts("t", 40, (facts,))], profiled.verdicts, (), WEIGHTS), "validity") == (40, 1)


def test_half_empty_optional_columns_cost_nothing(tmp_path: Path) -> None:
    found = before(measured.column(tmp_path, "TEXT", ["x"] * 5 + [None] * 5))
    assert part(found, "completeness") == (10, 0), "the id alone ought to be full"


def test_nearly_full_columns_ought_to_be_full(tmp_path: Path) -> None:
    found = before(measured.column(tmp_path, "TEXT", ["x"] * 95 + [None] * 5))
    assert part(found, "completeness") == (200, 5)
    assert part(before(measured.column(tmp_path, "TEXT", ["x"] * 94 + [None] * 6)), "completeness") == (100, 0)


@pytest.mark.parametrize(
    ("name", "ought"),
    [
        ("created_at", True),
        ("sys_created_at", True),
        ("TKT-Created Time", True),
        ("closed_at", False),
        ("recreated", False),
    ],
)
def test_the_date_on_which_a_row_began_ought_to_be_there(tmp_path: Path, name: str, ought: bool) -> None:
    rows = [(ISO,)] * 5 + [(None,)] * 5
    found = before(measured.table(tmp_path, f'CREATE TABLE t ("{name}" TIMESTAMP)', {"t": rows}))
    assert part(found, "completeness") == ((10, 5) if ought else (0, 0))


@pytest.mark.parametrize(
    ("declared", "values", "ought"),
    [
        ("TEXT", ["Bo"] * 5 + [None] * 5, False),
        ("TIMESTAMP", [None] * 10, False),
        ("TIMESTAMP", ["rubbish"] * 5 + [None] * 5, True),
    ],
    ids=["who, not when", "a column that nobody fills", "declared a date and none"],
)
def test_only_dates_that_are_kept_at_all_ought_to_be_there(
    tmp_path: Path, declared: str, values: list[str | None], ought: bool
) -> None:
    rows = [(v,) for v in values]
    found = before(measured.table(tmp_path, f"CREATE TABLE t (created {declared})", {"t": rows}))
    assert part(found, "completeness") == ((10, 5) if ought else (0, 0))


def test_the_score_of_a_dimension_is_the_share_that_did_not_fail() -> None:
    assert Dimension(30, 200, 20).score == pytest.approx(0.9)
    assert Dimension(30, 0, 0).score is None


def test_a_not_null_column_ought_to_be_full(tmp_path: Path) -> None:
    values = [1] * 5 + [""] * 5
    assert part(before(measured.column(tmp_path, "INTEGER NOT NULL", values)), "completeness") == (20, 5)
    assert part(before(measured.column(tmp_path, "INTEGER", values)), "completeness") == (10, 0)


def test_unique_columns_may_be_empty_and_primary_keys_may_not(tmp_path: Path) -> None:
    rows = [("a",), (None,), (None,)]
    unique = before(measured.table(tmp_path, "CREATE TABLE t (c TEXT UNIQUE)", {"t": rows}))
    assert part(unique, "completeness") == (0, 0)
    primary = before(measured.table(tmp_path, "CREATE TABLE t (c TEXT PRIMARY KEY)", {"t": rows}))
    assert part(primary, "completeness") == (3, 2)
    assert part(primary, "uniqueness")[1] == 1 + 2, "a repeated row, and two rows without a key"


def test_fractions_and_bare_days_are_still_one_way_to_write_a_date(tmp_path: Path) -> None:
    values = [ISO, ISO + ".123456", "2024-12-31", "2024-12-31T09:05:00"]
    assert part(before(measured.column(tmp_path, "DATETIME", values)), "consistency") == (4, 0)


def test_dates_in_the_future_are_inconsistent(tmp_path: Path) -> None:
    found = before(measured.column(tmp_path, "DATE", ["2024-01-01", "2026-07-20"]))
    assert part(found, "consistency") == (2, 1)


def test_only_declared_orphans_cost_points(tmp_path: Path) -> None:
    relation = KeyFacts("t", ("c",), "relation", 100, orphan_rows=90, parent="p", parent_columns=("id",))
    declared = score([], [], [relation], WEIGHTS)
    assert declared.total == pytest.approx(10.0)
    assert part(declared, "integrity") == (100, 90)
    assert score([], [], [dataclasses.replace(relation, origin="inferred")], WEIGHTS).is_empty


def test_a_column_that_is_left_out_is_not_assessed(tmp_path: Path) -> None:
    found = before(measured.column(tmp_path, "INTEGER", ["x"], left_out=["t.c"]))
    assert part(found, "validity") == (1, 0)


counts = st.integers(0, 1000)


@given(
    st.lists(st.tuples(counts, counts, counts, counts, counts), max_size=5),
    st.lists(st.tuples(counts, counts), max_size=3),
    st.fixed_dictionaries({name: st.floats(0, 100) for name in DIMENSIONS}),
)
def test_receipts_add_up_to_the_points_lost(
    columns: list[tuple[int, int, int, int, int]],
    relations: list[tuple[int, int]],
    weights: dict[str, float],
) -> None:
    facts, verdicts = [], []
    for number, (iso, convertible, unreadable, nulls, future) in enumerate(columns):
        dates = DateFacts({"a": iso, "b": convertible}, iso, convertible, unreadable, future=future)
        texts = iso + convertible + unreadable
        one = ColumnFacts(
            f"t{number}",
            "created",
            texts + nulls,
            nulls,
            texts=texts,
            proposed=Kind.TIMESTAMP,
            misfits=unreadable,
            dates=dates,
        )
        facts.append(TableFacts(one.table, one.rows, (one,), duplicate_rows=one.rows // 3))
        verdicts.append(TypeVerdict(one.table, one.column, "", None, None, 1.0, "timestamp", ""))
    ends = [KeyFacts("t", ("c",), "relation", a + b, orphan_rows=b, parent="p") for a, b in relations]
    found = score(facts, verdicts, ends, weights)
    assert 0.0 <= found.total <= 100.0
    if not found.is_empty:
        assert found.total == pytest.approx(100.0 - sum(r.points for r in found.receipts), abs=1e-9)
    assert all(r.win_back == r.points > 0 and r.count > 0 for r in found.receipts)


def test_the_incident_log_is_dirty_before_and_good_after(tmp_path: Path) -> None:
    """Every tenth of its 141,712 rows: five date columns as D/M/YYYY, and ``?`` for missing."""
    packed = measured.real("itsm/incident_event_log.db.gz", tmp_path)
    path = tmp_path / "incidents.db"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM incidents WHERE rowid % 10 > 0")
        connection.commit()
    profiled = measured.profile(path, marks=["*=?"])
    assert not profiled.judged.tripped
    chosen = {v.column: v.chosen for v in profiled.verdicts}
    assert {name for name, kind in chosen.items() if kind == "timestamp"} == {
        *("opened_at", "sys_created_at", "sys_updated_at", "resolved_at", "closed_at")
    }
    assert chosen["active"] == chosen["made_sla"] == "boolean"
    assert chosen["number"] == chosen["incident_state"] == "text"
    dirty, good = before(profiled), after(profiled, tmp_path, ("*=?",))
    assert dirty.total < 90
    assert good.total > 95
    assert part(good, "validity")[1] == 0
