"""One table, value for value: the rows that the source comes to, and the rows that PostgreSQL holds.

Both sides are read once, in the order of the load, and compared as the bytes of PostgreSQL's binary COPY, hundreds of
rows at a time: equal data costs little more than reading it.  Only where such a block differs are its rows taken
apart, matched by primary key (or as whole rows where there is none), and their columns compared one by one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.events import Reporter
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.partitions import Part, parts_of
from sdetl_engine.postgres.plan import ColumnPlan, TablePlan
from sdetl_engine.postgres.rows.encoding import RowEncoder
from sdetl_engine.postgres.rows.outgoing import rows_at_once, select_of
from sdetl_engine.postgres.rows.unmatched import Unmatched
from sdetl_engine.postgres.rows.wire import HEADER, TRAILER, fields_of, literal
from sdetl_engine.sqlite.addressing import row_key
from sdetl_engine.sqlite.differences import Difference, DifferenceKind
from sdetl_engine.sqlite.equation import Span, Stretch
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.shape import ColumnShape, Wire, column_shape
from sdetl_engine.values.types import Kind

_BLOCK_ROWS = 250
_MOST_PAIRED = 300
"""So many rows without a key on either side are paired by likeness, to name the columns in which they differ."""

Found = Callable[[Difference], None]


@dataclasses.dataclass(frozen=True, slots=True)
class ComparedRows:
    """How many rows of a table each side has."""

    expected: int
    actual: int


def compare_rows(
    source: sqlite3.Connection,
    connection: psycopg.Connection[Any],
    schema: str,
    plan: TablePlan,
    found: Found,
    *,
    reporter: Reporter,
    span: Span | Stretch | None = None,
) -> ComparedRows:
    """Tell ``found`` of every row and cell in which ``schema`` differs from ``source``.

    ``plan`` names the columns to compare; both sides must have them, with the planned types.  With a ``Span`` only rows
    of those keys are compared, with a ``Stretch`` those that lie there: what it tells is true only where the rows still
    lie as they were loaded.  Raises Unshapeable, TargetError, Cancelled.
    """
    expected = actual = 0
    try:
        connection.execute(
            "SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0; "
            "SET LOCAL enable_indexonlyscan = off"
        )
        for part in (*parts_of(source, plan), *_other_parts(source, connection, schema, plan)):
            table = _Table(source, connection, schema, plan, part, found, reporter, span, expected)
            table.compare()
            expected, actual = expected + table.expected, actual + table.actual
    except psycopg.Error as error:
        reporter.check()
        raise statement_error(error, f"reading table {plan.name}") from None
    return ComparedRows(expected, actual)


def _other_parts(
    source: sqlite3.Connection, connection: psycopg.Connection[Any], schema: str, plan: TablePlan
) -> list[Part]:
    """Partitions in which no row of the source belongs."""
    if plan.partition is None:
        return []
    rows = connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent"
        " JOIN pg_namespace n ON n.oid = p.relnamespace WHERE n.nspname = %s AND p.relname = %s",
        [schema, plan.name],
    ).fetchall()
    known = {part.table for part in parts_of(source, plan)}
    return [Part(name, "FALSE") for (name,) in rows if name not in known]


def key_column(plan: TablePlan) -> ColumnPlan | None:
    """The single integer column by which ranges of rows can be told, when the table has one."""
    alias = plan.source.rowid_alias
    column = next((c for c in plan.columns if c.source_name == alias), None)
    return column if column is not None and column.target.kind is Kind.INTEGER else None


class _Table:
    """One heap and the rows of the source that belong in it."""

    def __init__(
        self,
        source: sqlite3.Connection,
        connection: psycopg.Connection[Any],
        schema: str,
        plan: TablePlan,
        part: Part,
        found: Found,
        reporter: Reporter,
        span: Span | Stretch | None,
        done: int,
    ) -> None:
        self._plan = plan
        self._found = found
        self._reporter = reporter
        self._done = done
        self._source = _SourceRows(source, plan, part, span)
        self._target = _TargetRows(connection, schema, plan, part, span)
        places = {c.name: place for place, c in enumerate(plan.columns)}
        self._key = [places[name] for name in plan.primary_key] if set(plan.primary_key) <= set(places) else []
        self._unmatched = Unmatched()

    @property
    def expected(self) -> int:
        return self._source.count

    @property
    def actual(self) -> int:
        return self._target.count

    def compare(self) -> None:
        with contextlib.closing(self._source), self._target, contextlib.closing(self._unmatched):
            at_once = rows_at_once(self._plan, _BLOCK_ROWS)
            while rows := self._source.take(at_once):
                held = self._target.take(len(rows))
                if self._source.encode(rows) != b"".join(held):
                    self._match(rows, held)
                    self._align()
                self._tell()
            while held := self._target.take(at_once):
                for row in held:
                    self._meet_actual(bytes(row))
                self._tell()
            self._report_rest()

    def _tell(self) -> None:
        self._reporter.progress(f"compare {self._plan.name}", self._done + self._source.count, self._plan.rows)
        self._reporter.check()

    def _match(self, rows: Sequence[Sequence[object]], held: Sequence[memoryview]) -> None:
        """Row by row; those that are not equal in their places look for their counterparts."""
        for place, row in enumerate(rows):
            wanted = bytes(self._source.encode([row]))
            there = bytes(held[place]) if place < len(held) else None
            if wanted == there:
                continue
            self._meet_expected(wanted, row)
            if there is not None:
                self._meet_actual(there)

    def _align(self) -> None:
        """Rows that are missing or too many shift one side; read on there while that brings counterparts together."""
        while True:
            row = self._target.peek()
            if row is not None and self._unmatched.awaits(False, self._key_of(bytes(row))):
                self._meet_actual(bytes(self._target.take(1)[0]))
                continue
            wanted = self._source.peek()
            if wanted is None:
                return
            encoded = bytes(self._source.encode([wanted]))
            if not self._unmatched.awaits(True, self._key_of(encoded)):
                return
            self._source.take(1)
            self._meet_expected(encoded, wanted)

    def _key_of(self, row: bytes) -> bytes:
        """What names a row: its key's fields with their lengths; without a key, the whole row."""
        if not self._key:
            return row
        fields = fields_of(row)
        return b"".join(len(f).to_bytes(4, "big") + f for f in (fields[place] or b"" for place in self._key))

    def _meet_expected(self, row: bytes, values: Sequence[object]) -> None:
        pair = self._unmatched.expected(self._key_of(row), row, self._source.name_of(values))
        if pair is not None:
            self._report(*pair)

    def _meet_actual(self, row: bytes) -> None:
        pair = self._unmatched.actual(self._key_of(row), row)
        if pair is not None:
            self._report(*pair)

    def _report_rest(self) -> None:
        if self._key:
            for pair in self._unmatched.rest():
                self._report(*pair)
            return
        lone: tuple[list[tuple[bytes, str]], list[tuple[bytes, str]]] = ([], [])
        for expected, actual, name in self._unmatched.rest():
            if expected is not None and actual is not None:
                continue
            side, row = (0, expected) if expected is not None else (1, actual)
            assert row is not None
            lone[side].append((row, name))
            if len(lone[side]) > _MOST_PAIRED:
                self._report_lone(lone)
        self._report_lone(_pair_by_likeness(lone, self._report))

    def _report_lone(self, lone: tuple[list[tuple[bytes, str]], list[tuple[bytes, str]]]) -> None:
        for row, name in lone[0]:
            self._report(row, None, name)
        for row, _ in lone[1]:
            self._report(None, row, "")
        lone[0].clear()
        lone[1].clear()

    def _report(self, expected: bytes | None, actual: bytes | None, name: str) -> None:
        if expected == actual:
            return
        table = self._plan.name
        wanted, there = ([] if row is None else fields_of(row) for row in (expected, actual))
        key = self._shown_key(wanted or there) or name
        if actual is None:
            self._found(Difference(DifferenceKind.MISSING_ROW, table, key))
        elif expected is None:
            self._found(Difference(DifferenceKind.EXTRA_ROW, table, key))
        else:
            for column, one, other in zip(self._plan.columns, wanted, there, strict=True):
                if one != other:
                    values = (literal(column.target.kind, one), literal(column.target.kind, other))
                    self._found(Difference(DifferenceKind.CELL, table, key, column.name, *values))

    def _shown_key(self, fields: Sequence[bytes | None]) -> str:
        """The primary key as a JSON array, as the ledger has it."""
        if not self._key:
            return ""
        parts: list[object] = []
        for place in self._key:
            kind = self._plan.columns[place].target.kind
            text = literal(kind, fields[place])
            parts.append(int(text) if text is not None and kind is Kind.INTEGER else text)
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


