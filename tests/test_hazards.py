"""A file of all known hazards goes live, and each is accounted for: by its code, its line, or the value that arrives."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sdetl_engine import SilentReporter, Stage, Workspace, diff, load_settings, open_session
from sdetl_engine.records import LoadedResult
from tests.conftest import Server
from tests.hazards import HAZARDS, Hazard, build
from tests.migrating import Ended, migrate

LET_THROUGH = ("gates.max_mismatched_columns=1", "gates.max_corrupt_dates=1", "gates.halt_score=0", "gates.min_score=0")


@dataclasses.dataclass(frozen=True, slots=True)
class Gone:
    """The run of the file."""

    ended: Ended
    source: Path
    conninfo: str
    workspace: Path

    @property
    def loaded(self) -> LoadedResult:
        return self.ended.runner.deployment.results.load(Stage.MIGRATE, LoadedResult)


@pytest.fixture(scope="module")
def gone(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gone]:
    folder = tmp_path_factory.mktemp("hazards")
    conninfo = server.create_database()
    source = build(folder / "hazards.db")
    ended = migrate(source, conninfo, folder / "w", settings=LET_THROUGH)
    assert ended.document["outcome"] == "live", ended.document["error"]
    yield Gone(ended, source, conninfo, folder / "w")
    server.drop_database(conninfo)


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda h: h.code)
def test_a_hazard_is_accounted_for(gone: Gone, hazard: Hazard) -> None:
    said = {(f["rule"], f.get("table", ""), f.get("column")) for f in gone.ended.document["findings"]}
    assert set(hazard.rules) <= said, sorted((f for f in said if f[1] == hazard.rules[0][1]), key=str)
    for kind, name in hazard.missed:
        named = [m for m in gone.loaded.not_migrated if m.kind == kind and name in (m.name, m.table, m.definition)]
        assert named or any(m.kind == kind and name in m.definition for m in gone.loaded.not_migrated), (kind, name)
    assert set(hazard.renamed) <= {name for name, _ in gone.loaded.renamed}
    with psycopg.connect(gone.conninfo) as connection:
        connection.execute("SET search_path = servicedesk; SET TimeZone = 'UTC'")
        for query, expected in hazard.seen:
            assert _asked(connection, query) == expected, query


def _asked(connection: psycopg.Connection[Any], query: str) -> object:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_nothing_of_the_file_is_unexplained(gone: Gone) -> None:
    settings = load_settings()
    with open_session(Workspace(gone.workspace), gone.conninfo, settings) as session:
        assert diff(Workspace(gone.workspace), session, settings, gone.source, SilentReporter()).total == 0
