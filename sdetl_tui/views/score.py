"""Score: before and after against the threshold, by dimension, and every point lost with its receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import ScoreResult, Stage
from sdetl_tui.blocks import Column, Facts, Gauge, Note, Row, Span, Table, Tone, line
from sdetl_tui.views.figures import Rows, count, said

if TYPE_CHECKING:
    from sdetl_engine import ScoreReceipt
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look


def blocks(look: Look) -> tuple[Block, ...]:
    """Two gauges, the dimensions, the receipts."""
    result = look.result(Stage.SCORE, ScoreResult)
    if result is None:
        return ()
    least = look.run.settings.gates.min_score
    receipts = sorted(result.receipts, key=lambda r: -r.points)
    dimensions = Table(
        "dimensions",
        (Column("Dimension"), Column("Weight", right=True), Column("Before", right=True), Column("After", right=True)),
        Rows(
            list(result.dimensions.items()),
            lambda d: Row(
                d[0], (line(d[0]), line(f"{d[1].weight:g}"), line(_points(d[1].before)), line(_points(d[1].after)))
            ),
        ),
        title="Dimensions",
    )
    lost = Table(
        "receipts",
        (Column("Lost", right=True), Column("Dimension"), Column("Where"), Column("Cells", right=True)),
        Rows(list(enumerate(receipts)), lambda r: _row(*r)),
        empty="no point was lost",
        title=f"Receipts: where {100 - result.after:.1f} points went",
    )
    return (
        _gauge("before cleaning", result.before, least, gates=False),
        _gauge("after cleaning", result.after, least, gates=True),
        Note((_verdict(result.after, least),)),
        dimensions,
        lost,
    )


def detail(look: Look, table: str, key: str) -> tuple[Block, ...]:
    """One receipt: what it says, and what fixing it wins back."""
    result = look.result(Stage.SCORE, ScoreResult)
    if result is None or table != "receipts":
        return ()
    receipt = sorted(result.receipts, key=lambda r: -r.points)[int(key)]
    return (
        Facts(
            (
                ("where", said(_where(receipt), Tone.STRONG)),
                ("dimension", line(receipt.dimension)),
                ("cells", line(count(receipt.count))),
                ("points lost", line(f"{receipt.points:.2f}")),
                ("won back", line(f"{receipt.win_back:.2f} points when it is fixed")),
                ("because", line(receipt.sentence)),
            )
        ),
    )


def _gauge(label: str, score: float, least: float, *, gates: bool) -> Gauge:
    enough = score >= least
    verdict = ("enough" if enough else "TOO LOW") if gates else "for comparison"
    tone = (Tone.GOOD if enough else Tone.BAD) if gates else Tone.DIM
    return Gauge(label, score / 100, least / 100, f"{engine.points(score)} of 100", verdict, tone)


def _verdict(after: float, least: float) -> Line:
    if after >= least:
        return line(Span(f"The gate passes: {engine.points(after)} is not under {least:g}.", Tone.GOOD))
    return line(Span(f"The gate is {least - after:.1f} points away: open the first receipt.", Tone.BAD))


def _points(value: float | None) -> str:
    return "nothing to assess" if value is None else engine.points(value)


def _where(receipt: ScoreReceipt) -> str:
    return f"{receipt.table}.{receipt.column}" if receipt.column is not None else receipt.table


def _row(number: int, receipt: ScoreReceipt) -> Row:
    cells = (line(f"{receipt.points:.2f}"), line(receipt.dimension), line(_where(receipt)), line(count(receipt.count)))
    return Row(str(number), cells)
