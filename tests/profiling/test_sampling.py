"""What a sample says about a column."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sdetl_engine.profiling.facts import SampleVerdict
from sdetl_engine.profiling.sampling import judge_sample, proposals
from sdetl_engine.values.schema import Column, Table
from sdetl_engine.values.types import Kind

ISO = "2024-12-31 09:05:00"


def judge(declared: str, values: Sequence[object], marks: tuple[str, ...] = ()) -> SampleVerdict:
    table = Table("t", (Column("c", declared),))
    return judge_sample([(v,) for v in values], table.columns, markers={"c": marks}, confidence=0.95)["c"]


@pytest.mark.parametrize(
    ("declared", "values", "observed"),
    [
        ("TEXT", ["007", "12", "3"], Kind.TEXT),
        ("TEXT", ["20240102", "20240103"], Kind.TEXT),
        ("TEXT", ["yes", "no"], Kind.TEXT),
        ("TEXT", [ISO, "31/12/2024 9:05"], Kind.TIMESTAMP),
        ("TEXT", ["2024-12-31", "2024-01-01"], Kind.DATE),
        ("TEXT", ["2024-12-31T09:05:00Z"], Kind.TIMESTAMPTZ),
        ("TIMESTAMP", ["31/12/2024 9:05"], Kind.TIMESTAMP),
        ("INTEGER", [0, 1], Kind.INTEGER),
        ("INTEGER", [1704067200, 1704067201], Kind.INTEGER),
        ("BOOLEAN", ["true", "false"], Kind.BOOLEAN),
        ("BOOLEAN", [0, 1], Kind.BOOLEAN),
        ("REAL", [1.0, 2.5], Kind.DOUBLE),
        ("DECIMAL(10,2)", [1, 2.5], Kind.NUMERIC),
        ("BLOB", [b"\x00\x01"], Kind.BYTES),
        ("JSON", ['{"a": 1}', "[]"], Kind.JSON),
        ("TIME", ["09:05", "23:59:59"], Kind.TIME),
        ("UUID", ["6f2c0ae0-4cf1-4d1c-9c1e-2b7d8a3f0c11"], Kind.UUID),
        ("", [1, 2], Kind.INTEGER),
        ("", [1, 2.5], Kind.DOUBLE),
        ("", ["a", "b"], Kind.TEXT),
        ("", [ISO], Kind.TIMESTAMP),
        ("", [b"\x00"], Kind.BYTES),
    ],
)
def test_values_are_taken_for_what_they_are(declared: str, values: list[object], observed: Kind) -> None:
    found = judge(declared, values)
    assert (found.observed, found.confidence) == (observed, 1.0)


def test_a_column_without_values_shows_nothing() -> None:
    found = judge("TEXT", [None, "", "?"], marks=("?",))
    assert (found.observed, found.confidence, found.rows, found.missing) == (None, 0.0, 3, 3)


def test_the_confidence_is_the_share_that_reads_so() -> None:
    found = judge("TIMESTAMP", [ISO] * 3 + ["rubbish"])
    assert (found.observed, found.confidence) == (Kind.TIMESTAMP, 0.75)


def test_a_text_column_with_some_dates_is_a_text_column() -> None:
    found = judge("TEXT", [ISO] * 6 + ["on hold"] * 4)
    assert (found.observed, found.confidence) == (Kind.TEXT, 1.0)


def test_so_is_a_column_without_type_of_which_most_values_are_dates() -> None:
    assert judge("", [ISO] * 6 + ["on hold"] * 4).observed is Kind.TEXT


def test_marks_for_missing_hide_no_dates_but_lower_the_confidence() -> None:
    found = judge("TEXT", [ISO] * 6 + ["?"] * 4)
    assert (found.observed, found.confidence, found.missing_marks) == (Kind.TIMESTAMP, 0.6, {"?": 4})


def test_declared_marks_are_missing_and_nothing_else() -> None:
    found = judge("TEXT", [ISO] * 6 + ["?"] * 4, marks=("?",))
    assert (found.observed, found.confidence, found.missing, found.missing_marks) == (Kind.TIMESTAMP, 1.0, 4, {})


def test_marks_among_texts_are_texts() -> None:
    found = judge("TEXT", ["a", "b", "N/A"])
    assert (found.observed, found.confidence, found.missing_marks) == (Kind.TEXT, 1.0, {"N/A": 1})


def test_nothing_but_marks_is_text() -> None:
    found = judge("TEXT", ["?", "?"])
    assert (found.observed, found.confidence) == (Kind.TEXT, 1.0)


def test_texts_that_are_not_utf8_do_not_stop_the_sample() -> None:
    assert judge("TEXT", ["caf\udce9"]).observed is Kind.TEXT


@pytest.mark.parametrize(
    ("declared", "values", "asked"),
    [
        ("TIMESTAMP", ["x"], Kind.TIMESTAMP),
        ("BOOLEAN", ["x"], Kind.BOOLEAN),
        ("INTEGER", ["x"], Kind.INTEGER),
        ("TEXT", [ISO], Kind.TIMESTAMP),
        ("TEXT", ["12"], Kind.TEXT),
        ("", [12], Kind.INTEGER),
        ("", [None], Kind.TEXT),
        ("JSONB", ["{}"], Kind.JSON),
    ],
)
def test_the_scan_asks_for_what_is_declared_or_else_observed(declared: str, values: list[object], asked: Kind) -> None:
    table = Table("t", (Column("c", declared),))
    samples = judge_sample([(v,) for v in values], table.columns, markers={}, confidence=0.95)
    assert proposals(table, samples) == {"c": asked}
