"""``sdetl diff``: the ledger equation on the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.status import Status

import sdetl_engine as engine
from sdetl_engine import ExitCode, SilentReporter
from sdetl_tui import show
from sdetl_tui.narration import stderr_console
from sdetl_tui.options import (
    HiddenDashboardsOption,
    JsonOption,
    MarkerOption,
    PlanOption,
    SetOption,
    SourceArgument,
    TargetOption,
    WorkspaceOption,
    settings_of,
    workspace_of,
)
from sdetl_tui.text import literal

if TYPE_CHECKING:
    from sdetl_engine import Difference, DiffResult


def diff_command(
    source: SourceArgument,
    target: TargetOption = None,
    run_id: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="The version that this run loaded.", show_default=False)
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="This version.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.csv", help="Write every difference there.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Show so many differences.")] = 20,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out so many before.")] = 0,
    plan: PlanOption = None,
    workspace: WorkspaceOption = None,
    set_: SetOption = None,
    null_marker: MarkerOption = None,
    dashboards: HiddenDashboardsOption = None,
    json_: JsonOption = False,
) -> None:
    """Compare every row and cell of SOURCE with the live version, through ledger and quarantine; exit 4 when they differ.

    Without --run and --version: the live version, or the newest candidate when none is live.  Where the run that loaded
    it is not in this workspace, types, rules and ledger are worked out again, by --plan (the plan.toml of that run).
    """
    if output is not None:
        show.refuse_output(output, source)
    settings, space, console = settings_of(plan, set_, null_marker), workspace_of(workspace), stderr_console()
    with (
        engine.open_session(space, target or show.target_of_environment(), settings) as session,
        console.status("comparing") as status,
    ):
        result = engine.diff(space, session, settings, source, _Telling(status), run_id=run_id, version=version)
    page = engine.read_differences(Path(result.path), offset=offset, limit=limit).differences
    if output is not None:
        engine.export_differences(Path(result.path), output)
    code = ExitCode.DONE if result.equal else ExitCode.VALIDATION
    if json_:
        typer.echo(json.dumps(_document(result, page, offset, output, code), ensure_ascii=True, allow_nan=False))
    else:
        _tell(console, result, page, offset, output)
    raise typer.Exit(int(code))


class _Telling(SilentReporter):
    """Shows what is being compared, on a terminal."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
        """One line that is written over."""
        self._status.update(literal(f"{what}: {done:,}" + (f" of {total:,} {unit}" if total else f" {unit}")))


def _document(
    result: DiffResult, page: tuple[Difference, ...], offset: int, output: Path | None, code: ExitCode
) -> dict[str, object]:
    fields = dataclasses.asdict(result)
    del fields["path"]
    if result.source_change is None:
        del fields["source_change"]
    return {
        **fields,
        "equal": result.equal,
        "exit_code": int(code),
        "offset": offset,
        "differences": [_difference(d) for d in page],
        **({"output": str(output)} if output is not None else {}),
    }


def _difference(d: Difference) -> dict[str, object]:
    """``expected`` and ``actual`` are null for NULL, and absent where there is nothing to say."""
    values: dict[str, object] = {"expected": d.expected, "actual": d.actual} if d.has_values else {}
    names = {"key": d.key, "column": d.column, "note": d.note}
    return {"kind": str(d.kind), "table": d.table, **{k: v for k, v in names.items() if v}, **values}


def _tell(console: Console, result: DiffResult, page: tuple[Difference, ...], offset: int, output: Path | None) -> None:
    if result.source_change is not None:
        console.print(literal(f"the source is not the file that was loaded: {result.source_change}"), soft_wrap=True)
    if result.reworked:
        told = f"run {result.run_id} is not in this workspace: types, rules and ledger were worked out again from the source"
        hint = "" if result.equal else "; --plan with the plan.toml of that run makes them what they were"
        console.print(literal(told + hint), soft_wrap=True)
    show.differences(result, page)
    shown = offset + len(page)
    if shown < result.total:
        console.print(f"{result.total - shown:,} more; --offset {shown} shows the next, --output FILE.csv writes all")
    if result.not_compared:
        console.print(literal(f"not compared, because not loaded: {', '.join(result.not_compared)}"), soft_wrap=True)
    if output is not None:
        console.print(literal(f"written to {output}"), soft_wrap=True)
