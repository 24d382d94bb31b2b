"""What a random sample says about each column: which kind most values read as, and with what confidence.

The sample proposes; the full scan decides (``profiling.verdict``).
"""

from __future__ import annotations

import collections
import json
import re
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
_TRUTHS = frozenset().union(*TRUTH_PAIRS)
_NUMBERS = frozenset({Kind.INTEGER, Kind.DOUBLE, Kind.NUMERIC})
_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?")


def judge_sample(
    rows: Sequence[Sequence[object]],
    columns: Sequence[Column],
    *,
    markers: Mapping[str, tuple[str, ...]],
    confidence: float,
) -> dict[str, SampleVerdict]:
    """A verdict for every column.  ``rows`` in the order of ``columns``, values as SQLite stores them, texts as ``str``.

    ``markers``: declared missing marks by column.  ``confidence`` (0..1): the share of the values from which on a
    text column without a declared type for it counts as dates.
    """
    return {
        column.name: _judge(column, [row[position] for row in rows], markers.get(column.name, ()), confidence)
        for position, column in enumerate(columns)
    }


def proposals(table: Table, samples: Mapping[str, SampleVerdict]) -> dict[str, Kind]:
    """What the full scan asks of each column: what the declaration asks for, unless it asks for text or nothing."""
    return {c.name: _proposal(c, samples[c.name].observed) for c in table.columns}


def _proposal(column: Column, observed: Kind | None) -> Kind:
    declared = declared_target(column.declared)
    if declared is None:
        return observed or Kind.TEXT
    if declared.kind is Kind.TEXT and observed is not None and observed in DATE_KINDS:
        return observed
    # What jsonb makes of a document is another text; json keeps it.
    return Kind.JSON if declared.kind is Kind.JSONB else declared.kind


def _judge(column: Column, values: Sequence[object], marks: tuple[str, ...], confidence: float) -> SampleVerdict:
    declared = declared_target(column.declared)
    declared_kind = declared.kind if declared else None
    present = [v for v in values if v is not None and v != "" and not (isinstance(v, str) and v in marks)]
    suspects = collections.Counter(v for v in present if isinstance(v, str) and is_well_known_mark(v))
    kinds = collections.Counter(_kind_of(v, declared_kind) for v in present)
    # A well-known mark says nothing about its column: what the other values are is observed, and the marks lower
    # the confidence.
    telling = collections.Counter(kinds)
    telling[Kind.TEXT] -= suspects.total()
    observed, count = _leading_kind(+telling or kinds, declared_kind, confidence)
    if observed is Kind.TEXT and telling:
        count += suspects.total()
    return SampleVerdict(
        rows=len(values),
        missing=len(values) - len(present),
        observed=observed,
        confidence=min(count, len(present)) / len(present) if present else 0.0,
        kinds=dict(kinds),
        missing_marks=dict(suspects),
    )


def _leading_kind(kinds: Mapping[Kind, int], declared: Kind | None, confidence: float) -> tuple[Kind | None, int]:
    """The kind that most values read as, and how many do.

    Whole numbers among numbers count with them, and bare dates among timestamps.
    """
    total = sum(kinds.values())
    if not total:
        return None, 0
    dates = sum(kinds.get(k, 0) for k in DATE_KINDS)
    if dates and (declared in DATE_KINDS or dates / total >= confidence):
        plain = [k for k in (Kind.TIMESTAMPTZ, Kind.TIMESTAMP, Kind.DATE) if kinds.get(k)]
        return (plain[0] if len(plain) == 1 else Kind.TIMESTAMP), dates
    # Dates that fall short of the confidence are texts: every text is a text.
    texts = dates + kinds.get(Kind.TEXT, 0)
    numbers = kinds.get(Kind.INTEGER, 0) + kinds.get(Kind.DOUBLE, 0)
    merged = {kind: count for kind, count in kinds.items() if kind not in DATE_KINDS | _NUMBERS | {Kind.TEXT}}
    if texts:
        merged[Kind.TEXT] = texts
    if numbers:
        merged[_number_kind(kinds, declared)] = numbers
    return max(merged.items(), key=lambda item: item[1])


def _number_kind(kinds: Mapping[Kind, int], declared: Kind | None) -> Kind:
    if declared is Kind.NUMERIC:
        return Kind.NUMERIC
    return Kind.DOUBLE if kinds.get(Kind.DOUBLE) else Kind.INTEGER


def _kind_of(value: object, declared: Kind | None) -> Kind:
    """What one value is.  Digits in a text column are text; a number is never a date unasked."""
    if isinstance(value, bytes):
        return Kind.BYTES
    if isinstance(value, (int, float)):
        if declared is Kind.BOOLEAN and value in (0, 1):
            return Kind.BOOLEAN
        return Kind.INTEGER if isinstance(value, int) else Kind.DOUBLE
    text = str(value)
    if declared in DATE_KINDS or (declared in (Kind.TEXT, None) and not text.isdigit()):
        return _date_kind(text) or Kind.TEXT
    return declared if declared is not None and _reads_as(text, declared) else Kind.TEXT


def _date_kind(text: str) -> Kind | None:
    reading = read_date(text)
    if reading is None:
        return None
    if reading.offset_minutes is not None:
        return Kind.TIMESTAMPTZ
    return Kind.TIMESTAMP if reading.has_time else Kind.DATE


def _reads_as(text: str, declared: Kind) -> bool:
    """True for a text that is what only a declaration can ask for: truth, time, UUID, JSON."""
    match declared:
        case Kind.BOOLEAN:
            return text.lower() in _TRUTHS
        case Kind.TIME:
            return _TIME.fullmatch(text) is not None
        case Kind.UUID:
            # PostgreSQL writes a UUID in lower case: another spelling would come back changed.
            return _UUID.fullmatch(text) is not None
        case Kind.JSON | Kind.JSONB:
            return _is_json(text)
        case _:
            return False


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True
