"""The `sdetl` command: the wizard, and the engine's commands without screens.

stdout carries results (one JSON document with ``--json``); people's narration goes to stderr.
Exit codes are those of ``ExitCode``; a traceback never reaches the screen.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import sdetl_engine as engine
from sdetl_engine import RULES, Cancelled, ExitCode, SdetlError, Stage, UsageError, Workspace, sdetl_version
from sdetl_tui import by_hand, show
from sdetl_tui.diffing import diff_command
from sdetl_tui.narration import Narrator, stderr_console, tell_error
from sdetl_tui.options import (
    AsciiOption,
    DashboardsOption,
    DryRunOption,
    GrafanaOption,
    HiddenDashboardsOption,
    HiddenMarkerOption,
    HiddenSetOption,
    HiddenTargetOption,
    HiddenWorkspaceOption,
    JsonOption,
    MarkerOption,
    NoMouseOption,
    PlainOption,
    PlanOption,
    ReadOnlyOption,
    SetOption,
    SourceArgument,
    TargetOption,
    ThemeOption,
    WorkspaceOption,
    YesOption,
    ask_grafana_token,
    explained_settings_of,
    settings_of,
    workspace_of,
)
from sdetl_tui.overview import Overview
from sdetl_tui.recovery import backup_verify_command, drill_command, prune_command, restore_command, roll_back_command

if TYPE_CHECKING:
    from sdetl_engine import Runner, Served

app = typer.Typer(
    name="sdetl",
    cls=Overview,
    help="Move a ServiceDesk database from SQLite to PostgreSQL, and back out again.  Without a COMMAND it opens the "
    "wizard, which asks before anything is switched.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
RowsOption = Annotated[int, typer.Option("--rows", min=100, max=50_000_000, help="Rows in the demo database.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same database.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sdetl {sdetl_version()}")
        raise typer.Exit


@app.callback()
def _everything(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of sdetl itself."""


@app.command()
def run(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="SOURCE", help="The SQLite file.  It is only ever read.", show_default=False),
    ] = None,
    target: TargetOption = None,
    plan: PlanOption = None,
    workspace: WorkspaceOption = None,
    until: Annotated[Stage, typer.Option("--until", help="Stop after this stage.")] = Stage.REPORT,
    skip_canary: Annotated[
        bool, typer.Option("--skip-canary", help="Leave the canary out; the report says so.")
    ] = False,
    yes: YesOption = False,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that ended early.")
    ] = None,
    set_: SetOption = None,
    null_marker: MarkerOption = None,
    dashboards: DashboardsOption = None,
    grafana: GrafanaOption = None,
    json_: JsonOption = False,
) -> None:
    """Take SOURCE through the whole checklist into the target."""
    if resume is not None:
        named = plan or set_ or null_marker or dashboards or grafana
        runner = engine.resume_run(
            workspace_of(workspace),
            resume,
            source=source,
            target=target,
            settings=settings_of(plan, set_, null_marker, dashboards, grafana) if named else None,
        )
    else:
        if source is None:
            raise UsageError("run needs a SOURCE", next_step="sdetl run SOURCE --target T")
        if target is None:
            target = show.target_of_environment()
        settings = settings_of(plan, set_, null_marker, dashboards, grafana)
        runner = engine.start_run(workspace_of(workspace), source, target, settings, skip_canary=skip_canary)
    ask_grafana_token(runner.deployment)
    _carry_out(runner, until, yes=yes, as_json=json_)


