"""Values that their type cannot hold stand whole in the quarantine, and nothing else does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.postgres.build import schema_exists
from sdetl_engine.postgres.rows import quarantine
from sdetl_engine.sqlite.shape import open_for_load
from tests.postgres.loads import plan_of

Connection = psycopg.Connection[Any]
MakeSqlite = Callable[[str], Path]
TARGETS = {"id": "bigint", "c": "bigint", "m": "numeric(4,2)"}


def fill(path: Path, connection: Connection) -> int:
    plan = plan_of(path, TARGETS, quarantine=("c", "m"))
    with contextlib.closing(open_for_load(path)) as source:
        return quarantine.fill(source, connection, "v1", plan)


def test_every_misfit_stands_there_with_its_row_and_all_its_digits(
    connection: Connection, sqlite_file: MakeSqlite
) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c, m);"
        "INSERT INTO t VALUES (1, 5, 1), (2, 'x' || char(10), 1000), (3, 0.30000000000000004, 1.5), (4, x'00ff', 2)"
    )
    assert fill(path, connection) == 4
    found = connection.execute(
        'SELECT row_key, "column", storage, raw FROM v1_quarantine.cells ORDER BY 1, 2'
    ).fetchall()
    assert found == [
        ("[2]", "c", "text", b"x\n"),
        ("[2]", "m", "integer", b"1000"),
        ("[3]", "c", "real", b"0.30000000000000004"),
        ("[4]", "c", "blob", b"\x00\xff"),
    ]


def test_without_misfits_there_is_no_such_schema(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file("CREATE TABLE t (id INTEGER PRIMARY KEY, c, m); INSERT INTO t VALUES (1, 5, 1.25)")
    assert fill(path, connection) == 0
    assert not schema_exists(connection, "v1_quarantine")
