"""PostgreSQL for tests: one server per test process, one fresh database per test.

``SDETL_TEST_PG`` chooses the embedded server's major version (16 or 18); ``SDETL_TEST_DSN`` names a server of the
system instead, whose role may create databases.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sdetl_engine.postgres.embedded import EmbeddedServer

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """The server of the test run; ``conninfo`` reaches its maintenance database as a role that may do everything."""

    conninfo: str
    major: int

    def reach(self, database: str) -> str:
        """The conninfo of another database on it."""
        return make_conninfo(self.conninfo, dbname=database)

    def create_database(self, *, encoding: str = "UTF8") -> str:
        """Create a database of its own name; returns its conninfo."""
        name = f"sdetl_test_{uuid.uuid4().hex[:12]}"
        statement: LiteralString = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'"
        if encoding != "UTF8" and self.major >= 15:
            statement += " LOCALE_PROVIDER libc"
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(encoding)))
        return self.reach(name)

    def drop_database(self, conninfo: str) -> None:
        """Drop it, with whoever is still connected."""
        name = str(conninfo_to_dict(conninfo)["dbname"])
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server of this test process, without durability."""
    if dsn := os.environ.get("SDETL_TEST_DSN"):
        yield _inspected(dsn)
        return
    folder = Path(tempfile.mkdtemp(prefix="sdetl-test-"))
    folder.chmod(0o711)  # so that the server's account gets through when tests run as root
    try:
        version = int(os.environ.get("SDETL_TEST_PG", "18"))
        with EmbeddedServer.join(folder / "postgres", version, durable=False) as embedded:
            yield _inspected(make_conninfo(embedded.conninfo, dbname="postgres"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _inspected(conninfo: str) -> Server:
    with psycopg.connect(conninfo) as connection:
        return Server(make_conninfo(conninfo, dbname=connection.info.dbname), connection.info.server_version // 10_000)


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The conninfo of a fresh, empty UTF-8 database, dropped afterwards."""
    conninfo = server.create_database()
    yield conninfo
    server.drop_database(conninfo)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the fresh database, not in autocommit mode."""
    with psycopg.connect(database) as connection:
        yield connection


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; the test is skipped where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the folder of real data (../shared/data beside the project), which is not here")
    return SHARED_DATA


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Callable[[str], Path]:
    """Builds ``source.db`` in the test's folder from an SQL script."""
    return functools.partial(make_sqlite, tmp_path / "source.db")


def make_sqlite(path: Path, script: str) -> Path:
    """Build a SQLite file from an SQL script; returns its path."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(script)
        connection.commit()
    finally:
        connection.close()
    return path
