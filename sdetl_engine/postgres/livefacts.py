"""The serving schema as it is now: tables, columns with their types, rows, and how many have no value.

Counted, not estimated: one pass per table, which PostgreSQL may share among its workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.build import read_columns
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.profiling.drift import ColumnState, TableState

_COLUMNS_AT_ONCE = 500


def live_tables(connection: psycopg.Connection[Any], schema: str) -> dict[str, TableState]:
    """Every table of the schema.  Raises TargetError."""
    try:
        columns = read_columns(connection, schema)
        return {table: _measured(connection, schema, table, types) for table, types in columns.items()}
    except psycopg.Error as error:
        raise statement_error(error, f"measuring the live version in {schema}") from None


def new_values(
    connection: psycopg.Connection[Any], schema: str, values: Mapping[tuple[str, str], Sequence[str]]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Of the ``values`` of each table and column those that the live table has nowhere.  Raises TargetError.

    A value that is there is found at once; only a new one costs a pass over the table.
    """
    found = {}
    for (table, column), wanted in values.items():
        query = sql.SQL(
            "SELECT v FROM unnest(%s::text[]) WITH ORDINALITY AS w (v, n)"
            " WHERE NOT EXISTS (SELECT FROM {} AS t WHERE t.{}::text = v) ORDER BY n"
        ).format(sql.Identifier(schema, table), sql.Identifier(column))
        try:
            rows = connection.execute(query, [list(wanted)]).fetchall()
        except psycopg.Error as error:
            raise statement_error(error, f"looking for new values of {table}.{column}") from None
        if rows:
            found[table, column] = tuple(value for (value,) in rows)
    return found


def _measured(connection: psycopg.Connection[Any], schema: str, table: str, types: Mapping[str, str]) -> TableState:
    names = list(types)
    counts: list[int] = []
    rows = 0
    for start in range(0, max(len(names), 1), _COLUMNS_AT_ONCE):
        terms = [sql.SQL("count({})").format(sql.Identifier(n)) for n in names[start : start + _COLUMNS_AT_ONCE]]
        query = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join([sql.SQL("count(*)"), *terms]), sql.Identifier(schema, table)
        )
        found = connection.execute(query).fetchone()
        assert found is not None
        rows = found[0]
        counts += found[1:]
    return TableState(
        rows, {name: ColumnState(types[name], rows - present) for name, present in zip(names, counts, strict=True)}
    )
