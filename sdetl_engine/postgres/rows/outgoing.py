"""Rows on their way out of SQLite, as blocks of binary COPY.

Making those bytes keeps one core busy for longer than the server needs to take them.  Where there are cores to spare,
the rows of a large table are therefore read and encoded by processes side by side, which take turns at stretches of
rowids: the blocks come in the order of the table either way, and the bytes are the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from sdetl_engine import processes
from sdetl_engine.events import Reporter
from sdetl_engine.postgres.partitions import Part
from sdetl_engine.postgres.plan import ColumnPlan, TablePlan
from sdetl_engine.postgres.rows.encoding import RowEncoder, Unshapeable
from sdetl_engine.processes import NEXT, Streams
from sdetl_engine.sqlite import shares
from sdetl_engine.sqlite.addressing import RowKey, row_key, windows
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.shape import ColumnShape, column_shape, open_for_load

_FETCH = 100
"""Rows per trip to SQLite: few enough that their objects are still in the processor's cache when they are encoded."""
_FETCHED_CHARACTERS = 2_000_000
ROWS_PER_TURN = 1000
_BUSY_BESIDE = 2
"""Cores that the server and the handing on of blocks keep busy: on two cores processes would only be in their way."""
_BLOCK_BYTES = 256 * 1024
"""A block is handed on when it has grown to this, however few its rows are."""


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows, encoded."""

    rows: int
    data: bytes


@contextlib.contextmanager
def outgoing(source: sqlite3.Connection, plan: TablePlan, part: Part, reporter: Reporter) -> Iterator[Iterator[Block]]:
    """The blocks of a heap, in the order of its rows.  ``source``: the file as :func:`open_for_load` opens it.

    The block raises Unshapeable, its ``number`` that of the row in the whole heap, and sqlite3.OperationalError.
    """
    path, key = _path_of(source), row_key(plan.source)
    if path is None or key is None or part.where is not None or not _is_worth_processes(plan, key):
        yield _numbered(_blocks(source, plan, part.where))
        return
    count = processes.useful(_BUSY_BESIDE)
    jobs = [functools.partial(_share, path, plan, key, turn, count) for turn in range(count)]
    streams: Streams[Block] = Streams(jobs, reporter)
    with streams:
        yield _numbered(streams.items())


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


def _is_worth_processes(plan: TablePlan, key: RowKey) -> bool:
    is_large = plan.rows * len(plan.loaded_columns) >= shares.WORTH_CELLS
    return key.is_rowid and is_large and (processes.useful(_BUSY_BESIDE) > 1 or processes.is_responsive())


def _path_of(source: sqlite3.Connection) -> Path | None:
    """The file behind the connection; None when there is none."""
    name = next((file for _, schema, file in source.execute("PRAGMA database_list") if schema in ("main", b"main")), "")
    return Path(os.fsdecode(name)) if name else None


def _share(
    path: Path, plan: TablePlan, key: RowKey, turn: int, turns: int, *, reporter: Reporter
) -> Iterator[Block | object]:
    """Every ``turns``-th stretch of the table, from the ``turn``-th on, with NEXT behind each."""
    del reporter
    with contextlib.closing(open_for_load(path)) as source:
        for number, window in enumerate(windows(source, plan.source, key, plan.rows, at_once=ROWS_PER_TURN)):
            if number % turns == turn:
                yield from _blocks(source, plan, window.condition(key))
                yield NEXT


def _blocks(source: sqlite3.Connection, plan: TablePlan, where: str | None) -> Iterator[Block]:
    """Unshapeable counts from the first row of the first block that was not handed on."""
    shapes = shapes_of(plan.loaded_columns)
    encoder = RowEncoder(shapes)
    cursor = source.execute(select_of(plan, shapes, where))
    data, rows = bytearray(), 0
    at_once = rows_at_once(plan, _FETCH)
    while fetched := cursor.fetchmany(at_once):
        try:
            data += encoder.encode(fetched)
        except Unshapeable as misfit:
            raise Unshapeable(misfit.place, rows + misfit.number) from None
        rows += len(fetched)
        if rows >= ROWS_PER_TURN or len(data) >= _BLOCK_BYTES:
            yield Block(rows, bytes(data))
            data, rows = bytearray(), 0
    if rows:
        yield Block(rows, bytes(data))


def rows_at_once(plan: TablePlan, most: int) -> int:
    """How many rows to hold together: ``most``, fewer where they are long."""
    measured = [column.facts for column in plan.loaded_columns if column.facts is not None]
    length = sum(facts.total_length / facts.rows for facts in measured if facts.rows)
    return max(1, min(most, int(_FETCHED_CHARACTERS / (length + 1))))


def _numbered(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same, with misfits counted from the heap's first row."""
    before = 0
    try:
        for block in blocks:
            before += block.rows
            yield block
    except Unshapeable as misfit:
        raise Unshapeable(misfit.place, before + misfit.number) from None
