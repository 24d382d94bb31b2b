"""The quarantine: ``<version>_quarantine.cells`` holds every value that its column's type cannot hold, whole.

Nothing is dropped or turned NULL without a trace: table, key, column, storage class, raw bytes and reason are there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.plan import ColumnPlan, TablePlan
from sdetl_engine.sqlite.addressing import row_key
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.shape import fits_target_sql


def schema_name(version: str) -> str:
    """The schema that belongs to a version."""
    return f"{version}_quarantine"


def fill(source: sqlite3.Connection, connection: psycopg.Connection[Any], version: str, plan: TablePlan) -> int:
    """Copy the misfits of a table there; returns how many.  The schema is created with the first one."""
    count = 0
    for column in plan.loaded_columns:
        if column.quarantine_misfits:
            count += _fill_column(source, connection, version, plan, column)
    return count


def _fill_column(
    source: sqlite3.Connection, connection: psycopg.Connection[Any], version: str, plan: TablePlan, column: ColumnPlan
) -> int:
    misfits = misfits_of(source, plan, column)
    first = next(misfits, None)
    if first is None:
        return 0
    _create(connection, version)
    count = 0
    target = sql.SQL('COPY {} ("table", row_key, "column", storage, raw, reason) FROM STDIN (FORMAT binary)').format(
        sql.Identifier(schema_name(version), "cells")
    )
    reason = f"cannot be held as {column.target.sql}"
    with connection.cursor() as cursor, cursor.copy(target) as copy:
        copy.set_types(["text", "text", "text", "text", "bytea", "text"])
        while first is not None:
            key, storage, raw = first
            copy.write_row((plan.name, key, column.name, storage, raw, reason))
            count += 1
            first = next(misfits, None)
    return count


def misfits_of(source: sqlite3.Connection, plan: TablePlan, column: ColumnPlan) -> Iterator[tuple[str, str, bytes]]:
    """Key, storage class and raw bytes of every value of the column that its type cannot hold."""
    table = plan.source
    term = quote(column.source_name)
    key = row_key(table)
    names = tuple(quote(name) for name in table.primary_key) or (key.terms if key else ())
    query = (
        f"SELECT {', '.join((f'typeof({term})', term, *names))} FROM {quote(table.name)} NOT INDEXED "
        f"WHERE {term} IS NOT NULL AND NOT {fits_target_sql(column.target, term)}"
        + (f" ORDER BY {', '.join(key.terms)}" if key else "")
    )
    for storage, value, *row in source.execute(query):
        shown = [part.decode(errors="backslashreplace") if isinstance(part, bytes) else part for part in row]
        # SQLite's own text of a REAL keeps 15 digits, Python's keeps all.
        raw = value if isinstance(value, bytes) else repr(value).encode()
        yield json.dumps(shown), storage.decode() if isinstance(storage, bytes) else storage, raw


def _create(connection: psycopg.Connection[Any], version: str) -> None:
    schema = sql.Identifier(schema_name(version))
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
    connection.execute(
        sql.SQL("COMMENT ON SCHEMA {} IS {}").format(schema, sql.Literal(f"sdetl quarantine of {version}"))
    )
    connection.execute(
        sql.SQL(
            'CREATE TABLE IF NOT EXISTS {}.cells ("table" text NOT NULL, row_key text NOT NULL, "column" text NOT NULL, '
            "storage text NOT NULL, raw bytea NOT NULL, reason text NOT NULL)"
        ).format(schema)
    )
