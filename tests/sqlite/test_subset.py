"""The canary's sample: a fair share, closed over relations, the same for the same seed."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sdetl_engine.errors import Cancelled, UsageError
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.sqlite.subset import SubsetResult, sample_subset
from sdetl_engine.values.schema import Relation

Make = Callable[[str], Path]


def numbers(table: str, rows: int, values: str) -> str:
    return (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        f" INSERT INTO {table} SELECT {values} FROM n;"
    )


SERVICE_DESK = (
    "CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT, boss INTEGER);"
    "CREATE TABLE tickets(id TEXT PRIMARY KEY, person REAL, title TEXT);"
    "CREATE TABLE sheets(ticket INTEGER, hours REAL);"
    + numbers("people", 200, "i, 'p' || i, CASE WHEN i > 1 THEN i / 3 + 1 END")
    + numbers("tickets", 2000, "i, 1 + i * 7 % 200, 't' || i")
    + numbers("sheets", 20000, "i, 1.5")
)
"""Ids of tickets are texts, and people's are REAL where tickets name them; nine sheets in ten have no ticket."""

RELATIONS = (
    Relation("tickets", ("person",), "people", ("id",), "plan"),
    Relation("people", ("boss",), "people", ("id",), "plan"),
    Relation("sheets", ("ticket",), "tickets", ("id",), "plan"),
)


def draw(
    source: Path, relations: Sequence[Relation] = (), *, fraction: float = 0.1, seed: int = 7, name: str = "sample.db"
) -> SubsetResult:
    with contextlib.closing(open_readonly(source)) as connection:
        schema = read_schema(connection)
    return sample_subset(source, source.with_name(name), schema, relations, fraction, seed, SilentReporter())


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(open_readonly(path)) as connection:
        connection.execute("ATTACH ? AS source", (str(path.with_name("source.db")),))
        return connection.execute(query).fetchall()


def test_no_row_loses_a_parent_that_it_has_in_the_source(sqlite_file: Make) -> None:
    sample = draw(sqlite_file(SERVICE_DESK), RELATIONS).path
    lost = (
        """SELECT * FROM main.sheets WHERE CAST(ticket AS TEXT) IN (SELECT id FROM source.tickets)
            AND CAST(ticket AS TEXT) NOT IN (SELECT id FROM main.tickets)""",
        "SELECT * FROM main.tickets WHERE person NOT IN (SELECT id FROM main.people)",
        "SELECT * FROM main.people WHERE boss NOT IN (SELECT id FROM main.people)",
    )
    assert [ask(sample, query) for query in lost] == [[], [], []]


def test_children_come_with_their_parents_and_orphans_at_their_share(sqlite_file: Make) -> None:
    result = draw(sqlite_file(SERVICE_DESK), RELATIONS)
    assert result.of == {"people": 200, "sheets": 20000, "tickets": 2000}
    assert 200 <= result.rows["tickets"] <= 400
    assert 1900 <= result.rows["sheets"] <= 2300
    with_ticket = ask(result.path, "SELECT count(*) FROM main.sheets WHERE ticket <= 2000")[0][0]
    tickets = ask(result.path, "SELECT count(*) FROM main.tickets WHERE id IN (SELECT ticket || '' FROM main.sheets)")[
        0
    ][0]
    assert with_ticket == tickets >= 190
    assert result.rows == {t: ask(result.path, f"SELECT count(*) FROM main.{t}")[0][0] for t in result.of}


def test_the_same_seed_draws_the_same_rows_and_another_seed_others(sqlite_file: Make) -> None:
    source = sqlite_file(SERVICE_DESK)
    one, same, other = (
        draw(source, RELATIONS, seed=seed, name=name).path for seed, name in ((7, "a"), (7, "b"), (8, "c"))
    )
    assert one.read_bytes() == same.read_bytes()
    assert ask(one, "SELECT id FROM main.tickets") != ask(other, "SELECT id FROM main.tickets")


