"""Whatever a SQLite file holds: after a run, every cell is the source's, or stands in the ledger or in the quarantine.

``SDETL_TEST_EXAMPLES`` sets how many random databases are tried; the few of every test run are always the same.
``SDETL_TEST_KILLS`` sets how many runs are killed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings

from sdetl_engine import (
    SilentReporter,
    Stage,
    Workspace,
    diff,
    load_settings,
    open_session,
    read_differences,
)
from sdetl_engine.records import LoadedResult
from sdetl_engine.results import ResultStore
from tests.conftest import Server
from tests.dirty import AGREED, DATABASES, DirtyTable, Malformed, build
from tests.interrupting import DEADLY, GENTLE, AfterStage, AtCheck, Interruption, KilledAtCheck, run_through
from tests.oracle import unexplained

EXAMPLES, KILLS = (int(os.environ.get(f"SDETL_TEST_{name}", "0")) for name in ("EXAMPLES", "KILLS"))
OPEN_GATES = (
    *("gates.max_mismatched_columns=1", "gates.max_corrupt_dates=1", "gates.halt_score=0", "gates.min_score=0"),
    *("health.start_free_bytes=0", "health.min_free_bytes=0", "drift.compare=false"),
)


NOT_UTF8_IN_KEY = DirtyTable(
    "desk", 'CREATE TABLE "desk" (id, n, PRIMARY KEY (id)) WITHOUT ROWID', ((Malformed(b"caf\xe9"), 1), ("x", 2))
)
SMALLEST_INTEGER = DirtyTable("Order", 'CREATE TABLE "Order" (a NUMERIC)', ((-(2**63),), (0.5,), ("x",), (b"y",)))


def _tried(examples: int, usual: int) -> settings:
    return settings(
        max_examples=examples or usual,
        derandomize=not examples,
        database=None,
        # A smaller example is worth minutes only to whoever looks for it: SDETL_TEST_SHRINK=1.
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if os.environ.get("SDETL_TEST_SHRINK") else [])],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@example(tables=[NOT_UTF8_IN_KEY, SMALLEST_INTEGER], agreed=(), interruption=AfterStage(Stage.CANARY))
@example(tables=[SMALLEST_INTEGER], agreed=(), interruption=AtCheck(60))
@given(tables=DATABASES, agreed=AGREED, interruption=GENTLE)
@_tried(EXAMPLES, 6)
def test_every_cell_arrives_or_is_accounted_for(
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    tables: list[DirtyTable],
    agreed: tuple[str, ...],
    interruption: Interruption,
) -> None:
    _try(server, tmp_path_factory.mktemp("equation"), tables, agreed, interruption)


@given(tables=DATABASES, agreed=AGREED, interruption=DEADLY)
@_tried(KILLS, 2)
def test_a_run_that_was_killed_accounts_for_every_cell_when_it_is_taken_up(
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    tables: list[DirtyTable],
    agreed: tuple[str, ...],
    interruption: Interruption,
) -> None:
    _try(server, tmp_path_factory.mktemp("killed"), tables, agreed, interruption)


def test_interruptions_do_interrupt(database: str, tmp_path: Path) -> None:
    """Or the tests above would show nothing."""
    source = build(tmp_path / "source.db", [SMALLEST_INTEGER])
    assert run_through(source, database, tmp_path / "stopped", OPEN_GATES, AtCheck(30)).was_interrupted
    assert run_through(source, database, tmp_path / "killed", OPEN_GATES, KilledAtCheck(30)).was_interrupted


def _try(
    server: Server, folder: Path, tables: list[DirtyTable], agreed: tuple[str, ...], interruption: Interruption
) -> None:
    conninfo = server.create_database()
    try:
        source = build(folder / "source.db", tables)
        gone = run_through(source, conninfo, folder / "w", (*OPEN_GATES, *agreed), interruption)
        if gone.error is not None and "holds a single row" in gone.error:
            return
        assert gone.error is None
        _assert_accounted_for(Workspace(folder / "w"), gone.run_id, source, conninfo)
    finally:
        server.drop_database(conninfo)
        shutil.rmtree(folder, ignore_errors=True)


def _assert_accounted_for(workspace: Workspace, run_id: str, source: Path, conninfo: str) -> None:
    folder, chosen = workspace.run_folder(run_id), load_settings()
    loaded = ResultStore(folder.results).load(Stage.MIGRATE, LoadedResult)
    assert unexplained(source, folder.ledger, conninfo, loaded.version, dict(loaded.renamed)) == []
    with open_session(workspace, conninfo, chosen) as session:
        result = diff(workspace, session, chosen, source, SilentReporter())
    assert read_differences(Path(result.path)).differences == ()
    assert (result.equal, result.status, result.run_id) == (True, "live", run_id)
