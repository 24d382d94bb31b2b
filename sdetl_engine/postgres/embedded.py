"""The embedded server: a real PostgreSQL in the workspace, without a network port, for one operating-system user.

Everything is in one folder, ``WORKSPACE/postgres``, the *home*::

    data/            the cluster; made by initdb under another name and renamed when it is complete
    socket/          the Unix socket, mode 0700; a link to a short folder when the path is too long for a socket
    postgresql.conf pg_hba.conf pg_ident.conf    written anew at every start; ALTER SYSTEM overrides them
    server.log       what the server says: no statements, no errors of statements, so no content of rows
    start.lock       held while the server is started or stopped
    users.lock       held shared by every process that uses the server

Users are counted by the kernel: each holds a shared lock on ``users.lock``, and whoever finds on leaving that no
other holds it stops the server.  A killed process loses its lock, so a count cannot go wrong.

PostgreSQL refuses to run as root.  For root it runs as an unprivileged account that exists already, and since
that account may reach neither the workspace nor the installed programs, home is then a link to a folder outside
the workspace, with a copy of the programs in it.  Permissions of folders that are not sdetl's never change.
Such a folder outlives a workspace that is deleted.  Its file ``workspace`` says whose it was; it is never deleted by
itself, since a workspace that was moved, or whose disk is not mounted, looks just like one that is gone.

The superuser is ``postgres``, the database ``servicedesk``.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sdetl_engine.errors import TargetError
from sdetl_engine.files import sync_folder, write_atomically
from sdetl_engine.postgres.binaries import WHEEL, bundled_folder, inspect_program

SUPERUSER = "postgres"
DATABASE = "servicedesk"
PORT = 5432
SOCKET_PATH_LIMIT = 107
"""Bytes that ``sockaddr_un.sun_path`` holds on Linux, without the closing NUL."""
ROOT_STATE = Path("/var/lib/sdetl")

_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+")
_OWNER = "workspace"
"""The file in a home outside the workspace that says which link leads to it."""
_START_SECONDS = 60.0
_LOCK_SECONDS = 180.0
_LOG_LIMIT = 10 * 1024 * 1024
_ACCOUNTS = ("postgres", "nobody")

# fsync and checksums stay on: this is a target like any other.  Errors of statements quote values, so they are
# not logged.  wal_level minimal lets COPY into a new table skip the write-ahead log.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "2GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "datestyle": "ISO, YMD",
    "lc_messages": "C",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_statement": "none",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "cluster_name": "sdetl",
}
_UNDURABLE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedServer:
    """One process's use of the embedded server.  ``conninfo`` reaches the database ``servicedesk`` as superuser."""

    def __init__(self, cluster: _Cluster, users: int) -> None:
        self.conninfo = cluster.conninfo(DATABASE)
        self.home = cluster.home
        self._cluster = cluster
        self._users: int | None = users
        self._process = os.getpid()

    @classmethod
    def join(
        cls, workspace_postgres: Path, version: int, *, durable: bool = True, root_state: Path = ROOT_STATE
    ) -> EmbeddedServer:
        """Use the server of that home, starting it when it does not run; ``leave`` it afterwards.

        ``version`` is the major version for a home that is new.  ``durable=False`` trades safety against a power
        cut for speed, for data that may be lost.  ``root_state`` is where root's homes go.
        Raises TargetError when it cannot be started, or holds data of another major version.
        """
        with _filesystem_errors(workspace_postgres):
            account = _account()
            home = _prepare_home(workspace_postgres, account, root_state)
            cluster = _Cluster(home, version, account, durable=durable)
            with _exclusive(home / "start.lock"):
                users = _open_lock(home / "users.lock")
                try:
                    fcntl.flock(users, fcntl.LOCK_SH)
                    cluster.ensure_running()
                except BaseException:
                    os.close(users)
                    raise
        server = cls(cluster, users)
        atexit.register(server._leave_at_exit)
        return server

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.leave()

    def leave(self) -> bool:
        """Stop using the server; the last one to leave stops it.  True when this was the last.  Safe to repeat."""
        if self._users is None or self._process != os.getpid():
            return False
        atexit.unregister(self._leave_at_exit)
        users, self._users = self._users, None
        try:
            with _filesystem_errors(self.home), _exclusive(self.home / "start.lock"):
                if not _take(users):
                    return False
                self._cluster.stop()
                return True
        finally:
            os.close(users)

    def _leave_at_exit(self) -> None:
        with contextlib.suppress(TargetError):
            self.leave()


