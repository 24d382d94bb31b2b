"""``sdetl drill``, ``restore`` and ``backup verify``: the way back on the command line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import sdetl_engine as engine
from sdetl_engine import ExitCode, Fault, GateStopped, SdetlError, UsageError
from sdetl_tui import by_hand, show, show_recovery
from sdetl_tui.narration import stderr_console
from sdetl_tui.options import (
    DashboardsOption,
    HiddenDashboardsOption,
    HiddenMarkerOption,
    JsonOption,
    MarkerOption,
    SetOption,
    TargetOption,
    WorkspaceOption,
    YesOption,
    settings_of,
    workspace_of,
)
from sdetl_tui.telling import Teller

if TYPE_CHECKING:
    from sdetl_engine import FoundBackup, LateWrites, RolledBack, Runner, Settings, TargetSession

CarryOut = Callable[["Runner", bool, bool], None]
BackupArgument = Annotated[
    str,
    typer.Argument(metavar="BACKUP", help="A run's id, or the .dump or .db file of a backup.", show_default=False),
]


def drill_command(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE",
            help="What to drill with; else the newest run's cleaned copy, or demo data.",
            show_default=False,
        ),
    ] = None,
    target: TargetOption = None,
    fault: Annotated[
        list[Fault] | None, typer.Option("--fault", help="What to break; may be repeated.  All, when left out.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget", metavar="SECONDS", help="The most a rollback may take (drill.rto_seconds).", min=0.001
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    set_: SetOption = None,
    null_marker: MarkerOption = None,
    dashboards: HiddenDashboardsOption = None,
    yes: YesOption = False,
    json_: JsonOption = False,
) -> None:
    """Rehearse cutover, faults, rollback and restore in a schema of its own, timed; exit 4 when it does not hold."""
    settings, space = settings_of(None, set_, null_marker), workspace_of(workspace)
    with engine.open_session(space, target or show.target_of_environment(), settings) as session:
        faults = tuple(fault or Fault)
        show.agree(
            f"rehearse in {session.target.describe()}: load two versions into {settings.drill_schema}, break "
            f"{', '.join(faults)}, go back, restore, and drop it all again",
            yes=yes,
        )
        with Teller(stderr_console(), "sdetl drill again") as teller:
            result = engine.drill(space, session, settings, teller, source=source, faults=faults, budget_seconds=budget)
    show_recovery.drilled(result, as_json=json_)
    raise typer.Exit(int(ExitCode.DONE if result.passed else ExitCode.VALIDATION))


def backup_verify_command(
    backup: BackupArgument,
    target: TargetOption = None,
    workspace: WorkspaceOption = None,
    set_: SetOption = None,
    null_marker: HiddenMarkerOption = None,
    dashboards: HiddenDashboardsOption = None,
    json_: JsonOption = False,
) -> None:
    """Prove a backup: read its files back, restore its dump into a scratch database, compare every digest.

    The scratch database is made in the embedded server, or in the target that is named; exit 4 when anything differs.
    """
    settings, space = settings_of(None, set_), workspace_of(workspace)
    found = engine.find_backup(space, backup)
    with (
        engine.open_session(space, target or "embedded", settings) as session,
        Teller(stderr_console(), "verify it again") as teller,
    ):
        result = engine.verify_backup(space, session, settings, teller, found)
    show_recovery.verified(result, as_json=json_)
    raise typer.Exit(int(ExitCode.DONE if result.passed else ExitCode.VALIDATION))


def restore_command(carry_out: CarryOut) -> Callable[..., None]:
    """``sdetl restore``; ``carry_out`` runs a checklist, which is how a source's backup comes back."""

    def restore(
        backup: BackupArgument,
        target: TargetOption = None,
        name: Annotated[
            str | None, typer.Option("--as", metavar="NAME", help="What to call the version.", show_default=False)
        ] = None,
        workspace: WorkspaceOption = None,
        set_: SetOption = None,
        null_marker: MarkerOption = None,
        dashboards: DashboardsOption = None,
        yes: YesOption = False,
        json_: JsonOption = False,
    ) -> None:
        """Bring a backup back beside what is live, prove it, and switch it in when that is agreed to.

        The .dump of a run holds what was live when the run began; its .db goes through the checklist again.
        """
        space = workspace_of(workspace)
        found = engine.find_backup(space, backup)
        target = target or show.target_of_environment()
        if found.only == "source" or (found.only is None and found.manifest.dump is None):
            _refuse_name(name)
            plan = found.manifest.folder.parent / "plan.toml"
            settings = settings_of(plan if plan.exists() else None, set_, null_marker, dashboards)
            with Teller(stderr_console(), "restore it again") as teller:
                runner = engine.restore_source(space, found, target, settings, teller)
            carry_out(runner, yes, json_)
        else:
            _restore_dump(space.root, found, target, name, set_, yes=yes, as_json=json_)

    return restore


