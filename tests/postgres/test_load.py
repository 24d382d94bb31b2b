"""Rows on their way into PostgreSQL: what arrives, in which order, and what is said when they cannot."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sdetl_engine import processes
from sdetl_engine.errors import Cancelled, TargetError, ValidationFailed
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.postgres.plan import PartitionUnit, TablePlan
from sdetl_engine.postgres.rows.load import load_table, open_source
from sdetl_engine.sqlite import shares
from tests.interrupting import end_backend
from tests.postgres.loads import SCHEMA, facts_of, load, plan_of, rows_in

MakeSqlite = Callable[[str], Path]
Connection = psycopg.Connection[Any]

KINDS = [
    ("bigint", "'12', 7.0, 9223372036854775807, -9223372036854775808", "12 7 9223372036854775807 -9223372036854775808"),
    ("double precision", "0.1, 3, 1e300, '4.879768107048378e-11'", "0.1 3 1e+300 4.879768107048378e-11"),
    ("numeric", "1, '2.50', 1e20, '0.00', 0.1, '1e3'", "1 2.50 100000000000000000000 0.00 0.1 1000"),
    ("numeric(10,2)", "1, '2.5', 3.25, -10000", "1.00 2.50 3.25 -10000.00"),
    ("boolean", "0, 1, 'true', 'F', 'Yes', 'n'", "false true true false true false"),
    ("date", "'2024-02-29', '0001-01-01', '9999-12-31', '1969-12-31'", "2024-02-29 0001-01-01 9999-12-31 1969-12-31"),
    ("timestamp", "'2024-01-01T10:20', '1969-12-31 23:59:59.999999'", "2024-01-01_10:20:00 1969-12-31_23:59:59.999999"),
    ("timestamptz", "'2024-01-01 01:00:00.5+05:30', '2024-01-01'", "2023-12-31_19:30:00.5+00 2024-01-01_00:00:00+00"),
    ("time", "'23:59:59.123456', '12:34'", "23:59:59.123456 12:34:00"),
    ("text", "'00123', 1, 0.30000000000000004, 1e16, 'é'", "00123 1 0.30000000000000004 1e+16 é"),
    ("json", """'{"b":  1}'""", """{"b":__1}"""),
    ("jsonb", """'{"bb":1e3,"a":[1.50,null]}'""", """{"a":_[1.50,_null],_"bb":_1000}"""),
    ("uuid", "'6F9619FF-8B86-D011-B42D-00CF4FC964FF'", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
    ("bytea", "x'0001', 'a'", r"\x0001 \x61"),
]


@pytest.mark.parametrize(("target", "values", "expected"), KINDS, ids=[k[0] for k in KINDS])
def test_every_type_arrives_exactly_and_is_proved(
    connection: Connection, sqlite_file: MakeSqlite, target: str, values: str, expected: str
) -> None:
    rows = ", ".join(f"({value})" for value in [*values.split(", "), "NULL"])
    if target.startswith("json"):
        rows = f"({values}), (NULL)"
    path = sqlite_file(f"CREATE TABLE t (id INTEGER PRIMARY KEY, c); INSERT INTO t (c) VALUES {rows}")
    connection.execute("SET TimeZone = 'UTC'")
    loaded = load(path, connection, plan_of(path, {"id": "bigint", "c": target}))
    assert loaded.proof.equal
    found = [None if value is None else value.replace(" ", "_") for (value,) in rows_in(connection, "c::text")]
    assert found == [*expected.split(" "), None]


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("bigint", "''"),
        ("bigint", "'abc'"),
        ("bigint", "1.5"),
        ("double precision", "'abc'"),
        ("numeric(5,2)", "1.234"),
        ("numeric(5,2)", "100000"),
        ("boolean", "2"),
        ("boolean", "''"),
        ("text", "'Meier' || char(0) || 'secret'"),
        ("uuid", "'no uuid'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_column_and_row_but_never_shown(
    connection: Connection, sqlite_file: MakeSqlite, target: str, value: str
) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c, later);"
        f"INSERT INTO t (id, c) VALUES (40, NULL), (41, NULL), (77, {value}), (78, NULL)"
    )
    with pytest.raises((TargetError, ValidationFailed)) as refused:
        load(path, connection, plan_of(path, {"id": "bigint", "c": target}))
    assert "t.c" in refused.value.message
    assert "row 3 (rowid 77)" in refused.value.message
    assert "nothing" in refused.value.left_behind
    said = refused.value.message + refused.value.next_step
    assert not any(part in said for part in ("secret", "abc", "1.234", "100000", "no uuid"))


def test_misfits_become_null_when_they_stand_in_the_quarantine(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n, d, m);"
        "INSERT INTO t (n, d, m) VALUES (1, '2024-01-01', 1.25), ('x', '2024-02-30', 1.255), ('', 5, 1000)"
    )
    plan = plan_of(
        path, {"id": "bigint", "n": "bigint", "d": "timestamp", "m": "numeric(4,2)"}, quarantine=("n", "d", "m")
    )
    assert load(path, connection, plan).proof.equal
    assert rows_in(connection, "n, d::date::text, m::text") == [
        (1, "2024-01-01", "1.25"), (None, None, None), (None, None, None),
    ]  # fmt: skip


def test_names_that_need_quoting_are_only_names(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(
        """CREATE TABLE "ti ck""ets%s" (id INTEGER PRIMARY KEY, "TKT-Created ""Time" TEXT, "100%" INTEGER);
        INSERT INTO "ti ck""ets%s" VALUES (1, 'x', 5)"""
    )
    plan = plan_of(path, {"id": "bigint", "100%": "bigint"}, table='ti ck"ets%s')
    assert load(path, connection, plan).proof.equal
    assert rows_in(connection, '"TKT-Created ""Time", "100%"', table='ti ck"ets%s') == [("x", 5)]


def test_a_utf16_database_arrives_as_the_same_text(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(
        "PRAGMA encoding='UTF-16le'; CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT); INSERT INTO t VALUES (1, 'né 😀')"
    )
    assert load(path, connection, plan_of(path, {"id": "bigint"}, facts={"c": facts_of(rows=1, texts=1)})).proof.equal
    assert rows_in(connection, "c") == [("né 😀",)]


def test_a_table_without_rowid_is_loaded_in_the_order_of_its_key(
    connection: Connection, sqlite_file: MakeSqlite
) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id TEXT PRIMARY KEY, c TEXT) WITHOUT ROWID; INSERT INTO t VALUES ('b', '1'), ('a', '2')"
    )
    assert load(path, connection, plan_of(path, {})).proof.equal
    found = connection.execute(f"SELECT id FROM {SCHEMA}.t ORDER BY ctid").fetchall()
    assert found == [("a",), ("b",)]


def test_rows_keep_the_order_of_the_rowid_whatever_indexes_there_are(
    connection: Connection, sqlite_file: MakeSqlite
) -> None:
    path = sqlite_file("CREATE TABLE t (id TEXT); CREATE INDEX i ON t (id); INSERT INTO t VALUES ('c'), ('a'), ('b')")
    load(path, connection, plan_of(path, {}))
    assert connection.execute(f"SELECT id FROM {SCHEMA}.t ORDER BY ctid").fetchall() == [("c",), ("a",), ("b",)]


def many_rows(sqlite_file: MakeSqlite, rows: int = 5000) -> Path:
    return sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT);"
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        " INSERT INTO t SELECT i, 'row ' || i FROM n"
    )


def test_progress_and_health_are_heard_once_per_batch(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path, reporter, heard = many_rows(sqlite_file), RecordingReporter(), []
    plan = plan_of(path, {"id": "bigint"})
    connection.execute(f"CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}.t (id bigint, c text)")
    with contextlib.closing(open_source(path)) as source:
        load_table(source, connection, SCHEMA, plan, batch_rows=1000, reporter=reporter, health=lambda: heard.append(1))
    assert [(s.what, s.done, s.total) for s in reporter.snapshots] == [
        *(("load t", done, 5000) for done in (1000, 2000, 3000, 4000, 5000)), ("load t", 5000, 5000),
    ]  # fmt: skip
    assert len(heard) == 5


def test_cancelling_between_batches_leaves_nothing(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = many_rows(sqlite_file)
    with pytest.raises(Cancelled):
        load(path, connection, plan_of(path, {"id": "bigint"}), reporter=RecordingReporter(cancel_at_check=2))
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [SCHEMA]).fetchone() == (0,)


def test_a_server_that_goes_away_is_named_as_such(
    connection: Connection, database: str, sqlite_file: MakeSqlite
) -> None:
    path = many_rows(sqlite_file)
    pid = connection.info.backend_pid

    def terminate() -> None:
        with psycopg.connect(database, autocommit=True) as other:
            end_backend(other, pid)

    connection.execute(f"CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}.t (id bigint, c text)")
    with contextlib.closing(open_source(path)) as source, pytest.raises(TargetError) as broken:
        load_table(
            source, connection, SCHEMA, plan_of(path, {"id": "bigint"}),
            batch_rows=1000, reporter=SilentReporter(), health=terminate,
        )  # fmt: skip
    assert broken.value.kind == "connection-lost"
    assert "nothing" in broken.value.left_behind
    connection.close()


def test_a_partitioned_table_is_proved_part_by_part(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT);"
        "INSERT INTO t (c) VALUES ('2025-07-31 23:59:59'), ('2025-08-01'), (NULL), ('2025-07-01'), ('1969-12-31 23:59')"
    )
    plan = plan_of(path, {"id": "bigint", "c": "timestamp"}, partition=("c", PartitionUnit.MONTH))
    loaded = load(path, connection, plan)
    assert loaded.proof.equal
    assert loaded.proof.rows_held == 5
    assert {(s.part.table, s.rows) for s in loaded.sent} == {
        ("t_p1969_12", 1), ("t_p2025_07", 2), ("t_p2025_08", 1), ("t_pdefault", 1),
    }  # fmt: skip


def test_rows_arrive_frozen_so_that_vacuum_has_little_to_do(connection: Connection, sqlite_file: MakeSqlite) -> None:
    """An autovacuum that reads the whole table is in the way of the switch, and of the first rollback."""
    if connection.info.server_version < 140000:
        pytest.skip("PostgreSQL notes from 14 on that frozen pages are visible to everybody")
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, d TEXT); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 5000) INSERT INTO t SELECT i, '2025-0' || (1 + i % 3) || '-01' FROM n"
    )
    month = ("d", PartitionUnit.MONTH)
    load(path, connection, plan_of(path, {"id": "bigint", "d": "date"}, partition=month))
    connection.commit()
    connection.execute("ANALYZE candidate.t")
    pages = connection.execute(
        "SELECT relpages, relallvisible FROM pg_class WHERE relnamespace = 'candidate'::regnamespace AND relkind = 'r'"
    ).fetchall()
    # Not those on which two batches of PostgreSQL's own meet.
    assert sum(visible for _, visible in pages) > 0.7 * sum(held for held, _ in pages) > 20


def test_a_partition_is_chosen_by_the_moment_not_by_how_it_is_written(
    connection: Connection, sqlite_file: MakeSqlite
) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT);"
        "INSERT INTO t (c) VALUES ('2025-07-01 01:00:00+05:30'), ('2025-06-30 12:00:00Z'), ('2025-99-01'), ('2025/07/01')"
    )
    connection.execute("SET TimeZone = 'UTC'")
    plan = plan_of(path, {"id": "bigint", "c": "timestamptz"}, quarantine=("c",), partition=("c", PartitionUnit.MONTH))
    loaded = load(path, connection, plan)
    assert loaded.proof.equal
    assert {(s.part.table, s.rows) for s in loaded.sent} == {("t_p2025_06", 2), ("t_pdefault", 2)}


def test_two_long_names_do_not_share_a_partition(connection: Connection, sqlite_file: MakeSqlite) -> None:
    one, two = "t" * 62 + "a", "t" * 62 + "b"
    path = sqlite_file("".join(
        f"CREATE TABLE {n} (id INTEGER PRIMARY KEY, c TEXT); INSERT INTO {n} (c) VALUES ('2025-01-01');" for n in (one, two)
    ))  # fmt: skip
    names = set()
    for table in (one, two):
        plan = plan_of(path, {"id": "bigint", "c": "date"}, table=table, partition=("c", PartitionUnit.YEAR))
        names |= {s.part.table for s in load(path, connection, plan).sent}
        connection.rollback()
    assert len(names) == 4
    assert all(len(name) <= 63 for name in names)


def test_a_row_too_wide_for_postgresql_is_named_with_the_way_out(
    connection: Connection, sqlite_file: MakeSqlite
) -> None:
    columns = [f"c{number}" for number in range(1000)]
    path = sqlite_file(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(columns)});"
        f"INSERT INTO t VALUES (5, {', '.join(['12345678901234'] * 1000)})"
    )
    with pytest.raises(TargetError, match=r"loading table t .*row is too big") as refused:
        load(path, connection, plan_of(path, {"id": "bigint"}))
    assert "source.exclude_columns" in refused.value.next_step


ODD_ROWS = """CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT, d TIMESTAMP, b BLOB);
    WITH RECURSIVE n (i) AS (SELECT -700 UNION ALL SELECT i + 1 + abs(i) % 3 FROM n WHERE i < 5000)
    INSERT INTO t SELECT i, CASE WHEN i % 7 THEN 'row ' || i END, datetime(i * 86400, 'unixepoch'), zeroblob(abs(i) % 50) FROM n;
    INSERT INTO t VALUES (1000000, '{long}', NULL, NULL), (9000000, 'last', '2024-02-29', x'00')"""
"""Rowids with gaps, below zero and far apart, and a row that is longer than a block."""


def odd_rows(sqlite_file: MakeSqlite) -> tuple[Path, TablePlan]:
    path = sqlite_file(ODD_ROWS.format(long="x" * 600_000))
    return path, plan_of(path, {"id": "bigint", "d": "timestamp", "b": "bytea"})


def test_processes_side_by_side_send_the_same_bytes_in_the_same_order(
    connection: Connection, sqlite_file: MakeSqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, plan = odd_rows(sqlite_file)
    alone = load(path, connection, plan)
    connection.rollback()
    monkeypatch.setattr(shares, "WORTH_CELLS", 1)
    monkeypatch.setattr(processes, "useful", lambda beside: 2)
    started = CountingStarts(monkeypatch)
    together = load(path, connection, plan)
    assert started.count == 2
    assert together == alone
    assert together.proof.equal
    assert together.proof.rows_held == plan.rows


def test_a_misfit_that_a_process_meets_is_named_by_its_row_in_the_table(
    connection: Connection, sqlite_file: MakeSqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = many_rows(sqlite_file)
    with contextlib.closing(sqlite3.connect(path)) as source:
        source.execute("UPDATE t SET c = CASE id WHEN 3333 THEN 'secret' ELSE id END")
        source.commit()
    monkeypatch.setattr(shares, "WORTH_CELLS", 1)
    monkeypatch.setattr(processes, "useful", lambda beside: 3)
    with pytest.raises(ValidationFailed, match=r"t\.c: the value in row 3333 \(rowid 3333\)") as refused:
        load(path, connection, plan_of(path, {"id": "bigint", "c": "bigint"}))
    assert "secret" not in refused.value.message


class CountingStarts:
    """Counts the processes that are started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        start = processes._Worker.__init__

        def counted(*arguments: Any) -> None:
            self.count += 1
            start(*arguments)

        monkeypatch.setattr(processes._Worker, "__init__", counted)


def test_a_process_that_answers_for_screens_leaves_the_encoding_to_another(
    connection: Connection, sqlite_file: MakeSqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, plan = odd_rows(sqlite_file)
    monkeypatch.setattr(shares, "WORTH_CELLS", 1)
    monkeypatch.setattr(processes, "useful", lambda beside: 1)
    started = CountingStarts(monkeypatch)
    alone = load(path, connection, plan)
    assert started.count == 0
    connection.rollback()
    monkeypatch.setattr(processes, "_is_responsive", False)
    processes.stay_responsive()
    assert load(path, connection, plan) == alone
    assert started.count == 1
