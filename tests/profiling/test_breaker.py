"""The circuit breaker: what is beyond repair halts, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdetl_engine.findings import Choice, Severity
from sdetl_engine.profiling import breaker
from sdetl_engine.profiling.facts import ColumnFacts, DateFacts, TableFacts, TypeVerdict
from sdetl_engine.values.types import Kind
from tests.profiling import measured

ISO = "2024-12-31 09:05:00"


def trip(*, columns: int = 10, mismatched: int = 0, rows: int = 100, corrupt: int = 0) -> breaker.BreakerVerdict:
    """A table of so many columns; the first is dated, and the first ``mismatched`` are not what they are declared."""
    dates = DateFacts({}, iso=rows - corrupt, convertible=0, unreadable=corrupt)
    facts = tuple(
        ColumnFacts("t", f"c{n}", rows, 0, texts=rows, misfits=rows, dates=dates if n == 0 else None)
        for n in range(columns)
    )
    verdicts = [
        TypeVerdict(
            "t", f"c{n}", "INTEGER", Kind.INTEGER, None, 1.0, "text", "", n < mismatched, corrupt if n == 0 else 0
        )
        for n in range(columns)
    ]
    tables = [TableFacts("t", rows, facts)]
    return breaker.evaluate(verdicts, tables, max_mismatched_columns=0.10, max_corrupt_dates=0.20)


def test_at_the_limit_nothing_trips_and_past_it_everything_does() -> None:
    assert not trip(columns=10, mismatched=0).tripped
    assert not trip(columns=10, mismatched=1).tripped
    assert trip(columns=10, mismatched=2).tripped
    assert not trip(corrupt=19).tripped
    assert not trip(corrupt=20).tripped
    assert trip(corrupt=21).tripped


@pytest.mark.parametrize("columns", range(10, 201, 10))
def test_a_tenth_is_a_tenth_in_floating_point_too(columns: int) -> None:
    assert not trip(columns=columns, mismatched=columns // 10).tripped
    assert trip(columns=columns, mismatched=columns // 10 + 1).tripped


def test_without_columns_or_rows_there_is_nothing_to_judge() -> None:
    nothing = breaker.evaluate([], [], max_mismatched_columns=0.0, max_corrupt_dates=0.0)
    assert (nothing.tripped, nothing.findings) == (False, ())
    assert [g.sentence for g in nothing.gauges] == ["there are no columns: nothing to judge"]
    assert not trip(rows=0).tripped
    assert all(g.measured == g.measured for g in trip(rows=0).gauges), "never NaN"


def test_it_halts_with_one_finding_for_each_mismatched_column() -> None:
    found = trip(columns=10, mismatched=3).findings
    assert [(f.rule, f.severity, f.column) for f in found] == [
        ("BREAKER-COLUMNS", Severity.HALT, name) for name in ("c0", "c1", "c2")
    ]
    assert found[0].message.startswith(
        "3 of 10 columns (30.0%) do not hold what they are declared as; the limit is 10%"
    )


def test_the_finding_names_column_count_mark_and_way_out(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "TIMESTAMP", [ISO] * 5 + ["?"] * 3).finding("BREAKER-DATES")
    assert found.message == "3 of 8 values (37.5%) in t.c cannot be read as a date; 3 of them are '?'; the limit is 20%"
    assert "--null-marker 't.c=?'" in found.advice
    assert (found.table, found.column, found.count, found.fraction) == ("t", "c", 3, 0.375)
    assert (found.suggestion, found.choices[0]) == ("?", Choice.MARK_MISSING)
    assert Choice.ACCEPT not in found.choices
    assert {e.value for e in found.evidence} == {"?"}


def test_dates_of_the_outvoted_order_are_named_and_shown(tmp_path: Path) -> None:
    values = ["25/12/2024"] * 7 + ["12/25/2024"] * 3
    found = measured.column(tmp_path, "DATE", values, decided=True).finding("BREAKER-DATES")
    assert found.count == 3
    assert "3 of them have day and month the other way round" in found.message
    assert {e.value for e in found.evidence} == {"12/25/2024"}
    other = measured.column(tmp_path, "DATE", ["12/25/2024"] * 7 + ["25/12/2024"] * 3, decided=False)
    assert {e.value for e in other.finding("BREAKER-DATES").evidence} == {"25/12/2024"}


def test_numbers_for_dates_are_explained_and_can_be_kept(tmp_path: Path) -> None:
    profiled = measured.column(tmp_path, "TIMESTAMP", [1627303906, 1627303907])
    found = profiled.finding("BREAKER-DATES")
    assert found.suggestion == "bigint"
    assert "--set 'load.types.t.c=bigint'" in found.advice
    assert not measured.column(tmp_path, "TIMESTAMP", [1627303906], types={"t.c": "bigint"}).judged.tripped


@pytest.mark.parametrize(
    "way_out", [{"marks": ["t.c=?"]}, {"types": {"t.c": "text"}}, {"left_out": ["t.c"]}], ids=lambda w: next(iter(w))
)
def test_every_way_out_of_a_halt_works(tmp_path: Path, way_out: dict[str, object]) -> None:
    values = [ISO] * 5 + ["?"] * 3
    assert measured.column(tmp_path, "TIMESTAMP", values).judged.tripped
    assert not measured.column(tmp_path, "TIMESTAMP", values, **way_out).judged.tripped


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("TIMESTAMP", ["31/12/2024 9:05"] * 9),
        ("TIMESTAMP", [""] * 9 + [ISO]),
        ("TEXT", [ISO] * 6 + ["?"] * 4),
        ("", [ISO] * 6 + ["on hold"] * 4),
    ],
)
def test_repairable_and_undeclared_dirt_never_halts(tmp_path: Path, declared: str, values: list[str]) -> None:
    assert not measured.column(tmp_path, declared, values).judged.tripped