def roll_back_command(
    target: str | None,
    to: str | None,
    workspace: Path | None,
    assignments: list[str] | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """``sdetl rollback``: late writes first, then agreement, then the switch."""
    settings, space = settings_of(None, assignments), workspace_of(workspace)
    with engine.open_session(space, target or show.target_of_environment(), settings) as session:
        live, back_to = engine.choose_version(session, settings, to)
        late = None
        with Teller(stderr_console(), "sdetl rollback again") as teller:
            if live.version != back_to.version:
                late = engine.late_writes(space, session, settings, teller)
        if late is not None:
            show_recovery.late(stderr_console(), late)
            left = f", and leave {engine.counted(late.rows, 'late row')} behind in {live.version}" if late.rows else ""
            show.agree(
                f"make {back_to.version} live in {settings.serving_schema} instead of {live.version}{left}", yes=yes
            )
        done = by_hand.until_made(lambda: _roll_back(session, settings, back_to.version, late), asks=not as_json)
    show_recovery.rolled_back(done, late, as_json=as_json)


def _roll_back(session: TargetSession, settings: Settings, to: str, late: LateWrites | None) -> RolledBack:
    with Teller(stderr_console(), "sdetl rollback again") as teller:
        return engine.rollback(session, settings, teller, to, late=late)


def prune_command(
    target: str | None,
    workspace: Path | None,
    keep: int | None,
    assignments: list[str] | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """``sdetl prune``: a dry run, then agreement, then the removal."""
    settings, space = settings_of(None, assignments), workspace_of(workspace)
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(engine.open_session(space, target, settings)) if target is not None else None
        planned = engine.plan_prune(space, session, settings, keep)
        asks = bool(planned.going) and not yes and sys.stdin.isatty() and not as_json
        if asks:
            show_recovery.to_prune(planned)
            show.agree(f"remove these {len(planned.going)} for good", yes=False)
        if yes or asks:
            planned = engine.carry_out_prune(space, session, settings, planned, keep)
    show_recovery.pruned(planned, done=yes or asks, as_json=as_json)


def _restore_dump(
    space_root: Path,
    found: FoundBackup,
    target: str,
    name: str | None,
    assignments: list[str] | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    settings, space = settings_of(None, assignments), workspace_of(space_root)
    serving = settings.serving_schema
    if not sys.stdin.isatty():
        show.agree(f"restore {found.named} and make it live in {serving}", yes=yes)
    with engine.open_session(space, target, settings) as session:
        with Teller(stderr_console(), "restore it again") as teller:
            restored = engine.restore_beside(space, session, settings, teller, found, name=name)
        try:
            show_recovery.restored_beside(stderr_console(), restored)
            instead = f" instead of {restored.expected_live}" if restored.expected_live else ""
            show.agree(f"make {restored.version} live in {serving}{instead}", yes=yes)
        except (GateStopped, KeyboardInterrupt, typer.Abort):
            engine.drop_restored(session, restored)
            raise
        with Teller(stderr_console(), "see sdetl versions, then restore it again") as teller:
            try:
                done = by_hand.until_made(
                    lambda: engine.make_restored_live(session, settings, teller, restored), asks=not as_json
                )
            except SdetlError as error:
                if by_hand.is_about_it(error):
                    raise  # it stays, for whoever runs the SQL
                with contextlib.suppress(SdetlError):  # one that went live all the same is not dropped
                    engine.drop_restored(session, restored)
                raise
        is_by_hand = settings.cutover.strategy == "manual"
        back = engine.rollback_command(session.spoken, space.root, serving, by_hand=is_by_hand)
    show_recovery.restored(done, back if done.previous_version else None, as_json=as_json)


def _refuse_name(name: str | None) -> None:
    if name is not None:
        raise UsageError(
            "a source that is restored goes through the checklist, and its version is named after that run",
            next_step="leave --as out",
        )
