"""Cutover: live and candidate beside each other, what the switch carries, and afterwards what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import CutoverResult, Stage, Status, ValidateResult
from sdetl_tui.blocks import Column, Facts, Note, Row, Span, Table, Tone, line
from sdetl_tui.views.figures import Rows, count, said
from sdetl_tui.views.grafana import grafana_facts, grafana_panels

if TYPE_CHECKING:
    from sdetl_engine import TableContrast, Version, VersionContrast
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look


def blocks(look: Look, contrast: VersionContrast | None = None) -> tuple[Block, ...]:
    """Before the switch: what would change for readers.  After it: what was done, and the way back."""
    record = look.record(Stage.CUTOVER)
    result = look.result(Stage.CUTOVER, CutoverResult)
    done = _done(look, result) if result is not None and record.status is Status.PASSED else ()
    return (*done, *(_beside(look, contrast) if contrast is not None else ()))


def detail(look: Look, contrast: VersionContrast | None, table: str, key: str) -> tuple[Block, ...]:
    """One table: columns gained, lost and of another type."""
    found = next((t for t in contrast.tables if t.table == key), None) if contrast is not None else None
    if found is None:
        return ()
    return (
        Facts(
            (
                ("table", said(found.table, Tone.STRONG)),
                ("rows live", line(_rows(found.live_rows))),
                ("rows candidate", line(_rows(found.candidate_rows))),
                ("gained", line(", ".join(found.gained) or "no column")),
                ("lost", line(Span(", ".join(found.lost), Tone.BAD) if found.lost else "no column")),
            )
        ),
        Note(tuple(line(text) for text in found.retyped) or (line("no column"),), "Other types"),
    )


def _done(look: Look, result: CutoverResult) -> tuple[Block, ...]:
    facts: list[tuple[str, Line]] = [
        ("live", said(result.live_version, Tone.GOOD)),
        ("before it", line(result.previous_version or "nothing")),
        (
            "switched",
            line(
                f"at {result.switched_at}, in {result.seconds:.3f} s; readers waited {result.lock_seconds:.3f} s at most"
            ),
        ),
        ("attempts", line(count(result.attempts))),
        ("grants", line(f"{count(result.grants)} carried over")),
    ]
    if result.led_roles:
        facts.append(("led to it", line(f"new sessions of {', '.join(result.led_roles)}, by their search_path")))
    if result.not_there:
        facts.append(("not there", line(Span(", ".join(result.not_there), Tone.NOTICE))))
    back = result.rollback_command
    facts.append(("way back", line(Span(back, Tone.STRONG)) if back else line("none: nothing was live before")))
    facts += grafana_facts(look, result.grafana)
    checks = Table(
        "post-checks",
        (Column("Verdict"), Column("Check"), Column("Measured")),
        Rows(result.post_checks, lambda c: Row(c.name, (look.verdict(c.verdict), line(c.name), line(c.measured)))),
        title="Read back through the serving name",
    )
    return (Facts(tuple(facts)), checks, *grafana_panels(look, result.grafana))


def _beside(look: Look, contrast: VersionContrast) -> tuple[Block, ...]:
    live, candidate = contrast.live, contrast.candidate
    facts: list[tuple[str, Line]] = [
        ("serving schema", said(contrast.serving_schema, Tone.STRONG)),
        ("candidate", line(_version(candidate))),
        ("compared with", line(_version(live)) if live is not None else _unmanaged(look, contrast)),
        ("readers", line(", ".join(contrast.readers) or "no role but the owner has rights")),
        ("dashboards", _dashboards(look)),
        ("by", line(look.run.who)),
    ]
    if live is not None and look.run.session is not None and look.record(Stage.CUTOVER).status is not Status.PASSED:
        facts.append(
            (
                "way back",
                line(Span(f"sdetl rollback --target '{look.run.session.spoken}' --to {live.version}", Tone.STRONG)),
            )
        )
    if contrast.dependents:
        facts.append(("bound to it", line(Span("; ".join(contrast.dependents), Tone.NOTICE))))
    columns = (Column("Table"), Column("Live", right=True), Column("Candidate", right=True), Column("Columns"))
    return (
        Facts(tuple(facts)),
        Table("beside", columns, Rows(contrast.tables, _row), title="Live and candidate"),
    )


def _unmanaged(look: Look, contrast: VersionContrast) -> Line:
    if contrast.serving_exists:
        return line("a schema that sdetl did not make: it is kept as a version of its own")
    is_done = look.record(Stage.CUTOVER).status is Status.PASSED
    return line("nothing: none was live before" if is_done else "nothing: there is no such schema yet")


def _dashboards(look: Look) -> Line:
    validated = look.result(Stage.VALIDATE, ValidateResult)
    if validated is None or not validated.panels:
        return line(Span("not tried", Tone.NOTICE))
    failed = sum(not p.ok and p.skipped is None for p in validated.panels)
    return look.yes_or_no(
        good=not failed, yes=f"{len(validated.dashboards)} load on the candidate", no=f"{failed} FAIL"
    )


def _version(version: Version) -> str:
    score = f", score {engine.points(version.score)}" if version.score is not None else ""
    return f"{version.version}, {engine.counted(version.rows or 0, 'row')}{score}, by {version.created_by}"


def _row(table: TableContrast) -> Row:
    changes = [
        *([f"{len(table.gained)} gained"] if table.gained else []),
        *([f"{len(table.lost)} LOST"] if table.lost else []),
        *([f"{len(table.retyped)} of another type"] if table.retyped else []),
    ]
    if table.live_rows is None:
        word: Line = line(Span("new table", Tone.ACCENT))
    elif table.candidate_rows is None:
        word = line(Span("GONE", Tone.BAD))
    else:
        word = line(Span(", ".join(changes), Tone.BAD if table.lost else Tone.NOTICE) if changes else "the same")
    return Row(table.table, (line(table.table), line(_rows(table.live_rows)), line(_rows(table.candidate_rows)), word))


def _rows(number: int | None) -> str:
    return "-" if number is None else count(number)