class _SourceRows:
    """The rows that the source comes to, in the order of the load, and their form on the wire."""

    def __init__(
        self,
        source: sqlite3.Connection,
        plan: TablePlan,
        part: Part,
        span: Span | Stretch | None,
    ) -> None:
        shapes = [
            column_shape(c.source_name, c.target, c.facts, quarantine_misfits=c.quarantine_misfits)
            for c in plan.columns
        ]
        self._width = len(shapes)
        key = row_key(plan.source)
        # Rows without a primary key are named by their rowid, which comes along behind the columns.
        self._is_named = not plan.primary_key and key is not None and key.is_rowid
        named = [ColumnShape(key.terms[0], Wire.INT8)] if self._is_named and key is not None else []
        conditions = [f"({part.where})"] if part.where is not None else []
        if isinstance(span, Span):
            conditions.append(f"{quote(plan.source.rowid_alias or '')} BETWEEN {span.low} AND {span.high}")
        query = select_of(plan, [*shapes, *named], " AND ".join(conditions) or None)
        if isinstance(span, Stretch):
            query += f" LIMIT {span.rows} OFFSET {span.offset}"
        self._cursor = source.execute(query)
        self._encoder = RowEncoder(shapes)
        self._ahead: list[Sequence[object]] = []
        self.count = 0

    def take(self, rows: int) -> list[Sequence[object]]:
        """The next rows, fewer at the end."""
        block = self._ahead or self._cursor.fetchmany(rows)
        self._ahead = []
        self.count += len(block)
        return block

    def peek(self) -> Sequence[object] | None:
        """The next row, which stays the next."""
        if not self._ahead:
            self._ahead = self._cursor.fetchmany(1)
        return self._ahead[0] if self._ahead else None

    def encode(self, rows: Sequence[Sequence[object]]) -> bytearray:
        """Their bytes on the wire.  Raises Unshapeable."""
        return self._encoder.encode(rows)

    def name_of(self, row: Sequence[object]) -> str:
        """The rowid of a row without a primary key."""
        return str(row[self._width]) if self._is_named else ""

    def close(self) -> None:
        """Nothing more is read."""
        self._cursor.close()


