"""Damage is found and named; broken references are counted."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdetl_engine.errors import Cancelled, SourceError
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.sqlite.guard import stoppable
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.sound import check_sound, foreign_key_violations, is_about_data
from tests.sqlite import sources

SILENT = SilentReporter()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_readonly(path)
    try:
        yield connection
    finally:
        connection.close()


def memory(*statements: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    return connection


def test_a_sound_file_has_no_messages(tmp_path: Path) -> None:
    with opened(sources.make(tmp_path / "s.db")) as connection:
        assert check_sound(connection, SILENT) == ()


def test_damage_is_reported_or_refused_wherever_it_lies(tmp_path: Path) -> None:
    source = sources.make(tmp_path / "s.db", rows=2000)
    content = source.read_bytes()
    outcomes = set()
    for place in range(4096, len(content), 7 * 4096 + 500):
        damaged = bytearray(content)
        damaged[place : place + 16] = b"\xa5" * 16
        source.write_bytes(damaged)
        with opened(source) as connection:
            try:
                messages = check_sound(connection, SILENT)
            except SourceError as refused:
                outcomes.add(refused.kind)
            else:
                assert len(messages) <= 100
                assert not any(is_about_data(message) for message in messages)
                outcomes.add("reported" if messages else "only the content digest can see it")
    assert {"reported", "source-malformed"} <= outcomes


def test_a_file_that_cannot_be_checked_at_all_is_refused(tmp_path: Path) -> None:
    source = sources.make(tmp_path / "s.db")
    content = bytearray(source.read_bytes())
    content[100:140] = b"\xff" * 40
    source.write_bytes(content)
    with opened(source) as connection, pytest.raises(SourceError, match="damaged"):
        check_sound(connection, SILENT)


def test_an_index_that_lost_a_row_is_named() -> None:
    connection = memory(
        "CREATE TABLE t (a)",
        "CREATE INDEX by_a ON t (a)",
        "INSERT INTO t VALUES ('secret content')",
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX by_a ON t (a) WHERE a > 9' WHERE name = 'by_a'",
        "PRAGMA writable_schema=RESET",
        "INSERT INTO t VALUES (1)",
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX by_a ON t (a)' WHERE name = 'by_a'",
        "PRAGMA writable_schema=RESET",
    )
    messages = check_sound(connection, SILENT)
    assert any("by_a" in message for message in messages)
    assert not any("secret" in message for message in messages)


def test_rules_that_the_data_breaks_are_told_from_damage() -> None:
    connection = memory(
        "CREATE TABLE t (a, b)",
        "INSERT INTO t VALUES (NULL, 0)",
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a NOT NULL, b CHECK (b > 0))'",
        "PRAGMA writable_schema=RESET",
    )
    messages = check_sound(connection, SILENT)
    assert len(messages) == 2
    assert all(is_about_data(message) for message in messages)


def test_the_check_can_be_cancelled(tmp_path: Path) -> None:
    with opened(sources.make(tmp_path / "s.db", rows=20_000)) as connection:
        with pytest.raises(Cancelled):
            check_sound(connection, RecordingReporter(cancel_at_check=1))
        assert check_sound(connection, SILENT) == ()


def test_what_only_its_own_program_can_read_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.create_collation("vendor", lambda one, other: (one > other) - (one < other))
    connection.execute("CREATE TABLE t (a COLLATE vendor UNIQUE)")
    connection.execute("INSERT INTO t VALUES ('x')")
    connection.close()
    with opened(path) as reopened, pytest.raises(SourceError, match="no such collation sequence: vendor") as refused:
        check_sound(reopened, SILENT)
    assert refused.value.kind == "source-unsupported"


def test_a_long_statement_is_interrupted_from_another_thread() -> None:
    class Stopped(SilentReporter):
        asked = False

        def check(self) -> None:
            if self.asked:
                raise Cancelled

        @contextlib.contextmanager
        def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
            def ask() -> None:
                self.asked = True
                interrupt()

            timer = threading.Timer(0.1, ask)
            timer.start()
            yield
            timer.cancel()

    connection = memory()
    # No virtual machine steps pass while one function works: only interrupt() ends this one.
    connection.create_function("slow", 0, lambda: time.sleep(0.02))
    endless = "WITH RECURSIVE n(i) AS (SELECT slow() UNION ALL SELECT slow() FROM n) SELECT count(*) FROM n"
    started = time.monotonic()
    with pytest.raises(Cancelled), stoppable(connection, Stopped()):
        connection.execute(endless).fetchone()
    assert time.monotonic() - started < 5


def test_references_that_point_nowhere_are_counted_by_table() -> None:
    connection = memory(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT)",
        "CREATE TABLE sound (p REFERENCES parent)",
        "CREATE TABLE orphans (p REFERENCES parent, q REFERENCES parent (id))",
        'CREATE TABLE "no ""parent" (p REFERENCES gone)',
        "CREATE TABLE mismatch (c REFERENCES parent (code))",
        "CREATE TABLE no_column (c REFERENCES parent (nowhere))",
        "INSERT INTO parent VALUES (1, 'a'), (2, NULL)",
        "INSERT INTO sound VALUES (1), (NULL)",
        "INSERT INTO orphans VALUES (1, 2), (3, 4), (NULL, 5)",
        'INSERT INTO "no ""parent" VALUES (1), (NULL)',
        "INSERT INTO mismatch VALUES ('a'), ('b'), (NULL)",
        "INSERT INTO no_column VALUES (7)",
    )
    assert foreign_key_violations(connection) == {
        "orphans": 3,
        'no "parent': 1,
        "mismatch": 1,
        "no_column": 1,
    }
