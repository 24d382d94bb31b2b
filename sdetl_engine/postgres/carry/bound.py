"""Views, materialized views and functions of other schemas that are bound to a schema's objects, not to their names.

After the schema is renamed they would go on reading the old tables.  They are read with everything that hangs on
them, taken down and put up again in the order of their dependencies.
"""

from __future__ import annotations

import dataclasses
import graphlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg

from sdetl_engine.postgres.carry import comments, grants

Node = tuple[str, int]
"""``relation``, ``routine`` or ``type``, and an oid."""

_EDGES = """
    SELECT DISTINCT 'relation', r.ev_class::int8, d.refclassid::regclass::text, d.refobjid::int8
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid <> r.ev_class AND d.refobjid >= 16384
      AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)
    UNION
    SELECT 'routine', d.objid::int8, d.refclassid::regclass::text, d.refobjid::int8
    FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.refobjid >= 16384
      AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)
"""
_ROOTS = """
    SELECT 'relation', oid::int8 FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%(schema)s))
    UNION ALL SELECT 'routine', oid::int8 FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident(%(schema)s))
    UNION ALL SELECT 'type', oid::int8 FROM pg_type WHERE typnamespace = to_regnamespace(quote_ident(%(schema)s))
"""
_ROWTYPES = """
    SELECT t.oid::int8, coalesce(nullif(t.typrelid, 0), e.typrelid)::int8, nullif(t.typelem, 0)::int8
    FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    WHERE t.typrelid <> 0 OR t.typcategory = 'A'
"""


@dataclasses.dataclass(frozen=True, slots=True)
class BoundIndex:
    """An index of a materialized view, as PostgreSQL writes it."""

    name: str
    definition: str


@dataclasses.dataclass(frozen=True, slots=True)
class Bound:
    """One object that is bound, with all that hangs on it; definitions as PostgreSQL writes them.

    ``kind``: ``VIEW``, ``MATERIALIZED VIEW`` or ``ROUTINE``.  ``on_bound``: it rests on another bound object.
    ``further``: statements that put up triggers, rules and defaults.
    """

    node: Node
    kind: str
    schema: str
    name: str
    definition: str
    owner: str
    rights: grants.Rights
    comments: comments.Comments
    on_bound: bool
    options: tuple[str, ...] = ()
    tablespace: str | None = None
    method: str | None = None
    populated: bool = True
    indexes: tuple[BoundIndex, ...] = ()
    columns: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    can_be_recreated: bool = True

    def __str__(self) -> str:
        kind = "function" if self.kind == "ROUTINE" else self.kind.lower()
        return f"{kind} {self.schema}.{self.name}"

    def hangs_on_it(self) -> tuple[object, ...]:
        """What must be the same after it was put up again.  The definition may be spelled otherwise over other types."""
        of_indexes = frozenset((index.name, index.definition) for index in self.indexes)
        return (
            self.owner,
            dict(self.rights),
            dict(self.comments),
            self.options,
            self.columns,
            self.populated,
            of_indexes,
        )


def read_bound(connection: psycopg.Connection[Any], schema: str) -> tuple[Bound, ...]:
    """Everything that is bound to the schema's objects, in the order in which it can be put up.

    Names in definitions are qualified only under an empty search_path.
    """
    edges = _edges(connection)
    roots = {(kind, oid) for kind, oid in connection.execute(_ROOTS, {"schema": schema}).fetchall()}
    users: dict[Node, set[Node]] = defaultdict(set)
    for dependent, referenced in edges:
        users[referenced].add(dependent)
    found: set[Node] = set()
    waiting = list(roots)
    while waiting:
        fresh = users[waiting.pop()] - found - roots
        found |= fresh
        waiting += fresh
    if not found:
        return ()
    needs = {node: {r for d, r in edges if d == node and r in found} for node in found}
    order = list(graphlib.TopologicalSorter(needs).static_order())
    relations = _relations(connection, [oid for kind, oid in order if kind == "relation"], needs)
    routines = _routines(connection, [oid for kind, oid in order if kind == "routine"], needs)
    described = relations | routines
    return tuple(described[node] for node in order if node in described)


def _edges(connection: psycopg.Connection[Any]) -> list[tuple[Node, Node]]:
    """Which rules and routines need what; a row type stands for its relation."""
    relation_of: dict[int, int] = {}
    for oid, relation, element in connection.execute(_ROWTYPES).fetchall():
        if relation is not None:
            relation_of[oid] = relation
        elif element is not None:
            relation_of.setdefault(oid, 0)
    edges: list[tuple[Node, Node]] = []
    for kind, oid, catalogue, referenced in connection.execute(_EDGES).fetchall():
        if catalogue == "pg_type":
            relation = relation_of.get(referenced)
            node = ("relation", relation) if relation else ("type", referenced)
        else:
            node = ("relation" if catalogue == "pg_class" else "routine", referenced)
        if node != (kind, oid):
            edges.append(((kind, oid), node))
    return edges


