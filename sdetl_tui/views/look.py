"""What a view may look at, and the few ways in which figures are written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar, overload

import humanize

from sdetl_engine import RESULT_KINDS, Status, Verdict
from sdetl_tui.blocks import STATUS_TONE, VERDICT_TONE, Row, Span, Tone, line

if TYPE_CHECKING:
    from sdetl_engine import Deployment, Stage, StageRecord
    from sdetl_tui.blocks import Line
    from sdetl_tui.glyphs import Glyphs

Result = TypeVar("Result")
Thing = TypeVar("Thing")


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One run as it stands, and the alphabet of the terminal."""

    run: Deployment
    records: tuple[StageRecord, ...]
    glyphs: Glyphs

    def record(self, stage: Stage) -> StageRecord:
        """One stage as it stands."""
        return next(r for r in self.records if r.stage is stage)

    def result(self, stage: Stage, kind: type[Result]) -> Result | None:
        """What a stage found, or None while there is nothing: not run yet, at work, or failed without a result."""
        if self.record(stage).status in (Status.PENDING, Status.RUNNING) or not self.run.results.has(stage):
            return None
        if not issubclass(RESULT_KINDS[stage], kind):
            raise TypeError(f"{stage} leaves {RESULT_KINDS[stage].__name__}")
        return self.run.results.load(stage, kind)

    def status(self, status: Status) -> Line:
        """A state: sign and word."""
        return line(Span(f"{self.glyphs.status[status]} {status}", STATUS_TONE[status]))

    def verdict(self, verdict: Verdict) -> Line:
        """A check's verdict: sign and word; what could not be checked says so."""
        word = "could not check" if verdict is Verdict.UNKNOWN else str(verdict)
        return line(Span(f"{self.glyphs.verdict[verdict]} {word}", VERDICT_TONE[verdict]))

    def yes_or_no(self, *, good: bool, yes: str, no: str) -> Line:
        """A statement that holds or does not."""
        sign = self.glyphs.verdict[Verdict.PASSED if good else Verdict.FAILED]
        return line(Span(f"{sign} {yes if good else no}", Tone.GOOD if good else Tone.BAD))


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
    if not whole or not part:
        return "0 %" if whole else ""
    value = part * 100 / whole
    if value < 0.1:
        return "<0.1 %"
    return "100 %" if part == whole else f"{min(value, 99.9):.1f} %"


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


def points(score: float) -> str:
    """A score with one decimal, rounded down: 79.96 is not 80.0."""
    return f"{int(score * 10) / 10:.1f}"


def said(text: str, tone: Tone = Tone.PLAIN) -> Line:
    """A line of one tone."""
    return (Span(text, tone),)
