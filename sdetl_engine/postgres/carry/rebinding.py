"""Taking bound objects down and putting them up again, over the tables that bear the name by then.

A materialized view that rests on tables alone is built beforehand under another name, so that its data are computed
before anybody waits; the others are computed when they are put up.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from sdetl_engine.errors import TargetError
from sdetl_engine.postgres.attempt import reason
from sdetl_engine.postgres.carry import comments, grants
from sdetl_engine.postgres.carry.bound import Bound, BoundIndex
from sdetl_engine.postgres.carry.changes import Changes, Target, catalogued
from sdetl_engine.wording import counted

_PASSING = (psycopg.OperationalError, psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable)
"""What says nothing about the object: a lost connection, a lock that somebody else holds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Impossible:
    """A bound object that cannot be put up again, and why."""

    bound: Bound
    why: str

    def __str__(self) -> str:
        return f"{self.bound} ({self.why})"


def cannot_carry(failures: Sequence[Impossible], serving_schema: str) -> TargetError:
    """The refusal that lists them."""
    listed = "; ".join(map(str, failures))
    return TargetError(
        f"{counted(len(failures), 'object')} of other schemas cannot be carried over to the new version of {serving_schema}: "
        + listed,
        left_behind="everything as it was; the version that was live is still live",
        next_step="change or drop them, or keep what they need in the plan; then continue with --resume",
        kind="dependents",
    )


