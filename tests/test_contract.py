"""The contract with other programs, as tables: commands with their options, and the keys of every JSON document."""

from __future__ import annotations

import pytest
import typer
from typer.main import get_command

from sdetl_tui.cli import app

EVERYWHERE = ("--target", "--workspace", "--set", "--null-marker", "--dashboards", "--json", "--help")
COMMANDS: dict[str, tuple[str, ...]] = {
    "wizard": ("SOURCE", "--target", "--plan", "--workspace", "--set", "--null-marker", "--dashboards"),
    "demo": ("--rows", "--seed", "--headless", *EVERYWHERE),
    "run": ("SOURCE", "--until", "--skip-canary", "--yes", "--resume", "--plan", *EVERYWHERE),
    "preflight": ("SOURCE", "--yes", "--plan", *EVERYWHERE),
    "backup": ("SOURCE", "--output", "--yes", "--plan", *EVERYWHERE),
    "profile": ("SOURCE", "--yes", "--plan", *EVERYWHERE),
    "clean": ("SOURCE", "--output", "--yes", "--plan", *EVERYWHERE),
    "score": ("SOURCE", "--yes", "--plan", *EVERYWHERE),
    "status": EVERYWHERE,
    "versions": EVERYWHERE,
    "rollback": ("--to", "--yes", *EVERYWHERE),
    "drill": ("--yes", *EVERYWHERE),
    "restore": ("BACKUP", "--yes", *EVERYWHERE),
    "prune": ("--yes", *EVERYWHERE),
    "report": ("RUN", *EVERYWHERE),
    "rules": ("--json", "--help"),
    "settings": ("--plan", *EVERYWHERE),
    "diff": ("SOURCE", "--plan", *EVERYWHERE),
    "backup-verify": ("BACKUP", *EVERYWHERE),
}


def names_of(command: str) -> set[str]:
    """Options and arguments of a command, as one types them."""
    group = get_command(app)
    found = group.commands[command]  # type: ignore[attr-defined]
    context = typer.Context(found)
    params = found.get_params(context)
    options = {option for p in params for option in p.opts if option.startswith("-")}
    return options | {str(p.metavar or p.name).upper() for p in params if p.param_type_name == "argument"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_what_the_contract_names(command: str) -> None:
    assert set(COMMANDS[command]) <= names_of(command)


def test_no_command_is_missing_in_the_table() -> None:
    assert set(get_command(app).commands) == set(COMMANDS)  # type: ignore[attr-defined]
