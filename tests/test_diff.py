"""The ledger equation as an operator checks it: equal after a run, and every planted change is named."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import sqlite3
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from sdetl_engine import (
    Difference,
    DifferenceKind,
    DiffResult,
    ExitCode,
    SilentReporter,
    Stage,
    ValidateResult,
    Workspace,
    diff,
    export_differences,
    load_settings,
    open_session,
    read_differences,
    resume_run,
)
from tests.conftest import Server, make_sqlite
from tests.migrating import finish, migrate
from tests.test_cli import sdetl

DESK = r"""
CREATE TABLE tickets (id INTEGER PRIMARY KEY, title TEXT, created TEXT, weight REAL, price NUMERIC, file BLOB,
                      done BOOLEAN, hours INTEGER, doc JSON);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
INSERT INTO tickets SELECT i, 'Ticket ' || i || '  ', CASE WHEN i % 40 = 0 THEN printf('%d/3/2025 9:%02d', 13 + i % 15, i % 60)
  ELSE printf('2025-%02d-%02d %02d:15:00', 1 + i % 12, 1 + i % 28, i % 24) END,
  i * 0.1, i + 0.25, randomblob(8), i % 2, CASE WHEN i = 77 THEN 'many' WHEN i % 9 THEN i END, '{"a": ' || i || '}' FROM n;