def _relations(
    connection: psycopg.Connection[Any], oids: Sequence[int], needs: Mapping[Node, set[Node]]
) -> dict[Node, Bound]:
    rows = connection.execute(
        """
        SELECT c.oid::int8, c.relkind::text, n.nspname, c.relname, pg_get_userbyid(c.relowner),
               CASE WHEN c.relkind IN ('v', 'm') THEN rtrim(pg_get_viewdef(c.oid), ';') ELSE '' END,
               coalesce(c.reloptions, '{}'), s.spcname, m.amname, c.relispopulated,
               ARRAY(SELECT attname::text FROM pg_attribute
                     WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace LEFT JOIN pg_am m ON m.oid = c.relam
        WHERE c.oid = ANY(%s::oid[])
        """,
        [list(oids)],
    ).fetchall()
    rights = grants.read_rights(connection, relations=oids)
    said = comments.read_comments(connection, oids)
    indexes, further = _indexes(connection, oids), _further(connection, oids)
    found: dict[Node, Bound] = {}
    for oid, kind, schema, name, owner, definition, options, tablespace, method, populated, columns in rows:
        node = ("relation", oid)
        found[node] = Bound(
            node=node,
            kind={"v": "VIEW", "m": "MATERIALIZED VIEW"}.get(kind, "TABLE"),
            schema=schema,
            name=name,
            definition=definition,
            owner=owner,
            rights={t: r for t, r in rights.items() if (t.schema, t.name) == (schema, name)},
            comments={t: c for t, c in said.items() if _belongs(t.schema, t.name, schema, name, indexes.get(oid, ()))},
            on_bound=bool(needs[node]),
            options=tuple(options),
            tablespace=tablespace,
            method=method if kind == "m" else None,
            populated=populated,
            indexes=tuple(indexes.get(oid, ())),
            columns=tuple(columns),
            further=tuple(further.get(oid, ())),
            can_be_recreated=kind in ("v", "m"),
        )
    return found


def _belongs(of_schema: str, of_name: str, schema: str, name: str, indexes: Iterable[BoundIndex]) -> bool:
    return of_schema == schema and of_name in {name, *(index.name for index in indexes)}


def _indexes(connection: psycopg.Connection[Any], oids: Sequence[int]) -> dict[int, list[BoundIndex]]:
    rows = connection.execute(
        "SELECT i.indrelid::int8, c.relname, pg_get_indexdef(c.oid) FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ANY(%s::oid[]) ORDER BY c.oid",
        [list(oids)],
    ).fetchall()
    found: dict[int, list[BoundIndex]] = defaultdict(list)
    for oid, name, definition in rows:
        found[oid].append(BoundIndex(name, definition))
    return found


def _further(connection: psycopg.Connection[Any], oids: Sequence[int]) -> dict[int, list[str]]:
    rows = connection.execute(
        """
        SELECT adrelid::int8, format('ALTER VIEW %%s ALTER COLUMN %%I SET DEFAULT %%s', adrelid::regclass,
                                     (SELECT attname FROM pg_attribute WHERE attrelid = adrelid AND attnum = adnum),
                                     pg_get_expr(adbin, adrelid))
        FROM pg_attrdef WHERE adrelid = ANY(%(oids)s::oid[])
        UNION ALL
        SELECT ev_class::int8, rtrim(pg_get_ruledef(oid), ';') FROM pg_rewrite
        WHERE ev_class = ANY(%(oids)s::oid[]) AND rulename <> '_RETURN'
        UNION ALL
        SELECT tgrelid::int8, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE tgrelid = ANY(%(oids)s::oid[]) AND NOT tgisinternal
        """,
        {"oids": list(oids)},
    ).fetchall()
    found: dict[int, list[str]] = defaultdict(list)
    for oid, statement in rows:
        found[oid].append(statement)
    return found


def _routines(
    connection: psycopg.Connection[Any], oids: Sequence[int], needs: Mapping[Node, set[Node]]
) -> dict[Node, Bound]:
    rows = connection.execute(
        """
        SELECT p.oid::int8, p.prokind::text, n.nspname,
               quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
               pg_get_userbyid(p.proowner),
               CASE WHEN p.prokind IN ('f', 'p', 'w') THEN pg_get_functiondef(p.oid) ELSE '' END,
               obj_description(p.oid, 'pg_proc')
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = ANY(%s::oid[])
        """,
        [list(oids)],
    ).fetchall()
    rights = grants.read_rights(connection, routines=oids)
    found: dict[Node, Bound] = {}
    for oid, kind, schema, name, owner, definition, said in rows:
        node = ("routine", oid)
        of_it = {t: r for t, r in rights.items() if (t.schema, t.name) == (schema, name)}
        target = next(iter(of_it), None)
        found[node] = Bound(
            node=node,
            kind="ROUTINE",
            schema=schema,
            name=name,
            definition=definition,
            owner=owner,
            rights=of_it,
            comments={target: said} if said is not None and target is not None else {},
            on_bound=bool(needs[node]),
            can_be_recreated=kind in ("f", "p", "w"),
        )
    return found
