"""Readers that never rest do not keep a switch out, and nothing that happens to the gates lets them see half a version."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from sdetl_engine.errors import TargetError
from tests.interrupting import end_backend
from tests.postgres.versions import TABLES, Desk, desk


@pytest.fixture
def it(database: str) -> Iterator[Desk]:
    with desk(database) as made:
        yield made


@pytest.fixture
def two(it: Desk) -> tuple[str, str]:
    """A version of 10 tickets that is live, with a view of its own, and a candidate of 20."""
    first, second = it.candidate(10), it.candidate(20)
    for version in (first, second):
        it.run(f"CREATE VIEW {version}.titles AS SELECT id, title FROM {version}.tickets")
    it.switch_to(first)
    return first, second


def end_who_holds(it: Desk, which: str) -> None:
    """End the session whose lock the condition describes, and wait until it is gone."""
    ((pid,),) = it.ask(
        "SELECT DISTINCT pid FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        f"AND {which}"
    )
    with psycopg.connect(it.conninfo, autocommit=True) as watcher:
        end_backend(watcher, pid)


def connecting(it: Desk, while_shut: Callable[[], None]) -> Callable[[], psycopg.Connection[Any]]:
    """How a switch connects so that something happens, once, while its gates are shut."""
    done: list[bool] = []

    class Watched(psycopg.Connection[Any]):
        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            if "pg_locks" in str(query) and "AccessExclusiveLock" in str(query) and not done:
                done.append(True)
                while_shut()
            return super().execute(query, *args, **kwargs)

    return lambda: Watched.connect(it.conninfo)


def test_readers_that_never_rest_keep_no_switch_out_and_see_no_half(it: Desk, two: tuple[str, str]) -> None:
    stop, wrong, reads = threading.Event(), list[object](), list[int]()

    def read(seed: int) -> None:
        chance, count = random.Random(seed), 0
        sides = ["servicedesk.tickets t", "servicedesk.titles v", "servicedesk.comments c"]
        with psycopg.connect(it.conninfo, autocommit=True) as connection:
            while not stop.is_set():
                chance.shuffle(sides)
                query = f"SELECT count(*), count(DISTINCT (t.title, v.title)) FROM {', '.join(sides)} WHERE t.id = v.id AND c.id = t.id"
                row = connection.execute(query).fetchone()
                count += 1
                if row not in ((10, 1), (20, 1)):
                    wrong.append(row)
        reads.append(count)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for reader in readers:
        reader.start()
    try:
        for version in (two[1], two[0], two[1]):
            it.switch_to(version, budget_seconds=30)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert not wrong
    assert all(reads)
    assert it.live() == two[1]


def test_however_slowly_the_gates_are_told_none_asks_before_all_have_been(it: Desk, two: tuple[str, str]) -> None:
    asked: list[int] = []

    class Slow(psycopg.Connection[Any]):
        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            told = super().execute(query, *args, **kwargs)
            if "ACCESS EXCLUSIVE MODE" in str(query):
                time.sleep(0.05)
                rows = it.ask(
                    "SELECT count(*) FROM pg_locks JOIN pg_class c ON c.oid = relation JOIN pg_namespace n ON "
                    "n.oid = relnamespace WHERE nspname = 'servicedesk' AND mode = 'AccessExclusiveLock'"
                )
                asked.append(rows[0][0])
            return told

    assert it.switch_to(two[1], connect=lambda: Slow.connect(it.conninfo)).attempts == 1
    assert len(asked) >= 2
    assert set(asked) == {0}


def test_tables_that_inherit_from_each_other_are_no_obstacle(it: Desk) -> None:
    tables = (
        TABLES
        + "CREATE TABLE {0}.archived () INHERITS ({0}.tickets); CREATE TABLE {0}.older () INHERITS ({0}.archived);"
    )
    it.switch_to(it.candidate(10, tables))
    assert it.switch_to(it.candidate(20, tables)).attempts == 1
    assert it.ask("SELECT count(*) FROM servicedesk.tickets") == [(20,)]


def test_the_time_for_which_readers_were_kept_out_is_told(it: Desk) -> None:
    first = it.switch_to(it.candidate(10))
    second = it.switch_to(it.candidate(20))
    for done in (first, second):
        assert 0 < done.lock_seconds <= done.seconds


def test_tables_and_views_are_shut_together(it: Desk, two: tuple[str, str]) -> None:
    shut: list[str] = []

    def look() -> None:
        rows = it.ask(
            "SELECT relname FROM pg_locks JOIN pg_class c ON c.oid = relation JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE nspname = 'servicedesk' AND mode = 'AccessExclusiveLock' AND granted AND relkind IN ('r', 'v') ORDER BY 1"
        )
        shut.extend(name for (name,) in rows)

    it.switch_to(two[1], connect=connecting(it, look))
    assert shut == ["comments", "tickets", "titles"]


def test_a_gate_that_is_ended_while_it_is_shut_is_noticed(it: Desk, two: tuple[str, str]) -> None:
    def end_one() -> None:
        end_who_holds(it, "relation = 'servicedesk.comments'::regclass AND mode = 'AccessExclusiveLock'")

    assert it.switch_to(two[1], connect=connecting(it, end_one)).attempts == 2
    assert it.live() == two[1]


def test_where_the_server_has_no_session_left_the_switch_locks_by_itself(it: Desk, two: tuple[str, str]) -> None:
    connections = iter([psycopg.connect(it.conninfo)])

    def connect() -> psycopg.Connection[Any]:
        for connection in connections:
            return connection
        raise TargetError("too many connections", next_step="wait")

    assert it.switch_to(two[1], connect=connect).attempts == 1
    assert it.ask("SELECT count(*) FROM servicedesk.titles") == [(20,)]


def test_a_role_that_may_open_one_session_only_switches_all_the_same(it: Desk, two: tuple[str, str]) -> None:
    role = it.role("etl", "LOGIN CONNECTION LIMIT 1")
    with it.connect() as connection:
        name = connection.info.dbname
    # What belongs to the operator becomes the role's: schemas, registry, tables.
    owned = it.ask(
        "SELECT oid::regclass::text, relkind FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace >= 16384"
    )
    it.run(f'GRANT CREATE ON DATABASE "{name}" TO {role}')
    it.run(*(f"ALTER {'VIEW' if kind == 'v' else 'TABLE'} {table} OWNER TO {role}" for table, kind in owned))
    it.run(*(f"ALTER SCHEMA {schema} OWNER TO {role}" for schema in ("servicedesk", "sdetl", two[1])))
    assert it.switch_to(two[1], connect=lambda: it.log_in(role)).attempts == 1
    assert it.ask("SELECT count(*) FROM servicedesk.titles") == [(20,)]


def test_when_the_session_that_renames_is_ended_readers_are_let_through_at_once(it: Desk, two: tuple[str, str]) -> None:
    def end_it() -> None:
        end_who_holds(it, "locktype = 'advisory' AND mode = 'ExclusiveLock'")
        it.run("SET statement_timeout = '2s'", "SELECT count(*) FROM servicedesk.tickets, servicedesk.comments")

    with pytest.raises(TargetError) as refused:
        it.switch_to(two[1], connect=connecting(it, end_it))
    assert "is still live" in refused.value.left_behind
    assert it.live() == two[0]
    assert it.switch_to(two[1]).attempts == 1
