from __future__ import annotations

import datetime
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sdetl_engine.postgres.dialect.terms import Untranslatable
from sdetl_engine.postgres.dialect.translate import Scope, ScopeColumn, translate_condition, translate_expression
from sdetl_engine.values.types import Kind

SCOPE = Scope(
    "t",
    {
        "i": ScopeColumn("i", Kind.INTEGER),
        "r": ScopeColumn("r", Kind.DOUBLE, always_real=True),
        "mixed": ScopeColumn("mixed", Kind.DOUBLE),
        "s": ScopeColumn("s", Kind.TEXT),
        "Two Words": ScopeColumn("Two Words", Kind.TEXT),
        "nc": ScopeColumn("nc", Kind.TEXT, collation="NOCASE"),
        "trimmed": ScopeColumn("trimmed", Kind.TEXT, collation="RTRIM"),
        "own": ScopeColumn("own", Kind.TEXT, collation="MINE"),
        "f": ScopeColumn("f", Kind.BOOLEAN),
        "at": ScopeColumn("at", Kind.TIMESTAMP),
        "d": ScopeColumn("d", Kind.DATE),
        "b": ScopeColumn("b", Kind.BYTES),
        "n": ScopeColumn("n", Kind.NUMERIC),
        "u": ScopeColumn("u", Kind.UUID),
        "j": ScopeColumn("j", Kind.JSON),
    },
    {"secret": "is left out"},
)
TABLE = """CREATE TABLE t (i INTEGER, r REAL, mixed NUMERIC, s TEXT, "Two Words" TEXT, nc TEXT COLLATE NOCASE,
    trimmed TEXT COLLATE RTRIM, own TEXT, f BOOLEAN, at TIMESTAMP, d DATE, b BLOB, n NUMERIC, u TEXT, j TEXT)"""
ROWS: list[tuple[Any, ...]] = [
    (1, 1.5, 7, "open", "Open", "OPEN", "a ", "x", 1, "2020-01-01 00:00:00", "2020-01-01", b"\x01", 1, None, None),
    (-7, -0.5, 2.5, "it's", "a_b%c", "closed", "a", "y", 0, "2020-06-30 12:00:00", "2020-06-30", b"", 2, None, None),
    (0, 0.0, 0, "", "Éa", "É", " b", "z", 1, "2019-12-31 23:59:59", "1999-12-31", b"\xff", 0, None, None),
    (9, 4.0, 3, "abc\nd", "[x]-^", "open", "zz  ", "", 0, "2021-02-28 08:30:00", "2021-02-28", b"a", 3, None, None),
    (None,) * 15,
]
CONDITIONS = [
    "i > 0",
    "i IN (1, -7, NULL)",
    "i NOT IN (1)",
    "i BETWEEN -7 AND 1",
    "i NOT BETWEEN 0 AND 5",
    "i",
    "NOT i",
    "i AND f",
    "f",
    "f = 1",
    "f IN (0, 1)",
    "f <> 0 OR i IS NULL",
    "f IS TRUE",
    "f IS NOT TRUE",
    "i IS NOT 1",
    "i IS 1",
    "i / 2 = -3",
    "i % 4 = -3",
    "i / 0 IS NULL",
    "i % (i - 1) IS NULL",
    "r / 2 > 0.7",
    "r * 2 + i = 4",
    "-i > 0",
    "abs(i) = 7",
    "i & 1 = 1",
    "(i | 4) > 5",
    "1 + 1 = 2",
    "(i > 0) + (r > 0) = 2",
    "s = 'open'",
    's = "open"',
    "s == 'it''s'",
    "s <> ''",
    "s > 'a'",
    "s < 'Z'",
    "[Two Words] >= 'a'",
    "s LIKE 'OP%'",
    "s NOT LIKE 'o%'",
    "`Two Words` LIKE 'é%'",
    "\"two words\" LIKE 'a!_b!%%' ESCAPE '!'",
    "s LIKE 'abc_d'",
    "s GLOB 'o*'",
    "s GLOB '[a-i]*'",
    "s GLOB '[^o]*'",
    "\"Two Words\" GLOB '*]-^'",
    "s GLOB 'abc?d'",
    "s NOT GLOB '*'",
    "nc = 'Open'",
    "nc IN ('CLOSED', 'é')",
    "nc BETWEEN 'A' AND 'D'",
    "nc COLLATE BINARY = 'open'",
    "s = nc",
    "nc = s",
    "s COLLATE NOCASE = 'OPEN'",
    "trimmed = 'a'",
    "trimmed = 'zz'",
    "length(s) > 4",
    "length(b) = 1",
    "lower(\"Two Words\") = 'Éa'",
    "upper(s) = 'OPEN'",
    "trim(trimmed) = 'b'",
    "ltrim(trimmed) <> trimmed",
    "rtrim(s, 'en') = 'op'",
    "substr(s, 2, 2) = 'pe'",
    "substr(s, 3) = 'en'",
    "substr(s, -2) = 'en'",
    "substr(s, -9, 8) = 'op'",
    "substr(s, 0, 3) = 'op'",
    "substr(s, i, 2) = 'op'",
    "substr(s, -i, i) = 'n'",
    "substr(s, 3, -i) = 'p'",
    "substr(s, i + 2, i - 5) = 'op'",
    "length(i) = 1",
    "i || s = '7open'",
    "instr(s, 'pe') = 2",
    "replace(s, 'o', '0') = '0pen'",
    "s || '!' = 'open!'",
    "s || [Two Words] || 'x' <> ''",
    "coalesce(i, -1) < 0",
    "coalesce(s, 'none') = 'none'",
    "ifnull(r, 2) > 1",
    "nullif(s, '') IS NULL",
    "iif(i > 0, 1, 0)",
    "CASE WHEN i > 0 THEN f ELSE 1 END",
    "CASE s WHEN 'open' THEN 1 WHEN '' THEN 0 END",
    "typeof(s) = 'text'",
    "typeof(i) IN ('integer', 'null')",
    "cast(i AS REAL) / 2 = 0.5",
    "b = x'FF'",
    "b > x'01'",
    "at >= '2020-01-01'",
    "at < '2020-06-30'",
    "at > '2020-01-01 00:00:00'",
    "at BETWEEN '2020-01-01 00:00:00' AND '2020-12-31 23:59:59'",
    "'2020-01-01 00:00:00' = at",
    "d = '2020-06-30'",
    "d <> '1999-12-31' AND d > '2000-01-01'",
    "date(at) = '2020-06-30'",
    "date(at) IS NOT NULL",
    "i = '9'",
    "t.i = 1",
    "I = 1 -- said aloud",
    "NULL",
    "s IS NULL OR length(s)",
    "0x10 > i",
    "i > 1.5",
    "r = 4",
    "mixed > 2",
    "i IN ()",
]


