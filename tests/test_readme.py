"""What the README quotes is what sdetl says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdetl_engine import explained_settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SAID = [
    line
    for room in ("sdetl_engine", "sdetl_tui")
    for path in sorted((ROOT / room).rglob("*.py"))
    for line in path.read_text(encoding="utf-8").splitlines()
]


def _first_cells(heading: str) -> list[str]:
    """What stands in back quotes in the first column of the table under a heading."""
    table = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [quoted for row in rows for quoted in re.findall("`([^`]+)`", row)]


@pytest.mark.parametrize("message", _first_cells("When something is in the way"))
def test_a_message_of_the_troubleshooting_list_is_one_that_sdetl_says(message: str) -> None:
    # Stages and what is named are filled in when it is said.
    words = message.replace("profile halted", "... halted").split("...")
    pattern = re.compile(".*".join(re.escape(part.strip()) for part in words))
    assert any(pattern.search(line) for line in SAID), message


def test_every_setting_of_the_table_exists() -> None:
    known = {line.key for line in explained_settings()}
    named = {re.sub(r'\."[^"]*"$', "", key) for key in _first_cells("Settings")}
    assert named - known == set()
