"""A disk that is too small is told before anything is begun, on either side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdetl_engine import ExitCode, Stage
from tests.migrating import migrate

TICKETS = "CREATE TABLE tickets(id INTEGER PRIMARY KEY); INSERT INTO tickets VALUES (1);"


def test_a_run_that_would_halt_in_the_middle_is_not_begun(
    sqlite_file: Callable[[str], Path], database: str, tmp_path: Path
) -> None:
    limit = f"health.min_free_bytes={10**18}"
    ended = migrate(sqlite_file(TICKETS), database, tmp_path / "w", settings=(limit,))
    assert ended.outcome.exit_code is ExitCode.ENVIRONMENT
    assert ended.document["error"]["message"].startswith("pre-flight failed: free disk: ")
    assert ended.document["error"]["message"].endswith("(needed: 888.2 PiB)")


def test_the_disk_of_the_embedded_server_is_measured_against_what_the_load_needs(
    sqlite_file: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = shutil.disk_usage

    def nearly_full(path: Path) -> Any:
        usage = measured(path)
        return usage if "runs" in Path(path).parts else usage._replace(free=1000)

    monkeypatch.setattr("sdetl_engine.stages.preflight.shutil.disk_usage", nearly_full)
    source, home = sqlite_file(TICKETS), tmp_path / "w" / "postgres"
    try:
        ended = migrate(source, "embedded", tmp_path / "w", until=Stage.PREFLIGHT)
    finally:
        shutil.rmtree(home.resolve(), ignore_errors=True)
    assert ended.outcome.exit_code is ExitCode.ENVIRONMENT
    assert "free disk of the server: 1000 Bytes free" in ended.document["error"]["message"]
    assert "(needed: 16.0 KiB)" in ended.document["error"]["message"]
