"""The quarantine held against the source: the same cells, whole, and no others."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.plan import ColumnPlan, TablePlan, VersionPlan
from sdetl_engine.postgres.rows.quarantine import misfits_of, schema_name
from sdetl_engine.postgres.rows.unmatched import Pair, Unmatched
from sdetl_engine.sqlite.differences import Difference, DifferenceKind
from sdetl_engine.wording import counted, inflected

Found = Callable[[Difference], None]
_SEPARATOR = b"\0"


def compare_quarantine(
    source: sqlite3.Connection, connection: psycopg.Connection[Any], version: str, plan: TablePlan, found: Found
) -> None:
    """Tell ``found`` of every value that the types of ``plan`` cannot hold and that is not in the quarantine as it
    was, and of every cell there that should not be.  Raises TargetError."""
    is_there = _exists(connection, version)
    for column in plan.columns:
        if not column.is_loaded:
            continue
        expected = misfits_of(source, plan, column) if column.quarantine_misfits else iter(())
        actual = _cells(connection, version, plan, column) if is_there else iter(())
        _compare_column(plan.name, column.name, expected, actual, found)


def strangers_in_quarantine(connection: psycopg.Connection[Any], version: str, plan: VersionPlan, found: Found) -> None:
    """Tell ``found`` of cells whose table or column nobody loaded."""
    if not _exists(connection, version):
        return
    query = sql.SQL('SELECT "table", "column", count(*) FROM {} GROUP BY 1, 2 ORDER BY 1, 2').format(_table(version))
    known = {(t.name, c.name) for t in plan.tables for c in t.columns if c.is_loaded}
    for table, column, count in connection.execute(query).fetchall():
        if (table, column) not in known:
            note = f"{counted(count, 'cell')} {inflected(count, 'stands', 'stand')} in the quarantine of a column that was not loaded"
            found(Difference(DifferenceKind.QUARANTINE, table, column=column, note=note))


def _compare_column(
    table: str,
    column: str,
    expected: Iterator[tuple[str, str, bytes]],
    actual: Iterator[tuple[str, str, bytes]],
    found: Found,
) -> None:
    with contextlib.closing(Unmatched()) as unmatched:
        pairs: list[Pair | None] = []
        for key, storage, raw in expected:
            pairs.append(unmatched.expected(_bytes(key), storage.encode() + _SEPARATOR + raw, key))
            # Both come in the order of the load: each meets its counterpart at once.
            if (cell := next(actual, None)) is not None:
                pairs.append(unmatched.actual(_bytes(cell[0]), cell[1].encode() + _SEPARATOR + cell[2], cell[0]))
            _report(table, column, pairs, found)
        for key, storage, raw in actual:
            pairs.append(unmatched.actual(_bytes(key), storage.encode() + _SEPARATOR + raw, key))
            _report(table, column, pairs, found)
        for pair in unmatched.rest():
            _report(table, column, [pair], found)


def _report(table: str, column: str, pairs: list[Pair | None], found: Found) -> None:
    for pair in pairs:
        if pair is None or pair[0] == pair[1]:
            continue
        wanted, there, key = pair
        note = (
            "it is not there"
            if there is None
            else "it should not be there"
            if wanted is None
            else "it is another value"
        )
        found(Difference(DifferenceKind.QUARANTINE, table, key, column, _shown(wanted), _shown(there), note))
    pairs.clear()


def _cells(
    connection: psycopg.Connection[Any], version: str, plan: TablePlan, column: ColumnPlan
) -> Iterator[tuple[str, str, bytes]]:
    query = sql.SQL('SELECT row_key, storage, raw FROM {} WHERE "table" = %s AND "column" = %s').format(_table(version))
    try:
        with connection.cursor("sdetl_cells") as cursor:
            cursor.itersize = 1000
            yield from cursor.execute(query, [plan.name, column.name])
    except psycopg.Error as error:
        raise statement_error(error, f"reading the quarantine of {plan.name}") from None


def _exists(connection: psycopg.Connection[Any], version: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND relname = 'cells'",
        [schema_name(version)],
    ).fetchone()
    return row is not None


def _table(version: str) -> sql.Identifier:
    return sql.Identifier(schema_name(version), "cells")


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _shown(content: bytes | None) -> str | None:
    return None if content is None else content.partition(_SEPARATOR)[2].decode("utf-8", "backslashreplace")
