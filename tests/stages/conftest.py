"""Targets with two versions, made once per test process and copied for each test."""

from __future__ import annotations

import dataclasses
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from sdetl_engine import Workspace
from tests.conftest import Server, make_sqlite
from tests.migrating import TICKETS, migrate
from tests.stages.recovering import Desk

NOTES = """
CREATE TABLE notes (body TEXT, at TIMESTAMP);
INSERT INTO notes VALUES (NULL, '2025-01-01 00:00:00');
INSERT INTO notes SELECT 'note ' || (id % 7), created FROM tickets WHERE id % 50 <> 0 AND id < 100;
"""


@pytest.fixture
def two_versions(_two_versions: Desk, server: Server, tmp_path: Path) -> Iterator[Desk]:
    """The first version, 533 comments, stands in the dump; the second, 400 comments, is live."""
    yield from _copied(_two_versions, server, tmp_path)


@pytest.fixture
def twice(_twice: Desk, server: Server, tmp_path: Path) -> Iterator[Desk]:
    """Two versions of the same source, with a table that has no key."""
    yield from _copied(_twice, server, tmp_path)


@pytest.fixture(scope="session")
def _two_versions(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("two_versions")
    first = make_sqlite(folder / "first.db", TICKETS)
    second = make_sqlite(folder / "second.db", TICKETS + "DELETE FROM comments WHERE id % 2 = 1;")
    made = _desk(folder, server.create_database(), first, second)
    yield made
    server.drop_database(made.database)


@pytest.fixture(scope="session")
def _twice(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("twice")
    source = make_sqlite(folder / "source.db", TICKETS + NOTES)
    made = _desk(folder, server.create_database(), source, source)
    yield made
    server.drop_database(made.database)


def _desk(folder: Path, database: str, first: Path, second: Path) -> Desk:
    one = migrate(first, database, folder / "w").runner.deployment
    two = migrate(second, database, folder / "w").runner.deployment
    return Desk(Workspace(folder / "w"), database, one.version, two.version, two.run_id)


def _copied(original: Desk, server: Server, folder: Path) -> Iterator[Desk]:
    """The same in a database and a folder of its own."""
    shutil.copytree(original.workspace.root.parent, folder, dirs_exist_ok=True)
    name = f"sdetl_test_{uuid.uuid4().hex[:12]}"
    template = str(conninfo_to_dict(original.database)["dbname"])
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    database = server.reach(name)
    yield dataclasses.replace(original, workspace=Workspace(folder / "w"), database=database)
    server.drop_database(database)
