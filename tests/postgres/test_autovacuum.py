"""Autovacuum on what is live or on the candidate is told to end; nobody waits minutes for it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.postgres.versions import Desk, desk

_SLOWLY = (
    "autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_limit = 1, "
    "autovacuum_vacuum_cost_delay = 100"
)


@pytest.fixture
def it(database: str) -> Iterator[Desk]:
    with desk(database) as made:
        yield made


@pytest.fixture
def eager_autovacuum(database: str) -> Iterator[None]:
    """The server looks for work every second."""
    with psycopg.connect(database, autocommit=True) as connection:
        try:
            connection.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
        except psycopg.errors.InsufficientPrivilege:
            pytest.skip("only a superuser makes autovacuum eager")
        connection.execute("SELECT pg_reload_conf()")
        yield
        connection.execute("ALTER SYSTEM RESET autovacuum_naptime")
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("of_live", [True, False], ids=["live", "candidate"])
def test_a_switch_does_not_wait_for_autovacuum(it: Desk, eager_autovacuum: None, of_live: bool) -> None:
    first, second = it.candidate(20_000), it.candidate(20_000)
    it.switch_to(first)
    schema = "servicedesk" if of_live else second
    it.run(f"ALTER TABLE {schema}.comments SET ({_SLOWLY})", f"UPDATE {schema}.comments SET body = 'read'")
    pid = at_work_on(it, f"{schema}.comments")
    done = it.switch_to(second, attempts=5)
    assert it.live() == second
    assert done.attempts <= 3
    assert not it.ask(f"SELECT FROM pg_locks WHERE pid = {pid} AND granted AND mode = 'ShareUpdateExclusiveLock'")


def at_work_on(it: Desk, table: str) -> int:
    """Wait until autovacuum is at work on a table; its process."""
    for _ in range(600):
        found = it.ask(
            f"SELECT l.pid FROM pg_locks l WHERE l.relation = '{table}'::regclass AND l.granted "
            "AND l.mode = 'ShareUpdateExclusiveLock'"
        )
        if found:
            return int(found[0][0])
        time.sleep(0.1)
    raise AssertionError("autovacuum did not begin")
