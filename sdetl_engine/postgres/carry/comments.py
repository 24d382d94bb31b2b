"""Comments on tables, views, sequences, indexes and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.carry.changes import Changes, Target

Comments = Mapping[Target, str]


def read_comments(connection: psycopg.Connection[Any], relations: Sequence[int]) -> Comments:
    """The comments on those relations, on their columns and on their indexes."""
    rows = connection.execute(
        """
        SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                    WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' ELSE 'TABLE' END,
               n.nspname, c.relname, coalesce(t.attname, ''), d.description
        FROM pg_description d
        JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_index i ON i.indexrelid = c.oid
        LEFT JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum = d.objsubid AND d.objsubid > 0
        WHERE d.classoid = 'pg_class'::regclass AND coalesce(i.indrelid, c.oid) = ANY(%s::oid[])
        """,
        [list(relations)],
    ).fetchall()
    return {Target(kind, schema, name, column): text for kind, schema, name, column, text in rows}


def write_comments(changes: Changes, wanted: Comments, actual: Comments) -> None:
    """Make the comments of the objects just those; others lose theirs."""
    for target in sorted({*wanted, *actual}):
        text = wanted.get(target)
        if text != actual.get(target):
            changes.run(sql.SQL("COMMENT ON {} IS {}").format(_spelled(target), sql.Literal(text)))


def _spelled(target: Target) -> sql.Composable:
    if target.column:
        return sql.SQL("COLUMN {}").format(sql.Identifier(target.schema, target.name, target.column))
    return target.sql
