"""What a rename does not carry: owner, grants, default privileges and comments of the serving schema.

They belong to the old schema object and would stay with it.  ``carry_over`` puts the same on the candidate,
inside the transaction that switches; objects are matched by name.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import psycopg
from psycopg import sql


@dataclasses.dataclass(frozen=True, slots=True)
class Carried:
    """How many of each were put on the candidate, and which objects the candidate does not have."""

    grants: int = 0
    default_privileges: int = 0
    comments: int = 0
    not_there: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Dependent:
    """Something outside the serving schema that is bound to its tables and would stay with the old version."""

    kind: str
    name: str


def carry_over(connection: psycopg.Connection[Any], live: str, candidate: str) -> Carried:
    """Give schema ``candidate`` and what is in it the owner, grants, default privileges and comments of ``live``."""
    _carry_owner(connection, live, candidate)
    grants, not_there = _carry_grants(connection, live, candidate)
    defaults = _carry_default_privileges(connection, live, candidate)
    comments = _carry_comments(connection, live, candidate)
    return Carried(grants, defaults, comments, not_there)


def dependents(connection: psycopg.Connection[Any], schema: str) -> tuple[Dependent, ...]:
    """Views, materialized views and foreign keys of other schemas that are bound to tables of ``schema``."""
    rows = connection.execute(
        """
        SELECT DISTINCT CASE v.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END AS kind,
               format('%%I.%%I', vn.nspname, v.relname) AS name
        FROM pg_class t
        JOIN pg_namespace tn ON tn.oid = t.relnamespace AND tn.nspname = %(schema)s
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
             AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite r ON r.oid = d.objid
        JOIN pg_class v ON v.oid = r.ev_class AND v.relnamespace <> t.relnamespace
        JOIN pg_namespace vn ON vn.oid = v.relnamespace
        UNION
        SELECT 'foreign key', format('%%I.%%I (%%I)', cn.nspname, c.relname, k.conname)
        FROM pg_constraint k
        JOIN pg_class t ON t.oid = k.confrelid
        JOIN pg_namespace tn ON tn.oid = t.relnamespace AND tn.nspname = %(schema)s
        JOIN pg_class c ON c.oid = k.conrelid AND c.relnamespace <> t.relnamespace
        JOIN pg_namespace cn ON cn.oid = c.relnamespace
        WHERE k.contype = 'f'
        ORDER BY 1, 2
        """,
        {"schema": schema},
    ).fetchall()
    return tuple(Dependent(kind, name) for kind, name in rows)


def missing_in(connection: psycopg.Connection[Any], live: str, candidate: str) -> tuple[Dependent, ...]:
    """Tables, views and functions that readers of ``live`` find there and would not find in ``candidate``."""
    rows = connection.execute(
        """
        SELECT CASE WHEN relkind IN ('v', 'm') THEN 'view' ELSE 'table' END, relname::text
        FROM pg_class WHERE relnamespace = to_regnamespace(%(live)s)
          AND relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT relispartition
          AND relname NOT IN (SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%(candidate)s))
        UNION ALL
        SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = to_regnamespace(%(live)s)
          AND proname NOT IN (SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace(%(candidate)s))
        ORDER BY 1, 2
        """,
        {"live": _regname(live), "candidate": _regname(candidate)},
    ).fetchall()
    return tuple(Dependent(kind, name) for kind, name in rows)


def _carry_owner(connection: psycopg.Connection[Any], live: str, candidate: str) -> None:
    row = connection.execute(
        """
        SELECT pg_get_userbyid(l.nspowner), l.nspowner = c.nspowner
        FROM pg_namespace l, pg_namespace c WHERE l.nspname = %s AND c.nspname = %s
        """,
        [live, candidate],
    ).fetchone()
    if row is not None and not row[1]:
        connection.execute(
            sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(candidate), sql.Identifier(row[0]))
        )
    owners = connection.execute(
        """
        SELECT c.relname, pg_get_userbyid(l.relowner)
        FROM pg_class l JOIN pg_class c ON c.relname = l.relname
        WHERE l.relnamespace = to_regnamespace(%s) AND c.relnamespace = to_regnamespace(%s)
          AND l.relkind IN ('r', 'p') AND c.relkind IN ('r', 'p') AND l.relowner <> c.relowner
        """,
        [_regname(live), _regname(candidate)],
    ).fetchall()
    for table, owner in owners:
        connection.execute(
            sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(candidate, table), sql.Identifier(owner))
        )


_GRANTS = """
    SELECT 'SCHEMA' AS kind, NULL::text AS object, NULL::text AS column, a.grantee, a.privilege_type, a.is_grantable
    FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = %(live)s AND a.grantee <> n.nspowner
    UNION ALL
    SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.relname, NULL, a.grantee, a.privilege_type, a.is_grantable
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
    WHERE n.nspname = %(live)s AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND a.grantee <> c.relowner
    UNION ALL
    SELECT 'COLUMN', c.relname, t.attname, a.grantee, a.privilege_type, a.is_grantable
    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
         aclexplode(t.attacl) a
    WHERE n.nspname = %(live)s AND NOT t.attisdropped AND a.grantee <> c.relowner
