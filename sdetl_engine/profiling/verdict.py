"""The verdict on a column: what it is declared as, seems to be, and will be in PostgreSQL.

The sample proposed, every value was asked; here the type is chosen.  A type is only given when every value that is
there can be held exactly, or when nearly all can and the rest may stand in the quarantine.  When in doubt, text:
it loses nothing.
"""

from __future__ import annotations

import dataclasses

from sdetl_engine.profiling.facts import ColumnFacts, DateFacts, SampleVerdict, TypeVerdict
from sdetl_engine.profiling.jury import JuryVerdict, SettledBy
from sdetl_engine.profiling.sampling import TRUTH_PAIRS
from sdetl_engine.values.declared import declared_target
from sdetl_engine.values.schema import Column
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

_EXACT_IN_DOUBLE = 2**53


@dataclasses.dataclass(frozen=True, slots=True)
class _Case:
    """One column before the bench."""

    column: Column
    sample: SampleVerdict
    facts: ColumnFacts
    declared: TargetType | None
    is_key: bool
    confidence: float
    jury: JuryVerdict | None

    @property
    def may_hold_null(self) -> bool:
        return not self.column.not_null and not self.column.key_position and not self.is_key

    def readable_share(self, unreadable: int) -> float:
        """Share of the values that are there which are not ``unreadable``; 1 when none is there."""
        return 1.0 - unreadable / self.facts.present if self.facts.present else 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Chosen:
    target: TargetType
    reason: str
    mismatched: bool = False


_TEXT = TargetType(Kind.TEXT)


def choose_type(
    column: Column,
    sample: SampleVerdict,
    facts: ColumnFacts,
    *,
    is_key: bool,
    confidence: float,
    override: str | None,
    jury: JuryVerdict | None,
) -> TypeVerdict:
    """The verdict.  ``is_key``: part of a declared key or relation.  ``override``: the type that the plan wants.

    Raises ValueError when the override is no type.
    """
    declared = declared_target(column.declared)
    case = _Case(column, sample, facts, declared, is_key, confidence, jury)
    chosen = _chosen(case)
    if override is not None:
        chosen = _Chosen(TargetType.parse(override), "the plan says so")
    return TypeVerdict(
        table=facts.table,
        column=facts.column,
        declared=column.declared,
        declared_kind=declared.kind if declared else None,
        observed=sample.observed,
        confidence=sample.confidence,
        chosen=chosen.target.sql,
        reason=chosen.reason,
        mismatched=chosen.mismatched,
        corrupt_dates=_corrupt_dates(case) if override is None or chosen.target.kind in DATE_KINDS else 0,
        day_first=jury.day_first if jury is not None else None,
    )


def _chosen(case: _Case) -> _Chosen:
    if case.facts.present == 0:
        return _Chosen(case.declared or _TEXT, "there is no value; the declaration stands")
    if case.declared is None:
        return _by_data(case)
    match case.declared.kind:
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:
            return _declared_date(case)
        case Kind.TEXT:
            return _declared_text(case)
        case Kind.INTEGER | Kind.DOUBLE | Kind.NUMERIC:
            return _declared_number(case)
        case Kind.BYTES:
            return _declared_bytes(case)
        case _:
            return _declared_other(case)


def _declared_date(case: _Case) -> _Chosen:
    unreadable = _corrupt_dates(case)
    if case.readable_share(unreadable) < case.confidence:
        return _Chosen(_TEXT, f"{unreadable:,} values are no dates: kept as text", mismatched=True)
    return _dates(case, unreadable)


def _declared_text(case: _Case) -> _Chosen:
    if case.facts.blobs:
        return _Chosen(TargetType(Kind.BYTES), "the text column holds binary values: kept as bytes")
    if case.sample.observed not in DATE_KINDS or case.facts.dates is None:
        return _Chosen(_TEXT, "declared text")
    unreadable = _corrupt_dates(case)
    if case.is_key or case.column.key_position:
        return _Chosen(_TEXT, "dates, but part of a key: kept as text so that keys stay as they are")
    if case.column.not_null and case.facts.empties:
        return _Chosen(_TEXT, "dates, but NOT NULL and empty in places: kept as text")
    if case.readable_share(unreadable) < case.confidence:
        return _Chosen(_TEXT, f"{unreadable:,} values are no dates: kept as text")
    return _dates(case, unreadable)


def _dates(case: _Case, unreadable: int) -> _Chosen:
    """A column of dates: which date type, once day and month are settled."""
    dates = case.facts.dates
    if dates is None:
        return _Chosen(_TEXT, "no dates were counted: kept as text")
    if case.jury is not None and case.jury.settled_by is SettledBy.NOBODY:
        return _Chosen(_TEXT, f"day and month cannot be told apart ({case.jury.sentence}): kept as text")
    if unreadable and not case.may_hold_null:
        return _Chosen(_TEXT, f"{unreadable:,} values are no dates and the column takes no NULL: kept as text")
    readable = dates.iso + dates.convertible
    if 0 < dates.with_offset < readable:
        return _Chosen(_TEXT, f"{dates.with_offset:,} values have a time zone and the others none: kept as text")
    rest = f"; {unreadable:,} others go to the quarantine" if unreadable else ""
    if dates.with_offset:
        return _Chosen(TargetType(Kind.TIMESTAMPTZ), f"every date has a time zone{rest}")
    asked = case.declared.kind if case.declared else None
    if dates.date_only == readable and asked is not Kind.TIMESTAMP:
        return _Chosen(TargetType(Kind.DATE), f"{readable:,} dates without a time{rest}")
    return _Chosen(TargetType(Kind.TIMESTAMP), f"{readable:,} dates{rest}")


