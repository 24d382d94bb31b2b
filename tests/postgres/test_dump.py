"""Dumps that are whole, and everything that only looks like one."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sdetl_engine import files as engine_files
from sdetl_engine.errors import BackupError, Cancelled
from sdetl_engine.events import SilentReporter
from sdetl_engine.postgres import binaries, dump
from sdetl_engine.postgres.dump import dump_schema, list_dump, restore_dump
from tests.conftest import Server

SECRET = "CANARYpw7f3a"
Command = Callable[[str], list[str]]


@pytest.fixture
def filled(database: str) -> str:
    """A database with a serving schema whose names need quoting; returns its conninfo."""
    with psycopg.connect(database) as connection:
        connection.execute('CREATE SCHEMA "Service Desk"')
        connection.execute(
            'CREATE TABLE "Service Desk"."TKT-Created Time" AS '
            "SELECT i AS id, md5(i::text) AS t FROM generate_series(1, 3000) i"
        )
        connection.execute('ALTER TABLE "Service Desk"."TKT-Created Time" ADD PRIMARY KEY (id)')
        connection.execute('CREATE TABLE "Service Desk"."a\nb" (x int) PARTITION BY RANGE (x)')
        connection.execute('CREATE TABLE "Service Desk".empty ()')
        connection.execute("CREATE TABLE public.elsewhere (x int)")
    return database


@pytest.fixture
def other_database(server: Server) -> Iterator[str]:
    conninfo = server.create_database()
    yield conninfo
    server.drop_database(conninfo)


@pytest.fixture
def shim(tmp_path: Path) -> Command:
    """A site's own dump command, written in Python."""

    def write(code: str) -> list[str]:
        path = tmp_path / "site_dump.py"
        path.write_text(code)
        return [sys.executable, str(path)]

    return write


def real_pg_dump(conninfo: str, server: Server) -> list[str]:
    return [str(binaries.find_program("pg_dump", server.major).path), "-w", "-d", conninfo]


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != "site_dump.py")


def test_a_dump_is_written_hashed_listed_and_private(filled: str, tmp_path: Path) -> None:
    done = dump_schema(filled, "Service Desk", tmp_path / "desk.dump")
    content = done.path.read_bytes()
    assert done.bytes == len(content)
    assert done.md5 == hashlib.md5(content).hexdigest()
    assert done.sha256 == hashlib.sha256(content).hexdigest()
    assert done.tables == 3
    assert done.path.stat().st_mode & 0o777 == 0o600
    assert files(tmp_path) == ["desk.dump"]
    assert not any("elsewhere" in line for line in list_dump(done.path).objects)


def test_the_restored_dump_holds_the_same_rows(filled: str, other_database: str, tmp_path: Path) -> None:
    done = dump_schema(filled, "Service Desk", tmp_path / "desk.dump")
    restore_dump(done.path, other_database)
    query = 'SELECT count(*), md5(string_agg(id || t, chr(10) ORDER BY id)) FROM "Service Desk"."TKT-Created Time"'
    with psycopg.connect(filled) as before, psycopg.connect(other_database) as after:
        assert after.execute(query).fetchone() == before.execute(query).fetchone()


def test_restoring_over_a_schema_that_is_there_changes_nothing(filled: str, tmp_path: Path) -> None:
    done = dump_schema(filled, "Service Desk", tmp_path / "desk.dump")
    with psycopg.connect(filled) as connection:
        connection.execute('DROP TABLE "Service Desk".empty')
    with pytest.raises(BackupError, match='schema "Service Desk" already exists'):
        restore_dump(done.path, filled)
    with psycopg.connect(filled) as connection:
        assert connection.execute("SELECT to_regclass('\"Service Desk\".empty')").fetchone() == (None,)


def test_a_command_of_the_site_takes_the_place_of_pg_dump(filled: str, server: Server, tmp_path: Path) -> None:
    done = dump_schema(filled, "Service Desk", tmp_path / "x.dump", command=real_pg_dump(filled, server))
    assert done.tables == 3


