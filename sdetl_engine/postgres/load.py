"""Rows from SQLite into PostgreSQL by binary COPY, hashed on their way out.

The table must have been created in the same transaction: PostgreSQL then fills its pages strictly in order, and
reading it back gives the same bytes (``postgres.proof``).
"""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.copy import LibpqWriter

from sdetl_engine.errors import ResourceError, SdetlError, TargetError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.partitions import Part, parts_of
from sdetl_engine.postgres.plan import ColumnPlan, TablePlan
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.shape import ColumnShape, column_shape, open_for_load

FETCH = 1000
"""Rows per trip to SQLite: enough to spread its cost, few enough to stay small."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """What left SQLite for one heap: rows, and the SHA-256 of the COPY stream."""

    part: Part
    rows: int
    sha256: str


def open_source(path: Path) -> sqlite3.Connection:
    """The cleaned file, as the load reads it."""
    return open_for_load(path)


def load_table(
    source: sqlite3.Connection,
    connection: psycopg.Connection[Any],
    schema: str,
    plan: TablePlan,
    *,
    batch_rows: int,
    reporter: Reporter,
    health: Callable[[], None],
) -> tuple[Sent, ...]:
    """Copy all rows of a table, partition by partition where it has any.

    Raises TargetError or ResourceError naming table and server's reason, never a value; Cancelled.
    """
    sent, done = [], 0
    for part in parts_of(source, plan):
        sent.append(_copy(source, connection, schema, plan, part, done, batch_rows, reporter, health))
        done += sent[-1].rows
    return tuple(sent)


def select_of(plan: TablePlan, shapes: Sequence[ColumnShape], where: str | None) -> str:
    """The SELECT that reads a table (or a part of it) in its own order."""
    terms = ", ".join(shape.expression for shape in shapes) or "NULL"
    table = plan.source
    order = "rowid" if table.has_rowid and not _hides_rowid(plan) else ", ".join(map(quote, table.primary_key))
    return (
        f"SELECT {terms} FROM {quote(table.name)}"
        + (f" WHERE {where}" if where else "")
        + (f" ORDER BY {order}" if order else "")
    )


def shapes_of(columns: Sequence[ColumnPlan]) -> list[ColumnShape]:
    """How each column goes on the wire."""
    return [column_shape(c.source_name, c.target, c.facts, quarantine_misfits=c.quarantine_misfits) for c in columns]


def copy_target(schema: str, table: str, columns: Sequence[ColumnPlan]) -> sql.Composed:
    """``"schema"."table" ("column", ...)``."""
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in columns)
    return sql.SQL("{} ({})").format(sql.Identifier(schema, table), names)


def _hides_rowid(plan: TablePlan) -> bool:
    """A column called rowid hides the real one; the alias, if any, is then as good."""
    return any(c.name.lower() == "rowid" for c in plan.source.columns)


class _HashingWriter(LibpqWriter):
    """psycopg's own writer, with a hash of everything that goes through it."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        super().__init__(cursor)
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> None:
        self.digest.update(data)
        super().write(data)


def _copy(
    source: sqlite3.Connection,
    connection: psycopg.Connection[Any],
    schema: str,
    plan: TablePlan,
    part: Part,
    done: int,
    batch_rows: int,
    reporter: Reporter,
    health: Callable[[], None],
) -> Sent:
    columns = plan.loaded_columns
    shapes = shapes_of(columns)
    what = f"load {plan.name}"
    # FREEZE: the rows are as old as the table, so that a snapshot from before the load never sees it empty.
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary, FREEZE)").format(copy_target(schema, part.table, columns))
    rows = 0
    try:
        with connection.cursor() as cursor, reporter.interrupting(source.interrupt):
            writer = _HashingWriter(cursor)
            with cursor.copy(statement, writer=writer) as copy:
                copy.set_types([shape.wire.value for shape in shapes])
                write = copy.write_row
                for block in _blocks(source, select_of(plan, shapes, part.where), shapes):
                    for row in block:
                        write(row)
                    before, rows = rows, rows + len(block)
                    if rows // batch_rows != before // batch_rows:
                        reporter.progress(what, done + rows, plan.rows)
                        reporter.check()
                        health()
            held = cursor.rowcount
    except psycopg.Error as error:
        reporter.check()
        raise _refused(error, plan, rows) from None
    except sqlite3.OperationalError as error:
        reporter.check()
        raise ResourceError(
            f"the cleaned file could not be read on at row {rows} of {plan.source.name}: {error}",
            left_behind="nothing: the load was rolled back",
            next_step="check the workspace's disk, then continue with --resume",
        ) from None
    if held != rows:
        raise ValidationFailed(
            f"table {plan.name}: {rows} rows were sent, PostgreSQL took {held}",
            left_behind="nothing: the load was rolled back; the live version untouched",
            next_step="start a new run",
        )
    reporter.progress(what, done + rows, plan.rows)
    return Sent(part, rows, writer.digest.hexdigest())


def _blocks(
    source: sqlite3.Connection, select: str, shapes: Sequence[ColumnShape]
) -> Iterator[Sequence[Sequence[object]]]:
    cursor = source.execute(select)
    converts = [(place, shape.convert) for place, shape in enumerate(shapes) if shape.convert is not None]
    while block := cursor.fetchmany(FETCH):
        if not converts:
            yield block
            continue
        rows = [list(row) for row in block]
        for place, convert in converts:
            for row in rows:
                if row[place] is not None:
                    row[place] = convert(row[place])
        yield rows


def _refused(error: psycopg.Error, plan: TablePlan, rows: int) -> SdetlError:
    """The server's reason without its DETAIL and CONTEXT, which quote values."""
    if isinstance(error, (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory)):
        return ResourceError(
            f"the server has no room left while {plan.name} was loaded (row {rows} of {plan.rows})",
            left_behind="nothing: the load was rolled back; the live version untouched",
            next_step="free space on the server, then continue with --resume",
            kind="server-disk",
        )
    explained = statement_error(error, f"loading table {plan.name} at row {rows} of {plan.rows}")
    return TargetError(
        explained.message,
        left_behind="nothing: the load was rolled back; the live version untouched",
        next_step=explained.next_step,
        kind=explained.kind,
    )
