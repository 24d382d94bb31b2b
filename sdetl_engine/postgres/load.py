"""Rows from SQLite into PostgreSQL by binary COPY, hashed on their way out.

The table must have been created in the same transaction: PostgreSQL then fills its pages strictly in order, and
reading it back gives the same bytes (``postgres.proof``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.adapt import PyFormat
from psycopg.copy import LibpqWriter

from sdetl_engine.errors import ResourceError, SdetlError, TargetError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.partitions import Part, parts_of
from sdetl_engine.postgres.plan import ColumnPlan, TablePlan
from sdetl_engine.postgres.rowname import describe_row, refused_at
from sdetl_engine.sqlite.addressing import row_key
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.shape import ColumnShape, column_shape, open_for_load

FETCH = 100
"""Rows per trip to SQLite: few enough that their objects are still in the processor's cache when they are written."""
_LEFT = "nothing: the load was rolled back; the live version untouched"


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

    Raises TargetError or ResourceError naming table, column, row and the server's reason, never a value;
    ValidationFailed for a value that its type cannot hold exactly; Cancelled.
    """
    sent, done = [], 0
    for part in parts_of(source, plan):
        sent.append(_copy(source, connection, schema, plan, part, done, batch_rows, reporter, health))
        done += sent[-1].rows
    return tuple(sent)


def select_of(plan: TablePlan, shapes: Sequence[ColumnShape], where: str | None) -> str:
    """The SELECT that reads a table (or a part of it) in the order of its rowid, else of its primary key."""
    terms = ", ".join(shape.expression for shape in shapes)
    key = row_key(plan.source)
    # NOT INDEXED: an index that covers all columns would give the rows in its own order.
    return (
        f"SELECT {terms} FROM {quote(plan.source.name)} NOT INDEXED"
        + (f" WHERE {where}" if where else "")
        + (f" ORDER BY {', '.join(key.terms)}" if key else "")
    )


def shapes_of(columns: Sequence[ColumnPlan]) -> list[ColumnShape]:
    """How each column goes on the wire."""
    return [column_shape(c.source_name, c.target, c.facts, quarantine_misfits=c.quarantine_misfits) for c in columns]


def copy_target(schema: str, table: str, columns: Sequence[ColumnPlan]) -> sql.Composed:
    """``"schema"."table" ("column", ...)``."""
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in columns)
    return sql.SQL("{} ({})").format(sql.Identifier(schema, table), names)


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
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(copy_target(schema, part.table, columns))
    rows = 0
    try:
        with _binary_cursor(connection) as cursor, reporter.interrupting(source.interrupt):
            writer = _HashingWriter(cursor)
            with cursor.copy(statement, writer=writer) as copy:
                copy.set_types([shape.wire.value for shape in shapes])
                write = copy.write_row
                for block in _blocks(source, select_of(plan, shapes, part.where), columns, shapes):
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
        raise _refused(error, source, plan, part, rows) from None
    except sqlite3.OperationalError as error:
        reporter.check()
        raise _unreadable(error, plan, rows) from None
    except _Unshaped as misfit:
        raise _unshaped(misfit, source, plan, part) from None
    if held != rows:
        raise ValidationFailed(
            f"table {plan.name}: {rows} rows were sent, PostgreSQL took {held}",
            left_behind=_LEFT,
            next_step="start a new run",
        )
    reporter.progress(what, done + rows, plan.rows)
    return Sent(part, rows, writer.digest.hexdigest())


@contextlib.contextmanager
def _binary_cursor(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor that hands bytes on as they are: what psycopg has for ``bytea`` also takes DB-API's ``Binary``, at
    the price of a Python call per value."""
    with connection.cursor() as cursor:
        cursor.adapters.register_dumper(bytes, cursor.adapters.get_dumper(bytes, PyFormat.BINARY))
        yield cursor


class _Unshaped(Exception):
    """A value that could not be shaped: its column, and its row's number from 1."""

    def __init__(self, column: ColumnPlan, number: int) -> None:
        super().__init__()
        self.column = column
        self.number = number


def _blocks(
    source: sqlite3.Connection, select: str, columns: Sequence[ColumnPlan], shapes: Sequence[ColumnShape]
) -> Iterator[Sequence[Sequence[object]]]:
    cursor = source.execute(select)
    converts = [
        (place, column, shape.convert)
        for place, (column, shape) in enumerate(zip(columns, shapes, strict=True))
        if shape.convert is not None
    ]
    before = 0
    while block := cursor.fetchmany(FETCH):
        if not converts:
            yield block
            continue
        rows = [list(row) for row in block]
        for place, column, convert in converts:
            for number, row in enumerate(rows, start=before + 1):
                if row[place] is not None:
                    try:
                        row[place] = convert(row[place])
                    except (ValueError, ArithmeticError):
                        # Their texts may quote the value.
                        raise _Unshaped(column, number) from None
        before += len(rows)
        yield rows


def _refused(error: psycopg.Error, source: sqlite3.Connection, plan: TablePlan, part: Part, rows: int) -> SdetlError:
    """The server's reason without its DETAIL and CONTEXT, which quote values."""
    if isinstance(error, (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory)):
        return ResourceError(
            f"the server has no room left while {plan.name} was loaded (row {rows} of {plan.rows})",
            left_behind=_LEFT,
            next_step="free space on the server, then continue with --resume",
            kind="server-disk",
        )
    line, column = refused_at(error, plan)
    place = f"row {rows} of {plan.rows}" if line is None else describe_row(source, plan, part.where, line)
    name = plan.name if column is None else f"{plan.name}.{column}"
    explained = statement_error(error, f"loading {'table' if column is None else 'column'} {name} at {place}")
    return TargetError(explained.message, left_behind=_LEFT, next_step=explained.next_step, kind=explained.kind)


def _unreadable(error: sqlite3.OperationalError, plan: TablePlan, rows: int) -> ResourceError:
    return ResourceError(
        f"the cleaned file could not be read on at row {rows} of {plan.source.name}: {error}",
        left_behind=_LEFT,
        next_step="check the workspace's disk, then continue with --resume",
    )


def _unshaped(misfit: _Unshaped, source: sqlite3.Connection, plan: TablePlan, part: Part) -> ValidationFailed:
    place = describe_row(source, plan, part.where, misfit.number)
    return ValidationFailed(
        f"{plan.name}.{misfit.column.name}: the value in {place} cannot be held exactly as {misfit.column.target}",
        left_behind=_LEFT,
        next_step="choose a wider type for the column in the plan (text holds everything), then start a new run",
        kind="misfit",
    )
