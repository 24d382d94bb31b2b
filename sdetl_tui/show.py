"""Results on stdout: tables for people, one JSON document for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

import sdetl_engine as engine
from sdetl_engine import (
    GateStopped,
    OutcomeKind,
    UsageError,
    shown_value,
)
from sdetl_tui.narration import stdout_console
from sdetl_tui.text import literal, plain

if TYPE_CHECKING:
    from sdetl_engine import (
        Difference,
        DiffResult,
        Outcome,
        Rule,
        RunState,
        Served,
        SettingLine,
    )

_PG_VARIABLES = ("PGHOST", "PGDATABASE", "PGSERVICE", "PGUSER", "PGPORT")


def target_of_environment() -> str:
    """An empty target when PG* variables name one, as psql does; UsageError when nothing does."""
    if any(os.environ.get(name) for name in _PG_VARIABLES):
        return ""
    raise UsageError("no target is named", next_step="name one with --target (a libpq URL, a service, or embedded)")


def settings(lines: Sequence[SettingLine], *, as_json: bool) -> None:
    """Every setting; on a terminal those that are not the default stand out."""
    if as_json:
        typer.echo(json.dumps({"settings": [dataclasses.asdict(one) for one in lines]}, ensure_ascii=True))
        return
    console = stdout_console()
    for one in lines:
        is_default = one.value == one.default and one.origin == "default"
        console.print(
            literal(f"{one.key} = {json.dumps(one.value, ensure_ascii=False)}", "" if is_default else "bold"),
            soft_wrap=True,
        )
        origin = "" if is_default else f"from {one.origin}; default {json.dumps(one.default, ensure_ascii=False)}. "
        console.print(literal(f"    {origin}{one.meaning}", "dim" if is_default else ""), soft_wrap=True)


def agree(what: str, *, yes: bool) -> None:
    """Ask on a terminal; without one, and without --yes, stop with exit code 3."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise GateStopped(f"this would {what}, and nobody agreed", next_step="agree with --yes", kind="review")
    if not typer.confirm(f"This will {plain(what)}. Go on?", default=False, err=True):
        raise GateStopped("not agreed; nothing was done", next_step="run it again when you are ready", kind="review")


def refuse_output(output: Path, source: Path) -> None:
    """An output that exists, or that is the source, is never written over."""
    if output.exists() or output.is_symlink():
        same = output.exists() and source.exists() and output.samefile(source)
        what = "is the source itself" if same else "exists already"
        raise UsageError(f"the output {output} {what}", next_step="name a path that does not exist yet")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"the folder of the output {output} does not exist", next_step="create it first")


def outcome(console: Console, ended: Outcome, document: Mapping[str, Any]) -> None:
    """What is true now, in a few lines on stderr."""
    if ended.kind is OutcomeKind.LIVE:
        version = document.get("target", {}).get("version_schema", "?")
        schema = document.get("target", {}).get("serving_schema", "?")
        console.print(literal(f"{version} is live in schema {schema}."), soft_wrap=True)
        back = document.get("cutover", {}).get("rollback_command")
        if back:
            console.print(literal(f"to go back: {back}"), soft_wrap=True)
    elif ended.kind is OutcomeKind.VALIDATED:
        console.print("done; nothing was switched.", soft_wrap=True)
    if "cutover_command" in document:
        ready = f"{document['target']['version_schema']} is a validated candidate; to make it live: "
        console.print(literal(ready + document["cutover_command"]), soft_wrap=True)
    if "report" in document:
        console.print(literal(f"report: {document['report']}"), soft_wrap=True)
    console.print(literal(f"run: {document['run_id']}"), soft_wrap=True)


def versions(found: Sequence[Any], served: Sequence[Served], *, as_json: bool) -> None:
    """Versions of the target, and how readers reach those that are live."""
    if as_json:
        emit_json(_versions_document(found, served))
        return
    table = new_table("version", "status", "live since", "rows", "score", "source MD5", "loaded by", "note")
    ways_back = {version.previous for version in found if version.status == "live"}
    for version in found:
        notes = ["a rollback goes back to this one"] if version.version in ways_back else []
        table.add_row(
            literal(version.version),
            version.status.upper() if version.status == "live" else version.status,
            _moment(version.live_since),
            f"{version.rows:,}" if version.rows is not None else "",
            engine.points(version.score) if version.score is not None else "",
            version.source_md5 or "",
            literal(version.created_by),
            literal("; ".join([*notes, *([version.note] if version.note else [])])),
        )
    emit(table if found else "no versions in this target yet")
    for one in served:
        emit(_reached(one))


