"""What numbers would count if they were dates.  They are none unasked."""

from __future__ import annotations

from sdetl_engine.profiling.facts import ColumnFacts
from sdetl_engine.values.agreement import Agreement, NumberUnit

_FIRST, _LAST = 631_152_000, 4_102_444_800
"""1990 and 2100 in seconds since 1970: dates of a service desk lie between them."""
_SPANS: tuple[tuple[NumberUnit, float, float], ...] = (
    (NumberUnit.SECONDS, _FIRST, _LAST),
    (NumberUnit.MILLISECONDS, _FIRST * 10**3, _LAST * 10**3),
    (NumberUnit.MICROSECONDS, _FIRST * 10**6, _LAST * 10**6),
    (NumberUnit.NANOSECONDS, _FIRST * 10**9, _LAST * 10**9),
    (NumberUnit.JULIAN_DAYS, 2_447_892.5, 2_488_069.5),
    (NumberUnit.DIGITS, 19_900_101, 20_991_232),
    (NumberUnit.DIGITS, 19_900_101_000_000, 20_991_232_000_000),
)


def likely_unit(facts: ColumnFacts) -> NumberUnit | None:
    """What all numbers of the column would count if they were dates of our time; None when they cannot be."""
    numbers = _ends_of_digits(facts) if facts.texts > facts.empties else _ends(facts)
    if not numbers or facts.infinities:
        return None
    for unit, first, last in _SPANS:
        if first <= min(numbers) and max(numbers) < last and all(Agreement(unit).read(n, None) for n in numbers):
            return unit
    return None


def numbers_as_dates(column: str, unit: NumberUnit) -> str:
    """The option that agrees to it, for a column spelled ``table.column``."""
    return f"--set 'clean.numbers_as_dates=[\"{column}={unit}\"]'"


def _ends(facts: ColumnFacts) -> list[int | float]:
    """The smallest and the largest number, where there is nothing else."""
    if facts.integers + facts.reals < facts.rows - facts.nulls - facts.marked - facts.empties:
        return []
    ends = (facts.smallest_integer, facts.largest_integer, facts.smallest_real, facts.largest_real)
    return [n for n in ends if n is not None]


def _ends_of_digits(facts: ColumnFacts) -> list[int | float]:
    """The same of texts that are all digits; those of one length have the order of their numbers."""
    is_all = facts.digit_texts == facts.rows - facts.nulls - facts.marked and not facts.leading_zeros
    if not is_all or facts.shortest != facts.longest or facts.smallest_text is None or facts.largest_text is None:
        return []
    return [int(text) for text in (facts.smallest_text, facts.largest_text) if len(text) < 20]
