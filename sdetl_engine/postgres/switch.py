"""Making a version live: lock and rename in one transaction, refused and retried rather than waited for.

Where readers are led by their ``search_path`` the version keeps its own name.  It bears the serving name all the same
while the transaction lasts, so that everything is carried in one way; nobody else ever sees that.

Readers are kept out by gates (``gates.py``), with a ``lock_timeout`` under PostgreSQL's ``deadlock_timeout``: no torn
read, no reader killed.  Renames alone gave torn single-statement reads.

The work is in two parts.  Nobody waits for the first: both renames, which only this transaction sees, and everything
that belongs to the serving schema given to the new version, the registry.  While readers are kept out: what is bound to
the tables put up again, compared, tried as its readers, and the commit.  What a lost connection leaves unknown is
settled by ``pg_xact_status``, never guessed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from sdetl_engine.errors import SdetlError, TargetError
from sdetl_engine.events import Reporter
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.carry import Carried
from sdetl_engine.postgres.carry.belongings import Belongings, give
from sdetl_engine.postgres.carry.bound import Bound, read_bound
from sdetl_engine.postgres.carry.changes import Changes
from sdetl_engine.postgres.carry.grants import Rights
from sdetl_engine.postgres.carry.publications import withdraw
from sdetl_engine.postgres.carry.readers import readings, try_reading
from sdetl_engine.postgres.carry.rebinding import Rebinding, cannot_carry
from sdetl_engine.postgres.commit import flush, was_committed
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.gates import REFUSED as _REFUSED
from sdetl_engine.postgres.gates import Gated, GateLost, Gates
from sdetl_engine.postgres.place import place_of_live
from sdetl_engine.postgres.search_paths import lead, refuse_obstacles, roles_led_to, schemas_of_service
from sdetl_engine.postgres.waiting import end_autovacuum, oldest_snapshot, outlasting_autovacuum, who_blocks
from sdetl_engine.settings import CutoverSettings

Guard = Callable[[psycopg.Connection[Any], str], None]


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
    roles: tuple[str, ...] = ()
    """The roles whose ``search_path`` leads to the version, which then keeps its own name; none: it gets the serving name."""
    guard: Guard | None = None
    """Looks at the version's schema under its lock, before anybody waits; raises SdetlError to refuse the switch."""


@dataclasses.dataclass(frozen=True, slots=True)
class Switched:
    """A switch that was committed.  ``seconds`` from the first try to the reply, ``lock_seconds`` while readers waited."""

    previous_version: str | None
    adopted: bool
    seconds: float
    lock_seconds: float
    attempts: int
    carried: Carried
    led_roles: tuple[str, ...] = ()
    """The roles whose ``search_path`` was set."""


class _TryAgain(Exception):
    """This attempt was refused; the reason names who is in the way."""


class _StartOver(Exception):
    """What was prepared is out of date; the reason says why."""


