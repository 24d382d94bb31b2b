"""Aggregates of one column, as both sides compute them, in a form that can be compared.

Which measures a kind has, and how exactly they must agree.  Pure.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping

from sdetl_engine.values.types import DATE_KINDS, Kind

_RELATIVE = 1e-9
"""Sums of doubles depend on the order of addition; everything else must agree exactly."""


class Measure(enum.StrEnum):
    """What is measured of a column."""

    PRESENT = "present"
    SMALLEST = "smallest"
    LARGEST = "largest"
    TOTAL = "total"
    LENGTH = "length"
    DISTINCT = "distinct"


_MEASURES: Mapping[Kind, tuple[Measure, ...]] = {
    Kind.INTEGER: (Measure.PRESENT, Measure.SMALLEST, Measure.LARGEST, Measure.TOTAL, Measure.DISTINCT),
    Kind.DOUBLE: (Measure.PRESENT, Measure.SMALLEST, Measure.LARGEST, Measure.TOTAL, Measure.DISTINCT),
    Kind.NUMERIC: (Measure.PRESENT, Measure.SMALLEST, Measure.LARGEST, Measure.TOTAL),
    Kind.BOOLEAN: (Measure.PRESENT, Measure.TOTAL),
    Kind.TEXT: (Measure.PRESENT, Measure.SMALLEST, Measure.LARGEST, Measure.LENGTH, Measure.DISTINCT),
    Kind.BYTES: (Measure.PRESENT, Measure.LENGTH),
    Kind.JSON: (Measure.PRESENT, Measure.LENGTH),
    Kind.JSONB: (Measure.PRESENT,),
    Kind.UUID: (Measure.PRESENT,),
    Kind.TIME: (Measure.PRESENT,),
}
_OF_DATES = (Measure.PRESENT, Measure.SMALLEST, Measure.LARGEST, Measure.TOTAL, Measure.DISTINCT)
TEXT_LENGTH = 100
"""Smallest and largest texts are compared by their first so many characters."""


def measures_of(kind: Kind, *, rendered: bool) -> tuple[Measure, ...]:
    """The measures of a kind.  ``rendered``: numbers were written as text on the way, so only their count compares."""
    if kind in DATE_KINDS:
        return _OF_DATES
    return (Measure.PRESENT,) if rendered else _MEASURES[kind]


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnAggregate:
    """One column, measured on one side.  Numbers as int or float, texts as str, None where there is no value."""

    column: str
    kind: Kind
    values: Mapping[Measure, int | float | str | None]

    def as_text(self) -> dict[str, str | None]:
        """For showing and keeping."""
        return {str(m): None if v is None else str(v) for m, v in self.values.items()}

    def differs(self, other: ColumnAggregate) -> tuple[str, ...]:
        """The measures that do not agree."""
        return tuple(str(m) for m, v in self.values.items() if not _agree(self.kind, m, v, other.values.get(m)))


def _agree(kind: Kind, measure: Measure, one: object, other: object) -> bool:
    inexact = kind is Kind.NUMERIC or (kind is Kind.DOUBLE and measure is Measure.TOTAL)
    if inexact and isinstance(one, (int, float)) and isinstance(other, (int, float)):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other or math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=1e-6)
    return one == other
