"""Random databases for property tests: odd declarations, every storage class in every column, dirt of all kinds."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from pathlib import Path

from hypothesis import strategies as st

DECLARED = (
    *("", "INTEGER", "INT", "BIGINT", "TEXT", "VARCHAR(5)", "REAL", "DOUBLE PRECISION", "NUMERIC", "DECIMAL(6,2)"),
    *("BOOLEAN", "DATE", "DATETIME", "TIMESTAMP", "TIMESTAMPTZ", "TIME", "BLOB", "JSON", "UUID", "STRING", "byte[]"),
)
NAMES = ("id", "name", "a b", 'qu"ote', "select", "Üñí", "x.y", "value", "Total%", "ctid", "k" * 64)
TABLES = ("desk", "Order", "a.b", "t" * 65, "naïve 表")

_DATES = st.sampled_from(
    [
        *("2024-02-29", "2024-02-30", "2024-01-31 10:00:00", "2024-01-31T10:00:00.123456", "31/12/2024 9:05"),
        *("12/31/2024", "03/04/2024", "1970-01-01 00:00:00", "2024-06-30 23:59:60", "2024-01-31 24:00:00", "today"),
        *("2024-01-31 10:00:00+05:30", "2024-01-31T10:00:00Z", "0000-00-00", "9999-12-31", "20240131", "10:15:00"),
        *("31/12/69", "3-MAR-24", "2024-03-10 02:30:00", "2024-11-03 01:30:00", "12 mars 2024"),
    ]
)
_TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    st.sampled_from(
        [
            *(
                "",
                " ",
                "?",
                "N/A",
                "NULL",
                "007",
                "+7",
                "1e3",
                "0x1F",
                "12.50",
                "-0",
                "1.0",
                "true",
                "No",
                "y",
                "0",
                "1",
            ),
            *(
                "9223372036854775808",
                "x\0y",
                "tail  ",
                "\x1b[2J",
                "\u202e",
                "{}",
                '{"b": 1, "a": [1.0, 2]}',
                '"\\u0000"',
                "NaN",
            ),
            *(
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
                "inf",
                "=1+1",
                "'",
                '"',
                "\\.",
            ),
        ]
    ),
    _DATES,
)
_NUMBERS = st.one_of(
    st.integers(-3, 12),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.sampled_from([-0.0, 0.1, 1e300, 5e-324, float("inf"), 2.0**53 + 2, 123456789.123, 1700000000, 1700000000000]),
)
_BYTES = st.one_of(st.binary(max_size=6), st.just(b"\xff\xfe"))


AGREED = st.sampled_from(
    [
        (),
        (),
        ('clean.decode=["*=cp1252", "*=strip-nul"]',),
        ('clean.decode=["*=escape"]', 'clean.time_zones=["*=America/New_York"]', 'clean.roll_over=["*"]'),
        ('clean.numbers_as_dates=["*=seconds"]', 'clean.null_markers=["*=1970-01-01 00:00:00", "*=?"]'),
        ('clean.numbers_as_dates=["*=julian-days"]', 'clean.time_zones=["*=Asia/Kolkata"]', 'clean.day_first=["*"]'),
        ('clean.two_digit_years=["*=1970"]', 'clean.month_first=["*"]', 'clean.empty_to_null=["*"]'),
    ]
)
"""What an operator may have agreed to about all columns."""


@dataclasses.dataclass(frozen=True, slots=True)
class Malformed:
    """A text whose bytes are not UTF-8."""

    raw: bytes


Value = None | int | float | str | bytes | Malformed
_VALUES = st.one_of(
    st.none(), _NUMBERS, _TEXTS, _BYTES, st.builds(Malformed, st.sampled_from([b"caf\xe9", b"\xff", b"a\x00\xc3"]))
)
_FLAVOURS = (st.none(), _NUMBERS, st.integers(0, 1), _TEXTS, _DATES, _BYTES, _VALUES)


@dataclasses.dataclass(frozen=True, slots=True)
class DirtyTable:
    """A table to be made: its CREATE statement, and its rows."""

    name: str
    sql: str
    rows: tuple[tuple[Value, ...], ...]


@st.composite
def dirty_tables(draw: st.DrawFn) -> DirtyTable:
    """One table; columns lean towards one flavour of values, with others between them."""
    name = draw(st.sampled_from(TABLES))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique_by=str.lower))
    kinds = [draw(st.sampled_from(DECLARED)) for _ in names]
    flavours = [draw(st.sampled_from(_FLAVOURS)) for _ in names]
    columns = [f"{_quote(n)} {k}" for n, k in zip(names, kinds, strict=True)]
    key = draw(st.sampled_from(["none", "rowid", "single", "composite", "without"]))
    if key == "rowid":
        columns[0], flavours[0] = f"{_quote(names[0])} INTEGER PRIMARY KEY", st.none()
    elif key != "none":
        wide = 1 if key == "single" else min(2, len(names))
        columns.append(f"PRIMARY KEY ({', '.join(_quote(n) for n in names[:wide])})")
    sql = f"CREATE TABLE {_quote(name)} ({', '.join(columns)}){' WITHOUT ROWID' if key == 'without' else ''}"
    row = st.tuples(*(st.one_of(f, f, f, _VALUES) if f is not st.none() else f for f in flavours))
    if key == "rowid":
        row = st.tuples(st.none(), *(st.one_of(f, f, f, _VALUES) for f in flavours[1:]))
    rows = draw(st.lists(row, min_size=1, max_size=25))
    return DirtyTable(name, sql, tuple(rows))


DATABASES = st.lists(dirty_tables(), min_size=1, max_size=3, unique_by=lambda t: t.name.lower())


def build(path: Path, tables: list[DirtyTable]) -> Path:
    """Make the file; rows that a table refuses are left out."""
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for table in tables:
            connection.execute(table.sql)
            for row in table.rows:
                marks = ", ".join("CAST(? AS TEXT)" if isinstance(v, Malformed) else "?" for v in row)
                values = [v.raw if isinstance(v, Malformed) else v for v in row]
                with contextlib.suppress(sqlite3.IntegrityError):
                    connection.execute(f"INSERT INTO {_quote(table.name)} VALUES ({marks})", values)
        connection.execute("COMMIT")
    return path


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
