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
