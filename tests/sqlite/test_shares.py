"""Columns shared out among processes: the same facts and aggregates as one process finds, and nobody left behind."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdetl_engine import processes
from sdetl_engine.errors import SourceError
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.profiling.facts import TableFacts
from sdetl_engine.sqlite import shares, subset
from sdetl_engine.sqlite.aggregates import aggregate_table
from sdetl_engine.sqlite.digest import TableDigest, database_digest, file_digest, table_digest
from sdetl_engine.sqlite.scan import scan_table
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.sqlite.subset import sample_subset
from sdetl_engine.values.aggregates import ColumnAggregate
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import Kind, TargetType

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = {"i": Kind.INTEGER, "r": Kind.DOUBLE, "t": Kind.TEXT, "d": Kind.TIMESTAMP, "m": Kind.INTEGER, "b": Kind.BYTES}
COLUMNS = "i INTEGER, r REAL, t TEXT, d TIMESTAMP, m, b BLOB"
ROWS = """
WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < 3000)
SELECT CASE x % 7 WHEN 0 THEN NULL WHEN 1 THEN 'text ' || x ELSE x * 3037000500 END,
    CASE x % 11 WHEN 0 THEN NULL WHEN 1 THEN 9e999 WHEN 2 THEN '' ELSE x / 7.0 END,
    CASE x % 5 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN '00' || x WHEN 3 THEN 'a' || char(0, 31, 27) || x ELSE 'é' || x END,
    CASE x % 9 WHEN 0 THEN NULL WHEN 1 THEN '?' WHEN 2 THEN (x % 28 + 1) || '/12/2024 9:05' WHEN 3 THEN '2024-02-30' WHEN 4 THEN x
        ELSE datetime(1700000000 + x * 997, 'unixepoch') END,
    CASE x % 4 WHEN 0 THEN x WHEN 1 THEN x'00ff' WHEN 2 THEN CAST(x'c3' AS TEXT) ELSE x / 2.0 END,
    CASE x % 3 WHEN 0 THEN NULL ELSE zeroblob(x % 50) END
