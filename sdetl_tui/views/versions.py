"""Versions and rollback: what the registry of the target knows, and what one can go back to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_tui.blocks import Column, Facts, Note, Row, Span, Table, Tone, line
from sdetl_tui.views.figures import Rows, count, said

if TYPE_CHECKING:
    from sdetl_engine import LateWrites, RolledBack, RunState, Version
    from sdetl_tui.blocks import Block, Line

_TONE = {"live": Tone.GOOD, "candidate": Tone.ACCENT, "failed": Tone.BAD, "loading": Tone.NOTICE}


def blocks(versions: Sequence[Version] | None) -> tuple[Block, ...]:
    """Every version, newest first."""
    columns = (
        *(Column("State"), Column("Version"), Column("Rows", right=True), Column("Score", right=True, spare=True)),
        *(Column("Live since", spare=True), Column("Source MD5", spare=True), Column("By", spare=True)),
    )
    empty = "the registry knows no version yet" if versions is not None else "asking the target ..."
    return (Table("versions", columns, Rows(versions or (), _row), empty=empty),)


def detail(version: Version) -> tuple[Block, ...]:
    """One version: everything the registry has."""
    rows: list[tuple[str, Line]] = [
        ("version", said(version.version, Tone.STRONG)),
        ("state", line(Span(version.status, _TONE.get(version.status, Tone.DIM)))),
        (
            "loaded",
            line(f"{version.created_at:%Y-%m-%d %H:%M:%S} UTC by {version.created_by}, run {version.run_id or '?'}"),
        ),
        ("live since", line(f"{version.live_since:%Y-%m-%d %H:%M:%S} UTC" if version.live_since else "never")),
        ("source", line(f"{version.source_name or '?'}, MD5 {version.source_md5 or '?'}")),
        ("before it", line(version.previous or "nothing")),
    ]
    if version.note:
        rows.append(("note", line(version.note)))
    tables = tuple((name, line(engine.counted(number, "row"))) for name, number in (version.table_rows or {}).items())
    return (Facts(tuple(rows)), Facts(tables, "Tables"))


def can_go_back(versions: Sequence[Version]) -> bool:
    """True when something was live before the version that is live."""
    return _before(versions) is not None


def _before(versions: Sequence[Version]) -> Version | None:
    live = next((v for v in versions if v.status == "live"), None)
    return next((v for v in versions if live is not None and v.version == live.previous), None)


def way_back(versions: Sequence[Version] | None, done: RolledBack | None) -> tuple[Block, ...]:
    """What a rollback would do, or did."""
    if done is not None:
        return (went_back(done),)
    if versions is None:
        return (Note((line("asking the target ..."),)),)
    live = next((v for v in versions if v.status == "live"), None)
    before = _before(versions)
    if live is None or before is None:
        return (Note((line("There is no version to go back to: nothing was live before the present one."),)),)
    return (
        Facts(
            (
                ("live now", said(live.version, Tone.STRONG)),
                ("goes back to", said(before.version, Tone.STRONG)),
                ("loaded", line(f"{before.created_at:%Y-%m-%d %H:%M} UTC, {engine.counted(before.rows or 0, 'row')}")),
                ("how", line("one transaction, as it went live; readers see one version or the other, whole")),
                ("afterwards", line(f"{live.version} stays, retired: rolling back again makes it live")),
            )
        ),
    )


def left_behind(late: LateWrites) -> tuple[Line, ...]:
    """What was written to the live version since it went live, and where it was exported to."""
    told = [line(Span(sentence, Tone.NOTICE)) for sentence in engine.late_sentences(late)]
    if not told:
        return (line(Span("Nothing was written to the live version since it went live.", Tone.GOOD)),)
    files = [file for file in (late.sql_file, *late.csv_files) if file is not None]
    return (line(""), *told, *(line(Span("exported to ", Tone.DIM), file) for file in files))


def went_back(done: RolledBack) -> Facts:
    """What a rollback did, and how long it took."""
    return Facts(
        (
            ("live", said(done.live_version, Tone.GOOD)),
            ("retired", line(done.previous_version)),
            (
                "took",
                line(
                    f"{done.seconds:.3f} s; readers waited {done.lock_seconds:.3f} s at most; read back after {done.rto_seconds:.2f} s"
                ),
            ),
            (
                "read back",
                line(f"{engine.counted(sum(done.rows.values()), 'row')} in {engine.counted(len(done.rows), 'table')}"),
            ),
            ("again", line("rolling back once more makes the other version live")),
        )
    )


def _row(version: Version) -> Row:
    cells = (
        line(Span(version.status, _TONE.get(version.status, Tone.DIM))),
        line(version.version),
        line(count(version.rows)),
        line(engine.points(version.score) if version.score is not None else ""),
        line(f"{version.live_since:%Y-%m-%d %H:%M}" if version.live_since else ""),
        line((version.source_md5 or "")[:12]),
        line(version.created_by),
    )
    return Row(version.version, cells)


def runs(states: Sequence[RunState]) -> Table:
    """The runs of a workspace for the start screen: those that can be taken up first."""
    ordered = sorted(states, key=lambda s: not s.is_resumable)
    columns = (
        Column("Run"),
        Column("State"),
        Column("Stopped at"),
        Column("Done", right=True, spare=True),
        Column("Source", spare=True),
    )
    return Table("runs", columns, Rows(ordered, _run), empty="no run yet in this workspace", title="Runs")


def _stopped(state: RunState) -> str:
    """The stage that did not finish; between two stages, the one that comes next; behind the last, that it is over."""
    if state.stopped_at is not None or not state.is_resumable:
        return state.stopped_at or ""
    return f"before {state.goes_on_at}" if state.goes_on_at else f"after {engine.Stage.REPORT}"


def _run(state: RunState) -> Row:
    tone = Tone.NOTICE if state.is_resumable else (Tone.GOOD if state.outcome == "live" else Tone.DIM)
    cells = (
        line(state.run_id),
        line(Span(state.outcome, tone)),
        line(_stopped(state)),
        line(f"{len(state.finished)} of 10"),
        line(state.source.rpartition("/")[2]),
    )
    return Row(state.run_id, cells)
