"""A switch that is cut off anywhere leaves one whole version live, and the registry agrees; locks are never waited for."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sdetl_engine.errors import TargetError
from sdetl_engine.postgres import commit, registry
from tests.interrupting import end_backend
from tests.postgres.versions import Desk, desk


@pytest.fixture
def it(database: str) -> Iterator[Desk]:
    with desk(database) as made:
        yield made


@pytest.fixture
def two(it: Desk) -> tuple[str, str]:
    """A version of 10 tickets that is live, with a reader and a materialized view, and a candidate of 20."""
    first = it.candidate(10)
    it.switch_to(first)
    reader = it.role("reader")
    it.run(
        "CREATE SCHEMA rep",
        f"GRANT USAGE ON SCHEMA servicedesk, rep TO {reader}; GRANT SELECT ON servicedesk.tickets TO {reader}",
        "CREATE MATERIALIZED VIEW rep.n AS SELECT count(*) AS n FROM servicedesk.tickets",
        f"GRANT SELECT ON rep.n TO {reader}",
    )
    return first, it.candidate(20)


class Killed(psycopg.Connection[Any]):
    """A connection whose server process is ended right before its n-th statement; COMMIT counts as one."""

    deadly: int
    statements: int = 0
    executioner: psycopg.Connection[Any]

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        self._count()
        return super().execute(*args, **kwargs)

    def commit(self) -> None:
        self._count()
        super().commit()

    def _count(self) -> None:
        self.statements += 1
        if self.statements == self.deadly:
            end_backend(self.executioner, self.info.backend_pid)


def one_whole_version(it: Desk, watcher: psycopg.Connection[Any] | None = None) -> str:
    """What is live: rows of all tables, of the view in another schema, and the registry say the same."""
    query = (
        "SELECT (SELECT count(*) FROM servicedesk.tickets), (SELECT count(*) FROM servicedesk.comments), "
        "(SELECT n FROM rep.n), (SELECT min(title) FROM servicedesk.tickets), "
        "(SELECT string_agg(version, ',') FROM sdetl.versions WHERE status = 'live')"
    )
    ((tickets, comments, seen, label, live),) = watcher.execute(query).fetchall() if watcher else it.ask(query)
    assert tickets == comments == seen == {"1": 10, "2": 20}[label[-1]]
    assert live == label
    return str(label)


@pytest.mark.parametrize("goes_back", [False, True])
def test_killed_at_every_statement_one_whole_version_is_live(it: Desk, two: tuple[str, str], goes_back: bool) -> None:
    start, goal = two
    if goes_back:
        it.switch_to(goal)
        start, goal = goal, start
    with psycopg.connect(it.conninfo, autocommit=True) as watcher:
        for at in itertools.count(1, 3 if goes_back else 1):
            deadly = Killed.connect(it.conninfo)
            deadly.deadly, deadly.executioner = at, watcher
            connections = iter([deadly])
            try:
                it.switch_to(goal, connect=lambda left=connections: next(left, None) or it.connect())  # type: ignore[misc]
            except TargetError as told:
                error = told
            else:
                break
            assert "is still live" in error.left_behind, at
            assert one_whole_version(it, watcher) == start, at
        # What is killed behind its COMMIT, before it is flushed, was settled by asking.
        assert deadly.statements <= at
        assert at > 60
        assert one_whole_version(it, watcher) == goal


class Suicidal(Killed):
    """A connection whose n-th statement, or COMMIT, is never sent: the process of the client is killed right before."""

    def _count(self) -> None:
        self.statements += 1
        if self.statements == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def switch_in_this_process(it: Desk, goal: str, deadly: int) -> None:
    """Make the version live, unless this process is killed before."""

    def connect() -> Suicidal:
        connection = Suicidal.connect(it.conninfo)
        connection.deadly = deadly
        return connection

    it.switch_to(goal, connect=connect)


def test_the_process_killed_at_every_statement_one_whole_version_is_live(it: Desk, two: tuple[str, str]) -> None:
    start, goal = two
    with psycopg.connect(it.conninfo, autocommit=True) as watcher:
        for at in itertools.count(1, 2):
            process = multiprocessing.get_context("fork").Process(target=switch_in_this_process, args=(it, goal, at))
            process.start()
            process.join(60)
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL
            if (live := one_whole_version(it, watcher)) == goal:
                # Killed behind its COMMIT.
                break
            assert live == start, at
    assert at > 60
    assert one_whole_version(it) == goal


class Unanswered(psycopg.Connection[Any]):
    """A connection that is lost after the server has committed and before it could say so."""

    def commit(self) -> None:
        super().commit()
        self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


def test_a_lost_reply_to_commit_is_settled_by_asking(it: Desk, two: tuple[str, str]) -> None:
    connections = iter([Unanswered.connect(it.conninfo)])
    noted: list[str] = []
    done = it.switch_to(two[1], connect=lambda: next(connections, None) or it.connect(), before_commit=noted.append)
    assert done.previous_version == two[0]
    assert it.ask(f"SELECT pg_xact_status('{noted[0]}')") == [("committed",)]
    assert one_whole_version(it) == two[1]


@pytest.mark.parametrize("of_whom", ["nobody yet", "somebody else"])
def test_a_number_that_a_crashed_server_gives_out_again_is_not_taken_for_the_switch(
    it: Desk, two: tuple[str, str], of_whom: str
) -> None:
    """The number of a transaction that never reached the disk is the next one that the server gives out."""
    ((known,),) = it.ask("SELECT pg_current_xact_id()::text")
    xid = known if of_whom == "somebody else" else str(int(known) + 1_000_000)
    assert commit.was_committed(it.connect, known, two[0])
    assert not commit.was_committed(it.connect, xid, two[1])


def test_a_reply_that_nobody_can_ask_for_is_told_as_unknown(
    it: Desk, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = iter([Unanswered.connect(it.conninfo)])

    def connect() -> psycopg.Connection[Any]:
        for connection in connections:
            return connection
        raise TargetError("unreachable", next_step="wait")

    monkeypatch.setattr(commit, "PATIENCE_SECONDS", 0.5)
    with pytest.raises(TargetError) as told:
        it.switch_to(two[1], connect=connect)
    assert told.value.kind == "switch-unknown"
    assert "sdetl versions" in told.value.next_step


def test_another_switch_and_a_lock_on_the_candidate_are_named(it: Desk, two: tuple[str, str]) -> None:
    with it.connect() as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('sdetl switch', 0))")
        with pytest.raises(
            TargetError, match=f"server process {other.info.backend_pid} is making another version live"
        ):
            it.switch_to(two[1], attempts=2)
    with psycopg.connect(it.conninfo, application_name="psql") as other:
        other.execute(sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(sql.Identifier(two[1], "tickets")))
        pid = other.info.backend_pid
        with pytest.raises(TargetError, match=rf"server process {pid} \(.*psql.* held a lock on tickets"):
            it.switch_to(two[1], attempts=1)
    it.switch_to(two[1])
    assert one_whole_version(it) == two[1]


def test_what_the_server_refuses_says_what_is_still_live(it: Desk, two: tuple[str, str]) -> None:
    it.run(
        "CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no ddl today''; END'",
        "CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION no_ddl()",
    )
    with pytest.raises(TargetError, match="no ddl today") as refused:
        it.switch_to(two[1])
    assert refused.value.left_behind == f"{two[0]} is still live in servicedesk, whole"
    it.run("DROP EVENT TRIGGER no_ddl")
    assert one_whole_version(it) == two[0]


def test_a_long_reader_is_named_and_never_queues_others_for_long(it: Desk, two: tuple[str, str]) -> None:
    with psycopg.connect(it.conninfo, application_name="grafana") as reader:
        reader.execute("SELECT count(*) FROM servicedesk.comments")
        pid, began = reader.info.backend_pid, time.monotonic()
        with pytest.raises(TargetError) as refused:
            it.switch_to(two[1], attempts=4)
        assert time.monotonic() - began < 20
    assert "after 4 attempts" in refused.value.message
    assert f"server process {pid}" in refused.value.message
    assert "grafana, idle in transaction" in refused.value.message
    assert "comments" in refused.value.message
    assert one_whole_version(it) == two[0]
    assert it.switch_to(two[1]).attempts == 1


def test_a_reader_of_a_view_in_another_schema_is_named_too(it: Desk, two: tuple[str, str]) -> None:
    with psycopg.connect(it.conninfo, application_name="sheet") as reader:
        reader.execute("SELECT * FROM rep.n")
        with pytest.raises(TargetError, match=r"sheet, idle in transaction.* has held a lock on n for"):
            it.switch_to(two[1], attempts=2)
    assert one_whole_version(it) == two[0]


def test_a_snapshot_from_before_the_load_is_named(it: Desk, two: tuple[str, str]) -> None:
    with psycopg.connect(it.conninfo, application_name="export") as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT 1")
        third = it.candidate(20)
        with pytest.raises(TargetError, match=r"export.* may see the new version empty"):
            it.switch_to(third, attempts=2)
    assert one_whole_version(it) == two[0]


def test_a_grant_made_meanwhile_is_not_lost(it: Desk, two: tuple[str, str]) -> None:
    late = it.role("late")
    it.run(f"GRANT USAGE ON SCHEMA servicedesk TO {late}")

    class Late(psycopg.Connection[Any]):
        was_late = False

        def execute(self, *args: Any, **kwargs: Any) -> Any:
            if "sdetl_locks" in str(args[0]) and not self.was_late:
                self.was_late = True
                it.run(f"GRANT SELECT ON servicedesk.comments TO {late}")
            return super().execute(*args, **kwargs)

    assert it.switch_to(two[1], connect=lambda: Late.connect(it.conninfo)).attempts == 2
    assert it.ask("SELECT count(*) FROM servicedesk.comments", late) == [(20,)]


def test_somebody_else_who_switched_meanwhile_wins(it: Desk, two: tuple[str, str]) -> None:
    from sdetl_engine.events import SilentReporter
    from sdetl_engine.postgres.switch import SwitchOrder, switch
    from sdetl_engine.settings import CutoverSettings

    order = SwitchOrder("servicedesk", two[1], two[0], "servicedesk_v20240101_000000", "cutover", "test")
    third = it.candidate(20)
    it.switch_to(third)
    with pytest.raises(TargetError, match="somebody else switched meanwhile"):
        switch(it.connect, order, CutoverSettings(), SilentReporter(), before_commit=lambda xid: None)
    with it.connect() as connection:
        found = registry.live_version(connection, "servicedesk")
    assert found is not None
    assert found.version == third