@app.command()
def demo(
    rows: RowsOption = 260_000,
    seed: SeedOption = 20251019,
    headless: Annotated[bool, typer.Option("--headless", help="Without screens.")] = False,
    target: HiddenTargetOption = None,
    workspace: WorkspaceOption = None,
    set_: SetOption = None,
    null_marker: MarkerOption = None,
    dashboards: DashboardsOption = None,
    json_: JsonOption = False,
    plain: PlainOption = False,
    ascii_: AsciiOption = False,
    no_mouse: NoMouseOption = False,
    theme: ThemeOption = None,
) -> None:
    """Build a dirty ServiceDesk database and take it into an embedded PostgreSQL."""
    from sdetl_engine.demo import demo_dashboards, demo_source

    if target not in (None, "embedded"):
        raise UsageError(
            "the demo goes into the embedded PostgreSQL and nowhere else",
            next_step="take a file of your own there: sdetl run SOURCE --target T",
        )
    space = workspace_of(workspace).prepare()
    console = stderr_console()
    console.print(f"building a ServiceDesk database of about {rows:,} rows ...")
    source = demo_source(space.root / "demo", rows=rows, seed=seed)
    settings = settings_of(None, set_, null_marker, dashboards or demo_dashboards())
    if not headless and not plain and not (sys.stdin.isatty() and sys.stdout.isatty()):
        console.print("no terminal here: the demo goes through the checklist without screens, as with --headless")
        headless = True
    if not headless:
        from sdetl_tui.launch import Wishes, open_wizard

        wishes = Wishes(ascii=ascii_, mouse=not no_mouse, plain=plain, theme=theme)
        code = open_wizard(
            space,
            lambda plan: settings_of(plan, set_, null_marker, dashboards or demo_dashboards()),
            wishes,
            source=source,
            target="embedded",
        )
        raise typer.Exit(code)
    runner = engine.start_run(space, source, "embedded", settings)
    _carry_out(runner, Stage.REPORT, yes=True, as_json=json_)


def _single(stage: Stage, text: str) -> Callable[..., None]:
    """One stage on its own: the stages before it run too, as far as it needs them; the target is not touched."""

    def command(
        source: SourceArgument,
        target: TargetOption = None,
        plan: PlanOption = None,
        workspace: WorkspaceOption = None,
        set_: SetOption = None,
        null_marker: MarkerOption = None,
        dashboards: DashboardsOption = None,
        grafana: GrafanaOption = None,
        yes: YesOption = False,
        json_: JsonOption = False,
    ) -> None:
        settings = settings_of(plan, set_, null_marker, dashboards, grafana)
        _carry_out(engine.start_run(workspace_of(workspace), source, target, settings), stage, yes=yes, as_json=json_)

    command.__doc__ = text
    return command


def _single_with_output(stage: Stage, text: str) -> Callable[..., None]:
    def command(
        source: SourceArgument,
        output: Annotated[
            Path, typer.Option("--output", "-o", help="Where the result goes; must not exist.", show_default=False)
        ],
        target: TargetOption = None,
        plan: PlanOption = None,
        workspace: WorkspaceOption = None,
        set_: SetOption = None,
        null_marker: MarkerOption = None,
        dashboards: DashboardsOption = None,
        grafana: GrafanaOption = None,
        yes: YesOption = False,
        json_: JsonOption = False,
    ) -> None:
        from sdetl_engine import hand_over

        show.refuse_output(output, source)
        settings = settings_of(plan, set_, null_marker, dashboards, grafana)
        runner = engine.start_run(workspace_of(workspace), source, target, settings)
        _carry_out(runner, stage, yes=yes, as_json=json_, afterwards=lambda r: hand_over(r.deployment, stage, output))

    command.__doc__ = text
    return command


app.command("preflight")(
    _single(Stage.PREFLIGHT, "Look at the source (and the target, when named) without touching them.")
)
app.command("profile")(
    _single(Stage.PROFILE, "Find the actual type of every column; exit 3 when the circuit breaker halts.")
)
app.command("score")(_single(Stage.SCORE, "Clean a copy and weigh its quality; exit 3 under the threshold."))
app.command("backup")(_single_with_output(Stage.BACKUP, "Take a frozen, proved copy of SOURCE into the folder OUTPUT."))
app.command("clean")(
    _single_with_output(Stage.CLEAN, "Write a cleaned copy of SOURCE to OUTPUT, with OUTPUT.ledger beside it.")
)
app.command("diff")(diff_command)
app.command("drill")(drill_command)
app.command("restore")(
    restore_command(lambda runner, yes, json_: _carry_out(runner, Stage.REPORT, yes=yes, as_json=json_))
)
app.command("backup-verify", hidden=True)(backup_verify_command)


@app.command()
def status(
    workspace: WorkspaceOption = None,
    target: TargetOption = None,
    set_: SetOption = None,
    null_marker: HiddenMarkerOption = None,
    dashboards: HiddenDashboardsOption = None,
    json_: JsonOption = False,
) -> None:
    """Runs of this workspace, and what is live in the target when one is named."""
    space = workspace_of(workspace)
    found, served = _versions(space, target, set_) if target else (None, ())
    show.status(engine.run_states(space), found, served, as_json=json_)


