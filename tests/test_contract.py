"""The contract with other programs, as tables: commands with their options, and the keys of every JSON document."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.main import get_command

from sdetl_tui.cli import app
from tests.test_cli import sdetl

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
    return options | {str(p.metavar or p.name).upper().strip("[]") for p in params if p.param_type_name == "argument"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_what_the_contract_names(command: str) -> None:
    assert set(COMMANDS[command]) <= names_of(command)


def test_no_command_is_missing_in_the_table() -> None:
    assert set(get_command(app).commands) == set(COMMANDS)  # type: ignore[attr-defined]


def test_the_first_help_tells_of_the_wizard_and_of_every_command(tmp_path: Path) -> None:
    told = sdetl("--help", workspace=tmp_path)
    assert told.returncode == 0
    assert told.stdout.startswith("Usage: sdetl [SOURCE] [OPTIONS]\n       sdetl COMMAND [OPTIONS]\n")
    wizard = names_of("wizard") - {"SOURCE", "--help", "-h", "-t"}
    assert [name for name in sorted(wizard) if f" {name} " not in told.stdout.replace("\n", " ")] == []
    shown = {line.split("  ")[1] for line in told.stdout.splitlines() if line.startswith("  ") and line[2:3] != " "}
    assert set(COMMANDS) - {"wizard", "backup-verify"} | {"backup verify"} <= shown
    assert "..." not in told.stdout
