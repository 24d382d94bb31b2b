"""One run per target and serving schema: an advisory lock, held by a session of its own.

The server frees it by itself when that session dies.  Who holds it is read from the session: its
application name says user and host, its start says since when.
"""

from __future__ import annotations

import contextlib
import getpass
import socket
from collections.abc import Iterator
from typing import Any

import psycopg

from sdetl_engine.errors import LockHeld, TargetError


def operator() -> str:
    """``user@host`` of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


@contextlib.contextmanager
def run_lock(connection: psycopg.Connection[Any], serving_schema: str) -> Iterator[None]:
    """Hold the lock of this serving schema while the block runs.

    ``connection`` is in autocommit mode, is used for nothing else, and lives as long as the lock.
    Raises LockHeld naming the holder.
    """
    connection.execute("SELECT set_config('application_name', %s, false)", [f"sdetl {operator()}"[:63]])
    if not _try_lock(connection, serving_schema):
        raise LockHeld(
            f"another run works on schema {serving_schema} of this target: held by {_holder(connection, serving_schema)}",
            next_step="wait until it has finished, or end it there",
        )
    try:
        yield
    finally:
        if not connection.closed:
            with contextlib.suppress(psycopg.Error):
                connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_CLASS, serving_schema])


def assert_held(connection: psycopg.Connection[Any], serving_schema: str) -> None:
    """Raise TargetError when the session that holds the run lock has died meanwhile."""
    try:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() "
            "AND granted AND classid = %s AND objid = (hashtext(%s)::bigint & 4294967295)::oid",
            [_CLASS, serving_schema],
        ).fetchone()
    except psycopg.OperationalError:
        row = None
    if not row or not row[0]:
        raise TargetError(
            f"the session that holds the lock on schema {serving_schema} was lost",
            next_step="continue with --resume",
            kind="lock-lost",
        )


def holder(connection: psycopg.Connection[Any], serving_schema: str) -> str | None:
    """Who holds the lock (``user@host since ...``), or None when it is free."""
    text = _holder(connection, serving_schema)
    return None if text == _NOBODY else text


_CLASS = 0x5DE71
_NOBODY = "nobody"


def _try_lock(connection: psycopg.Connection[Any], serving_schema: str) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_CLASS, serving_schema]).fetchone()
    return bool(row and row[0])


def _holder(connection: psycopg.Connection[Any], serving_schema: str) -> str:
    row = connection.execute(
        """
        SELECT a.application_name, to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', a.pid
        FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.objid = (hashtext(%s)::bigint & 4294967295)::oid
        """,
        [_CLASS, serving_schema],
    ).fetchone()
    if row is None:
        return _NOBODY
    return f"{str(row[0]).removeprefix('sdetl ')} since {row[1]} (server process {row[2]})"
