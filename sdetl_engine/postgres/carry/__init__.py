"""What a rename does not carry, and the switch therefore must: what belongs to the schema (``belongings``), and what
in other schemas is bound to its objects (``bound``, ``rebinding``).  ``readers`` tries the result as the readers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import psycopg

from sdetl_engine.postgres.carry.bound import Bound, read_bound

__all__ = ["Bound", "Carried", "Dependent", "dependents", "left_behind", "missing_in", "naming_in_text", "read_bound"]


@dataclasses.dataclass(frozen=True, slots=True)
class Carried:
    """How many of each the new version has been given, and which objects that had some it does not have."""

    grants: int = 0
    default_privileges: int = 0
    comments: int = 0
    policies: int = 0
    publications: int = 0
    dependents: int = 0
    not_there: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Dependent:
    """Something outside the serving schema that is bound to its objects."""

    kind: str
    name: str


def dependents(connection: psycopg.Connection[Any], schema: str) -> tuple[Dependent, ...]:
    """Everything of other schemas that is bound to objects of ``schema``, directly or through others."""
    bound = read_bound(connection, schema)
    carried = [Dependent("function" if b.kind == "ROUTINE" else b.kind.lower(), f"{b.schema}.{b.name}") for b in bound]
    return tuple(sorted((*carried, *left_behind(connection, schema, bound)), key=lambda d: (d.kind, d.name)))


def left_behind(
    connection: psycopg.Connection[Any], schema: str, bound: Sequence[Bound] | None = None
) -> tuple[Dependent, ...]:
    """What of it a switch does not carry and leaves with the old version: foreign keys, defaults, columns of a row type."""
    carried = read_bound(connection, schema) if bound is None else bound
    rows = connection.execute(
        """
        WITH inside AS (
            SELECT 'pg_class'::regclass AS class, oid FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%(s)s))
            UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace = to_regnamespace(quote_ident(%(s)s))
            UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident(%(s)s))
        )
        SELECT DISTINCT o.type, o.identity
        FROM pg_depend d JOIN inside i ON i.class = d.refclassid AND i.oid = d.refobjid,
             pg_identify_object(d.classid, d.objid, d.objsubid) o
        WHERE d.classid NOT IN ('pg_rewrite'::regclass, 'pg_proc'::regclass) AND d.deptype IN ('n', 'a')
          AND NOT EXISTS (SELECT FROM inside own WHERE own.class = d.classid AND own.oid = d.objid)
          AND NOT EXISTS (
              SELECT FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
              WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
                AND t.relnamespace = to_regnamespace(quote_ident(%(s)s)))
          AND NOT EXISTS (
              SELECT FROM pg_attrdef f JOIN pg_class t ON t.oid = f.adrelid
              WHERE d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
                AND (t.relnamespace = to_regnamespace(quote_ident(%(s)s)) OR t.oid = ANY(%(carried)s::oid[])))
          AND NOT EXISTS (
              SELECT FROM pg_policy p JOIN pg_class t ON t.oid = p.polrelid
              WHERE d.classid = 'pg_policy'::regclass AND p.oid = d.objid
                AND t.relnamespace = to_regnamespace(quote_ident(%(s)s)))
          AND NOT EXISTS (
              SELECT FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid
              WHERE d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
                AND (g.tgisinternal OR t.relnamespace = to_regnamespace(quote_ident(%(s)s))
                     OR t.oid = ANY(%(carried)s::oid[])))
          AND d.classid NOT IN ('pg_publication_rel'::regclass, 'pg_statistic_ext'::regclass, 'pg_default_acl'::regclass)
          AND NOT (d.classid = 'pg_class'::regclass AND d.objid = ANY(%(carried)s::oid[]))
        ORDER BY 1, 2
        """,
        {"s": schema, "carried": [b.node[1] for b in carried if b.node[0] == "relation"]},
    ).fetchall()
    return tuple(Dependent(_KINDS.get(kind, kind), name) for kind, name in rows)


_KINDS = {"table constraint": "constraint", "default value": "default", "table column": "column"}


def missing_in(connection: psycopg.Connection[Any], live: str, candidate: str) -> tuple[Dependent, ...]:
    """Tables, views, functions and triggers that readers of ``live`` find there and would not find in ``candidate``."""
    rows = connection.execute(
        """
        SELECT CASE WHEN relkind IN ('v', 'm') THEN 'view' ELSE 'table' END, relname::text
        FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%(live)s))
          AND relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT relispartition
          AND relname NOT IN
              (SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%(candidate)s)))
        UNION ALL
        SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident(%(live)s))
          AND proname NOT IN
              (SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident(%(candidate)s)))
        UNION ALL
        SELECT 'trigger', t.relname || '.' || g.tgname FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid
        WHERE t.relnamespace = to_regnamespace(quote_ident(%(live)s)) AND NOT g.tgisinternal
          AND NOT EXISTS (
              SELECT FROM pg_trigger h JOIN pg_class c ON c.oid = h.tgrelid
              WHERE c.relnamespace = to_regnamespace(quote_ident(%(candidate)s))
                AND c.relname = t.relname AND h.tgname = g.tgname)
        ORDER BY 1, 2
        """,
        {"live": live, "candidate": candidate},
    ).fetchall()
    return tuple(Dependent(kind, name) for kind, name in rows)


def naming_in_text(connection: psycopg.Connection[Any], schema: str) -> tuple[Dependent, ...]:
    """Functions of any schema that name ``schema`` in their text or settings: PostgreSQL knows nothing of that.

    Functions whose body is bound to the tables themselves (BEGIN ATOMIC) are none of them.
    """
    rows = connection.execute(
        """
        SELECT n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.oid >= 16384 AND n.nspname NOT IN ('pg_catalog', 'information_schema')
          AND (strpos(p.prosrc, %(schema)s) > 0 OR strpos(array_to_string(p.proconfig, ','), %(schema)s) > 0)
        ORDER BY 1
        """,
        {"schema": schema},
    ).fetchall()
    return tuple(Dependent("function", name) for (name,) in rows)
