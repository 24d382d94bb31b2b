"""Scratch databases: nobody drops one that somebody works in, and what a dead process left is dropped."""

from __future__ import annotations

from pathlib import Path

import psycopg

from sdetl_engine.postgres.connect import Target
from sdetl_engine.postgres.scratch import left_over, scratch_database
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import load_settings
from sdetl_engine.workspace import Workspace
from tests.conftest import Server
from tests.interrupting import end_backend


def session_of(conninfo: str, folder: Path) -> TargetSession:
    return TargetSession(Target.parse(conninfo, {}), Workspace(folder), load_settings())


def name_of(conninfo: str) -> str:
    with psycopg.connect(conninfo) as connection:
        return connection.info.dbname


def test_a_scratch_database_of_another_target_on_the_same_server_is_left_alone(server: Server, tmp_path: Path) -> None:
    two = [server.create_database(), server.create_database()]
    try:
        with session_of(two[0], tmp_path) as one, session_of(two[1], tmp_path) as other:
            with scratch_database(one) as first, scratch_database(other) as second:
                assert name_of(first) != name_of(second)
            with one.connect() as connection:
                assert not {name for name in left_over(connection) if name in first + second}
    finally:
        for conninfo in two:
            server.drop_database(conninfo)


def test_what_a_dead_process_left_is_dropped_by_the_next(database: str, tmp_path: Path) -> None:
    with session_of(database, tmp_path) as session:
        left = scratch_database(session)
        name = name_of(left.__enter__())
        with psycopg.connect(database, autocommit=True) as watcher:
            holder = watcher.execute(
                "SELECT l.pid FROM pg_locks l WHERE locktype = 'advisory' AND objid = (hashtext(%s)::bigint & 4294967295)::oid",
                [name],
            ).fetchone()
            assert holder is not None
            end_backend(watcher, holder[0])
            with scratch_database(session):
                assert name not in left_over(watcher)
        left.__exit__(None, None, None)
