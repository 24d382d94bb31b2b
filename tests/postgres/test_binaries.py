"""Which of several client programs is taken for a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdetl_engine.errors import BackupError
from sdetl_engine.postgres import binaries


@pytest.fixture
def of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pg_dump 15.20 on PATH, and none in Debian's folders."""
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)'\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "_DEBIAN", tmp_path / "none")
    return program


def test_the_one_of_the_servers_own_version_is_preferred(of_the_system: Path) -> None:
    found = binaries.find_program("pg_dump", 15)
    assert (found.path, found.version) == (of_the_system, "15.20")


@pytest.mark.parametrize(("server", "taken"), [(13, 16), (16, 16), (17, 18), (18, 18)])
def test_else_the_oldest_bundled_one_that_serves(of_the_system: Path, server: int, taken: int) -> None:
    assert binaries.find_program("pg_dump", server).major == taken


def test_where_none_serves_the_newest_that_is_here_is_named(of_the_system: Path) -> None:
    with pytest.raises(BackupError, match=r"pg_dump of PostgreSQL 99 or newer is needed; the newest here is 18\."):
        binaries.find_program("pg_dump", 99)
