"""The contract with other programs, as tables: commands with their options, and the keys of every JSON document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from sdetl_tui.cli import app
from tests.migrating import TICKETS, dashboard
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


NUMBER = (int, float)
RUN: dict[str, Any] = {
    "run_id": str,
    "outcome": {"live", "validated", "halted", "failed", "cancelled"},
    "exit_code": int,
    "source": {"path": str, "md5": str, "bytes": int, "tables": {"*": int}},
    "target": {"server_version": str, "serving_schema": str, "version_schema": str, "previous_version": str},
    "stages": [{"name": str, "status": str, "seconds": NUMBER, "summary": dict}],
    "findings": [
        {
            "rule": str,
            "severity": {"info", "warning", "review", "halt"},
            "table": str,
            "column": str,
            "count": int,
            "fraction": NUMBER,
            "message": str,
            "advice": str,
            "decision": (str, dict),
        }
    ],
    "score": {
        "before": NUMBER,
        "after": NUMBER,
        "dimensions": {"*": {"weight": NUMBER, "before": NUMBER, "after": NUMBER}},
    },
    "ledger": {"cells_changed": int, "by_rule": {"*": int}},
    "types": {"*": {"*": {"declared": str, "observed": str, "confidence": NUMBER, "chosen": str}}},
    "proof": {"*": {"rows_sent": int, "rows_held": int, "sha256_sent": str, "sha256_held": str, "equal": bool}},
    "dashboards": [
        {"title": str, "panels": int, "passed": int, "failed": [{"panel": str, "error": str}], "slowest_ms": NUMBER}
    ],
    "cutover": {"seconds": NUMBER, "lock_seconds": NUMBER, "rollback_command": str},
    "error": {"kind": str, "message": str, "left_behind": str, "next": str},
    "report": str,
}
"""What ``sdetl run --json`` prints.  ``*`` stands for names of tables, columns and rules."""


def misfits(value: Any, shape: Any, where: str = "") -> list[str]:
    """Where a document has another key or kind of value than it should."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where} is no object"]
        unknown = [f"{where}.{key} is not agreed on" for key in value if key not in shape and "*" not in shape]
        inner = [
            misfits(v, shape.get(k, shape.get("*")), f"{where}.{k}")
            for k, v in value.items()
            if k in shape or "*" in shape
        ]
        return [*unknown, *(m for found in inner for m in found)]
    if isinstance(shape, list):
        return [m for n, one in enumerate(value) for m in misfits(one, shape[0], f"{where}[{n}]")]
    fits = value in shape if isinstance(shape, set) else isinstance(value, shape)
    return [] if fits else [f"{where} is {value!r}"]


def test_a_run_prints_the_agreed_keys_and_no_other(
    sqlite_file: Callable[[str], Path], database: str, tmp_path: Path
) -> None:
    source = str(sqlite_file(TICKETS + "CREATE TRIGGER t AFTER INSERT ON tickets BEGIN SELECT 1; END;"))
    boards = dashboard(tmp_path / "boards", "SELECT count(*) FROM servicedesk.tickets", "SELECT nothing")
    words = ("run", source, "--target", database, "--dashboards", str(boards), "--json")
    first = json.loads(sdetl("run", source, "--target", database, "--yes", "--json", workspace=tmp_path / "w").stdout)
    second = json.loads(sdetl(*words, "--set", "cutover.attempts=3", workspace=tmp_path / "w").stdout)
    third = json.loads(sdetl(*words, "--yes", workspace=tmp_path / "w").stdout)
    assert [misfits(document, RUN) for document in (first, second, third)] == [[], [], []]
    assert set(first) == set(RUN) - {"error"}
    assert set(first["source"]) == set(RUN["source"])
    assert set(third["target"]) == {*first["target"], "previous_version"} == set(RUN["target"])
    assert set(first["cutover"]) | {"rollback_command"} == set(RUN["cutover"])
    assert set(third["error"]) == set(RUN["error"])


@pytest.mark.parametrize(
    "words", [("run",), ("run", "nowhere.db"), ("versions",), ("rollback", "--to"), ("restore", "x")]
)
def test_whatever_goes_wrong_the_document_says_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    document = json.loads(sdetl(*words, "--json", workspace=tmp_path / "w").stdout)
    assert document["exit_code"] in (2, 5)
    assert document["outcome"] == "failed"
    assert misfits(document, RUN) == []
    assert set(document["error"]) == set(RUN["error"])