def rehearse_switch(
    connect: Callable[[], psycopg.Connection[Any]],
    order: SwitchOrder,
    settings: CutoverSettings,
    reporter: Reporter,
) -> tuple[str, str]:
    """The exact SQL of the switch and of the way back, each one transaction: both were carried out, and rolled back.

    The way back is empty where nothing was live.  Raises what ``switch`` raises.
    """
    connection = connect()
    try:
        there = _Switch(connection, connect, order, settings, reporter)
        script, previous = there.rehearse()
        if previous is None:
            return script, ""
        back = dataclasses.replace(
            order,
            to_version=previous,
            expected_live=order.to_version,
            action="rollback",
            guard=None,
            roles=order.roles if there.was_led else (),
        )
        return script, _Switch(connection, connect, back, settings, reporter).rehearse()[0]
    finally:
        connection.rollback()
        connection.close()


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
    made: the version that was live is then still live, whole.  Raises Cancelled between two attempts.
    """
    connection = connect()
    try:
        return _Switch(connection, connect, order, settings, reporter).run(before_commit)
    finally:
        connection.close()


class _Switch:
    """One switch over one connection: attempts until one is committed, or the patience is at its end."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        connect: Callable[[], psycopg.Connection[Any]],
        order: SwitchOrder,
        settings: CutoverSettings,
        reporter: Reporter,
    ) -> None:
        self._connection, self._connect = connection, connect
        self._order, self._settings, self._reporter = order, settings, reporter
        self._began = time.monotonic()
        self._attempts = 0
        self.was_led = False
        """Whether readers were led to the version before by their ``search_path``; known once it was rehearsed."""

    def run(self, before_commit: Callable[[str], None]) -> Switched:
        """Prepare once, then try for the locks; all over again when the first part itself was refused a lock."""
        try:
            while True:
                try:
                    prepared = _Prepared(self._connection, self._order, self._settings)
                    prepared.begin()
                    xid = self._announce(before_commit)
                    return self._try_for_locks(prepared, xid)
                except (*_REFUSED, _StartOver) as refused:
                    self._connection.rollback()
                    blocker = who_blocks(self._connection, self._order.serving_schema, candidate=self._order.to_version)
                    self._connection.rollback()
                    self._pause(str(refused) if isinstance(refused, _StartOver) else blocker)
        except psycopg.Error as error:
            if self._connection.closed:
                raise _not_made(self._order) from None
            self._connection.rollback()
            told = statement_error(error, f"making version {self._order.to_version} live")
            told.left_behind = _still_live(self._order)
            raise told from None
        except BaseException:
            if not self._connection.closed:
                self._connection.rollback()
            raise

    def rehearse(self) -> tuple[str, str | None]:
        """The script of the switch, and what was live before; the transaction is left open."""
        prepared = _Prepared(self._connection, self._order, self._settings)
        try:
            prepared.begin()
            self._connection.execute("SAVEPOINT sdetl_locks")
            while True:
                try:
                    prepared.refuse_old_snapshots()
                    prepared.complete(None)
                except (*_REFUSED, _TryAgain) as refused:
                    self._connection.execute("ROLLBACK TO SAVEPOINT sdetl_locks")
                    self._give_way(refused, prepared)
                    continue
                self.was_led = prepared.was_led
                return prepared.script(), prepared.previous
        except psycopg.Error as error:
            if self._connection.closed:
                raise _not_made(self._order) from None
            raise statement_error(error, f"rehearsing the switch to version {self._order.to_version}") from None

    def _try_for_locks(self, prepared: _Prepared, xid: str) -> Switched:
        self._connection.execute("SAVEPOINT sdetl_locks")
        with Gates(self._connect, self._connection, timeout_ms=self._settings.lock_timeout_ms) as gates:
            while True:
                try:
                    prepared.refuse_old_snapshots()
                    prepared.complete(gates)
                except (*_REFUSED, _TryAgain, GateLost) as refused:
                    self._connection.execute("ROLLBACK TO SAVEPOINT sdetl_locks")
                    gates.open()
                    self._give_way(refused, prepared)
                    continue
                self._commit(xid)
                now = time.monotonic()
                return Switched(
                    prepared.previous,
                    prepared.adopted,
                    now - self._began,
                    now - prepared.locked_at,
                    self._attempts + 1,
                    prepared.carried,
                    prepared.led_roles,
                )

    def _give_way(self, refused: Exception, prepared: _Prepared) -> None:
        """Let everybody through, autovacuum excepted, and wait.  Raises TargetError when it is enough, Cancelled."""
        reason = self._reason(refused, prepared)
        if prepared.previous is not None:
            end_autovacuum(self._connection, prepared.previous)
        self._pause(reason)

    def _reason(self, refused: Exception, prepared: _Prepared) -> str:
        if isinstance(refused, _TryAgain):
            return str(refused)
        if isinstance(refused, GateLost):
            return "a session that was to keep readers out was ended"
        return who_blocks(self._connection, prepared.previous or "", prepared.bound)

    def _announce(self, before_commit: Callable[[str], None]) -> str:
        """The transaction's id, written down before anybody waits."""
        row = self._connection.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert row is not None
        before_commit(str(row[0]))
        return str(row[0])

    def _commit(self, xid: str) -> None:
        """Commit, and wait until it is safe: until then nobody was told, and a crash would leave what was live before."""
        try:
            self._connection.commit()
            flush(self._connection)
            self._connection.commit()
        except psycopg.OperationalError:
            if not was_committed(self._connect, xid, self._order.to_version):
                raise

    def _pause(self, reason: str) -> None:
        """Wait a little, longer every time and never in step with others.  Raises TargetError when it is enough."""
        self._attempts += 1
        spent = time.monotonic() - self._began
        if spent > self._settings.budget_seconds or self._attempts >= self._settings.attempts:
            raise _gave_up(self._order, reason, self._attempts)
        self._reporter.event("SwitchRefused", f"attempt {self._attempts}: {reason}; trying again", level="warning")
        # A statement that one attempt has held up is to be through before the next.
        time.sleep(random.uniform(0.05, 0.05 + min(1.0, 0.05 * self._attempts)))  # noqa: S311 - jitter, not a secret
        self._reporter.check()


