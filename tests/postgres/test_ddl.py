from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sdetl_engine.errors import UsageError
from sdetl_engine.postgres import build
from sdetl_engine.settings import LoadSettings
from sdetl_engine.values.types import Kind
from tests.postgres.ddl_cases import VERSION, build_file, missed, plan_file, rows

Connection = psycopg.Connection[Any]
MakeFile = Callable[[str], Path]

LONG = "x" * 30
TWINS = (LONG * 2 + "abc-tail-one", LONG * 2 + "abc-tail-two")
HOSTILE = (
    *(
        '"User"',
        "TKT-Parent ID",
        "a.b",
        'say "hi"',
        "xmin",
        "ctid",
        "%s",
        "per cent %",
        "größe 😀",
        "select",
        "{}",
        "a'b",
    ),
    *('"; DROP SCHEMA x; --', "tab\tand\nline", *TWINS),
)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def constraints(connection: Connection) -> dict[str, str]:
    found = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = to_regnamespace(%s) "
        "AND contype <> 'n'",
        [VERSION],
    )
    return dict(found.fetchall())


def indexes(connection: Connection) -> dict[str, str]:
    found = connection.execute(
        "SELECT indexname, regexp_replace(indexdef, '^.* USING ', '') FROM pg_indexes WHERE schemaname = %s", [VERSION]
    )
    return dict(found.fetchall())


def test_hostile_names_arrive_unchanged_or_are_said(connection: Connection, sqlite_file: MakeFile) -> None:
    columns = ", ".join(f"{quoted(n)} TEXT DEFAULT 'd'" for n in HOSTILE)
    values = ", ".join(f"'{n}'" for n in range(len(HOSTILE)))
    statements = [
        f"CREATE TABLE {quoted(name)} ({columns}, UNIQUE ({quoted(HOSTILE[0])}, {quoted(HOSTILE[1])}),"
        f" CHECK ({quoted(HOSTILE[6])} <> {quoted(HOSTILE[7])}));"
        f"INSERT INTO {quoted(name)} VALUES ({values});"
        f"CREATE INDEX {quoted('i ' + name)} ON {quoted(name)} ({', '.join(map(quoted, HOSTILE[:5]))} DESC);"
        for name in HOSTILE
    ]
    path = sqlite_file("".join(statements))
    plan = plan_file(path)
    built = build_file(connection, path, plan)
    held = build.read_columns(connection, VERSION)
    renamed = dict(plan.renamed)
    assert built.not_migrated == ()
    assert built.indexes == len(HOSTILE)
    assert build.compare_types(plan, held) == ()
    assert set(held) == {renamed.get(name, name) for name in HOSTILE}
    assert {name for name in HOSTILE if name not in held} == set(TWINS)
    for source in HOSTILE:
        table = renamed.get(source, source)
        assert list(held[table]) == [renamed.get(f"{source}.{name}", name) for name in HOSTILE]
        assert "xmin" not in held[table]
        listed = sql.SQL(", ").join(map(sql.Identifier, held[table]))
        query = sql.SQL("SELECT {} FROM {}").format(listed, sql.Identifier(VERSION, table))
        assert connection.execute(query).fetchall() == [tuple(str(n) for n in range(len(HOSTILE)))]


def test_types_and_not_null_come_from_the_facts(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE t (a INT NOT NULL, b TIMESTAMP NOT NULL, c DECIMAL(10,2), d BOOLEAN, e TEXT NOT NULL);"
        "INSERT INTO t VALUES (1, '2020-01-01 00:00:00', 1.25, 1, ''), (2, '', 2, 0, 'x');"
    )
    plan = plan_file(path)
    build_file(connection, path, plan)
    assert build.read_columns(connection, VERSION)["t"] == {
        "a": "bigint",
        "b": "timestamp without time zone",
        "c": "numeric(10,2)",
        "d": "boolean",
        "e": "text",
    }
    not_null = {c.name for c in plan.table("t").columns if c.not_null}
    assert not_null == {"a", "e"}
    assert [(m.name, m.reason) for m in missed(plan, "not null")] == [("b", "1 row has no value there")]
    assert rows(connection, "SELECT b IS NULL FROM {} ORDER BY a", "t") == [(False,), (True,)]


