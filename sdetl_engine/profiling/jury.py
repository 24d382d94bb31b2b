"""The day/month jury: whether a column's dates are day first, decided by all its values together.

One value over 12 settles a column.  Two that contradict each other are a finding.  None at all: the neighbours in
the same table are heard as witnesses; when they do not help either, the operator decides.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from sdetl_engine.profiling.facts import DateFacts
from sdetl_engine.wording import counted, inflected


class SettledBy(enum.StrEnum):
    """What settled the order of day and month."""

    NOTHING_TO_SETTLE = "nothing-to-settle"
    VALUES = "values"
    NEIGHBOURS = "neighbours"
    OPERATOR = "operator"
    NOBODY = "nobody"


@dataclasses.dataclass(frozen=True, slots=True)
class JuryVerdict:
    """``day_first`` is None when nothing had to be settled, or nobody could.

    ``conflict``: some values prove day first and others month first, whoever settled it.
    """

    day_first: bool | None
    settled_by: SettledBy
    conflict: bool
    sentence: str


def day_first(dates: DateFacts, neighbours: Sequence[DateFacts], *, decided: bool | None) -> JuryVerdict:
    """The verdict on one column.

    ``neighbours``: the other date columns of the table.  ``decided`` is what the operator said, which wins over
    everything; None when nothing was said.
    """
    conflict = bool(dates.day_first_only and dates.month_first_only)
    witnesses = (
        f"{counted(dates.day_first_only, 'value')} {inflected(dates.day_first_only, 'proves', 'prove')} day first, {dates.month_first_only:,} prove month first, "
        f"{dates.either:,} could be either"
    )
    if not (dates.day_first_only or dates.month_first_only or dates.either):
        return JuryVerdict(None, SettledBy.NOTHING_TO_SETTLE, False, "every date is written without doubt")
    if decided is not None:
        said = f"{witnesses}; the operator decided {_order(decided)}"
        return JuryVerdict(decided, SettledBy.OPERATOR, conflict, said)
    if conflict:
        return JuryVerdict(None, SettledBy.NOBODY, True, f"{witnesses}: they contradict each other")
    if dates.day_first_only or dates.month_first_only:
        return JuryVerdict(dates.day_first_only > 0, SettledBy.VALUES, False, witnesses)
    return _hear_neighbours(neighbours, witnesses)


def outvoted(dates: DateFacts, verdict: JuryVerdict | None) -> int:
    """Values that only the other order than the settled one can read."""
    return outvoted_by(dates, verdict.day_first if verdict is not None else None)


def outvoted_by(dates: DateFacts, is_day_first: bool | None) -> int:
    """Values that only the other order can read; none while the order is None."""
    if is_day_first is None:
        return 0
    return dates.month_first_only if is_day_first else dates.day_first_only


def _hear_neighbours(neighbours: Sequence[DateFacts], witnesses: str) -> JuryVerdict:
    """The neighbours help when all that prove anything prove the same."""
    heard = {True: sum(n.day_first_only for n in neighbours), False: sum(n.month_first_only for n in neighbours)}
    if heard[True] and heard[False]:
        said = f"{witnesses}, and neighbouring columns contradict each other: nothing decides"
        return JuryVerdict(None, SettledBy.NOBODY, False, said)
    if not (heard[True] or heard[False]):
        return JuryVerdict(None, SettledBy.NOBODY, False, f"{witnesses}: nothing decides")
    order = heard[True] > 0
    said = f"{witnesses}; {counted(heard[order], 'date')} in neighbouring columns of the table prove {_order(order)}"
    return JuryVerdict(order, SettledBy.NEIGHBOURS, False, said)


def _order(is_day_first: bool) -> str:
    return "day first" if is_day_first else "month first"
