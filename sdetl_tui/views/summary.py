"""Report and summary: the twelve lines of the checklist with their evidence, the papers, and what to tell people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import CutoverResult, ScoreResult, Stage, Status
from sdetl_tui.blocks import Column, Facts, Note, Row, Table, Tone, line
from sdetl_tui.views.figures import Rows, duration, said

if TYPE_CHECKING:
    from sdetl_engine import CheckedLine
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look


def report(look: Look) -> tuple[Block, ...]:
    """Where the documents are."""
    record = look.record(Stage.REPORT)
    folder = look.run.folder
    rows: list[tuple[str, Line]] = [
        ("for people", line(str(folder.report_html))),
        ("for programs", line(str(folder.report_json))),
        ("the plan", line(f"{folder.plan} (next quarter: sdetl run SOURCE --plan {folder.plan})")),
        ("the log", line(str(look.run.workspace.deployments_log))),
    ]
    return (Facts(tuple(rows)),) if record.status is Status.PASSED else ()


def blocks(look: Look, lines: Sequence[CheckedLine] | None, live_now: str | None = None) -> tuple[Block, ...]:
    """The checklist, then the papers and the words for the people.  ``live_now``: what the registry says, if it was asked."""
    papers = Facts(
        (
            ("run", said(look.run.run_id, Tone.STRONG)),
            ("took", line(duration(sum(r.seconds for r in look.records)))),
            ("report", line(str(look.run.folder.report_html))),
            ("plan", line(str(look.run.folder.plan))),
        )
    )
    table = Table(
        "checklist",
        (Column("State"), Column("Line"), Column("Evidence", spare=True)),
        Rows(
            lines or (), lambda item: Row(item.text, (look.status(item.status), line(item.text), line(item.evidence)))
        ),
        empty="reading the evidence ...",
        title="Deployment checklist",
    )
    return (table, papers, Note(_tell(look, live_now), "What to tell people"))


def detail(lines: Sequence[CheckedLine] | None, look: Look, key: str) -> tuple[Block, ...]:
    """One line with its whole evidence."""
    found = next((item for item in lines or () if item.text == key), None)
    if found is None:
        return ()
    return (
        Facts((("line", said(found.text, Tone.STRONG)), ("state", look.status(found.status)))),
        Note((line(found.evidence),), "Evidence"),
    )


def _tell(look: Look, live_now: str | None) -> tuple[Line, ...]:
    cutover = look.result(Stage.CUTOVER, CutoverResult)
    if cutover is None or look.record(Stage.CUTOVER).status is not Status.PASSED:
        return (line("Nothing has changed for readers: the version that was live is still live."),)
    if live_now is not None and live_now != cutover.live_version:
        went = f"went live at {cutover.switched_at} and no longer is: it was rolled back or replaced."
        return (line(f"Dashboards read {live_now}. Version {cutover.live_version} {went}"),)
    score = look.result(Stage.SCORE, ScoreResult)
    quality = f" Quality score {engine.points(score.after)}." if score is not None else ""
    back = f" Way back: {cutover.rollback_command}" if cutover.rollback_command else ""
    return (
        line(
            f"Dashboards read {cutover.live_version} since {cutover.switched_at}; they waited {cutover.lock_seconds:.3f} s.{quality}"
        ),
        *((line(back.strip()),) if back else ()),
    )