def test_the_next_id_follows_the_highest_that_ever_was(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT);"
        "INSERT INTO counted VALUES (100, 'a'); DELETE FROM counted;"
        "CREATE TABLE plain (id INTEGER PRIMARY KEY, x TEXT); INSERT INTO plain VALUES (7, 'a');"
        "CREATE TABLE below (id INTEGER PRIMARY KEY, x TEXT); INSERT INTO below VALUES (-7, 'a');"
    )
    build_file(connection, path, plan_file(path))
    for table, expected in (("counted", 101), ("plain", 8), ("below", 1)):
        assert rows(connection, "INSERT INTO {} (x) VALUES ('new') RETURNING id", table) == [(expected,)]


def test_primary_keys_that_hold_null_become_unique_indexes(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE n (a TEXT, b INT, PRIMARY KEY (a, b));"
        "INSERT INTO n VALUES ('x', NULL), ('x', NULL), (NULL, 3), ('x', 1);"
        "CREATE TABLE w (b INT, a TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO w VALUES (1, 'x');"
    )
    plan = plan_file(path)
    built = build_file(connection, path, plan)
    assert [(m.table, m.name, m.reason) for m in missed(plan, "primary key")] == [
        ("n", "a, b", "3 rows have NULL in it")
    ]
    assert plan.table("n").primary_key == ()
    assert plan.table("w").primary_key == ("a", "b")
    assert constraints(connection) == {"w_pkey": "PRIMARY KEY (a, b)"}
    assert built.not_migrated == ()
    with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
        rows(connection, "INSERT INTO {} VALUES ('x', 1) RETURNING 1", "n")


def test_a_primary_key_that_types_make_equal_is_listed_with_the_count(
    connection: Connection, sqlite_file: MakeFile
) -> None:
    path = sqlite_file("CREATE TABLE t (k PRIMARY KEY); INSERT INTO t VALUES (1), ('1'), (2), ('2'), (3);")
    plan = plan_file(path, types={"t.k": "bigint"})
    built = build_file(connection, path, plan)
    assert [(m.kind, m.table, m.name, m.reason) for m in built.not_migrated] == [
        ("primary key", "t", "k", "2 rows repeat the value of another")
    ]
    assert constraints(connection) == {}


