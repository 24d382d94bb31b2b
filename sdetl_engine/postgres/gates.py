"""Gates: a session for every table, all of which ask for their locks at the same moment, so that readers stay out.

One session that takes its locks one after the other lets readers in between: each holds some of the tables and waits
for the others, as the session does, and under readers that never rest it never has them all.  Measured with six such
readers of three tables: 500 attempts, none of which succeeded.  Gates that ask at once leave nothing in between but the
moment in which a statement looks its tables up.

Who gives the tables other names then needs no lock on them.  A reader that waits at a gate looks the name up again
when it is let through, and finds what bears it by then.  Gates open by themselves, whatever becomes of sdetl: each waits
for a lock that the session that renames holds to the end of its transaction, and goes away with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.errors import SdetlError
from sdetl_engine.postgres.commit import flush
from sdetl_engine.postgres.facts import SESSIONS_LEFT

MOST_SESSIONS = 32
_SHARE_OF_FREE = 4
"""At most one in so many of the sessions that the server has left."""
_KEY = "hashtextextended('sdetl gates', 0)"
_START = "hashtextextended('sdetl gates start', 0)"
_LINING_UP_MS = 2000
_LINED_UP_SECONDS = 0.25
"""So long the start waits for gates that are not there yet."""
_LOOK_SECONDS = 0.001
REFUSED = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled, psycopg.errors.DeadlockDetected)


@dataclasses.dataclass(frozen=True, slots=True)
class Gated:
    """A relation that readers are to be kept out of.  ``kind``: as ``pg_class.relkind``."""

    oid: int
    kind: str
    name: str
    owner: str

    def locking(self, schema: str) -> sql.Composed:
        """The statement that locks it against readers, where the schema is seen by that name."""
        name = sql.Identifier(schema, self.name)
        if self.kind == "p":
            return sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(name)
        if self.kind == "r":
            # What inherits from it has a gate of its own, and two of them must not want the same lock.
            return sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(name)
        # LOCK does not know materialized views, and of a view it locks the tables, too.  The owner that it has changes nothing.
        kind = sql.SQL("VIEW" if self.kind == "v" else "MATERIALIZED VIEW")
        return sql.SQL("ALTER {} {} OWNER TO {}").format(kind, name, sql.Identifier(self.owner))


class GateLost(Exception):
    """A session that kept readers out, or was to, is gone."""


class Gates:
    """The sessions.  ``renaming`` is the session whose transaction they serve; ``timeout_ms``: how long each may wait."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], renaming: psycopg.Connection[Any], *, timeout_ms: int
    ) -> None:
        self._connect, self._renaming, self._timeout_ms = connect, renaming, timeout_ms
        self._sessions: list[psycopg.Connection[Any]] = []
        self._unanswered: list[contextlib.AbstractContextManager[object]] = []
        self._oids: set[int] = set()
        self._holds_start = False

    def __enter__(self) -> Gates:
        return self

    def __exit__(self, *exception: object) -> None:
        """End the sessions; those that are shut end with the renaming transaction, which is not waited for."""
        self._start()
        for session in self._sessions:
            session.close()
        with contextlib.suppress(psycopg.Error, GateLost):
            self._hear()
        self._sessions.clear()

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    def open_sessions(self, relations: int) -> None:
        """Open one for each of so many relations, fewer where the server has few left, none where it has no more."""
        self._sessions = [session for session in self._sessions if not session.closed]
        wanted = min(relations, MOST_SESSIONS, _free_sessions(self._renaming) // _SHARE_OF_FREE)
        while len(self._sessions) < wanted:
            try:
                session = self._connect()
            except (psycopg.OperationalError, SdetlError):
                return
            session.autocommit = True
            self._sessions.append(session)

    def flush(self) -> None:
        """Have what the renaming transaction has written so far on disk, so that its COMMIT needs little time where it has
        to wait for it: where it drops a materialized view, PostgreSQL has it wait."""
        for session in self._sessions[:1]:
            try:
                flush(session)
            except psycopg.OperationalError as error:
                raise GateLost from error

    def ask(self, schema: str, relations: Sequence[Gated]) -> None:
        """Ask for all the locks at once, and go on; ``shut`` tells whether they were had.  Raises GateLost.

        The renaming transaction gets the lock that keeps the gates shut, and gives it up with its savepoint.
        """
        self._oids = {relation.oid for relation in relations}
        if not relations:
            return
        self._renaming.execute(f"SELECT pg_advisory_xact_lock({_KEY})")
        self._renaming.execute(f"SELECT pg_advisory_lock({_START})")
        self._holds_start = True
        limit = sql.Literal(f"{self._timeout_ms}ms")
        asked = []
        for number, session in enumerate(self._sessions):
            share = relations[number :: len(self._sessions)]
            if share:
                # Were sdetl stopped before they are shut, the server itself must let the readers go.
                self._send(
                    session,
                    sql.SQL("BEGIN"),
                    sql.SQL("SET LOCAL idle_in_transaction_session_timeout = '5s'"),
                    sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{_LINING_UP_MS}ms")),
                    sql.SQL(
                        f"SELECT pg_advisory_xact_lock_shared({_START}), set_config('lock_timeout', {{0}}, true), "
                        "set_config('statement_timeout', {0}, true)"
                    ).format(limit),
                    *(relation.locking(schema) for relation in share),
                )
                asked.append(session.info.backend_pid)
        self._wait_until_lined_up(asked)
        self._start()

    def _wait_until_lined_up(self, pids: Sequence[int]) -> None:
        ends = time.monotonic() + _LINED_UP_SECONDS
        while time.monotonic() < ends:
            row = self._renaming.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = ANY(%s)", [pids]
            ).fetchone()
            if row is not None and row[0] == len(pids):
                return
            time.sleep(_LOOK_SECONDS)

    def _start(self) -> None:
        """Let those go that have lined up.  Where the renaming session is gone, its lock is, too."""
        if self._holds_start:
            self._holds_start = False
            with contextlib.suppress(psycopg.Error):
                self._renaming.execute(f"SELECT pg_advisory_unlock({_START})")

    def shut(self) -> None:
        """Wait until all have their locks, and tie them to the renaming transaction.  Raises one of ``REFUSED``, GateLost."""
        self._hear()
        for session in self._sessions:
            if session.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS:
                self._send(
                    session,
                    sql.SQL("SET LOCAL lock_timeout = 0"),
                    sql.SQL("SET LOCAL statement_timeout = 0"),
                    sql.SQL(f"SELECT pg_advisory_xact_lock_shared({_KEY})"),
                    sql.SQL("ROLLBACK"),
                )

    def are_shut(self) -> bool:
        """True while every one of the locks that were asked for is held."""
        row = self._renaming.execute(
            "SELECT count(DISTINCT relation) FROM pg_locks WHERE pid = ANY(%s) AND granted AND relation = ANY(%s::oid[]) "
            "AND mode = 'AccessExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [[session.info.backend_pid for session in self._sessions], list(self._oids)],
        ).fetchone()
        return row is not None and row[0] == len(self._oids)

    def open(self) -> None:
        """Let readers through after an attempt that failed, when the renaming transaction is back at its savepoint."""
        self._start()
        with contextlib.suppress(*REFUSED, GateLost):
            self._hear()
        for session in self._sessions:
            with contextlib.suppress(psycopg.OperationalError):
                if session.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
                    session.execute("ROLLBACK")

    def _send(self, session: psycopg.Connection[Any], *statements: sql.Composable) -> None:
        """Send statements without waiting for what they answer."""
        try:
            pipeline = session.pipeline()
            pipeline.__enter__()
            self._unanswered.append(pipeline)
            for statement in statements:
                session.execute(sql.Composed([statement]))
        except REFUSED:
            raise
        except psycopg.OperationalError as error:
            raise GateLost from error

    def _hear(self) -> None:
        """Wait for all answers."""
        told: list[psycopg.Error] = []
        while self._unanswered:
            try:
                self._unanswered.pop().__exit__(None, None, None)
            except psycopg.Error as error:
                told.append(error)
        lost = [error for error in told if not isinstance(error, REFUSED)]
        if lost and isinstance(lost[0], psycopg.OperationalError):
            raise GateLost from lost[0]
        if told:
            raise (lost or told)[0]


def _free_sessions(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(SESSIONS_LEFT).fetchone()
    return max(0, int(row[0])) if row is not None else 0
