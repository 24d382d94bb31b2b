"""The digest is the same for every faithful copy and another one for every difference in content."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdetl_engine.errors import Cancelled
from sdetl_engine.events import RecordingReporter
from sdetl_engine.sqlite.digest import ROWS_AT_ONCE, TableDigest, database_digest, table_digest
from sdetl_engine.sqlite.schema import read_schema

Value = None | int | float | str | bytes


def connect(path: str = ":memory:") -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def digest_of(connection: sqlite3.Connection, table: str = "t") -> TableDigest:
    return table_digest(connection, read_schema(connection).table(table))


def table_of(rows: list[tuple[Value, ...]], declaration: str = "CREATE TABLE t (a, b)") -> TableDigest:
    connection = connect()
    connection.execute(declaration)
    connection.executemany("INSERT INTO t (a, b) VALUES (?, ?)", rows)
    return digest_of(connection)


def by_the_book(names: list[str], rows: list[tuple[Value, ...]]) -> str:
    """The digest as the module's documentation gives it, without marshal."""
    blobs = any(isinstance(value, bytes) for row in rows for value in row)
    header = (tuple(name.encode() for name in names), int(blobs))
    digest = hashlib.sha256(packed(header))
    for first in range(0, len(rows), 50_000):
        leaf = hashlib.sha256()
        for start in range(first, min(first + 50_000, len(rows)), 1000):
            block = [tuple(stored(value, blobs) for value in row) for row in rows[start : start + 1000]]
            leaf.update(packed(block))
        digest.update(leaf.digest())
    return digest.hexdigest()


def stored(value: Value, blobs: bool) -> object:
    if not isinstance(value, str):
        return value
    return (value.encode(),) if blobs else value.encode()


def packed(value: object) -> bytes:
    match value:
        case None:
            return b"N"
        case int():
            return packed_integer(value)
        case float():
            return b"g" + struct.pack("<d", value)
        case bytes():
            return b"s" + struct.pack("<I", len(value)) + value
        case tuple() | list():
            opening = b"(" if isinstance(value, tuple) else b"["
            return opening + struct.pack("<I", len(value)) + b"".join(map(packed, value))
    raise AssertionError(value)


def packed_integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"i" + struct.pack("<i", value)
    digits, rest = [], abs(value)
    while rest:
        digits.append(rest & 0x7FFF)
        rest >>= 15
    return b"l" + struct.pack(f"<i{len(digits)}H", len(digits) if value > 0 else -len(digits), *digits)


values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
)
rows_of_values = st.lists(st.tuples(values, values), max_size=20)


@settings(max_examples=200, deadline=None)
@given(rows_of_values)
def test_a_third_party_can_compute_it_from_the_documentation(rows: list[tuple[Value, ...]]) -> None:
    assert table_of(rows) == TableDigest(len(rows), by_the_book(["a", "b"], rows))


@pytest.mark.parametrize("count", [ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 7, 50_000, 51_000])
def test_more_rows_than_one_block_or_leaf(count: int) -> None:
    rows: list[tuple[Value, ...]] = [(i, f"row {i}") for i in range(count)]
    assert table_of(rows) == TableDigest(len(rows), by_the_book(["a", "b"], rows))


DIFFERENT: list[list[tuple[Value, ...]]] = [
    [],
    [(None, None)],
    [(None, None), (None, None)],
    [("", None)],
    [(None, "")],
    [(b"", None)],
    [(0, None)],
    [(0.0, None)],
    [("0", None)],
    [(b"0", None)],
    [("ab", "c")],
    [("a", "bc")],
    [(b"ab", "c")],
    [("ab", b"c")],
    [("a\0b", None)],
    [("a", None)],
    [(float("inf"), None)],
    [(2**53, None)],
    [(float(2**53), None)],
    [(1, 2), (3, 4)],
    [(3, 4), (1, 2)],
]


def test_every_difference_counts() -> None:
    assert len({table_of(rows).sha256 for rows in DIFFERENT}) == len(DIFFERENT)


def test_the_names_of_the_columns_count() -> None:
    assert table_of([(1, 2)]) != table_of([(1, 2)], "CREATE TABLE t (b, a)")


@pytest.mark.parametrize("without_blob", [True, False])
def test_texts_that_are_not_utf8_go_through_and_count(without_blob: bool) -> None:
    connection = connect()
    connection.execute("CREATE TABLE t (a, b)")
    connection.execute("INSERT INTO t VALUES (CAST(x'61FF00FE' AS TEXT), ?)", (None if without_blob else b"",))
    before = digest_of(connection)
    connection.execute("UPDATE t SET a = CAST(x'61FE00FE' AS TEXT)")
    assert digest_of(connection) != before
    assert connection.execute("SELECT 'text comes back as str'").fetchone() == ("text comes back as str",)


