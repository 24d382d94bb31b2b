"""Pre-flight: every check with what was measured, its limit, the verdict and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import PreflightResult, Stage, Verdict
from sdetl_tui.blocks import Column, Facts, Row, Table, Tone, line
from sdetl_tui.views.figures import Rows, said, size

if TYPE_CHECKING:
    from sdetl_engine import Check
    from sdetl_tui.blocks import Block
    from sdetl_tui.views.look import Look

_ORDER = {Verdict.FAILED: 0, Verdict.WARNING: 1, Verdict.UNKNOWN: 2, Verdict.PASSED: 3}


def blocks(look: Look) -> tuple[Block, ...]:
    """The source in two lines, then the checks, those that ask for something first."""
    result = look.result(Stage.PREFLIGHT, PreflightResult)
    if result is None:
        return ()
    frozen = result.frozen
    facts = [
        ("source", line(f"{size(frozen.bytes)}, {engine.counted(len(result.source_schema.tables), 'table')}")),
        ("MD5", line(frozen.md5)),
    ]
    if result.server_version:
        facts.append(("target", line(f"PostgreSQL {result.server_version}")))
        facts.append(("live now", line(result.live_version or "nothing that sdetl made")))
    checks = sorted(_checks(look, result), key=lambda c: _ORDER[c.verdict])
    columns = (Column("Verdict"), Column("Check"), Column("Measured"), Column("Limit", spare=True))
    return (Facts(tuple(facts)), Table("checks", columns, Rows(checks, lambda check: _row(look, check))))


def detail(look: Look, table: str, key: str) -> tuple[Block, ...]:
    """One check: everything it says."""
    result = look.result(Stage.PREFLIGHT, PreflightResult)
    check = next((c for c in _checks(look, result) if c.name == key), None) if result is not None else None
    if check is None:
        return ()
    return (
        Facts(
            (
                ("check", said(check.name, Tone.STRONG)),
                ("verdict", look.verdict(check.verdict)),
                ("measured", line(check.measured)),
                ("limit", line(check.limit or "none")),
                ("to do", line(check.fix or "nothing")),
            )
        ),
    )


def _checks(look: Look, result: PreflightResult) -> tuple[Check, ...]:
    """The engine's, and what only this side of it can know."""
    return (*result.checks, *((look.terminal,) if look.terminal is not None else ()))


def _row(look: Look, check: Check) -> Row:
    return Row(check.name, (look.verdict(check.verdict), line(check.name), line(check.measured), line(check.limit)))
