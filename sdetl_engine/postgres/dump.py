"""Dumping one schema with pg_dump, proving the dump, and restoring it.

A dump that exits with 0 is not yet a dump: the file is read back, its list of contents is compared with the
catalogue, and every block of data in it is unpacked.  It takes its name only after that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sdetl_engine.errors import BackupError
from sdetl_engine.events import Reporter, SilentReporter
from sdetl_engine.files import BLOCK, sha256_of, sync_folder
from sdetl_engine.postgres.binaries import BUNDLED, Program, find_program
from sdetl_engine.postgres.connect import Target, open_connection
from sdetl_engine.wording import counted, inflected

LOCK_WAIT_SECONDS = 60.0
"""How long pg_dump waits for a table that somebody has locked exclusively."""

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 5.0
_VERSIONS = re.compile(r"server version: (\S+).*?pg_dump version: (\S+)", re.DOTALL)
_GAVE_UP = re.compile("due to (lock|statement) timeout")  # pg_dump limits the wait for a lock by either
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclasses.dataclass(frozen=True, slots=True)
class DumpResult:
    """A dump that was proved.  ``objects`` and ``tables`` are counts of what its own list of contents holds."""

    path: Path
    bytes: int
    md5: str
    sha256: str
    objects: int
    tables: int
    dumped_by: str
    """Version of the pg_dump that wrote it."""


@dataclasses.dataclass(frozen=True, slots=True)
class DumpContents:
    """The list of contents of a dump: one line per object, e.g. ``TABLE servicedesk tickets owner``."""

    objects: tuple[str, ...]
    dumped_by: str
    dumped_from: str
    """Version of the server it was taken from."""

    @property
    def tables(self) -> int:
        """How many tables it defines."""
        return sum(line.startswith("TABLE ") and not line.startswith("TABLE DATA ") for line in self.objects)


def dump_schema(
    conninfo: str,
    schema: str,
    destination: Path,
    *,
    command: Sequence[str] = (),
    snapshot: str | None = None,
    timeout: float = 3600.0,
    lock_wait: float = LOCK_WAIT_SECONDS,
    reporter: Reporter | None = None,
) -> DumpResult:
    """Write a custom-format dump of the schema to ``destination`` (mode 0600), and prove it.

    ``command`` takes the place of the bundled pg_dump: ``-F c -n SCHEMA`` is added, and the dump is read from its
    standard output.  ``snapshot``, exported by an open transaction, is what the bundled pg_dump then reads; a command
    of the site's own takes one of its own.  Seconds: ``timeout`` for the whole dump, ``lock_wait`` for one table.  Raises BackupError,
    with nothing left behind, when the dump cannot be made or proved; Cancelled when the reporter says so.
    """
    reporter = reporter or SilentReporter()
    server, expected = _look_at(conninfo, schema)
    partial = destination.with_name(destination.name + ".partial")
    pattern = '"' + schema.replace('"', '""') + '"'
    try:
        with _credentials(conninfo) as (reach, environment):
            if command:
                arguments = [*command, "-F", "c", "-n", pattern]
            else:
                program = find_program("pg_dump", server)
                arguments = [os.fspath(program.path), "-F", "c", "-n", pattern, "-w", "-d", reach]
                arguments.append(f"--lock-wait-timeout={round(lock_wait * 1000)}")
                if snapshot is not None:
                    arguments.append(f"--snapshot={snapshot}")
            try:
                md5, sha256, size = _stream(arguments, environment, partial, timeout, reporter)
            except _ChildFailed as failure:
                raise _explained(failure, conninfo, schema) from None
        contents = _prove(partial, sha256, expected, schema, timeout, reporter)
        os.replace(partial, destination)
    except OSError as error:
        raise BackupError(
            f"the dump of schema {schema} could not be written: {error.strerror} ({error.filename or partial})",
            next_step="free space or correct the path, then continue with --resume",
            kind="dump-write",
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(destination.parent)
    return DumpResult(destination, size, md5, sha256, len(contents.objects), contents.tables, contents.dumped_by)


def list_dump(path: Path) -> DumpContents:
    """The list of contents of a dump, as pg_restore reads it.  Raises BackupError when it cannot be read."""
    text = _read_archive(path, ["--list"])
    lines = text.splitlines()
    # After "123; 1259 16390 " stands the object, as "TABLE schema name owner".
    objects = tuple(line.split(" ", 3)[3] for line in lines if re.match(r"\d+; \d+ \d+ \S", line))
    return DumpContents(
        objects, _header(lines, "Dumped by pg_dump version"), _header(lines, "Dumped from database version")
    )


def restore_dump(path: Path, conninfo: str, *, timeout: float = 3600.0, reporter: Reporter | None = None) -> None:
    """Restore a dump into a database that has no schema of that name, in one transaction.

    Objects belong to the role that restores; grants are not restored.  Raises BackupError; nothing of the dump
    is in the database then.
    """
    reporter = reporter or SilentReporter()
    with open_connection(Target(conninfo, "").at(conninfo)) as connection:
        server = connection.info.server_version // 10_000
    program = _restorer(list_dump(path), server)
    with _credentials(conninfo) as (reach, environment):
        arguments = [
            os.fspath(program.path),
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
        ]
        arguments += ["-w", "-d", reach, os.fspath(path)]
        try:
            with _running(arguments, environment, timeout, reporter) as child:
                child.finish()
        except _ChildFailed as failure:
            raise BackupError(
                f"the dump {path.name} could not be restored: {failure.reason}",
                next_step="restore into a database without that schema",
                kind="restore",
            ) from None


class _ChildFailed(Exception):  # never leaves this module
    """A program that PostgreSQL brings, or the site's own, did not do its work."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(reason)
        self.program = program
        self.reason = reason