class _TargetRows:
    """The rows that PostgreSQL holds, in the order in which they lie there; a context manager."""

    def __init__(
        self, connection: psycopg.Connection[Any], schema: str, plan: TablePlan, part: Part, span: Span | Stretch | None
    ) -> None:
        columns = sql.SQL(", ").join(sql.Identifier(c.name) for c in plan.columns)
        key = key_column(plan)
        rows: sql.Composable = sql.SQL("")
        if isinstance(span, Stretch):
            rows = sql.SQL(" LIMIT {} OFFSET {}").format(sql.Literal(span.rows), sql.Literal(span.offset))
        elif span is not None and key is not None:
            rows = sql.SQL(" WHERE {0} BETWEEN {1} AND {2} ORDER BY {0}").format(
                sql.Identifier(key.name), sql.Literal(span.low), sql.Literal(span.high)
            )
        self._statement = sql.SQL("COPY (SELECT {} FROM {}{}) TO STDOUT (FORMAT binary)").format(
            columns, sql.Identifier(schema, part.table), rows
        )
        self._connection = connection
        self._stack = contextlib.ExitStack()
        self._is_first = True
        self._is_over = False
        self._ahead: list[memoryview] = []
        self.count = 0

    def __enter__(self) -> _TargetRows:
        cursor = self._stack.enter_context(self._connection.cursor())
        self._copy = self._stack.enter_context(cursor.copy(self._statement))
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.__exit__(*exception)

    def take(self, rows: int) -> list[memoryview]:
        """The next rows, fewer at the end.  PostgreSQL sends each in a message of its own."""
        block, self._ahead = self._ahead, []
        arrived = self._connection.pgconn.get_copy_data
        while len(block) < rows and not self._is_over:
            # What is here already is taken straight from libpq: waiting for each row costs more than the row.
            size, message = arrived(1)
            data = message if size > 0 else self._copy.read()
            row = memoryview(data)
            if self._is_first:
                row, self._is_first = row[len(HEADER) :], False
            if row == TRAILER or not row:
                self._is_over = True
                while self._copy.read():
                    pass
            else:
                block.append(row)
        self.count += len(block)
        return block

    def peek(self) -> memoryview | None:
        """The next row, which stays the next."""
        if not self._ahead:
            self._ahead = self.take(1)
            self.count -= len(self._ahead)
        return self._ahead[0] if self._ahead else None


def _pair_by_likeness(
    lone: tuple[list[tuple[bytes, str]], list[tuple[bytes, str]]],
    report: Callable[[bytes, bytes, str], None],
) -> tuple[list[tuple[bytes, str]], list[tuple[bytes, str]]]:
    """Report pairs of rows that agree in at least half of their fields, most alike first come; returns the rest."""
    expected, actual = list(lone[0]), [(row, fields_of(row)) for row, _ in lone[1]]
    left: list[tuple[bytes, str]] = []
    for row, name in expected:
        fields = fields_of(row)
        scored = [(sum(map(_equal, fields, other)), place) for place, (_, other) in enumerate(actual)]
        best, place = max(scored, default=(0, -1), key=lambda s: s[0])
        if best * 2 >= len(fields) and best:
            report(row, actual.pop(place)[0], name)
        else:
            left.append((row, name))
    return left, [(row, "") for row, _ in actual]


def _equal(one: bytes | None, other: bytes | None) -> bool:
    return one == other