@pytest.fixture
def both(connection: psycopg.Connection[Any]) -> Iterator[tuple[sqlite3.Connection, psycopg.Connection[Any]]]:
    """The same rows on both sides."""
    source = sqlite3.connect(":memory:")
    source.execute(TABLE)
    source.executemany(f"INSERT INTO t VALUES ({', '.join('?' * 15)})", ROWS)
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.kind.value)) for c in SCOPE.columns.values()
    )
    connection.execute(sql.SQL("CREATE TABLE t (row serial, {})").format(columns))
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in SCOPE.columns.values())
    statement = sql.SQL("INSERT INTO t ({}) VALUES ({})").format(names, sql.SQL(", ").join([sql.Placeholder()] * 15))
    for row in ROWS:
        values = [None if v is None else _as(v, c.kind) for v, c in zip(row, SCOPE.columns.values(), strict=True)]
        connection.execute(statement, values)
    yield source, connection
    source.close()


def _as(value: Any, kind: Kind) -> Any:
    if kind is Kind.TIMESTAMP:
        return datetime.datetime.fromisoformat(value)
    if kind is Kind.DATE:
        return datetime.date.fromisoformat(value)
    return bool(value) if kind is Kind.BOOLEAN else value


def test_conditions_mean_the_same_on_both_sides(
    both: tuple[sqlite3.Connection, psycopg.Connection[Any]],
) -> None:
    source, target = both
    differences = []
    for condition in CONDITIONS:
        asked = f"SELECT CASE WHEN ({condition}\n) THEN 1 WHEN NOT ({condition}\n) THEN 0 END FROM t ORDER BY rowid"
        expected = [row[0] for row in source.execute(asked)]
        written = translate_condition(condition, SCOPE)
        held = target.execute(sql.SQL(f"SELECT ({written})::int FROM t ORDER BY row")).fetchall()
        if [row[0] for row in held] != expected:
            differences.append((condition, written, expected, [row[0] for row in held]))
    assert differences == []


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("s REGEXP 'x'", "regexp"),
        ("json_valid(i)", r"uses json_valid\(\) on bigint"),
        ("json_extract(j, '$.a')", "json_?extract"),
        ("i IN (SELECT 1)", "form of"),
        ("EXISTS (SELECT 1)", "exists"),
        ("secret > 1", "secret, which is left out"),
        ("nobody > 1", "nobody, which is no column"),
        ("rowid > 1", "rowid, which is no column"),
        ("other.i > 1", "another table"),
        ("i > 1; DROP TABLE t", "could not be parsed"),
        ("i) FROM t WHERE (1", "not a single expression"),
        ("i), (i", "not a single expression"),
        ("i) + (i", "not a single expression"),
        ("i AS x", "alias"),
        ("i AND", "could not be parsed"),
        ("", "not a single expression"),
        ("s > 5", "compares text with bigint"),
        ("i > '5'", "compares bigint with a text"),
        ("i = '05'", "compares bigint with a text"),
        ("at = '2020-01-01'", "compares timestamp with a text"),
        ("at <= '2020-01-01'", "compares timestamp with a text"),
        ("at > 'today'", "compares timestamp with a text"),
        ("at LIKE '2020%'", "LIKE on timestamp"),
        ("at = d", "compares timestamp with date"),
        ("f > 0", "no truth value"),
        ("f = 2", "no truth value"),
        ("mixed / 2 > 1", "integers or not"),
        ("n * 2 > 1", "numeric"),
        ("own = 'x'", "collation MINE"),
        ("s", "takes text for a truth value"),
        ("r || s = 'x'", r"\|\| on double precision"),
        ("substr(s, 1.5) = 'en'", "no integers"),
        ("length(r) = 1", r"length\(\) on double precision"),
        ("round(r, 1) = 1.5", "round"),
        ("min(i, 2) = 1", "least"),
        ("i > random()", "rand"),
        ("i < b'", "could not be parsed"),
        ("i = i = i", "without parentheses"),
        ("j = '{}'", "compares json with a text"),
        ("s = 'a' OR " * 20_000 + "1", "longer than"),
        ("(" * 2_000 + "i" + ")" * 2_000, "parsed|deeply"),
    ],
)
def test_what_has_no_safe_equivalent_says_why(condition: str, reason: str) -> None:
    with pytest.raises(Untranslatable, match=reason):
        translate_condition(condition, SCOPE)


