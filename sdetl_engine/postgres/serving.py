"""Reading a schema as its readers do."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.errors import TargetError


def count_rows(connection: psycopg.Connection[Any], schema: str, table: str) -> int:
    """``count(*)`` of a table.  Raises TargetError when it is not there."""
    try:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))).fetchone()
    except psycopg.errors.UndefinedTable:
        connection.rollback()
        raise TargetError(
            f"table {table} is not in schema {schema}",
            next_step="find out who dropped it; sdetl versions shows what can be gone back to",
            kind="missing-table",
        ) from None
    assert row is not None
    return int(row[0])


def fingerprints(connection: psycopg.Connection[Any], schema: str) -> dict[str, str]:
    """What tells a table from itself after any row was inserted, changed or deleted, or a column altered, by table.

    Made of columns and types, and of how many rows each transaction has left; one pass over every table, without
    reading what the rows hold.  The same for as long as nobody writes.
    """
    tables = connection.execute(
        """
        SELECT c.relname, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        GROUP BY c.relname ORDER BY c.relname
        """,
        [schema],
    ).fetchall()
    found = {}
    for table, columns in tables:
        query = sql.SQL(
            "SELECT md5(coalesce(string_agg(x || ' ' || n, ',' ORDER BY x), '') || %s) "
            "FROM (SELECT xmin::text AS x, count(*) AS n FROM {} GROUP BY xmin) AS written"
        ).format(sql.Identifier(schema, table))
        row = connection.execute(query, [columns or ""]).fetchone()
        assert row is not None
        found[str(table)] = str(row[0])
    return found
