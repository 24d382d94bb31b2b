"""Whatever a SQLite file holds: after a run, every cell is the source's, or stands in the ledger or in the quarantine.

``SDETL_TEST_EXAMPLES`` sets how many random databases are tried; the few of every test run are always the same.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from sdetl_engine import (
    SilentReporter,
    Stage,
    Workspace,
    diff,
    load_settings,
    open_session,
    read_differences,
    resume_run,
    start_run,
)
from tests.conftest import Server
from tests.dirty import DATABASES, DirtyTable, Malformed, build
from tests.migrating import Ended, finish
from tests.oracle import unexplained

EXAMPLES = int(os.environ.get("SDETL_TEST_EXAMPLES", "0"))
OPEN_GATES = (
    *("gates.max_mismatched_columns=1", "gates.max_corrupt_dates=1", "gates.halt_score=0", "gates.min_score=0"),
    *("health.start_free_bytes=0", "health.min_free_bytes=0", "drift.compare=false"),
)


NOT_UTF8_IN_KEY = DirtyTable(
    "desk", 'CREATE TABLE "desk" (id, n, PRIMARY KEY (id)) WITHOUT ROWID', ((Malformed(b"caf\xe9"), 1), ("x", 2))
)
SMALLEST_INTEGER = DirtyTable("Order", 'CREATE TABLE "Order" (a NUMERIC)', ((-(2**63),), (0.5,), ("x",), (b"y",)))


@example(tables=[NOT_UTF8_IN_KEY, SMALLEST_INTEGER], interrupted=Stage.CANARY)
@given(tables=DATABASES, interrupted=st.sampled_from([None, *list(Stage)[:8]]))
@settings(
    max_examples=EXAMPLES or 6,
    derandomize=not EXAMPLES,
    database=None,
    # A smaller example is worth minutes only to whoever looks for it: SDETL_TEST_SHRINK=1.
    phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if os.environ.get("SDETL_TEST_SHRINK") else [])],
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_cell_arrives_or_is_accounted_for(
    server: Server, tmp_path_factory: pytest.TempPathFactory, tables: list[DirtyTable], interrupted: Stage | None
) -> None:
    folder = tmp_path_factory.mktemp("equation")
    conninfo = server.create_database()
    try:
        source = build(folder / "source.db", tables)
        ended = _run(source, conninfo, folder / "w", interrupted)
        if "holds a single row" in ended.document.get("error", {}).get("message", ""):
            return
        assert ended.document["outcome"] == "live", ended.document["error"]
        _assert_accounted_for(ended, source, conninfo, folder / "w")
    finally:
        server.drop_database(conninfo)


def _run(source: Path, conninfo: str, space: Path, interrupted: Stage | None) -> Ended:
    """To the end; when interrupted, in two processes' worth of runs."""
    chosen = load_settings(assignments=OPEN_GATES)
    runner = start_run(Workspace(space), source, conninfo, chosen, skip_canary=interrupted is None)
    if interrupted is None:
        return finish(runner)
    first = finish(runner, interrupted)
    if first.document["exit_code"]:
        return first
    return finish(resume_run(Workspace(space), first.document["run_id"]))


def _assert_accounted_for(ended: Ended, source: Path, conninfo: str, space: Path) -> None:
    version, folder = ended.document["target"]["version_schema"], ended.runner.deployment.folder
    loaded = ended.runner.records[list(Stage).index(Stage.MIGRATE)]
    assert loaded.status == "passed"
    renamed = dict(_renamed(ended))
    assert unexplained(source, folder.ledger, conninfo, version, renamed) == []
    chosen = load_settings()
    with open_session(Workspace(space), conninfo, chosen) as session:
        result = diff(Workspace(space), session, chosen, source, SilentReporter())
    assert read_differences(Path(result.path)).differences == ()
    assert result.equal


def _renamed(ended: Ended) -> tuple[tuple[str, str], ...]:
    from sdetl_engine.records import LoadedResult

    return ended.runner.deployment.results.load(Stage.MIGRATE, LoadedResult).renamed
