"""The full scan: every value of every column of a table, counted, in one pass and in constant memory.

The table is cut into chunks of rows; two threads ask SQLite about one chunk each (``sqlite.chunk``), on connections of
their own, and add up the answers (``sqlite.column``).  SQLite computes without Python's lock, so both cores work.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sdetl_engine.errors import SourceError
from sdetl_engine.events import Reporter
from sdetl_engine.profiling.facts import ColumnFacts, TableFacts
from sdetl_engine.sqlite.chunk import Chunks, Mode, Question
from sdetl_engine.sqlite.column import ColumnScan
from sdetl_engine.sqlite.fits import register_functions, text_codec
from sdetl_engine.sqlite.keys import check_key, check_relation, duplicate_rows, relation_overlap
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.ranges import Ranges, locate
from sdetl_engine.sqlite.sample import estimate_distinct, iterate_sample
from sdetl_engine.sqlite.tally import FEW
from sdetl_engine.sqlite.witnesses import WitnessSearch
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import DATE_KINDS, Kind

__all__ = ["check_key", "check_relation", "relation_overlap", "scan_table"]

THREADS = 2
ONE_THREAD_ROWS = 20_000
EXACT_DISTINCT_ROWS = 30_000
"""Different values are counted up to this many rows, and estimated from a sample beyond."""
_SAMPLED_ROWS = 10_000
_SAMPLED_VALUES = 1_000_000
_SEED = 1
_POLL_SECONDS = 0.1
_TELLING_COLUMNS = 3
_TELLING_LENGTH = 60
_NUMBERS = frozenset({Kind.INTEGER, Kind.DOUBLE, Kind.NUMERIC})


def scan_table(
    path: Path,
    table: Table,
    proposals: Mapping[str, Kind],
    *,
    markers: Mapping[str, tuple[str, ...]],
    evidence_rows: int,
    now: datetime,
    reporter: Reporter,
    day_first: Mapping[str, bool | None] | None = None,
    columns: Sequence[str] | None = None,
) -> TableFacts:
    """Count every value of a table.  ``keys`` of the result is empty: see :func:`check_key`.

    ``proposals``: the kind that each column is asked about (text where none is named).  ``markers``: declared marks
    for "missing", texts that are counted as such and nowhere else.  ``day_first``: what is known about columns' dates.
    ``evidence_rows``: witnesses named per question.  ``now``: aware; dates a day past it are in the future.
    ``columns``: only these; duplicate rows are then not counted.  Raises SourceError, Cancelled.
    """
    asked = [
        _Asked(c.name, proposals.get(c.name, Kind.TEXT), markers.get(c.name, ()), (day_first or {}).get(c.name))
        for c in table.columns
        if columns is None or c.name in columns
    ]
    try:
        with contextlib.ExitStack() as stack:
            scan = _Scan(stack, path, table, reporter, now)
            scans = [scan.column(one, evidence_rows) for one in asked]
            scan.run(scans)
            facts = tuple(scan.facts(column) for column in scans)
            duplicates = scan.duplicates(facts) if columns is None else 0
            return TableFacts(table.name, scan.rows_done, facts, duplicate_rows=duplicates)
    except sqlite3.Error as error:
        # An interrupted statement is how a wish to stop looks from here.
        reporter.check()
        raise SourceError(
            f"table {table.name!r} cannot be read: {error}", next_step="check the source file for damage"
        ) from None


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    """What the caller wants to know about one column."""

    name: str
    kind: Kind
    marks: tuple[str, ...]
    day_first: bool | None


class _Scan:
    """One table being scanned: its connections, and where its rows are."""

    def __init__(
        self, stack: contextlib.ExitStack, path: Path, table: Table, reporter: Reporter, now: datetime
    ) -> None:
        self._stack, self._path, self._table, self._reporter, self._now = stack, path, table, reporter, now
        self._main = self._open()
        self._rows = locate(self._main, table)
        self._codec = text_codec(self._main)
        self._marks: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.rows_done = 0

    def column(self, asked: _Asked, evidence_rows: int) -> ColumnScan:
        """One column, ready to be sent through the table."""
        column = self._rows.columns[asked.name]
        # Unary plus takes away the affinity, so that constants are compared with what is stored.
        value = f"(+{column})"
        if asked.marks:
            bound = ", ".join(f":{self._bind(mark)}" for mark in asked.marks)
            value = f"(CASE WHEN +{column} COLLATE BINARY IN ({bound}) THEN NULL ELSE +{column} END)"
        key = f"c{list(self._rows.columns).index(asked.name)}"
        question = Question(asked.name, column, value, asked.kind, _first_mode(asked.kind), key=key)
        return ColumnScan(question, day_first=asked.day_first, now=self._now, evidence_rows=evidence_rows)

    def run(self, scans: Sequence[ColumnScan]) -> None:
        """Send every chunk of the table through every column."""
        ranges = Ranges(self._open_for_rows(), self._rows)
        threads = 1 if self._rows.is_copy or self._rows.total <= ONE_THREAD_ROWS else THREADS
        workers = [self._open_for_rows() for _ in range(threads)]
        with concurrent.futures.ThreadPoolExecutor(threads, "scan") as pool:
            try:
                self._watch([pool.submit(self._work, connection, ranges, scans) for connection in workers])
            finally:
                self._stop.set()

    def facts(self, scan: ColumnScan) -> ColumnFacts:
        """The facts of one column, its witnesses looked up."""
        self._reporter.check()
        distinct, is_exact = self._distinct(scan)
        found = WitnessSearch(self._main, self._rows, self._codec, self._marks).of_column(scan)
        return scan.facts(self._table.name, distinct=distinct, distinct_is_exact=is_exact, witnesses=found)

    def duplicates(self, facts: Sequence[ColumnFacts]) -> int:
        """Rows equal to an earlier one in every column; told apart by the columns with the most different values."""
        if self._rows.total < 2 or not facts:
            return 0
        short = [f for f in facts if f.total_length <= _TELLING_LENGTH * max(1, f.texts + f.blobs)] or list(facts)
        telling = sorted(short, key=lambda f: -f.distinct)[:_TELLING_COLUMNS]
        return duplicate_rows(self._main, self._table, [f.column for f in telling])

    def _open(self) -> sqlite3.Connection:
        connection = self._stack.enter_context(contextlib.closing(open_readonly(self._path)))
        self._stack.enter_context(self._reporter.interrupting(connection.interrupt))
        register_functions(connection)
        return connection

    def _open_for_rows(self) -> sqlite3.Connection:
        return self._main if self._rows.is_copy else self._open()

    def _bind(self, mark: str) -> str:
        """The name of the parameter that carries a mark."""
        for name, text in self._marks.items():
            if text == mark:
                return name
        name = f"mark{len(self._marks)}"
        self._marks[name] = mark
        return name

    def _work(self, connection: sqlite3.Connection, ranges: Ranges, scans: Sequence[ColumnScan]) -> None:
        """Take chunks until there are none: the body of a thread."""
        within = f"{self._rows.rowid} BETWEEN :low AND :high"
        limit = self._now.astimezone(UTC) + timedelta(days=1)
        chunks = Chunks(connection, self._rows.table, within, self._codec, self._marks, limit)
        while not self._stop.is_set():
            taken = ranges.take()
            if taken is None:
                return
            low, high, count = taken
            answers = chunks.ask([scan.question for scan in scans], low, high)
            numbers = [
                chunks.numbers(scan.question, FEW, low, high) if scan.wants_numbers(answer) else set()
                for scan, answer in zip(scans, answers, strict=True)
            ]
            with self._lock:
                for scan, answer, few in zip(scans, answers, numbers, strict=True):
                    scan.add(answer, few, count, low, high)
                self.rows_done += count
            ranges.adapt(sum(answer.carried for answer in answers))

    def _watch(self, futures: Sequence[concurrent.futures.Future[None]]) -> None:
        """Wait for the threads; tell progress, and stop them when somebody asks to."""
        waiting = set(futures)
        while waiting:
            done, waiting = concurrent.futures.wait(
                waiting, _POLL_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
            )
            self._reporter.progress(f"profile {self._table.name}", self.rows_done, self._rows.total)
            self._reporter.check()
            for future in done:
                future.result()

    def _distinct(self, scan: ColumnScan) -> tuple[int, bool]:
        """How many different values, and whether that is counted or estimated."""
        known = scan.known_distinct()
        if known is not None:
            return known, True
        if self._table.primary_key == (scan.question.name,):
            return scan.present, True
        if self._rows.total <= EXACT_DISTINCT_ROWS:
            return self._counted_distinct(scan.question), True
        return estimate_distinct(self._sampled[scan.question.name], scan.present), False

    def _counted_distinct(self, question: Question) -> int:
        query = f"SELECT count(DISTINCT {question.value} COLLATE BINARY) FROM {self._rows.table}"
        (count,) = self._main.execute(query, self._marks).fetchone()
        return int(count)

    @functools.cached_property
    def _sampled(self) -> Mapping[str, collections.Counter[int]]:
        """How often each value of a random sample was in it, by column; values as their hashes."""
        names = [column.name for column in self._table.columns]
        rows = min(_SAMPLED_ROWS, _SAMPLED_VALUES // len(names))
        seen: list[collections.Counter[int]] = [collections.Counter() for _ in names]
        for row in iterate_sample(self._main, self._table, rows, _SEED):
            for counter, value in zip(seen, row, strict=True):
                if value is not None:
                    counter[hash(value)] += 1
        return dict(zip(names, seen, strict=True))


def _first_mode(kind: Kind) -> Mode:
    if kind is Kind.BOOLEAN:
        return Mode.MIXED
    return Mode.NUMBERS if kind in _NUMBERS else Mode.DATES if kind in DATE_KINDS else Mode.TEXTS
