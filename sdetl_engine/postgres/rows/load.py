"""Rows from SQLite into PostgreSQL by binary COPY, hashed on their way out.

The table must have been created in the same transaction, outside of savepoints: PostgreSQL then fills its pages strictly
in order, reading it back gives the same bytes (``postgres.rows.proof``), and its rows can be written frozen.  Otherwise
autovacuum would read and write the whole version once more, at the very time of its switch, and be in the way of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
from collections.abc import Callable, Sequence
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
from sdetl_engine.postgres.rows.encoding import Unshapeable
from sdetl_engine.postgres.rows.outgoing import outgoing
from sdetl_engine.postgres.rows.rowname import describe_row, refused_at
from sdetl_engine.postgres.rows.wire import HEADER, TRAILER
from sdetl_engine.sqlite.shape import open_for_load
from sdetl_engine.wording import counted, inflected

_FLUSH_BYTES = 8 * 1024 * 1024
"""Bytes that may be on their way before the load waits for the server: it is not to run dry while rows are made."""
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


def copy_target(schema: str, table: str, columns: Sequence[ColumnPlan]) -> sql.Composed:
    """``"schema"."table" ("column", ...)``."""
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in columns)
    return sql.SQL("{} ({})").format(sql.Identifier(schema, table), names)


class _HashingWriter(LibpqWriter):
    """psycopg's own writer, with a hash of everything that goes through it."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        super().__init__(cursor, flush_threshold=_FLUSH_BYTES)
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
    what = f"load {plan.name}"
    target = copy_target(schema, part.table, plan.loaded_columns)
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary, FREEZE)").format(target)
    rows = 0
    try:
        with (
            connection.cursor() as cursor,
            reporter.interrupting(source.interrupt),
            outgoing(source, plan, part, reporter) as blocks,
        ):
            writer = _HashingWriter(cursor)
            with cursor.copy(statement, writer=writer) as copy:
                copy.write(HEADER)
                for block in blocks:
                    copy.write(block.data)
                    before, rows = rows, rows + block.rows
                    if rows // batch_rows != before // batch_rows:
                        reporter.progress(what, done + rows, plan.rows)
                        reporter.check()
                        health()
                copy.write(TRAILER)
            held = cursor.rowcount
    except psycopg.Error as error:
        reporter.check()
        raise _refused(error, source, plan, part, rows) from None
    except sqlite3.OperationalError as error:
        reporter.check()
        raise _unreadable(error, plan, rows) from None
    except Unshapeable as misfit:
        raise _unshaped(misfit, source, plan, part) from None
    if held != rows:
        raise ValidationFailed(
            f"table {plan.name}: {counted(rows, 'row')} {inflected(rows, 'was', 'were')} sent, PostgreSQL took {held}",
            left_behind=_LEFT,
            next_step="start a new run",
        )
    reporter.progress(what, done + rows, plan.rows)
    return Sent(part, rows, writer.digest.hexdigest())


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
    what = f"loading {'table' if column is None else 'column'} {name}"
    # A limit is met when rows are written, some behind the one that the server is told of by then.
    where = "" if isinstance(error, psycopg.errors.ProgramLimitExceeded) else f" at {place}"
    explained = statement_error(error, what + where)
    return TargetError(explained.message, left_behind=_LEFT, next_step=explained.next_step, kind=explained.kind)


def _unreadable(error: sqlite3.OperationalError, plan: TablePlan, rows: int) -> ResourceError:
    return ResourceError(
        f"the cleaned file could not be read on at row {rows} of {plan.source.name}: {error}",
        left_behind=_LEFT,
        next_step="check the workspace's disk, then continue with --resume",
    )


def _unshaped(misfit: Unshapeable, source: sqlite3.Connection, plan: TablePlan, part: Part) -> ValidationFailed:
    place = describe_row(source, plan, part.where, misfit.number + 1)
    column = None if misfit.place is None else plan.loaded_columns[misfit.place]
    where = f"{plan.name}.{column.name}: the value" if column else f"{plan.name}: a value"
    return ValidationFailed(
        f"{where} in {place} cannot be held exactly as {column.target if column else 'its type'}",
        left_behind=_LEFT,
        next_step="choose a wider type for the column in the plan (text holds everything), then start a new run",
        kind="misfit",
    )