class _Prepared:
    """The transaction of a switch: its first part, for which nobody waits, and its second, under the locks."""

    def __init__(self, connection: psycopg.Connection[Any], order: SwitchOrder, settings: CutoverSettings) -> None:
        self._connection, self._order, self._settings = connection, order, settings
        self._changes = Changes(connection)
        self._before: Belongings | None = None
        self._wanted: Belongings | None = None
        self._rebinding: Rebinding | None = None
        self._place: str | None = None
        self._ours: frozenset[str] = frozenset()
        self.previous: str | None = None
        self.adopted = False
        self.carried = Carried()
        self.led_roles: tuple[str, ...] = ()
        self._begun = 0
        self.locked_at = 0.0
        """Since when readers may have waited, by the monotonic clock."""

    @property
    def bound(self) -> tuple[Bound, ...]:
        """What is bound to the serving schema's objects."""
        return self._rebinding.bound if self._rebinding is not None else ()

    @property
    def was_led(self) -> bool:
        """True when readers were led to the version before by their ``search_path``."""
        return self._place not in (None, self._order.serving_schema)

    def begin(self) -> None:
        """Look, rename, give, compare, try the readers, enter into the registry; only this transaction sees it."""
        connection, order = self._connection, self._order
        connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{self._settings.lock_timeout_ms}ms"])
        # Readers are not to wait for the disk: the commit is flushed right behind (``_commit``).
        connection.execute("SET LOCAL synchronous_commit = off")
        # Were sdetl stopped while it holds the locks, the server itself must let the readers go.
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = '5s'")
        # Definitions are read and written with every name qualified.
        connection.execute("SET LOCAL search_path = ''")
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('sdetl switch', 0))")
        live, self._place = _check_order(connection, order)
        self._ours = schemas_of_service(connection, order.serving_schema)
        # Who was led to the version before is led to the new one, wherever that stands.
        self.led_roles = order.roles or (roles_led_to(connection, self._place or "") if self.was_led else ())
        refuse_obstacles(connection, self.led_roles, _still_live(order))
        # Nobody reads the candidate yet: nobody waits behind this.
        with outlasting_autovacuum(connection):
            for statement in _locking(_tables_of(connection, order.to_version), "SHARE"):
                connection.execute(statement)
        if order.guard is not None:
            order.guard(connection, order.to_version)
        # The owners of materialized views compute them under their own policies.
        connection.execute("SET LOCAL row_security = on")
        bound: tuple[Bound, ...] = ()
        if self._place is not None:
            if self.was_led:
                self._changes.run(_renaming(self._place, order.serving_schema))
            with _without_locks(connection):
                self._before = Belongings.read(connection, order.serving_schema)
                bound = read_bound(connection, order.serving_schema)
        self._rename(live)
        if self._before is not None:
            assert self.previous is not None
            for entry in self._before.published:
                withdraw(self._changes, dataclasses.replace(entry, schema=self.previous))
            self._wanted = give(self._changes, self._before, to_new=order.action != "rollback")
            self._rebinding = Rebinding(self._changes, order.serving_schema, bound)
            self._rebinding.prepare()
            self._refuse_different(self._wanted.differences(Belongings.read(connection, order.serving_schema)))
            self._try_readers([self._wanted.rights])
            self.carried = _carried(self._before, self._wanted, bound)
        for statement in registry.entries_of_switch(
            order.action,
            serving_schema=order.serving_schema,
            from_version=self.previous,
            to_version=order.to_version,
            who=order.who,
            run_id=order.run_id,
        ):
            self._changes.run(statement)
        self._begun = len(self._changes.statements)

    def script(self) -> str:
        """What was done, as one transaction for psql."""
        how = f"by the search_path of {', '.join(self.led_roles)}" if self.led_roles else "by renaming"
        head = [
            f"-- sdetl: make {self._order.to_version} live as {self._order.serving_schema}, {how}.",
            "-- One transaction, as it was rehearsed; run it whole, with psql -v ON_ERROR_STOP=1 -f",
            "BEGIN;",
            f"SET LOCAL lock_timeout = '{self._settings.lock_timeout_ms}ms';",
            "SET LOCAL search_path = '';",
            "SELECT pg_advisory_xact_lock(hashtextextended('sdetl switch', 0));",
            self._expectation(),
        ]
        return "\n".join([*head, *(f"{statement.rstrip(';')};" for statement in self._changes.statements), "COMMIT;\n"])

    def _expectation(self) -> str:
        """What must be live when the script begins: the same as when it was written."""
        expected = self._order.expected_live
        live = sql.SQL("(SELECT version FROM sdetl.versions WHERE serving_schema = {} AND status = 'live')").format(
            sql.Literal(self._order.serving_schema)
        )
        block = sql.SQL("BEGIN IF {} IS DISTINCT FROM {} THEN RAISE EXCEPTION USING MESSAGE = {}; END IF; END").format(
            live, sql.Literal(expected), sql.Literal(f"{expected or 'no version'} is not what is live: stop here")
        )
        text = block.as_string(self._connection)
        return sql.SQL("DO {};").format(sql.Literal(text)).as_string(self._connection)

    def complete(self, gates: Gates | None) -> None:
        """Keep readers out, put up what is bound to the tables, and lead the readers.

        Without ``gates`` nobody is kept out: for a rehearsal.  Raises what PostgreSQL raises for a lock, GateLost,
        _TryAgain, _StartOver, and TargetError when the version must not go live.
        """
        del self._changes.statements[self._begun :]
        self.locked_at = time.monotonic()
        if self._rebinding is not None and self._before is not None and self.previous is not None:
            self._replace(self._rebinding, self._before, self.previous, gates)
        if self._order.roles:
            self._changes.run(_renaming(self._order.serving_schema, self._order.to_version))
        lead(
            self._changes,
            self.led_roles,
            self._ours,
            self._order.to_version if self._order.roles else self._order.serving_schema,
        )
        if gates is not None and not gates.are_shut():
            raise GateLost

    def _replace(self, rebinding: Rebinding, before: Belongings, previous: str, gates: Gates | None) -> None:
        """What is bound to the version before goes over to the new one.

        Where readers are led by their ``search_path``, no name changes under them: nothing is locked but what is put up.
        """
        connection = self._connection
        tables = [] if self.was_led else _tables_of(connection, previous)
        for statement in _locking(tables, "ACCESS EXCLUSIVE"):
            self._changes.note(statement)
        own = () if self.was_led or gates is None else self._ask(gates, previous, len(rebinding.bound))
        self.locked_at = time.monotonic()
        rebinding.take_down([relation.locking(previous) for relation in own])
        if gates is not None:
            gates.shut()
        if not before.is_still(connection, previous):
            raise _StartOver(f"somebody changed grants in {previous} meanwhile")
        if rebinding.bound:
            self._put_up(rebinding)

    def _ask(self, gates: Gates, previous: str, bound: int) -> Sequence[Gated]:
        """Have the gates ask for their relations; returns those that this session has to lock by itself.

        These are all where there are no gates, or there is but one lock to be had, and those that it holds already.
        """
        assert self._place is not None
        relations = _gated(self._connection, previous)
        others = [relation for relation, is_ours in relations if not is_ours]
        if len(others) + bound > 1:
            gates.open_sessions(len(others))
            gates.flush()
        if not len(gates):
            others = []
        gates.ask(self._place, others)
        return [relation for relation, _ in relations if relation not in others]

    def refuse_old_snapshots(self) -> None:
        """A REPEATABLE READ session older than the load may see the new version empty.  Raises _TryAgain."""
        reader = oldest_snapshot(self._connection, self._order.to_version)
        if reader is not None:
            raise _TryAgain(f"{reader} reads from a moment before the load and may see the new version empty")

    def _put_up(self, rebinding: Rebinding) -> None:
        """Everything that is bound, compared with what it was, and tried as its readers."""
        failures = rebinding.put_up()
        if failures:
            raise cannot_carry(failures, self._order.serving_schema)
        put_up = {str(b): b.hangs_on_it() for b in read_bound(self._connection, self._order.serving_schema)}
        self._refuse_different([str(b) for b in rebinding.bound if put_up.get(str(b)) != b.hangs_on_it()])
        self._try_readers([b.rights for b in rebinding.bound])

    def _rename(self, live: registry.Version | None) -> None:
        order = self._order
        if self._place is not None:
            self.previous = live.version if live else order.adopt_as
            self.adopted = live is None
            if live is None:
                self._changes.run(
                    registry.entry_of_adoption(self.previous, serving_schema=order.serving_schema, who=order.who)
                )
            self._changes.run(_renaming(order.serving_schema, self.previous))
        self._changes.run(_renaming(order.to_version, order.serving_schema))

    def _refuse_different(self, different: Sequence[str]) -> None:
        serving = self._order.serving_schema
        if different:
            raise TargetError(
                f"version {self._order.to_version} does not have all that {serving} has: "
                + "; ".join(different[:10])
                + (f" (and {len(different) - 10} more)" if len(different) > 10 else ""),
                left_behind=f"the version that was live before is still live in {serving}",
                next_step="make the operator's role a member of the roles that own and grant there, then continue "
                "with --resume",
                kind="not-carried",
            )

    def _try_readers(self, rights: Sequence[Rights]) -> None:
        for reading in readings(rights):
            tried = try_reading(self._connection, reading, rows=0)
            if tried.error is not None:
                raise TargetError(
                    f"role {tried.role} could not read version {self._order.to_version}: {tried.error}",
                    left_behind=f"the version that was live before is still live in {self._order.serving_schema}",
                    next_step="grant the role what it lacks on the version that is live, then continue with --resume",
                    kind="readers",
                )


