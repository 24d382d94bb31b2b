"""What was written to a version since it was loaded.

Every row bears the transaction that wrote it (``xmin``), and the registry knows the transaction that loaded the
version: rows of later transactions were added or changed since, and rows that are missing to the number loaded were
deleted or changed.  That is quick, and tells *whether* a table was written to.

*What* was written is found by comparing with the table as it was loaded, which is loaded once more from the cleaned
copy beside it, in a transaction that is rolled back: by primary key where there is one; else as whole rows, and a
changed row is then one deleted and one added.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres import registry
from sdetl_engine.postgres.content import table_names


class ChangeKind(enum.StrEnum):
    """What happened to a row.  ``written``: added or changed, which of the two cannot be told."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"
    WRITTEN = "written"


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A table at one moment: its rows, and how many of them bear a transaction after the load."""

    rows: int
    later: int


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column that can be written; ``is_text`` when a spreadsheet could take its values for formulas."""

    name: str
    is_text: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Sides:
    """A table on both sides: ``live`` schema, and the schema with the table as loaded, None where it cannot be had."""

    table: str
    live: str
    loaded: str | None
    columns: tuple[Column, ...]
    key: tuple[str, ...]


def marks(connection: psycopg.Connection[Any], schema: str, load_xid: str) -> dict[str, Mark]:
    """Every table of the schema counted once."""
    found = {}
    for table in table_names(connection, schema):
        row = connection.execute(
            sql.SQL("SELECT count(*), count(*) FILTER (WHERE age(xmin) < age(%s::xid8::xid)) FROM {}").format(
                sql.Identifier(schema, table)
            ),
            [load_xid],
        ).fetchone()
        assert row is not None
        found[table] = Mark(row[0], row[1])
    return found


def touched(version: registry.Version, found: Mapping[str, Mark]) -> tuple[str, ...]:
    """The tables that are not as they were loaded, by their marks; tables that are gone among them."""
    loaded = version.table_rows or {}
    return tuple(
        table
        for table in sorted({*loaded, *found})
        if table not in found or found[table].later or found[table].rows != loaded.get(table)
    )


def sides_of(connection: psycopg.Connection[Any], table: str, live: str, loaded: str | None) -> Sides:
    """The columns that both sides have and that can be written, and the primary key of the live table."""
    rows = connection.execute(
        """
        SELECT a.attname::text, t.typcategory = 'S', a.attnum = ANY (k.conkey), cardinality(k.conkey)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_type t ON t.oid = a.atttypid
             LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
        WHERE n.nspname = %(live)s AND c.relname = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attgenerated = ''
          AND (%(loaded)s::text IS NULL OR EXISTS (
              SELECT FROM pg_attribute o JOIN pg_class oc ON oc.oid = o.attrelid
                   JOIN pg_namespace oon ON oon.oid = oc.relnamespace
              WHERE oon.nspname = %(loaded)s AND oc.relname = c.relname AND o.attname = a.attname
                AND o.atttypid = a.atttypid))
        ORDER BY a.attnum
        """,
        {"live": live, "table": table, "loaded": loaded},
    ).fetchall()
    key = tuple(name for name, _, is_key, _ in rows if is_key)
    is_whole = bool(rows) and len(key) == rows[0][3]
    return Sides(table, live, loaded, tuple(Column(n, is_text) for n, is_text, _, _ in rows), key if is_whole else ())


def changes(
    connection: psycopg.Connection[Any], sides: Sides, load_xid: str
) -> Iterator[tuple[ChangeKind, tuple[str | None, ...], tuple[str | None, ...]]]:
    """Every change: its kind, the values of the row as text, and the same as SQL literals.  Of a deleted row, as loaded.

    Streams from the server; one such iterator at a time.
    """
    for kind, query, values in _queries(sides, load_xid):
        count = len(sides.columns)
        with connection.cursor(name=f"sdetl_{kind}") as cursor:
            cursor.execute(query, values)
            for row in cursor:
                yield kind, tuple(row[:count]), tuple(row[count:])


def count_changes(connection: psycopg.Connection[Any], sides: Sides, load_xid: str) -> dict[ChangeKind, int]:
    """How many of each kind."""
    counts = {}
    for kind, query, values in _queries(sides, load_xid):
        row = connection.execute(sql.SQL("SELECT count(*) FROM ({}) found").format(query), values).fetchone()
        assert row is not None
        counts[kind] = int(row[0])
    return counts


def _queries(sides: Sides, load_xid: str) -> Sequence[tuple[ChangeKind, sql.Composed, list[object]]]:
    live = sql.Identifier(sides.live, sides.table)
    if sides.loaded is None:
        newer = sql.SQL("SELECT {} FROM {} r WHERE age(r.xmin) < age(%s::xid8::xid)").format(_values(sides), live)
        return ((ChangeKind.WRITTEN, newer, [load_xid]),)
    loaded = sql.Identifier(sides.loaded, sides.table)
    if sides.key:
        same = sql.SQL(" AND ").join(sql.SQL("r.{0} = o.{0}").format(sql.Identifier(column)) for column in sides.key)
        only = sql.SQL("SELECT {} FROM {} r WHERE NOT EXISTS (SELECT FROM {} o WHERE {})")
        changed = sql.SQL("SELECT {} FROM {} r JOIN {} o ON {} WHERE {} <> {}").format(
            _values(sides), live, loaded, same, _row(sides, "r"), _row(sides, "o")
        )
        return (
            (ChangeKind.ADDED, only.format(_values(sides), live, loaded, same), []),
            (ChangeKind.CHANGED, changed, []),
            (ChangeKind.DELETED, only.format(_values(sides), loaded, live, same), []),
        )
    except_all = sql.SQL("SELECT {0} FROM {1} r EXCEPT ALL SELECT {0} FROM {2} r")
    return (
        (ChangeKind.ADDED, except_all.format(_values(sides), live, loaded), []),
        (ChangeKind.DELETED, except_all.format(_values(sides), loaded, live), []),
    )


def _values(sides: Sides) -> sql.Composed:
    """Every column as text, then every column as an SQL literal."""
    texts = [
        sql.SQL("r.{}::text AS {}").format(sql.Identifier(c.name), sql.Identifier(f"t{n}"))
        for n, c in enumerate(sides.columns)
    ]
    literals = [
        sql.SQL("quote_nullable(r.{}::text) AS {}").format(sql.Identifier(c.name), sql.Identifier(f"q{n}"))
        for n, c in enumerate(sides.columns)
    ]
    return sql.SQL(", ").join([*texts, *literals])


def _row(sides: Sides, alias: str) -> sql.Composed:
    """The row as one text, in which NULL and ``''`` differ."""
    columns = [sql.SQL("{}.{}").format(sql.Identifier(alias), sql.Identifier(c.name)) for c in sides.columns]
    return sql.SQL("ROW({})::text").format(sql.SQL(", ").join(columns))
