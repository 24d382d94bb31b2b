"""The circuit breaker: it halts when too much is beyond repair.  Repairable dirt is cleaned; it never halts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from sdetl_engine.findings import Evidence, Finding
from sdetl_engine.profiling.facts import ColumnFacts, TableFacts, TypeVerdict, Witness
from sdetl_engine.profiling.jury import outvoted_by
from sdetl_engine.profiling.units import likely_unit, numbers_as_dates
from sdetl_engine.rules import RULES
from sdetl_engine.values.encodings import visible
from sdetl_engine.values.types import Kind
from sdetl_engine.wording import counted, inflected, limit_of, share_beside

_Facts = Mapping[tuple[str, str], ColumnFacts]


@dataclasses.dataclass(frozen=True, slots=True)
class Gauge:
    """One threshold: ``measured`` and ``limit`` are shares (0..1); it trips when measured exceeds limit."""

    name: str
    measured: float
    limit: float
    tripped: bool
    subject: str
    sentence: str


@dataclasses.dataclass(frozen=True, slots=True)
class BreakerVerdict:
    """All gauges, and a halt for each column that tripped one."""

    tripped: bool
    gauges: tuple[Gauge, ...]
    findings: tuple[Finding, ...]


def evaluate(
    verdicts: Sequence[TypeVerdict],
    tables: Sequence[TableFacts],
    *,
    max_mismatched_columns: float,
    max_corrupt_dates: float,
) -> BreakerVerdict:
    """Measure both thresholds (shares, 0..1).  With no columns, or no rows, there is nothing to judge."""
    facts = {(t.table, c.column): c for t in tables for c in t.columns}
    judged = [v for v in verdicts if not v.left_out]
    columns = _column_gauge(judged, max_mismatched_columns)
    dates = _date_gauges(judged, facts, max_corrupt_dates)
    findings = [_dates_finding(v, facts[v.table, v.column], g) for v, g in dates if g.tripped]
    if columns.tripped:
        findings += [_column_finding(v, facts[v.table, v.column], columns) for v in judged if v.mismatched]
    gauges = (columns, *(g for _, g in dates))
    return BreakerVerdict(any(g.tripped for g in gauges), gauges, tuple(findings))


def _column_gauge(verdicts: Sequence[TypeVerdict], limit: float) -> Gauge:
    name = "mismatched columns"
    if not verdicts:
        return Gauge(name, 0.0, limit, False, "no columns", "there are no columns: nothing to judge")
    mismatched = sum(v.mismatched for v in verdicts)
    share = mismatched / len(verdicts)
    subject = f"{mismatched} of {counted(len(verdicts), 'column')}"
    said = f"{subject} ({share_beside(share, limit)}) do not hold what they are declared as; the limit is {limit_of(limit)}"
    return Gauge(name, share, limit, share > limit, subject, said)


def _date_gauges(verdicts: Sequence[TypeVerdict], facts: _Facts, limit: float) -> list[tuple[TypeVerdict, Gauge]]:
    """One gauge for every column that was asked for dates and has rows."""
    found = []
    for verdict in verdicts:
        column = facts[verdict.table, verdict.column]
        if column.dates is None or not column.rows:
            continue
        share = verdict.corrupt_dates / column.rows
        name = f"{verdict.table}.{verdict.column}"
        said = f"{verdict.corrupt_dates:,} of {counted(column.rows, 'value')} ({share_beside(share, limit)}) in {name} cannot be read as a date"
        found.append((verdict, Gauge("corrupt dates", share, limit, share > limit, name, said)))
    return found


def suspects(column: ColumnFacts) -> str:
    """How many of the trouble are a well-known mark, in words; empty when none is."""
    mark = likely_mark(column)
    return "" if mark is None else f"; {column.missing_marks[mark]:,} of them are {mark!r}"


def likely_mark(column: ColumnFacts) -> str | None:
    """The well-known mark that occurs most, or None."""
    if not column.missing_marks:
        return None
    return max(column.missing_marks.items(), key=lambda item: item[1])[0]


def mark_advice(column: ColumnFacts) -> str:
    """What to do about values that cannot be read, with the exact option."""
    mark = likely_mark(column)
    name = f"{column.table}.{column.column}"
    as_text = f"load the column as text (--set 'load.types.{name}=text')"
    if mark is not None:
        return f"if {mark!r} means missing, say --null-marker '{name}={mark}'; or {as_text}, or fix the source"
    if _is_numbers(column):
        as_number, unit = f"--set 'load.types.{name}={Kind.INTEGER}'", likely_unit(column)
        as_date = f"if they count {unit}, say {numbers_as_dates(name, unit)}; or " if unit is not None else ""
        return (
            f"they are numbers, and a number is no date unasked: {as_date}keep them with {as_number}, or fix the source"
        )
    return f"correct the source, {as_text} or leave it out (--set 'source.exclude_columns=[\"{name}\"]')"


def evidence(witnesses: Sequence[Witness]) -> tuple[Evidence, ...]:
    """Rows that show it: their keys, and their values with everything invisible made visible."""
    return tuple(Evidence(f"rowid {w.rowid}" if w.rowid is not None else "", visible(w.value, 200)) for w in witnesses)


def suggestion(column: ColumnFacts) -> str | None:
    """The argument that :func:`mark_advice` proposes."""
    return likely_mark(column) or (Kind.INTEGER.value if _is_numbers(column) else None)


def _is_numbers(column: ColumnFacts) -> bool:
    return 0 < column.present == column.integers


def _dates_finding(verdict: TypeVerdict, column: ColumnFacts, gauge: Gauge) -> Finding:
    rule = RULES["BREAKER-DATES"]
    losers, against = _outvoted(verdict, column)
    reversed_ones = f"; {losers:,} of them have day and month the other way round" if losers else ""
    shown = (*(column.dates.unreadable_witnesses if column.dates is not None else ()), *against)[:20]
    return Finding(
        rule.code,
        rule.severity,
        f"{gauge.sentence}{reversed_ones}{suspects(column)}; the limit is {limit_of(gauge.limit)}",
        mark_advice(column),
        table=verdict.table,
        column=verdict.column,
        count=verdict.corrupt_dates,
        fraction=gauge.measured,
        choices=rule.choices,
        suggestion=suggestion(column),
        evidence=evidence(shown or column.misfit_witnesses),
    )


def _outvoted(verdict: TypeVerdict, column: ColumnFacts) -> tuple[int, Sequence[Witness]]:
    """How many dates the settled order cannot read though the other can, and some of them."""
    dates = column.dates
    losers = outvoted_by(dates, verdict.day_first) if dates is not None else 0
    if dates is None or not losers:
        return 0, ()
    return losers, dates.month_first_witnesses if verdict.day_first else dates.day_first_witnesses


def _column_finding(verdict: TypeVerdict, column: ColumnFacts, gauge: Gauge) -> Finding:
    rule = RULES["BREAKER-COLUMNS"]
    name = f"{verdict.table}.{verdict.column}"
    return Finding(
        rule.code,
        rule.severity,
        f"{gauge.sentence}: {name} is declared {verdict.declared}, and {column.misfits:,} of its "
        f"{counted(column.rows, 'value')} {inflected(column.rows, 'is', 'are')} something else{suspects(column)}",
        mark_advice(column),
        table=verdict.table,
        column=verdict.column,
        count=column.misfits,
        fraction=column.misfits / column.rows if column.rows else None,
        choices=rule.choices,
        suggestion=suggestion(column),
        evidence=evidence(column.misfit_witnesses),
    )