def test_a_schema_that_is_not_there(database: str, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no schema nothing_here") as caught:
        dump_schema(database, "nothing_here", tmp_path / "x.dump")
    assert caught.value.kind == "dump-nothing"


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("", "without an error and without a dump"),
        ("import sys; sys.exit('pg_dump: error: out of luck')", "exit code 1: pg_dump: error: out of luck"),
        ("print('PGDMP and then nothing')", "cannot be read"),
        ("import os, signal; print('x' * 9, flush=True); os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        (
            (
                "import sys; sys.exit('pg_dump: error: aborting because of server version mismatch\\n"
                "pg_dump: detail: server version: 18.4; pg_dump version: 15.20')"
            ),
            "it has version 15.20 and the server 18.4",
        ),
        ("import sys; sys.exit('\\x1b]0;owned\\x07 error: \\x9b31m')", "error:"),
    ],
)
def test_a_command_that_does_not_deliver_leaves_nothing(
    filled: str, tmp_path: Path, shim: Command, code: str, complaint: str
) -> None:
    with pytest.raises(BackupError) as caught:
        dump_schema(filled, "Service Desk", tmp_path / "x.dump", command=shim(code))
    assert complaint in caught.value.message
    assert caught.value.message.isprintable()
    assert files(tmp_path) == []