UPDATE tickets SET title = '' WHERE id = 5;
UPDATE tickets SET title = NULL WHERE id = 6;
UPDATE tickets SET weight = 0.0 WHERE id = 1100;
CREATE TABLE parts (shelf TEXT, place INTEGER, name TEXT COLLATE NOCASE, PRIMARY KEY (shelf, place)) WITHOUT ROWID;
INSERT INTO parts SELECT 'S' || (i % 7), i, 'part ' || i FROM (SELECT id AS i FROM tickets WHERE id <= 300);
CREATE TABLE codes (code TEXT PRIMARY KEY, seen TIMESTAMP);
INSERT INTO codes SELECT 'K-' || id, created FROM tickets WHERE id <= 300;
CREATE TABLE log (at TEXT, word TEXT, amount);
INSERT INTO log SELECT created, title, id * 0.5 FROM tickets WHERE id <= 300;
INSERT INTO log SELECT * FROM log LIMIT 3;
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A source that went live, and how to look at it."""

    source: Path
    conninfo: str
    workspace: Workspace
    version: str

    def diff(self, source: Path | None = None) -> DiffResult:
        settings = load_settings()
        with open_session(self.workspace, self.conninfo, settings) as session:
            return diff(self.workspace, session, settings, source or self.source, SilentReporter())

    def found(self) -> list[Difference]:
        return list(read_differences(Path(self.diff().path)).differences)

    @property
    def folder(self) -> Path:
        return self.workspace.run_folder(self.workspace.run_ids()[0]).path


@pytest.fixture(scope="module")
def loaded(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("diff")
    conninfo = server.create_database()
    source = make_sqlite(folder / "desk.db", DESK)
    ended = migrate(source, conninfo, folder / "w", skip_canary=True)
    assert ended.document["outcome"] == "live", ended.document
    yield Loaded(source, conninfo, Workspace(folder / "w"), ended.document["target"]["version_schema"])
    server.drop_database(conninfo)


@contextlib.contextmanager
def planted(loaded: Loaded, *statements: LiteralString) -> Any:
    """The live version with a change in it, put back afterwards."""
    with psycopg.connect(loaded.conninfo, autocommit=True) as connection:
        connection.execute("SET search_path = servicedesk")
        tables = ("tickets", "parts", "codes", "log")
        for table in tables:
            connection.execute(f"CREATE TABLE public.{table} AS TABLE servicedesk.{table}")
        try:
            for statement in statements:
                connection.execute(statement)
            yield
        finally:
            for table in tables:
                connection.execute(f"TRUNCATE servicedesk.{table} CASCADE")
                connection.execute(f"INSERT INTO servicedesk.{table} SELECT * FROM public.{table}")
                connection.execute(f"DROP TABLE public.{table}")


def test_a_version_equals_its_source_through_ledger_and_quarantine(loaded: Loaded) -> None:
    result = loaded.diff()
    assert read_differences(Path(result.path)).differences == ()
    assert (result.equal, result.total, result.rows) == (True, 0, 1200 + 300 + 300 + 303)
    assert result.source_change is None


CELLS: list[tuple[LiteralString, tuple[str, str, str, str | None, str | None]]] = [
    (
        "UPDATE tickets SET title = overlay(title placing 'X' from 3) WHERE id = 900",
        ("tickets", "[900]", "title", "Ticket 900  ", "TiXket 900  "),
    ),
    ("UPDATE tickets SET title = rtrim(title) WHERE id = 1", ("tickets", "[1]", "title", "Ticket 1  ", "Ticket 1")),
    ("UPDATE tickets SET title = NULL WHERE id = 5", ("tickets", "[5]", "title", "", None)),
    ("UPDATE tickets SET title = '' WHERE id = 6", ("tickets", "[6]", "title", None, "")),
    (
        "UPDATE tickets SET weight = 0.1::real WHERE id = 1",
        ("tickets", "[1]", "weight", "0.1", "0.10000000149011612"),
    ),
    ("UPDATE tickets SET weight = -0.0::float8 WHERE id = 1100", ("tickets", "[1100]", "weight", "0.0", "-0.0")),
    (
        "UPDATE tickets SET created = created + interval '1 microsecond' WHERE id = 40",
        ("tickets", "[40]", "created", "2025-03-23 09:40:00", "2025-03-23 09:40:00.000001"),
    ),
    ("UPDATE tickets SET done = NOT done WHERE id = 3", ("tickets", "[3]", "done", "true", "false")),
    (
        "UPDATE parts SET name = 'PART 8' WHERE place = 8",
        ("parts", '["S1",8]', "name", "part 8", "PART 8"),
    ),
    ("UPDATE codes SET seen = NULL WHERE code = 'K-40'", ("codes", '["K-40"]', "seen", "2025-03-23 09:40:00", None)),
    ("UPDATE log SET word = 'Ticket 9 ' WHERE word = 'Ticket 9  '", ("log", "9", "word", "Ticket 9  ", "Ticket 9 ")),
]


@pytest.mark.parametrize(("statement", "expected"), CELLS, ids=[s for s, _ in CELLS])
def test_a_single_changed_cell_is_named_with_both_values(
    loaded: Loaded, statement: LiteralString, expected: tuple[str, str, str, str | None, str | None]
) -> None:
    with planted(loaded, statement):
        found = loaded.found()
    assert [(d.table, d.key, d.column, d.expected, d.actual) for d in found] == [expected]
    assert found[0].kind is DifferenceKind.CELL


def kinds(found: list[Difference]) -> list[tuple[str, str, str]]:
    return sorted((str(d.kind), d.table, d.key) for d in found)


def test_one_flipped_bit_of_a_blob_is_found(loaded: Loaded) -> None:
    with planted(loaded, "UPDATE tickets SET file = set_bit(file, 11, 1 - get_bit(file, 11)) WHERE id = 501"):
        (found,) = loaded.found()
    assert (found.key, found.column) == ("[501]", "file")
    assert found.expected is not None
    assert found.actual is not None
    assert (int(found.expected[2:], 16) ^ int(found.actual[2:], 16)).bit_count() == 1


def test_rows_that_are_gone_or_too_many_are_named(loaded: Loaded) -> None:
    with planted(
        loaded,
        "DELETE FROM tickets WHERE id IN (2, 600)",
        "INSERT INTO tickets (id) VALUES (5000), (-1)",
        "DELETE FROM log WHERE ctid = (SELECT min(ctid) FROM log WHERE amount = 100)",
        "INSERT INTO log SELECT * FROM log WHERE amount = 50",
    ):
        found = loaded.found()
    assert kinds(found) == [
        ("extra-row", "log", ""),
        ("extra-row", "tickets", "[-1]"),
        ("extra-row", "tickets", "[5000]"),
        ("missing-row", "log", "200"),
        ("missing-row", "tickets", "[2]"),
        ("missing-row", "tickets", "[600]"),
    ]


def test_the_contents_of_two_rows_that_were_swapped_are_found_in_both(loaded: Loaded) -> None:
    with planted(
        loaded, "UPDATE tickets t SET title = o.title FROM tickets o WHERE t.id IN (10, 20) AND o.id = 30 - t.id"
    ):
        assert [(d.key, d.column) for d in loaded.found()] == [("[10]", "title"), ("[20]", "title")]


def test_another_order_of_rows_is_no_difference(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """With so little memory that nearly everything has to meet in the temporary file."""
    monkeypatch.setattr("sdetl_engine.postgres.rows.unmatched._MOST_BYTES", 20_000)
    with planted(
        loaded,
        "CREATE TABLE turned AS SELECT * FROM tickets ORDER BY id DESC",
        "TRUNCATE tickets",
        "INSERT INTO tickets SELECT * FROM turned",
        "DROP TABLE turned",
        "UPDATE tickets SET title = 'else' WHERE id = 700",
        "UPDATE log SET word = word",
    ):
        assert [(d.key, d.column) for d in loaded.found()] == [("[700]", "title")]


def test_columns_and_tables_that_are_not_as_planned_are_differences(loaded: Loaded) -> None:
    with psycopg.connect(loaded.conninfo) as connection:
        connection.execute("SET search_path = servicedesk")
        connection.execute("ALTER TABLE log ALTER amount TYPE text, ADD extra text; CREATE TABLE more (a int)")
        connection.commit()
        found = {(d.table, d.column): d.note for d in loaded.found()}
        connection.execute("ALTER TABLE log DROP extra, ALTER amount TYPE double precision USING amount::float8")
        connection.execute("DROP TABLE more")
        connection.commit()
    assert set(found) == {("log", "amount"), ("log", "extra"), ("more", None)}
    assert "it is text" in found["log", "amount"]
    assert loaded.diff().equal


@pytest.mark.parametrize(
    ("change", "kinds_found"),
    [
        ("UPDATE ledger SET after = '2025-03-23 09:40:01' WHERE row_key = '[40]'", {"ledger", "cell"}),
        ("UPDATE ledger SET before = '23/3/2025 9:41' WHERE row_key = '[40]'", {"ledger", "cell", "quarantine"}),
        ("DELETE FROM ledger WHERE row_key = '[40]'", {"cell", "quarantine"}),
        ("UPDATE ledger SET row_key = '[41]' WHERE row_key = '[40]'", {"ledger", "cell", "quarantine"}),
        (
            "INSERT INTO ledger VALUES (NULL, 'tickets', '[1]', 'title', 'empty_to_null', 'Ticket 1  ', 'x')",
            {"ledger", "cell"},
        ),
        ("UPDATE ledger SET \"table\" = 'tackets' WHERE row_key = '[40]'", {"ledger", "cell", "quarantine"}),
    ],
)
def test_a_ledger_that_was_tampered_with_is_noticed(loaded: Loaded, change: str, kinds_found: set[str]) -> None:
    ledger = loaded.folder / "ledger.db"
    before = ledger.read_bytes()
    try:
        with contextlib.closing(sqlite3.connect(ledger)) as connection, connection:
            connection.execute(change)
        assert {str(d.kind) for d in loaded.found()} == kinds_found
    finally:
        ledger.write_bytes(before)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ("UPDATE cells SET raw = 'more' WHERE raw = 'many'", "it is another value"),
        ("DELETE FROM cells WHERE raw = 'many'", "it is not there"),
        ("INSERT INTO cells SELECT * FROM cells WHERE raw = 'many'", "it should not be there"),
        ("INSERT INTO cells VALUES ('other', '[1]', 'x', 'text', 'a', 'b')", "1 cell stands in the quarantine"),
    ],
)
def test_a_quarantine_that_was_tampered_with_is_noticed(loaded: Loaded, change: LiteralString, note: str) -> None:
    with psycopg.connect(loaded.conninfo, autocommit=True) as connection:
        connection.execute(f"SET search_path = {loaded.version}_quarantine")
        connection.execute("CREATE TABLE kept AS TABLE cells")
        try:
            connection.execute(change)
            (found,) = loaded.found()
        finally:
            connection.execute("TRUNCATE cells; INSERT INTO cells SELECT * FROM kept; DROP TABLE kept")
    assert found.kind is DifferenceKind.QUARANTINE
    assert note in found.note


def test_a_source_that_changed_since_is_compared_as_it_is_now(loaded: Loaded, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(loaded.source.read_bytes())
    assert loaded.diff(other).equal
    with contextlib.closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("UPDATE tickets SET hours = 'soon', created = 'never' WHERE id = 3")
        connection.execute("DELETE FROM parts WHERE place = 9")
        connection.execute("ALTER TABLE log DROP COLUMN word")
        connection.execute("DROP TABLE codes")
    result = loaded.diff(other)
    found = read_differences(Path(result.path)).differences
    assert result.source_change is not None
    assert {(d.kind, d.table, d.key, d.column) for d in found} == {
        (DifferenceKind.CELL, "tickets", "[3]", "hours"),
        (DifferenceKind.CELL, "tickets", "[3]", "created"),
        (DifferenceKind.QUARANTINE, "tickets", "[3]", "hours"),
        (DifferenceKind.QUARANTINE, "tickets", "[3]", "created"),
        (DifferenceKind.EXTRA_ROW, "parts", '["S2",9]', None),
        (DifferenceKind.SCHEMA, "log", "", "word"),
        (DifferenceKind.SCHEMA, "codes", "", None),
    }


def test_the_export_holds_every_difference_with_control_characters_visible(loaded: Loaded, tmp_path: Path) -> None:
    with planted(loaded, "UPDATE tickets SET title = E'a\\x1b[2J' WHERE id <= 1100"):
        result = loaded.diff()
    output = tmp_path / "differences.csv"
    assert export_differences(Path(result.path), output) == result.total == 1100
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[4] == {
        "kind": "cell",
        "table": "tickets",
        "key": "[5]",
        "column": "title",
        "expected": "''",
        "actual": "'a\\x1b[2J'",
        "note": "",
    }
    assert rows[5]["expected"] == "NULL"
    page = read_differences(Path(result.path), offset=1000, limit=2)
    assert ([d.key for d in page.differences], page.total) == (["[1001]", "[1002]"], 1100)


def test_the_command_says_what_differs_and_exits_with_4(loaded: Loaded, tmp_path: Path) -> None:
    words = ("diff", str(loaded.source), "--target", loaded.conninfo)
    equal = sdetl(*words, workspace=loaded.workspace.root)
    assert (equal.returncode, "equals the source in every cell of 2,103 rows" in equal.stdout) == (0, True), (
        equal.stderr
    )
    output = tmp_path / "all.csv"
    with planted(loaded, "UPDATE tickets SET title = NULL WHERE id < 10"):
        told = sdetl(*words, "--limit", "2", "--output", str(output), workspace=loaded.workspace.root)
        asked = sdetl(*words, "--json", "--limit", "1", "--offset", "1", workspace=loaded.workspace.root)
    assert (told.returncode, asked.returncode) == (4, 4)
    assert "'Ticket 1  '" in told.stdout
    assert "6 more" in told.stderr
    assert len(output.read_text().splitlines()) == 9
    document = json.loads(asked.stdout)
    assert (document["equal"], document["total"], document["by_kind"]) == (False, 8, {"cell": 8})
    assert document["differences"] == [
        {"kind": "cell", "table": "tickets", "key": "[2]", "column": "title", "expected": "Ticket 2  ", "actual": None}
    ]


def test_a_version_whose_run_is_elsewhere_is_compared_by_rules_worked_out_again(loaded: Loaded, tmp_path: Path) -> None:
    words = ("diff", str(loaded.source), "--target", loaded.conninfo)
    equal = sdetl(*words, workspace=tmp_path / "other")
    assert (equal.returncode, "is not in this workspace" in equal.stderr) == (0, True), equal.stderr
    with planted(loaded, "UPDATE tickets SET title = NULL WHERE id = 7", "DELETE FROM parts WHERE place = 8"):
        found = sdetl(*words, "--json", workspace=tmp_path / "other")
    document = json.loads(found.stdout)
    assert (found.returncode, document["reworked"], document["by_kind"]) == (4, True, {"cell": 1, "missing-row": 1})
    assert [path.name for path in (tmp_path / "other").iterdir() if path.name.startswith(".diff-")] == []


def test_the_plan_of_a_run_that_is_elsewhere_says_what_was_agreed(database: str, tmp_path: Path) -> None:
    source = make_sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, d TEXT); INSERT INTO t VALUES (1, 1, '1/2/69'), (2, '?', '3/4/70');",
    )
    agreed = ('clean.two_digit_years=["t.d=1960"]', 'clean.day_first=["t.d"]', "gates.min_score=0")
    ended = migrate(source, database, tmp_path / "w", settings=agreed, markers=("t.n=?",), skip_canary=True)
    assert ended.document["outcome"] == "live", ended.document["error"]
    words = ("diff", str(source), "--target", database)
    without = sdetl(*words, workspace=tmp_path / "other")
    assert (without.returncode, "--plan with the plan.toml" in without.stderr) == (4, True)
    plan = ended.runner.deployment.folder.plan
    assert sdetl(*words, "--plan", str(plan), workspace=tmp_path / "other").returncode == 0


def test_another_file_is_told_by_its_md5(loaded: Loaded, tmp_path: Path) -> None:
    other = make_sqlite(tmp_path / "other.db", DESK + "INSERT INTO codes VALUES ('new', NULL);")
    settings, elsewhere = load_settings(), Workspace(tmp_path / "w")
    with open_session(elsewhere, loaded.conninfo, settings) as session:
        result = diff(elsewhere, session, settings, other, SilentReporter())
    assert result.source_change is not None
    assert "MD5" in result.source_change
    assert ("missing-row", "codes") in {(str(d.kind), d.table) for d in read_differences(Path(result.path)).differences}


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--run", "20200101T000000Z"), "no version of run"), (("--version", "nobody_v1"), "no version nobody_v1")],
)
def test_a_version_that_is_not_there_is_wrong_use(loaded: Loaded, words: tuple[str, ...], said: str) -> None:
    asked = sdetl("diff", str(loaded.source), "--target", loaded.conninfo, *words, workspace=loaded.workspace.root)
    assert (asked.returncode, said in asked.stderr) == (2, True)


@pytest.mark.parametrize(("how", "rows"), [("off", 0), ("full", 2103)])
def test_validate_checks_the_equation_as_far_as_is_asked(database: str, tmp_path: Path, how: str, rows: int) -> None:
    source = make_sqlite(tmp_path / "desk.db", DESK)
    ended = migrate(
        source, database, tmp_path / "w", settings=(f"validate.diff={how}",), until=Stage.VALIDATE, skip_canary=True
    )
    assert ended.status["validate"] == "passed"
    assert ended.summary("validate")["rows_compared"] == rows


def test_validate_samples_runs_of_rows_of_large_tables(database: str, tmp_path: Path) -> None:
    """A changed cell in the first or last rows is among them; the candidate is then not validated."""
    source = make_sqlite(tmp_path / "desk.db", DESK)
    space = tmp_path / "w"
    sampled = ("validate.diff_rows=400",)
    until = Stage.MIGRATE
    ended = migrate(source, database, space, settings=sampled, until=until, skip_canary=True)
    with psycopg.connect(database) as connection:
        connection.execute(f"SET search_path = {ended.document['target']['version_schema']}")
        connection.execute("UPDATE tickets SET title = overlay(title placing 'X' from 3) WHERE id = 1200")
    run = resume_run(Workspace(space), ended.document["run_id"])
    after = finish(run, Stage.VALIDATE)
    assert after.outcome.exit_code is ExitCode.VALIDATION
    assert "tickets is not source + ledger - quarantine: 1 difference" in after.document["error"]["message"]
    assert 903 + 200 <= after.summary("validate")["rows_compared"] < 2103


def test_a_file_of_another_encoding_is_named_as_another_file(database: str, tmp_path: Path) -> None:
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP); INSERT INTO t VALUES (1, '2025-01-01 00:00:00');"
    first = make_sqlite(tmp_path / "first.db", script)
    other = make_sqlite(tmp_path / "other.db", "PRAGMA encoding = 'UTF-16le';" + script)
    assert migrate(first, database, tmp_path / "w", skip_canary=True).document["outcome"] == "live"
    said = sdetl("diff", str(other), "--target", database, workspace=tmp_path / "w")
    assert said.returncode == 5
    assert (
        "is written in UTF-16le, and what the version was loaded from was in UTF-8: it is another file" in said.stderr
    )
    assert "damaged" not in said.stderr


def test_tables_without_an_integer_key_are_sampled_as_they_lie(database: str, tmp_path: Path) -> None:
    """By rowid, by a text and by two columns; a few rows of each, dates that the ledger changes among them."""
    source = make_sqlite(tmp_path / "desk.db", DESK)
    ended = migrate(source, database, tmp_path / "w", settings=("validate.diff_rows=200",), until=Stage.VALIDATE)
    assert ended.status["validate"] == "passed"
    assert "ROWS-NOT-SAMPLED" not in ended.rules
    diff = ended.runner.deployment.results.load(Stage.VALIDATE, ValidateResult).diff
    assert {t.table: t.whole for t in diff} == dict.fromkeys(("tickets", "parts", "codes", "log"), False)
    # The first and the last rows at least; the other two runs may lie upon them.
    assert all(100 <= t.rows_expected <= 200 for t in diff)


@pytest.mark.parametrize(
    ("table", "change", "compared", "differ"),
    [
        ("log", "UPDATE {0} SET amount = amount WHERE amount = '0.5'", 303, 0),
        ("codes", "UPDATE {0} SET code = code WHERE code = 'K-1'", 300, 0),
        ("parts", "UPDATE {0} SET name = upper(name) WHERE place = 1", 300, 1),
        ("log", "DELETE FROM {0} WHERE amount = '0.5'", 303, 2),
    ],
)
def test_where_rows_lie_otherwise_than_loaded_all_of_them_tell(
    database: str, tmp_path: Path, table: str, change: str, compared: int, differ: int
) -> None:
    source = make_sqlite(tmp_path / "desk.db", DESK)
    space = tmp_path / "w"
    sampled = ("validate.diff_rows=200",)
    ended = migrate(source, database, space, settings=sampled, until=Stage.MIGRATE, skip_canary=True)
    with psycopg.connect(database) as connection:
        connection.execute(change.format(f"{ended.document['target']['version_schema']}.{table}"))
    after = finish(resume_run(Workspace(space), ended.document["run_id"]), Stage.VALIDATE)
    (found,) = (
        t for t in after.runner.deployment.results.load(Stage.VALIDATE, ValidateResult).diff if t.table == table
    )
    assert (found.whole, found.rows_expected, found.total) == (True, compared, differ)
    assert (after.outcome.exit_code is ExitCode.VALIDATION) == bool(differ)


def test_a_partitioned_table_is_sampled_by_its_key_or_named(database: str, tmp_path: Path) -> None:
    source = make_sqlite(tmp_path / "desk.db", DESK)
    plan = (
        "validate.diff_rows=200",
        'load.partition.tickets="created by month"',
        'load.partition.log="at by month"',
    )
    ended = migrate(source, database, tmp_path / "w", settings=plan, until=Stage.VALIDATE, skip_canary=True)
    assert ended.status["validate"] == "passed", ended.document["error"]
    (finding,) = (f for f in ended.document["findings"] if f["rule"] == "ROWS-NOT-SAMPLED")
    assert (finding["table"], finding["severity"], finding["count"]) == ("log", "info", 303)
    assert "it is partitioned and has no integer key" in finding["message"]
    assert 3 * 100 <= ended.summary("validate")["rows_compared"] <= 3 * 200