def _carried(before: Belongings, wanted: Belongings, bound: Sequence[Bound]) -> Carried:
    return Carried(
        grants=sum(
            right.grantee != wanted.owners.get(target) for target, held in wanted.rights.items() for right in held
        ),
        default_privileges=sum(map(len, wanted.defaults.values())),
        comments=len(wanted.comments),
        policies=sum(len(security.policies) for security in wanted.security.values()),
        publications=len(wanted.published),
        dependents=len(bound),
        not_there=before.lost_in(wanted),
    )


def _check_order(connection: psycopg.Connection[Any], order: SwitchOrder) -> tuple[registry.Version | None, str | None]:
    """The live version and the schema that readers read; refuse when either is not as it was when we began."""
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
    place = place_of_live(connection, order.serving_schema, live.version if live is not None else None)
    if live is not None and place == live.version and _schema_exists(connection, order.serving_schema):
        raise TargetError(
            f"version {live.version} is live under its own name, and there is a schema {order.serving_schema} beside it",
            left_behind=_still_live(order),
            next_step=f"sdetl needs the name {order.serving_schema} for as long as the switch lasts: find out who made "
            "that schema, and rename it",
            kind="switch",
        )
    if live is not None and place is None:
        raise TargetError(
            f"the registry says that {live.version} is live, but there is no schema {order.serving_schema}",
            next_step="find out who dropped or renamed it; sdetl restore brings it back from the newest run's backup that has a dump",
            kind="switch",
        )
    return live, place