def test_a_command_that_is_not_there(filled: str, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no-such-docker could not be started"):
        dump_schema(filled, "Service Desk", tmp_path / "x.dump", command=["no-such-docker", "exec"])


@pytest.mark.parametrize("cut", [0.5, 0.95])
def test_a_dump_whose_end_is_missing_is_no_dump(
    filled: str, server: Server, tmp_path: Path, shim: Command, cut: float
) -> None:
    command = shim(
        "import subprocess, sys\n"
        f"data = subprocess.run({real_pg_dump(filled, server)!r} + sys.argv[1:], stdout=subprocess.PIPE).stdout\n"
        f"sys.stdout.buffer.write(data[:int(len(data) * {cut})])\n"
    )
    with pytest.raises(BackupError) as caught:
        dump_schema(filled, "Service Desk", tmp_path / "x.dump", command=command)
    assert caught.value.kind == "dump-unreadable"
    assert files(tmp_path) == []


def test_a_dump_without_one_of_the_tables_is_no_dump(
    filled: str, server: Server, tmp_path: Path, shim: Command
) -> None:
    command = shim(
        "import subprocess, sys\n"
        f"sys.exit(subprocess.call({real_pg_dump(filled, server)!r} + sys.argv[1:] + ['-T', '*.empty']))\n"
    )
    with pytest.raises(BackupError, match=r"missing in it, among them TABLE .*Service Desk empty"):
        dump_schema(filled, "Service Desk", tmp_path / "x.dump", command=command)


def test_a_dump_without_the_rows_is_no_dump(filled: str, server: Server, tmp_path: Path) -> None:
    command = [*real_pg_dump(filled, server), "--schema-only"]
    with pytest.raises(BackupError, match="TABLE DATA"):
        dump_schema(filled, "Service Desk", tmp_path / "x.dump", command=command)


def test_a_command_that_hangs_is_ended_with_its_children(filled: str, tmp_path: Path, shim: Command) -> None:
    command = shim(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(['sh', '-c', 'trap \"\" TERM; while :; do sleep 1; done'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "print('some bytes', flush=True)\n"
        "time.sleep(600)\n"
    )
    began = time.monotonic()
    with pytest.raises(BackupError, match="did not finish in time"):
        dump_schema(filled, "Service Desk", tmp_path / "x.dump", command=command, timeout=1.5)
    assert time.monotonic() - began < 10
    child = int((tmp_path / "pid").read_text())
    assert _ends(child)
    assert files(tmp_path) == ["pid"]


def _ends(pid: int) -> bool:
    """Whether the process is gone within two seconds; where nobody reaps it, a zombie is gone."""
    for _ in range(40):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


class _CancelledSoon(SilentReporter):
    def __init__(self, seconds: float) -> None:
        self._moment = time.monotonic() + seconds

    def check(self) -> None:
        if time.monotonic() > self._moment:
            raise Cancelled


def test_cancelling_ends_the_command_and_leaves_nothing(filled: str, tmp_path: Path, shim: Command) -> None:
    command = shim("import time; print('some bytes', flush=True); time.sleep(600)")
    began = time.monotonic()
    with pytest.raises(Cancelled):
        dump_schema(filled, "Service Desk", tmp_path / "x.dump", command=command, reporter=_CancelledSoon(0.5))
    assert time.monotonic() - began < 5
    assert files(tmp_path) == []


def test_a_table_that_somebody_has_locked_is_given_up_in_time_naming_the_process(filled: str, tmp_path: Path) -> None:
    with psycopg.connect(filled) as holder:
        holder.execute('LOCK TABLE "Service Desk".empty IN ACCESS EXCLUSIVE MODE')
        with pytest.raises(BackupError, match=f"locked by server process {holder.info.backend_pid}") as caught:
            dump_schema(filled, "Service Desk", tmp_path / "x.dump", lock_wait=0.5)
    assert caught.value.kind == "dump-locked"


@pytest.mark.parametrize("damage", ["cut", "flip the header"])
def test_a_damaged_dump_cannot_be_listed(filled: str, tmp_path: Path, damage: str) -> None:
    path = dump_schema(filled, "Service Desk", tmp_path / "x.dump").path
    content = path.read_bytes()
    path.write_bytes(content[:60] if damage == "cut" else b"QG" + content[2:])
    with pytest.raises(BackupError, match="cannot be read"):
        list_dump(path)


def test_a_dump_that_reads_back_differently_is_refused(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = engine_files.sha256_of

    def after_a_flipped_bit(path: Path) -> str:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
        return honest(path)

    monkeypatch.setattr(dump, "sha256_of", after_a_flipped_bit)
    with pytest.raises(BackupError, match="does not read back as it was written"):
        dump_schema(filled, "Service Desk", tmp_path / "x.dump")
    assert files(tmp_path) == []


def test_the_password_is_in_no_command_line_and_no_environment(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for process in psutil.Process().children(recursive=True):
                try:
                    seen.append(" ".join(process.cmdline()) + " ".join(process.environ().values()))
                except psutil.Error:
                    continue

    monkeypatch.delenv("PGPASSWORD", raising=False)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        dump_schema(make_conninfo(filled, password=f"{SECRET}:\\"), "Service Desk", tmp_path / "x.dump")
    finally:
        over.set()
        watcher.join()
    assert any("-F c -n" in text for text in seen)
    assert not any(SECRET in text for text in seen)


@pytest.mark.parametrize("typed", [True, False])
def test_the_password_reaches_pg_dump_in_a_private_file_that_is_gone_afterwards(
    typed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = f"{SECRET}:x"
    monkeypatch.setenv("PGPASSWORD", "another" if typed else password)
    with dump._credentials(f"host=h password='{password}'" if typed else "host=h") as (conninfo, environment):
        assert SECRET not in conninfo + "".join(environment.values())
        assert "PGPASSWORD" not in environment
        passfile = Path(conninfo.partition("passfile=")[2].strip("'"))
        assert passfile.read_text() == f"*:*:*:*:{SECRET}\\:x\n"
        assert passfile.stat().st_mode & 0o777 == 0o600
        assert passfile.parent.stat().st_mode & 0o777 == 0o700
    assert not passfile.parent.exists()


@pytest.mark.skipif("SDETL_TEST_DSN" in os.environ, reason="makes a role of its own")
def test_a_role_without_rights_is_told_by_postgresql(filled: str, tmp_path: Path, server: Server) -> None:
    role = sql.Identifier("sdetl_reader")
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        try:
            with pytest.raises(BackupError, match="permission denied for schema"):
                dump_schema(make_conninfo(filled, user="sdetl_reader"), "Service Desk", tmp_path / "x.dump")
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_a_disk_that_is_full_is_told_as_such(filled: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    opened = os.open

    def open_full(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        return opened(full, os.O_WRONLY) if str(path).endswith(".partial") else opened(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", open_full)
    with pytest.raises(BackupError, match="No space left on device"):
        dump_schema(filled, "Service Desk", tmp_path / "x.dump")