class _Child:
    """A running program with its standard output, watched by the clock and by the reporter."""

    def __init__(
        self, process: subprocess.Popen[bytes], errors: IO[bytes], deadline: float, reporter: Reporter
    ) -> None:
        self._process = process
        self._errors = errors
        self._deadline = deadline
        self._reporter = reporter
        self.name = Path(str(process.args[0] if isinstance(process.args, list) else process.args)).name

    def blocks(self) -> Iterator[bytes]:
        """What it writes, as it comes."""
        output = self._process.stdout
        assert output is not None
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while True:
                self._watch()
                if selector.select(_POLL_SECONDS):
                    block = os.read(output.fileno(), BLOCK)
                    if not block:
                        return
                    yield block

    def finish(self) -> None:
        """Wait for its end.  Raises _ChildFailed unless it succeeded."""
        for _ in self.blocks():
            pass
        while True:
            self._watch()
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_POLL_SECONDS)
                break
        if code != 0:
            ended = f"exit code {code}" if code > 0 else f"signal {-code}"
            raise _ChildFailed(self.name, f"{self.name} ended with {ended}{self._complaint()}")

    def end(self) -> None:
        """End it with everything it started, unless it has succeeded."""
        if self._process.poll() != 0:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
            self._signal(signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _watch(self) -> None:
        self._reporter.check()
        if time.monotonic() > self._deadline:
            raise _ChildFailed(self.name, f"{self.name} did not finish in time and was ended{self._complaint()}")

    def _complaint(self) -> str:
        self._errors.seek(0)
        text = self._errors.read(64 * 1024).decode("utf-8", "replace")
        if versions := _VERSIONS.search(text):
            return f": it has version {versions[2]} and the server {versions[1]}"
        lines = [line for line in text.splitlines() if line.strip()]
        line = next((line for line in lines if "error:" in line.lower()), lines[0] if lines else "")
        return f": {_CONTROL.sub(' ', line).strip()[:300]}" if line else ""


@contextlib.contextmanager
def _running(
    arguments: Sequence[str], environment: Mapping[str, str], timeout: float, reporter: Reporter
) -> Iterator[_Child]:
    """Start a program in a process group of its own; when the block is left, nothing of it runs any more."""
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                arguments,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            name = Path(arguments[0]).name
            raise _ChildFailed(name, f"{name} could not be started: {error.strerror}") from None
        child = _Child(process, errors, time.monotonic() + timeout, reporter)
        try:
            yield child
        finally:
            child.end()


def _stream(
    arguments: Sequence[str], environment: Mapping[str, str], partial: Path, timeout: float, reporter: Reporter
) -> tuple[str, str, int]:
    """Run the dump into ``partial``; returns MD5, SHA-256 and size of what came through."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, _running(arguments, environment, timeout, reporter) as child:
        for block in child.blocks():
            file.write(block)
            md5.update(block)
            sha256.update(block)
            size += len(block)
            reporter.progress("dumping the serving schema", size, None, "bytes")
        child.finish()
        file.flush()
        os.fsync(file.fileno())
    if size == 0:
        raise _ChildFailed(child.name, f"{child.name} ended without an error and without a dump")
    return md5.hexdigest(), sha256.hexdigest(), size


def _prove(
    path: Path, sha256: str, expected: frozenset[str], schema: str, timeout: float, reporter: Reporter
) -> DumpContents:
    """The contents of the dump, after reading it back whole.  Raises BackupError."""
    if sha256_of(path) != sha256:
        raise _unproved(schema, "it does not read back as it was written")
    contents = list_dump(path)
    if not contents.objects:
        raise _unproved(schema, "its list of contents is empty")
    missing = expected - set(contents.objects)
    if missing:
        example = min(missing)
        raise _unproved(
            schema,
            f"{counted(len(missing), 'object')} {inflected(len(missing), 'is', 'are')} missing in it, among them {example}",
        )
    reporter.check()
    # The list stands at the beginning: only unpacking the data shows that the end is there.
    _read_archive(path, ["--data-only", f"--file={os.devnull}"], timeout=timeout, reporter=reporter)
    return contents


def _unproved(schema: str, reason: str) -> BackupError:
    return BackupError(
        f"the dump of schema {schema} is not complete: {reason}",
        next_step="check the disk and the dump command, then continue with --resume",
        kind="dump-unproved",
    )


def _look_at(conninfo: str, schema: str) -> tuple[int, frozenset[str]]:
    """The server's major version, and the lines that a complete dump's list of contents must hold."""
    with open_connection(Target(conninfo, "").at(conninfo)) as connection:
        rows = connection.execute(_TABLES, [schema]).fetchall()
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone()
        version = connection.info.server_version // 10_000
    if found is None:
        raise BackupError(f"there is no schema {schema} to dump", next_step="check serving_schema", kind="dump-nothing")
    lines = set()
    for table, owner, kind in rows:
        # pg_restore shows line breaks in names as blanks.
        name = re.sub(r"[\r\n]", " ", f"{schema} {table} {owner}")
        lines.add(f"TABLE {name}")
        if kind == "r":
            lines.add(f"TABLE DATA {name}")
    return version, frozenset(lines)


_TABLES = """
    SELECT c.relname, pg_get_userbyid(c.relowner), c.relkind::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""


def _explained(failure: _ChildFailed, conninfo: str, schema: str) -> BackupError:
    holders = _lock_holders(conninfo, schema) if _GAVE_UP.search(failure.reason) else ()
    if holders:
        return BackupError(
            f"schema {schema} could not be dumped: a table in it is locked by server process {', '.join(holders)}",
            next_step="wait for that session, or end it with pg_terminate_backend, then continue with --resume",
            kind="dump-locked",
        )
    return BackupError(
        f"schema {schema} could not be dumped: {failure.reason}",
        next_step="correct that, then continue with --resume",
        kind="dump-failed",
    )


def _lock_holders(conninfo: str, schema: str) -> tuple[str, ...]:
    with open_connection(Target(conninfo, "").at(conninfo)) as connection:
        rows = connection.execute(
            "SELECT DISTINCT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND l.granted AND l.mode = 'AccessExclusiveLock' ORDER BY 1",
            [schema],
        ).fetchall()
    return tuple(str(pid) for (pid,) in rows)


@contextlib.contextmanager
def _credentials(conninfo: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """A conninfo without a password, and an environment without one, for a child that finds it in a private file."""
    given: dict[str, Any] = dict(conninfo_to_dict(conninfo))
    environment = {name: value for name, value in os.environ.items() if name != "PGPASSWORD"}
    environment["LC_ALL"] = "C"
    password = given.pop("password", None) or os.environ.get("PGPASSWORD")
    if given.get("sslpassword"):
        raise BackupError(
            "pg_dump cannot be given the password of a TLS key in private",
            next_step="use a key without a password, or set backup.dump_command",
            kind="dump-failed",
        )
    if not password:
        yield make_conninfo(**given), environment
        return
    with tempfile.TemporaryDirectory(prefix="sdetl-") as folder:
        passfile = Path(folder, "passfile")
        escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
        descriptor = os.open(passfile, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"*:*:*:*:{escaped}\n")
        yield make_conninfo(**{**given, "passfile": os.fspath(passfile)}), environment


def _read_archive(
    path: Path, options: Sequence[str], *, timeout: float = 3600.0, reporter: Reporter | None = None
) -> str:
    """What pg_restore writes with those options.  The newest reads the dumps of all versions."""
    program = find_program("pg_restore", max(BUNDLED))
    arguments = [os.fspath(program.path), *options, os.fspath(path)]
    try:
        with _running(arguments, {"LC_ALL": "C"}, timeout, reporter or SilentReporter()) as child:
            text = b"".join(child.blocks())
            child.finish()
    except _ChildFailed as failure:
        raise BackupError(
            f"the dump {path.name} cannot be read: {failure.reason}",
            next_step="use another backup",
            kind="dump-unreadable",
        ) from None
    return text.decode("utf-8", "replace")


def _header(lines: Sequence[str], name: str) -> str:
    for line in lines:
        if line.startswith(";") and name in line:
            return line.partition(f"{name}:")[2].strip().split(" ")[0]
    return "unknown"


def _restorer(contents: DumpContents, server: int) -> Program:
    """The oldest pg_restore that reads the dump and serves the server."""
    return find_program("pg_restore", max(server, int(contents.dumped_by.partition(".")[0])))