def _versions_document(found: Sequence[Any], served: Sequence[Served]) -> dict[str, Any]:
    return {
        "versions": [jsonable(dataclasses.asdict(v)) for v in found],
        "served": [jsonable(dataclasses.asdict(one)) for one in served],
    }


def _reached(one: Served) -> str:
    """How readers reach a live version, since when and by whom, in a sentence."""
    if one.schema is None:
        return plain(f"{one.version} is live, but its schema is gone: see sdetl restore")
    how = f"as schema {one.schema}"
    if one.schema != one.serving_schema:
        how = f"under its own name: the search_path of {', '.join(one.roles) or 'no role'} leads to it"
    since = f", since {_moment(one.since)}" if one.since is not None else ""
    told = f"{one.version} is live {how}{since}{f', made so by {one.by}' if one.by is not None else ''}"
    if one.old_sessions:
        told += f"; {engine.counted(len(one.old_sessions), 'session')} from before {engine.inflected(len(one.old_sessions), 'goes', 'go')} on reading the version before: "
        told += "; ".join(one.old_sessions[:5]) + (" ..." if len(one.old_sessions) > 5 else "")
    return plain(told)


def status(runs: Sequence[RunState], found: Sequence[Any] | None, served: Sequence[Served], *, as_json: bool) -> None:
    """Runs of the workspace, and the target's versions when asked for."""
    if as_json:
        document: dict[str, Any] = {"runs": [jsonable(dataclasses.asdict(r)) for r in runs]}
        if found is not None:
            document |= _versions_document(found, served)
        emit_json(document)
        return
    table = new_table("run", "outcome", "finished", "stopped at", "source", "target", "resumable")
    for state in runs:
        table.add_row(
            state.run_id,
            state.outcome,
            str(len(state.finished)),
            state.stopped_at or "",
            literal(state.source),
            literal(state.target or ""),
            "yes" if state.is_resumable else "",
        )
    emit(table if runs else "no runs in this workspace yet")
    if found is not None:
        versions(found, served, as_json=False)


def differences(result: DiffResult, page: Sequence[Difference]) -> None:
    """Some differences, and what the comparison came to."""
    table = new_table("kind", "table", "key", "column", "expected", "actual")
    for d in page:
        values = (shown_value(d.expected), shown_value(d.actual)) if d.has_values else (d.note, "")
        table.add_row(str(d.kind), *map(literal, (d.table, d.key, d.column or "", *values)))
    if page:
        emit(table)
    where = f"{plain(result.version)} ({result.status})"
    rows = f"{engine.counted(result.rows, 'row')} in {engine.counted(len(result.tables), 'table')}"
    if result.equal:
        emit(f"{where} equals the source in every cell of {rows}, through ledger and quarantine")
        return
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(result.by_kind.items()))
    emit(f"{where} differs from the source: {engine.counted(result.total, 'difference')} in {rows} ({kinds})")


def rules(found: Sequence[Rule], *, as_json: bool) -> None:
    """The catalogue, or one rule in full."""
    if as_json:
        emit_json({"rules": [jsonable(dataclasses.asdict(r)) for r in found]})
    elif len(found) == 1:
        for field in dataclasses.fields(found[0]):
            value = getattr(found[0], field.name)
            if value not in (None, ()):
                emit(f"{field.name:>10}  {', '.join(map(str, value)) if isinstance(value, tuple) else value}")
    else:
        table = new_table("code", "severity", "meaning")
        for rule in found:
            table.add_row(rule.code, str(rule.severity), rule.title)
        emit(table)


def new_table(*headings: str) -> Table:
    """A plain table with these headings."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def emit(what: Table | str) -> None:
    """Print a result; in a pipe, lines are not broken at the width of a terminal."""
    console = stdout_console()
    if not console.is_terminal:
        console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=240)
    console.print(what, soft_wrap=isinstance(what, str))


def emit_json(document: Mapping[str, Any]) -> None:
    """Print the one document of ``--json``."""
    typer.echo(json.dumps(document, ensure_ascii=True, allow_nan=False))


def jsonable(value: Any) -> Any:
    """The same in JSON's own types; what is None is left out."""
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, (int, float, bool)) else str(value)


def _moment(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S %Z") if value is not None else ""
