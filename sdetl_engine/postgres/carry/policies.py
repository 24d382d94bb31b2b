"""Row-level security: whether it is on for a table, and its policies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.carry.changes import Changes, Target, catalogued, role_sql

_COMMANDS = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "*": "ALL"}


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """One policy.  ``using`` and ``check`` are expressions as PostgreSQL writes them; no role stands for PUBLIC."""

    name: str
    permissive: bool
    command: str
    roles: tuple[str, ...]
    using: str | None
    check: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class RowSecurity:
    """Row-level security of one table."""

    enabled: bool = False
    forced: bool = False
    policies: frozenset[Policy] = frozenset()


Securities = Mapping[Target, RowSecurity]


def read_security(connection: psycopg.Connection[Any], relations: Sequence[int]) -> Securities:
    """Row-level security of those tables."""
    tables = connection.execute(
        "SELECT c.oid, n.nspname, c.relname, c.relrowsecurity, c.relforcerowsecurity "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.oid = ANY(%s::oid[]) AND c.relkind IN ('r', 'p')",
        [list(relations)],
    ).fetchall()
    rows = connection.execute(
        """
        SELECT p.polrelid, p.polname, p.polpermissive, p.polcmd::text,
               ARRAY(SELECT rolname::text FROM pg_roles WHERE oid = ANY(p.polroles) ORDER BY 1),
               pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
        FROM pg_policy p WHERE p.polrelid = ANY(%s::oid[])
        """,
        [list(relations)],
    ).fetchall()
    policies: dict[int, set[Policy]] = {}
    for table, name, permissive, command, roles, using, check in rows:
        policy = Policy(name, permissive, _COMMANDS[command], tuple(roles), using, check)
        policies.setdefault(table, set()).add(policy)
    return {
        Target("TABLE", schema, name): RowSecurity(enabled, forced, frozenset(policies.get(oid, ())))
        for oid, schema, name, enabled, forced in tables
    }


def write_security(changes: Changes, wanted: Securities, actual: Securities) -> None:
    """Make row-level security of every target just that."""
    for target in sorted(wanted):
        want, have = wanted[target], actual.get(target, RowSecurity())
        for policy in sorted(have.policies - want.policies, key=str):
            changes.run(sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(policy.name), _table(target)))
        for policy in sorted(want.policies - have.policies, key=str):
            changes.run(_create(policy, target))
        if want.enabled != have.enabled:
            _alter(changes, target, "ENABLE" if want.enabled else "DISABLE")
        if want.forced != have.forced:
            _alter(changes, target, "FORCE" if want.forced else "NO FORCE")


def _create(policy: Policy, target: Target) -> sql.Composed:
    parts: list[sql.Composable] = [
        sql.SQL("CREATE POLICY {} ON {} AS {} FOR {} TO {}").format(
            sql.Identifier(policy.name),
            _table(target),
            sql.SQL("PERMISSIVE" if policy.permissive else "RESTRICTIVE"),
            catalogued(policy.command),
            sql.SQL(", ").join(role_sql(role) for role in policy.roles or (None,)),
        )
    ]
    if policy.using is not None:
        parts.append(sql.SQL("USING ({})").format(catalogued(policy.using)))
    if policy.check is not None:
        parts.append(sql.SQL("WITH CHECK ({})").format(catalogued(policy.check)))
    return sql.SQL(" ").join(parts)


def _alter(changes: Changes, target: Target, word: str) -> None:
    changes.run(sql.SQL("ALTER TABLE {} {} ROW LEVEL SECURITY").format(_table(target), catalogued(word)))


def _table(target: Target) -> sql.Identifier:
    return sql.Identifier(target.schema, target.name)
