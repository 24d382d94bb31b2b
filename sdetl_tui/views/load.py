"""Canary and migrate: the proof of load table by table, and what was not migrated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import LoadedResult, Stage
from sdetl_tui.blocks import Column, Facts, Note, Row, Span, Table, Tone, line
from sdetl_tui.views.figures import Rows, count, duration, said

if TYPE_CHECKING:
    from sdetl_engine import TableProof
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look


def canary(look: Look) -> tuple[Block, ...]:
    """The rehearsal on a sample."""
    return _loaded(look, Stage.CANARY)


def migrate(look: Look) -> tuple[Block, ...]:
    """The full load."""
    return _loaded(look, Stage.MIGRATE)


def canary_detail(look: Look, table: str, key: str) -> tuple[Block, ...]:
    """One table of the canary."""
    return _detail(look, Stage.CANARY, table, key)


def migrate_detail(look: Look, table: str, key: str) -> tuple[Block, ...]:
    """One table of the candidate."""
    return _detail(look, Stage.MIGRATE, table, key)


def _loaded(look: Look, stage: Stage) -> tuple[Block, ...]:
    result = look.result(stage, LoadedResult)
    if result is None:
        return ()
    equal = sum(p.equal for p in result.proof)
    quarantined = sum(p.quarantined for p in result.proof)
    facts: list[tuple[str, Line]] = [
        ("schema", line(result.version + (" (dropped again)" if result.dropped else ""))),
        ("rows", said(count(result.rows), Tone.STRONG)),
        (
            "proof",
            look.yes_or_no(
                good=equal == len(result.proof),
                yes=f"{equal} of {engine.counted(len(result.proof), 'table')} held bit for bit",
                no=f"only {equal} of {engine.counted(len(result.proof), 'table')} are equal",
            ),
        ),
        (
            "took",
            line(f"{duration(result.load_seconds)}; {result.indexes} indexes, {result.constraints} keys and checks"),
        ),
    ]
    if quarantined:
        facts.append(
            (
                "quarantine",
                line(Span(f"{engine.counted(quarantined, 'value')} in {result.quarantine_schema}", Tone.NOTICE)),
            )
        )
    if stage is Stage.CANARY:
        found = len(result.differences)
        facts.append(("both sides", look.yes_or_no(good=not found, yes="equal", no=f"{found} differences")))
    columns = (
        *(Column("Table"), Column("Sent", right=True), Column("Held", right=True), Column("Proof")),
        *(Column("Seconds", right=True, spare=True), Column("Aside", right=True, spare=True)),
    )
    blocks: list[Block] = [
        Facts(tuple(facts)),
        Table("proof", columns, Rows(result.proof, lambda p: _row(look, result, p))),
    ]
    if result.differences:
        blocks.append(Note(tuple(line(Span(d, Tone.BAD)) for d in result.differences), "Differences"))
    if result.not_migrated:
        missed = Rows(
            list(enumerate(result.not_migrated)),
            lambda n: Row(str(n[0]), (line(n[1].kind), line(n[1].name), line(n[1].reason))),
        )
        blocks.append(Table("missed", (Column("Kind"), Column("Name"), Column("Why")), missed, title="Not migrated"))
    return tuple(blocks)


def _detail(look: Look, stage: Stage, table: str, key: str) -> tuple[Block, ...]:
    result = look.result(stage, LoadedResult)
    if result is None:
        return ()
    if table == "missed":
        item = result.not_migrated[int(key)]
        rows = (("kind", line(item.kind)), ("name", said(item.name, Tone.STRONG)), ("of", line(item.table or "")))
        return (Facts((*rows, ("because", line(item.reason)))),)
    proof = next((p for p in result.proof if p.table == key), None)
    if proof is None:
        return ()
    facts = Facts(
        (
            ("table", said(proof.table, Tone.STRONG)),
            ("sent", line(f"{engine.counted(proof.rows_sent, 'row')}, SHA-256 {proof.sha256_sent}")),
            ("held", line(f"{engine.counted(proof.rows_held, 'row')}, SHA-256 {proof.sha256_held}")),
            ("verdict", look.yes_or_no(good=proof.equal, yes="bit for bit equal", no="DIFFERENT")),
        )
    )
    types = tuple((name, line(kind)) for name, kind in result.types.get(proof.table, {}).items())
    return (facts, Facts(types, "Columns"))


def _row(look: Look, result: LoadedResult, proof: TableProof) -> Row:
    seconds = result.seconds_by_table.get(proof.table)
    cells = (
        line(proof.table),
        line(count(proof.rows_sent)),
        line(count(proof.rows_held)),
        look.yes_or_no(good=proof.equal, yes="equal", no="DIFFERENT"),
        line(f"{seconds:.2f}" if seconds is not None else ""),
        line(count(proof.quarantined) if proof.quarantined else ""),
    )
    return Row(proof.table, cells)
