"""The quality gate: what the score after cleaning has to say to the operator."""

from __future__ import annotations

from sdetl_engine.findings import Finding
from sdetl_engine.quality.score import Receipt, Score
from sdetl_engine.rules import RULES
from sdetl_engine.wording import points

_MOST_CAUSES = 3


def gate(after: Score, *, halt_score: float, min_score: float) -> tuple[Finding, ...]:
    """A halt when the score (0..100) is under one of the limits, naming what costs most and what fixing it wins back.

    Under ``halt_score`` it is SCORE-HALT, else under ``min_score`` SCORE-LOW; a score at its limit passes.
    """
    if after.total < halt_score:
        return (_finding("SCORE-HALT", after, halt_score),)
    if after.total < min_score:
        return (_finding("SCORE-LOW", after, min_score),)
    return ()


def _finding(code: str, after: Score, limit: float) -> Finding:
    rule = RULES[code]
    worst = after.receipts[0] if after.receipts else None
    causes = "; ".join(f"{r.sentence} (-{r.points:.1f})" for r in after.receipts[:_MOST_CAUSES])
    found = f"the quality score after cleaning is {points(after.total)}, under the limit of {limit:g}"
    return Finding(
        code,
        rule.severity,
        f"{found}: {causes or 'there was nothing to assess'}",
        f"{_advice(worst)}; or set {rule.threshold}",
        table=worst.table if worst else None,
        column=worst.column if worst else None,
        count=worst.count if worst else 0,
        choices=rule.choices,
    )


def _advice(worst: Receipt | None) -> str:
    if worst is None:
        return "check that this is the right file"
    place = f"{worst.table}.{worst.column}" if worst.column else worst.table
    return f"fixing {place} alone wins back {worst.win_back:.1f} points"
