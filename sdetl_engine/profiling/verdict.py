"""The verdict on a column: what it is declared as, seems to be, and will be in PostgreSQL.

The sample proposed, every value was asked; here the type is chosen.  A type is only given when every value that is
there can be held exactly, or when nearly all can and the rest may stand in the quarantine.  When in doubt, text:
it loses nothing.
"""

from __future__ import annotations

import dataclasses

from sdetl_engine.profiling.facts import ColumnFacts, SampleVerdict, TypeVerdict
from sdetl_engine.profiling.jury import JuryVerdict, SettledBy, outvoted
from sdetl_engine.profiling.sampling import TRUTH_PAIRS
from sdetl_engine.values.agreement import NOTHING_AGREED, Agreement
from sdetl_engine.values.declared import declared_target
from sdetl_engine.values.schema import Column
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType
from sdetl_engine.wording import counted, inflected

_EXACT_IN_DOUBLE = 2**53
_PAST_BIGINT = 2.0**63
_TEXT = TargetType(Kind.TEXT)
_BYTES = TargetType(Kind.BYTES)


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
    agreement: Agreement

    @property
    def may_hold_null(self) -> bool:
        """True where a value may go to the quarantine and leave NULL behind."""
        return not self.column.not_null and not self.in_key

    @property
    def in_key(self) -> bool:
        return self.is_key or self.column.key_position > 0

    def is_enough(self, misfits: int) -> bool:
        """True when at least the confidence share of the values that are there fit."""
        present = self.facts.present
        return not present or (present - misfits) / present >= self.confidence


@dataclasses.dataclass(frozen=True, slots=True)
class _Chosen:
    target: TargetType
    reason: str
    mismatched: bool = False


def choose_type(
    column: Column,
    sample: SampleVerdict,
    facts: ColumnFacts,
    *,
    is_key: bool,
    confidence: float,
    override: str | None,
    jury: JuryVerdict | None,
    agreement: Agreement = NOTHING_AGREED,
) -> TypeVerdict:
    """The verdict.

    ``is_key``: part of a declared key or relation.  ``confidence``: share (0..1) of the values that must fit.
    ``override``: the type that the plan wants; it wins always.  ``jury``: how day and month were settled.
    ``agreement``: what the operator has agreed about the column's dates; ``facts`` were measured by it.
    Raises ValueError when the override is no type.
    """
    declared = declared_target(column.declared)
    case = _Case(column, sample, facts, declared, is_key, confidence, jury, agreement)
    chosen = _chosen(case) if override is None else _overridden(case, TargetType.parse(override))
    declared_kind = declared.kind if declared else None
    # An undated column has no corrupt dates, whatever the sample took it for.
    is_dated = chosen.target.kind in DATE_KINDS or (override is None and declared_kind in DATE_KINDS)
    return TypeVerdict(
        table=facts.table,
        column=facts.column,
        declared=column.declared,
        declared_kind=declared_kind,
        observed=sample.observed,
        confidence=sample.confidence,
        chosen=chosen.target.sql,
        reason=chosen.reason,
        mismatched=chosen.mismatched,
        corrupt_dates=_corrupt_dates(case) if is_dated else 0,
        day_first=jury.day_first if jury is not None else None,
        agreement=agreement,
    )


def misfits_of(facts: ColumnFacts, kind: Kind) -> int:
    """How many values that are there ``kind`` cannot hold exactly, not even after a cleaning rule.

    Exact when the scan asked about this very kind; else by storage class, and at worst every value.
    """
    if kind is Kind.BYTES:
        return 0
    if facts.proposed is kind:
        return facts.misfits
    match kind:
        case Kind.TEXT:
            return min(facts.present, facts.blobs + facts.with_nul + facts.invalid_utf8)
        case Kind.INTEGER:
            return _strangers(facts) + facts.reals - facts.whole_reals
        case Kind.DOUBLE:
            return _strangers(facts)
        case Kind.NUMERIC:
            return _strangers(facts) + facts.infinities
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ if facts.dates is not None:
            return facts.dates.unreadable + facts.dates.numeric + facts.blobs
        case _:
            return facts.present


