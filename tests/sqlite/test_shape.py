"""What leaves SQLite for each type: the numbers and bytes that PostgreSQL's binary COPY wants."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdetl_engine.profiling.facts import ColumnFacts, DateFacts
from sdetl_engine.sqlite.shape import Wire, column_shape, fits_target_sql, open_for_load
from sdetl_engine.values.types import Kind, TargetType
from tests.conftest import make_sqlite

MakeSqlite = Callable[[str], Path]


def facts(**counts: int) -> ColumnFacts:
    return ColumnFacts("t", "c", rows=1, nulls=0, **counts)  # type: ignore[arg-type]


def shaped(path: Path, target: str, known: ColumnFacts | None = None, *, quarantine: bool = False) -> list[object]:
    shape = column_shape("c", TargetType.parse(target), known, quarantine_misfits=quarantine)
    with contextlib.closing(open_for_load(path)) as connection:
        values = [row[0] for row in connection.execute(f"SELECT {shape.expression} FROM t")]
    convert = shape.convert
    return values if convert is None else [None if v is None else convert(v) for v in values]


def stored(sqlite_file: MakeSqlite, *values: str) -> Path:
    return sqlite_file("CREATE TABLE t (c); INSERT INTO t VALUES " + ", ".join(f"({v})" for v in values))


START = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(moments=st.lists(st.datetimes(), min_size=1, max_size=20), separator=st.sampled_from(" T"))
def test_any_moment_is_its_microseconds_since_2000(
    tmp_path_factory: pytest.TempPathFactory, moments: list[datetime], separator: str
) -> None:
    texts = [moment.isoformat(separator) for moment in moments]
    path = stored(lambda script: make_sqlite(tmp_path_factory.mktemp("m") / "s.db", script), *(f"'{t}'" for t in texts))
    assert shaped(path, "timestamp") == [(m.replace(tzinfo=UTC) - START) // MICROSECOND for m in moments]
    assert shaped(path, "timestamptz") == shaped(path, "timestamp")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-01-01 01:00:00+05:30", "2023-12-31 19:30:00"),
        ("2024-01-01T01:00-03:00", "2024-01-01 04:00:00"),
        ("2024-01-01 01:00:00.123456-03:00", "2024-01-01 04:00:00.123456"),
        ("2024-01-01T01:00:00Z", "2024-01-01 01:00:00"),
        ("2024-01-01", "2024-01-01 00:00:00"),
    ],
)
def test_offsets_are_applied_where_the_type_has_a_zone(sqlite_file: MakeSqlite, text: str, utc: str) -> None:
    expected = datetime.fromisoformat(utc + "+00:00") - START
    assert shaped(stored(sqlite_file, f"'{text}'"), "timestamptz") == [expected // MICROSECOND]


def test_proved_dates_without_fraction_take_the_short_way_to_the_same_number(sqlite_file: MakeSqlite) -> None:
    path = stored(sqlite_file, "'1999-12-31 23:59:58'", "'2024-02-29'", "'0001-01-01T00:00'")
    proved = ColumnFacts("t", "c", rows=3, nulls=0, texts=3, dates=DateFacts({}, iso=3, convertible=0, unreadable=0))
    assert shaped(path, "timestamp", proved) == shaped(path, "timestamp")
    assert shaped(path, "timestamp", proved)[0] == -2_000_000
    assert "substr" not in column_shape("c", TargetType(Kind.TIMESTAMP), proved).expression


def test_dates_are_days_and_times_microseconds(sqlite_file: MakeSqlite) -> None:
    assert shaped(stored(sqlite_file, "'2000-01-02'", "'1999-12-31'", "'0001-01-01'"), "date") == [1, -1, -730_119]


def test_times_are_microseconds_of_the_day(sqlite_file: MakeSqlite) -> None:
    assert shaped(stored(sqlite_file, "'00:00:01'", "'12:34'", "'23:59:59.5'"), "time") == [
        1_000_000, 45_240_000_000, 86_399_500_000,
    ]  # fmt: skip


def test_numbers_that_became_text_keep_every_digit(sqlite_file: MakeSqlite) -> None:
    path = stored(sqlite_file, "0.30000000000000004", "12", "'007'", "1e16")
    assert shaped(path, "text") == [b"0.30000000000000004", b"12", b"007", b"1e+16"]


def test_doubles_written_as_text_are_read_to_the_last_bit(sqlite_file: MakeSqlite) -> None:
    texts = ["4.879768107048378e-11", "0.000709931198790584", "0.1"]
    found = shaped(stored(sqlite_file, *(f"'{t}'" for t in texts)), "double precision")
    assert [struct.pack("d", v) for v in found] == [struct.pack("d", float(t)) for t in texts]


def test_decimals_are_exact_and_never_rounded(sqlite_file: MakeSqlite) -> None:
    assert shaped(stored(sqlite_file, "0.1", "'2.50'", "7"), "numeric(10,2)") == [
        Decimal("0.10"), Decimal("2.50"), Decimal("7.00"),
    ]  # fmt: skip
    convert = column_shape("c", TargetType.parse("numeric(10,2)"), None).convert
    assert convert is not None
    with pytest.raises(ArithmeticError):
        convert(1.005)


@pytest.mark.parametrize(
    ("value", "fits"),
    [("99.99", 1), ("'99.990'", 1), ("-99.99", 1), ("0", 1), ("100", 0), ("1.005", 0), ("'1e1'", 1), ("'1e2'", 0),
     ("9e999", 0), ("'abc'", 0), ("x'31'", 0), ("99.9900000000001", 0)],
)  # fmt: skip
def test_precision_and_scale_decide_what_fits(sqlite_file: MakeSqlite, value: str, fits: int) -> None:
    path = stored(sqlite_file, value)
    with contextlib.closing(open_for_load(path)) as connection:
        query = f"SELECT {fits_target_sql(TargetType.parse('numeric(4,2)'), 'c')} FROM t"
        assert connection.execute(query).fetchone() == (fits,)


def test_proved_columns_go_through_untouched(sqlite_file: MakeSqlite) -> None:
    for target, known, wire in (
        ("bigint", facts(integers=1), Wire.INT8),
        ("double precision", facts(reals=1), Wire.FLOAT8),
        ("text", facts(texts=1), Wire.BYTES),
        ("bytea", facts(blobs=1), Wire.BYTES),
    ):
        shape = column_shape("c", TargetType.parse(target), known)
        assert (shape.expression, shape.wire, shape.convert) == ('"c"', wire, None)


def test_whole_reals_become_integers_in_sqlite_itself(sqlite_file: MakeSqlite) -> None:
    known = facts(reals=2, whole_reals=2)
    assert column_shape("c", TargetType(Kind.INTEGER), known).convert is None
    assert shaped(stored(sqlite_file, "7.0", "4503599627370497.0"), "bigint", known) == [7, 4503599627370497]


@pytest.mark.parametrize("target", ["bigint", "double precision", "timestamp", "date", "uuid", "boolean", "jsonb"])
def test_misfits_are_null_when_they_are_quarantined(sqlite_file: MakeSqlite, target: str) -> None:
    assert shaped(stored(sqlite_file, "'nothing of the kind'", "''", "NULL"), target, quarantine=True) == [None] * 3