"""


def _carry_grants(connection: psycopg.Connection[Any], live: str, candidate: str) -> tuple[int, tuple[str, ...]]:
    rows = connection.execute(
        f"""
        SELECT g.kind, g.object, g."column", pg_get_userbyid(g.grantee), g.grantee = 0, g.privilege_type, g.is_grantable,
               CASE g.kind
                   WHEN 'SCHEMA' THEN true
                   WHEN 'COLUMN' THEN EXISTS (SELECT FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
                       JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %(candidate)s
                       AND c.relname = g.object AND t.attname = g."column" AND NOT t.attisdropped)
                   ELSE EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname = %(candidate)s AND c.relname = g.object)
               END
        FROM ({_GRANTS}) g
        """,
        {"live": live, "candidate": candidate},
    ).fetchall()
    missing = set()
    for kind, object_name, column, grantee, is_public, privilege, grantable, is_there in rows:
        if not is_there:
            missing.add(f"{object_name}.{column}" if column else str(object_name))
            continue
        connection.execute(
            _grant(candidate, kind, object_name, column, None if is_public else grantee, privilege, grantable)
        )
    return sum(1 for row in rows if row[7]), tuple(sorted(missing))


def _grant(
    schema: str, kind: str, name: str | None, column: str | None, grantee: str | None, privilege: str, grantable: bool
) -> sql.Composed:
    if kind == "SCHEMA":
        target = sql.SQL("SCHEMA {}").format(sql.Identifier(schema))
    else:
        word = sql.SQL("SEQUENCE" if kind == "SEQUENCE" else "TABLE")
        target = sql.SQL("{} {}").format(word, sql.Identifier(schema, name or ""))
    what = sql.SQL(privilege)  # a privilege keyword out of PostgreSQL's own catalogue
    if column is not None:
        what = sql.SQL("{} ({})").format(what, sql.Identifier(column))  # type: ignore[assignment]
    role = sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee)
    option = sql.SQL(" WITH GRANT OPTION") if grantable else sql.SQL("")
    return sql.SQL("GRANT {} ON {} TO {}{}").format(what, target, role, option)


def _carry_default_privileges(connection: psycopg.Connection[Any], live: str, candidate: str) -> int:
    rows = connection.execute(
        """
        SELECT pg_get_userbyid(d.defaclrole), d.defaclobjtype::text, pg_get_userbyid(a.grantee), a.grantee = 0,
               a.privilege_type, a.is_grantable
        FROM pg_default_acl d, aclexplode(d.defaclacl) a
        WHERE d.defaclnamespace = to_regnamespace(%s) AND a.grantee <> d.defaclrole
        """,
        [_regname(live)],
    ).fetchall()
    words = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES"}
    for owner, kind, grantee, is_public, privilege, grantable in rows:
        connection.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT {} ON {} TO {}{}").format(
                sql.Identifier(owner),
                sql.Identifier(candidate),
                sql.SQL(privilege),
                sql.SQL(words[kind]),
                sql.SQL("PUBLIC") if is_public else sql.Identifier(grantee),
                sql.SQL(" WITH GRANT OPTION") if grantable else sql.SQL(""),
            )
        )
    return len(rows)


def _carry_comments(connection: psycopg.Connection[Any], live: str, candidate: str) -> int:
    """Comments of tables and columns.  The schema's own comment is sdetl's mark of ownership and stays."""
    rows = connection.execute(
        """
        SELECT l.relname, t.attname, d.description
        FROM pg_description d
        JOIN pg_class l ON l.oid = d.objoid AND d.classoid = 'pg_class'::regclass AND l.relkind IN ('r', 'p')
        LEFT JOIN pg_attribute t ON t.attrelid = l.oid AND t.attnum = d.objsubid AND d.objsubid > 0
        WHERE l.relnamespace = to_regnamespace(%(live)s)
          AND EXISTS (SELECT FROM pg_class c LEFT JOIN pg_attribute ct ON ct.attrelid = c.oid AND ct.attname = t.attname
                      WHERE c.relnamespace = to_regnamespace(%(candidate)s) AND c.relname = l.relname
                        AND (t.attname IS NULL OR ct.attname IS NOT NULL)
                        AND obj_description(c.oid) IS NOT DISTINCT FROM NULL)
        """,
        {"live": _regname(live), "candidate": _regname(candidate)},
    ).fetchall()
    for table, column, text in rows:
        what = (
            sql.SQL("TABLE {}").format(sql.Identifier(candidate, table))
            if column is None
            else sql.SQL("COLUMN {}").format(sql.Identifier(candidate, table, column))
        )
        connection.execute(sql.SQL("COMMENT ON {} IS {}").format(what, sql.Literal(text)))
    return len(rows)


def _regname(schema: str) -> str:
    """The schema's name as ``to_regnamespace`` wants it: quoted."""
    return '"' + schema.replace('"', '""') + '"'