def _strangers(facts: ColumnFacts) -> int:
    """Values among numbers that are none."""
    return facts.texts - facts.empties + facts.blobs


def _overridden(case: _Case, target: TargetType) -> _Chosen:
    misfits = misfits_of(case.facts, target.kind)
    return _Chosen(
        target,
        "the plan says so"
        + (f"; {counted(misfits, 'value')} {inflected(misfits, 'does', 'do')} not fit it" if misfits else ""),
    )


def _chosen(case: _Case) -> _Chosen:
    if case.facts.present == 0:
        return _Chosen(case.declared or _TEXT, "there is no value; the declaration stands")
    if case.agreement:
        return _agreed_date(case)
    if case.declared is None:
        return _by_data(case)
    match case.declared.kind:
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:
            return _declared_date(case)
        case Kind.TEXT:
            return _declared_text(case)
        case Kind.INTEGER | Kind.DOUBLE | Kind.NUMERIC:
            return _declared_number(case, case.declared)
        case Kind.BYTES:
            return _declared_bytes(case)
        case Kind.BOOLEAN:
            return _declared_boolean(case)
        case _:
            return _declared_other(case, case.declared)


# Dates


def _declared_date(case: _Case) -> _Chosen:
    unreadable = _corrupt_dates(case)
    if case.is_enough(unreadable):
        return _dates(case, unreadable)
    if case.facts.integers == case.facts.present:
        return _Chosen(TargetType(Kind.INTEGER), "declared a date, but every value is a number: kept", mismatched=True)
    return _Chosen(
        _fallback(case),
        f"{counted(unreadable, 'value')} {inflected(unreadable, 'is', 'are')} no dates: kept as they are",
        mismatched=True,
    )


def _agreed_date(case: _Case) -> _Chosen:
    """Dates by agreement: then the declared type says nothing any more."""
    unreadable = _corrupt_dates(case)
    if case.is_enough(unreadable):
        return _dates(case, unreadable)
    said = f"{counted(unreadable, 'value')} {inflected(unreadable, 'is', 'are')} no dates, not even as it was agreed: kept as they are"
    kept = TargetType(Kind.INTEGER) if case.facts.integers == case.facts.present else _fallback(case)
    return _Chosen(kept, said, mismatched=True)