def _still_live(order: SwitchOrder) -> str:
    return f"{order.expected_live or 'what was there before'} is still live in {order.serving_schema}, whole"


@contextlib.contextmanager
def _without_locks(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """What is read inside leaves no lock behind; PostgreSQL locks the tables of a view whose definition it writes."""
    connection.execute("SAVEPOINT sdetl_look")
    yield
    connection.execute("ROLLBACK TO SAVEPOINT sdetl_look")
    connection.execute("RELEASE SAVEPOINT sdetl_look")


def _gated(connection: psycopg.Connection[Any], schema: str) -> list[tuple[Gated, bool]]:
    """What readers find in the schema, and whether this session holds a lock on it; without views that the role may
    not alter."""
    rows = connection.execute(
        """
        SELECT c.oid, c.relkind::text, c.relname, pg_get_userbyid(c.relowner), EXISTS (
                 SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.relation = c.oid AND l.granted)
        FROM pg_class c
        WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
          AND (c.relkind IN ('r', 'p') AND NOT c.relispartition
               OR c.relkind IN ('v', 'm') AND pg_has_role(c.relowner, 'USAGE'))
        ORDER BY c.relname
        """,
        [schema],
    ).fetchall()
    return [(Gated(oid, kind, name, owner), ours) for oid, kind, name, owner, ours in rows]


def _tables_of(connection: psycopg.Connection[Any], schema: str) -> list[sql.Identifier]:
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) "
        "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname",
        [schema],
    ).fetchall()
    return [sql.Identifier(schema, name) for (name,) in rows]


