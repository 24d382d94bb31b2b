"""What SQL says about a value is what is true of it: only what can be loaded as it is fits."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from sdetl_engine.sqlite.fits import fits_sql, register_functions
from sdetl_engine.values.types import Kind


def fits(kind: Kind, literal: str) -> bool:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        register_functions(connection)
        connection.execute("CREATE TABLE t (v)")
        connection.execute(f"INSERT INTO t VALUES ({literal})")
        (answer,) = connection.execute(f"SELECT {fits_sql(kind, 'v')} FROM t").fetchone()
        assert answer in (0, 1)
        return bool(answer)


@pytest.mark.parametrize("literal", ["'plain'", "''", "'tab\t and café 🔥'", "12", "1.5", "char(1) || char(127)"])
def test_a_text_that_postgresql_can_hold(literal: str) -> None:
    assert fits(Kind.TEXT, literal)


@pytest.mark.parametrize(
    "literal",
    [
        *("CAST(x'636166e9' AS TEXT)", "CAST(x'80' AS TEXT)", "CAST(x'61ff62' AS TEXT)", "CAST(x'c3' AS TEXT)"),
        *("CAST(x'eda080' AS TEXT)", "'a' || char(0) || 'b'", "x'00'"),
    ],
)
def test_a_text_that_postgresql_cannot_hold(literal: str) -> None:
    assert not fits(Kind.TEXT, literal)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Kind.INTEGER, "9223372036854775807", "1.5"),
        (Kind.INTEGER, "'42'", "'042'"),
        (Kind.DOUBLE, "0.1", "'abc'"),
        (Kind.NUMERIC, "'12.50'", "9e999"),
        (Kind.BOOLEAN, "'TRUE'", "2"),
        (Kind.DATE, "'2024-02-29'", "'2023-02-29'"),
        (Kind.TIMESTAMP, "'2024-01-02 03:04:05'", "'2024-01-02 24:00:00'"),
        (Kind.TIMESTAMP, "'2024-01-02T03:04:05.123456'", "'today'"),
        (Kind.TIMESTAMPTZ, "'2024-01-02 03:04:05+05:30'", "'2/1/2024'"),
        (Kind.TIME, "'23:59:59'", "'24:00'"),
        (Kind.JSON, "'[1, 2]'", "'{'"),
        (Kind.UUID, "'00112233-4455-6677-8899-aabbccddeeff'", "'00112233'"),
    ],
)
def test_each_kind_has_its_own_rule(kind: Kind, good: str, bad: str) -> None:
    assert fits(kind, good)
    assert not fits(kind, bad)
