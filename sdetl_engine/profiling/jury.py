"""The day/month jury: whether a column's dates are day first, decided by all its values together.

One value over 12 settles a column.  Two that contradict each other are a finding.  None at all: the neighbours in
the same table are heard as witnesses; when they do not help either, the operator decides.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from sdetl_engine.profiling.facts import DateFacts


class SettledBy(enum.StrEnum):
    """What settled the order of day and month."""

    NOTHING_TO_SETTLE = "nothing-to-settle"
    VALUES = "values"
    NEIGHBOURS = "neighbours"
    OPERATOR = "operator"
    NOBODY = "nobody"


@dataclasses.dataclass(frozen=True, slots=True)
class JuryVerdict:
    """``day_first`` is None when nothing had to be settled, or nobody could."""

    day_first: bool | None
    settled_by: SettledBy
    conflict: bool
    sentence: str


def day_first(dates: DateFacts, neighbours: Sequence[DateFacts], *, decided: bool | None) -> JuryVerdict:
    """The verdict on one column.  ``decided`` is what the operator said, which wins over everything."""
    witnesses = (
        f"{dates.day_first_only:,} values prove day first, {dates.month_first_only:,} prove month first, "
        f"{dates.either:,} could be either"
    )
    conflict = bool(dates.day_first_only and dates.month_first_only)
    if not (dates.day_first_only or dates.month_first_only or dates.either):
        return JuryVerdict(None, SettledBy.NOTHING_TO_SETTLE, False, "every date is written without doubt")
    if decided is not None:
        order = "day" if decided else "month"
        return JuryVerdict(decided, SettledBy.OPERATOR, conflict, f"{witnesses}; the operator decided {order} first")
    if conflict:
        return JuryVerdict(None, SettledBy.NOBODY, True, f"{witnesses}: they contradict each other")
    if dates.day_first_only or dates.month_first_only:
        return JuryVerdict(dates.day_first_only > 0, SettledBy.VALUES, False, witnesses)
    heard = {True: sum(n.day_first_only for n in neighbours), False: sum(n.month_first_only for n in neighbours)}
    if bool(heard[True]) != bool(heard[False]):
        is_day_first = heard[True] > 0
        word = "day" if is_day_first else "month"
        said = f"{witnesses}; {heard[is_day_first]:,} dates in neighbouring columns prove {word} first"
        return JuryVerdict(is_day_first, SettledBy.NEIGHBOURS, False, said)
    return JuryVerdict(None, SettledBy.NOBODY, False, f"{witnesses}: nothing decides")
