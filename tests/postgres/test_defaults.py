from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sdetl_engine.postgres.dialect.defaults import translate_default
from sdetl_engine.postgres.dialect.terms import Untranslatable
from sdetl_engine.values.types import TargetType


@pytest.mark.parametrize(
    ("default", "target", "held"),
    [
        ("0", "boolean", "false"),
        ("1", "boolean", "true"),
        ("'Y'", "boolean", "true"),
        ("FALSE", "boolean", "false"),
        ("TRUE", "bigint", "1"),
        ("0", "text", "0"),
        ("1.5", "text", "1.5"),
        ('"abc"', "text", "abc"),
        ("abc", "text", "abc"),
        ("'a\\b''c%s'", "text", "a\\b'c%s"),
        ("('x' || 'y')", "text", "xy"),
        ("-1", "bigint", "-1"),
        ("'7'", "bigint", "7"),
        ("1.0", "bigint", "1"),
        ("(1 + 2)", "bigint", "3"),
        ("-9223372036854775808", "bigint", "-9223372036854775808"),
        ("0.5", "double precision", "0.5"),
        ("1", "double precision", "1"),
        ("1.25", "numeric(10,2)", "1.25"),
        ("'2020-02-29'", "date", "2020-02-29"),
        ("'2020-02-29'", "timestamp", "2020-02-29 00:00:00"),
        ("'2020-02-29T10:00:00'", "timestamp", "2020-02-29 10:00:00"),
        ("'12:30:00'", "time", "12:30:00"),
        ("x'00ff'", "bytea", "\\x00ff"),
        ("'{\"a\": 1}'", "json", '{"a": 1}'),
        ("'6F9619FF-8B86-D011-B42D-00CF4FC964FF'", "uuid", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
    ],
)
def test_a_constant_is_written_for_the_type_of_the_column(
    connection: psycopg.Connection[Any], default: str, target: str, held: str
) -> None:
    written = translate_default(default, TargetType.parse(target))
    assert written is not None
    connection.execute(sql.SQL(f"CREATE TABLE t (i int, c {target} DEFAULT {written})"))
    assert connection.execute("INSERT INTO t (i) VALUES (1) RETURNING c::text").fetchone() == (held,)


@pytest.mark.parametrize("default", ["NULL", "null", "(NULL)"])
def test_null_is_no_default(default: str) -> None:
    assert translate_default(default, TargetType.parse("bigint")) is None


@pytest.mark.parametrize(
    "default",
    [
        "CURRENT_TIMESTAMP",
        "CURRENT_DATE",
        "datetime('now')",
        "date('now')",
        "strftime('%Y-%m-%dT%H:%MZ', 'now')",
        "strftime('%s', 'now')",
        "unixepoch()",
    ],
)
def test_the_present_moment_is_written_as_sqlite_writes_it(connection: psycopg.Connection[Any], default: str) -> None:
    source = sqlite3.connect(":memory:")
    written = translate_default(default, TargetType.parse("text"))
    connection.execute("SET TIME ZONE 'Asia/Tokyo'")
    before = source.execute(f"SELECT CAST({default} AS TEXT)").fetchone()
    held = connection.execute(sql.SQL(f"SELECT {written}")).fetchone()
    after = source.execute(f"SELECT CAST({default} AS TEXT)").fetchone()
    source.close()
    assert held is not None
    # now() is when the transaction began, a moment before.
    start = connection.execute("SELECT now() - interval '2 seconds'").fetchone()
    assert start is not None
    assert type(held[0]) is str
    assert len(held[0]) == len(before[0])
    assert held[0][:10] <= after[0][:10]
    assert held[0][: len(held[0]) - 3] in (before[0][: len(before[0]) - 3], after[0][: len(after[0]) - 3])


@pytest.mark.parametrize("target", ["timestamp", "timestamptz", "date", "time"])
def test_the_present_moment_does_not_depend_on_the_session(connection: psycopg.Connection[Any], target: str) -> None:
    default = "CURRENT_TIME" if target == "time" else "CURRENT_TIMESTAMP"
    written = translate_default(default, TargetType.parse(target))
    seen = set()
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        connection.execute(sql.SQL("SET LOCAL TIME ZONE {}").format(sql.Literal(zone)))
        moment = connection.execute(sql.SQL(f"SELECT extract(epoch FROM ({written})::{target})")).fetchone()
        if target == "date":
            moment = connection.execute(
                sql.SQL(f"SELECT ({written})::date = (now() AT TIME ZONE 'UTC')::date")
            ).fetchone()
        seen.add(moment)
    assert len(seen) == 1
    assert seen != {(None,)}
    assert seen != {(False,)}


@pytest.mark.parametrize(
    ("default", "target", "reason"),
    [
        ("''", "timestamp", "empty text that is no timestamp"),
        ("'today'", "date", "no date"),
        ("'2021-02-29'", "date", "no date"),
        ("'2020-01-01 10:00:00'", "date", "no date"),
        ("'x'", "boolean", "no boolean"),
        ("'1,5'", "double precision", "no double precision"),
        ("1.5", "bigint", "no bigint"),
        ("'{'", "json", "no json"),
        ("datetime('now', 'localtime')", "timestamp", "local time"),
        ("date('now', '-1 day')", "date", "function date"),
        ("randomblob(16)", "bytea", "function randomblob"),
        ("1e400", "double precision", "outside the range"),
        ("CURRENT_TIMESTAMP", "bigint", "no bigint"),
        ("CURRENT_TIMESTAMP", "time", "no time"),
        ("(SELECT 1)", "bigint", "select|subquery|single"),
        ("1) FROM t WHERE (1", "bigint", "single expression"),
    ],
)
def test_what_cannot_be_said_of_the_type_says_why(default: str, target: str, reason: str) -> None:
    with pytest.raises(Untranslatable, match=reason):
        translate_default(default, TargetType.parse(target))
