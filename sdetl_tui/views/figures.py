"""The few ways in which figures are written, and rows that are made only when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

import humanize

from sdetl_tui.blocks import Line, Row, Span, Tone

Thing = TypeVar("Thing")


class Rows(Sequence[Row], Generic[Thing]):
    """Rows that are made only when they are looked at, one of each thing."""

    def __init__(self, things: Sequence[Thing], make: Callable[[Thing], Row]) -> None:
        self._things = things
        self._make = make

    def __len__(self) -> int:
        return len(self._things)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self._make(thing) for thing in self._things[index]]
        return self._make(self._things[index])


def count(number: int | None) -> str:
    """A number with thousands apart."""
    return "" if number is None else f"{number:,}"


def size(number: int | None) -> str:
    """Bytes for people."""
    return "" if number is None else humanize.naturalsize(number, binary=True, format="%.1f")


def share(part: int, whole: int) -> str:
    """A share in per cent that is never rounded to nothing or to all."""
    return percent(part / whole) if whole else ""


def percent(fraction: float) -> str:
    """A fraction (0 to 1) in per cent that is never rounded to nothing or to all."""
    if fraction <= 0 or fraction >= 1:
        return "0 %" if fraction <= 0 else "100 %"
    return "<0.1 %" if fraction < 0.001 else f"{min(fraction * 100, 99.9):.1f} %"


def duration(seconds: float) -> str:
    """Seconds for people: 0.4 s, 12 s, 3:07, 1:02:07."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def said(text: str, tone: Tone = Tone.PLAIN) -> Line:
    """A line of one tone."""
    return (Span(text, tone),)
