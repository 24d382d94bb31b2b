"""One query asked on two versions, and the two answers beside each other: equal, or changed in what.

Rows are compared without regard to their order, unless the query orders them.  Numbers are equal up to the noise of
floating point; times up to the seconds that lie between the two questions.  What is said of a difference names columns
and counts, never a value.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections import Counter
from collections.abc import Sequence

from sdetl_engine.grafana.answers import Answer, ColumnKind, Row
from sdetl_engine.grafana.shape import QueryShape
from sdetl_engine.wording import counted as many

FAILED_BEFORE = "it failed before, too"
_NOISE = 1e-9
_MOST_NAMED = 4


class TwinVerdict(enum.StrEnum):
    """How the second answer compares with the first."""

    EQUAL = "equal"
    CHANGED = "changed"
    EMPTY = "empty"
    """There is nothing to show any more."""
    BROKEN = "broken"
    FIXED = "fixed"
    """It failed before and works now."""
    UNKNOWN = "unknown"
    """Not all of it could be compared, and what could is equal."""


@dataclasses.dataclass(frozen=True, slots=True)
class Contrast:
    """What came of comparing two answers.

    ``how``: the differences, one phrase each.  ``size``: the largest share (of rows, of a column's total, of its
    missing values) by which the second differs; infinite when its columns are others, which no data explain.
    ``only_order``: the rows are the same, in another order.
    """

    verdict: TwinVerdict
    how: tuple[str, ...] = ()
    size: float = 0.0
    only_order: bool = False


def contrast(before: Answer, after: Answer, shape: QueryShape, *, seconds_apart: float = 0.0) -> Contrast:
    """Compare two answers to the same query.  ``seconds_apart``: between the questions, when "now" was not the same."""
    if not after.ok:
        return Contrast(TwinVerdict.BROKEN, () if before.ok else (FAILED_BEFORE,))
    if not before.ok:
        return Contrast(TwinVerdict.FIXED, ("it failed before",))
    if after.is_empty and not before.is_empty:
        return Contrast(TwinVerdict.EMPTY, (f"nothing to show instead of {_rows(before.rows)}",), 1.0)
    if before.rows == 0 and after.rows > 0:
        return Contrast(TwinVerdict.CHANGED, (f"{_rows(after.rows)} instead of none",))
    columns = _columns(before, after)
    rows = (f"{_rows(after.rows)} instead of {before.rows:,}",) if before.rows != after.rows else ()
    if columns:
        return Contrast(TwinVerdict.CHANGED, (*columns, *rows), math.inf)
    if not (before.is_whole and after.is_whole):
        counted = Contrast(TwinVerdict.CHANGED, rows, _share(before.rows, after.rows))
        return (
            counted
            if rows
            else Contrast(TwinVerdict.UNKNOWN, (f"only the first {many(len(before.values), 'row')} kept",))
        )
    return _values(before, after, shape, seconds_apart, rows)


def _values(before: Answer, after: Answer, shape: QueryShape, seconds_apart: float, rows: tuple[str, ...]) -> Contrast:
    same = _Same(before.kinds, seconds_apart)
    old, new = same.without_equals(before.values, after.values)
    if not old and not new:
        if same.is_ordered_alike(before, after, shape):
            return Contrast(TwinVerdict.EQUAL)
        return Contrast(TwinVerdict.CHANGED, ("the same rows in another order",), only_order=True)
    names = [name for place, name in enumerate(before.columns) if not same.in_column(place, old, new)]
    named = ", ".join(names[:_MOST_NAMED]) + (" ..." if len(names) > _MOST_NAMED else "")
    many = max(len(old), len(new))
    differ = f"{_rows(many)} {'differs' if many == 1 else 'differ'}" + (f" in {named}" if named else "")
    return Contrast(TwinVerdict.CHANGED, (*rows, differ), _size(before, after))


def _columns(before: Answer, after: Answer) -> tuple[str, ...]:
    """How the columns differ."""
    said = [f"column {name} is gone" for name in before.columns if name not in after.columns]
    said += [f"column {name} is new" for name in after.columns if name not in before.columns]
    if not said and before.columns != after.columns:
        return ("its columns stand in another order",)
    if not said:
        pairs = zip(before.columns, before.kinds, after.kinds, strict=True)
        said = [f"column {name} is {new} instead of {old}" for name, old, new in pairs if old is not new]
    return tuple(said)


def _size(before: Answer, after: Answer) -> float:
    """By what share the second answer differs at most: in rows, a column's missing values, or a column's total."""
    sizes = [_share(before.rows, after.rows)]
    for place, kind in enumerate(before.kinds):
        old, new = ([row[place] for row in side.values] for side in (before, after))
        sizes.append(abs(_missing(old) - _missing(new)))
        if kind is ColumnKind.NUMBER:
            sizes.append(_share(_total(old), _total(new)))
    return max(sizes)


def _rows(number: int) -> str:
    return many(number, "row")


def _share(before: float, after: float) -> float:
    """A change as a share of what was; from nothing there is no share."""
    if before == 0 or not (math.isfinite(before) and math.isfinite(after)):
        return 0.0
    return abs(after - before) / abs(before)


def _missing(values: Sequence[str | None]) -> float:
    return sum(value is None for value in values) / len(values) if values else 0.0


def _total(values: Sequence[str | None]) -> float:
    return sum(number for value in values if value is not None and math.isfinite(number := _number(value)))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


class _Same:
    """When two values, rows or columns of the given kinds are the same."""

    def __init__(self, kinds: Sequence[ColumnKind], seconds_apart: float) -> None:
        self._kinds = kinds
        self._apart = seconds_apart * 1000

    def without_equals(self, before: Sequence[Row], after: Sequence[Row]) -> tuple[list[Row], list[Row]]:
        """The rows of each side that have no equal on the other."""
        counted, other = Counter(before), Counter(after)
        old = sorted((counted - other).elements(), key=self._key)
        new = sorted((other - counted).elements(), key=self._key)
        if len(old) == len(new):
            pairs = [(a, b) for a, b in zip(old, new, strict=True) if not self._rows(a, b)]
            return [a for a, _ in pairs], [b for _, b in pairs]
        return old, new

    def in_column(self, place: int, before: Sequence[Row], after: Sequence[Row]) -> bool:
        """True when a column holds the same values on both sides, in whatever order."""
        if len(before) != len(after):
            return False
        kind = self._kinds[place]
        old, new = (sorted((row[place] for row in side), key=lambda v: _sortable(v, kind)) for side in (before, after))
        return all(self._value(a, b, kind) for a, b in zip(old, new, strict=True))

    def is_ordered_alike(self, before: Answer, after: Answer, shape: QueryShape) -> bool:
        """True when the rows stand in the same order as far as the query fixes it: rows of equal keys may change places."""
        if shape.order is None:
            places: Sequence[int] = range(len(before.columns))
        else:
            places = [key if isinstance(key, int) else _place(before.columns, key) for key in shape.order]
        if any(not 0 <= place < len(before.columns) for place in places):
            places = range(len(before.columns))
        return all(
            self._value(a[place], b[place], self._kinds[place])
            for a, b in zip(before.values, after.values, strict=True)
            for place in places
        )

    def _key(self, row: Row) -> tuple[object, ...]:
        """Texts first: they tell rows apart better than numbers, whose noise would pair them wrongly."""
        pairs = list(zip(row, self._kinds, strict=True))
        texts = [_sortable(v, k) for v, k in pairs if k is not ColumnKind.NUMBER]
        return (*texts, *(_sortable(v, k) for v, k in pairs if k is ColumnKind.NUMBER))

    def _rows(self, before: Row, after: Row) -> bool:
        return all(self._value(a, b, kind) for a, b, kind in zip(before, after, self._kinds, strict=True))

    def _value(self, before: str | None, after: str | None, kind: ColumnKind) -> bool:
        if before == after:
            return True
        if before is None or after is None or kind not in (ColumnKind.NUMBER, ColumnKind.TIME):
            return False
        old, new = _number(before), _number(after)
        if kind is ColumnKind.TIME:
            return abs(old - new) <= self._apart
        return math.isclose(old, new, rel_tol=_NOISE, abs_tol=_NOISE * 1e-3)


def _sortable(value: str | None, kind: ColumnKind) -> tuple[bool, float, str]:
    """Missing values first; numbers by size, what is no number after them."""
    if value is None:
        return (False, 0.0, "")
    number = _number(value) if kind is ColumnKind.NUMBER else math.nan
    return (True, math.inf, value) if math.isnan(number) else (True, number, "")


def _place(columns: Sequence[str], name: str) -> int:
    return columns.index(name) if name in columns else -1
