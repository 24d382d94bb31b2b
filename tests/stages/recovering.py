"""A target with two versions, and the backup that the second run took of the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import psycopg

from sdetl_engine import FoundBackup, Workspace, find_backup
from tests.conftest import make_sqlite
from tests.migrating import TICKETS, migrate

MakeSource = Callable[[str], Path]


@dataclasses.dataclass(frozen=True, slots=True)
class Desk:
    """``first`` holds 533 comments and stands in the dump; ``second`` holds 400 and is live."""

    workspace: Workspace
    database: str
    first: str
    second: str
    run_id: str

    @property
    def backup(self) -> FoundBackup:
        """The backup of the second run."""
        return find_backup(self.workspace, self.run_id)

    @property
    def dump(self) -> Path:
        """Its dump."""
        entry = self.backup.manifest.dump
        assert entry is not None
        return self.backup.manifest.folder / entry.file.name

    def ask(self, query: str) -> object:
        """One value."""
        with psycopg.connect(self.database) as connection:
            row = connection.execute(query.encode()).fetchone()
            return row[0] if row else None

    def tell(self, statement: str) -> None:
        """One statement, committed."""
        with psycopg.connect(self.database) as connection:
            connection.execute(statement.encode())


def desk(folder: Path, database: str) -> Desk:
    """Two runs into the database."""
    first = migrate(make_sqlite(folder / "first.db", TICKETS), database, folder / "w")
    script = TICKETS + "DELETE FROM comments WHERE id % 2 = 1;"
    second = migrate(make_sqlite(folder / "second.db", script), database, folder / "w")
    one, two = first.runner.deployment, second.runner.deployment
    return Desk(Workspace(folder / "w"), database, one.version, two.version, two.run_id)