def test_a_value_never_stands_in_a_reason() -> None:
    with pytest.raises(Untranslatable) as answer:
        translate_condition("at > 'secret value'", SCOPE)
    assert "secret" not in str(answer.value)


def test_an_expression_knows_its_type() -> None:
    kinds = {"i + 1": Kind.INTEGER, "i + r": Kind.DOUBLE, "s || 'x'": Kind.TEXT, "i > 1": Kind.BOOLEAN, "NULL": None}
    assert {text: translate_expression(text, SCOPE).kind for text in kinds} == kinds


def test_names_and_texts_are_quoted(connection: psycopg.Connection[Any]) -> None:
    name = 'a"; DROP TABLE t; --%s{}'
    scope = Scope("t", {name: ScopeColumn(name, Kind.TEXT)})
    connection.execute(sql.SQL("CREATE TABLE t ({} text)").format(sql.Identifier(name)))
    connection.execute("INSERT INTO t VALUES (%s)", ["\\'; DROP TABLE t; --%s{}"])
    written = translate_condition("\"a\"\"; DROP TABLE t; --%s{}\" = '\\''; DROP TABLE t; --%s{}'", scope)
    assert connection.execute(sql.SQL(f"SELECT {written} FROM t")).fetchall() == [(True,)]


@pytest.mark.parametrize("condition", ["s > 'a'", "'a' < s", "nc <= 'B'", "s BETWEEN 'a' AND 'b'"])
def test_texts_are_ordered_by_their_bytes_whatever_the_database_sorts_by(condition: str) -> None:
    written = translate_condition(condition, SCOPE)
    assert written.count("'") > 0
    assert re.search(r'(?:"s"|"nc"[^<]*) COLLATE "C" (?:<|>)|< "s" COLLATE "C"', written)
