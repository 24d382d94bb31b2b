"""The full scan: every value of every column of a table, counted, in one pass and in constant memory.

The table is cut into chunks of rows; SQLite is asked about one chunk after the other (``sqlite.chunk``), and the answers
are added up (``sqlite.column``).  The columns of a large table are shared out among processes, each of which reads the
table for its own: columns know nothing of each other, so the facts are the same either way.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sdetl_engine.errors import SourceError
from sdetl_engine.events import Reporter
from sdetl_engine.processes import Processes
from sdetl_engine.profiling.facts import ColumnFacts, TableFacts
from sdetl_engine.sqlite.chunk import Chunks, Mode, Question
from sdetl_engine.sqlite.column import ColumnScan
from sdetl_engine.sqlite.fits import register_functions, text_codec
from sdetl_engine.sqlite.keys import check_key, check_relation, duplicate_rows, relation_overlap
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.ranges import Ranges, locate
from sdetl_engine.sqlite.sample import estimate_distinct, iterate_sample, rowid_name
from sdetl_engine.sqlite.shares import shared_out
from sdetl_engine.sqlite.tally import FEW
from sdetl_engine.sqlite.witnesses import WitnessSearch
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import DATE_KINDS, Kind

__all__ = ["check_key", "check_relation", "relation_overlap", "scan_table"]

EXACT_DISTINCT_ROWS = 30_000
"""Different values are counted up to this many rows, and estimated from a sample beyond."""
_SAMPLED_ROWS = 10_000
_SAMPLED_VALUES = 1_000_000
_SEED = 1
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
    total: int | None = None,
) -> TableFacts:
    """Count every value of a table.  ``keys`` of the result is empty: see :func:`check_key`.

    ``proposals``: the kind that each column is asked about (text where none is named).  ``markers``: declared marks
    for "missing", texts that are counted as such and nowhere else.  ``day_first``: what is known about columns' dates.
    ``evidence_rows``: witnesses named per question.  ``now``: aware; dates a day past it are in the future.
    ``columns``: only these; duplicate rows are then not counted.  ``total``: the rows of the table, when the caller has
    counted them.  Raises SourceError, Cancelled.
    """
    asked = [
        _Asked(c.name, proposals.get(c.name, Kind.TEXT), markers.get(c.name, ()), (day_first or {}).get(c.name))
        for c in table.columns
        if columns is None or c.name in columns
    ]
    scan = functools.partial(_scan_columns, path, table, evidence_rows=evidence_rows, now=now, total=total)
    try:
        shares = _shares(path, table, asked)
        if len(shares) > 1:
            with Processes([functools.partial(scan, share) for share in shares], reporter) as processes:
                parts = processes.results()
        else:
            parts = [scan(share, reporter=reporter) for share in shares]
        found = {facts.column: facts for _, part in parts for facts in part}
        facts = tuple(found[one.name] for one in asked)
        rows = parts[0][0]
        duplicates = _duplicates(path, table, facts, reporter) if columns is None and rows > 1 else 0
        return TableFacts(table.name, rows, facts, duplicate_rows=duplicates)
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


def _shares(path: Path, table: Table, asked: Sequence[_Asked]) -> list[list[_Asked]]:
    """The columns shared out among as many processes as are worth their start; one share for this process otherwise.

    A table without rowids is copied to be scanned, which more than one process would do again.
    """
    if rowid_name(table) is None:
        return [list(asked)]
    with contextlib.closing(open_readonly(path)) as connection:
        return shared_out(connection, table, [(one, one.name, _costs(one.kind)) for one in asked])


def _costs(kind: Kind) -> float:
    """What a value of that kind costs, beside what its length costs: a number is 1."""
    return 1 if kind in _NUMBERS else 3


def _scan_columns(
    path: Path,
    table: Table,
    asked: Sequence[_Asked],
    *,
    evidence_rows: int,
    now: datetime,
    total: int | None,
    reporter: Reporter,
) -> tuple[int, tuple[ColumnFacts, ...]]:
    """The number of rows, and the facts of some columns."""
    with contextlib.ExitStack() as stack:
        scan = _Scan(stack, path, table, [one.name for one in asked], reporter, now, total)
        scans = [scan.column(one, evidence_rows) for one in asked]
        scan.run(scans)
        return scan.rows_done, tuple(scan.facts(column) for column in scans)


def _duplicates(path: Path, table: Table, facts: Sequence[ColumnFacts], reporter: Reporter) -> int:
    """Rows equal to an earlier one in every column; told apart by the columns with the most different values."""
    short = [f for f in facts if f.total_length <= _TELLING_LENGTH * max(1, f.texts + f.blobs)] or list(facts)
    telling = sorted(short, key=lambda f: -f.distinct)[:_TELLING_COLUMNS]
    with contextlib.closing(open_readonly(path)) as connection, reporter.interrupting(connection.interrupt):
        return duplicate_rows(connection, table, [f.column for f in telling]) if telling else 0


class _Scan:
    """One table being scanned: its connections, and where its rows are."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        path: Path,
        table: Table,
        names: Sequence[str],
        reporter: Reporter,
        now: datetime,
        total: int | None,
    ) -> None:
        self._stack, self._path, self._table, self._names = stack, path, table, names
        self._reporter, self._now = reporter, now
        self._main = self._open()
        self._rows = locate(self._main, table, total)
        self._codec = text_codec(self._main)
        self._marks: dict[str, str] = {}
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
        within = f"{self._rows.rowid} BETWEEN :low AND :high"
        limit = self._now.astimezone(UTC) + timedelta(days=1)
        chunks = Chunks(self._main, self._rows.table, within, self._codec, self._marks, limit)
        ranges = Ranges(self._main, self._rows)
        while (taken := ranges.take()) is not None:
            low, high, count = taken
            answers = chunks.ask([scan.question for scan in scans], low, high)
            for scan, answer in zip(scans, answers, strict=True):
                few = chunks.numbers(scan.question, FEW, low, high) if scan.wants_numbers(answer) else set()
                scan.add(answer, few, count, low, high)
            self.rows_done += count
            ranges.adapt(sum(answer.carried for answer in answers))
            self._reporter.progress(f"profile {self._table.name}", self.rows_done, self._rows.total)
            self._reporter.check()

    def facts(self, scan: ColumnScan) -> ColumnFacts:
        """The facts of one column, its witnesses looked up."""
        self._reporter.check()
        distinct, is_exact = self._distinct(scan)
        found = WitnessSearch(self._main, self._rows, self._codec, self._marks).of_column(scan)
        return scan.facts(self._table.name, distinct=distinct, distinct_is_exact=is_exact, witnesses=found)

    def _open(self) -> sqlite3.Connection:
        connection = self._stack.enter_context(contextlib.closing(open_readonly(self._path)))
        self._stack.enter_context(self._reporter.interrupting(connection.interrupt))
        register_functions(connection)
        return connection

    def _bind(self, mark: str) -> str:
        """The name of the parameter that carries a mark."""
        for name, text in self._marks.items():
            if text == mark:
                return name
        name = f"mark{len(self._marks)}"
        self._marks[name] = mark
        return name

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
        rows = min(_SAMPLED_ROWS, _SAMPLED_VALUES // len(self._table.columns))
        seen: list[collections.Counter[int]] = [collections.Counter() for _ in self._names]
        sample = iterate_sample(self._main, self._table, rows, _SEED, names=self._names, total=self._rows.total)
        for row in sample:
            for counter, value in zip(seen, row, strict=True):
                if value is not None:
                    counter[hash(value)] += 1
        return dict(zip(self._names, seen, strict=True))


def _first_mode(kind: Kind) -> Mode:
    if kind is Kind.BOOLEAN:
        return Mode.MIXED
    return Mode.NUMBERS if kind in _NUMBERS else Mode.DATES if kind in DATE_KINDS else Mode.TEXTS
