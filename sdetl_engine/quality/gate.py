"""The quality gate: what the score after cleaning has to say to the operator."""

from __future__ import annotations

from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.quality.score import Score


def gate(after: Score, *, halt_score: float, min_score: float) -> tuple[Finding, ...]:
    """A halt when the score is under one of the limits, naming what costs most and what fixing it wins back."""
    if after.total >= min_score:
        return ()
    rule, limit = ("SCORE-HALT", halt_score) if after.total < halt_score else ("SCORE-LOW", min_score)
    causes = "; ".join(f"{r.sentence} (-{r.points:.1f})" for r in after.receipts[:3])
    worst = after.receipts[0] if after.receipts else None
    advice = (
        f"fixing {worst.table}{'.' + worst.column if worst.column else ''} alone wins back {worst.win_back:.1f} points"
        if worst
        else "there was nothing to assess; check that this is the right file"
    )
    return (
        Finding(
            rule,
            Severity.HALT,
            f"the quality score after cleaning is {after.total:.1f}, under the limit of {limit:g}: "
            + (causes or "no table holds a row, so there was nothing to assess"),
            f"{advice}; or set gates.min_score",
            table=worst.table if worst else None,
            column=worst.column if worst else None,
            count=worst.count if worst else 0,
            choices=(Choice.MARK_MISSING, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT),
        ),
    )
