"""Both sides measure every column by themselves, agree on a faithful load, and name what does not agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sdetl_engine.errors import TargetError
from sdetl_engine.events import SilentReporter
from sdetl_engine.postgres.aggregates import aggregate_table
from sdetl_engine.postgres.plan import PartitionUnit, TablePlan
from sdetl_engine.sqlite import aggregates as source_side
from tests.postgres.loads import SCHEMA, facts_of, load, plan_of

Connection = psycopg.Connection[Any]
MakeSqlite = Callable[[str], Path]
ALL = {
    "id": "bigint", "big": "bigint", "ratio": "double precision", "price": "numeric(10,2)", "open": "boolean",
    "day": "date", "moment": "timestamp", "zoned": "timestamptz", "raw": "bytea", "doc": "json",
}  # fmt: skip
DIRTY = """
CREATE TABLE t (id INTEGER PRIMARY KEY, big INTEGER, ratio, price, open, day TEXT, moment TEXT, zoned TEXT,
                title TEXT, raw BLOB, doc TEXT);
INSERT INTO t VALUES
 (1, 9223372036854775807, 0.1, '10.50', 'Yes', '1969-12-31', '1969-12-31 23:59:59.999999', '2025-07-01 01:00+05:30',
  'né 😀', x'0001', '{"a": 1}'),
 (2, 9223372036854775807, '4.879768107048378e-11', -3, 0, '9999-12-31', '9999-12-31T23:59:59.999999', '2024-02-29',
  'Zebra', x'', '[]'),
 (3, -9223372036854775808, 1e300, 0.25, 1, '0001-01-01', '2025-07-01', '2025-01-01T00:00:00.25Z', 'apple', NULL, NULL),
 (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""


KNOWN = {"title": facts_of("title", rows=4, nulls=1, texts=3), "raw": facts_of("raw", rows=4, nulls=2, blobs=2)}


def differences(
    path: Path, connection: Connection, plan: TablePlan, *, distinct_rows: int = 1000
) -> dict[str, tuple[str, ...]]:
    """Measures that differ, by column."""
    wanted = [(c.source_name, c.facts, c.target, c.quarantine_misfits) for c in plan.loaded_columns]
    measured = source_side.aggregate_table(
        path, plan.source, wanted, distinct_rows=distinct_rows, reporter=SilentReporter()
    )
    held = aggregate_table(connection, SCHEMA, plan, distinct_rows=distinct_rows)
    pairs = zip(measured, held, strict=True)
    return {one.column: one.differs(other) for one, other in pairs if one.differs(other)}


def test_both_sides_agree_on_every_type_to_its_limits(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(DIRTY)
    plan = plan_of(path, ALL, facts=KNOWN)
    load(path, connection, plan)
    assert differences(path, connection, plan) == {}


def test_both_sides_agree_on_an_empty_table(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(DIRTY + "DELETE FROM t")
    plan = plan_of(path, ALL, facts=KNOWN)
    load(path, connection, plan)
    assert differences(path, connection, plan) == {}


@pytest.mark.parametrize(
    ("change", "column", "measure"),
    [
        ("title = title || ' ' WHERE id = 2", "title", "length"),
        ("title = NULL WHERE id = 2", "title", "present"),
        ("title = 'zebra' WHERE id = 2", "title", "largest"),
        ("title = 'apple' WHERE id = 2", "title", "distinct"),
        ("moment = moment + interval '1 hour' WHERE id = 3", "moment", "total"),
        ("moment = moment - interval '1 microsecond' WHERE id = 1", "moment", "smallest"),
        ("zoned = zoned + interval '1 microsecond' WHERE id = 3", "zoned", "total"),
        ("day = day - 1 WHERE id = 2", "day", "largest"),
        ("big = big - 1 WHERE id = 1", "big", "total"),
        ("ratio = 0.10000000000000002 WHERE id = 2", "ratio", "smallest"),
        ("price = price + 0.01 WHERE id = 1", "price", "total"),
        ("open = NOT open WHERE id = 1", "open", "total"),
        ("raw = raw || 'x' WHERE id = 2", "raw", "length"),
    ],
)
def test_a_changed_cell_is_named_with_what_differs(
    connection: Connection, sqlite_file: MakeSqlite, change: str, column: str, measure: str
) -> None:
    path = sqlite_file(DIRTY)
    plan = plan_of(path, ALL, facts=KNOWN)
    load(path, connection, plan)
    connection.execute(f"UPDATE {SCHEMA}.t SET {change}".encode())
    found = differences(path, connection, plan)
    assert list(found) == [column]
    assert measure in found[column]


def test_quarantined_values_are_left_out_on_both_sides(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n, d, m);"
        "INSERT INTO t (n, d, m) VALUES (1, '2024-01-01', 1.25), ('x', '2024-02-30', 1.255), ('', 'soon', 1000)"
    )
    plan = plan_of(
        path, {"id": "bigint", "n": "bigint", "d": "timestamp", "m": "numeric(4,2)"}, quarantine=("n", "d", "m")
    )
    load(path, connection, plan)
    assert differences(path, connection, plan) == {}


def test_infinities_of_both_signs_add_up_to_the_same_nothing(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file("CREATE TABLE t (id INTEGER PRIMARY KEY, c REAL); INSERT INTO t (c) VALUES (9e999), (-9e999)")
    plan = plan_of(path, {"id": "bigint", "c": "double precision"})
    load(path, connection, plan)
    assert differences(path, connection, plan) == {}


def test_first_rows_are_those_of_the_load_even_when_an_index_is_cheaper(
    database: str, connection: Connection, sqlite_file: MakeSqlite
) -> None:
    # The first thousand rows hold few values; the index would give other rows first.
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c INTEGER, padding TEXT);"
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " INSERT INTO t SELECT i, CASE WHEN i < 2500 THEN 5 ELSE -i END, hex(zeroblob(800)) FROM n"
    )
    plan = plan_of(path, {"id": "bigint", "c": "bigint"})
    load(path, connection, plan)
    connection.execute(f"CREATE INDEX ON {SCHEMA}.t (c)")
    # VACUUM finds rows visible to all only once their commit is on disk.
    connection.execute("SET LOCAL synchronous_commit = on")
    connection.commit()
    with psycopg.connect(database, autocommit=True) as other:
        other.execute(f"VACUUM ANALYZE {SCHEMA}.t")
    shown = connection.execute(f"EXPLAIN SELECT c FROM {SCHEMA}.t LIMIT 1000").fetchall()
    assert "Index Only Scan" in str(shown), "the premise: PostgreSQL would read the index"
    assert differences(path, connection, plan, distinct_rows=1000) == {}


def test_a_partitioned_table_is_measured_whole(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(DIRTY)
    plan = plan_of(path, ALL, facts=KNOWN, partition=("moment", PartitionUnit.YEAR))
    load(path, connection, plan)
    assert differences(path, connection, plan) == {}


def test_measuring_a_table_that_is_gone_says_so_in_a_sentence(connection: Connection, sqlite_file: MakeSqlite) -> None:
    path = sqlite_file(DIRTY)
    with pytest.raises(TargetError, match="measuring table t"):
        aggregate_table(connection, SCHEMA, plan_of(path, ALL, facts=KNOWN), distinct_rows=10)
