"""What a file declares is read completely, with every name as it stands."""

from __future__ import annotations

import sqlite3

import pytest

from sdetl_engine.errors import SourceError
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.values.schema import ForeignKey, Index, IndexTerm, Schema, SchemaObject, Table


def schema_of(*statements: str, encoding: str = "UTF-8", exclude: tuple[str, ...] = ()) -> Schema:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(f"PRAGMA encoding='{encoding}'")
    for statement in statements:
        connection.execute(statement)
    return read_schema(connection, exclude_tables=exclude)


def table_of(*statements: str) -> Table:
    return schema_of(*statements).table("t")


def test_columns_with_their_types_defaults_and_keys() -> None:
    table = table_of(
        'CREATE TABLE t (`TKT-Job#/Ref#` VARCHAR(10) NOT NULL DEFAULT \'a,)\', [b c] , "d""e" double precision,'
        " ü INT DEFAULT (1 + 2), PRIMARY KEY ([b c], `TKT-Job#/Ref#`))"
    )
    assert [column.name for column in table.columns] == ["TKT-Job#/Ref#", "b c", 'd"e', "ü"]
    assert [column.declared for column in table.columns] == ["VARCHAR(10)", "", "double precision", "INT"]
    assert [column.default for column in table.columns] == ["'a,)'", None, None, "1 + 2"]
    assert [column.not_null for column in table.columns] == [True, False, False, False]
    assert [column.key_position for column in table.columns] == [2, 1, 0, 0]
    assert table.primary_key == ("b c", "TKT-Job#/Ref#")
    assert table.rowid_alias is None


@pytest.mark.parametrize(
    ("definition", "alias"),
    [
        ("a INTEGER PRIMARY KEY", "a"),
        ("a integer, PRIMARY KEY (a DESC)", "a"),
        ("a INTEGER PRIMARY KEY DESC", None),
        ("a INT PRIMARY KEY", None),
        ("a INTEGER, b, PRIMARY KEY (a, b)", None),
        ("a INTEGER", None),
    ],
)
def test_only_integer_primary_key_exactly_is_the_rowid(definition: str, alias: str | None) -> None:
    table = table_of(f"CREATE TABLE t ({definition})")
    assert table.rowid_alias == alias
    assert table.has_rowid


def test_without_rowid_and_strict() -> None:
    table = table_of("CREATE TABLE t (a INTEGER PRIMARY KEY, b ANY) WITHOUT ROWID, STRICT")
    assert not table.has_rowid
    assert table.strict
    assert table.rowid_alias is None


def test_autoincrement_with_its_high_water_mark() -> None:
    table = table_of(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
        "INSERT INTO t VALUES (100, 1)",
        "DELETE FROM t",
    )
    assert table.autoincrement
    assert table.sequence == 100
    assert not table_of('CREATE TABLE t (id INTEGER PRIMARY KEY, "autoincrement")').autoincrement
    assert table_of("CREATE TABLE t (id INTEGER, PRIMARY KEY (id AUTOINCREMENT))").autoincrement


def test_generated_columns_with_their_expressions() -> None:
    table = table_of(
        "CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (a * (2 + 1)) STORED,"
        " c AS (a || ',)' /* ) */ || 'x') VIRTUAL)"
    )
    assert [(c.generated, c.generation) for c in table.columns] == [
        (None, None),
        ("stored", "a * (2 + 1)"),
        ("virtual", "a || ',)' || 'x'"),
    ]


def test_collations_of_columns() -> None:
    table = table_of("CREATE TABLE t (a TEXT COLLATE NoCase NOT NULL, b TEXT DEFAULT 'COLLATE x', c COLLATE \"rtrim\")")
    assert [column.collation for column in table.columns] == ["NOCASE", "BINARY", "RTRIM"]


def test_indexes_of_every_kind() -> None:
    table = table_of(
        "CREATE TABLE t (a TEXT PRIMARY KEY, b COLLATE NOCASE UNIQUE, c)",
        "CREATE UNIQUE INDEX [i, (1)] ON t (c DESC, lower(a || ',') COLLATE RTRIM DESC, (b)) WHERE c > 'WHERE' -- ?\n",
    )
    assert table.indexes == (
        Index("sqlite_autoindex_t_1", (IndexTerm("a"),), unique=True, origin="pk"),
        Index("sqlite_autoindex_t_2", (IndexTerm("b", collation="NOCASE"),), unique=True, origin="u"),
        Index(
            "i, (1)",
            (
                IndexTerm("c", descending=True),
                IndexTerm(None, "lower(a || ',')", descending=True, collation="RTRIM"),
                IndexTerm("b", collation="NOCASE"),
            ),
            unique=True,
            where="c > 'WHERE'",
        ),
    )


def test_checks_of_columns_and_of_the_table() -> None:
    table = table_of(
        "CREATE TABLE t (a CHECK (a <> ')'), b CONSTRAINT [check] CHECK ((b IN (1, 2))) DEFAULT 'CHECK (x)',"
        " CONSTRAINT named CHECK (a > -- not ) yet\n b) CHECK (b))"
    )
    assert table.checks == ("a <> ')'", "(b IN (1, 2))", "a > b", "b")