def test_indexes_of_every_kind(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, mail TEXT COLLATE NOCASE UNIQUE, name TEXT, open BOOLEAN, at TIMESTAMP,
                        code TEXT, UNIQUE (name, code));
        INSERT INTO t VALUES (1, 'a@x', 'n', 1, '2020-01-01 10:00:00', 'c'), (2, 'É@x', 'n', 0, NULL, 'd');
        CREATE INDEX down ON t (at DESC, name);
        CREATE UNIQUE INDEX part ON t (name) WHERE open = 1;
        CREATE INDEX expr ON t (lower(name), date(at));
        CREATE INDEX folded ON t (name COLLATE NOCASE);
        CREATE UNIQUE INDEX code ON t (code);
        CREATE INDEX odd ON t (strftime('%Y', at));
        """
    )
    plan = plan_file(path)
    built = build_file(connection, path, plan)
    assert built.not_migrated == ()
    assert indexes(connection) == {
        "t_pkey": "btree (id)",
        "t_mail_key": 'btree (lower((mail COLLATE "C")))',
        "t_name_code_key": "btree (name, code)",
        "down": "btree (at DESC, name)",
        "part": "btree (name) WHERE (open = true)",
        "expr": 'btree (lower((name COLLATE "C")), ((at)::date))',
        "folded": "btree (lower(name))",
        "code": "btree (code)",
    }
    assert [(m.name, m.definition) for m in missed(plan, "index")] == [("odd", "(strftime('%Y', at))")]
    with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
        rows(connection, "INSERT INTO {} (mail) VALUES ('A@x') RETURNING 1", "t")
    assert rows(connection, "INSERT INTO {} (mail) VALUES ('é@x') RETURNING mail", "t") == [("é@x",)]


def test_values_too_long_for_a_btree(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        """
        CREATE TABLE t (a TEXT, b INT, c TEXT UNIQUE);
        INSERT INTO t VALUES (hex(randomblob(20000)), 1, hex(randomblob(20000)));
        CREATE INDEX one ON t (a);
        CREATE INDEX two ON t (a, b);
        """
    )
    plan = plan_file(path)
    built = build_file(connection, path, plan)
    assert built.not_migrated == ()
    assert indexes(connection) == {"one": "hash (a)", "t_c_key": "btree (md5(c))"}
    reasons = {m.name: m.reason for m in plan.not_migrated}
    assert "equality only" in reasons["one"]
    assert "2,600 bytes" in reasons["two"]
    assert "MD5" in reasons["c"]


def test_a_long_index_that_only_postgresql_notices_is_listed(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE t (a TEXT, b TEXT); CREATE INDEX both ON t (a || b);"
        "INSERT INTO t VALUES (hex(randomblob(1250)), hex(randomblob(1250)));"
    )
    plan = plan_file(path)
    built = build_file(connection, path, plan)
    assert [m.name for m in built.not_migrated] == ["both"]
    assert "index row" in built.not_migrated[0].reason
    assert rows(connection, "SELECT count(*) FROM {}", "t") == [(1,)]


def test_foreign_keys_of_every_kind(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        """
        CREATE TABLE a (id INTEGER PRIMARY KEY, b INT REFERENCES b DEFERRABLE INITIALLY DEFERRED,
                        up INT REFERENCES a (id));
        CREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES a ON DELETE CASCADE ON UPDATE SET NULL);
        CREATE TABLE p (x INT, y TEXT, PRIMARY KEY (x, y));
        CREATE TABLE c (x INT, y TEXT, FOREIGN KEY (y, x) REFERENCES p (y, x));
        CREATE TABLE o (a INT REFERENCES a, t TEXT REFERENCES a (id), n INT REFERENCES nowhere, l INT REFERENCES p (x));
        INSERT INTO a VALUES (1, 1, NULL), (2, NULL, 1);
        INSERT INTO b VALUES (1, 1);
        INSERT INTO p VALUES (1, 'one');
        INSERT INTO c VALUES (1, 'one'), (2, NULL);
        INSERT INTO o VALUES (1, '1', 1, 1), (77, '1', 1, 1), (78, NULL, NULL, NULL);
        """
    )
    plan = plan_file(path)
    built = build_file(connection, path, plan)
    found = {k: v for k, v in constraints(connection).items() if v.startswith("FOREIGN")}
    assert found == {
        "a_b_fkey": f"FOREIGN KEY (b) REFERENCES {VERSION}.b(id) DEFERRABLE INITIALLY DEFERRED",
        "a_up_fkey": f"FOREIGN KEY (up) REFERENCES {VERSION}.a(id)",
        "b_a_fkey": f"FOREIGN KEY (a) REFERENCES {VERSION}.a(id) ON UPDATE SET NULL ON DELETE CASCADE",
        "c_y_x_fkey": f"FOREIGN KEY (y, x) REFERENCES {VERSION}.p(y, x)",
        "o_a_fkey": f"FOREIGN KEY (a) REFERENCES {VERSION}.a(id) NOT VALID",
    }
    assert built.invalid == (("o_a_fkey", 2),)
    assert built.not_migrated == ()
    assert {m.name: m.reason for m in missed(plan, "foreign key")} == {
        "t -> a": "t is text, a.id is bigint",
        "n -> nowhere": "the table nowhere that it points at is not migrated or does not exist",
        "l -> p": "x of p is not unique there",
    }


def test_an_orphan_that_only_postgresql_sees_is_counted(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE p (k TEXT COLLATE NOCASE PRIMARY KEY); INSERT INTO p VALUES ('A');"
        "CREATE TABLE c (k TEXT REFERENCES p); INSERT INTO c VALUES ('a'), ('A');"
    )
    built = build_file(connection, path, plan_file(path))
    assert built.invalid == (("c_k_fkey", 1),)


def test_orphans_that_are_gone_after_cleaning_leave_a_valid_key(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
        "CREATE TABLE c (p INT REFERENCES p); INSERT INTO c VALUES (1), (NULL);"
    )
    plan = plan_file(path)
    key = dataclasses.replace(plan.foreign_keys[0], orphans=5)
    built = build_file(connection, path, dataclasses.replace(plan, foreign_keys=(key,)))
    assert built.invalid == ()
    assert constraints(connection)["c_p_fkey"] == f"FOREIGN KEY (p) REFERENCES {VERSION}.p(id)"


def test_checks_hold_or_say_how_many_break_them(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        """
        PRAGMA ignore_check_constraints = ON;
        CREATE TABLE t (a INT CHECK (a > 0), s TEXT CHECK (s IN ('x', "y")), f BOOLEAN CHECK (f IN (0, 1)),
                        r TEXT CHECK (r <> printf('%d', 1)), CHECK (length(s) < 5 OR a < 100));
        INSERT INTO t VALUES (1, 'x', 1, 'r'), (-5, 'y', 0, 'r'), (NULL, NULL, NULL, NULL);
        """
    )
    plan = plan_file(path)
    built = build_file(connection, path, plan)
    held = {k: v for k, v in constraints(connection).items() if v.startswith("CHECK")}
    assert held == {
        "t_check1": "CHECK ((a > 0)) NOT VALID",
        "t_check2": "CHECK ((s = ANY (ARRAY['x'::text, 'y'::text])))",
        "t_check3": "CHECK ((f = ANY (ARRAY[false, true])))",
        "t_check5": "CHECK (((length(s) < 5) OR (a < 100)))",
    }
    assert [m.reason for m in built.not_migrated] == ["NOT VALID: 1 row breaks it; new rows are checked"]
    assert [m.definition for m in missed(plan, "check")] == ["r <> printf('%d', 1)"]


def test_defaults_are_those_of_the_column_that_postgresql_has(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, f BOOLEAN DEFAULT 0, s TEXT DEFAULT "abc", n TEXT DEFAULT 5,
                        at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, e TIMESTAMP DEFAULT '',
                        r TEXT DEFAULT (hex(randomblob(4))),
                        d DATE DEFAULT '2020-02-29', z INT DEFAULT NULL, p REAL DEFAULT -1.5);
        """
    )
    plan = plan_file(path)
    built = build_file(connection, path, plan)
    assert built.not_migrated == ()
    inserted = rows(
        connection,
        "INSERT INTO {} DEFAULT VALUES RETURNING f, s, n, at = date_trunc('second', now() AT TIME ZONE 'UTC'), "
        "e, r, d::text, z, p",
        "t",
    )
    assert inserted == [(False, "abc", "5", True, None, None, "2020-02-29", None, -1.5)]
    assert [(m.name, m.definition) for m in missed(plan, "default")] == [("e", "''"), ("r", "hex(randomblob(4))")]


