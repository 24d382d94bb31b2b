"""What a view may look at, and the few ways in which figures are written."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

from sdetl_engine import RESULT_KINDS, Status, Verdict
from sdetl_tui.blocks import STATUS_TONE, VERDICT_TONE, Span, Tone, line

if TYPE_CHECKING:
    from sdetl_engine import Check, Deployment, Stage, StageRecord
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
    terminal: Check | None = None
    """What the terminal can do, as one more check; None where there are no screens."""

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
