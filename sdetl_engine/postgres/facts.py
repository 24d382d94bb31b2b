"""What the target is like before anything is done to it: version, rights, the serving schema, what depends on it.

Read-only.  Every missing right comes with the statement that grants it, and no more than it: never membership in
another role, which might be a superuser's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres import registry
from sdetl_engine.postgres.place import place_of_live
from sdetl_engine.postgres.search_paths import obstacles


@dataclasses.dataclass(frozen=True, slots=True)
class Right:
    """Something that the role must be allowed to do.  ``fix`` is the statement that allows it; empty when granted."""

    name: str
    granted: bool
    fix: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class TableSize:
    """A table of the serving schema: rows as estimated by the last ANALYZE (None: never), bytes with indexes."""

    name: str
    rows: int | None
    bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class TargetFacts:
    """What was found.  Texts are for the operator; names are those of PostgreSQL objects, never content."""

    server_version: str
    """As the server spells it, e.g. ``15.20``."""
    server_major: int
    database: str
    user: str
    encoding: str
    in_recovery: bool
    system_identifier: str | None
    """What tells this cluster from every other; None when the role may not read it."""
    connections_left: int
    """How many more sessions the server takes from this role."""
    serving_schema: str
    serving_exists: bool
    live_version: str | None
    """The version that the registry says is live; None when the serving schema is not managed, or not there."""
    tables: tuple[TableSize, ...]
    rights: tuple[Right, ...]
    settings: tuple[str, ...]
    """Sentences about settings that make trouble for other sessions, or for commits."""
    event_triggers: tuple[str, ...]
    """Enabled event triggers: they run on every CREATE and ALTER that sdetl does."""
    dependents: tuple[str, ...]
    """Views and foreign keys in other schemas that point into the serving schema: they follow a renamed schema."""

    @property
    def missing_rights(self) -> tuple[Right, ...]:
        """What has to be granted first."""
        return tuple(right for right in self.rights if not right.granted)

    @property
    def is_managed(self) -> bool:
        """True when the serving schema holds a version that the registry knows."""
        return self.live_version is not None

    @property
    def bytes(self) -> int:
        """Size of the serving schema's tables with their indexes."""
        return sum(table.bytes for table in self.tables)


def target_facts(
    connection: psycopg.Connection[Any], serving_schema: str, led_roles: Sequence[str] = ()
) -> TargetFacts:
    """Ask the target about itself and about what readers read there, without changing anything.

    ``led_roles``: roles whose ``search_path`` the switch will set.

    ``connection`` may be in a transaction; the caller ends it.  Raises psycopg.Error when the connection breaks.
    """
    database, user, encoding, in_recovery, identifier, left = _row(connection, _SERVER)
    live = _live_version(connection, serving_schema)
    place = place_of_live(connection, serving_schema, live) or serving_schema
    owner = _owner(connection, place)
    return TargetFacts(
        server_version=connection.info.parameter_status("server_version") or "?",
        server_major=connection.info.server_version // 10_000,
        database=database,
        user=user,
        encoding=encoding,
        in_recovery=in_recovery,
        system_identifier=identifier,
        connections_left=left,
        serving_schema=serving_schema,
        serving_exists=owner is not None,
        live_version=live,
        tables=tuple(TableSize(*row) for row in connection.execute(_SIZES, [place])),
        rights=(
            *_general_rights(connection, database, user),
            *_schema_rights(connection, place, owner, user),
            *_role_rights(connection, led_roles),
        ),
        settings=_settings(connection),
        event_triggers=_names(connection, "SELECT evtname FROM pg_event_trigger WHERE evtenabled <> 'D' ORDER BY 1"),
        dependents=_names(connection, _DEPENDENTS, place),
    )


# Who may not see what other roles do gets no type of their sessions; background processes have no user.
SESSIONS_LEFT = """
    SELECT least(
        current_setting('max_connections')::int
            - CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int END
            - (SELECT count(*)::int FROM pg_stat_activity
               WHERE usename IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'),
        CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper
             THEN r.rolconnlimit - (SELECT count(*)::int FROM pg_stat_activity WHERE usename = r.rolname) END,
        CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper
             THEN d.datconnlimit - (SELECT count(*)::int FROM pg_stat_activity WHERE datname = d.datname) END)
    FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()
"""
"""How many sessions the role may still open here, by the limits of server, role and database."""

_SERVER = f"""
    SELECT current_database(), current_user, current_setting('server_encoding'), pg_is_in_recovery(),
           CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
                THEN (SELECT system_identifier::text FROM pg_control_system()) END,
           ({SESSIONS_LEFT})
"""

_SIZES = """
    SELECT c.relname, CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END, pg_total_relation_size(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'm')
    ORDER BY c.relname COLLATE "C"
"""

_DEPENDENTS = """
    WITH inside AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s)
    SELECT DISTINCT 'view ' || v.oid::regclass::text
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid IN (SELECT oid FROM inside) AND v.oid NOT IN (SELECT oid FROM inside)
    UNION
    SELECT 'foreign key of ' || f.conrelid::regclass::text
    FROM pg_constraint f
    WHERE f.contype = 'f' AND f.confrelid IN (SELECT oid FROM inside) AND f.conrelid NOT IN (SELECT oid FROM inside)
    ORDER BY 1
"""


