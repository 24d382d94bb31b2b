"""The options that mean the same everywhere, and what they come to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import sdetl_engine as engine
from sdetl_engine import Settings, Workspace
from sdetl_tui.terminal import ThemeName

if TYPE_CHECKING:
    from sdetl_engine import Deployment, SettingLine

SourceArgument = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="The SQLite file.  It is only ever read.", show_default=False)
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target",
        "-t",
        metavar="TARGET",
        help="libpq URL, key/value string, service name, or 'embedded'.  PG* variables and ~/.pgpass work as for psql.",
        envvar="SDETL_TARGET",
        show_default=False,
    ),
]
PlanOption = Annotated[
    Path | None,
    typer.Option("--plan", metavar="FILE", help="TOML plan with settings and decisions.", show_default=False),
]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", metavar="DIR", help="Folder for runs and backups.", envvar="SDETL_WORKSPACE", show_default=False
    ),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting.", show_default=False)
]
MarkerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--null-marker",
        metavar="TABLE.COLUMN=MARK",
        help="A value that means 'missing' ('*=?': everywhere).",
        show_default=False,
    ),
]
DashboardsOption = Annotated[
    Path | None,
    typer.Option("--dashboards", metavar="DIR", help="Folder of Grafana dashboard JSON.", show_default=False),
]
# Every command takes them, so that a script may say them everywhere; where they change nothing, help leaves them out.
HiddenTargetOption = Annotated[str | None, typer.Option("--target", "-t", hidden=True)]
HiddenWorkspaceOption = Annotated[Path | None, typer.Option("--workspace", hidden=True)]
HiddenSetOption = Annotated[list[str] | None, typer.Option("--set", hidden=True)]
HiddenMarkerOption = Annotated[list[str] | None, typer.Option("--null-marker", hidden=True)]
HiddenDashboardsOption = Annotated[Path | None, typer.Option("--dashboards", hidden=True)]
GrafanaOption = Annotated[
    str | None,
    typer.Option(
        "--grafana",
        metavar="URL",
        help="Grafana server: its dashboards are read, its panels asked before and after the switch.  The token comes "
        "from SDETL_GRAFANA_TOKEN or GRAFANA_TOKEN, or is asked for.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Agree to reviews and the cutover; never passes a halt.")]
ReadOnlyOption = Annotated[bool, typer.Option("--read-only", help="Look at runs and versions; change nothing.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Up to the score; nothing is written to the target.")]
PlainOption = Annotated[
    bool, typer.Option("--plain", help="The wizard line by line: for screen readers and simple terminals.")
]
AsciiOption = Annotated[bool, typer.Option("--ascii", help="Draw with ASCII only.")]
NoMouseOption = Annotated[bool, typer.Option("--no-mouse", help="Leave the mouse to the terminal.")]
ThemeOption = Annotated[
    ThemeName | None, typer.Option("--theme", help="Colours; 'ansi' uses the terminal's own.", show_default=False)
]


def workspace_of(path: Path | None) -> Workspace:
    """The named workspace, or the platform's data folder."""
    return Workspace(path.absolute()) if path is not None else Workspace.default()


def settings_of(
    plan: Path | None,
    assignments: Sequence[str] | None,
    markers: Sequence[str] | None = None,
    dashboards: Path | None = None,
    grafana: str | None = None,
) -> Settings:
    """Defaults < plan < environment < --set < options with a name of their own."""
    extra = _extra(markers, dashboards, grafana)
    return engine.load_settings(plan=plan, environ=os.environ, assignments=assignments or (), extra=extra)


def explained_settings_of(
    plan: Path | None,
    assignments: Sequence[str] | None,
    markers: Sequence[str] | None = None,
    dashboards: Path | None = None,
    grafana: str | None = None,
) -> tuple[SettingLine, ...]:
    """The same, each with where it came from."""
    extra = _extra(markers, dashboards, grafana)
    return engine.explained_settings(plan=plan, environ=os.environ, assignments=assignments or (), extra=extra)


def _extra(markers: Sequence[str] | None, dashboards: Path | None, grafana: str | None) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if markers:
        extra["clean.null_markers"] = list(markers)
    if dashboards is not None:
        extra["dashboards.directory"] = os.fspath(dashboards.absolute())
    if grafana is not None:
        extra["grafana.url"] = grafana
    return extra


def ask_grafana_token(run: Deployment) -> None:
    """Ask for Grafana's token where a server is named, the environment has none, and somebody is there to type it."""
    if run.settings.grafana.url is None or engine.grafana_token_of(os.environ) is not None or not sys.stdin.isatty():
        return
    typed = typer.prompt(
        "Grafana token (empty: go on without)", default="", show_default=False, hide_input=True, err=True
    )
    run.grafana_token = typed.strip() or None
