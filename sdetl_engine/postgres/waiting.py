"""Who is in the way of a switch: sessions that hold locks, and snapshots from before the load."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.carry.bound import Bound

_ENDING_MS = 2000
"""How long an autovacuum may take to end once it was told to."""
_NOT_TO_BE_HAD = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedTable,
)
"""Why a lock that only would help is done without."""


def who_blocks(
    connection: psycopg.Connection[Any], schema: str, bound: Sequence[Bound] = (), *, candidate: str | None = None
) -> str:
    """One sentence about the session that has been holding a lock on the schema's relations, or on those that are
    bound to them, for the longest time; or one on the candidate's that does not let its tables be kept as they are."""
    # What a transaction has once seen of other sessions it sees until its end, unless told otherwise.
    connection.execute("SELECT pg_stat_clear_snapshot()")
    row = connection.execute(
        """
        SELECT a.pid, a.usename, a.application_name, a.state, c.relname,
               coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::int
        FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = (
                SELECT oid FROM pg_database WHERE datname = current_database())
          AND (n.nspname = %s OR c.oid = ANY(%s::oid[])
               OR n.nspname = %s AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareLock'))
        ORDER BY a.xact_start NULLS LAST LIMIT 1
        """,
        [schema, [b.node[1] for b in bound if b.node[0] == "relation"], candidate],
    ).fetchone()
    if row is None:
        return _who_switches(connection) or "a lock was held by a session that is gone again"
    pid, user, application, state, relation, seconds = row
    if user is None:
        # The server's own processes have no user.
        return f"autovacuum (server process {pid}) has been at work on {relation} for {seconds} s"
    return f"server process {pid} ({user}, {application}, {state}) has held a lock on {relation} for {seconds} s"


def _who_switches(connection: psycopg.Connection[Any]) -> str | None:
    """Another session that makes some version live: they take turns."""
    row = connection.execute(
        """
        SELECT pid FROM pg_locks, hashtextextended('sdetl switch', 0) AS key
        WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_backend_pid()
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND (classid::bigint << 32) + objid::bigint = key
        """
    ).fetchone()
    return f"server process {row[0]} is making another version live" if row is not None else None


@contextlib.contextmanager
def outlasting_autovacuum(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Within the block a lock is waited for until PostgreSQL has ended an autovacuum that holds it.

    It does so for whoever waits longer than ``deadlock_timeout``, unless the table is about to run out of transaction
    ids.  Only for locks behind which no reader queues.
    """
    row = connection.execute(
        "SELECT current_setting('lock_timeout'), setting::int FROM pg_settings WHERE name = 'deadlock_timeout'"
    ).fetchone()
    assert row is not None
    before, needed_ms = row
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{needed_ms + _ENDING_MS}ms"])
    yield
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [before])


def end_autovacuum(connection: psycopg.Connection[Any], schema: str) -> None:
    """Have autovacuum let go of the schema's tables: it would hold one for minutes, and begins anew only after a while.

    Inside a transaction, which keeps no lock from it.  Readers and writers go on meanwhile.
    """
    connection.execute("SELECT pg_stat_clear_snapshot()")
    rows = connection.execute(
        """
        SELECT DISTINCT c.relname FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
        WHERE l.granted AND a.usename IS NULL AND l.mode = 'ShareUpdateExclusiveLock' AND c.relkind = 'r'
          AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
        ORDER BY c.relname
        """,
        [schema],
    ).fetchall()
    if not rows:
        return
    tables = sql.SQL(", ").join(sql.Identifier(schema, name) for (name,) in rows)
    connection.execute("SAVEPOINT sdetl_autovacuum")
    with contextlib.suppress(*_NOT_TO_BE_HAD), outlasting_autovacuum(connection):
        connection.execute(sql.SQL("LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE").format(tables))
    connection.execute("ROLLBACK TO SAVEPOINT sdetl_autovacuum")


def old_sessions(
    connection: psycopg.Connection[Any], roles: Sequence[str], before: datetime | None = None
) -> tuple[str, ...]:
    """The sessions of those roles that are open in this database, each in a few words; they keep the ``search_path`` that
    they began with.  ``before``: only those that began before that moment, or nobody may see when."""
    connection.execute("SELECT pg_stat_clear_snapshot()")
    # Without pg_read_all_stats the type of other roles' sessions is hidden; that of its own clients has a user.
    rows = connection.execute(
        "SELECT pid, usename, coalesce(application_name, '') FROM pg_stat_activity WHERE datname = current_database() "
        "AND usename = ANY(%s) AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend' "
        "AND (%s::timestamptz IS NULL OR backend_start IS NULL OR backend_start < %s) ORDER BY usename, pid",
        [list(roles), before, before],
    ).fetchall()
    return tuple(
        f"server process {pid} ({', '.join(filter(None, (user, application)))})" for pid, user, application in rows
    )


def oldest_snapshot(connection: psycopg.Connection[Any], version: str) -> str | None:
    """A session that reads from a moment before the version was loaded, in a few words; None when there is none."""
    connection.execute("SELECT pg_stat_clear_snapshot()")
    row = connection.execute(
        """
        SELECT a.pid, a.usename, a.application_name
        FROM pg_stat_activity a, sdetl.versions v
        WHERE v.version = %s AND a.datname = current_database() AND a.pid <> pg_backend_pid()
          AND a.backend_type = 'client backend' AND a.backend_xmin IS NOT NULL
          AND v.load_xid IS NOT NULL AND age(a.backend_xmin) >= age(v.load_xid::xid8::xid)
        ORDER BY a.xact_start LIMIT 1
        """,
        [version],
    ).fetchone()
    return f"server process {row[0]} ({row[1]}, {row[2]})" if row is not None else None
