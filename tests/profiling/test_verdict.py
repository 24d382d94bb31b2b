"""Which type a column gets: lossless first, then as declared, then what serves the dashboards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sdetl_engine.values.types import Kind
from tests.profiling import measured

ISO = "2024-12-31 09:05:00"
UUID = "6f2c0ae0-4cf1-4d1c-9c1e-2b7d8a3f0c11"


@pytest.mark.parametrize(
    ("declared", "values", "chosen"),
    [
        # numbers
        ("INTEGER", [1, None, 2**40], "bigint"),
        ("BIGINT", [0, 1], "bigint"),
        ("INTEGER", [1, 2.5], "double precision"),
        ("INTEGER", [2**60 + 1, 2.5], "numeric"),
        ("INTEGER", [2**53, 2.5], "double precision"),
        ("INTEGER", [2**53 + 1, 2.5], "numeric"),
        ("INTEGER", [1e19], "double precision"),
        ("INTEGER", [-1e19], "double precision"),
        ("INTEGER", [1, float("inf")], "double precision"),
        ("INTEGER", [2**60 + 1, float("inf")], "text"),
        ("REAL", [4711.0, None], "double precision"),
        ("DECIMAL(10,2)", [1, 2.5, 3.25], "numeric(10,2)"),
        ("DECIMAL(10,2)", [1, 2, 300], "numeric(10,2)"),
        ("DECIMAL(10,2)", [1, 2.125], "numeric"),
        ("DECIMAL(5,2)", [1000], "numeric"),
        ("DECIMAL(5,2)", [0.1 + 0.2], "numeric"),
        ("DECIMAL", [1, 2.5], "numeric"),
        ("DECIMAL(10,2)", [float("inf"), 1.5], "double precision"),
        # dates
        ("TIMESTAMP", [ISO, "31/12/2024 9:05", "", None], "timestamp"),
        ("TIMESTAMP", ["2024-12-31", "2024-01-01"], "timestamp"),
        ("DATE", ["2024-12-31", "31/12/2024"], "date"),
        ("DATE", ["2024-12-31", ISO], "timestamp"),
        ("TEXT", [ISO] * 30, "timestamp"),
        ("TEXT", ["2024-12-31"] * 30, "date"),
        ("TEXT", ["2024-12-31T09:05:00Z", "2024-12-31 09:05:00+05:30"], "timestamptz"),
        ("DATETIME", ["2024-12-31T09:05:00Z", ISO], "text"),
        ("DATETIME", ["03/04/2024", "05/06/2024"], "text"),
        ("DATETIME", ["25/12/2024", "12/25/2024"], "text"),
        ("TEXT NOT NULL", [ISO] * 30 + [""], "text"),
        ("TEXT NOT NULL", [ISO] * 30, "timestamp"),
        ("TEXT", [ISO] * 30 + [""], "timestamp"),
        ("TEXT UNIQUE", ["2024-12-31", "2024-12-30"], "text"),
        ("TEXT", [ISO] * 6 + ["?"] * 4, "text"),
        # what only a declaration can ask for
        ("BOOLEAN", ["true", "FALSE", ""], "boolean"),
        ("BOOLEAN", [0, 1, None], "boolean"),
        ("BOOLEAN", ["Y", "n"], "boolean"),
        ("BOOLEAN", [0, 1, 2, -1], "bigint"),
        ("BOOLEAN", ["true", "no"], "text"),
        ("BOOLEAN", ["maybe", "perhaps"], "text"),
        ("JSON", ['{"a": 1}', "[]"], "json"),
        ("JSONB", ['{"b": 1, "a": 2}'], "json"),
        ("JSON", ["{}", "{"], "text"),
        ("UUID", [UUID], "uuid"),
        ("UUID", [UUID.upper()], "text"),
        ("UUID", [UUID, "none of it"], "text"),
        ("TIME", ["09:05", "23:59:59"], "time"),
        ("TIME", ["09:05", "25:00"], "text"),
        # text and bytes
        ("TEXT", ["007", "12"], "text"),
        ("TEXT", ["yes", "no"], "text"),
        ("VARCHAR(2)", ["longer than two"], "text"),
        ("TEXT", [b"\x00\x01", "a"], "bytea"),
        ("BLOB", ["dGV4dA==", "text"], "text"),
        ("BLOB", [b"\xff\x00"], "bytea"),
        ("BLOB", [b"\xff\x00", "text"], "bytea"),
        # no declared type
        ("", [1, 2], "bigint"),
        ("", [1, 2.5], "double precision"),
        ("", [2**60 + 1, 2.5], "numeric"),
        ("", ["a", "b"], "text"),
        ("", [1, "toto", 12.3], "text"),
        ("", [b"\x00"], "bytea"),
        ("", [b"\x00", "a", 1], "bytea"),
        ("STRING", ["a"], "text"),
        # nothing at all
        ("TIMESTAMP", [None, None], "timestamp"),
        ("", [None], "text"),
    ],
)
def test_the_type_holds_every_value_exactly(tmp_path: Path, declared: str, values: list[object], chosen: str) -> None:
    assert measured.column(tmp_path, declared, values).verdict().chosen == chosen


@pytest.mark.parametrize(
    ("declared", "values", "chosen"),
    [
        ("TIMESTAMP", [ISO] * 39 + ["rubbish"], "timestamp"),
        ("TEXT", [ISO] * 39 + ["rubbish"], "timestamp"),
        ("INTEGER", [*range(39), "lots"], "bigint"),
        ("INTEGER", [*range(38), 2.5, "lots"], "double precision"),
        ("BOOLEAN", ["true", "false"] * 20 + ["?"], "boolean"),
        ("TEXT", ["words"] * 39 + [b"\xff"], "text"),
    ],
)
def test_a_few_misfits_do_not_take_a_nullable_column_its_type(
    tmp_path: Path, declared: str, values: list[object], chosen: str
) -> None:
    found = measured.column(tmp_path, declared, values).verdict()
    assert (found.chosen, found.mismatched) == (chosen, False)
    assert "quarantine" in found.reason


@pytest.mark.parametrize(
    ("declared", "values", "chosen"),
    [
        ("TIMESTAMP NOT NULL", [ISO] * 39 + ["rubbish"], "text"),
        ("INTEGER NOT NULL", [*range(39), "lots"], "text"),
        ("INTEGER UNIQUE", [*range(39), "lots"], "text"),
        ("BOOLEAN NOT NULL", ["true", "false"] * 20 + ["?"], "text"),
        ("TEXT NOT NULL", ["words"] * 39 + [b"\xff"], "bytea"),
    ],
)
def test_where_no_null_may_be_the_whole_column_is_kept_as_it_is(
    tmp_path: Path, declared: str, values: list[object], chosen: str
) -> None:
    found = measured.column(tmp_path, declared, values).verdict()
    assert (found.chosen, found.mismatched) == (chosen, False)


@pytest.mark.parametrize(
    ("declared", "values", "chosen"),
    [
        ("TIMESTAMP", [ISO] * 18 + ["rubbish"] * 2, "text"),
        ("INTEGER", [10, "lots-of-it", 5], "text"),
        ("TIMESTAMP", [1627303906, 1627303907], "bigint"),
        ("DATETIME", [0, "2024-01-01 00:00:00", 2024], "text"),
    ],
)
def test_under_the_confidence_share_it_is_a_mismatch_and_loses_nothing(
    tmp_path: Path, declared: str, values: list[object], chosen: str
) -> None:
    found = measured.column(tmp_path, declared, values).verdict()
    assert (found.chosen, found.mismatched) == (chosen, True)


def test_exactly_the_confidence_share_is_enough(tmp_path: Path) -> None:
    assert not measured.column(tmp_path, "INTEGER", [*range(19), "x"]).verdict().mismatched
    assert measured.column(tmp_path, "INTEGER", [*range(18), "x"]).verdict().mismatched


def test_repairable_dates_are_no_mismatch(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "TIMESTAMP", ["31/12/2024 9:05"] * 20).verdict()
    assert (found.chosen, found.mismatched, found.corrupt_dates, found.day_first) == ("timestamp", False, 0, True)


def test_declared_marks_give_a_column_its_type_back(tmp_path: Path) -> None:
    values = [ISO] * 6 + ["?"] * 4
    assert measured.column(tmp_path, "TIMESTAMP", values).verdict().mismatched
    found = measured.column(tmp_path, "TIMESTAMP", values, marks=["t.c=?"]).verdict()
    assert (found.chosen, found.mismatched, found.corrupt_dates) == ("timestamp", False, 0)
    assert measured.column(tmp_path, "", [1, 2, "?"], marks=["*=?"]).verdict().chosen == "bigint"


def test_the_operator_settles_day_and_month_and_the_others_are_corrupt(tmp_path: Path) -> None:
    values = ["25/12/2024"] * 39 + ["12/25/2024"]
    assert measured.column(tmp_path, "DATE", values).verdict().chosen == "text"
    found = measured.column(tmp_path, "DATE", values, decided=True).verdict()
    assert (found.chosen, found.corrupt_dates, found.day_first) == ("date", 1, True)


def test_a_text_column_has_no_corrupt_dates(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "TEXT", [ISO] * 6 + ["?"] * 4).verdict()
    assert (found.observed, found.confidence, found.corrupt_dates) == (Kind.TIMESTAMP, 0.6, 0)


def test_the_plan_overrules_and_is_told_what_does_not_fit(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "TEXT", ["1", "2", "x"], types={"t.c": "bigint"}).verdict()
    assert (found.chosen, found.mismatched) == ("bigint", False)
    assert found.reason == "the plan says so; 1 value does not fit it"
    as_text = measured.column(tmp_path, "TIMESTAMP", ["x", "y"], types={"t.c": "text"}).verdict()
    assert (as_text.chosen, as_text.mismatched, as_text.corrupt_dates) == ("text", False, 0)


def test_many_decimals_are_not_proved_to_fit_a_size(tmp_path: Path) -> None:
    """PostgreSQL would round them: without proof every digit is kept."""
    sampled_whole = [n / 4 for n in range(100)]
    assert measured.column(tmp_path, "DECIMAL(10,2)", sampled_whole).verdict().chosen == "numeric(10,2)"
    assert measured.column(tmp_path, "DECIMAL(10,2)", [*sampled_whole, 1 / 8]).verdict().chosen == "numeric"


@pytest.mark.parametrize(
    ("declared", "usual", "odd_one", "chosen", "with_odd_one"),
    [
        ("DECIMAL(10,2)", lambda n: n / 4, 0.125, "numeric(10,2)", "numeric"),
        ("UUID", lambda n: f"6f2c0ae0-4cf1-4d1c-9c1e-{n:012x}", UUID.upper(), "uuid", "text"),
    ],
)
def test_what_the_sample_cannot_prove_the_scan_of_every_value_does(
    tmp_path: Path, declared: str, usual: Callable[[int], object], odd_one: object, chosen: str, with_odd_one: str
) -> None:
    longer_than_the_sample = [usual(n) for n in range(6000)]
    assert measured.column(tmp_path, declared, longer_than_the_sample).verdict().chosen == chosen
    for place in (0, 3000, 6000):
        odd = [*longer_than_the_sample[:place], odd_one, *longer_than_the_sample[place:]]
        assert measured.column(tmp_path, declared, odd).verdict().chosen == with_odd_one


def test_dates_in_a_key_stay_as_they_are(tmp_path: Path) -> None:
    script = "CREATE TABLE t (c TEXT PRIMARY KEY)"
    found = measured.table(tmp_path, script, {"t": [("2024-12-31",), ("2024-12-30",)]})
    assert found.verdict().chosen == "text"
