"""What SQLite measures of its own columns."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sdetl_engine.errors import Cancelled
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.sqlite.aggregates import aggregate_table
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.values.aggregates import Measure
from sdetl_engine.values.types import TargetType
from tests.postgres.loads import facts_of

MakeSqlite = Callable[[str], Path]


def measure(path: Path, target: str, *, rows: int = 1000, quarantined: bool = False) -> dict[str, object]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        table = read_schema(connection).table("t")
    wanted = [("c", None, TargetType.parse(target), quarantined)]
    (found,) = aggregate_table(path, table, wanted, distinct_rows=rows, reporter=SilentReporter())
    return {str(m): v for m, v in found.values.items()}


def stored(sqlite_file: MakeSqlite, *values: str, declared: str = "") -> Path:
    rows = ", ".join(f"({v})" for v in values)
    return sqlite_file(f"CREATE TABLE t (c {declared}); INSERT INTO t VALUES {rows}")


def test_sums_of_integers_are_exact_beyond_64_bits(sqlite_file: MakeSqlite) -> None:
    found = measure(stored(sqlite_file, "9223372036854775807", "9223372036854775807", "-1", "NULL"), "bigint")
    assert found == {
        "present": 3, "smallest": -1, "largest": 9223372036854775807, "total": 2 * 9223372036854775807 - 1, "distinct": 2,
    }  # fmt: skip


def test_sums_of_negative_integers_are_exact_too(sqlite_file: MakeSqlite) -> None:
    assert measure(stored(sqlite_file, *["-9223372036854775808"] * 3), "bigint")["total"] == -3 * 2**63


def test_moments_are_microseconds_since_1970(sqlite_file: MakeSqlite) -> None:
    found = measure(stored(sqlite_file, "'1970-01-01 00:00:01.5'", "'1969-12-31T23:59:59.999999'"), "timestamp")
    assert (found["smallest"], found["largest"], found["total"]) == (-1, 1_500_000, 1_499_999)


def test_texts_are_ordered_by_bytes_whatever_the_column_says(sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(
        "CREATE TABLE t (c TEXT COLLATE NOCASE); INSERT INTO t VALUES ('a'), ('A'), ('Z'), ('é'), ('z');"
    )
    with contextlib.closing(sqlite3.connect(path)) as connection:
        table = read_schema(connection).table("t")
    known = facts_of(rows=5, texts=5)
    wanted = [("c", known, TargetType.parse("text"), False)]
    (found,) = aggregate_table(path, table, wanted, distinct_rows=9, reporter=SilentReporter())
    assert found.values == {
        Measure.PRESENT: 5, Measure.SMALLEST: "A", Measure.LARGEST: "é", Measure.LENGTH: 5, Measure.DISTINCT: 5,
    }  # fmt: skip


def test_distinct_values_are_those_of_the_first_rows(sqlite_file: MakeSqlite) -> None:
    path = sqlite_file("CREATE TABLE t (c INTEGER); CREATE INDEX i ON t (c); INSERT INTO t VALUES (3), (3), (2), (1)")
    assert measure(path, "bigint", rows=2)["distinct"] == 1
    assert measure(path, "bigint", rows=4)["distinct"] == 3


def test_misfits_in_the_quarantine_do_not_count(sqlite_file: MakeSqlite) -> None:
    path = stored(sqlite_file, "1", "'x'", "''", "2.5", "x'00'")
    assert measure(path, "bigint", quarantined=True) == {
        "present": 1, "smallest": 1, "largest": 1, "total": 1, "distinct": 1,
    }  # fmt: skip


def test_measuring_can_be_cancelled(sqlite_file: MakeSqlite) -> None:
    path = stored(sqlite_file, "1")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        table = read_schema(connection).table("t")
    wanted = [("c", None, TargetType.parse("bigint"), False)]
    with pytest.raises(Cancelled):
        aggregate_table(path, table, wanted, distinct_rows=9, reporter=RecordingReporter(cancel_at_check=1))