def test_the_way_it_lies_in_the_file_does_not_count(tmp_path: Path) -> None:
    connection = connect(str(tmp_path / "a.db"))
    connection.execute("CREATE TABLE t (a, b TEXT, c BLOB)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, "x" * i, bytes(i)) for i in range(500)])
    connection.execute("DELETE FROM t WHERE a % 3 = 0")
    before = digest_of(connection)
    connection.execute("CREATE INDEX covering ON t (b DESC, c, a)")
    assert digest_of(connection) == before
    connection.execute("VACUUM INTO ?", (str(tmp_path / "b.db"),))
    assert digest_of(connect(str(tmp_path / "b.db"))) == before
    connection.execute("PRAGMA page_size=65536")
    connection.execute("VACUUM")
    assert digest_of(connection) == before


def test_utf16_and_utf8_files_of_the_same_content_agree() -> None:
    digests = set()
    for encoding in ("UTF-8", "UTF-16le", "UTF-16be"):
        connection = connect()
        connection.execute(f"PRAGMA encoding='{encoding}'")
        connection.execute("CREATE TABLE t (a, b)")
        connection.execute("INSERT INTO t VALUES ('Grüße 🎫', x'00ff')")
        digests.add(digest_of(connection))
    assert len(digests) == 1


@pytest.mark.parametrize(
    "declaration",
    [
        'CREATE TABLE t (rowid, b, "_rowid_" TEXT, oid)',
        "CREATE TABLE t (rowid, b)",
        # Wide enough that the optimizer would rather read the index.
        "CREATE TABLE t (rowid, b, v VARCHAR(9999) AS (b) VIRTUAL)",
        'CREATE TABLE t (rowid, b, "_rowid_" AS (b), oid AS (b), v VARCHAR(9999) AS (b) VIRTUAL)',
        "CREATE TABLE t (rowid TEXT COLLATE NOCASE, b INT, PRIMARY KEY (b DESC, rowid)) WITHOUT ROWID",
    ],
)
def test_rows_come_in_the_order_of_the_table_without_sorting(declaration: str) -> None:
    connection = connect()
    connection.execute(declaration)
    connection.execute("CREATE INDEX i ON t (b, rowid)")
    connection.executemany("INSERT INTO t (rowid, b) VALUES (?, ?)", [(str(50 - i), i % 7) for i in range(50)])
    before = digest_of(connection)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    assert digest_of(connection) == before
    connection.set_trace_callback(None)
    select = next(statement for statement in reversed(statements) if "NOT INDEXED" in statement)
    plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + select)]
    assert plan == ["SCAN t"]


def test_generated_columns_that_are_stored_count_and_virtual_ones_do_not() -> None:
    plain = table_of([(1, 2)])
    assert table_of([(1, 2)], "CREATE TABLE t (a, b, v AS (a + b) VIRTUAL)") == plain
    assert table_of([(1, 2)], "CREATE TABLE t (a, b, v AS (a + b) STORED)") != plain


def test_a_table_of_very_many_columns() -> None:
    connection = connect()
    names = [f"c{i}" for i in range(2000)]
    connection.execute(f"CREATE TABLE t ({', '.join(names)})")
    connection.execute("INSERT INTO t (c1999) VALUES ('last')")
    assert digest_of(connection).sha256 == by_the_book(names, [(None,) * 1999 + ("last",)])


def test_every_table_has_its_digest() -> None:
    connection = connect()
    connection.execute('CREATE TABLE "" ("")')
    connection.execute('CREATE TABLE "a""; DROP TABLE x" ("b.c" TEXT)')
    connection.execute("""INSERT INTO "a""; DROP TABLE x" VALUES ('1')""")
    digests = database_digest(connection, read_schema(connection))
    assert {name: digest.rows for name, digest in digests.items()} == {"": 0, 'a"; DROP TABLE x': 1}


def test_it_can_be_cancelled_while_sqlite_works() -> None:
    connection = connect()
    connection.execute("CREATE TABLE t (a, b)")
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) INSERT INTO t SELECT i, 'x' FROM n"
    )
    reporter = RecordingReporter(cancel_at_check=1)
    with pytest.raises(Cancelled):
        table_digest(connection, read_schema(connection).table("t"), reporter)
    assert reporter.snapshots == []
    assert digest_of(connection).rows == 50000