def test_generated_columns_are_computed_or_loaded(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        """
        CREATE TABLE t (a INT, b INT, s TEXT, total INT AS (a * b + 1) STORED, loud TEXT AS (upper(s)),
                        twice INT AS (total * 2), half REAL AS (a / 2), shown TEXT AS (printf('%03d', a)));
        INSERT INTO t (a, b, s) VALUES (7, 6, 'é1x'), (NULL, 2, NULL);
        """
    )
    plan = plan_file(path)
    build_file(connection, path, plan)
    assert [c.name for c in plan.table("t").columns if not c.is_loaded] == ["total", "loud", "half"]
    assert [m.name for m in missed(plan, "generated column")] == ["twice", "shown"]
    assert rows(connection, "SELECT * FROM {} ORDER BY a", "t") == [
        (7, 6, "é1x", 43, "é1X", 86, 3.0, "007"),
        (None, 2, None, None, None, None, None, "000"),
    ]


def test_what_is_no_table_is_listed_with_its_text(sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE t (a INT); CREATE VIEW v AS SELECT a FROM t;"
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END; CREATE VIRTUAL TABLE f USING fts5(body);"
    )
    plan = plan_file(path)
    kinds = {(m.kind, m.name): m for m in plan.not_migrated}
    assert [(v.name, v.kinds) for v in plan.views] == [("v", (Kind.INTEGER,))]
    assert {("trigger", "g"), ("virtual table", "f"), ("shadow", "f_data")} <= set(kinds)
    assert "DELETE FROM t" in kinds["trigger", "g"].definition
    assert [t.name for t in plan.tables] == ["t"]


def test_left_out_columns_and_tables_are_said_and_leave_their_keys(sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, k INT UNIQUE, x TEXT CHECK (k > 0)); CREATE INDEX i ON p (x, k);"
        "CREATE TABLE c (k INT REFERENCES p (k), q INT REFERENCES gone); CREATE TABLE gone (id INTEGER PRIMARY KEY);"
    )
    plan = plan_file(path, leave_out=["p.k"], exclude_tables=["gone"])
    assert [c.name for c in plan.table("p").columns] == ["id", "x"]
    assert sorted((m.kind, m.name) for m in plan.not_migrated) == [
        ("check", "CHECK 1"),
        ("column", "k"),
        ("foreign key", "k -> p"),
        ("foreign key", "q -> gone"),
        ("index", "i"),
        ("table", "gone"),
        ("unique constraint", "k"),
    ]


def test_further_indexes_from_the_plan(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        'CREATE TABLE tickets (id INTEGER PRIMARY KEY, "TKT-Created Time" TIMESTAMP, '
        '"Status (a, b)" TEXT, "Status" TEXT);'
        "CREATE INDEX there ON tickets (Status);"
    )
    load = LoadSettings(
        indexes=(
            "tickets(TKT-Created Time DESC, Status (a, b))",
            "tickets ( status )",
            "tickets(id)",
            'tickets("Status (a, b)")',
        )
    )
    plan = plan_file(path, load=load, suggested=["tickets(TKT-Created Time)", "tickets(no such)"])
    build_file(connection, path, plan)
    assert [(i.origin, i.definition) for i in plan.indexes] == [
        ("source", 'USING btree ("Status")'),
        ("plan", 'USING btree ("TKT-Created Time" DESC, "Status (a, b)")'),
        ("plan", 'USING btree ("Status (a, b)")'),
        ("suggested", 'USING btree ("TKT-Created Time")'),
    ]


