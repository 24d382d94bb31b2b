"""Long texts and large samples need little memory, however many there are: they are looked at a few at a time."""

from __future__ import annotations

import contextlib
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdetl_engine.events import SilentReporter
from sdetl_engine.sqlite.digest import file_digest
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.scan import scan_table
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.sqlite.subset import sample_subset
from sdetl_engine.values.types import Kind

ROWS, LENGTH = 60, 500_000
ENOUGH = 16_000_000
"""Bytes: some rows, in the forms in which they are looked at; not all thirty million."""


@pytest.fixture
def long_texts(tmp_path: Path) -> Path:
    path = tmp_path / "long.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT)")
        texts = (f"{number} " * (LENGTH // (len(str(number)) + 1)) for number in range(ROWS))
        connection.executemany("INSERT INTO t (c) VALUES (?)", ((text,) for text in texts))
        connection.commit()
    return path


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """The most bytes that Python held since the beginning."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def test_scanning_them(long_texts: Path, peak: Callable[[], int]) -> None:
    with contextlib.closing(open_readonly(long_texts)) as connection:
        table = read_schema(connection).table("t")
    facts = scan_table(
        long_texts, table, {"id": Kind.INTEGER, "c": Kind.TEXT}, markers={}, evidence_rows=5, now=datetime.now(UTC),
        reporter=SilentReporter(),
    )  # fmt: skip
    column = facts.column("c")
    assert (column.texts, column.padded, column.longest) == (ROWS, ROWS, LENGTH)
    assert peak() < ENOUGH


def test_digesting_them(long_texts: Path, peak: Callable[[], int]) -> None:
    with contextlib.closing(open_readonly(long_texts)) as connection:
        schema = read_schema(connection)
    assert file_digest(long_texts, schema, SilentReporter())["t"].rows == ROWS
    assert peak() < ENOUGH


def test_drawing_a_large_sample(tmp_path: Path, peak: Callable[[], int]) -> None:
    path = tmp_path / "many.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) INSERT INTO t SELECT i, i % 7 FROM n"
        )
        connection.commit()
    with contextlib.closing(open_readonly(path)) as connection:
        schema = read_schema(connection)
    drawn = sample_subset(path, tmp_path / "sample.db", schema, (), 0.5, 1, SilentReporter())
    assert 150_000 <= drawn.rows["t"] <= 150_010
    assert peak() < 4_000_000