@app.command()
def versions(
    target: TargetOption = None,
    workspace: WorkspaceOption = None,
    set_: SetOption = None,
    null_marker: HiddenMarkerOption = None,
    dashboards: HiddenDashboardsOption = None,
    json_: JsonOption = False,
) -> None:
    """Versions in the target: live, candidate, retired."""
    found, served = _versions(workspace_of(workspace), target, set_)
    show.versions(found, served, as_json=json_)


@app.command()
def rollback(
    target: TargetOption = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="The version to make live.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    set_: SetOption = None,
    null_marker: HiddenMarkerOption = None,
    dashboards: HiddenDashboardsOption = None,
    yes: YesOption = False,
    json_: JsonOption = False,
) -> None:
    """Make the version live again that was live before the present one.

    What was written to the live version since it was loaded is found first, and exported as SQL and CSV.
    """
    roll_back_command(target, to, workspace, set_, yes=yes, as_json=json_)


@app.command()
def prune(
    target: TargetOption = None,
    workspace: WorkspaceOption = None,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Retired versions to keep (prune.keep_versions).")
    ] = None,
    set_: SetOption = None,
    null_marker: HiddenMarkerOption = None,
    dashboards: HiddenDashboardsOption = None,
    yes: YesOption = False,
    json_: JsonOption = False,
) -> None:
    """Remove old versions, backups, cleaned copies and exports; never the live one, the newest good ones, or what a run or
    a rollback needs.

    Says first what would go and what stays, and why.  Without a terminal and without --yes: that is all it does.
    """
    prune_command(target, workspace, keep, set_, yes=yes, as_json=json_)


@app.command()
def report(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    workspace: WorkspaceOption = None,
    target: HiddenTargetOption = None,
    set_: HiddenSetOption = None,
    null_marker: HiddenMarkerOption = None,
    dashboards: HiddenDashboardsOption = None,
    json_: JsonOption = False,
) -> None:
    """Where the report of a run is; with --json its content."""
    folder = workspace_of(workspace).run_folder(run_id)
    if not folder.report_json.exists():
        raise UsageError(f"run {run_id} has no report", next_step=f"finish it with sdetl run --resume {run_id}")
    typer.echo(folder.report_json.read_text(encoding="utf-8") if json_ else str(folder.report_html))


@app.command()
def rules(code: Annotated[str | None, typer.Argument(show_default=False)] = None, json_: JsonOption = False) -> None:
    """Every finding code, what it means and what can be decided about it."""
    if code is not None and code.upper() not in RULES:
        raise UsageError(f"there is no rule {code}", next_step="sdetl rules lists them")
    show.rules([RULES[code.upper()]] if code else list(RULES.values()), as_json=json_)


@app.command()
def settings(
    plan: PlanOption = None,
    set_: SetOption = None,
    null_marker: MarkerOption = None,
    dashboards: DashboardsOption = None,
    grafana: GrafanaOption = None,
    target: HiddenTargetOption = None,
    workspace: HiddenWorkspaceOption = None,
    json_: JsonOption = False,
) -> None:
    """Every setting: its value, where that came from (default, plan, environment, --set), and what it means."""
    show.settings(explained_settings_of(plan, set_, null_marker, dashboards, grafana), as_json=json_)


@app.command(hidden=True)
def wizard(
    source: Annotated[Path | None, typer.Argument(metavar="SOURCE", show_default=False)] = None,
    target: TargetOption = None,
    plan: PlanOption = None,
    workspace: WorkspaceOption = None,
    set_: SetOption = None,
    null_marker: MarkerOption = None,
    dashboards: DashboardsOption = None,
    grafana: GrafanaOption = None,
    read_only: ReadOnlyOption = False,
    dry_run: DryRunOption = False,
    plain: PlainOption = False,
    ascii_: AsciiOption = False,
    no_mouse: NoMouseOption = False,
    theme: ThemeOption = None,
) -> None:
    """The wizard, with what is named here filled in."""
    from sdetl_tui.launch import Wishes, open_wizard

    raise typer.Exit(
        open_wizard(
            workspace_of(workspace),
            lambda chosen: settings_of(chosen, set_, null_marker, dashboards, grafana),
            Wishes(read_only, dry_run, ascii_, not no_mouse, plain, theme),
            source=source.absolute() if source is not None else None,
            target=target,
            plan=plan,
        )
    )