def test_the_longest_name_that_fits_is_meant(sqlite_file: MakeFile) -> None:
    path = sqlite_file('CREATE TABLE t (a INT, b INT, "a, b" INT); CREATE TABLE "t(a)" (a INT);')
    plan = plan_file(path, load=LoadSettings(indexes=("t(a, b)", "t(b, a)", "t(a)(a)")))
    assert [(i.table, i.definition) for i in plan.indexes] == [
        ("t", 'USING btree ("a, b")'),
        ("t", 'USING btree ("b", "a")'),
        ("t(a)", 'USING btree ("a")'),
    ]


@pytest.mark.parametrize(
    ("indexes", "partition", "message"),
    [
        (("tickets(Statsu)",), {}, "did you mean Status"),
        (("tikets(Status)",), {}, "did you mean tickets"),
        (("tickets Status",), {}, "is not understood"),
        ((), {"tickets": "Created by week"}, "is not understood"),
        ((), {"tickets": "Creatd by month"}, "did you mean Created"),
        ((), {"tickets": "Status by month"}, "split by a date column"),
        ((), {"ticket": "Created by month"}, "did you mean tickets"),
    ],
)
def test_what_is_misspelt_is_named_with_the_nearest(
    sqlite_file: MakeFile, indexes: tuple[str, ...], partition: dict[str, str], message: str
) -> None:
    path = sqlite_file("CREATE TABLE tickets (id INTEGER PRIMARY KEY, Created TIMESTAMP, Status TEXT);")
    with pytest.raises(UsageError, match=message):
        plan_file(path, load=LoadSettings(indexes=indexes, partition=partition))


def test_a_partitioned_table_keeps_its_rows_and_its_identity(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP, s TEXT DEFAULT 'd' CHECK (s <> ''));"
        "CREATE INDEX t_at ON t (at); CREATE TABLE c (t INT REFERENCES t);"
        "INSERT INTO t (at) VALUES ('2024-12-31 23:59:59'), ('2025-01-01 00:00:00'), (NULL);"
    )
    plan = plan_file(path, load=LoadSettings(partition={"t": "at by month"}))
    built = build_file(connection, path, plan)
    assert [m.reason for m in missed(plan, "primary key")] == [
        "it does not contain at, by which the table is partitioned"
    ]
    assert [m.reason for m in missed(plan, "foreign key")] == ["id of t is not unique there"]
    assert built.not_migrated == ()
    assert rows(connection, "SELECT tableoid::regclass::text LIKE '%default', id FROM {} ORDER BY id", "t") == [
        (False, 1),
        (False, 2),
        (True, 3),
    ]
    assert rows(connection, "INSERT INTO {} (at) VALUES ('2025-01-09') RETURNING id, s", "t") == [(4, "d")]
    assert build.compare_types(plan, build.read_columns(connection, VERSION)) == ()


def test_a_key_that_contains_the_partition_column_stays(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE t (n INT, at DATE, PRIMARY KEY (n, at)); INSERT INTO t VALUES (1, '2024-05-05');"
        "CREATE TABLE c (n INT, at DATE, FOREIGN KEY (n, at) REFERENCES t); INSERT INTO c VALUES (1, '2024-05-05');"
    )
    plan = plan_file(path, load=LoadSettings(partition={"T": '"at" by YEAR'}))
    built = build_file(connection, path, plan)
    assert plan.not_migrated == built.not_migrated == ()
    assert built.constraints == 2


def test_names_that_are_made_give_way_to_those_of_the_source(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT UNIQUE, b INT); CREATE TABLE t_a_key (x INT);"
        "CREATE TABLE zz (id INTEGER PRIMARY KEY); CREATE TABLE zz_id_seq (id INTEGER PRIMARY KEY);"
        "CREATE INDEX t_pkey ON t (b); CREATE INDEX t_id_seq ON t (b, a);"
    )
    plan = plan_file(path)
    built = build_file(connection, path, plan)
    assert built.indexes == 2
    assert built.constraints == 4
    assert {"t_pkey": "btree (b)", "t_id_seq": "btree (b, a)"}.items() <= indexes(connection).items()