def _general_rights(connection: psycopg.Connection[Any], database: str, user: str) -> list[Right]:
    """Creating schemas, and writing the registry where there is one."""
    role, where = sql.Identifier(user), sql.Identifier(database)
    (may_create,) = _row(connection, "SELECT has_database_privilege(current_database(), 'CREATE')")
    grant = sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(where, role)
    rights = [_right(connection, f"create schemas in database {database}", may_create, grant)]
    if _owner(connection, registry.SCHEMA) is not None:
        (may_write,) = _row(connection, _MAY_WRITE_REGISTRY)
        grant = sql.SQL(
            "GRANT USAGE ON SCHEMA sdetl TO {0}; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA sdetl TO {0}"
        ).format(role)
        rights.append(_right(connection, "read and write the registry in schema sdetl", may_write, grant))
    return rights


_MAY_WRITE_REGISTRY = """
    SELECT CASE WHEN NOT has_schema_privilege('sdetl', 'USAGE') THEN false ELSE coalesce(bool_and(
               has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
               AND has_table_privilege(c.oid, 'UPDATE')), true) END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'sdetl' AND c.relkind = 'r'
"""


def _schema_rights(connection: psycopg.Connection[Any], schema: str, owner: str | None, user: str) -> list[Right]:
    """Renaming the serving schema, locking its tables, and dumping it."""
    if owner is None:
        return []
    role, where = sql.Identifier(user), sql.Identifier(schema)
    is_owner, may_use = _row(
        connection, "SELECT pg_has_role(%s::name, 'USAGE'), has_schema_privilege(%s, 'USAGE')", owner, schema
    )
    unlockable, unreadable, hidden = (
        _names(connection, query, schema) for query in (_UNLOCKABLE, _UNREADABLE, _HIDDEN)
    )
    own = sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(where, role)
    lock = sql.SQL("GRANT UPDATE ON ALL TABLES IN SCHEMA {} TO {}").format(where, role)
    use = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(where, role)
    read = sql.SQL(
        "GRANT SELECT ON ALL TABLES IN SCHEMA {0} TO {1}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA {0} TO {1}"
    )
    see_all = sql.SQL("ALTER ROLE {} BYPASSRLS").format(role)
    return [
        _right(connection, f"rename schema {schema} (own it)", is_owner, own),
        _right(connection, f"lock the tables of schema {schema}", not unlockable, lock),
        _right(connection, f"look into schema {schema}", may_use, use),
        _right(connection, f"read every table of schema {schema}", not unreadable, read.format(where, role)),
        _right(connection, f"see every row of schema {schema} (row security)", not hidden, see_all),
    ]


def _role_rights(connection: psycopg.Connection[Any], roles: Sequence[str]) -> list[Right]:
    """Leading readers to the new version."""
    found = {obstacle.role: obstacle for obstacle in obstacles(connection, roles)}
    return [
        Right(
            f"set the search_path of role {role}" + (f" ({found[role].why})" if role in found else ""),
            role not in found,
            found[role].fix if role in found else "",
        )
        for role in roles
    ]


_RELATIONS = """
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN
"""

# LOCK TABLE ... ACCESS EXCLUSIVE asks for UPDATE, DELETE or TRUNCATE; an owner has them.
_UNLOCKABLE = f"""
    SELECT c.relname {_RELATIONS} ('r', 'p')
    AND NOT has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
    ORDER BY 1
"""

_UNREADABLE = f"""
    SELECT c.relname {_RELATIONS} ('r', 'p', 'S', 'm', 'f')
    AND NOT CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
                 ELSE has_table_privilege(c.oid, 'SELECT') END
    ORDER BY 1
"""

_HIDDEN = f"SELECT c.relname {_RELATIONS} ('r', 'p') AND row_security_active(c.oid) ORDER BY 1"


def _right(connection: psycopg.Connection[Any], name: str, granted: bool, fix: sql.Composable) -> Right:
    return Right(name, granted, "" if granted else fix.as_string(connection) + ";")


def _live_version(connection: psycopg.Connection[Any], serving_schema: str) -> str | None:
    if _owner(connection, registry.SCHEMA) is None:
        return None
    (may_look,) = _row(connection, "SELECT has_schema_privilege('sdetl', 'USAGE')")
    if not may_look or not registry.exists(connection):
        return None
    (may_read,) = _row(connection, "SELECT has_table_privilege('sdetl.versions', 'SELECT')")
    live = registry.live_version(connection, serving_schema) if may_read else None
    return live.version if live else None


def _settings(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Values as configured (``reset_val``): sdetl's own session has pinned some of them."""
    rows = connection.execute(
        "SELECT name, reset_val FROM pg_settings WHERE name IN "
        "('default_transaction_read_only', 'statement_timeout', 'synchronous_standby_names', 'fsync')"
    )
    values = dict(rows.fetchall())
    found = []
    if values.get("default_transaction_read_only") == "on":
        found.append("default_transaction_read_only is on: the target is meant for reading; sdetl writes all the same")
    if values.get("statement_timeout", "0") != "0":
        found.append(f"statement_timeout is {values['statement_timeout']} ms: sdetl's sessions set it aside")
    if values.get("synchronous_standby_names"):
        found.append("commits wait for a synchronous standby: if it is away, the cutover waits for it")
    if values.get("fsync") == "off":
        found.append("fsync is off: a power cut can destroy the database")
    return tuple(found)


def _owner(connection: psycopg.Connection[Any], schema: str) -> str | None:
    rows = _names(connection, "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = %s", schema)
    return rows[0] if rows else None


def _names(connection: psycopg.Connection[Any], query: str, *values: object) -> tuple[str, ...]:
    return tuple(row[0] for row in connection.execute(query, values))


def _row(connection: psycopg.Connection[Any], query: str, *values: object) -> Sequence[Any]:
    row: Sequence[Any] | None = connection.execute(query, values).fetchone()
    assert row is not None
    return row
