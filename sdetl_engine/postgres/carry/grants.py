"""Owners, grants and default privileges: read as they are, and made to be exactly what they were elsewhere.

Who granted what is not kept: every right comes from the owner afterwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.carry.changes import Changes, Target, catalogued, role_sql


@dataclasses.dataclass(frozen=True, slots=True)
class Right:
    """One privilege of one grantee (None: PUBLIC).  The owner's own rights are among them."""

    grantee: str | None
    privilege: str
    grantable: bool = False


Rights = Mapping[Target, frozenset[Right]]
Owners = Mapping[Target, str]

_KINDS = "CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END"
_RELATIONS = f"""
    SELECT {_KINDS}, n.nspname, c.relname, '', a.grantee, a.privilege_type, a.is_grantable
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
         aclexplode(coalesce(c.relacl, acldefault((CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner))) a
    WHERE c.oid = ANY(%(relations)s::oid[])
"""
_COLUMNS = """
    SELECT 'TABLE', n.nspname, c.relname, t.attname, a.grantee, a.privilege_type, a.is_grantable
    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
         aclexplode(t.attacl) a
    WHERE c.oid = ANY(%(relations)s::oid[]) AND NOT t.attisdropped AND t.attnum > 0
"""
_ROUTINES = """
    SELECT 'ROUTINE', n.nspname, quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')', '',
           a.grantee, a.privilege_type, a.is_grantable
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace,
         aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    WHERE p.oid = ANY(%(routines)s::oid[])
"""
_SCHEMAS = """
    SELECT 'SCHEMA', n.nspname, '', '', a.grantee, a.privilege_type, a.is_grantable
    FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
    WHERE n.nspname = ANY(%(schemas)s)
"""


def read_rights(
    connection: psycopg.Connection[Any],
    *,
    schemas: Sequence[str] = (),
    relations: Sequence[int] = (),
    routines: Sequence[int] = (),
) -> Rights:
    """Every right on those schemas (by name), relations with their columns, and routines (by oid)."""
    rows = connection.execute(
        "SELECT * FROM ("
        + " UNION ALL ".join((_SCHEMAS, _RELATIONS, _COLUMNS, _ROUTINES))
        + ") AS found (kind, schema, name, col, grantee, privilege, grantable)",
        {"schemas": list(schemas), "relations": list(relations), "routines": list(routines)},
    ).fetchall()
    names = _role_names(connection, {row[4] for row in rows})
    strongest: dict[Target, dict[tuple[str | None, str], bool]] = {}
    for kind, schema, name, column, grantee, privilege, grantable in rows:
        held = strongest.setdefault(Target(kind, schema, name, column), {})
        key = (names[grantee], privilege)
        held[key] = held.get(key, False) or grantable
    return {
        target: frozenset(Right(grantee, privilege, option) for (grantee, privilege), option in held.items())
        for target, held in strongest.items()
    }


def _role_names(connection: psycopg.Connection[Any], oids: Collection[int]) -> dict[int, str | None]:
    rows = connection.execute("SELECT oid, rolname FROM pg_roles WHERE oid = ANY(%s::oid[])", [list(oids)]).fetchall()
    return {0: None, **dict(rows)}


def write_rights(changes: Changes, wanted: Rights, actual: Rights) -> bool:
    """Make the rights on every target of ``wanted`` just those; True when rights on columns may have gone with them."""
    was_reset = False
    for target in sorted(wanted, key=lambda t: (bool(t.column), t)):
        here = actual.get(target, frozenset())
        if here - wanted[target]:
            was_reset = was_reset or not target.column
            for grantee in sorted({right.grantee for right in here}, key=str):
                what = sql.SQL("ALL PRIVILEGES{}").format(_of_column(target))
                changes.run(sql.SQL("REVOKE {} ON {} FROM {} CASCADE").format(what, target.sql, role_sql(grantee)))
            here = frozenset()
        for right in sorted(wanted[target] - here, key=str):
            what = sql.SQL("{}{}").format(catalogued(right.privilege), _of_column(target))
            changes.run(
                sql.SQL("GRANT {} ON {} TO {}{}").format(
                    what, target.sql, role_sql(right.grantee), _option(right.grantable)
                )
            )
    return was_reset