class Rebinding:
    """The bound objects of one switch.  Everything runs in the transaction of the switch."""

    def __init__(self, changes: Changes, serving_schema: str, bound: Sequence[Bound]) -> None:
        self._changes = changes
        self._serving = serving_schema
        self.bound = tuple(bound)
        self._ready: set[tuple[str, int]] = set()

    def prepare(self) -> None:
        """Build under other names the materialized views that rest on tables alone."""
        for bound in self.bound:
            if bound.kind != "MATERIALIZED VIEW" or bound.on_bound:
                continue
            # One that cannot be built is told when all are put up.
            if self._attempt(bound, functools.partial(self._build, bound, _passing_name(bound))) is None:
                self._ready.add(bound.node)

    def take_down(self, locking: Sequence[sql.Composed]) -> None:
        """Lock and drop them, those that rest on others first, right after ``locking`` and in the same message.

        Readers hold some of these locks while they wait for others: the less time between ours, the fewer of them stand
        in between.  Raises TargetError naming what rests on one of them.
        """
        drops = [sql.SQL("DROP {}").format(self._present_name(bound)) for bound in reversed(self.bound)]
        try:
            self._changes.run_at_once([*locking, *drops])
        except psycopg.errors.DependentObjectsStillExist as error:
            why = error.diag.message_detail or "something else rests on them"
            resting = [Impossible(bound, why) for bound in self.bound if f"{bound.schema}.{bound.name}" in why]
            raise cannot_carry(resting or [Impossible(self.bound[0], why)], self._serving) from None

    def put_up(self) -> list[Impossible]:
        """Create them all again with what hangs on them; those that cannot be are returned with the reason."""
        failures = []
        for bound in self.bound:
            why = self._attempt(bound, functools.partial(self._put_up, bound))
            if why is not None:
                failures.append(Impossible(bound, why))
        return failures

    def _attempt(self, bound: Bound, step: Callable[[], None]) -> str | None:
        """Run a step in a savepoint; why PostgreSQL refused it, and then all is as before."""
        connection, kept = self._changes.connection, len(self._changes.statements)
        if not bound.can_be_recreated:
            return "sdetl does not know how to make one"
        connection.execute("SAVEPOINT sdetl_bound")
        try:
            step()
        except _PASSING:
            raise
        except psycopg.Error as error:
            connection.execute("ROLLBACK TO SAVEPOINT sdetl_bound")
            del self._changes.statements[kept:]
            return reason(error)
        connection.execute("RELEASE SAVEPOINT sdetl_bound")
        return None

    def _present_name(self, bound: Bound) -> sql.Composable:
        """Kind and name as they are now: the types of a routine's arguments may have been renamed meanwhile."""
        if bound.kind != "ROUTINE":
            return sql.SQL("{} {}").format(catalogued(bound.kind), sql.Identifier(bound.schema, bound.name))
        row = self._changes.connection.execute("SELECT %s::oid::regprocedure::text", [bound.node[1]]).fetchone()
        assert row is not None
        return sql.SQL("ROUTINE {}").format(catalogued(row[0]))

    def _put_up(self, bound: Bound) -> None:
        if bound.kind == "MATERIALIZED VIEW":
            if bound.node in self._ready:
                self._rename(bound)
            else:
                self._build(bound, bound.name)
        elif bound.kind == "VIEW":
            self._changes.run(_create_view(bound))
        else:
            self._changes.run(catalogued(bound.definition))
        self._equip(bound)

    def _equip(self, bound: Bound) -> None:
        """Owner, grants, comments, triggers and rules."""
        changes, connection = self._changes, self._changes.connection
        if bound.kind != "MATERIALIZED VIEW":
            changes.run(sql.SQL("ALTER {} OWNER TO {}").format(_target(bound).sql, sql.Identifier(bound.owner)))
        oid = self._oid(bound)
        relations, routines = ([], [oid]) if bound.kind == "ROUTINE" else ([oid], [])
        for _ in range(2):  # resetting the rights on a relation takes those on its columns along
            actual = grants.read_rights(connection, relations=relations, routines=routines)
            if not grants.write_rights(changes, {**dict.fromkeys(actual, frozenset()), **bound.rights}, actual):
                break
        comments.write_comments(changes, bound.comments, comments.read_comments(connection, relations))
        for statement in bound.further:
            changes.run(catalogued(statement))

    def _oid(self, bound: Bound) -> int:
        query = (
            "SELECT p.oid::int8 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = %s "
            "AND quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')' = %s"
            if bound.kind == "ROUTINE"
            else "SELECT c.oid::int8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname = %s"
        )
        row = self._changes.connection.execute(query, [bound.schema, bound.name]).fetchone()
        assert row is not None
        return int(row[0])

    def _build(self, bound: Bound, name: str) -> None:
        """A materialized view with its indexes; its owner computes the data, as with REFRESH."""
        changes = self._changes
        view = sql.Identifier(bound.schema, name)
        changes.run(
            sql.SQL("CREATE MATERIALIZED VIEW {}{}{}{} AS {} WITH NO DATA").format(
                view,
                sql.SQL(" USING {}").format(sql.Identifier(bound.method)) if bound.method else sql.SQL(""),
                _options(bound),
                sql.SQL(" TABLESPACE {}").format(sql.Identifier(bound.tablespace)) if bound.tablespace else sql.SQL(""),
                catalogued(bound.definition),
            )
        )
        for number, index in enumerate(bound.indexes):
            changes.run(_index_on(bound, index, name, index.name if name == bound.name else f"{name}_{number}"))
        changes.run(sql.SQL("ALTER MATERIALIZED VIEW {} OWNER TO {}").format(view, sql.Identifier(bound.owner)))
        if bound.populated:
            changes.run(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(view))

    def _rename(self, bound: Bound) -> None:
        passing = _passing_name(bound)
        self._changes.run(
            sql.SQL("ALTER MATERIALIZED VIEW {} RENAME TO {}").format(
                sql.Identifier(bound.schema, passing), sql.Identifier(bound.name)
            )
        )
        for number, index in enumerate(bound.indexes):
            self._changes.run(
                sql.SQL("ALTER INDEX {} RENAME TO {}").format(
                    sql.Identifier(bound.schema, f"{passing}_{number}"), sql.Identifier(index.name)
                )
            )


def _passing_name(bound: Bound) -> str:
    return f"sdetl_{bound.node[1]}"


def _target(bound: Bound) -> Target:
    return Target("ROUTINE" if bound.kind == "ROUTINE" else "TABLE", bound.schema, bound.name)


def _create_view(bound: Bound) -> sql.Composed:
    return sql.SQL("CREATE VIEW {}{} AS {}").format(
        sql.Identifier(bound.schema, bound.name), _options(bound), catalogued(bound.definition)
    )


def _options(bound: Bound) -> sql.Composable:
    return sql.SQL(" WITH ({})").format(catalogued(", ".join(bound.options))) if bound.options else sql.SQL("")


def _index_on(bound: Bound, index: BoundIndex, table: str, name: str) -> sql.Composed:
    """The index's definition, for a relation and under a name that may be others."""
    head, _, rest = index.definition.partition(" USING ")
    unique = sql.SQL("UNIQUE " if head.startswith("CREATE UNIQUE ") else "")
    return sql.SQL("CREATE {}INDEX {} ON {} USING {}").format(
        unique, sql.Identifier(name), sql.Identifier(bound.schema, table), catalogued(rest)
    )
