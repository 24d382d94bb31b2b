"""Readers led to the live version by their search_path: their new sessions read it by bare names, whichever way it goes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from sdetl_engine.errors import TargetError
from sdetl_engine.postgres import search_paths
from sdetl_engine.postgres.place import place_of
from tests.postgres.test_switch_interrupted import Killed, Unanswered
from tests.postgres.versions import Desk, desk


@pytest.fixture
def it(database: str) -> Iterator[Desk]:
    with desk(database) as made:
        yield made


@pytest.fixture
def grafana(it: Desk) -> str:
    """A role that dashboards log in as."""
    return it.role("grafana", "LOGIN")


@pytest.fixture
def two(it: Desk, grafana: str) -> tuple[str, str]:
    """A version of 10 tickets to which Grafana is led, and a candidate of 20."""
    first = it.candidate(10)
    it.switch_to(first, roles=(grafana,))
    it.run(
        f"GRANT USAGE ON SCHEMA {first} TO {grafana}; GRANT SELECT ON {first}.tickets TO {grafana}",
        f"GRANT SELECT (ticket_id) ON {first}.comments TO {grafana}",
    )
    return first, it.candidate(20)


def seen(it: Desk, role: str) -> int:
    """Tickets that a new session of the role counts by their bare name."""
    with it.log_in(role) as connection:
        row = connection.execute("SELECT count(*), (SELECT count(ticket_id) FROM comments) FROM tickets").fetchone()
    assert row is not None
    assert row[0] == row[1]
    return int(row[0])


def path(it: Desk, role: str) -> str:
    with it.log_in(role) as connection:
        row = connection.execute("SHOW search_path").fetchone()
    assert row is not None
    return str(row[0])


def schemas(it: Desk) -> set[str]:
    return {name for (name,) in it.ask("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'servicedesk%'")}


def place(it: Desk) -> str | None:
    with it.connect() as connection:
        return place_of(connection, "servicedesk")


def test_new_sessions_read_the_new_version_with_the_grants_of_the_old_one(
    it: Desk, two: tuple[str, str], grafana: str
) -> None:
    assert seen(it, grafana) == 10
    done = it.switch_to(two[1], roles=(grafana,))
    assert (done.previous_version, done.led_roles) == (two[0], (grafana,))
    assert seen(it, grafana) == 20
    assert place(it) == it.live() == two[1]
    assert schemas(it) == set(two)
    it.switch_to(two[0], roles=(grafana,))
    assert seen(it, grafana) == 10
    it.switch_to(two[1], roles=(grafana,))
    assert seen(it, grafana) == 20


def test_the_rest_of_a_search_path_stays_and_other_databases_are_left_alone(
    it: Desk, two: tuple[str, str], grafana: str
) -> None:
    database = it.ask("SELECT current_database()")[0][0]
    it.run(f'ALTER ROLE {grafana} IN DATABASE "{database}" SET search_path = "My Tools", {two[0]}, public')
    it.switch_to(two[1], roles=(grafana,))
    assert path(it, grafana) == f'"My Tools", {two[1]}, public'
    settings = f"SELECT count(*) FROM pg_db_role_setting WHERE setrole = '{grafana}'::regrole"
    assert it.ask(settings) == [(1,)]


def test_a_session_that_is_open_goes_on_reading_the_version_before(
    it: Desk, two: tuple[str, str], grafana: str
) -> None:
    with it.log_in(grafana) as reader:
        reader.autocommit = True
        assert reader.execute("SELECT count(*) FROM tickets").fetchone() == (10,)
        it.switch_to(two[1], roles=(grafana,))
        assert reader.execute("SELECT count(*) FROM tickets").fetchone() == (10,)


def test_a_reader_in_a_long_transaction_is_not_in_the_way(it: Desk, two: tuple[str, str], grafana: str) -> None:
    with it.log_in(grafana) as reader:
        reader.execute("SELECT count(*) FROM tickets")
        assert it.switch_to(two[1], roles=(grafana,), attempts=1).attempts == 1
    assert seen(it, grafana) == 20


def test_readers_old_and_new_never_miss_a_table_while_it_goes_back_and_forth(
    it: Desk, two: tuple[str, str], grafana: str
) -> None:
    stop, wrong, counts = threading.Event(), list[Exception](), Counter[int]()

    def read(is_new: bool) -> None:
        try:
            with it.log_in(grafana) as kept:
                kept.autocommit = True
                while not stop.is_set():
                    if is_new:
                        counts[seen(it, grafana)] += 1
                    else:
                        assert kept.execute("SELECT count(*) FROM tickets").fetchone() == (10,)
        except Exception as error:  # noqa: BLE001 - whatever a reader meets is told by the test
            wrong.append(error)

    readers = [threading.Thread(target=read, args=(is_new,)) for is_new in (True, True, False, False)]
    for reader in readers:
        reader.start()
    for number in range(20):
        it.switch_to(two[(number + 1) % 2], roles=(grafana,))
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert set(counts) == {10, 20}


def test_a_view_of_another_schema_shows_the_new_version(it: Desk, two: tuple[str, str], grafana: str) -> None:
    it.run(
        f"CREATE SCHEMA rep; GRANT USAGE ON SCHEMA rep TO {grafana}",
        f"CREATE VIEW rep.v AS SELECT count(*) AS n FROM {two[0]}.tickets; GRANT SELECT ON rep.v TO {grafana}",
    )
    for version, tickets in ((two[1], 20), (two[0], 10)):
        it.switch_to(version, roles=(grafana,))
        assert it.ask("SELECT n FROM rep.v", grafana) == [(tickets,)]


def test_from_a_renamed_schema_to_readers_who_are_led_and_back(it: Desk, grafana: str) -> None:
    first = it.candidate(10)
    it.switch_to(first)
    it.run(
        f"GRANT USAGE ON SCHEMA servicedesk TO {grafana}; GRANT SELECT ON ALL TABLES IN SCHEMA servicedesk TO {grafana}",
        f"ALTER ROLE {grafana} SET search_path = servicedesk, public",
    )
    second = it.candidate(20)
    it.switch_to(second, roles=(grafana,))
    assert (seen(it, grafana), path(it, grafana)) == (20, f"{second}, public")
    assert schemas(it) == {first, second}
    it.switch_to(first)
    assert (seen(it, grafana), path(it, grafana)) == (10, "servicedesk, public")
    assert schemas(it) == {"servicedesk", second}


def test_a_role_that_is_not_there_is_refused(it: Desk, two: tuple[str, str], grafana: str) -> None:
    with pytest.raises(TargetError, match="role nobody_here cannot be set: there is no such role") as refused:
        it.switch_to(two[1], roles=(grafana, "nobody_here"))
    assert refused.value.kind == "roles"
    assert "still live" in refused.value.left_behind
    assert seen(it, grafana) == 10


def test_an_operator_who_may_not_change_the_role_is_told_the_grant(
    it: Desk, two: tuple[str, str], grafana: str
) -> None:
    operator = it.role("etl", "LOGIN")
    with psycopg.connect(it.conninfo, user=operator) as connection:
        (found,) = search_paths.obstacles(connection, (grafana,))
        newer = connection.info.server_version >= 160_000
    assert found.why == f"role {operator} may not change its settings"
    assert f'ALTER ROLE "{operator}" CREATEROLE;' in found.fix
    assert (f'GRANT "{grafana}" TO "{operator}" WITH ADMIN OPTION;' in found.fix) is newer
    it.run(
        f"ALTER ROLE {operator} CREATEROLE", *([f"GRANT {grafana} TO {operator} WITH ADMIN OPTION"] if newer else [])
    )
    with psycopg.connect(it.conninfo, user=operator) as connection:
        assert search_paths.obstacles(connection, (grafana,)) == ()
        connection.execute(f"ALTER ROLE {grafana} SET work_mem = '5MB'")


def test_a_foreign_schema_of_the_serving_name_is_in_the_way(it: Desk, two: tuple[str, str], grafana: str) -> None:
    it.run("CREATE SCHEMA servicedesk")
    with pytest.raises(TargetError, match="there is a schema servicedesk beside it"):
        it.switch_to(two[1], roles=(grafana,))
    assert seen(it, grafana) == 10


def test_killed_at_every_statement_readers_are_led_to_one_whole_version(
    it: Desk, two: tuple[str, str], grafana: str
) -> None:
    with psycopg.connect(it.conninfo, autocommit=True) as watcher:
        at, step = 1, 4
        while True:
            deadly = Killed.connect(it.conninfo)
            deadly.deadly, deadly.executioner = at, watcher
            connections = iter([deadly])
            try:
                it.switch_to(
                    two[1],
                    roles=(grafana,),
                    connect=lambda left=connections: next(left, None) or it.connect(),  # type: ignore[misc]
                )
            except TargetError as told:
                error = told
            else:
                break
            assert "is still live" in error.left_behind, at
            assert (it.live(), seen(it, grafana), schemas(it)) == (two[0], 10, set(two)), at
            at += step
    assert at > 30
    assert (it.live(), seen(it, grafana)) == (two[1], 20)


def test_a_lost_reply_to_commit_is_settled_by_asking(it: Desk, two: tuple[str, str], grafana: str) -> None:
    connections = iter([Unanswered.connect(it.conninfo)])
    done = it.switch_to(two[1], roles=(grafana,), connect=lambda: next(connections, None) or it.connect())
    assert done.previous_version == two[0]
    assert (it.live(), seen(it, grafana)) == (two[1], 20)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"$user", public', ("new", "$user", "public")),
        ("old, public", ("new", "public")),
        ("tools, old, older, public", ("tools", "new", "public")),
        ('"a ""b", new, OLD', ('a "b', "new")),
    ],
)
def test_a_search_path_is_led(before: str, after: tuple[str, ...]) -> None:
    assert search_paths.led(search_paths.parsed(before), {"old", "older"}, "new") == after
    assert search_paths.parsed(search_paths.spelled(after)) == after
