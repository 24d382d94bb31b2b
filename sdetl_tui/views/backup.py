"""Backup: where the copies are, what proves them, what retention did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import BackupResult, Stage
from sdetl_tui.blocks import Column, Facts, Note, Row, Table, Tone, line
from sdetl_tui.views.figures import Rows, count, said, size

if TYPE_CHECKING:
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look


def blocks(look: Look) -> tuple[Block, ...]:
    """Copy and dump with their hashes, then rows and digests table by table."""
    result = look.result(Stage.BACKUP, BackupResult)
    if result is None:
        return ()
    equal = sum(t.equal for t in result.tables)
    how = "byte for byte" if result.compared == "bytes" else "row for row (digests)"
    facts: list[tuple[str, Line]] = [
        ("copy", line(result.path)),
        ("size", line(size(result.bytes))),
        ("MD5", said(result.md5, Tone.STRONG)),
        ("SHA-256", line(result.sha256)),
        (
            "verified",
            look.yes_or_no(
                good=equal == len(result.tables),
                yes=f"equal to the source, {how}: {equal} of {engine.counted(len(result.tables), 'table')}",
                no=f"only {equal} of {engine.counted(len(result.tables), 'table')} are equal",
            ),
        ),
        ("manifest", line(result.manifest)),
    ]
    if result.dump is not None:
        facts += [
            ("dump", line(f"{result.dump.path} ({size(result.dump.bytes)})")),
            ("dump MD5", line(result.dump.md5)),
            (
                "proved",
                line(
                    f"pg_restore lists {engine.counted(result.dump.objects, 'object')}, {engine.counted(result.dump.tables, 'table')}"
                ),
            ),
        ]
    else:
        facts.append(("dump", line(result.dump_skipped or "none")))
    removed = result.removed
    facts.append(
        ("retention", line(f"removed {len(removed)} old backups" if removed else "nothing was old enough to go"))
    )
    columns = (Column("Table"), Column("Rows", right=True), Column("In the copy", right=True), Column("Content"))
    rows = Rows(
        result.tables,
        lambda t: Row(
            t.table,
            (
                line(t.table),
                line(count(t.source_rows)),
                line(count(t.rows)),
                look.yes_or_no(good=t.equal, yes="equal", no="DIFFERS"),
            ),
        ),
    )
    listed = (Note(tuple(line(path) for path in removed), "Removed by retention"),) if removed else ()
    return (Facts(tuple(facts)), Table("tables", columns, rows), *listed)


def detail(look: Look, table: str, key: str) -> tuple[Block, ...]:
    """One table: both digests."""
    result = look.result(Stage.BACKUP, BackupResult)
    copy = next((t for t in result.tables if t.table == key), None) if result is not None else None
    if copy is None:
        return ()
    return (
        Facts(
            (
                ("table", said(copy.table, Tone.STRONG)),
                ("rows", line(f"{count(copy.source_rows)} in the source, {count(copy.rows)} in the copy")),
                ("source digest", line(copy.source_sha256)),
                ("copy digest", line(copy.sha256)),
                ("verdict", look.yes_or_no(good=copy.equal, yes="equal", no="DIFFERS")),
            )
        ),
    )
