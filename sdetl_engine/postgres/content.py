"""What a schema holds, table by table, whatever way its rows lie: the digest that restores and drills are proved by.

The digest of a table is its number of rows, and the sum modulo 2**128 (as two halves of 64 bits) of the MD5 of every
row as PostgreSQL spells it, ``ROW(t.*)::text``: NULL and ``''`` differ in it, and values cannot run into each other.
A sum, because it does not depend on the order of rows; not XOR, because two equal rows would cancel each other.
Sessions pin what the spelling depends on (time zone, date style, digits of floats), so that servers agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.events import Reporter
from sdetl_engine.wording import counted

_HALF = 2**64
_TABLES = """
    SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname
"""


@dataclasses.dataclass(frozen=True, slots=True)
class TableContent:
    """Rows of a table, and the digest of their content in hexadecimal."""

    rows: int
    digest: str


def table_names(connection: psycopg.Connection[Any], schema: str) -> tuple[str, ...]:
    """The tables of a schema, in order of their names; partitions are their parents'."""
    return tuple(name for (name,) in connection.execute(_TABLES, [schema]).fetchall())


def schema_content(connection: psycopg.Connection[Any], schema: str, reporter: Reporter) -> dict[str, TableContent]:
    """Every table of the schema read once, on the server.  Raises psycopg.Error, Cancelled."""
    found: dict[str, TableContent] = {}
    tables = table_names(connection, schema)
    for number, table in enumerate(tables):
        reporter.check()
        reporter.progress(f"digest of {schema}", number, len(tables), "tables")
        found[table] = table_content(connection, schema, table)
    return found


def table_content(connection: psycopg.Connection[Any], schema: str, table: str) -> TableContent:
    """One table.  Raises psycopg.Error."""
    row = connection.execute(
        sql.SQL(
            "SELECT count(*), coalesce(sum(('x' || left(h, 16))::bit(64)::bigint), 0)::text, "
            "coalesce(sum(('x' || right(h, 16))::bit(64)::bigint), 0)::text "
            "FROM (SELECT md5(ROW(t.*)::text) AS h FROM {} t) hashed"
        ).format(sql.Identifier(schema, table))
    ).fetchone()
    assert row is not None
    rows, high, low = row
    return TableContent(rows, f"{int(high) % _HALF:016x}{int(low) % _HALF:016x}")


def differences(expected: Mapping[str, TableContent], found: Mapping[str, TableContent]) -> tuple[str, ...]:
    """Where ``found`` is not as ``expected``, one sentence per table; empty when both are equal."""
    said = [f"table {name} is missing" for name in expected if name not in found]
    said += [f"table {name} is not expected" for name in found if name not in expected]
    for name, content in expected.items():
        other = found.get(name)
        if other is None or other == content:
            continue
        if other.rows != content.rows:
            said.append(f"table {name} holds {counted(other.rows, 'row')}, not {content.rows}")
        else:
            said.append(f"table {name} holds {counted(content.rows, 'row')} with other content")
    return tuple(said)