def _corrupt_dates(case: _Case) -> int:
    """Non-missing values of a date column that no accepted format reads, those of the outvoted order included."""
    dates = case.facts.dates
    if dates is None:
        return 0
    return dates.unreadable + dates.numeric + case.facts.blobs + _outvoted(dates, case.jury)


def _outvoted(dates: DateFacts, jury: JuryVerdict | None) -> int:
    if jury is None or jury.day_first is None:
        return 0
    return dates.month_first_only if jury.day_first else dates.day_first_only


def _declared_number(case: _Case) -> _Chosen:
    assert case.declared is not None
    facts = case.facts
    strangers = facts.texts - facts.empties + facts.blobs
    if strangers:
        share = case.readable_share(strangers)
        if share >= case.confidence and case.may_hold_null and not _has_infinities(case):
            return _Chosen(_number_type(case), f"numbers; {strangers:,} others go to the quarantine")
        return _Chosen(_TEXT, f"{strangers:,} values are no numbers: kept as text", mismatched=share < case.confidence)
    return _Chosen(_number_type(case), "every value is a number")


def _number_type(case: _Case) -> TargetType:
    """The declared number type, widened until every number fits exactly."""
    assert case.declared is not None
    facts = case.facts
    if case.declared.kind is Kind.DOUBLE or _has_infinities(case):
        return TargetType(Kind.DOUBLE) if _fits_double(facts) else TargetType(Kind.NUMERIC)
    if case.declared.kind is Kind.INTEGER:
        if not facts.reals:
            return TargetType(Kind.INTEGER)
        return TargetType(Kind.DOUBLE) if _fits_double(facts) else TargetType(Kind.NUMERIC)
    return case.declared if facts.proposed is Kind.NUMERIC and not facts.misfits else TargetType(Kind.NUMERIC)


def _has_infinities(case: _Case) -> bool:
    return case.facts.infinities > 0


def _fits_double(facts: ColumnFacts) -> bool:
    """True when every integer of the column is exact as a double."""
    largest = max(abs(facts.smallest_integer or 0), abs(facts.largest_integer or 0))
    return largest <= _EXACT_IN_DOUBLE


def _declared_bytes(case: _Case) -> _Chosen:
    facts = case.facts
    if facts.blobs == 0 and not facts.integers and not facts.reals and not facts.with_nul and not facts.invalid_utf8:
        return _Chosen(_TEXT, "declared BLOB, but every value is text: kept as text, nothing is decoded by guess")
    return _Chosen(TargetType(Kind.BYTES), "binary values")


def _declared_other(case: _Case) -> _Chosen:
    """BOOLEAN, JSON, UUID, TIME: only when every value is one."""
    assert case.declared is not None
    facts = case.facts
    if case.declared.kind is Kind.BOOLEAN:
        return _boolean(case)
    if facts.misfits == 0:
        return _Chosen(case.declared, f"every value is a {case.declared}")
    share = case.readable_share(facts.misfits)
    said = f"{facts.misfits:,} values are no {case.declared}"
    return _Chosen(_TEXT, f"{said}: kept as text", mismatched=share < case.confidence)


def _boolean(case: _Case) -> _Chosen:
    facts = case.facts
    values = {v.lower() for v in facts.few_values or () if v}
    if (
        facts.few_values is not None
        and any(values <= pair for pair in TRUTH_PAIRS)
        and not facts.blobs
        and not facts.reals
    ):
        return _Chosen(TargetType(Kind.BOOLEAN), "the values are a known pair of true and false")
    if facts.integers == facts.present:
        return _Chosen(TargetType(Kind.INTEGER), "declared boolean, but more than 0 and 1: kept as numbers")
    share = case.readable_share(facts.misfits)
    return _Chosen(
        _TEXT, "declared boolean, but no known pair of values: kept as text", mismatched=share < case.confidence
    )


def _by_data(case: _Case) -> _Chosen:
    """No declared type: what every value is."""
    facts = case.facts
    if facts.texts and facts.texts >= facts.present:
        return _declared_text(case) if not facts.with_nul else _Chosen(_TEXT, "every value is text")
    if facts.integers == facts.present:
        return _Chosen(TargetType(Kind.INTEGER), "every value is an integer")
    if facts.integers + facts.reals == facts.present:
        kind = Kind.DOUBLE if _fits_double(facts) else Kind.NUMERIC
        return _Chosen(TargetType(kind), "every value is a number")
    if facts.blobs == facts.present:
        return _Chosen(TargetType(Kind.BYTES), "every value is binary")
    if facts.blobs:
        return _Chosen(TargetType(Kind.BYTES), "binary values among others: kept as bytes")
    return _Chosen(_TEXT, "values of several kinds: kept as text")