@pytest.mark.parametrize(("rows", "expected"), [(0, 0), (1, 1), (9, 9), (30, 30), (31, 30), (299, 30), (1001, 101)])
def test_small_tables_are_not_sampled_to_nothing(sqlite_file: Make, rows: int, expected: int) -> None:
    source = sqlite_file(
        "CREATE TABLE t(a INTEGER PRIMARY KEY); CREATE TABLE c(a INTEGER REFERENCES t(a));"
        + (numbers("t", rows, "i") + numbers("c", rows, "i") if rows else "")
    )
    drawn = draw(source, [Relation("c", ("a",), "t", ("a",), "declared")]).rows
    # The rows at both ends come on top.
    assert expected <= drawn["t"] <= min(rows, expected + 60)
    assert expected <= drawn["c"] <= min(rows, expected + 60)


def test_rows_at_the_edges_are_always_there(sqlite_file: Make) -> None:
    source = sqlite_file(
        "CREATE TABLE t(k TEXT, a TEXT, b INTEGER);"
        + numbers("t", 3000, "i, 'x', i")
        + "UPDATE t SET a = 'a very long text' WHERE rowid = 1234; UPDATE t SET a = NULL, b = NULL WHERE rowid = 2345"
    )
    for seed in range(5):
        sample = draw(source, seed=seed, name=f"{seed}.db").path
        found = ask(sample, "SELECT rowid FROM main.t WHERE rowid IN (1, 1234, 2345, 3000)")
        assert found == [(1,), (1234,), (2345,), (3000,)]


def test_a_table_of_very_many_columns(sqlite_file: Make) -> None:
    columns = ", ".join(f"c{number} TEXT" for number in range(1500))
    source = sqlite_file(f"CREATE TABLE t({columns});" + numbers("t", 500, ", ".join(["i"] * 1500)))
    assert 20 <= draw(source).rows["t"] <= 100


def test_a_sample_is_random(sqlite_file: Make) -> None:
    source = sqlite_file("CREATE TABLE t(a)" + ";" + numbers("t", 10_000, "i") + "DELETE FROM t WHERE rowid % 7 = 0")
    chosen = [row[0] for row in ask(draw(source).path, "SELECT rowid FROM main.t")]
    gaps = {later - earlier for earlier, later in itertools.pairwise(chosen)}
    assert len(gaps) > 10
    assert 4500 < sum(chosen) / len(chosen) < 5500


def test_children_of_a_table_taken_whole_are_thinned_out(sqlite_file: Make) -> None:
    source = sqlite_file(
        "CREATE TABLE groups(id INTEGER PRIMARY KEY); CREATE TABLE tickets(id INTEGER PRIMARY KEY, g INTEGER);"
        + numbers("groups", 5, "i")
        + numbers("tickets", 5000, "i, i % 5 + 1")
    )
    result = draw(source, [Relation("tickets", ("g",), "groups", ("id",), "plan")])
    assert result.rows["groups"] == 5
    assert 500 <= result.rows["tickets"] <= 1010


def test_tables_that_point_at_each_other(sqlite_file: Make) -> None:
    source = sqlite_file(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, b INTEGER); CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER);"
        + numbers("a", 1000, "i, 1 + i * 31 % 1000")
        + numbers("b", 1000, "i, 1 + i * 17 % 20")
    )
    relations = [Relation("a", ("b",), "b", ("id",), "plan"), Relation("b", ("a",), "a", ("id",), "plan")]
    sample = draw(source, relations).path
    assert ask(sample, "SELECT * FROM main.a WHERE b NOT IN (SELECT id FROM main.b)") == []
    assert ask(sample, "SELECT * FROM main.b WHERE a NOT IN (SELECT id FROM main.a)") == []


