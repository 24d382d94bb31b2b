"""The way to the target: a server of the site's own, or the embedded one, reached the same way afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from sdetl_engine.postgres.connect import EMBEDDED, Target, open_connection, open_pool, statement_error
from sdetl_engine.postgres.embedded import EmbeddedServer
from sdetl_engine.settings import Settings
from sdetl_engine.workspace import Workspace


class TargetSession:
    """Connections to one target.  Nothing is opened before the first use; ``close`` leaves nothing behind.

    ``spoken`` is the target as ``--target`` takes it, without a password.  ``workspace`` is where the embedded server is.
    """

    is_rehearsing = False
    """True when what is built through it is a drill's, and marked as such."""

    def __init__(self, target: Target, workspace: Workspace, settings: Settings) -> None:
        self.target = target
        self.workspace = workspace
        self.settings = settings
        self._embedded: tuple[Path, int] = (workspace.postgres, settings.target.embedded_version)
        self._server: EmbeddedServer | None = None
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None

    @classmethod
    def parse(cls, text: str, workspace: Workspace, settings: Settings, environ: Mapping[str, str]) -> TargetSession:
        """From what ``--target`` takes.  Raises UsageError naming the part that is wrong; opens nothing."""
        return cls(Target.parse(text, environ), workspace, settings)

    @classmethod
    def embedded(cls, major: int, workspace: Workspace, settings: Settings) -> TargetSession:
        """An embedded server of that major version: the workspace's own where it is of that, else one beside it."""
        session = cls(Target.parse(EMBEDDED, {}), workspace, settings)
        if major != settings.target.embedded_version:
            session._embedded = workspace.postgres_beside(major), major
        return session

    def __enter__(self) -> TargetSession:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()
        if isinstance(error, psycopg.Error):
            raise statement_error(error, "talking to the target") from None

    @property
    def is_embedded(self) -> bool:
        """True for the server that sdetl starts by itself."""
        return self.target.is_embedded

    @property
    def embedded_home(self) -> Path | None:
        """Where the data of the embedded server really are, while it is in use; None for a server of the site's own."""
        return self._server.home if self._server is not None else None

    @property
    def spoken(self) -> str:
        """The target without a password, as it can be said again."""
        return self.target.spoken

    @property
    def conninfo(self) -> str:
        """A libpq string for clients that sdetl starts.  May hold a password: never shown, never logged."""
        return self._reach().conninfo

    def connect(self) -> psycopg.Connection[Any]:
        """A connection with pinned session settings, not in autocommit mode; the caller closes it."""
        return open_connection(self._reach(), connect_timeout=self.settings.target.connect_timeout)

    @property
    def pool(self) -> ConnectionPool[psycopg.Connection[Any]]:
        """A small pool of such connections."""
        if self._pool is None:
            self._pool = open_pool(
                self._reach(),
                size=self.settings.target.pool_size,
                connect_timeout=self.settings.target.connect_timeout,
            )
        return self._pool

    def ping(self) -> None:
        """One trip to the server.  Raises psycopg.OperationalError, which callers translate."""
        with self.pool.connection() as connection:
            connection.execute("SELECT 1")

    def identity(self) -> str:
        """What tells this database from every other: cluster and database."""
        with self.connect() as connection:
            row = connection.execute(
                "SELECT has_function_privilege('pg_control_system()', 'EXECUTE'), current_database(), "
                "(SELECT oid FROM pg_database WHERE datname = current_database())::text"
            ).fetchone()
            assert row is not None
            may_read, database, oid = row
            cluster = self.target.describe()
            if may_read:
                found = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
                cluster = str(found[0]) if found else cluster
        return f"{cluster}/{oid}/{database}"

    def close(self) -> None:
        """Close the pool and leave the embedded server, which stops when this was its last user."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._server is not None:
            self._server.leave()
            self._server = None

    def _reach(self) -> Target:
        """The target with a server behind it."""
        if not self.target.is_embedded:
            return self.target
        if self._server is None:
            self._server = EmbeddedServer.join(*self._embedded)
        return self.target.at(self._server.conninfo)
