"""The reader of CREATE statements agrees with SQLite, whose word is final."""

from __future__ import annotations

import sqlite3

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.sqlite.sqltext import parse_index, parse_table, tokens

BLANKS = st.sampled_from([" ", "\n", "\t ", " /* , ( ' */ ", " -- ) \" '\n", "/**/ "])
QUOTES = {'"': '"', "`": "`", "[": "]"}
NAMES = st.text("aZ_é1 ,()'\"`[-/*$.", min_size=1, max_size=6)
EXPRESSIONS = st.recursive(
    st.sampled_from(["1", "'),('", "x''", "NULL", '"c0"', "[c0]", "1.5e-3", "'it''s'", "'--'", "'/*'"]),
    lambda inner: st.one_of(
        inner.map(lambda e: f"({e})"),
        st.tuples(inner, st.sampled_from(["+", "||", "=", "<>", " AND ", " IS NOT "]), inner).map("".join),
        inner.map(lambda e: f"coalesce({e}, 1)"),
        inner.map(lambda e: f"CASE WHEN {e} THEN 1 END"),
    ),
    max_leaves=5,
)


@st.composite
def names(draw: st.DrawFn) -> tuple[str, str]:
    """A name, and one of the ways to write it."""
    name = draw(NAMES)
    opening = draw(st.sampled_from([quote for quote in QUOTES if quote != "[" or "]" not in name]))
    closing = QUOTES[opening]
    return name, opening + (name if opening == "[" else name.replace(closing, closing * 2)) + closing


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]], list[str]]:
    """A CREATE TABLE, and what it says: names with collations, and CHECK expressions."""
    columns: list[tuple[str, str]] = [("c0", "BINARY")]
    checks: list[str] = []
    parts = ["c0"]
    for name, written in draw(st.lists(names(), max_size=4, unique_by=lambda pair: pair[0].lower())):
        blank = draw(BLANKS)
        collation = draw(st.sampled_from(["BINARY", "NOCASE", "RTRIM"]))
        clauses = [written, draw(st.sampled_from(["", "TEXT", "VARCHAR(9)", "DECIMAL (10, -2)", "unsigned big int"]))]
        extra = [
            f"COLLATE{blank}{collation}",
            f"DEFAULT{blank}" + draw(st.sampled_from(["'CHECK (x'", "-1", "(1+(2))", '"collate"', "current_time"])),
        ]
        if draw(st.booleans()):
            checks.append(draw(EXPRESSIONS))
            extra.append(f"CONSTRAINT{blank}[check]{blank}CHECK{blank}({checks[-1]})")
        parts.append(blank.join(clauses + extra))
        columns.append((name, collation))
    for expression in draw(st.lists(EXPRESSIONS, max_size=2)):
        parts.append(f"CHECK{draw(BLANKS)}({expression})")
        checks.append(expression)
    body = f"{draw(BLANKS)},{draw(BLANKS)}".join(parts)
    return f"CREATE TABLE {draw(names())[1]}({body})", columns, checks


@settings(max_examples=300, deadline=None)
@given(tables())
def test_tables_are_read_as_sqlite_reads_them(case: tuple[str, list[tuple[str, str]], list[str]]) -> None:
    sql, columns, checks = case
    assume("c0" not in [name.lower() for name, _ in columns[1:]])
    connection = sqlite3.connect(":memory:")
    connection.execute(sql)
    parsed = parse_table(sql)
    assert [(column.name, column.collation or "BINARY") for column in parsed.columns] == columns
    assert list(parsed.checks) == checks
    (table,) = read_schema(connection).tables
    assert [(column.name, column.collation) for column in table.columns] == columns
    for number, (name, collation) in enumerate(columns):
        quoted = '"' + name.replace('"', '""') + '"'
        table_name = '"' + table.name.replace('"', '""') + '"'
        connection.execute(f"CREATE INDEX i{number} ON {table_name} ({quoted})")
        assert connection.execute(f"PRAGMA index_xinfo(i{number})").fetchone()[4] == collation


@settings(max_examples=200, deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=3), BLANKS, st.sampled_from(["", "ASC", "DESC"]), EXPRESSIONS)
def test_indexes_are_read_as_sqlite_reads_them(terms: list[str], blank: str, order: str, where: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (c0)")
    # SQLite takes a bare literal or name between the parentheses for a column; a call is always an expression.
    written = [f"abs({term}){blank}COLLATE RTRIM{blank}{order}" for term in terms]
    sql = f"CREATE INDEX{blank}[i (]{blank}ON t{blank}({','.join(written)}){blank}WHERE{blank}{where}"
    connection.execute(sql)
    parsed = parse_index(sql)
    assert list(parsed.terms) == [f"abs({term})" for term in terms]
    assert parsed.where == where


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_is_cut_into_tokens_that_stand_in_it(text: str) -> None:
    for token in tokens(text):
        assert text[token.start : token.end] == token.text
    parse_table(text)
    parse_index(text)


def test_a_long_statement_is_read_in_time() -> None:
    sql = "CREATE TABLE t (" + ", ".join(f"c{i} TEXT CHECK (c{i} <> '{'(' * 50}')" for i in range(2000)) + ")"
    assert len(parse_table(sql).checks) == 2000
