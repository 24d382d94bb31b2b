"""Who is in the way of a switch: sessions that hold locks, and snapshots from before the load."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from sdetl_engine.postgres.carry.bound import Bound


def who_blocks(connection: psycopg.Connection[Any], schema: str, bound: Sequence[Bound]) -> str:
    """One sentence about the session that has been holding a lock on the schema's relations, or on those that are
    bound to them, for the longest time."""
    # What a transaction has once seen of other sessions it sees until its end, unless told otherwise.
    connection.execute("SELECT pg_stat_clear_snapshot()")
    row = connection.execute(
        """
        SELECT a.pid, a.usename, a.application_name, a.state, c.relname,
               coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::int
        FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
        WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = (
                SELECT oid FROM pg_database WHERE datname = current_database())
          AND (c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) OR c.oid = ANY(%s::oid[]))
        ORDER BY a.xact_start NULLS LAST LIMIT 1
        """,
        [schema, [b.node[1] for b in bound if b.node[0] == "relation"]],
    ).fetchone()
    if row is None:
        return "a table was locked by a session that is gone again"
    pid, user, application, state, relation, seconds = row
    return f"server process {pid} ({user}, {application}, {state}) has held a lock on {relation} for {seconds} s"


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
