"""The ledger equation: ``target = source + ledger - quarantine``, held against what PostgreSQL has.

Every row and cell of the original source, changed as the ledger says, is compared with a loaded version, and what
does not fit its column's type with the quarantine.  The cleaned file is not needed, and neither side is trusted: what
was measured of the source is relied on only where the ledger is whole and the source is the file that was measured.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.checklist import Stage
from sdetl_engine.errors import EnvironmentFailed
from sdetl_engine.events import Reporter
from sdetl_engine.postgres import build
from sdetl_engine.postgres.plan import ColumnPlan, TablePlan, VersionPlan
from sdetl_engine.postgres.rows.compare import ComparedRows, Found, compare_rows, key_column
from sdetl_engine.postgres.rows.encoding import Unshapeable
from sdetl_engine.postgres.rows.quarantined import compare_quarantine, strangers_in_quarantine
from sdetl_engine.records import CleanedResult, ProfileResult, TableDiff
from sdetl_engine.results import ResultStore
from sdetl_engine.settings import Settings
from sdetl_engine.sqlite.differences import Difference, DifferenceKind, DifferenceLog
from sdetl_engine.sqlite.equation import Equation, Fault, Span, Stretch, open_equation
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.rewriting import ColumnRules, TableRewriting, plan_rewriting
from sdetl_engine.steps.cleaning import cleaning_rules
from sdetl_engine.steps.planning import plan_of
from sdetl_engine.values.encodings import lenient
from sdetl_engine.values.schema import Schema, Table
from sdetl_engine.workspace import RunFolder

_SPANS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Basis:
    """What a version was made from: the original source (a frozen copy), the ledger, and the rules and plan of its run.

    ``lines``: lines of the ledger by ``table.column``, as they were counted when it was written.  ``as_measured``:
    the source is byte for byte the file that was profiled.
    """

    source: Path
    ledger: Path | None
    schema: Schema
    plan: VersionPlan
    rules: Mapping[tuple[str, str], ColumnRules]
    lines: Mapping[str, int]
    as_measured: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Sampling:
    """How much is compared when not everything is: tables up to ``rows`` whole, of larger ones as many rows."""

    rows: int
    seed: int


def basis_of(
    folder: RunFolder, results: ResultStore, settings: Settings, source: Path, schema: Schema, *, as_measured: bool
) -> Basis:
    """What a run made its version from.  ``source`` is a frozen copy, ``schema`` what it declares.

    Raises EnvironmentFailed when the run's ledger or a result is gone.
    """
    if not folder.ledger.exists():
        raise EnvironmentFailed(
            f"the ledger of run {folder.run_id} is gone", next_step="restore the run's folder, or start a new run"
        )
    by_column = results.load(Stage.CLEAN, CleanedResult).by_column
    return Basis(
        source=source,
        ledger=folder.ledger,
        schema=schema,
        plan=plan_of(results, settings),
        rules=cleaning_rules(results.load(Stage.PROFILE, ProfileResult), settings),
        lines={name: sum(by_rule.values()) for name, by_rule in by_column.items()},
        as_measured=as_measured,
    )


def diff_version(
    connection: psycopg.Connection[Any],
    schema_name: str,
    version: str,
    basis: Basis,
    log: DifferenceLog,
    reporter: Reporter,
    sampling: Sampling | None = None,
) -> tuple[TableDiff, ...]:
    """Compare every table of the plan; differences go to ``log``.  Changes nothing on either side.

    The connection must be at the beginning of a transaction; it is read in one snapshot.  ``schema_name`` is where
    the version's tables are (its serving schema when it is live).  Raises SourceError, TargetError, Cancelled.
    """
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    actual = build.read_columns(connection, schema_name)
    with open_equation(basis.source, basis.ledger) as equation, reporter.interrupting(equation.connection.interrupt):
        rewritings = {planned.table.name: planned for planned in plan_rewriting(basis.schema, _known(basis))}
        diffs = [
            _TableDiffing(
                equation, connection, schema_name, version, basis, rewritings, table, actual, log, reporter
            ).diff(sampling)
            for table in basis.plan.tables
        ]
        _report_strangers(equation, connection, version, basis, actual, log)
    log.flush()
    return tuple(diffs)


class _TableDiffing:
    """One table and everything that it takes to compare it."""

    def __init__(
        self,
        equation: Equation,
        connection: psycopg.Connection[Any],
        schema_name: str,
        version: str,
        basis: Basis,
        rewritings: Mapping[str, TableRewriting],
        planned: TablePlan,
        actual: Mapping[str, Mapping[str, str]],
        log: DifferenceLog,
        reporter: Reporter,
    ) -> None:
        self._equation = equation
        self._connection = connection
        self._schema_name = schema_name
        self._version = version
        self._basis = basis
        self._rewritings = rewritings
        self._planned = planned
        self._actual = actual.get(planned.name)
        self._log = log
        self._reporter = reporter

    def diff(self, sampling: Sampling | None) -> TableDiff:
        """Compare the table, or a sample of its rows."""
        table = next((t for t in self._basis.schema.tables if t.name == self._planned.source.name), None)
        if table is None:
            return self._absent("the source has no such table")
        if self._actual is None:
            return self._absent("the target has no such table")
        plan = self._comparable(table, self._actual)
        if not plan.columns:
            return self._absent("none of its columns can be compared")
        if sampling is None or self._planned.rows <= sampling.rows:
            rows = self._compare(plan, table, ())
            return self._result(rows.expected, rows.actual)
        if key_column(plan) is not None:
            spans = tuple(self._spans(table, sampling))
            rows = self._compare(plan, table, spans) if spans else ComparedRows(0, 0)
            return dataclasses.replace(self._result(rows.expected, rows.actual), whole=False)
        if plan.partition is not None:
            why = "it is partitioned and has no integer key"
            return dataclasses.replace(self._result(0, 0), whole=False, skipped=why)
        found: list[Difference] = []
        rows = self._compare(plan, table, tuple(self._stretches(sampling)), found.append)
        if not found:
            return dataclasses.replace(self._result(rows.expected, rows.actual), whole=False)
        # Perhaps rows only lie otherwise than they were loaded: all of them tell.
        rows = self._compare(plan, table, ())
        return self._result(rows.expected, rows.actual)

    def _result(self, expected: int, actual: int) -> TableDiff:
        found = {str(kind): count for kind, count in self._log.of(self._planned.name).items()}
        return TableDiff(self._planned.name, expected, actual, found)

    def _absent(self, why: str) -> TableDiff:
        self._log.add(Difference(DifferenceKind.SCHEMA, self._planned.name, note=why))
        return dataclasses.replace(self._result(0, 0), skipped=why)

    def _comparable(self, table: Table, actual: Mapping[str, str]) -> TablePlan:
        """The plan with those columns that both sides have, with the planned types; the others are differences."""
        in_source = {c.name for c in table.columns}
        kept: list[ColumnPlan] = []
        for column in self._planned.columns:
            wanted = build.catalogue_name(column.target)
            if column.source_name not in in_source:
                self._schema_difference(column.name, "the source has no such column")
            elif column.name not in actual:
                self._schema_difference(column.name, "the target has no such column")
            elif actual[column.name] != wanted:
                self._schema_difference(
                    column.name, f"it is {actual[column.name]}, not {wanted}; its values were not read"
                )
            else:
                kept.append(column)
        planned = {c.name for c in self._planned.columns}
        for name in actual.keys() - planned:
            self._schema_difference(name, "no such column was loaded")
        key = self._planned.primary_key if set(self._planned.primary_key) <= {c.name for c in kept} else ()
        return dataclasses.replace(self._planned, source=table, columns=tuple(kept), primary_key=key)

    def _schema_difference(self, column: str, note: str) -> None:
        self._log.add(Difference(DifferenceKind.SCHEMA, self._planned.name, column=column, note=note))

    def _compare(
        self, plan: TablePlan, table: Table, spans: Sequence[Span | Stretch], found: Found | None = None
    ) -> ComparedRows:
        found = found or self._log.add
        faults = self._equation.show(self._rewritings[table.name], self._rowids(table, spans))
        for fault in faults:
            found(_ledger_difference(self._planned.name, fault))
        measured = self._basis.as_measured and not faults and self._has_all_lines(table)
        if measured:
            try:
                return self._compare_as(plan, spans, found)
            except Unshapeable:
                pass
        return self._compare_as(_unmeasured(plan), spans, found)

    def _compare_as(self, plan: TablePlan, spans: Sequence[Span | Stretch], found: Found) -> ComparedRows:
        source = self._equation.connection
        compared = [
            compare_rows(source, self._connection, self._schema_name, plan, found, reporter=self._reporter, span=span)
            for span in (spans or (None,))
        ]
        if not spans:
            compare_quarantine(source, self._connection, self._version, plan, found)
        return ComparedRows(sum(c.expected for c in compared), sum(c.actual for c in compared))

    def _rowids(self, table: Table, spans: Sequence[Span | Stretch]) -> tuple[Span, ...]:
        """Where the lines of the ledger are that matter; nothing when all of them may."""
        named = [self._equation.span_of(table, span) if isinstance(span, Stretch) else span for span in spans]
        known = tuple(span for span in named if span is not None)
        return known if len(known) == len(spans) else ()

    def _has_all_lines(self, table: Table) -> bool:
        """True when the ledger has as many lines for the table as were written."""
        prefix = f"{table.name}."
        written = {n.removeprefix(prefix): c for n, c in self._basis.lines.items() if n.startswith(prefix) and c}
        return self._equation.lines(table.name) == {n: c for n, c in written.items() if _has(table, n)}

    def _spans(self, table: Table, sampling: Sampling) -> Iterator[Span]:
        """A few runs of consecutive keys, the first and the last among them."""
        alias = quote(table.rowid_alias or "")
        low, high = self._equation.connection.execute(
            f"SELECT min({alias}), max({alias}) FROM main.{quote(table.name)}"
        ).fetchone()
        if low is not None:
            yield from (Span(*run) for run in _runs(low, high, sampling, table.name))

    def _stretches(self, sampling: Sampling) -> Iterator[Stretch]:
        """A few runs of rows as they were loaded, the first and the last among them."""
        for first, last in _runs(0, self._planned.rows - 1, sampling, self._planned.name):
            yield Stretch(first, last - first + 1)


def _runs(low: int, high: int, sampling: Sampling, name: str) -> Iterator[tuple[int, int]]:
    """First and last of some runs of numbers that do not overlap, together at most ``sampling.rows``."""
    width = max(1, sampling.rows // _SPANS)
    chosen = random.Random(f"{sampling.seed} {name}")  # noqa: S311 - a sample, not a secret
    starts = {low, max(low, high - width + 1), *(chosen.randint(low, high) for _ in range(_SPANS - 2))}
    after = low - 1
    for start in sorted(starts):
        first, last = max(start, after + 1), min(start + width - 1, high)
        if first <= last:
            yield first, last
            after = last


def _unmeasured(plan: TablePlan) -> TablePlan:
    """The plan as it is when nothing is known of the values: each is asked whether its type can hold it."""
    columns = tuple(dataclasses.replace(c, facts=None, quarantine_misfits=True) for c in plan.columns)
    return dataclasses.replace(plan, columns=columns)


def _known(basis: Basis) -> dict[tuple[str, str], ColumnRules]:
    """The rules for columns that the source (still) has."""
    there = {(t.name, c.name) for t in basis.schema.tables for c in t.columns}
    return {name: rule for name, rule in basis.rules.items() if name in there}


def _has(table: Table, column: str) -> bool:
    return any(c.name == column for c in table.columns)


def _ledger_difference(table: str, fault: Fault) -> Difference:
    return Difference(
        DifferenceKind.LEDGER,
        table,
        fault.row_key,
        fault.column,
        _shown(fault.before),
        _shown(fault.after),
        fault.reason,
    )


def _shown(value: object) -> str | None:
    if value is None:
        return None
    return lenient(value) if isinstance(value, bytes) else str(value)


def _report_strangers(
    equation: Equation,
    connection: psycopg.Connection[Any],
    version: str,
    basis: Basis,
    actual: Mapping[str, object],
    log: DifferenceLog,
) -> None:
    """Tables that one side has and nobody planned: in the target, in the ledger, in the quarantine."""
    planned = [t.name for t in basis.plan.tables]
    known: Sequence[str] = [t.name for t in basis.schema.tables]
    for name in sorted(actual.keys() - set(planned)):
        log.add(Difference(DifferenceKind.SCHEMA, name, note="no such table was loaded"))
    for name in equation.strangers([*known, *(t.source.name for t in basis.plan.tables)]):
        log.add(Difference(DifferenceKind.LEDGER, name, note="the ledger names a table that is not there"))
    strangers_in_quarantine(connection, version, basis.plan, log.add)
