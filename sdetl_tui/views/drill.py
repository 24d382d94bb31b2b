"""Drill: what it will do and where, each step timed as it goes, the result, and the trend of earlier drills."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import Fault, StepStatus
from sdetl_tui.blocks import Column, Facts, Note, Row, Span, Table, Tone, line
from sdetl_tui.glyphs import sparkline
from sdetl_tui.views.figures import Rows, said

if TYPE_CHECKING:
    from sdetl_engine import Drill, DrillResult, DrillStep
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.glyphs import Glyphs

_TONE = {StepStatus.PASSED: Tone.GOOD, StepStatus.FAILED: Tone.BAD, StepStatus.SKIPPED: Tone.DIM}
FAULT_WORDS: dict[Fault, str] = {
    Fault.BAD_CANDIDATE: "rows vanish from the candidate after validation: the cutover must refuse it",
    Fault.KILLED_CONNECTION: "the server ends the switching session just before its COMMIT",
    Fault.FULL_DISK: "PostgreSQL reports a full disk in the middle of a load",
    Fault.KILLED_SDETL: "sdetl is killed in the middle of its load",
    Fault.DROPPED_TABLE: "somebody drops a table of the live version",
}


def blocks(
    schema: str,
    chosen: Collection[Fault],
    steps: Sequence[DrillStep],
    result: DrillResult | None,
    earlier: Sequence[Drill] | None,
    glyphs: Glyphs,
    *,
    is_running: bool,
) -> tuple[Block, ...]:
    """Before: what it will do.  Meanwhile: its steps.  Afterwards: the verdict first."""
    found: list[Block] = []
    if result is not None:
        found += _result(result)
    elif not is_running:
        found += [Note(_plan(schema)), _faults(chosen, glyphs)]
    if steps or is_running:
        found.append(_steps(steps))
    return (*found, *_trend(earlier, glyphs))


def _plan(schema: str) -> tuple[Line, ...]:
    return (
        line(
            "Where: schema ",
            Span(schema, Tone.STRONG),
            ", never the one that dashboards read; that it stays untouched is proved.",
        ),
        line(
            "What: build two versions, switch under readers that never stop reading, break what is chosen below, roll"
        ),
        line(
            "back against the clock, restore a backup, compare every digest, drop everything and look that it is gone."
        ),
    )


def _faults(chosen: Collection[Fault], glyphs: Glyphs) -> Table:
    def row(fault: Fault) -> Row:
        on = fault in chosen
        mark = Span("yes" if on else "no", Tone.GOOD if on else Tone.DIM)
        return Row(fault.value, (line(mark), line(fault.value), line(FAULT_WORDS[fault])))

    columns = (Column("Break"), Column("Fault"), Column("What happens"))
    return Table("faults", columns, Rows(list(Fault), row), title="Faults (Enter on one switches it on or off)")


def _steps(steps: Sequence[DrillStep]) -> Table:
    def row(item: tuple[int, DrillStep]) -> Row:
        number, step = item
        cells = (
            line(Span(str(step.status), _TONE[step.status])),
            line(f"{step.seconds:.2f}"),
            line(step.name),
            line(step.detail),
        )
        return Row(str(number), cells)

    columns = (Column("Result"), Column("Seconds", right=True), Column("Step"), Column("Seen"))
    return Table("steps", columns, Rows(list(enumerate(steps)), row), empty="beginning ...", title="Steps")


def step_detail(step: DrillStep) -> tuple[Block, ...]:
    """One step in full."""
    return (
        Facts(
            (
                ("step", said(step.name, Tone.STRONG)),
                ("result", line(Span(str(step.status), _TONE[step.status]))),
                ("took", line(f"{step.seconds:.3f} s")),
                ("seen", line(step.detail or "nothing to tell")),
            )
        ),
    )


def _result(result: DrillResult) -> list[Block]:
    word = Span("the way back works", Tone.GOOD) if result.passed else Span("the drill FAILED", Tone.BAD)
    rto = "not measured" if result.rto_seconds is None else f"{result.rto_seconds:.2f} s"
    within = Span("within the budget", Tone.GOOD) if result.within_budget else Span("OVER the budget", Tone.BAD)
    restored = "not measured" if result.restore_seconds is None else f"{result.restore_seconds:.2f} s"
    rows: list[tuple[str, Line]] = [
        ("verdict", line(word)),
        ("roll back", line(f"{rto}, budget {result.budget_seconds:g} s: ", within)),
        ("restore", line(restored)),
        ("with", line(f"{engine.counted(result.rows, 'row')} from {result.source}")),
        (
            "serving schema",
            line(
                Span("untouched, proved", Tone.GOOD)
                if result.serving_untouched
                else Span("not proved untouched", Tone.BAD)
            ),
        ),
        ("left behind", line(", ".join(result.left_behind) or "nothing")),
    ]
    if result.readers is not None:
        seen = result.readers
        tone = Tone.BAD if seen.errors or seen.torn else Tone.GOOD
        told = f"{engine.counted(seen.reads, 'read')}, {engine.counted(seen.errors, 'error')}, {seen.torn} torn, longest wait {seen.longest_wait_ms:.0f} ms"
        rows.append(("readers", line(Span(told, tone))))
    return [Facts(tuple(rows))]


def _trend(earlier: Sequence[Drill] | None, glyphs: Glyphs) -> tuple[Block, ...]:
    if earlier is None:
        return (Note((line("asking the target for earlier drills ..."),)),)
    if not earlier:
        return (Note((line(Span("No drill stands in the registry of this target yet.", Tone.NOTICE)),)),)
    times = [d.rollback_seconds for d in reversed(earlier) if d.rollback_seconds is not None]
    drawn = sparkline(times, 40, glyphs)
    columns = (
        *(Column("When (UTC)"), Column("Result"), Column("Back in", right=True)),
        *(
            Column("Restored in", right=True, spare=True),
            Column("Server", right=True, spare=True),
            Column("By", spare=True),
        ),
    )
    table = Table("earlier", columns, Rows(earlier, _earlier), title="Earlier drills")
    return (Note((line("time to go back, oldest first: ", Span(drawn, Tone.ACCENT)),)), table) if times else (table,)


def _earlier(drill: Drill) -> Row:
    cells = (
        line(f"{drill.at:%Y-%m-%d %H:%M}"),
        line(Span("passed", Tone.GOOD) if drill.passed else Span("FAILED", Tone.BAD)),
        line(f"{drill.rollback_seconds:.2f} s" if drill.rollback_seconds is not None else ""),
        line(f"{drill.restore_seconds:.2f} s" if drill.restore_seconds is not None else ""),
        line(str(drill.server_version)),
        line(drill.who),
    )
    return Row(f"{drill.at.isoformat()}", cells)
