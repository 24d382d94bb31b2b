"""What a random sample says about each column: which kind most values read as, and with what confidence."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

from sdetl_engine.profiling.facts import SampleVerdict
from sdetl_engine.values.dates import read_date
from sdetl_engine.values.declared import declared_target
from sdetl_engine.values.missing import is_well_known_mark
from sdetl_engine.values.schema import Column, Table
from sdetl_engine.values.types import DATE_KINDS, Kind

TRUTH_PAIRS: tuple[frozenset[str], ...] = (
    frozenset({"true", "false"}),
    frozenset({"t", "f"}),
    frozenset({"yes", "no"}),
    frozenset({"y", "n"}),
    frozenset({"0", "1"}),
)
_TEXT_MEANS_DATES = (Kind.TEXT, None)


def judge_sample(
    rows: Sequence[Sequence[object]], table: Table, *, markers: Mapping[str, tuple[str, ...]], confidence: float
) -> dict[str, SampleVerdict]:
    """A verdict for every column.  ``rows`` in column order, values as SQLite stores them, texts as ``str``."""
    return {
        column.name: _judge(column, [row[position] for row in rows], markers.get(column.name, ()), confidence)
        for position, column in enumerate(table.columns)
    }


def proposals(table: Table, samples: Mapping[str, SampleVerdict]) -> dict[str, Kind]:
    """What the full scan asks of each column: what the declaration asks for, unless it asks for text or nothing."""
    asked = {}
    for column in table.columns:
        declared = declared_target(column.declared)
        observed = samples[column.name].observed
        if declared is None:
            asked[column.name] = observed or Kind.TEXT
        elif declared.kind is Kind.TEXT and observed in DATE_KINDS and observed is not None:
            asked[column.name] = observed
        else:
            asked[column.name] = declared.kind
    return asked


def _judge(column: Column, values: Sequence[object], marks: tuple[str, ...], confidence: float) -> SampleVerdict:
    declared = declared_target(column.declared)
    declared_kind = declared.kind if declared else None
    present = [v for v in values if v is not None and v != "" and not (isinstance(v, str) and v in marks)]
    suspects = collections.Counter(v for v in present if isinstance(v, str) and is_well_known_mark(v))
    kinds = collections.Counter(_kind_of(v, declared_kind) for v in present)
    observed, count = _leading_kind(kinds, declared_kind, confidence)
    return SampleVerdict(
        rows=len(values),
        missing=len(values) - len(present),
        observed=observed,
        confidence=count / len(present) if present else 0.0,
        kinds=dict(kinds),
        missing_marks=dict(suspects),
    )


def _leading_kind(kinds: Mapping[Kind, int], declared: Kind | None, confidence: float) -> tuple[Kind | None, int]:
    """The kind that most values read as; whole numbers among numbers and bare dates among timestamps count with them."""
    total = sum(kinds.values())
    if not total:
        return None, 0
    dates = sum(kinds.get(k, 0) for k in DATE_KINDS)
    if dates:
        merged = dates
        plain = [k for k in (Kind.TIMESTAMPTZ, Kind.TIMESTAMP, Kind.DATE) if kinds.get(k)]
        kind = plain[0] if len(plain) == 1 else Kind.TIMESTAMP
        if declared in DATE_KINDS or merged / total >= confidence:
            return kind, merged
    numbers = kinds.get(Kind.INTEGER, 0) + kinds.get(Kind.DOUBLE, 0)
    if kinds.get(Kind.DOUBLE) and numbers == total:
        return Kind.DOUBLE, numbers
    kind, count = max(kinds.items(), key=lambda item: item[1])
    # A text column whose dates fall short of the confidence is a text column: every text is a text.
    if declared is Kind.TEXT and kind in DATE_KINDS:
        return Kind.TEXT, total
    return kind, count


def _kind_of(value: object, declared: Kind | None) -> Kind:
    """What one value is.  Digits in a text column are text; a number is never a date unasked."""
    if isinstance(value, bytes):
        return Kind.BYTES
    if isinstance(value, (int, float)):
        if declared is Kind.BOOLEAN and value in (0, 1):
            return Kind.BOOLEAN
        return Kind.INTEGER if isinstance(value, int) else Kind.DOUBLE
    text = str(value)
    if declared is Kind.BOOLEAN and any(text.lower() in pair for pair in TRUTH_PAIRS):
        return Kind.BOOLEAN
    if declared in DATE_KINDS or (declared in _TEXT_MEANS_DATES and not text.isdigit()):
        reading = read_date(text)
        if reading is not None:
            if reading.offset_minutes is not None:
                return Kind.TIMESTAMPTZ
            return Kind.TIMESTAMP if reading.has_time else Kind.DATE
    return Kind.TEXT