def _of_column(target: Target) -> sql.Composable:
    return sql.SQL(" ({})").format(sql.Identifier(target.column)) if target.column else sql.SQL("")


def _option(grantable: bool) -> sql.SQL:
    return sql.SQL(" WITH GRANT OPTION") if grantable else sql.SQL("")


def read_owners(connection: psycopg.Connection[Any], schema: str, relations: Sequence[int]) -> Owners:
    """The owners of a schema and of relations in it; what belongs to a table (sequences of its columns) goes with it."""
    rows = connection.execute(
        f"""
        SELECT 'SCHEMA', '', pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = %(schema)s
        UNION ALL
        SELECT {_KINDS}, c.relname, pg_get_userbyid(c.relowner) FROM pg_class c
        WHERE c.oid = ANY(%(relations)s::oid[]) AND NOT EXISTS (
            SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
              AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i'))
        """,
        {"schema": schema, "relations": list(relations)},
    ).fetchall()
    return {Target(kind, schema, name): owner for kind, name, owner in rows}


def write_owners(changes: Changes, wanted: Owners, actual: Owners) -> None:
    """Give every target of ``wanted`` its owner."""
    for target, owner in wanted.items():
        if actual.get(target) != owner:
            changes.run(sql.SQL("ALTER {} OWNER TO {}").format(target.sql, sql.Identifier(owner)))


@dataclasses.dataclass(frozen=True, slots=True)
class DefaultsOf:
    """What a role's new objects of one kind (``TABLES``, ``SEQUENCES`` ...) in one schema are granted."""

    role: str
    schema: str
    kind: str

    def __str__(self) -> str:
        return f"default privileges of role {self.role} on {self.kind.lower()} in schema {self.schema}"


DefaultRights = Mapping[DefaultsOf, frozenset[Right]]
_WORDS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES"}


def read_defaults(connection: psycopg.Connection[Any], schema: str) -> DefaultRights:
    """The default privileges of a schema."""
    rows = connection.execute(
        """
        SELECT pg_get_userbyid(d.defaclrole), d.defaclobjtype::text, a.grantee, a.privilege_type, a.is_grantable
        FROM pg_default_acl d JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
        WHERE n.nspname = %s
        """,
        [schema],
    ).fetchall()
    names = _role_names(connection, {row[2] for row in rows})
    found: dict[DefaultsOf, set[Right]] = {}
    for role, kind, grantee, privilege, grantable in rows:
        key = DefaultsOf(role, schema, _WORDS[kind])
        found.setdefault(key, set()).add(Right(names[grantee], privilege, grantable))
    return {key: frozenset(rights) for key, rights in found.items()}


def write_defaults(changes: Changes, wanted: DefaultRights, actual: DefaultRights) -> None:
    """Make the default privileges of the schema just those."""
    for key in sorted({*wanted, *actual}, key=str):
        want, have = wanted.get(key, frozenset()), actual.get(key, frozenset())
        for right in sorted(have - want, key=str):
            _alter_default(changes, key, "REVOKE {} ON {} FROM {}", right, grantable=False)
        for right in sorted(want - have, key=str):
            _alter_default(changes, key, "GRANT {} ON {} TO {}", right, grantable=right.grantable)


def _alter_default(changes: Changes, key: DefaultsOf, form: str, right: Right, *, grantable: bool) -> None:
    change = catalogued(form).format(catalogued(right.privilege), catalogued(key.kind), role_sql(right.grantee))
    changes.run(
        sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} {}{}").format(
            sql.Identifier(key.role), sql.Identifier(key.schema), change, _option(grantable)
        )
    )