def _dates(case: _Case, unreadable: int) -> _Chosen:
    """A column of dates: which date type, once day and month are settled."""
    dates = case.facts.dates
    if dates is None:
        return _Chosen(_fallback(case), "no dates were counted: kept as they are")
    if case.jury is not None and case.jury.settled_by is SettledBy.NOBODY:
        return _Chosen(_fallback(case), f"day and month cannot be told apart ({case.jury.sentence}): kept as text")
    if unreadable and not case.may_hold_null:
        said = f"{counted(unreadable, 'value')} {inflected(unreadable, 'is', 'are')} no dates and the column takes no NULL: kept as they are"
        return _Chosen(_fallback(case), said)
    readable = dates.iso + dates.convertible
    if 0 < dates.with_offset < readable:
        said = f"{counted(dates.with_offset, 'value')} {inflected(dates.with_offset, 'has', 'have')} a time zone and the others none: kept as text"
        return _Chosen(_fallback(case), said)
    rest = f"; {unreadable:,} others go to the quarantine" if unreadable else ""
    if dates.with_offset:
        return _Chosen(TargetType(Kind.TIMESTAMPTZ), f"every date has a time zone{rest}")
    asked = case.declared.kind if case.declared else None
    if dates.date_only == readable and asked not in (Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
        return _Chosen(TargetType(Kind.DATE), f"{counted(readable, 'date')} without a time{rest}")
    return _Chosen(TargetType(Kind.TIMESTAMP), f"{counted(readable, 'date')}{rest}")


def _corrupt_dates(case: _Case) -> int:
    """Non-missing values of a date column that no accepted format reads, those of the outvoted order included."""
    dates = case.facts.dates
    if dates is None:
        return 0
    return dates.unreadable + dates.numeric + case.facts.blobs + outvoted(dates, case.jury)


# Texts


def _fallback(case: _Case) -> TargetType:
    """What holds every value as it is: text, or bytes where there are BLOBs."""
    return _BYTES if case.facts.blobs else _TEXT


def _declared_text(case: _Case) -> _Chosen:
    facts = case.facts
    if facts.blobs:
        return _text_with_blobs(case)
    if case.sample.observed not in DATE_KINDS or facts.dates is None:
        return _Chosen(_TEXT, "declared text" if case.declared else "every value is text")
    unreadable = _corrupt_dates(case)
    if not case.is_enough(unreadable):
        return _Chosen(
            _TEXT, f"{counted(unreadable, 'value')} {inflected(unreadable, 'is', 'are')} no dates: kept as text"
        )
    if case.in_key:
        return _Chosen(_TEXT, "dates, but part of a key: kept as text so that keys stay as they are")
    if case.column.not_null and facts.empties:
        return _Chosen(_TEXT, "dates, but NOT NULL and empty in places: kept as text")
    return _dates(case, unreadable)


def _text_with_blobs(case: _Case) -> _Chosen:
    blobs = case.facts.blobs
    if case.is_enough(blobs) and case.may_hold_null:
        return _Chosen(_TEXT, f"text; {counted(blobs, 'binary value')} go to the quarantine")
    return _Chosen(_BYTES, f"{counted(blobs, 'value')} {inflected(blobs, 'is', 'are')} binary: kept as bytes")


def _declared_bytes(case: _Case) -> _Chosen:
    if not misfits_of(case.facts, Kind.TEXT) and not case.facts.integers and not case.facts.reals:
        return _Chosen(_TEXT, "declared binary, but every value is text: kept as text, nothing is decoded by guess")
    return _Chosen(_BYTES, "binary values")


# Numbers


def _declared_number(case: _Case, declared: TargetType) -> _Chosen:
    strangers = _strangers(case.facts)
    if not strangers:
        return _number(case, declared)
    if not case.is_enough(strangers):
        return _Chosen(
            _fallback(case),
            f"{counted(strangers, 'value')} {inflected(strangers, 'is', 'are')} no numbers: kept as they are",
            mismatched=True,
        )
    if not case.may_hold_null:
        said = f"{counted(strangers, 'value')} {inflected(strangers, 'is', 'are')} no numbers and the column takes no NULL: kept as they are"
        return _Chosen(_fallback(case), said)
    number = _number(case, declared)
    return _Chosen(number.target, f"{number.reason}; {strangers:,} others go to the quarantine")


def _number(case: _Case, declared: TargetType) -> _Chosen:
    """The declared number type, widened until every number fits exactly."""
    facts = case.facts
    if facts.infinities:
        if _fits_double(facts):
            return _Chosen(
                TargetType(Kind.DOUBLE),
                f"{counted(facts.infinities, 'value')} {inflected(facts.infinities, 'is', 'are')} infinite",
            )
        return _Chosen(_fallback(case), "infinite values beside integers that no double holds: kept as text")
    match declared.kind:
        case Kind.INTEGER if not facts.reals or _is_integral(facts):
            return _Chosen(declared, "every value is an integer")
        case Kind.NUMERIC:
            return _numeric(case, declared)
        case _ if _fits_double(facts):
            return _Chosen(TargetType(Kind.DOUBLE), "every value is a number")
        case _:
            return _Chosen(TargetType(Kind.NUMERIC), "numbers that no double holds exactly")


def _numeric(case: _Case, declared: TargetType) -> _Chosen:
    """``numeric(p,s)`` only where it is proved that it changes no value: PostgreSQL would round to ``s`` digits."""
    if declared.precision is None:
        return _Chosen(declared, "every value is a number")
    if _fits_size(case, declared.precision, declared.scale or 0):
        return _Chosen(declared, f"every value fits {declared}")
    return _Chosen(TargetType(Kind.NUMERIC), f"not every value is known to fit {declared}: kept with all its digits")


def _fits_size(case: _Case, precision: int, scale: int) -> bool:
    facts = case.facts
    whole = 10 ** (precision - scale)
    ends = [facts.smallest_integer, facts.largest_integer, facts.smallest_real, facts.largest_real]
    if _strangers(facts) or any(abs(n) >= whole for n in ends if n is not None):
        return False
    return facts.most_decimals is not None and facts.most_decimals <= scale


def _is_integral(facts: ColumnFacts) -> bool:
    """True when every REAL is a whole number that 64 bits hold."""
    ends = (facts.smallest_real or 0.0, facts.largest_real or 0.0)
    return facts.whole_reals == facts.reals and ends[0] >= -_PAST_BIGINT and ends[1] < _PAST_BIGINT


def _fits_double(facts: ColumnFacts) -> bool:
    """True when every integer of the column is exact as a double."""
    largest = max(abs(facts.smallest_integer or 0), abs(facts.largest_integer or 0))
    return largest <= _EXACT_IN_DOUBLE


# What only a declaration can ask for


def _declared_boolean(case: _Case) -> _Chosen:
    """Boolean only when the whole set of values is a known pair, or the few others may go to the quarantine."""
    facts = case.facts
    others = _others_than_a_pair(facts)
    if others == 0:
        return _Chosen(TargetType(Kind.BOOLEAN), "the values are a known pair of true and false")
    if facts.integers == facts.present:
        return _Chosen(TargetType(Kind.INTEGER), "declared boolean, but more than 0 and 1: kept as numbers")
    if others is not None and case.is_enough(others) and case.may_hold_null:
        said = f"a known pair of true and false; {others:,} others go to the quarantine"
        return _Chosen(TargetType(Kind.BOOLEAN), said)
    misfits = misfits_of(facts, Kind.BOOLEAN)
    said = f"{counted(misfits, 'value')} {inflected(misfits, 'does', 'do')} not belong to the pair of true and false that most are of: kept as they are"
    return _Chosen(_fallback(case), said, mismatched=not case.is_enough(misfits))


def _others_than_a_pair(facts: ColumnFacts) -> int | None:
    """Values beside one known pair; None when that is unknown, or when some of them belong to another pair."""
    if facts.few_values is None or facts.blobs or facts.reals or facts.proposed is not Kind.BOOLEAN:
        return None
    values = {v.lower() for v in facts.few_values if v}
    truths = set().union(*TRUTH_PAIRS) & values
    if not truths or not any(truths <= pair for pair in TRUTH_PAIRS):
        return None
    return facts.misfits if values - truths else 0


def _declared_other(case: _Case, declared: TargetType) -> _Chosen:
    """JSON, UUID, TIME: only when every value is one."""
    # jsonb sorts keys and drops repeated ones; json keeps every document as it is written.
    target = TargetType(Kind.JSON) if declared.kind is Kind.JSONB else declared
    misfits = misfits_of(case.facts, target.kind)
    respelt = case.facts.respelt
    if misfits == 0 and not respelt:
        return _Chosen(target, f"every value is a {target}")
    said = (
        f"{counted(misfits, 'value')} {inflected(misfits, 'is', 'are')} no {target}"
        if misfits
        else f"{counted(respelt, 'value')} {inflected(respelt, 'is', 'are')} no {target} as PostgreSQL writes it"
    )
    return _Chosen(_fallback(case), f"{said}: kept as they are", mismatched=not case.is_enough(misfits))


# No declared type


def _by_data(case: _Case) -> _Chosen:
    """What every value is."""
    facts = case.facts
    texts = facts.texts - (facts.empties if facts.proposed is not Kind.TEXT else 0)
    if texts == facts.present:
        return _declared_text(case)
    if facts.blobs == facts.present:
        return _Chosen(_BYTES, "every value is binary")
    if facts.integers == facts.present:
        return _Chosen(TargetType(Kind.INTEGER), "every value is an integer")
    if facts.integers + facts.reals == facts.present:
        return _number(case, TargetType(Kind.DOUBLE))
    if facts.blobs:
        return _Chosen(_BYTES, "binary values among others: kept as bytes")
    return _Chosen(_TEXT, "values of several kinds: kept as text")
