"""Drills, restores and proved backups on stdout: for people, or as one JSON document."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import humanize
from rich.console import Console

import sdetl_engine as engine
from sdetl_tui.show import emit, emit_json, jsonable, new_table
from sdetl_tui.text import literal, plain

if TYPE_CHECKING:
    from sdetl_engine import (
        Check,
        DrillResult,
        LateWrites,
        Prunable,
        RestoredVersion,
        RestoreResult,
        RolledBack,
        VerifiedBackup,
    )


def drilled(result: DrillResult, *, as_json: bool) -> None:
    """Every step, the rollback against its budget, and how earlier drills did."""
    if as_json:
        document = jsonable(dataclasses.asdict(result))
        emit_json({**document, "within_budget": result.within_budget, "exit_code": 0 if result.passed else 4})
        return
    table = new_table("step", "", "seconds", "what was seen")
    for step in result.steps:
        table.add_row(step.name, str(step.status), f"{step.seconds:.2f}", literal(step.detail))
    emit(table)
    emit("the drill passed" if result.passed else "THE DRILL DID NOT PASS")
    if result.rto_seconds is not None:
        emit(f"slowest rollback {result.rto_seconds:.3f} s, budget {result.budget_seconds:g} s")
    if result.restore_seconds is not None:
        emit(f"backup restored and live in {result.restore_seconds:.2f} s")
    for name in result.left_behind:
        emit(f"left behind: {plain(name)}")
    if result.earlier:
        earlier = new_table("earlier drills", "", "rollback", "restore", "PostgreSQL", "by")
        for one in result.earlier:
            earlier.add_row(
                f"{one.at:%Y-%m-%d %H:%M} UTC",
                "passed" if one.passed else "failed",
                _seconds(one.rollback_seconds),
                _seconds(one.restore_seconds),
                str(one.server_version),
                literal(one.who),
            )
        emit(earlier)


def verified(result: VerifiedBackup, *, as_json: bool) -> None:
    """What was compared, and what came of it."""
    if as_json:
        document = jsonable(dataclasses.asdict(result))
        emit_json({**document, "passed": result.passed, "exit_code": 0 if result.passed else 4})
        return
    _checks(result.checks)
    word = "is proved" if result.passed else "is NOT proved"
    emit(f"the backup of run {result.run_id} in {plain(result.folder)} {word} ({result.seconds:.1f} s)")


def restored_beside(console: Console, restored: RestoredVersion) -> None:
    """Before anybody is asked: what stands beside the live version now."""
    for check in restored.checks:
        console.print(literal(f"{check.name}: {check.verdict}, {check.measured}"), soft_wrap=True)


def restored(done: RestoreResult, back: str | None, *, as_json: bool) -> None:
    """What is live now, and the way back."""
    if as_json:
        emit_json(
            {**jsonable(dataclasses.asdict(done)), **({"rollback_command": back} if back else {}), "exit_code": 0}
        )
        return
    _checks(done.checks)
    emit(
        f"{plain(done.live_version)} is live: {engine.counted(sum(done.rows.values()), 'row')} in {engine.counted(len(done.rows), 'table')}, restored in "
        f"{done.restore_seconds:.1f} s, readers waited at most {done.lock_seconds:.3f} s"
    )
    if done.not_there:
        emit(f"what readers had before and have not now: {plain(', '.join(done.not_there))}")
    if back is not None:
        emit(f"to go back: {plain(back)}")


def late(console: Console, found: LateWrites) -> None:
    """Before anybody is asked: what would be left behind, and where it was exported to."""
    sentences = engine.late_sentences(found)
    if not sentences:
        console.print(literal(f"nothing was written to {found.version} since it was loaded"), soft_wrap=True)
        return
    console.print(literal(f"written to {found.version} since it was loaded:", style="yellow"), soft_wrap=True)
    for sentence in sentences:
        console.print(literal(f"  {sentence}"), soft_wrap=True)
    if found.sql_file is not None:
        console.print(
            literal(f"exported to {found.sql_file} and {len(found.csv_files)} CSV files beside it"), soft_wrap=True
        )


def rolled_back(done: RolledBack, found: LateWrites | None, *, as_json: bool) -> None:
    """What is live now, how long it took, and what was left behind."""
    if as_json:
        document = jsonable(dataclasses.asdict(done))
        if found is not None:
            fields = dataclasses.asdict(found)
            del fields["marks"]
            document["late_writes"] = {**jsonable(fields), "rows": found.rows}
        emit_json(document)
        return
    if not done.changed:
        verified = "as it was made by hand: verified" if done.post_checks else "already; nothing was changed"
        emit(f"{plain(done.live_version)} is live {verified}")
        return
    emit(
        f"{plain(done.live_version)} is live again, {plain(done.previous_version)} retired "
        f"(back in {done.rto_seconds:.2f} s, readers waited at most {done.lock_seconds:.3f} s); "
        f"{engine.counted(sum(done.rows.values()), 'row')} in {engine.counted(len(done.rows), 'table')} read back"
    )
    if found is not None and found.rows:
        emit(
            f"{engine.counted(found.rows, 'late row')} {engine.inflected(found.rows, 'stays', 'stay')} in {plain(found.version)}, exported to {plain(found.sql_file or '')}"
        )


def to_prune(planned: Prunable) -> None:
    """What goes, and what stays and why."""
    table = new_table("", "", "", "size", "because")
    for word, items in (("goes", planned.going), ("stays", planned.staying)):
        for item in items:
            size = humanize.naturalsize(item.bytes, binary=True)
            table.add_row(word, item.kind, literal(item.name), size, literal(item.why))
    emit(table)


def pruned(planned: Prunable, *, done: bool, as_json: bool) -> None:
    """What was removed, or would be."""
    if as_json:
        names = {"backups": list(planned.backups), "versions": list(planned.versions), "bytes": planned.bytes}
        emit_json({"done": done, **names, **jsonable(dataclasses.asdict(planned))})
        return
    if not done:
        to_prune(planned)
        emit("nothing was removed; say --yes to do it" if planned.going else "nothing to remove")
        return
    for item in planned.going:
        emit(f"removed {item.kind} {plain(item.name)} ({humanize.naturalsize(item.bytes, binary=True)})")
    for item in planned.staying:
        emit(f"kept {item.kind} {plain(item.name)} after all: {plain(item.why)}")
    if not planned.going:
        emit("nothing to remove")


def _checks(checks: Sequence[Check]) -> None:
    table = new_table("compared", "", "found")
    for check in checks:
        table.add_row(literal(check.name), str(check.verdict), literal(check.measured))
    emit(table)


def _seconds(seconds: float | None) -> str:
    return f"{seconds:.3f} s" if seconds is not None else ""