def _versions(
    space: Workspace, target: str | None, assignments: Sequence[str] | None
) -> tuple[list[Any], tuple[Served, ...]]:
    from sdetl_engine import how_served, list_versions, open_session

    settings = settings_of(None, assignments)
    with open_session(space, target or show.target_of_environment(), settings) as session:
        return list_versions(session), how_served(session)


def _carry_out(
    runner: Runner, until: Stage, *, yes: bool, as_json: bool, afterwards: Callable[[Runner], object] | None = None
) -> None:
    """Run with narration, print the document or the outcome, and leave with its exit code."""
    console = stderr_console()
    narrator = Narrator(console)
    with runner.deployment as deployment:
        deployment.agreed = yes
        outcome = by_hand.followed(lambda: narrator.follow(runner, until), asks=not as_json)
        if outcome.exit_code is ExitCode.DONE and afterwards is not None:
            afterwards(runner)
        document = engine.run_document(deployment, runner.records, outcome)
    if outcome.error is not None:
        narrator.error(outcome.error)
    if as_json:
        typer.echo(json.dumps(engine.printed_document(document), ensure_ascii=True, allow_nan=False))
    else:
        show.outcome(console, outcome, document)
    raise typer.Exit(int(outcome.exit_code))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point.  `sdetl SOURCE ...` and `sdetl` alone mean the wizard."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json, interrupts = "--json" in words, _Interrupts()
    try:
        code = int(app(args=_with_command(words), prog_name="sdetl", standalone_mode=False) or 0)
    except SdetlError as error:
        _leave(error, as_json=as_json)
    except typer.Exit as done:
        code = done.exit_code
    except (KeyboardInterrupt, typer.Abort):
        interrupts.leave(as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the last border: one line for the person, never a traceback
        _leave_click_or_defect(error, as_json=as_json)
    if interrupts.pressed and code == ExitCode.CANCELLED:
        interrupts.leave(as_json=as_json)
    sys.exit(code)


class _Interrupts:
    """Ctrl-C raises as always, and is noted here: typer makes a silent exit of it, which somebody has to put in words.

    While the engine is at work its signals are the narrator's, and are told there.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._told = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._press)
        # Before anybody else's, so that it runs last.
        atexit.register(self._end)

    def leave(self, *, as_json: bool) -> NoReturn:
        """End because of it, where nothing was at work that would have to be stopped at a safe point."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._told = True
        cancelled = Cancelled()
        code = int(cancelled.exit_code)
        typer.echo(f"\n{cancelled.message}", err=True)
        if as_json:
            typer.echo(json.dumps({"exit_code": code, "outcome": "cancelled", "error": cancelled.as_json()}))
        sys.exit(code)

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        raise KeyboardInterrupt

    def _end(self) -> None:
        """Python would kill itself by SIGINT in the end if the interruption met it in an exec(), as dataclasses use it."""
        if self._told:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(ExitCode.CANCELLED))


def _with_command(words: list[str]) -> list[str]:
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    if words[:2] == ["backup", "verify"]:
        return ["backup-verify", *words[2:]]
    first = next((word for word in words if not word.startswith("-")), None)
    of_sdetl = ("--help", "-h", "--version", "--install-completion", "--show-completion")
    if first in commands or (words and words[0] in of_sdetl):
        return words
    return ["wizard", *words]


def _leave(error: SdetlError, *, as_json: bool) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what went wrong is told to the end
    tell_error(stderr_console(), error)
    if as_json:
        typer.echo(json.dumps({"exit_code": int(error.exit_code), "outcome": "failed", "error": error.as_json()}))
    sys.exit(int(error.exit_code))


def _leave_click_or_defect(error: Exception, *, as_json: bool) -> NoReturn:
    if isinstance(error, typer.exceptions.TyperException) and hasattr(error, "format_message"):
        _leave(UsageError(error.format_message(), next_step="see sdetl --help"), as_json=as_json)
    where = traceback.extract_tb(error.__traceback__)[-1]
    _leave(
        SdetlError(
            f"a defect in sdetl ({type(error).__name__} in {Path(where.filename).name}:{where.lineno})",
            next_step="report it with the command that you gave",
        ),
        as_json=as_json,
    )


if __name__ == "__main__":
    main()