def _locking(relations: Sequence[sql.Identifier], mode: LiteralString) -> list[sql.Composed]:
    """The statement that locks them, in the order given, which is the same for everybody; none where there are none."""
    if not relations:
        return []
    return [sql.SQL("LOCK TABLE {} IN {} MODE").format(sql.SQL(", ").join(relations), sql.SQL(mode))]


def rename_schema(connection: psycopg.Connection[Any], name: str, to: str) -> None:
    """``ALTER SCHEMA name RENAME TO to``."""
    connection.execute(_renaming(name, to))


def _renaming(name: str, to: str) -> sql.Composed:
    return sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))


def _schema_exists(connection: psycopg.Connection[Any], name: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [name]).fetchone() is not None


def _not_made(order: SwitchOrder) -> TargetError:
    return TargetError(
        f"the connection was lost while version {order.to_version} was being made live; it was not",
        left_behind=f"the version that was live before is still live in {order.serving_schema}",
        next_step="when the server answers again, continue with --resume",
        kind="switch",
    )


def _gave_up(order: SwitchOrder, reason: str, attempts: int) -> SdetlError:
    return TargetError(
        f"version {order.to_version} was not made live after {attempts} attempts: {reason}",
        left_behind=_still_live(order),
        next_step="wait until that session has ended, then continue with --resume",
        kind="switch",
    )
