"""What a declared type asks for."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdetl_engine.values.declared import Affinity, affinity, declared_target


@pytest.mark.parametrize(
    ("declared", "target"),
    [
        ("INTEGER", "bigint"),
        ("integer unsigned", "bigint"),
        ("short integer", "bigint"),
        ("tinyint(1)", "bigint"),
        ("REAL", "double precision"),
        ("DOUBLE PRECISION", "double precision"),
        ("FLOAT", "double precision"),
        ("DECIMAL(10,2)", "numeric(10,2)"),
        ("numeric(20, 6)", "numeric(20,6)"),
        ("NUMERIC", "numeric"),
        ("NUMERIC(1)", "numeric(1,0)"),
        ("NUMERIC(1000)", "numeric(1000,0)"),
        ("NUMERIC(1001)", "numeric"),
        ("NUMERIC(0)", "numeric"),
        ("DECIMAL(5,5)", "numeric(5,5)"),
        ("DECIMAL(2,5)", "numeric"),
        ("TEXT", "text"),
        ("VARCHAR(9)", "text"),
        ("NVARCHAR(160)", "text"),
        ("text nocase", "text"),
        ("BLOB", "bytea"),
        ("TIMESTAMP", "timestamp"),
        ("datetime", "timestamp"),
        ("timestamp without time zone", "timestamp"),
        ("timestamp(6) with time zone", "timestamptz"),
        ("DATETIMEOFFSET", "timestamptz"),
        ("DATE", "date"),
        ("TIME", "time"),
        ("BOOLEAN", "boolean"),
        ("bool", "boolean"),
        ("JSON", "json"),
        ("UUID", "uuid"),
    ],
)
def test_a_declaration_asks_for_what_people_mean_by_it(declared: str, target: str) -> None:
    found = declared_target(declared)
    assert found is not None
    assert found.sql == target


@pytest.mark.parametrize("declared", ["", "   ", "STRING", "byte[]", "LONG"])
def test_no_type_and_made_up_types_ask_for_nothing(declared: str) -> None:
    assert declared_target(declared) is None


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("CHARINT", Affinity.INTEGER),
        ("FLOATING POINT", Affinity.INTEGER),
        ("CLOB", Affinity.TEXT),
        ("", Affinity.BLOB),
        ("DOUBLE", Affinity.REAL),
        ("STRING", Affinity.NUMERIC),
        ("DATETIME", Affinity.NUMERIC),
    ],
)
def test_the_affinity_is_that_of_sqlites_documentation(declared: str, expected: Affinity) -> None:
    assert affinity(declared) is expected


@given(
    st.lists(
        st.sampled_from(["INT", "CHAR", "CLOB", "TEXT", "BLOB", "REAL", "FLOA", "DOUB", "NUM", "DATE"]), max_size=3
    )
)
def test_sqlite_itself_agrees_about_the_affinity(parts: list[str]) -> None:
    declared = " ".join(parts)
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t (c {declared})")
    connection.execute("INSERT INTO t VALUES ('12'), ('1.5'), (7)")
    stored = [kind for (kind,) in connection.execute("SELECT typeof(c) FROM t")]
    connection.close()
    expected = {
        Affinity.INTEGER: ["integer", "real", "integer"],
        Affinity.NUMERIC: ["integer", "real", "integer"],
        Affinity.REAL: ["real", "real", "real"],
        Affinity.TEXT: ["text", "text", "text"],
        Affinity.BLOB: ["text", "text", "integer"],
    }
    assert stored == expected[affinity(declared)]