class _Cluster:
    """The programs, folders and processes of one home.  Callers hold ``start.lock``."""

    def __init__(self, home: Path, version: int, account: pwd.struct_passwd, *, durable: bool) -> None:
        self.home = home
        self._version = version
        self._account = account
        self._durable = durable
        self._data = home / "data"
        self._programs = bundled_folder(version)
        self._socket = home / "socket"
        self._log_begin = 0

    def conninfo(self, database: str) -> str:
        """How to reach a database of the cluster; only valid while it runs."""
        return make_conninfo(host=os.fspath(self._socket), port=PORT, user=SUPERUSER, dbname=database)

    def ensure_running(self) -> None:
        """Create the cluster when there is none, start it when it does not run, create the database when missing."""
        self._refuse_other_version()
        self._socket = _socket_folder(self.home, self._account)
        if not self._is_ready(wait=0.0):
            self._programs = _usable_programs(self.home, self._version, self._account)
            if not self._data.exists():
                self._create()
            self._start()
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchall():
                connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(DATABASE)))

    def stop(self) -> None:
        """Stop the server, within a minute; sessions that are still open are ended."""
        self._programs = _usable_programs(self.home, self._version, self._account)
        for mode in ("fast", "immediate"):
            if self._postmaster() is None:
                return
            self._run("pg_ctl", "stop", "-D", "data", "-m", mode, "-w", "-t", "30")

    def _refuse_other_version(self) -> None:
        try:
            made_by = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return
        if made_by != str(self._version):
            raise TargetError(
                f"the embedded server in {self.home} holds data of PostgreSQL {made_by}, not {self._version}",
                next_step=f"set target.embedded_version={made_by}, or name another --workspace",
                kind="embedded-version",
            )

    def _create(self) -> None:
        """initdb under another name, renamed when complete: what is called ``data`` is always whole."""
        partial = self.home / "data.partial"
        if partial.exists():
            shutil.rmtree(partial)
        _owned_folder(partial, self._account)
        arguments = ["-D", partial.name, "-U", SUPERUSER, "-E", "UTF8", "--data-checksums", "--no-instructions"]
        arguments += ["--auth=peer", "--locale=C"]
        if self._version >= 17:
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self._durable:
            arguments.append("--no-sync")
        done = self._run("initdb", *arguments)
        if done.returncode != 0:
            shutil.rmtree(partial, ignore_errors=True)
            self._failed("could not create its data folder")
        os.rename(partial, self._data)
        sync_folder(self.home)

    def _start(self) -> None:
        self._write_configuration()
        self._await_survivors()
        # A killed server leaves its lock files.  PostgreSQL would refuse to start when their pid is another program's
        # by now, or a zombie's that nobody reaps.
        socket = f".s.PGSQL.{PORT}"
        for leftover in (self._data / "postmaster.pid", self._socket / f"{socket}.lock", self._socket / socket):
            leftover.unlink(missing_ok=True)
        done = self._run("pg_ctl", "start", "-D", "data", "-o", "-c config_file=postgresql.conf", "-w", "-t", "60")
        if done.returncode != 0 or not self._is_ready(wait=10.0):
            self._failed("does not start")

    def _is_ready(self, *, wait: float) -> bool:
        """True when the server answers.  One that is just starting or stopping is waited for."""
        deadline = time.monotonic() + wait
        while True:
            try:
                psycopg.connect(self.conninfo("postgres"), connect_timeout=10).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline and self._postmaster() is None:
                    return False
                if time.monotonic() > deadline + _START_SECONDS:
                    self._failed("runs but does not answer")
                time.sleep(0.05)
            else:
                return True

    def _postmaster(self) -> psutil.Process | None:
        """The server process of this data folder, if it lives."""
        try:
            pid = int((self._data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == self._data.resolve():
                return process
        except (OSError, ValueError, psutil.Error):
            pass
        return None

    def _await_survivors(self) -> None:
        """Wait for processes in the data folder to end: those of a killed server need a moment to notice."""
        data = os.fspath(self._data.resolve())
        deadline = time.monotonic() + _START_SECONDS
        while any(process.info["cwd"] == data for process in psutil.process_iter(["cwd"])):
            if time.monotonic() > deadline:
                self._failed("is in use by processes that a killed server left behind")
            time.sleep(0.05)

    def _write_configuration(self) -> None:
        settings = {
            **_SETTINGS,
            **({} if self._durable else _UNDURABLE),
            "unix_socket_directories": '"' + os.fspath(self._socket).replace('"', '""') + '"',
            "hba_file": os.fspath(self.home / "pg_hba.conf"),
            "ident_file": os.fspath(self.home / "pg_ident.conf"),
        }
        lines = [f"{name} = '{_escaped(value)}'" for name, value in settings.items()]
        names = dict.fromkeys([pwd.getpwuid(os.geteuid()).pw_name, "root"])
        files = {
            "postgresql.conf": "\n".join(
                ["# Written by sdetl at every start; change settings with ALTER SYSTEM.", *lines]
            ),
            "pg_hba.conf": "local all all peer map=sdetl",
            "pg_ident.conf": "\n".join(f'sdetl "{name}" all' for name in names),
        }
        mode = 0o644 if os.geteuid() == 0 else 0o600
        for name, content in files.items():
            write_atomically(self.home / name, content + "\n", mode=mode)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run a program as the server's account, in home, writing to the log.

        Arguments are relative to home: pg_ctl and initdb hand them to a shell.  A session of its own keeps the
        server out of reach of a Ctrl-C.
        """
        log = _open_log(self.home / "server.log")
        self._log_begin = os.fstat(log).st_size
        try:
            return subprocess.run(
                [self._programs / program, *arguments],
                cwd=self.home,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                timeout=_LOCK_SECONDS,
                check=False,
                **_identity(self._account),
            )
        except subprocess.TimeoutExpired:
            self._failed(f"hangs in {program}")
        finally:
            os.close(log)

    def _failed(self, what: str) -> NoReturn:
        reason = _complaint(self.home / "server.log", self._log_begin)
        raise TargetError(
            f"the embedded server in {self.home} {what}" + (f": {reason}" if reason else ""),
            left_behind="its data folder, as it was",
            next_step=f"see {self.home / 'server.log'}",
            kind="embedded-failed",
        )


def _account() -> pwd.struct_passwd:
    """Who the server runs as: this process's user; for root an unprivileged account that exists."""
    if os.geteuid() != 0:
        try:
            return pwd.getpwuid(os.geteuid())
        except KeyError:
            raise TargetError(
                f"the embedded server needs a user with a name; user id {os.geteuid()} has none on this system",
                next_step="add the user to /etc/passwd, or name a server of your own with --target",
                kind="embedded-account",
            ) from None
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise TargetError(
        "PostgreSQL does not run as root, and this system has neither an account postgres nor nobody",
        next_step="run sdetl as an ordinary user",
        kind="embedded-account",
    )


def _identity(account: pwd.struct_passwd) -> dict[str, Any]:
    """Arguments of ``subprocess`` that make a child of root run as the account."""
    if os.geteuid() != 0:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _prepare_home(workspace_postgres: Path, account: pwd.struct_passwd, root_state: Path) -> Path:
    """The real folder behind ``WORKSPACE/postgres``, created when missing."""
    path = workspace_postgres.absolute()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        if os.geteuid() != 0 or _may_enter(path.parent, account):
            path.mkdir(mode=0o700, exist_ok=True)
        else:
            path = _home_elsewhere(path, account, root_state)
    home = path.resolve()
    owner = home.stat().st_uid
    if owner != os.geteuid():
        raise TargetError(
            f"the embedded server in {path} belongs to {_user_name(owner)}",
            next_step=f"run sdetl as {_user_name(owner)}, or name another --workspace",
            kind="embedded-owner",
        )
    if home != path:
        write_atomically(home / _OWNER, f"{path}\n", mode=0o600)
    # The server's account passes through root's home to its own folders and reads nothing else there.
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return home


def abandoned_homes(root_state: Path = ROOT_STATE) -> tuple[tuple[Path, Path], ...]:
    """Homes outside a workspace that nobody uses and that no workspace points to any more, and where it was.

    Such a workspace may have been deleted, but also moved, or be on a disk that is not mounted now.
    """
    found = []
    for home in sorted(root_state.glob("sdetl-postgres-*")):
        with contextlib.suppress(OSError, TargetError):
            path = Path((home / _OWNER).read_text(encoding="utf-8").rstrip("\n"))
            users = _open_lock(home / "users.lock")
            try:
                if path.resolve() != home.resolve() and _take(users):
                    found.append((home, path.parent))
            finally:
                os.close(users)
    return tuple(found)


def _home_elsewhere(path: Path, account: pwd.struct_passwd, root_state: Path) -> Path:
    """A new folder that the account can reach, with ``path`` linked to it; the other's when somebody was faster."""
    for parent in (root_state, Path(tempfile.gettempdir())):
        try:
            if not parent.exists():
                parent.mkdir()
                parent.chmod(0o755)
            home = Path(tempfile.mkdtemp(prefix="sdetl-postgres-", dir=parent))
        except OSError:
            continue
        if not _may_enter(parent, account):
            home.rmdir()
            continue
        if path.is_symlink():
            path.unlink()  # it pointed nowhere, or home would have been found
        try:
            path.symlink_to(home)
        except FileExistsError:
            home.rmdir()
        return path
    raise TargetError(
        f"the embedded server runs as {account.pw_name}, who can reach neither {root_state} nor the temporary folder",
        next_step="run sdetl as an ordinary user",
        kind="embedded-account",
    )


def _may_enter(folder: Path, account: pwd.struct_passwd) -> bool:
    """Whether the account can pass through the folder, by trying."""
    return _succeeds(["test", "-x", os.fspath(folder)], account)


def _succeeds(command: Sequence[str | Path], account: pwd.struct_passwd) -> bool:
    try:
        done = subprocess.run(
            command,
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
            **_identity(account),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _usable_programs(home: Path, version: int, account: pwd.struct_passwd) -> Path:
    """The folder of programs that the account can run: the installed ones, else a copy of them in home."""
    installed = bundled_folder(version)
    if os.geteuid() != 0 or _succeeds([installed / "postgres", "--version"], account):
        return installed
    program = inspect_program(installed / "postgres")
    copy = _place_for_programs(home) / f"programs-{program.version if program else version}"
    folder = copy / WHEEL / installed.parent.name / "bin"
    if not _succeeds([folder / "postgres", "--version"], account):
        _copy_programs(installed, copy)
    return folder


def _place_for_programs(home: Path) -> Path:
    """Home, unless its path holds what a shell minds: initdb calls its neighbours through one."""
    if _PLAIN_PATH.fullmatch(os.fspath(home)):
        return home
    ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    return ROOT_STATE


def _copy_programs(installed: Path, copy: Path) -> None:
    """Copy what a server needs, in the wheel's own layout: the programs find libraries and files relative to it."""
    partial = copy.with_name(copy.name + ".partial")
    for leftover in (partial, copy):
        shutil.rmtree(leftover, ignore_errors=True)
    root = installed.parent
    wheel = root.parent
    unneeded = shutil.ignore_patterns("*.a", "pkgconfig")
    for folder in ("lib", "share"):
        shutil.copytree(root / folder, partial / WHEEL / root.name / folder, ignore=unneeded)
    programs = partial / WHEEL / root.name / "bin"
    programs.mkdir()
    for name in ("postgres", "initdb", "pg_ctl"):
        shutil.copy2(installed / name, programs / name)
    libraries = wheel.with_name(f"{WHEEL}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, partial / libraries.name)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    os.rename(partial, copy)


def _socket_folder(home: Path, account: pwd.struct_passwd) -> Path:
    """The folder of the socket: in home, or where home links to because its own path cannot be a socket's."""
    folder = home / "socket"
    if not folder.is_symlink() and _fits_socket(folder):
        _owned_folder(folder, account)
        return folder
    if folder.is_symlink():
        target = Path(os.readlink(folder))
        if _is_private(target, account):
            return target
        folder.unlink()
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()):
        if parent and os.access(parent, os.W_OK) and _fits_socket(Path(parent, "sdetl-________")):
            if os.geteuid() == 0 and not _may_enter(Path(parent), account):
                continue
            target = Path(tempfile.mkdtemp(prefix="sdetl-", dir=parent))
            os.chown(target, account.pw_uid, account.pw_gid)
            folder.symlink_to(target)
            return target
    raise TargetError(
        f"the path of {home} is too long for a socket, and no temporary folder has a shorter one",
        next_step="name a --workspace with a shorter path",
        kind="embedded-socket",
    )


def _fits_socket(folder: Path) -> bool:
    """libpq reads a comma as the end of a host name."""
    path = os.fsencode(folder / f".s.PGSQL.{PORT}")
    return len(path) <= SOCKET_PATH_LIMIT and b"," not in path


def _is_private(folder: Path, account: pwd.struct_passwd) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.pw_uid and stat.S_IMODE(found.st_mode) == 0o700


def _owned_folder(folder: Path, account: pwd.struct_passwd) -> None:
    """Create the folder with mode 0700, belonging to the account."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, account.pw_uid, account.pw_gid)


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file.  Raises TargetError when another holds it for minutes."""
    descriptor = _open_lock(path)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _take(descriptor):
            if time.monotonic() > deadline:
                raise TargetError(
                    f"another process has been starting or stopping the embedded server in {path.parent} for minutes",
                    next_step="end that process, then try again",
                    kind="embedded-busy",
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _take(descriptor: int) -> bool:
    """Lock exclusively if that is possible now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_log(path: Path) -> int:
    """The log, for appending; one that has grown large is set aside first."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _complaint(log: Path, offset: int) -> str | None:
    """The line of the log, from that byte on, that says why something failed."""
    try:
        with log.open("rb") as file:
            file.seek(offset)
            lines = file.read(_LOG_LIMIT).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for mark in ("FATAL:", "PANIC:", "initdb: error:", "postgres: ", "pg_ctl: "):
        for line in reversed(lines):
            if mark in line:
                return line.partition(mark)[2].strip()
    return None


def _environment() -> dict[str, str]:
    """What the server's programs see of the environment: nothing of the operator's libpq settings."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


@contextlib.contextmanager
def _filesystem_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TargetError(
            f"the embedded server in {path} cannot be used: {error.filename or path}: {error.strerror}",
            next_step="make that path usable, or name another --workspace",
            kind="embedded-files",
        ) from None
