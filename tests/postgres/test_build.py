from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sdetl_engine.errors import Cancelled, TargetError
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.postgres import build
from sdetl_engine.postgres.plan import CheckPlan, IndexPlan
from tests.postgres.ddl_cases import VERSION, build_file, plan_file, rows

Connection = psycopg.Connection[Any]
MakeFile = Callable[[str], Path]


def test_a_schema_that_is_there_is_never_adopted(connection: Connection) -> None:
    connection.execute(f"CREATE SCHEMA {VERSION}")
    with pytest.raises(TargetError, match=f"already a schema {VERSION}"):
        build.create_version_schema(connection, VERSION, run_id="r")


def test_only_what_bears_the_mark_is_dropped(connection: Connection) -> None:
    connection.execute("CREATE SCHEMA theirs; CREATE TABLE theirs.t (x int)")
    with pytest.raises(TargetError, match="theirs was not made by sdetl"):
        build.drop_schema_if_ours(connection, "theirs")
    assert build.schema_exists(connection, "theirs")
    build.create_version_schema(connection, VERSION, run_id="r")
    connection.execute(f"CREATE TABLE {VERSION}.t (x int)")
    assert build.drop_schema_if_ours(connection, VERSION) is True
    assert not build.schema_exists(connection, VERSION)
    assert build.drop_schema_if_ours(connection, VERSION) is False


def test_a_schema_is_not_dropped_with_what_others_have_bound_to_it(connection: Connection) -> None:
    build.create_version_schema(connection, VERSION, run_id="r")
    connection.execute(f"CREATE TABLE {VERSION}.t (x int); CREATE VIEW public.v AS SELECT x FROM {VERSION}.t")
    with pytest.raises(TargetError, match=r"public\.v is not sdetl's"):
        build.drop_schema_if_ours(connection, VERSION)
    assert rows(connection, "SELECT count(*) FROM {}", "t") == [(0,)]


def test_a_role_without_rights_hears_which_step_failed(connection: Connection) -> None:
    connection.execute("CREATE ROLE sdetl_nobody; SET ROLE sdetl_nobody")
    with pytest.raises(TargetError, match=f"creating schema {VERSION}.*42501"):
        build.create_version_schema(connection, VERSION, run_id="r")
    connection.rollback()


def test_what_postgresql_refuses_is_listed_and_the_rest_is_built(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file("CREATE TABLE t (a INT); CREATE INDEX good ON t (a); INSERT INTO t VALUES (5);")
    plan = plan_file(path)
    column = dataclasses.replace(plan.tables[0].columns[0], default_sql="nonsense()")
    plan = dataclasses.replace(
        plan,
        tables=(dataclasses.replace(plan.tables[0], columns=(column,)),),
        indexes=(IndexPlan("bad", "t", "USING btree (to_char(now(), a::text))"), *plan.indexes),
        checks=(CheckPlan("div", "t", "1 / (a - 5) > 0"), CheckPlan("fine", "t", "a > 0")),
    )
    built = build_file(connection, path, plan)
    assert (built.indexes, built.constraints) == (1, 1)
    assert [(m.kind, m.name) for m in built.not_migrated] == [("index", "bad"), ("check", "div"), ("default", "a")]
    reasons = [m.reason for m in built.not_migrated]
    assert "must be marked IMMUTABLE" in reasons[0]
    assert reasons[1] == "PostgreSQL cannot compute it for every row (SQLSTATE 22012)"
    assert "nonsense" in reasons[2]
    assert rows(connection, "SELECT a FROM {}", "t") == [(5,)]


def test_no_reason_quotes_a_value(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('very secret'), ('very secret');")
    plan = dataclasses.replace(
        plan_file(path),
        indexes=(IndexPlan("u", "t", "USING btree (a)", unique=True), IndexPlan("c", "t", "USING btree ((a::bigint))")),
        checks=(CheckPlan("k", "t", "a <> 'very secret'"), CheckPlan("n", "t", "a::bigint > 0")),
    )
    built = build_file(connection, path, plan)
    assert len(built.not_migrated) == 4
    assert "secret" not in "".join(m.reason for m in built.not_migrated)


def test_a_stop_between_two_objects_is_heard(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file("CREATE TABLE t (a INT); CREATE INDEX one ON t (a); CREATE INDEX two ON t (a);")
    with pytest.raises(Cancelled):
        build_file(connection, path, plan_file(path), RecordingReporter(cancel_at_check=2))


class StoppingReporter(SilentReporter):
    """Asks to stop a moment after a long statement has begun."""

    def __init__(self) -> None:
        self.stopped = False

    def check(self) -> None:
        if self.stopped:
            raise Cancelled

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        def stop() -> None:
            self.stopped = True
            interrupt()

        timer = threading.Timer(0.5, stop)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def test_a_stop_breaks_a_long_statement_and_is_no_failure(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file("CREATE TABLE t (a INT); INSERT INTO t VALUES (1);")
    plan = dataclasses.replace(plan_file(path), checks=(CheckPlan("slow", "t", "pg_sleep(30) IS NOT NULL"),))
    began = time.monotonic()
    with pytest.raises(Cancelled):
        build_file(connection, path, plan, StoppingReporter())
    assert time.monotonic() - began < 10
    connection.rollback()
    assert not build.schema_exists(connection, VERSION)


def test_types_are_compared_with_the_catalogue(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file("CREATE TABLE t (a INT, b TEXT, c REAL); CREATE TABLE u (x INT);")
    plan = plan_file(path)
    build_file(connection, path, plan)
    assert build.compare_types(plan, build.read_columns(connection, VERSION)) == ()
    connection.execute(
        f"ALTER TABLE {VERSION}.t ALTER a TYPE int, DROP b, ADD d text; DROP TABLE {VERSION}.u;"
        f"CREATE TABLE {VERSION}.extra ()"
    )
    assert set(build.compare_types(plan, build.read_columns(connection, VERSION))) == {
        "t.a is integer, not bigint",
        "t.b is not there",
        "t.d is not in the plan",
        "table u is not there",
        "table extra is not in the plan",
    }


def test_constraints_are_counted_from_the_catalogue(connection: Connection, sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, u INT UNIQUE, c INT CHECK (c > 0)); CREATE INDEX i ON p (c);"
        "CREATE TABLE o (p INT REFERENCES p); INSERT INTO o VALUES (9);"
    )
    built = build_file(connection, path, plan_file(path))
    counted = build.read_constraints(connection, VERSION)
    assert counted == build.ConstraintCounts(1, 1, 1, 1, 1, 1)
    assert built.constraints == counted.primary_keys + counted.uniques + counted.foreign_keys + counted.checks
    assert built.indexes == counted.indexes