FROM n
"""
TABLES = {
    "plain": f"CREATE TABLE plain ({COLUMNS}); INSERT INTO plain {ROWS}",
    "gaps": f"CREATE TABLE gaps (id INTEGER PRIMARY KEY, {COLUMNS});"
    f"INSERT INTO gaps SELECT (row_number() OVER () - 1500) * 1000003, * FROM ({ROWS})",
    "keyed": f"CREATE TABLE keyed (k TEXT PRIMARY KEY, {COLUMNS}) WITHOUT ROWID;"
    f"INSERT INTO keyed SELECT 'k' || row_number() OVER (), * FROM ({ROWS})",
    "hidden": f"CREATE TABLE hidden (rowid, oid, _rowid_, {COLUMNS}); INSERT INTO hidden SELECT 1, 2, 3, * FROM ({ROWS})",
}


@pytest.fixture
def ugly(tmp_path: Path) -> Path:
    path = tmp_path / "ugly.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for script in TABLES.values():
            connection.executescript(script)
    return path


def in_processes(monkeypatch: pytest.MonkeyPatch, count: int = 2) -> None:
    monkeypatch.setattr(processes, "useful", lambda: count)
    monkeypatch.setattr(shares, "WORTH_CELLS", 1)


def table_of(path: Path, name: str) -> Table:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return read_schema(connection).table(name)


def facts(path: Path, name: str, reporter: SilentReporter | None = None) -> TableFacts:
    table = table_of(path, name)
    marks = dict.fromkeys(("d", "i"), ("?", "text 1"))
    return scan_table(
        path, table, KINDS, markers=marks, evidence_rows=5, now=NOW, reporter=reporter or SilentReporter()
    )


def aggregates(path: Path, name: str) -> tuple[ColumnAggregate, ...]:
    wanted = [(c.name, None, TargetType(Kind.TEXT), False) for c in table_of(path, name).columns]
    return aggregate_table(path, table_of(path, name), wanted, distinct_rows=2000, reporter=SilentReporter())


@pytest.mark.parametrize("name", TABLES)
def test_processes_find_the_same_facts(ugly: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = facts(ugly, name)
    in_processes(monkeypatch, 3)
    assert facts(ugly, name) == alone


@pytest.mark.parametrize("name", TABLES)
def test_processes_find_the_same_aggregates(ugly: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = aggregates(ugly, name)
    in_processes(monkeypatch, 3)
    assert aggregates(ugly, name) == alone


def test_progress_reaches_whoever_watches(ugly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_processes(monkeypatch)
    reporter = RecordingReporter()
    facts(ugly, "plain", reporter)
    assert (reporter.snapshots[-1].what, reporter.snapshots[-1].done) == ("profile plain", 3001)


def test_damage_is_told_as_without_processes(ugly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(ugly, "plain")
    content = bytearray(ugly.read_bytes())
    content[6 * 4096 : 8 * 4096] = b"\xff" * 2 * 4096
    ugly.write_bytes(content)
    in_processes(monkeypatch)
    with pytest.raises(SourceError, match="table 'plain' cannot be read"):
        scan_table(ugly, table, KINDS, markers={}, evidence_rows=5, now=NOW, reporter=SilentReporter())


def test_columns_are_shared_out_by_what_they_cost(ugly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_processes(monkeypatch)
    with contextlib.closing(sqlite3.connect(ugly)) as connection:
        connection.execute("CREATE TABLE wide (a, b, c, long)")
        connection.execute("INSERT INTO wide VALUES (1, 2, 3, zeroblob(100000))")
        table = read_schema(connection).table("wide")
        found = shares.shared_out(connection, table, [(n, n, 1.0) for n in ("a", "b", "c", "long")])
    assert found == [["long"], ["a", "b", "c"]]


def test_a_small_table_starts_no_process(ugly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "useful", lambda: 2)
    with contextlib.closing(sqlite3.connect(ugly)) as connection:
        table = read_schema(connection).table("plain")
        assert len(shares.shared_out(connection, table, [(c, c.name, 1.0) for c in table.columns])) == 1


@pytest.mark.parametrize("blob_at", [None, 0, 119_999])
@pytest.mark.parametrize("rows", [49_999, 100_000, 120_000])
def test_processes_find_the_same_digest(
    tmp_path: Path, rows: int, blob_at: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.db"
    values = (((n - 5000) * 7, f"row {n}", b"x" if n == blob_at else None) for n in range(rows))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", values)
        connection.commit()
        schema = read_schema(connection)
        alone = database_digest(connection, schema)
    in_processes(monkeypatch, 3)
    assert file_digest(path, schema, SilentReporter()) == alone


@pytest.mark.parametrize("name", TABLES)
def test_processes_find_the_same_digest_of_any_table(ugly: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(sqlite3.connect(ugly)) as connection:
        schema = read_schema(connection)
        alone = database_digest(connection, schema)
    in_processes(monkeypatch)
    assert file_digest(ugly, schema, SilentReporter())[name] == alone[name]


@pytest.mark.parametrize("name", ["plain", "gaps", "keyed"])
def test_processes_find_the_same_edges_of_a_sample(ugly: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(sqlite3.connect(ugly)) as connection:
        schema = read_schema(connection)
    alone, beside = ugly.with_name("alone.db"), ugly.with_name("beside.db")
    sample_subset(ugly, alone, schema, (), 0.01, 7, SilentReporter())
    monkeypatch.setattr(processes, "useful", lambda: 2)
    monkeypatch.setattr(subset, "WORTH_CELLS", 1)
    sample_subset(ugly, beside, schema, (), 0.01, 7, SilentReporter())
    assert digest_of(alone, name) == digest_of(beside, name)


def digest_of(path: Path, name: str) -> TableDigest:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return table_digest(connection, read_schema(connection).table(name))
