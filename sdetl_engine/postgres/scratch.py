"""Scratch databases: where a dump is restored to be looked at, out of everybody's way, and dropped again.

Each is locked by the session that made it.  One that is not locked was left by a process that died: the next
one to need a scratch database on that server drops it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sdetl_engine.errors import TargetError
from sdetl_engine.postgres.binaries import BUNDLED
from sdetl_engine.postgres.connect import Target, open_connection, statement_error
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import Settings
from sdetl_engine.workspace import Workspace

PREFIX = "sdetl_scratch_"
_CLASS = 0x5C8A7


@contextlib.contextmanager
def scratch_database(session: TargetSession) -> Iterator[str]:
    """The conninfo of a new, empty UTF-8 database on the session's server; it is dropped when the block is left.

    Raises TargetError when the role may not create databases, or the server refuses.
    """
    name = PREFIX + uuid.uuid4().hex[:12]
    with session.connect() as connection:
        connection.autocommit = True
        if not may_create(connection):
            raise TargetError(
                f"{session.target.describe()}: the role may not create a scratch database",
                next_step="ALTER ROLE ... CREATEDB, or leave it to the embedded server",
                kind="rights",
            )
        _sweep(connection)
        try:
            connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [_CLASS, name])
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
            )
        except psycopg.Error as error:
            raise statement_error(error, f"creating scratch database {name}") from None
        try:
            yield make_conninfo(session.conninfo, dbname=name)
        finally:
            _drop(session, connection, name)


def open_scratch(conninfo: str) -> psycopg.Connection[Any]:
    """A connection with pinned settings to a scratch database."""
    return open_connection(Target(conninfo, "").at(conninfo))


def scratch_session(session: TargetSession, workspace: Workspace, settings: Settings) -> TargetSession:
    """Where scratch databases are made: the session's own server when the role may, else an embedded one.

    That is of the oldest major version that is not older than the session's server, which takes what is dumped there.
    The caller closes what it gets when that is another session than the one it gave.
    """
    with session.connect() as connection:
        if may_create(connection):
            return session
        server = connection.info.server_version // 10_000
    major = next((major for major in BUNDLED if major >= server), max(BUNDLED))
    return TargetSession.embedded(major, workspace.prepare(), settings)


def may_create(connection: psycopg.Connection[Any]) -> bool:
    """True when the role may create databases."""
    row = connection.execute("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    return bool(row and row[0])


def left_over(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Scratch databases that stand on the server now."""
    rows = connection.execute("SELECT datname FROM pg_database WHERE datname ^@ %s ORDER BY 1", [PREFIX]).fetchall()
    return tuple(name for (name,) in rows)


def _sweep(connection: psycopg.Connection[Any]) -> None:
    """Drop those that nobody holds any more."""
    for name in left_over(connection):
        if not _is_held(connection, name):
            with contextlib.suppress(psycopg.Error):
                _drop_database(connection, name)


def _is_held(connection: psycopg.Connection[Any], name: str) -> bool:
    """True while the session that made it lives, in whatever database of the server that is: advisory locks of other
    databases are seen, and are in nobody's way."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %s "
        "AND objid = (hashtext(%s)::bigint & 4294967295)::oid)",
        [_CLASS, name],
    ).fetchone()
    return bool(row and row[0])


def _drop(session: TargetSession, connection: psycopg.Connection[Any], name: str) -> None:
    """With the session that made it, or with a new one when that was lost."""
    try:
        _drop_database(connection, name)
    except psycopg.OperationalError:
        with session.connect() as another:
            another.autocommit = True
            _drop_database(another, name)


def _drop_database(connection: psycopg.Connection[Any], name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
