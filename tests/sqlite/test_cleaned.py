"""The cleaned copy: what changes, what must not, what is told, and what is left when it goes wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sdetl_engine import processes
from sdetl_engine.errors import Cancelled, ResourceError, UsageError, ValidationFailed
from sdetl_engine.events import RecordingReporter, Reporter, SilentReporter
from sdetl_engine.sqlite import addressing, cleaned, ledger
from sdetl_engine.sqlite.cleaned import ColumnRules, Kept, clean, count_changes, preview, sweep_partials
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.rewriting import Rule, plan_rewriting
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.values.schema import Schema

DATES = ColumnRules(to_iso=True, day_first=True, marks=("?", "N/A"), empty_to_null=True)
NULLS = ColumnRules(marks=("?",), empty_to_null=True)
Make = Callable[[str], Path]

TICKETS = """
CREATE TABLE tickets(id INTEGER PRIMARY KEY, created TIMESTAMP, closed TEXT, title TEXT COLLATE NOCASE, cost REAL);
INSERT INTO tickets VALUES
  (1, '2024-01-02 03:04:05', '31/12/2024 9:05', 'Printer [on] fire', 1.0),
  (2, '1/2/2024 10:00', '', '?', 2),
  (3, '?', 'n/a', '', NULL),
  (4, 1704164645, 'N/A', NULL, 0.1),
  (5, NULL, x'3f', 'Ünïcode 🦊', -1),
  (6, 'gestern', '2024-02-30', 'x', 0);
"""


class Files:
    """A source and where its cleaned copy and ledger go."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.clean = source.with_name("clean.db")
        self.ledger = source.with_name("ledger.db")
        with contextlib.closing(open_readonly(source)) as connection:
            self.schema: Schema = read_schema(connection)

    def run(
        self,
        rules: Mapping[tuple[str, str], ColumnRules],
        reporter: Reporter | None = None,
        health: Callable[[], None] = lambda: None,
    ) -> cleaned.CleanResult:
        return clean(
            self.source,
            self.clean,
            self.ledger,
            self.schema,
            rules,
            reporter=reporter or SilentReporter(),
            health=health,
        )

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return ask(self.clean, query)

    def names(self) -> set[str]:
        return {path.name for path in self.source.parent.iterdir()}


def ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(open_readonly(path)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def files(sqlite_file: Make) -> Callable[[str], Files]:
    return lambda script: Files(sqlite_file(script))


def test_dates_become_iso_and_missing_becomes_null(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    result = it.run({("tickets", "created"): DATES, ("tickets", "closed"): DATES})
    assert it.rows("SELECT created, closed FROM tickets") == [
        ("2024-01-02 03:04:05", "2024-12-31 09:05:00"),
        ("2024-02-01 10:00:00", None),
        (None, "n/a"),
        (1704164645, None),
        (None, b"?"),
        ("gestern", "2024-02-30"),
    ]
    assert it.rows("SELECT title, cost FROM tickets") == ask(it.source, "SELECT title, cost FROM tickets")
    assert result.rows == {"tickets": 6}
    assert result.cells_changed == 5
    assert result.by_rule == {"date_to_iso": 2, "empty_to_null": 1, "mark_to_null": 2}
    assert result.by_column == {"tickets.closed": 3, "tickets.created": 2}
    assert result.kept == ()


def test_every_changed_cell_stands_in_the_ledger_and_no_other(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    it.run({("tickets", "created"): DATES, ("tickets", "closed"): DATES})
    lines = ask(it.ledger, 'SELECT row_key, "column", rule, before, after FROM ledger ORDER BY row_key, "column"')
    assert lines == [
        ("[1]", "closed", "date_to_iso", "31/12/2024 9:05", "2024-12-31 09:05:00"),
        ("[2]", "closed", "empty_to_null", "", None),
        ("[2]", "created", "date_to_iso", "1/2/2024 10:00", "2024-02-01 10:00:00"),
        ("[3]", "created", "mark_to_null", "?", None),
        ("[4]", "closed", "mark_to_null", "N/A", None),
    ]


def test_cleaning_twice_changes_nothing_more(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    rules = {("tickets", "created"): DATES, ("tickets", "closed"): DATES, ("tickets", "title"): NULLS}
    done = it.run(rules)
    assert count_changes(it.source, it.schema, rules, reporter=SilentReporter()) == done.cells_changed == 7
    assert count_changes(it.clean, it.schema, rules, reporter=SilentReporter()) == 0


def test_the_same_source_and_rules_give_the_same_bytes(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    rules = {("tickets", "created"): DATES, ("tickets", "closed"): DATES}
    it.run(rules)
    before = it.clean.read_bytes(), it.ledger.read_bytes()
    it.clean.unlink()
    it.ledger.unlink()
    it.run(rules)
    assert (it.clean.read_bytes(), it.ledger.read_bytes()) == before


def test_the_source_is_not_touched_and_the_files_are_private(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    before = it.source.read_bytes(), it.source.stat().st_mtime_ns
    it.run({("tickets", "closed"): DATES})
    assert (it.source.read_bytes(), it.source.stat().st_mtime_ns) == before
    assert it.names() == {"source.db", "clean.db", "ledger.db"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (it.clean, it.ledger)} == {0o600}


def test_marks_are_compared_exactly_whatever_the_collation(files: Callable[[str], Files]) -> None:
    it = files("CREATE TABLE t(c TEXT COLLATE NOCASE); INSERT INTO t VALUES ('na'), ('NA'), ('NA '), ('N')")
    it.run({("t", "c"): ColumnRules(marks=("NA",))})
    assert it.rows("SELECT c FROM t") == [("na",), (None,), ("NA ",), ("N",)]


def test_a_mark_may_hold_quotes(files: Callable[[str], Files]) -> None:
    it = files("CREATE TABLE t(c TEXT); INSERT INTO t VALUES ('o''clock'), ('x'); ")
    assert it.run({("t", "c"): ColumnRules(marks=("o'clock", "'); DROP TABLE t; --"))}).cells_changed == 1


def test_a_date_that_means_missing_does_so_in_every_spelling(files: Callable[[str], Files]) -> None:
    it = files(
        "CREATE TABLE t(d TEXT); INSERT INTO t VALUES ('1900-01-01'), ('1/1/1900'), ('01.01.1900'), ('2/1/1900')"
    )
    rules = {("t", "d"): ColumnRules(to_iso=True, day_first=True, marks=("1900-01-01",))}
    result = it.run(rules)
    assert it.rows("SELECT d FROM t") == [(None,), (None,), (None,), ("1900-01-02",)]
    assert result.by_rule == {"mark_to_null": 3, "date_to_iso": 1}
    assert count_changes(it.clean, it.schema, rules, reporter=SilentReporter()) == 0


def test_an_ambiguous_date_stays_when_nobody_knows_the_order(files: Callable[[str], Files]) -> None:
    it = files("CREATE TABLE t(d TEXT); INSERT INTO t VALUES ('3/4/2024'), ('31/4/2024'), ('5/5/2024'), ('13/4/2024')")
    it.run({("t", "d"): ColumnRules(to_iso=True, day_first=None)})
    assert it.rows("SELECT d FROM t") == [("3/4/2024",), ("31/4/2024",), ("2024-05-05",), ("2024-04-13",)]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("CREATE TABLE t(c TEXT NOT NULL)", "the column is NOT NULL"),
        ("CREATE TABLE t(c TEXT PRIMARY KEY)", "the column is part of the primary key"),
        ("CREATE TABLE t(c TEXT UNIQUE); CREATE TABLE u(r REFERENCES t(c))", "a foreign key refers to the column"),
        (
            "CREATE TABLE t(c TEXT CHECK(c IS NOT NULL))",
            "a UNIQUE or CHECK rule of the table forbids the cleaned value",
        ),
        (
            "CREATE TABLE t(c TEXT, PRIMARY KEY(c)) WITHOUT ROWID",
            "the column is part of the key by which rows of this WITHOUT ROWID table are known",
        ),
    ],
)
def test_what_the_table_forbids_is_kept_and_counted(files: Callable[[str], Files], script: str, why: str) -> None:
    it = files(f"{script}; INSERT INTO t(c) VALUES (''), ('?'), ('x')")
    result = it.run({("t", "c"): NULLS})
    assert result.kept == (Kept("t", "c", why, 2),)
    assert result.cells_changed == 0
    assert count_changes(it.clean, it.schema, {("t", "c"): NULLS}, reporter=SilentReporter()) == 0


def test_a_unique_column_may_hold_many_nulls(files: Callable[[str], Files]) -> None:
    it = files("CREATE TABLE t(c TEXT UNIQUE); INSERT INTO t VALUES (''), ('?'), ('x')")
    assert it.run({("t", "c"): NULLS}).cells_changed == 2


def test_two_spellings_of_one_unique_date_do_not_become_equal(files: Callable[[str], Files]) -> None:
    it = files(
        "CREATE TABLE t(d TEXT UNIQUE, e TEXT); INSERT INTO t VALUES ('2024-02-01', ''), ('1/2/2024', ''), ('?', '')"
    )
    rules = {("t", "d"): DATES, ("t", "e"): DATES}
    result = it.run(rules)
    assert it.rows("SELECT d, e FROM t") == [("2024-02-01", None), ("1/2/2024", None), (None, None)]
    assert [(kept.column, kept.count) for kept in result.kept] == [("d", 1)]
    assert count_changes(it.clean, it.schema, rules, reporter=SilentReporter()) == 0
    assert it.names() == {"source.db", "clean.db", "ledger.db"}


def test_a_date_in_a_primary_key_becomes_iso_under_its_old_key(files: Callable[[str], Files]) -> None:
    it = files("CREATE TABLE t(d TEXT, n INTEGER, PRIMARY KEY(d, n)); INSERT INTO t VALUES ('1/2/2024', 7)")
    it.run({("t", "d"): DATES})
    assert it.rows("SELECT d, n FROM t") == [("2024-02-01", 7)]
    assert ask(it.ledger, "SELECT row_key FROM ledger") == [('["1/2/2024",7]',)]


def test_triggers_neither_fire_nor_get_lost(files: Callable[[str], Files]) -> None:
    it = files(
        TICKETS
        + """CREATE TRIGGER "clear all" AFTER UPDATE ON Tickets BEGIN DELETE FROM tickets; END;
        CREATE TRIGGER stamp BEFORE UPDATE OF closed ON tickets BEGIN SELECT RAISE(ABORT, 'no'); END;"""
    )
    it.run({("tickets", "closed"): DATES})
    assert it.rows("SELECT count(*) FROM tickets") == [(6,)]
    triggers = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name"
    assert it.rows(triggers) == ask(it.source, triggers)
    assert len(it.rows(triggers)) == 2


def test_the_schema_and_everything_around_the_rows_stays(files: Callable[[str], Files]) -> None:
    it = files(
        """PRAGMA encoding = 'UTF-16le'; PRAGMA page_size = 8192; PRAGMA user_version = 42; PRAGMA application_id = 7;
        CREATE TABLE parent(id INTEGER PRIMARY KEY AUTOINCREMENT, d TEXT DEFAULT 'x' CHECK(length(d) > 0),
            year TEXT GENERATED ALWAYS AS (substr(d, -4)) VIRTUAL);
        CREATE TABLE pairs(a INT, b INT, d TEXT, PRIMARY KEY(b, a)) WITHOUT ROWID;
        CREATE TABLE loose(d TEXT);
        CREATE INDEX by_day ON parent(d) WHERE d <> '';
        CREATE VIEW days AS SELECT d FROM parent;
        CREATE VIRTUAL TABLE words USING fts5(w);
        INSERT INTO words VALUES ('hello');
        INSERT INTO parent(id, d) VALUES (7, '1/2/2024'), (9, 'März 5, 2024'); DELETE FROM parent WHERE id = 9;
        INSERT INTO pairs VALUES (1, 2, '1/2/2024'), (2, 1, '3/2/2024');
        INSERT INTO loose(rowid, d) VALUES (-5, '4/2/2024'), (99, '5. März 2024');"""
    )
    it.run({(table, "d"): DATES for table in ("parent", "pairs", "loose")})
    for query in (
        "SELECT type, name, tbl_name, sql FROM sqlite_schema",
        "SELECT * FROM sqlite_sequence",
        *(f"PRAGMA {name}" for name in ("encoding", "page_size", "user_version", "application_id")),
        "SELECT w FROM words WHERE words MATCH 'hello'",
    ):
        assert it.rows(query) == ask(it.source, query), query
    assert it.rows("SELECT id, d, year FROM parent INDEXED BY by_day WHERE d <> ''") == [(7, "2024-02-01", "2-01")]
    assert it.rows("SELECT * FROM pairs") == [(2, 1, "2024-02-03"), (1, 2, "2024-02-01")]
    assert it.rows("SELECT rowid, d FROM loose") == [(-5, "2024-02-04"), (99, "2024-03-05")]
    keys = ask(it.ledger, 'SELECT "table", row_key FROM ledger ORDER BY 1, 2')
    assert keys == [("loose", "-5"), ("loose", "99"), ("pairs", "[1,2]"), ("pairs", "[2,1]"), ("parent", "[7]")]


def test_a_table_may_be_called_anything(files: Callable[[str], Files]) -> None:
    it = files(
        """CREATE TABLE "a ""b"".c[d]"("rowid" TEXT, "key #" TEXT, 'from' TEXT, c TEXT, s TEXT);
        INSERT INTO "a ""b"".c[d]" VALUES ('r', '?', '', 'c', 's')"""
    )
    table = 'a "b".c[d]'
    it.run({(table, "key #"): NULLS, (table, "from"): NULLS, (table, "rowid"): NULLS})
    assert it.rows('SELECT * FROM "a ""b"".c[d]"') == [("r", None, None, "c", "s")]


def test_a_table_whose_rows_cannot_be_named_is_copied_as_it_is(files: Callable[[str], Files]) -> None:
    it = files("CREATE TABLE t(rowid TEXT, oid TEXT, _rowid_ TEXT); INSERT INTO t VALUES ('', '?', 'x')")
    result = it.run({("t", "oid"): NULLS})
    assert it.rows("SELECT * FROM t") == [("", "?", "x")]
    assert [kept.count for kept in result.kept] == [1]


def test_a_text_that_is_no_text_is_left_alone(files: Callable[[str], Files]) -> None:
    it = files(
        """CREATE TABLE t(k TEXT PRIMARY KEY, d TEXT);
        INSERT INTO t VALUES (CAST(x'ff31' AS TEXT), CAST(x'ff2f312f32303234' AS TEXT)),
            (CAST(x'ff' AS TEXT), '1/2/2024'),
            ('n', '1/2/2024' || char(0) || 'secret')"""
    )
    it.run({("t", "d"): DATES})
    query = "SELECT hex(d) FROM t ORDER BY rowid"
    assert it.rows(query)[::2] == ask(it.source, query)[::2]
    assert ledger.read_page(it.ledger).lines[0].row_key == '["\\xff"]'


def test_large_tables_are_cleaned_in_windows(files: Callable[[str], Files], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addressing, "ROWS_PER_WINDOW", 100)
    it = files(
        """CREATE TABLE t(id INTEGER PRIMARY KEY, d TEXT);
        WITH RECURSIVE n(i) AS (SELECT -500 UNION ALL SELECT i + 3 FROM n WHERE i < 1000)
        INSERT INTO t SELECT i, CASE WHEN i % 2 THEN '1/2/2024' ELSE '2024-02-01' END FROM n"""
    )
    reporter, checks = RecordingReporter(), []
    result = it.run({("t", "d"): DATES}, reporter, health=lambda: checks.append(1))
    assert result.cells_changed == result.rows["t"] // 2 == 250
    assert it.rows("SELECT DISTINCT d FROM t") == [("2024-02-01",)]
    done = [s.done for s in reporter.snapshots if s.what == "cleaning t"]
    assert done == [100, 200, 300, 400, 500, 501]
    assert len(checks) > 10


def test_windows_over_rowids_without_gaps(files: Callable[[str], Files], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addressing, "ROWS_PER_WINDOW", 10)
    it = files("CREATE TABLE t(d TEXT); INSERT INTO t(rowid, d) VALUES (-3, '1/2/2024')" + ", (NULL, '1/2/2024')" * 30)
    reporter = RecordingReporter()
    it.run({("t", "d"): DATES}, reporter)
    assert it.rows("SELECT d, count(*) FROM t GROUP BY d") == [("2024-02-01", 31)]
    assert [s.done for s in reporter.snapshots if s.what == "reading back t"] == [10, 20, 30, 31]


def test_preview_shows_before_and_after_and_writes_nothing(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    shown = preview(
        it.source, it.schema, {("tickets", "closed"): DATES}, "tickets", "closed", limit=2, reporter=SilentReporter()
    )
    assert [(c.row_key, c.before, c.after) for c in shown] == [
        ("[1]", "31/12/2024 9:05", "2024-12-31 09:05:00"),
        ("[2]", "", None),
    ]
    assert preview(it.source, it.schema, {}, "tickets", "closed", reporter=SilentReporter()) == ()
    assert it.names() == {"source.db"}


# --- when it must not, or cannot, be done -------------------------------------------------------------------------


def test_only_new_files_are_written(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    it.clean.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        it.run({})
    assert it.clean.read_text() == "precious"
    assert it.names() == {"source.db", "clean.db"}


@pytest.mark.parametrize("which", ["clean", "ledger"])
def test_a_link_is_never_followed(files: Callable[[str], Files], which: str) -> None:
    it = files(TICKETS)
    elsewhere = it.source.with_name("elsewhere")
    getattr(it, which).symlink_to(elsewhere)
    with pytest.raises(UsageError):
        it.run({})
    assert not elsewhere.exists()


def test_the_source_is_never_the_output_under_whatever_name(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    os.link(it.source, it.clean)
    with pytest.raises(UsageError, match="source itself"):
        it.run({})
    it.clean = it.source
    with pytest.raises(UsageError, match="source itself"):
        it.run({})


def test_a_source_with_rows_in_its_wal_is_refused(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    with contextlib.closing(sqlite3.connect(it.source)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM tickets")
        connection.commit()
        with pytest.raises(UsageError, match="not quiet"):
            it.run({})
    assert it.names() == {"source.db"}


def test_a_rule_for_a_column_that_is_not_there_is_refused(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    with pytest.raises(UsageError, match="no column tickets"):
        it.run({("tickets", "nothing"): NULLS})


@pytest.mark.parametrize("at", range(1, 7))
def test_cancelled_anywhere_nothing_is_left(files: Callable[[str], Files], at: int) -> None:
    it = files(TICKETS)
    with pytest.raises(Cancelled):
        it.run({("tickets", "closed"): DATES}, RecordingReporter(cancel_at_check=at))
    assert it.names() == {"source.db"}


@pytest.mark.parametrize("at", range(1, 7))
def test_stopped_by_a_health_check_nothing_is_left(files: Callable[[str], Files], at: int) -> None:
    it = files(TICKETS)
    calls = []

    def health() -> None:
        calls.append(1)
        if len(calls) == at:
            raise ResourceError("no room", next_step="make room")

    with pytest.raises(ResourceError):
        it.run({("tickets", "closed"): DATES}, health=health)
    assert it.names() == {"source.db"}


def test_a_full_disk_is_named_and_nothing_is_left(
    files: Callable[[str], Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = files("CREATE TABLE t(d TEXT); INSERT INTO t VALUES ('1/2/2024 9:05')" + ", ('1/2/2024 9:05')" * 2000)
    real = cleaned._without_journal

    def in_little_room(connection: sqlite3.Connection) -> None:
        real(connection)
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            connection.execute("PRAGMA max_page_count = 1")

    monkeypatch.setattr(cleaned, "_without_journal", in_little_room)
    with pytest.raises(ResourceError, match="bytes are free"):
        it.run({("t", "d"): DATES})
    assert it.names() == {"source.db"}


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("DELETE FROM tickets WHERE id = 5", "6 rows in the source and 5"),
        ("UPDATE tickets SET id = 50 WHERE id = 5", "lost or changed where no rule applies"),
        ("UPDATE tickets SET title = 'X' WHERE id = 6", "lost or changed where no rule applies"),
        ("UPDATE tickets SET cost = NULL WHERE id = 6", "lost or changed where no rule applies"),
        ("UPDATE tickets SET closed = NULL WHERE id = 6", "the rules explain 3"),
        ("UPDATE tickets SET closed = 'soon' WHERE id = 2", "the rules explain 2"),
        ("UPDATE tickets SET closed = '2024-12-31 09:06:00' WHERE id = 1", "not rewritten as the rule has it"),
    ],
)
def test_a_change_that_no_rule_explains_is_found(
    files: Callable[[str], Files], monkeypatch: pytest.MonkeyPatch, fault: str, complaint: str
) -> None:
    it = files(TICKETS)
    write_copy = cleaned._write_copy

    def with_fault(source: Path, target: Path, plan: object, watch: object) -> object:
        result = write_copy(source, target, plan, watch)  # type: ignore[arg-type]
        with contextlib.closing(sqlite3.connect(target)) as connection, connection:
            connection.execute(fault)
        return result

    monkeypatch.setattr(cleaned, "_write_copy", with_fault)
    with pytest.raises(ValidationFailed, match=complaint):
        it.run({("tickets", "closed"): DATES})
    assert it.names() == {"source.db"}


def test_killed_half_way_only_a_partial_is_left_and_the_next_start_sweeps_it(files: Callable[[str], Files]) -> None:
    it = files(TICKETS)
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from sdetl_engine.events import SilentReporter\n"
        "from sdetl_engine.sqlite.cleaned import clean\n"
        "from sdetl_engine.sqlite.open import open_readonly\n"
        "from sdetl_engine.sqlite.schema import read_schema\n"
        "source = Path(sys.argv[1])\n"
        "def health():\n    print('working', flush=True)\n    time.sleep(60)\n"
        "clean(source, source.with_name('clean.db'), source.with_name('ledger.db'), read_schema(open_readonly(source)),"
        " {}, reporter=SilentReporter(), health=health)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(it.source)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert it.names() == {"source.db", "clean.db.partial", "ledger.db.partial"}
    with pytest.raises(UsageError, match="killed"):
        it.run({})
    assert {path.name for path in sweep_partials(it.source.parent)} == {"clean.db.partial", "ledger.db.partial"}
    it.run({("tickets", "closed"): DATES})
    assert it.names() == {"source.db", "clean.db", "ledger.db"}


def test_a_long_statement_is_interrupted(files: Callable[[str], Files]) -> None:
    it = files(
        """CREATE TABLE t(d TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
        INSERT INTO t SELECT '5. Feb ' || (1000 + i % 9000) FROM n"""
    )

    class Impatient(RecordingReporter):
        """Asks to stop a tenth of a second after the rewriting began."""

        started = 0.0

        def check(self) -> None:
            if self.snapshots and not self.started:
                self.started = time.monotonic()
            if self.started and time.monotonic() > self.started + 0.1:
                raise Cancelled

    with pytest.raises(Cancelled):
        it.run({("t", "d"): DATES}, impatient := Impatient())
    waited = time.monotonic() - impatient.started
    assert it.names() == {"source.db"}
    began = time.monotonic()
    it.run({("t", "d"): DATES})
    assert waited < (time.monotonic() - began) / 2


@pytest.mark.parametrize("unique", ["", " UNIQUE"])
def test_counting_what_would_change_and_looking_at_it_end_soon_after_somebody_asks(
    files: Callable[[str], Files], unique: str
) -> None:
    it = files(
        f"""CREATE TABLE t(d TEXT, n TEXT{unique}); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
        WHERE i < 250000) INSERT INTO t SELECT 'Feb the ' || i || 'th, long ago', i FROM n"""
    )
    rules = {("t", "d"): DATES, ("t", "n"): NULLS}
    for ask in (
        lambda reporter: count_changes(it.source, it.schema, rules, reporter=reporter),
        lambda reporter: preview(it.source, it.schema, rules, "t", "d", reporter=reporter),
    ):
        began = time.monotonic()
        with pytest.raises(Cancelled):
            ask(Impatient(0.05))
        stopped = time.monotonic()
        ask(SilentReporter())
        assert stopped - began < (time.monotonic() - stopped) / 2
    assert it.names() == {"source.db"}


class Impatient(SilentReporter):
    """Asks to stop so many seconds after it was made."""

    def __init__(self, patience: float) -> None:
        self._until = time.monotonic() + patience

    def check(self) -> None:
        if time.monotonic() > self._until:
            raise Cancelled


def test_all_rules_have_the_names_of_the_contract() -> None:
    assert [rule.value for rule in Rule] == [
        *("date_to_iso", "number_to_date", "zone_named", "text_decoded", "mark_to_null", "empty_to_null"),
    ]


def test_a_thousand_columns_are_no_obstacle(files: Callable[[str], Files]) -> None:
    names = ", ".join(f"c{n} TEXT" for n in range(1000))
    it = files(f"CREATE TABLE wide({names}); INSERT INTO wide(c0, c999) VALUES ('?', '1/2/2024')")
    rules = {("wide", f"c{n}"): DATES for n in range(0, 1000, 111)}
    assert it.run(rules).cells_changed == 2
    assert len(plan_rewriting(it.schema, rules)[0].active) == 10


def test_a_large_file_is_examined_by_a_process_beside_the_ledger(
    files: Callable[[str], Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaned, "_LONG_BYTES", 0)
    monkeypatch.setattr(processes, "useful", lambda: 2)
    it = files(TICKETS)
    done = it.run({("tickets", "created"): DATES, ("tickets", "closed"): DATES})
    assert (done.cells_changed, done.second_pass_changes) == (5, 0)
    assert it.names() == {it.source.name, "clean.db", "ledger.db"}
