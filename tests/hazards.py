"""One SQLite file with every hazard of values, dates and schema objects that a catalogue of other tools' bugs knows.

Each :class:`Hazard` adds its own tables to the file, and says how a run must account for it: by a finding of a rule, by
a line of what was not migrated, by a name that was changed, or by the value that a reader sees in PostgreSQL.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Hazard:
    """``code`` as in the catalogue.  ``seen``: query (in the serving schema) and what it gives."""

    code: str
    script: str
    rules: tuple[tuple[str, str, str | None], ...] = ()
    """Rule code, table, column."""
    missed: tuple[tuple[str, str], ...] = ()
    """Kind and name of what is not migrated."""
    renamed: tuple[str, ...] = ()
    seen: tuple[tuple[str, object], ...] = ()


def _rows(table: str, *values: str) -> str:
    return f"INSERT INTO {table} VALUES {', '.join(f'({v})' for v in values)};"


def _many(table: str, value: str, rows: int = 60) -> str:
    """So many rows of an expression over ``i``."""
    return (
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        f" INSERT INTO {table} SELECT {value} FROM n;"
    )


LONG = "k" * 70
VALUES = (
    Hazard(
        "H-DYN",
        "CREATE TABLE dyn (id INTEGER PRIMARY KEY, n INTEGER);"
        + _many("dyn", "i, i")
        + "UPDATE dyn SET n = 'lots' WHERE id = 9;",
        rules=(("TYPE-RESIDUE", "dyn", "n"), ("QUARANTINED", "dyn", None)),
        seen=(("SELECT pg_typeof(n)::text FROM dyn LIMIT 1", "bigint"), ("SELECT n FROM dyn WHERE id = 9", None)),
    ),
    Hazard(
        "H-NOTYPE",
        "CREATE TABLE notype (a, b STRING, c timestampz);"
        + _rows("notype", "1, 'x', '2024-01-01 10:00:00'", "'toto', 'y', '2024-01-02 10:00:00'"),
        rules=(("TYPE-MIXED", "notype", "a"),),
        seen=(("SELECT a FROM notype WHERE b = 'x'", "1"),),
    ),
    Hazard(
        "H-NUMAFF / LEADING ZEROS",
        "CREATE TABLE codes (code TEXT);" + _rows("codes", "'007'", "'0815'"),
        rules=(("LEADING-ZEROS", "codes", "code"),),
        seen=(("SELECT min(code) FROM codes", "007"),),
    ),
    Hazard(
        "H-BIGINT",
        "CREATE TABLE big (id INTEGER PRIMARY KEY, n INTEGER);" + _rows("big", "9223372036854775807, 9007199254740993"),
        seen=(("SELECT n FROM big", 9007199254740993), ("SELECT id FROM big", 9223372036854775807)),
    ),
    Hazard(
        "H-INTREAL",
        "CREATE TABLE halves (n INTEGER);" + _rows("halves", "1", "2.5"),
        rules=(("TYPE-WIDENED", "halves", "n"),),
        seen=(("SELECT sum(n)::float8 FROM halves", 3.5),),
    ),
    Hazard(
        "H-BOOL",
        "CREATE TABLE flags (good BOOLEAN, odd BOOLEAN);" + _rows("flags", "1, 2", "0, 1", "1, 0"),
        rules=(("TYPE-WIDENED", "flags", "odd"),),
        seen=(("SELECT bool_or(good) FROM flags", True), ("SELECT max(odd) FROM flags", 2)),
    ),
    Hazard(
        "H-FLOAT4 / H-DECIMAL",
        "CREATE TABLE money (r REAL, d NUMERIC(5,2));" + _rows("money", "123456789.123, 12.5", "54.234246451, 0.25"),
        seen=(("SELECT max(r)::text FROM money", "123456789.123"), ("SELECT min(d)::text FROM money", "0.25")),
    ),
    Hazard(
        "H-INF / H-NEGZ",
        "CREATE TABLE ends (r REAL, z REAL);" + _rows("ends", "9e999, -0.0", "1, 0.5"),
        seen=(("SELECT max(r)::text FROM ends", "Infinity"), ("SELECT min(z)::text FROM ends", "0")),
    ),
    Hazard(
        "H-NUL / H-UTF8",
        "CREATE TABLE bad (id INTEGER PRIMARY KEY, t TEXT);"
        + _many("bad", "i, 'text ' || i")
        + "UPDATE bad SET t = 'a' || char(0) || 'b' WHERE id = 3; UPDATE bad SET t = CAST(x'636166e9' AS TEXT) WHERE id = 4;",
        rules=(("TEXT-UNLOADABLE", "bad", "t"), ("QUARANTINED", "bad", None)),
        seen=(("SELECT count(t) FROM bad", 58),),
    ),
    Hazard(
        "H-CONTROL",
        "CREATE TABLE ctl (t TEXT);" + _rows("ctl", "'a' || char(27) || '[2J'"),
        rules=(("TEXT-CONTROL", "ctl", "t"),),
        seen=(("SELECT t FROM ctl", "a\x1b[2J"),),
    ),
    Hazard(
        "H-JSON0",
        "CREATE TABLE docs (doc JSON);" + _rows("docs", """'{"a": "\\u0000", "a": 2}'"""),
        seen=(("SELECT doc::text FROM docs", '{"a": "\\u0000", "a": 2}'),),
    ),
    Hazard(
        "H-BLOB",
        "CREATE TABLE blobs (b BLOB);" + _rows("blobs", "x'00ff'", "'dGV4dA=='"),
        rules=(("TYPE-MIXED", "blobs", "b"),),
        seen=(("SELECT max(encode(b, 'escape')) FROM blobs", "dGV4dA=="),),
    ),
    Hazard(
        "H-EMPTY",
        "CREATE TABLE empties (id INTEGER PRIMARY KEY, closed TIMESTAMP, must DATE NOT NULL);"
        + _many("empties", "i, CASE WHEN i % 5 THEN datetime(1700000000 + i, 'unixepoch') ELSE '' END, '2024-01-01'")
        + "UPDATE empties SET must = '' WHERE id = 7;",
        rules=(("EMPTY-TO-NULL", "empties", "closed"), ("EMPTY-NOT-NULL", "empties", "must")),
        seen=(("SELECT count(*) - count(closed) FROM empties", 12),),
    ),
    Hazard(
        "H-LEN",
        "CREATE TABLE short (s VARCHAR(3));" + _rows("short", "'longer than three'"),
        seen=(("SELECT s FROM short", "longer than three"),),
    ),
    Hazard(
        "H-LONGIDX",
        "CREATE TABLE longs (s TEXT); CREATE INDEX longs_by_s ON longs (s);" + _rows("longs", "hex(randomblob(9000))"),
        missed=(("index", "longs_by_s"),),
        seen=(("SELECT length(s) FROM longs", 18000),),
    ),
    Hazard(
        "H-WS",
        "CREATE TABLE blanks (k TEXT PRIMARY KEY);" + _rows("blanks", "'a'", "'a '", "'a\u00a0'"),
        seen=(("SELECT count(*) FROM blanks", 3), ("SELECT length(max(k)) FROM blanks", 2)),
    ),
    Hazard(
        "H-MARK",
        "CREATE TABLE marks (n INTEGER, s TEXT);"
        + _many("marks", "CASE WHEN i % 30 THEN i ELSE '?' END, CASE WHEN i % 9 THEN 'word ' || i ELSE 'N/A' END"),
        rules=(("TYPE-RESIDUE", "marks", "n"), ("MISSING-MARK", "marks", "s")),
        seen=(("SELECT count(n) FROM marks", 58), ("SELECT count(*) FROM marks WHERE s = 'N/A'", 6)),
    ),
    Hazard(
        "H-INTSYN",
        "CREATE TABLE spelled (n INTEGER);"
        + _many("spelled", "CASE i WHEN 1 THEN '0x1F' WHEN 2 THEN '1_000' WHEN 3 THEN ' 7 ' ELSE i END"),
        rules=(("TYPE-RESIDUE", "spelled", "n"),),
        seen=(("SELECT min(n) FROM spelled", 4),),
    ),
)

DATES = (
    Hazard(
        "D-DMY",
        "CREATE TABLE dmy (a TIMESTAMP, b TIMESTAMP);"
        + _rows(
            "dmy",
            "'03/04/2024 9:05', '03/04/2024'",
            "'25/12/2024 9:05', '05/06/2024'",
            "'01/02/2024 9:05', '07/08/2024'",
        ),
        rules=(("DATE-TO-ISO", "dmy", "a"), ("DATE-ORDER", "dmy", "a")),
        seen=(("SELECT min(a)::text FROM dmy", "2024-02-01 09:05:00"),),
    ),
    Hazard(
        "D-DMY undecided",
        "CREATE TABLE undecided (a TIMESTAMP);" + _rows("undecided", "'03/04/2024'", "'05/06/2024'"),
        rules=(("DATE-ORDER-UNDECIDED", "undecided", "a"),),
        seen=(("SELECT min(a) FROM undecided", "03/04/2024"),),
    ),
    Hazard(
        "D-DMY conflict",
        "CREATE TABLE conflict (a TIMESTAMP);" + _rows("conflict", "'25/12/2024'", "'12/25/2024'"),
        rules=(("DATE-ORDER-CONFLICT", "conflict", "a"),),
        seen=(("SELECT count(a) FROM conflict", 2),),
    ),
    Hazard(
        "D-MAGIC",
        "CREATE TABLE magic (a TIMESTAMP);"
        + _many("magic", "CASE i WHEN 5 THEN 'today' ELSE '2024-01-01 10:00:00' END"),
        rules=(("DATE-CORRUPT", "magic", "a"), ("QUARANTINED", "magic", None)),
        seen=(("SELECT count(DISTINCT a) FROM magic", 1), ("SELECT count(a) FROM magic", 59)),
    ),
    Hazard(
        "D-EPOCH / D-JULIAN / D-COMPACT",
        "CREATE TABLE numbers (e INTEGER, j REAL, c TEXT);"
        + _rows("numbers", "1700000000, 2460000.5, '20240102'", "1700000060, 2460001.5, '20240103'"),
        seen=(("SELECT min(e) FROM numbers", 1700000000), ("SELECT min(c) FROM numbers", "20240102")),
    ),
    Hazard(
        "D-EPOCH proved, not agreed",
        "CREATE TABLE epochs (created_at INTEGER, ms INTEGER, n INTEGER);"
        + _rows("epochs", "1700000000, 1700000000000, 1700000000", "1700000060, 1700000060000, 3"),
        rules=(("DATE-NUMBERS", "epochs", "created_at"), ("DATE-NUMBERS", "epochs", "ms")),
        seen=(("SELECT min(created_at) FROM epochs", 1700000000),),
    ),
    Hazard(
        "TWO-DIGIT YEARS",
        "CREATE TABLE short_years (a TEXT);" + _rows("short_years", "'31/12/69'", "'1/2/70 10:15'"),
        rules=(("DATE-SHORT-YEARS", "short_years", "a"),),
        seen=(("SELECT min(a) FROM short_years", "1/2/70 10:15"),),
    ),
    Hazard(
        "D-INVALID / D-2400 / D-ZERO",
        "CREATE TABLE wrong (a TIMESTAMP);"
        + _many(
            "wrong",
            "CASE i WHEN 1 THEN '2024-02-30 10:00:00' WHEN 2 THEN '0000-00-00' WHEN 3 THEN '12024-01-01'"
            " ELSE '2024-02-29 10:00:00' END",
        ),
        rules=(("DATE-CORRUPT", "wrong", "a"),),
        seen=(("SELECT count(a) FROM wrong", 57),),
    ),
    Hazard(
        "D-MONTH",
        "CREATE TABLE months (a TIMESTAMP);"
        + _many("months", "CASE i WHEN 1 THEN '12 mar 2024' ELSE '2024-03-13 10:00:00' END"),
        seen=(("SELECT count(*) FROM months", 60),),
    ),
    Hazard(
        "D-TZ",
        "CREATE TABLE zones (a TIMESTAMP, b TIMESTAMP);"
        + _rows(
            "zones",
            "'2024-01-01T10:00:00+05:30', '2024-01-01 10:00:00'",
            "'2024-01-01T04:30:00Z', '2024-01-01T10:00:00Z'",
        ),
        rules=(("DATE-ZONES-MIXED", "zones", "b"),),
        seen=(("SELECT count(DISTINCT a) FROM zones", 1), ("SELECT count(DISTINCT b) FROM zones", 2)),
    ),
    Hazard(
        "D-PREC",
        "CREATE TABLE fine (a TIMESTAMP);" + _rows("fine", "'2024-01-01 10:00:00.123456'"),
        seen=(("SELECT a::text FROM fine", "2024-01-01 10:00:00.123456"),),
    ),
    Hazard(
        "D-BUSINESS",
        "CREATE TABLE ends_of_time (a DATE);" + _rows("ends_of_time", "'1970-01-01'", "'2024-05-05'", "'2099-12-31'"),
        rules=(("DATE-SENTINEL", "ends_of_time", "a"), ("DATE-FUTURE", "ends_of_time", "a")),
    ),
)

SCHEMA = (
    Hazard(
        "S-NULLPK",
        "CREATE TABLE nullpk (k TEXT PRIMARY KEY, v INT);" + _rows("nullpk", "NULL, 1", "NULL, 2", "'a', 3"),
        rules=(("KEY-NULL", "nullpk", "k"),),
        seen=(("SELECT count(*) FROM nullpk", 3),),
    ),
    Hazard(
        "S-AUTOINC",
        "CREATE TABLE auto (id INTEGER PRIMARY KEY AUTOINCREMENT, v INT);"
        + _rows("auto", "100, 1")
        + "DELETE FROM auto; INSERT INTO auto (id, v) VALUES (5, 2);",
        seen=(("SELECT nextval(pg_get_serial_sequence('servicedesk.auto', 'id'))", 101),),
    ),
    Hazard(
        "S-FKBAD / S-FKIMPL",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (p INTEGER REFERENCES parent, q INTEGER REFERENCES nowhere (id));"
        + _rows("parent", "1")
        + _rows("child", "1, 1", "2, 1"),
        rules=(("FK-ORPHANS", "child", "p"), ("FK-NOT-VALID", "", None)),
        seen=(("SELECT count(*) FROM child", 2),),
    ),
    Hazard(
        "S-NOCASE",
        "CREATE TABLE nocase (k TEXT COLLATE NOCASE UNIQUE);" + _rows("nocase", "'a'", "'B'"),
        seen=(("SELECT count(*) FROM pg_indexes WHERE tablename = 'nocase' AND indexdef LIKE '%lower(%'", 1),),
    ),
    Hazard(
        "S-PARTIAL",
        "CREATE TABLE partial (a INT, b TEXT); CREATE INDEX partial_some ON partial (a DESC) WHERE b IS NOT NULL;"
        "CREATE INDEX partial_expr ON partial (lower(b)); INSERT INTO partial VALUES (1, 'x');",
        seen=(("SELECT count(*) FROM pg_indexes WHERE tablename = 'partial'", 2),),
    ),
    Hazard(
        "S-FKTYPE",
        "CREATE TABLE owner (id INTEGER PRIMARY KEY); CREATE TABLE thing (o TEXT REFERENCES owner (id));"
        + _rows("owner", "1")
        + _rows("thing", "'1'", "'x'"),
        rules=(("FK-ORPHANS", "thing", "o"),),
        missed=(("foreign key", "thing"),),
    ),
    Hazard(
        "S-CHECK",
        "CREATE TABLE checked (a INT CHECK (a > 0), b TEXT CHECK (printf('%d', b) <> ''));"
        + _rows("checked", "1, 'x'"),
        missed=(("check", "b"),),
        seen=(
            (
                "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid = 'servicedesk.checked'::regclass",
                1,
            ),
        ),
    ),
    Hazard(
        "S-GEN",
        "CREATE TABLE gen (a INT, b INT AS (a * 2) STORED, c TEXT AS (printf('%03d', a)));INSERT INTO gen (a) VALUES (4);",
        missed=(("generated column", "c"),),
        seen=(("SELECT b FROM gen", 8), ("SELECT c FROM gen", "004")),
    ),
    Hazard(
        "S-VIEW / S-TRIG / S-VIRT",
        "CREATE TABLE base (a INT, n TEXT); CREATE VIEW seen AS SELECT a FROM base; CREATE VIEW unseen AS SELECT hex(n) AS g FROM base;"
        "CREATE TRIGGER bite AFTER INSERT ON base BEGIN UPDATE base SET n = 'bitten'; END; CREATE VIRTUAL TABLE words USING fts5(body);"
        "INSERT INTO base (a) VALUES (1);",
        missed=(("view", "unseen"), ("trigger", "bite"), ("virtual table", "words"), ("shadow", "words_data")),
        seen=(("SELECT a FROM seen", 1),),
    ),
    Hazard(
        "S-DEFAULT",
        "CREATE TABLE defaults (a TEXT DEFAULT \"abc\", b TEXT DEFAULT (datetime('now')), c BLOB DEFAULT (randomblob(4)), d INT);INSERT INTO defaults (d) VALUES (1);",
        missed=(("default", "c"),),
        seen=(("SELECT count(*) FROM pg_attrdef WHERE adrelid = 'servicedesk.defaults'::regclass", 2),),
    ),
    Hazard(
        "S-IDENT / S-63",
        f'CREATE TABLE "select" ("a b" INT, "qu""ote" INT, ctid INT, "x.y" INT, "" INT, "{LONG}1" INT, "{LONG}2" INT);'
        'INSERT INTO "select" VALUES (1, 2, 3, 4, 5, 6, 7);',
        renamed=("select.ctid", "select.", f"select.{LONG}1", f"select.{LONG}2"),
        seen=(('SELECT "a b" + "qu""ote" + "x.y" FROM "select"', 7),),
    ),
    Hazard(
        "S-DUPTYPE",
        "CREATE TABLE sized (a int(5), b text(100), c double precision, d unsigned big int);"
        + _rows("sized", "1, 'x', 1.5, 2"),
        seen=(
            ("SELECT pg_typeof(a)::text FROM sized", "bigint"),
            ("SELECT pg_typeof(c)::text FROM sized", "double precision"),
        ),
    ),
    Hazard(
        "S-WOROWID / S-STRICT",
        "CREATE TABLE worowid (a TEXT, b INT, v ANY, PRIMARY KEY (a, b)) WITHOUT ROWID, STRICT;"
        + _rows("worowid", "'x', 1, 'one'", "'x', 2, 2"),
        rules=(("TYPE-MIXED", "worowid", "v"),),
        seen=(("SELECT string_agg(v, ' ' ORDER BY b) FROM worowid", "one 2"),),
    ),
    Hazard("EMPTY TABLE", "CREATE TABLE nobody (a INT);", rules=(("TABLE-EMPTY", "nobody", None),)),
    Hazard(
        "DUPLICATE ROWS",
        "CREATE TABLE twice (a INT, b TEXT);" + _rows("twice", "1, 'x'", "1, 'x'"),
        rules=(("ROW-DUPLICATE", "twice", None),),
        seen=(("SELECT count(*) FROM twice", 2),),
    ),
)

HAZARDS = (*VALUES, *DATES, *SCHEMA)


def build(path: Path) -> Path:
    """The file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for hazard in HAZARDS:
            connection.executescript(hazard.script)
        connection.commit()
    return path