def test_foreign_keys_are_resolved_to_real_columns() -> None:
    table = table_of(
        "CREATE TABLE Parent (k1, Id INTEGER, PRIMARY KEY (Id, k1))",
        "CREATE TABLE one (Key TEXT PRIMARY KEY)",
        "CREATE TABLE t (a REFERENCES ONE ON DELETE SET DEFAULT NOT NULL, b REFERENCES one (KEY) DEFERRABLE,"
        " c REFERENCES missing (x) ON UPDATE CASCADE NOT DEFERRABLE INITIALLY IMMEDIATE, d REFERENCES one (nowhere),"
        " FOREIGN KEY (a, b) REFERENCES parent DEFERRABLE INITIALLY DEFERRED,"
        " FOREIGN KEY (a) REFERENCES parent, FOREIGN KEY (d) REFERENCES t (a) MATCH FULL ON DELETE NO ACTION)",
    )
    assert table.foreign_keys == (
        ForeignKey(("a",), "one", ("Key",), on_delete="SET DEFAULT"),
        ForeignKey(("b",), "one", ("Key",), deferrable=True),
        ForeignKey(("c",), "missing", (), on_update="CASCADE"),
        ForeignKey(("d",), "one", ()),
        ForeignKey(("a", "b"), "Parent", ("Id", "k1"), deferrable=True, initially_deferred=True),
        ForeignKey(("a",), "Parent", ()),
        ForeignKey(("d",), "t", ("a",)),
    )


def test_what_is_no_table_is_listed_apart() -> None:
    schema = schema_of(
        "CREATE TABLE t (a)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE VIEW broken AS SELECT no_such_function(a) FROM gone",
        "CREATE TRIGGER boom AFTER INSERT ON t BEGIN DELETE FROM t; END",
        "CREATE VIRTUAL TABLE search USING fts5(a)",
        "CREATE INDEX i ON t (a)",
        "ANALYZE",
    )
    assert [table.name for table in schema.tables] == ["t"]
    assert SchemaObject("view", "v", "CREATE VIEW v AS SELECT * FROM t") in schema.others
    trigger = next(other for other in schema.others if other.kind == "trigger")
    assert (trigger.name, trigger.table) == ("boom", "t")
    assert {other.name for other in schema.others if other.kind == "shadow"} >= {"search_data", "search_idx"}
    assert [other.name for other in schema.others if other.kind == "virtual"] == ["search"]


def test_excluded_tables_are_left_out_but_still_known_as_parents() -> None:
    schema = schema_of(
        "CREATE TABLE Parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (p REFERENCES parent)",
        exclude=("PARENT",),
    )
    assert [table.name for table in schema.tables] == ["t"]
    assert schema.table("t").foreign_keys == (ForeignKey(("p",), "Parent", ("id",)),)


HOSTILE = [
    "",
    " ",
    ".",
    "a.b",
    'q"q',
    "[x",
    "`",
    "'",
    "select",
    "; DROP TABLE t --",
    "\x1b[2J\n",
    "🎫",
    "%s",
    "ʼ\u202e",
    "t?1",
]


def test_hostile_names_stay_as_they_are() -> None:
    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    columns = ", ".join(f"{quoted(name)} TEXT COLLATE NOCASE" for name in HOSTILE)
    schema = schema_of(
        *(f"CREATE TABLE {quoted(name)} ({columns})" for name in HOSTILE),
        *(f"CREATE INDEX {quoted('i' + name)} ON {quoted(name)} ({quoted(name)})" for name in HOSTILE),
        encoding="UTF-16be",
    )
    assert schema.encoding == "UTF-16be"
    assert sorted(table.name for table in schema.tables) == sorted(HOSTILE)
    for table in schema.tables:
        assert [(column.name, column.collation) for column in table.columns] == [(name, "NOCASE") for name in HOSTILE]
        assert table.indexes == (Index("i" + table.name, (IndexTerm(table.name, collation="NOCASE"),)),)


def test_a_renamed_and_altered_table() -> None:
    table = table_of(
        "CREATE TABLE old (a INTEGER PRIMARY KEY, b TEXT CHECK (b <> ''))",
        "ALTER TABLE old RENAME TO t",
        'ALTER TABLE t RENAME COLUMN b TO "b, (new)"',
        "ALTER TABLE t ADD COLUMN c TEXT COLLATE NOCASE DEFAULT ')' CHECK (c > 1)",
    )
    assert [column.name for column in table.columns] == ["a", "b, (new)", "c"]
    assert table.column("c").collation == "NOCASE"
    assert table.checks == ("\"b, (new)\" <> ''", "c > 1")


def test_create_table_as_select() -> None:
    table = table_of("CREATE TABLE t AS SELECT 1 AS a, 'x' AS \"b c\"")
    assert [column.name for column in table.columns] == ["a", "b c"]


def test_a_damaged_schema_is_an_error_of_the_source() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (a)")
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a'")
    connection.execute("PRAGMA writable_schema=RESET")
    with pytest.raises(SourceError, match="malformed database schema") as refused:
        read_schema(connection)
    assert refused.value.kind == "source-malformed"
