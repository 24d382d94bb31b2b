"""The proof of load: equal when PostgreSQL holds what was sent, different when a single byte, row or order is not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sdetl_engine.errors import Cancelled
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.postgres.rows.load import load_table, open_source
from sdetl_engine.postgres.rows.proof import prove_table
from tests.postgres.loads import SCHEMA, load, plan_of

Connection = psycopg.Connection[Any]
MakeSqlite = Callable[[str], Path]
TARGETS = {"id": "bigint", "moment": "timestamp", "hours": "double precision"}


def tickets(sqlite_file: MakeSqlite, rows: int = 3000) -> Path:
    return sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, title TEXT, moment TEXT, hours REAL);"
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {rows}) INSERT INTO t "
        f"SELECT i, 'Ticket ' || i, '2025-01-01 10:00:00.5', i / 3.0 FROM n WHERE i <= {rows}"
    )


@pytest.mark.parametrize("rows", [0, 1, 3000])
def test_what_was_sent_is_held(connection: Connection, sqlite_file: MakeSqlite, rows: int) -> None:
    path = tickets(sqlite_file, rows)
    proof = load(path, connection, plan_of(path, TARGETS)).proof
    assert proof.equal
    assert (proof.rows_sent, proof.rows_held) == (rows, rows)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {t} SET title = title || ' ' WHERE id = 1500",
        "UPDATE {t} SET title = NULL WHERE id = 3000",
        "UPDATE {t} SET title = upper(title) WHERE id = 1",
        "UPDATE {t} SET moment = moment + interval '1 microsecond' WHERE id = 7",
        "UPDATE {t} SET hours = hours * (1 + 2.3e-16) WHERE id = 8",
        "DELETE FROM {t} WHERE id = 42",
        "INSERT INTO {t} SELECT * FROM {t} WHERE id = 42",
        "UPDATE {t} a SET title = b.title FROM {t} b WHERE (a.id, b.id) IN ((10, 11), (11, 10))",
    ],
)
def test_any_change_to_the_table_is_seen(connection: Connection, sqlite_file: MakeSqlite, change: str) -> None:
    path = tickets(sqlite_file)
    plan = plan_of(path, TARGETS)
    loaded = load(path, connection, plan)
    connection.execute(change.format(t=f"{SCHEMA}.t").encode())
    again = prove_table(connection, SCHEMA, plan, loaded.sent, reporter=SilentReporter())
    assert not again.equal
    assert again.sha256_sent == loaded.proof.sha256_sent


def test_columns_that_postgresql_computes_are_not_part_of_it(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = tickets(sqlite_file)
    plan = plan_of(path, TARGETS)
    connection.execute(
        f"CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}.t (extra int GENERATED ALWAYS AS (id + 1) STORED,"
        " id bigint, title text, moment timestamp, hours float8)"
    )
    with contextlib.closing(open_source(path)) as source:
        sent = load_table(
            source, connection, SCHEMA, plan, batch_rows=100, reporter=SilentReporter(), health=lambda: None
        )
    assert prove_table(connection, SCHEMA, plan, sent, reporter=SilentReporter()).equal


def test_reading_back_can_be_cancelled_and_leaves_the_connection_usable(
    connection: Connection, sqlite_file: MakeSqlite
) -> None:
    path = tickets(sqlite_file)
    plan = plan_of(path, TARGETS)
    loaded = load(path, connection, plan)
    with pytest.raises(Cancelled):
        prove_table(connection, SCHEMA, plan, loaded.sent, reporter=RecordingReporter(cancel_at_check=1))
    connection.rollback()
    assert connection.execute("SELECT 1").fetchone() == (1,)
