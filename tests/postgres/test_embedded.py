"""The embedded server: shared by processes, stopped by the last, and none the worse for any of them being killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from sdetl_engine.errors import TargetError
from sdetl_engine.postgres import embedded
from sdetl_engine.postgres.binaries import WHEEL, bundled_folder
from sdetl_engine.postgres.embedded import EmbeddedServer, abandoned_homes

VERSION = int(os.environ.get("SDETL_TEST_PG", "18"))
PROJECT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another account")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with a cluster in it; the server does not run.  Its path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="sdetl-home-"))
    folder.chmod(0o711)
    join(folder / "postgres").leave()
    yield folder / "postgres"
    shutil.rmtree(folder)


def join(home: Path, **options: Any) -> EmbeddedServer:
    return EmbeddedServer.join(home, VERSION, durable=False, **options)


def reachable(path: Path, uid: int) -> bool:
    """True when the account gets through every folder above the file."""
    return all(p.stat().st_uid == uid or p.stat().st_mode & 0o001 for p in path.parents)


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "data" / "postmaster.pid").read_text().split("\n", 1)[0]))


def value(conninfo: str, query: str) -> Any:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


@contextlib.contextmanager
def another_process(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the server until its standard input is closed."""
    code = (
        "import sys, pathlib\n"
        "from sdetl_engine.postgres.embedded import EmbeddedServer\n"
        f"server = EmbeddedServer.join(pathlib.Path(sys.argv[1]), {VERSION}, durable=False)\n"
        "print('joined', flush=True)\n"
        "sys.stdin.read()\n"
        "print(server.leave(), flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, home],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "joined\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_is_a_utf8_cluster_with_checksums_and_without_a_network_port(home: Path) -> None:
    with join(home) as server:
        assert value(server.conninfo, "SHOW server_encoding") == "UTF8"
        assert value(server.conninfo, "SHOW data_checksums") == "on"
        assert value(server.conninfo, "SHOW TimeZone") == "UTC"
        assert value(server.conninfo, "SELECT upper('é')") == ("É" if VERSION >= 17 else "é")
        assert postmaster(home).net_connections("tcp") == []


def test_is_durable_unless_told_otherwise(home: Path) -> None:
    with EmbeddedServer.join(home, VERSION) as server:
        assert value(server.conninfo, "SHOW fsync") == "on"
        assert value(server.conninfo, "SHOW synchronous_commit") == "on"


def test_socket_and_data_are_closed_to_other_users(home: Path) -> None:
    with join(home):
        assert (home / "socket").stat().st_mode & 0o777 == 0o700
        assert (home / "data").stat().st_mode & 0o777 == 0o700
        assert (home / "socket" / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700
        assert (home / "server.log").stat().st_mode & 0o777 == 0o600


@as_root
def test_only_the_owner_of_the_workspace_may_log_in_whatever_role_is_asked_for(home: Path) -> None:
    with join(home) as server:
        account = (home / "data").stat()
        psql = bundled_folder(VERSION) / "psql"
        if os.geteuid() == 0 and not reachable(psql, account.st_uid):
            pytest.skip("the server's account cannot run the installed psql: nobody could try to log in with it")
        done = subprocess.run(
            [psql, "-XAtc", "SELECT 1", server.conninfo],
            user=account.st_uid,
            group=account.st_gid,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Peer authentication failed" in done.stderr


def test_what_was_written_is_there_after_a_restart(home: Path) -> None:
    with join(home) as server, psycopg.connect(server.conninfo) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with join(home) as server:
        assert value(server.conninfo, "SELECT answer FROM kept") == 42


def test_the_last_one_to_leave_stops_it(home: Path) -> None:
    first = join(home)
    started = value(first.conninfo, "SELECT pg_postmaster_start_time()")
    with another_process(home) as other:
        assert first.leave() is False
        second = join(home)
        assert value(second.conninfo, "SELECT pg_postmaster_start_time()") == started
        assert second.leave() is False
        assert other.communicate("")[0] == "True\n"
    assert not (home / "data" / "postmaster.pid").exists()


def test_leaving_twice_is_harmless(home: Path) -> None:
    server = join(home)
    assert server.leave() is True
    assert server.leave() is False


def test_a_process_that_exits_without_a_word_leaves(home: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from sdetl_engine.postgres.embedded import EmbeddedServer\n"
        f"EmbeddedServer.join(pathlib.Path(sys.argv[1]), {VERSION}, durable=False)\n"
    )
    subprocess.run([sys.executable, "-c", code, home], cwd=PROJECT, check=True)
    assert not (home / "data" / "postmaster.pid").exists()


def test_a_killed_user_does_not_count_any_more(home: Path) -> None:
    with another_process(home) as other:
        other.kill()
        other.wait()
        server = join(home)
        assert server.leave() is True
    assert not (home / "data" / "postmaster.pid").exists()


def test_a_killed_server_is_started_again_with_all_its_data(home: Path) -> None:
    server = EmbeddedServer.join(home, VERSION)
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("DROP TABLE IF EXISTS survivors")
        connection.execute("CREATE TABLE survivors AS SELECT generate_series(1, 1000) AS id")
    postmaster(home).kill()
    again = join(home)
    assert value(again.conninfo, "SELECT count(*) FROM survivors") == 1000
    server.leave()
    assert again.leave() is True


def test_no_second_server_starts_while_a_process_of_a_killed_one_still_has_the_data(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedServer.join(home, VERSION)
    with psycopg.connect(server.conninfo) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        backend.suspend()
        postmaster(home).kill()
        monkeypatch.setattr(embedded, "_START_SECONDS", 1.0)
        with pytest.raises(TargetError, match="in use by processes that a killed server left behind"):
            join(home)
        backend.resume()
        monkeypatch.undo()
        with join(home) as again:
            assert value(again.conninfo, "SELECT 1") == 1
    server.leave()


def test_a_pid_file_left_by_a_server_whose_pid_another_program_has_now(home: Path) -> None:
    server = join(home)
    lines = (home / "data" / "postmaster.pid").read_text().split("\n")
    server.leave()
    stale = home / "data" / "postmaster.pid"
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    with join(home) as again:
        assert value(again.conninfo, "SELECT 1") == 1


def test_ctrl_c_in_the_terminal_of_whoever_started_it_does_not_reach_the_server(home: Path) -> None:
    with another_process(home) as other, join(home) as server:
        started = value(server.conninfo, "SELECT pg_postmaster_start_time()")
        os.killpg(other.pid, signal.SIGINT)
        other.wait()
        assert value(server.conninfo, "SELECT pg_postmaster_start_time()") == started


def test_an_initdb_that_was_killed_leaves_nothing_that_is_taken_for_a_cluster() -> None:
    folder = Path(tempfile.mkdtemp(prefix="sdetl-home-"))
    folder.chmod(0o711)
    try:
        partial = folder / "postgres" / "data.partial"
        partial.mkdir(parents=True)
        (partial / "PG_VERSION").write_text(f"{VERSION}\n")
        with join(folder / "postgres") as server:
            assert value(server.conninfo, "SELECT current_database()") == "servicedesk"
        assert not partial.exists()
    finally:
        shutil.rmtree(folder)


def test_data_of_another_major_version_is_refused_with_the_setting_to_change(home: Path) -> None:
    other = 16 if VERSION == 18 else 18
    with pytest.raises(TargetError, match=f"PostgreSQL {VERSION}, not {other}") as caught:
        EmbeddedServer.join(home, other)
    assert caught.value.next_step.startswith(f"set target.embedded_version={VERSION}")
    assert caught.value.kind == "embedded-version"


@pytest.mark.parametrize("name", ["deep" * 30, "a, b", 'it\'s $(odd) "here"'])
def test_a_workspace_path_that_no_socket_or_shell_would_like(name: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="sdetl-home-"))
    folder.chmod(0o711)
    try:
        home = folder / name / "postgres"
        home.parent.mkdir(mode=0o711)
        with join(home) as server:
            assert value(server.conninfo, "SELECT 1") == 1
        with join(home) as server:
            assert value(server.conninfo, "SELECT 2") == 2
    finally:
        if (home / "socket").is_symlink():
            shutil.rmtree((home / "socket").resolve())
        shutil.rmtree(folder)


def test_a_data_folder_that_cannot_start_says_why(home: Path) -> None:
    control = home / "data" / "global" / "pg_control"
    control.rename(control.with_name("away"))
    try:
        with pytest.raises(TargetError, match="does not start: could not find the database system") as caught:
            join(home)
        assert str(home / "server.log") in caught.value.next_step
    finally:
        control.with_name("away").rename(control)


@as_root
def test_for_root_home_is_a_link_when_the_account_cannot_reach_the_workspace() -> None:
    workspace = Path(tempfile.mkdtemp(prefix="sdetl-closed-"))  # 0700
    state = Path(tempfile.mkdtemp(prefix="sdetl-state-"))
    state.chmod(0o755)
    try:
        with join(workspace / "postgres", root_state=state) as server:
            assert value(server.conninfo, "SELECT 1") == 1
            assert (workspace / "postgres").is_symlink()
            assert (workspace / "postgres").resolve().parent == state
            assert (workspace / "postgres" / "data").stat().st_uid != 0
        assert workspace.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(workspace)
        shutil.rmtree(state)


@as_root
def test_for_root_programs_that_the_account_cannot_reach_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Path(tempfile.mkdtemp(prefix="sdetl-venv-"))  # 0700
    folder = Path(tempfile.mkdtemp(prefix="sdetl-home-"))
    folder.chmod(0o711)
    installed = bundled_folder(VERSION)
    site = installed.parents[2]
    try:
        for name in (WHEEL, f"{WHEEL}.libs"):
            (closed / name).symlink_to(site / name)
        monkeypatch.setattr(embedded, "bundled_folder", lambda _: closed / installed.relative_to(site))
        with join(folder / "postgres") as server:
            assert value(server.conninfo, "SELECT 1") == 1
            assert postmaster(folder / "postgres").exe().startswith(str(folder))
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(closed)
        shutil.rmtree(folder)


def test_data_that_no_workspace_points_to_any_more_are_told_and_those_in_use_are_not(tmp_path: Path) -> None:
    links = []
    for name in ("deleted", "kept", "used"):
        home, workspace = tmp_path / f"sdetl-postgres-{name}", tmp_path / name
        home.mkdir()
        workspace.mkdir()
        links.append(workspace / "postgres")
        links[-1].symlink_to(home)
        (home / "workspace").write_text(f"{links[-1]}\n")
    (tmp_path / "sdetl-postgres-unknown").mkdir()
    links[0].unlink()
    links[2].unlink()
    with (tmp_path / "sdetl-postgres-used" / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        assert abandoned_homes(tmp_path) == ((tmp_path / "sdetl-postgres-deleted", tmp_path / "deleted"),)
