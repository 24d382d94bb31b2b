"""The circuit breaker: it halts when too much is beyond repair.  Repairable dirt is cleaned; it never halts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.profiling.facts import ColumnFacts, TableFacts, TypeVerdict

_CHOICES = (Choice.MARK_MISSING, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT)


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
    """All gauges, and a halt for each reason."""

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
    """Measure both thresholds.  With no columns, or no rows, there is nothing to judge and nothing trips."""
    facts = {(t.table, c.column): c for t in tables for c in t.columns}
    judged = [v for v in verdicts if not v.left_out]
    mismatched = [v for v in judged if v.mismatched]
    share = len(mismatched) / len(judged) if judged else 0.0
    columns = Gauge(
        "mismatched columns",
        share,
        max_mismatched_columns,
        share > max_mismatched_columns,
        f"{len(mismatched)} of {len(judged)} columns",
        f"{len(mismatched)} of {len(judged)} columns ({share:.1%}) do not hold what they are declared as; "
        f"the limit is {max_mismatched_columns:.0%}",
    )
    dates = _date_gauges(judged, facts, max_corrupt_dates)
    findings = [_dates_finding(v, facts[v.table, v.column], g) for v, g in dates if g.tripped]
    if columns.tripped:
        findings += [_column_finding(v, facts[v.table, v.column], columns) for v in mismatched]
    gauges = (columns, *(g for _, g in dates))
    return BreakerVerdict(any(g.tripped for g in gauges), gauges, tuple(findings))


def _date_gauges(
    verdicts: Sequence[TypeVerdict], facts: dict[tuple[str, str], ColumnFacts], limit: float
) -> list[tuple[TypeVerdict, Gauge]]:
    found = []
    for verdict in verdicts:
        column = facts[verdict.table, verdict.column]
        if column.dates is None or not column.rows:
            continue
        share = verdict.corrupt_dates / column.rows
        name = f"{verdict.table}.{verdict.column}"
        said = f"{verdict.corrupt_dates:,} of {column.rows:,} values ({share:.1%}) in {name} cannot be read as a date"
        found.append((verdict, Gauge("corrupt dates", share, limit, share > limit, name, said)))
    return found


def suspects(column: ColumnFacts) -> str:
    """How many of the trouble are a well-known mark, in words; empty when none is."""
    if not column.missing_marks:
        return ""
    mark, count = max(column.missing_marks.items(), key=lambda item: item[1])
    return f"; {count:,} of them are {mark!r}"


def likely_mark(column: ColumnFacts) -> str | None:
    """The well-known mark that occurs most, or None."""
    if not column.missing_marks:
        return None
    return max(column.missing_marks.items(), key=lambda item: item[1])[0]


def mark_advice(column: ColumnFacts) -> str:
    """What to do about values that cannot be read."""
    mark = likely_mark(column)
    name = f"{column.table}.{column.column}"
    if mark is None:
        return f"correct the source, load the column as text (--set 'load.types.{name}=text') or leave it out"
    return (
        f"if {mark!r} means missing, say --null-marker '{name}={mark}'; or load the column as text, or fix the source"
    )


def _dates_finding(verdict: TypeVerdict, column: ColumnFacts, gauge: Gauge) -> Finding:
    return Finding(
        "BREAKER-DATES",
        Severity.HALT,
        f"{gauge.sentence}{suspects(column)}; the limit is {gauge.limit:.0%}",
        mark_advice(column),
        table=verdict.table,
        column=verdict.column,
        count=verdict.corrupt_dates,
        fraction=gauge.measured,
        choices=_CHOICES,
        suggestion=likely_mark(column),
    )


def _column_finding(verdict: TypeVerdict, column: ColumnFacts, gauge: Gauge) -> Finding:
    name = f"{verdict.table}.{verdict.column}"
    return Finding(
        "BREAKER-COLUMNS",
        Severity.HALT,
        f"{gauge.sentence}: {name} is declared {verdict.declared or 'without type'}, and {column.misfits:,} of its "
        f"{column.rows:,} values are something else{suspects(column)}",
        mark_advice(column),
        table=verdict.table,
        column=verdict.column,
        count=column.misfits,
        fraction=column.misfits / column.rows if column.rows else None,
        choices=_CHOICES,
        suggestion=likely_mark(column),
    )
