"""Making a version live: lock and rename in one transaction, refused and retried rather than waited for.

Measured under six readers with tables locked in name order and a ``lock_timeout`` under PostgreSQL's
``deadlock_timeout``: no torn read, no reader killed.  Renames alone gave torn single-statement reads.
What a lost connection leaves unknown is settled by ``pg_xact_status``, never guessed.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.errors import TargetError
from sdetl_engine.events import Reporter
from sdetl_engine.postgres import carry, registry
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.settings import CutoverSettings


@dataclasses.dataclass(frozen=True, slots=True)
class SwitchOrder:
    """What is to become live, in place of what."""

    serving_schema: str
    to_version: str
    expected_live: str | None
    """The version that must be live when the switch begins; None when none is managed."""
    adopt_as: str
    """The version name that an unmanaged serving schema gets."""
    action: str
    who: str
    run_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Switched:
    """A switch that was committed.  ``seconds`` from the first try to the reply, ``lock_seconds`` while readers waited."""

    previous_version: str | None
    adopted: bool
    seconds: float
    lock_seconds: float
    attempts: int
    carried: carry.Carried


class _TryAgain(Exception):
    """This attempt was refused; the reason names who is in the way."""


def switch(
    connect: Callable[[], psycopg.Connection[Any]],
    order: SwitchOrder,
    settings: CutoverSettings,
    reporter: Reporter,
    *,
    before_commit: Callable[[str], None],
) -> Switched:
    """Make ``order.to_version`` live.

    ``connect`` opens a session (called again after a lost one).  ``before_commit`` gets the transaction id
    while the outcome is still open, to be written down durably.  Raises TargetError when the switch was not
    made: the version that was live is then still live, whole.
    """
    began = time.monotonic()
    connection = connect()
    try:
        for attempt in range(1, settings.attempts + 1):
            reporter.check()
            try:
                previous, adopted, carried, lock_seconds = _attempt(connection, connect, order, settings, before_commit)
            except _TryAgain as refused:
                if time.monotonic() - began > settings.budget_seconds or attempt == settings.attempts:
                    raise _gave_up(order, str(refused), attempt) from None
                reporter.event("SwitchRefused", f"attempt {attempt}: {refused}; trying again", level="warning")
                time.sleep(random.uniform(0.02, 0.02 + min(1.0, 0.05 * attempt)))  # noqa: S311 - jitter, not a secret
                continue
            return Switched(previous, adopted, time.monotonic() - began, lock_seconds, attempt, carried)
    finally:
        connection.close()
    raise AssertionError("unreachable: the loop returns or raises")


def _attempt(
    connection: psycopg.Connection[Any],
    connect: Callable[[], psycopg.Connection[Any]],
    order: SwitchOrder,
    settings: CutoverSettings,
    before_commit: Callable[[str], None],
) -> tuple[str | None, bool, carry.Carried, float]:
    xid: str | None = None
    locked_at = time.monotonic()
    try:
        _begin(connection, settings)
        live, has_schema = _check_order(connection, order)
        _refuse_old_snapshots(connection, order)
        carried = carry.Carried()
        if has_schema:
            carried = carry.carry_over(connection, order.serving_schema, order.to_version)
            locked_at = time.monotonic()
            _lock_tables(connection, order.serving_schema)
        previous = _rename(connection, order, live, has_schema)
        registry.record_deployment(
            connection,
            order.action,
            serving_schema=order.serving_schema,
            from_version=previous,
            to_version=order.to_version,
            who=order.who,
            run_id=order.run_id,
        )
        xid = _current_xid(connection)
        before_commit(xid)
        connection.commit()
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        connection.rollback()
        raise _TryAgain(_who_blocks(connection, order.serving_schema)) from None
    except psycopg.OperationalError:
        if xid is None or not _was_committed(connect, xid):
            raise TargetError(
                f"the connection was lost while version {order.to_version} was being made live; it was not",
                left_behind=f"the version that was live before is still live in {order.serving_schema}",
                next_step="when the server answers again, continue with --resume",
                kind="switch",
            ) from None
        previous = live.version if live else (order.adopt_as if has_schema else None)
    except psycopg.Error as error:
        connection.rollback()
        raise statement_error(error, f"making version {order.to_version} live") from None
    except BaseException:
        if not connection.closed:
            connection.rollback()
        raise
    return previous, has_schema and live is None, carried, time.monotonic() - locked_at


def _begin(connection: psycopg.Connection[Any], settings: CutoverSettings) -> None:
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{settings.lock_timeout_ms}ms"])
    # Were sdetl stopped while it holds the locks, the server itself must let the readers go.
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = '5s'")
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('sdetl switch', 0))")


def _check_order(connection: psycopg.Connection[Any], order: SwitchOrder) -> tuple[registry.Version | None, bool]:
    """The live version and whether the serving schema exists; refuse when either is not as it was when we began."""
    live = registry.live_version(connection, order.serving_schema)
    if (live.version if live else None) != order.expected_live:
        raise TargetError(
            f"{live.version if live else 'no version'} is live in {order.serving_schema}, "
            f"not {order.expected_live or 'none'} as when this began: somebody else switched meanwhile",
            next_step="see sdetl versions, then start again",
            kind="switch",
        )
    wanted = registry.get_version(connection, order.to_version)
    # A candidate goes live only by what proved it; the way back leads to what has been live.
    allowed = registry.VersionStatus.RETIRED if order.action == "rollback" else registry.VersionStatus.CANDIDATE
    if wanted is None or wanted.status != allowed or not _schema_exists(connection, order.to_version):
        raise TargetError(
            f"version {order.to_version} cannot be made live: "
            + ("it is not in the registry" if wanted is None else f"it is {wanted.status}, or its schema is gone"),
            next_step="see sdetl versions",
            kind="switch",
        )
    has_schema = _schema_exists(connection, order.serving_schema)
    if live is not None and not has_schema:
        raise TargetError(
            f"the registry says that {live.version} is live, but there is no schema {order.serving_schema}",
            next_step="find out who dropped or renamed it; its last dump stands in the backup folder of the newest run",
            kind="switch",
        )
    return live, has_schema


def _refuse_old_snapshots(connection: psycopg.Connection[Any], order: SwitchOrder) -> None:
    """A REPEATABLE READ session older than the load would see the new version empty: name it and wait."""
    row = connection.execute(
        """
        SELECT a.pid, a.usename, a.application_name
        FROM pg_stat_activity a, sdetl.versions v
        WHERE v.version = %s AND a.datname = current_database() AND a.pid <> pg_backend_pid()
          AND a.backend_type = 'client backend' AND a.backend_xmin IS NOT NULL
          AND v.load_xid IS NOT NULL AND age(a.backend_xmin) >= age(v.load_xid::xid8::xid)
        LIMIT 1
        """,
        [order.to_version],
    ).fetchone()
    if row is not None:
        connection.rollback()
        raise _TryAgain(f"server process {row[0]} ({row[1]}, {row[2]}) reads from a moment before the load")


def _lock_tables(connection: psycopg.Connection[Any], schema: str) -> None:
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) "
        "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname",
        [schema],
    ).fetchall()
    if rows:
        names = sql.SQL(", ").join(sql.Identifier(schema, name) for (name,) in rows)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names))


def _rename(
    connection: psycopg.Connection[Any], order: SwitchOrder, live: registry.Version | None, has_schema: bool
) -> str | None:
    previous = None
    if has_schema:
        previous = live.version if live else order.adopt_as
        if live is None:
            registry.add_version(
                connection,
                previous,
                serving_schema=order.serving_schema,
                status=registry.VersionStatus.RETIRED,
                created_by=order.who,
                loaded_now=False,
                note="was in the serving schema before sdetl; taken over at the first cutover",
            )
        rename_schema(connection, order.serving_schema, previous)
    rename_schema(connection, order.to_version, order.serving_schema)
    registry.set_live(connection, order.to_version, previous=previous)
    return previous


def rename_schema(connection: psycopg.Connection[Any], name: str, to: str) -> None:
    """``ALTER SCHEMA name RENAME TO to``."""
    connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to)))


def _schema_exists(connection: psycopg.Connection[Any], name: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [name]).fetchone() is not None


def _current_xid(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
    assert row is not None
    return str(row[0])


def _was_committed(connect: Callable[[], psycopg.Connection[Any]], xid: str) -> bool:
    """Ask the server what became of the transaction.  Raises what ``connect`` raises when it cannot be asked."""
    deadline = time.monotonic() + 30
    with connect() as connection:
        connection.autocommit = True
        while True:
            row = connection.execute("SELECT pg_xact_status(%s::xid8)", [xid]).fetchone()
            status = row[0] if row else None
            if status != "in progress" or time.monotonic() > deadline:
                return bool(status == "committed")
            time.sleep(0.2)


def _who_blocks(connection: psycopg.Connection[Any], schema: str) -> str:
    """One sentence about a session that holds a lock on a table of the schema."""
    row = connection.execute(
        """
        SELECT a.pid, a.usename, a.application_name, a.state
        FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
        WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND l.pid <> pg_backend_pid()
        ORDER BY a.xact_start LIMIT 1
        """,
        [schema],
    ).fetchone()
    connection.rollback()
    if row is None:
        return f"a table of {schema} was locked by a session that is gone again"
    return f"server process {row[0]} ({row[1]}, {row[2]}, {row[3]}) holds a lock on a table of {schema}"


def _gave_up(order: SwitchOrder, reason: str, attempts: int) -> TargetError:
    return TargetError(
        f"version {order.to_version} was not made live after {attempts} attempts: {reason}",
        left_behind=f"{order.expected_live or 'what was there before'} is still live in {order.serving_schema}, whole",
        next_step="wait until that session has ended, then continue with --resume",
        kind="switch",
    )
