"""Types: what every column becomes in PostgreSQL, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import ProfileResult, Stage
from sdetl_tui.blocks import Column, Facts, Note, Row, Span, Table, Tone, line
from sdetl_tui.views.figures import Rows, count, said

if TYPE_CHECKING:
    from sdetl_engine import TypeCost, TypeVerdict
    from sdetl_tui.blocks import Block
    from sdetl_tui.views.look import Look


def blocks(look: Look) -> tuple[Block, ...]:
    """One row per column."""
    result = look.result(Stage.PROFILE, ProfileResult)
    if result is None:
        return ()
    overrides = look.run.settings.load.types
    columns = (
        Column("Column", tail=True),
        Column("Becomes"),
        Column("Declared", spare=True),
        Column("Proved by every value"),
    )
    rows = Rows(result.verdicts, lambda v: _row(v, overrides.get(f"{v.table}.{v.column}")))
    said_so = f"{len(overrides)} overridden by you or the plan" if overrides else "none overridden"
    return (
        Note((line(f"{engine.counted(len(result.verdicts), 'column')}, {said_so}; Enter on a row changes its type"),)),
        Table("types", columns, rows),
    )


def cost(found: TypeCost) -> tuple[Block, ...]:
    """What a type would cost: values that would not fit, with examples."""
    fits = found.misfits == 0
    verdict = (
        Span(f"all {engine.counted(found.rows, 'value')} fit {found.type}", Tone.GOOD)
        if fits
        else Span(f"{count(found.misfits)} of {engine.counted(found.rows, 'value')} do not fit {found.type}", Tone.BAD)
    )
    notes: list[Block] = [Note((line(verdict),))]
    if found.examples:
        notes.append(Note(tuple(line(example) for example in found.examples), "For example"))
    if not fits:
        notes.append(Note((line("They would go to the quarantine, counted; never silently NULL."),)))
    return tuple(notes)


def facts(verdict: TypeVerdict) -> tuple[Block, ...]:
    """The column that is about to get another type."""
    return (
        Facts(
            (
                ("column", said(f"{verdict.table}.{verdict.column}", Tone.STRONG)),
                ("declared", line(verdict.declared or "(nothing)")),
                ("becomes", line(verdict.chosen)),
                ("because", line(verdict.reason)),
            )
        ),
    )


def _row(verdict: TypeVerdict, override: str | None) -> Row:
    name = f"{verdict.table}.{verdict.column}"
    becomes = "left out" if verdict.left_out else verdict.chosen
    shown = Span(becomes, Tone.ACCENT if override else Tone.PLAIN)
    return Row(name, (line(name), line(shown), line(verdict.declared or "(nothing)"), line(verdict.reason)))
