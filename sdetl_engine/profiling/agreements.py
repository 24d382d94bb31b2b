"""What a column could mean if the operator agreed to it, and what an agreement brings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sdetl_engine.findings import Finding, Severity
from sdetl_engine.profiling.subject import Subject
from sdetl_engine.profiling.units import likely_unit, numbers_as_dates
from sdetl_engine.values.agreement import NumberUnit, has_short_year
from sdetl_engine.values.types import DATE_KINDS, Kind

_LARGE = 10**11
"""So large numbers are hardly anything else; of smaller ones the name of the column must say that they are dates."""
_DATED = re.compile(
    "date|time|stamp|(?:_at|_on|_ts)$|created|updated|modified|opened|closed|resolved|seen|visit|expir|since|until",
    re.I,
)
_FIRST_YEAR = "1970"


def findings_of_agreement(subject: Subject, *, is_key: bool) -> Iterator[Finding]:
    """What may be agreed about the column, or what was and what came of it.  ``is_key``: nothing can be agreed."""
    if not is_key and not subject.verdict.agreement and subject.kind not in DATE_KINDS:
        yield from _of_numbers(subject)
        yield from _of_short_years(subject)
    yield from _of_clocks(subject)
    if subject.facts.decoded:
        said = (
            f"{subject.facts.decoded:,} texts of {subject.name} that PostgreSQL cannot hold are decoded as was stated"
        )
        yield subject.finding("TEXT-DECODED", subject.facts.decoded, said, "nothing to do: each is in the ledger")


def _of_numbers(subject: Subject) -> Iterator[Finding]:
    """Numbers that all would be dates of our time.  They are none unasked."""
    facts, is_declared = subject.facts, subject.verdict.declared_kind in DATE_KINDS
    unit = likely_unit(facts)
    if unit is None or not (is_declared or _DATED.search(facts.column) or (facts.smallest_integer or 0) > _LARGE):
        return
    count = facts.present
    what = "dates in digits" if unit is NumberUnit.DIGITS else f"dates in {unit}"
    said = f"all {count:,} numbers of {subject.name} could be {what}; they are loaded as they are"
    severity = Severity.REVIEW if is_declared else None
    advice = f"a number is no date unasked: if they are dates, say {numbers_as_dates(subject.name, unit)}"
    yield subject.finding("DATE-NUMBERS", count, said, advice, severity=severity, suggestion=unit.value)


def _of_short_years(subject: Subject) -> Iterator[Finding]:
    """Texts that would be dates if two digits were a year."""
    facts = subject.facts
    ends = [facts.smallest_text, facts.largest_text, *(facts.few_values or ())]
    shown = [w.value for w in facts.misfit_witnesses or (facts.dates.unreadable_witnesses if facts.dates else ())]
    texts = [text for text in (*ends, *shown) if text]
    if subject.kind is not Kind.TEXT or not texts or not all(map(has_short_year, texts)):
        return
    count = facts.texts - facts.empties
    said = f"the texts of {subject.name} would be dates if it were known to which century their two digits belong"
    option = f"--set 'clean.two_digit_years=[\"{subject.name}={_FIRST_YEAR}\"]'"
    severity = Severity.REVIEW if subject.verdict.declared_kind in DATE_KINDS else None
    advice = f"say with which year the hundred begins that they stand for, e.g. {option}"
    yield subject.finding("DATE-SHORT-YEARS", count, said, advice, severity=severity, suggestion=_FIRST_YEAR)


def _of_clocks(subject: Subject) -> Iterator[Finding]:
    """Times that the clocks of the agreed zone skipped or showed twice."""
    dates, zone = subject.facts.dates, subject.verdict.agreement.zone
    if dates is None or zone is None or not dates.skipped + dates.twice:
        return
    said = (
        f"of the times in {subject.name} the clocks of {zone} never showed {dates.skipped:,} and showed {dates.twice:,} "
        "twice; they are read by standard time"
    )
    yield subject.finding(
        "DATE-CLOCK-CHANGE",
        dates.skipped + dates.twice,
        said,
        "agree, correct the times in the source, or name another zone with clean.time_zones",
        severity=None if dates.skipped else Severity.WARNING,
    )
