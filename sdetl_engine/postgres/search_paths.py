"""The ``search_path`` of roles in one database: what new sessions of theirs will find a name in, read and changed.

A setting of a role reaches the sessions that begin after it was committed; those that are open keep what they have.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.errors import TargetError
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.carry.changes import Changes

Path = tuple[str, ...]
"""Schemas in the order in which they are looked into."""

_DEFAULT: Path = ("$user", "public")
_PART = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')
_SETTINGS = """
    SELECT r.rolname, s.setting
    FROM unnest(%(roles)s::text[]) AS wanted (name) JOIN pg_roles r ON r.rolname = wanted.name
    LEFT JOIN LATERAL (
        SELECT split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS setting
        FROM pg_db_role_setting d, unnest(d.setconfig) AS c
        WHERE d.setrole IN (r.oid, 0)
          AND d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
          AND split_part(c, '=', 1) = 'search_path'
        ORDER BY (d.setrole <> 0) DESC, (d.setdatabase <> 0) DESC LIMIT 1
    ) s ON true
"""
_WITH_SETTING = """
    SELECT DISTINCT r.rolname FROM pg_db_role_setting d JOIN pg_roles r ON r.oid = d.setrole, unnest(d.setconfig) AS c
    WHERE d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND split_part(c, '=', 1) = 'search_path'
"""


def read_paths(connection: psycopg.Connection[Any], roles: Collection[str]) -> dict[str, Path]:
    """What new sessions of those roles get in this database; roles that do not exist are left out."""
    rows = connection.execute(_SETTINGS, {"roles": list(roles)}).fetchall()
    return {role: parsed(setting) if setting is not None else _DEFAULT for role, setting in rows}


def roles_led_to(connection: psycopg.Connection[Any], schema: str) -> tuple[str, ...]:
    """The roles whose own setting names the schema, in order."""
    rows = connection.execute(_WITH_SETTING).fetchall()
    paths = read_paths(connection, [role for (role,) in rows])
    return tuple(sorted(role for role, path in paths.items() if schema in path))


def parsed(setting: str) -> Path:
    """A ``search_path`` as PostgreSQL writes it, taken apart."""
    return tuple(
        quoted.replace('""', '"') if quoted or not bare else bare.lower()
        for quoted, bare in (match.groups(default="") for match in _PART.finditer(setting))
        if quoted or bare
    )


def spelled(path: Path) -> str:
    """The value that ``set_config`` takes."""
    return ", ".join('"' + schema.replace('"', '""') + '"' for schema in path)


def led(path: Path, ours: Collection[str], to: str) -> Path:
    """The path with ``to`` where the first of ``ours`` was, the others of them left out; in front where there was none."""
    places = [place for place, schema in enumerate(path) if schema in ours or schema == to]
    rest = [schema for schema in path if schema not in ours and schema != to]
    at = sum(schema not in ours and schema != to for schema in path[: places[0]]) if places else 0
    return (*rest[:at], to, *rest[at:])


def schemas_of_service(connection: psycopg.Connection[Any], serving_schema: str) -> frozenset[str]:
    """The names under which a version of it may stand: the serving name, and every version's own."""
    known = registry.all_versions(connection, serving_schema) if registry.exists(connection) else []
    return frozenset({serving_schema, *(version.version for version in known)})


def lead(changes: Changes, roles: Sequence[str], ours: Collection[str], to: str) -> None:
    """Let new sessions of those roles find the tables of ``to``, in this database alone."""
    connection = changes.connection
    paths = read_paths(connection, roles)
    for role in sorted(paths):
        changes.run(_setting(connection.info.dbname, role, led(paths[role], ours, to)))


def _setting(database: str, role: str, path: Path) -> sql.Composed:
    return sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}").format(
        sql.Identifier(role), sql.Identifier(database), sql.SQL(", ").join(map(sql.Identifier, path))
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Obstacle:
    """Why the ``search_path`` of a role cannot be set, and what to do about it."""

    role: str
    why: str
    fix: str


def obstacles(connection: psycopg.Connection[Any], roles: Sequence[str]) -> tuple[Obstacle, ...]:
    """What stands in the way of setting the ``search_path`` of those roles: one of each at most."""
    found = []
    facts = _facts(connection, roles)
    (me, is_superuser, may_create_roles) = _me(connection)
    has_admin_option = connection.info.server_version >= 160_000
    for role in roles:
        known = facts.get(role)
        operator, name = (sql.Identifier(word).as_string(connection) for word in (me, role))
        if known is None:
            found.append(Obstacle(role, "there is no such role", f"CREATE ROLE {name}, or correct cutover.roles"))
        elif is_superuser or role == me:
            continue
        elif known[0]:
            why = "it is a superuser, whose settings only a superuser may change"
            found.append(Obstacle(role, why, "let dashboards log in as a role with few rights"))
        elif not may_create_roles or (has_admin_option and not known[1]):
            grants = [] if may_create_roles else [f"ALTER ROLE {operator} CREATEROLE"]
            grants += [f"GRANT {name} TO {operator} WITH ADMIN OPTION"] if has_admin_option and not known[1] else []
            found.append(Obstacle(role, f"role {me} may not change its settings", "; ".join(grants) + ";"))
    return tuple(found)


def refuse_obstacles(connection: psycopg.Connection[Any], roles: Sequence[str], left_behind: str) -> None:
    """Raise TargetError naming every role whose ``search_path`` cannot be set, with the statement that allows it."""
    found = obstacles(connection, roles)
    if found:
        raise TargetError(
            "; ".join(f"the search_path of role {o.role} cannot be set: {o.why}" for o in found),
            left_behind=left_behind,
            next_step="; ".join(o.fix.rstrip(";") for o in found) + "; then continue with --resume",
            kind="roles",
        )


def _me(connection: psycopg.Connection[Any]) -> tuple[str, bool, bool]:
    row = connection.execute(
        "SELECT rolname, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def _facts(connection: psycopg.Connection[Any], roles: Sequence[str]) -> Mapping[str, tuple[bool, bool]]:
    """Of each role that exists: is it a superuser, and may we administer it?"""
    rows = connection.execute(
        "SELECT rolname, rolsuper, pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION') FROM pg_roles "
        "WHERE rolname = ANY(%s)",
        [list(roles)],
    ).fetchall()
    return {role: (is_superuser, may) for role, is_superuser, may in rows}


def logins_that_read(connection: psycopg.Connection[Any], schema: str) -> tuple[str, ...]:
    """The roles that can log in and may read something in the schema, but for superusers, its owner and ourselves."""
    rows = connection.execute(
        """
        SELECT r.rolname FROM pg_roles r, pg_namespace n
        WHERE n.nspname = %s AND r.rolcanlogin AND NOT r.rolsuper AND r.rolname <> current_user AND r.oid <> n.nspowner
          AND has_schema_privilege(r.oid, n.oid, 'USAGE')
          AND has_database_privilege(r.oid, current_database(), 'CONNECT')
          AND EXISTS (
              SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm')
                AND (has_table_privilege(r.oid, c.oid, 'SELECT') OR has_any_column_privilege(r.oid, c.oid, 'SELECT')))
        ORDER BY r.rolname
        """,
        [schema],
    ).fetchall()
    return tuple(role for (role,) in rows)