def test_keys_of_several_columns_and_without_rowid(sqlite_file: Make) -> None:
    source = sqlite_file(
        "CREATE TABLE p(x TEXT, y INTEGER, PRIMARY KEY(x, y)) WITHOUT ROWID; CREATE TABLE c(px TEXT, py TEXT, pz);"
        + numbers("p", 1000, "'x' || (i % 10), i")
        + numbers("c", 1000, "'x' || (i % 10), i || '', NULL")
    )
    result = draw(source, [Relation("c", ("px", "py"), "p", ("x", "y"), "plan")])
    assert 100 <= result.rows["p"] < 250
    lost = "SELECT * FROM main.c WHERE NOT EXISTS (SELECT 1 FROM main.p WHERE x = px AND y = CAST(py AS INTEGER))"
    assert ask(result.path, lost) == []


def test_the_sample_is_declared_like_the_source_and_keeps_rowids(sqlite_file: Make) -> None:
    source = sqlite_file(
        """PRAGMA encoding = 'UTF-16le'; PRAGMA page_size = 8192;
        CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT CHECK(a <> ''), g TEXT AS (a || '!'));
        CREATE TABLE "odd ""name"(rowid TEXT, b); CREATE UNIQUE INDEX i ON t(a); CREATE VIEW v AS SELECT a FROM t;
        CREATE TRIGGER boom AFTER INSERT ON t BEGIN SELECT RAISE(ABORT, 'fired'); END;
        CREATE VIRTUAL TABLE words USING fts5(w);
        DROP TRIGGER boom; INSERT INTO t(id, a) VALUES (5, 'x'), (90, 'ü'); DELETE FROM t WHERE id = 90;
        PRAGMA ignore_check_constraints = ON; INSERT INTO t(id, a) VALUES (6, '');
        CREATE TRIGGER boom AFTER INSERT ON t BEGIN SELECT RAISE(ABORT, 'fired'); END;
        INSERT INTO "odd ""name"(_rowid_, rowid, b) VALUES (-7, 'r', x'00ff')"""
    )
    sample = draw(source).path
    schema = (
        "SELECT type, name, sql FROM {}.sqlite_schema WHERE type <> 'trigger' AND name NOT LIKE 'words%' ORDER BY 1, 2"
    )
    assert ask(sample, schema.format("main")) == ask(sample, schema.format("source"))
    assert ask(sample, "SELECT id, a, g FROM main.t") == [(5, "x", "x!"), (6, "", "!")]
    assert ask(sample, 'SELECT _rowid_, rowid, b FROM main."odd ""name"') == [(-7, "r", b"\x00\xff")]
    assert ask(sample, "SELECT * FROM main.sqlite_sequence") == [("t", 90)]
    assert ask(sample, "PRAGMA main.encoding") == [("UTF-16le",)]
    assert ask(sample, "PRAGMA main.page_size") == [(8192,)]


def test_only_a_new_file_is_written(sqlite_file: Make) -> None:
    source = sqlite_file(SERVICE_DESK)
    source.with_name("sample.db").write_text("precious")
    with pytest.raises(UsageError):
        draw(source)
    assert source.with_name("sample.db").read_text() == "precious"


@pytest.mark.parametrize("at", [1, 4, 7])
def test_cancelled_nothing_is_left(sqlite_file: Make, at: int) -> None:
    source = sqlite_file(SERVICE_DESK)
    with contextlib.closing(open_readonly(source)) as connection:
        schema = read_schema(connection)
    with pytest.raises(Cancelled):
        sample_subset(
            source, source.with_name("s.db"), schema, RELATIONS, 0.1, 1, RecordingReporter(cancel_at_check=at)
        )
    assert [path.name for path in source.parent.iterdir()] == ["source.db"]


def test_a_child_table_is_not_sampled_to_nothing_because_few_parents_have_children(sqlite_file: Make) -> None:
    source = sqlite_file(
        "CREATE TABLE t(a INTEGER PRIMARY KEY); CREATE TABLE c(a INTEGER);"
        + numbers("t", 2000, "i")
        + numbers("c", 40, "i * 50")
    )
    drawn = draw(source, [Relation("c", ("a",), "t", ("a",), "declared")])
    assert 30 <= drawn.rows["c"] <= 40
    assert ask(drawn.path, "SELECT * FROM main.c WHERE a NOT IN (SELECT a FROM main.t)") == []
