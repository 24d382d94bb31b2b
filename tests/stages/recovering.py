"""A target with two versions, and the backup that the second run took of the first; see ``conftest``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import psycopg

from sdetl_engine import FoundBackup, Workspace, find_backup


@dataclasses.dataclass(frozen=True, slots=True)
class Desk:
    """``second`` is live; the backup of its run, ``run_id``, holds a dump of ``first``."""

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
