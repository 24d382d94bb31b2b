"""The frozen copy holds every committed row, and the source's folder is byte for byte what it was."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdetl_engine.errors import BackupError, Cancelled, ResourceError, SdetlError, SourceError
from sdetl_engine.events import RecordingReporter, SilentReporter
from sdetl_engine.sqlite.digest import database_digest
from sdetl_engine.sqlite.fingerprint import Fingerprint
from sdetl_engine.sqlite.freeze import FrozenCopy, JournalMode, changed, fingerprint, freeze, inspect
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.schema import read_schema
from tests.sqlite import sources

SILENT = SilentReporter()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the source lies; whatever a test does to `source`, the folder must be as it was when it was frozen."""
    place = tmp_path / "source"
    place.mkdir()
    yield place
    place.chmod(0o700)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    place = tmp_path / "run"
    place.mkdir()
    return place


def copy(source: Path, run_folder: Path, timeout: float = 1.0) -> FrozenCopy:
    """Freeze, and look that neither side has anything that should not be there."""
    before = sources.listing(source.parent)
    try:
        return freeze(source, run_folder / "copy.db", lock_timeout=timeout, reporter=SILENT)
    finally:
        assert sources.listing(source.parent) == before
        assert set(os.listdir(run_folder)) <= {"copy.db"}


def assert_content_is_proved(frozen: FrozenCopy) -> None:
    connection = open_readonly(frozen.path)
    assert frozen.source_content == database_digest(connection, read_schema(connection))
    connection.close()
    assert set(os.listdir(frozen.path.parent)) == {"copy.db"}


def refusal(path: Path) -> SourceError:
    started = time.monotonic()
    with pytest.raises(SourceError) as refused:
        inspect(path)
    assert time.monotonic() - started < 10
    assert refused.value.next_step
    assert refused.value.left_behind == "nothing"
    return refused.value


def test_a_quiet_database_is_copied_byte_for_byte(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db")
    frozen = copy(source, run_folder)
    content = source.read_bytes()
    assert frozen.path.read_bytes() == content
    assert frozen.byte_identical
    assert frozen.recovered == "no"
    assert frozen.bytes == len(content)
    assert frozen.md5 == hashlib.md5(content).hexdigest()
    assert frozen.sha256 == frozen.source_sha256 == hashlib.sha256(content).hexdigest()
    assert frozen.source_content is None
    assert stat.S_IMODE(frozen.path.stat().st_mode) == 0o600


def test_committed_rows_that_only_the_wal_holds_are_in_the_copy(folder: Path, run_folder: Path) -> None:
    source = sources.with_pending_wal(folder / "s.db")
    frozen = copy(source, run_folder)
    assert sources.rows_of(frozen.path, "SELECT title FROM tickets WHERE id IN (3, 9001) ORDER BY id") == [
        ("new title",),
        ("only in the wal",),
    ]
    assert frozen.recovered == "wal"
    assert not frozen.byte_identical
    assert frozen.sidecar_sha256.keys() == {"-wal"}
    assert_content_is_proved(frozen)


def test_a_wal_without_its_shm_is_read_as_well(folder: Path, run_folder: Path) -> None:
    source = sources.with_pending_wal(folder / "s.db")
    (folder / "s.db-shm").unlink()
    frozen = copy(source, run_folder)
    assert sources.rows_of(frozen.path, "SELECT count(*) FROM tickets") == [(sources.ROWS + 1,)]


def test_a_wal_database_with_a_program_that_has_it_open(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db", journal_mode="wal")
    with sources.running(source, sources.PENDING_WAL + sources.WAIT):
        frozen = copy(source, run_folder)
    assert sources.rows_of(frozen.path, "SELECT count(*) FROM tickets") == [(sources.ROWS + 1,)]


def test_a_quiet_wal_database_becomes_one_that_stands_alone(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db", journal_mode="wal")
    assert sorted(os.listdir(folder)) == ["s.db"]
    frozen = copy(source, run_folder)
    assert frozen.recovered == "no"
    assert not frozen.byte_identical
    assert_content_is_proved(frozen)


def test_a_transaction_that_was_cut_off_is_rolled_back_in_the_copy(folder: Path, run_folder: Path) -> None:
    source = sources.with_hot_journal(folder / "s.db")
    assert inspect(source).hot_journal
    frozen = copy(source, run_folder)
    assert frozen.recovered == "journal"
    assert sources.rows_of(frozen.path, "SELECT DISTINCT body FROM notes") == [("x" * 200,)]
    assert_content_is_proved(frozen)


def test_a_journal_that_was_left_finished_is_not_played_back(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db")
    sources.run(
        source,
        "connection.execute('PRAGMA journal_mode=persist')\n"
        "connection.execute(\"UPDATE tickets SET title = 'kept'\")\n"
        "print('ready', flush=True)",
    )
    assert (folder / "s.db-journal").stat().st_size > 0
    frozen = copy(source, run_folder)
    assert frozen.byte_identical
    assert sources.rows_of(frozen.path, "SELECT DISTINCT title FROM tickets") == [("kept",)]


@pytest.mark.parametrize("begin", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_writer_in_the_way_is_named(folder: Path, run_folder: Path, begin: str) -> None:
    source = sources.make(folder / "s.db")
    with sources.running(source, f"connection.execute('BEGIN {begin}'); {sources.WAIT}") as writer:
        assert inspect(source).writer is not None
        with pytest.raises(SourceError, match=f"process {writer.pid} \\(python") as refused:
            copy(source, run_folder, timeout=0.2)
    assert refused.value.kind == "source-locked"
    assert os.listdir(run_folder) == []


def test_a_writer_in_wal_mode_in_the_way_is_named(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db", journal_mode="wal")
    body = "connection.execute('BEGIN IMMEDIATE'); connection.execute('DELETE FROM notes');" + sources.WAIT
    with (
        sources.running(source, body) as writer,
        pytest.raises(SourceError, match=f"process {writer.pid}") as refused,
    ):
        copy(source, run_folder, timeout=0.2)
    assert refused.value.kind == "source-locked"


def test_a_writer_that_finishes_in_time_is_waited_for(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db")
    body = (
        "connection.execute('BEGIN EXCLUSIVE'); connection.execute('DELETE FROM notes'); print('ready', flush=True)\n"
        "time.sleep(0.5); connection.execute('COMMIT')"
    )
    with sources.running(source, body):
        frozen = freeze(source, run_folder / "copy.db", lock_timeout=20, reporter=SILENT)
    assert sources.rows_of(frozen.path, "SELECT count(*) FROM notes") == [(0,)]


def test_the_writer_cannot_write_while_the_source_is_copied(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db")
    refused = []

    class WriteAtEveryBlock(SilentReporter):
        def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
            if "copying" in what:
                writer = [sys.executable, "-c", _WRITE_ONCE, str(source)]
                refused.append(subprocess.run(writer, capture_output=True, text=True, check=False).stderr)

    frozen = freeze(source, run_folder / "copy.db", lock_timeout=1, reporter=WriteAtEveryBlock())
    assert refused
    assert all("database is locked" in error for error in refused)
    assert frozen.byte_identical


_WRITE_ONCE = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0); c.execute('DELETE FROM notes'); c.commit()"
)

_TWO_TABLES_AT_ONCE = """
connection.execute("PRAGMA busy_timeout=20000")
connection.execute("PRAGMA synchronous=OFF")
print('ready', flush=True)
for number in range(100000, 200000):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO tickets VALUES (?, 'new', 1)", (number,))
    connection.execute("INSERT INTO notes VALUES (?, ?, 'new')", (number, number))
    connection.execute("COMMIT")
    time.sleep(0.005)
"""


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_a_busy_writer_gives_a_consistent_copy_or_a_refusal(folder: Path, run_folder: Path, journal_mode: str) -> None:
    source = sources.make(folder / "s.db", journal_mode=journal_mode)
    with sources.running(source, _TWO_TABLES_AT_ONCE):
        time.sleep(0.2)
        frozen = freeze(source, run_folder / "copy.db", lock_timeout=10, reporter=SILENT)
    tickets, notes = sources.rows_of(
        frozen.path, "SELECT (SELECT count(*) FROM tickets), (SELECT count(*) FROM notes)"
    )[0]
    assert tickets == notes
    assert sources.rows_of(frozen.path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("hides", [False, True])
def test_a_program_that_ignores_locks_is_noticed(folder: Path, run_folder: Path, hides: bool) -> None:
    source = sources.make(folder / "s.db")
    quiet = source.stat()

    class Scribbler(RecordingReporter):
        def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
            if "copying" in what:
                with open(source, "r+b", buffering=0) as file:
                    file.seek(-1, os.SEEK_END)
                    file.write(next(scribbles))
                if hides:
                    os.utime(source, ns=(quiet.st_atime_ns, quiet.st_mtime_ns))

    scribbles = itertools.cycle([b"a", b"b"])
    reporter = Scribbler()
    with pytest.raises(SourceError, match="being written by another program") as refused:
        freeze(source, run_folder / "copy.db", lock_timeout=0.1, reporter=reporter)
    assert refused.value.kind == "source-changing"
    assert {event.name for event in reporter.events} == {"SourceMoved"}
    assert 2 <= len(reporter.events) <= 4
    assert os.listdir(run_folder) == []


@pytest.mark.parametrize("state", ["wal", "journal"])
def test_a_read_only_folder_of_somebody_else(state: str) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to become another user")
    with tempfile.TemporaryDirectory() as name:
        public = Path(name)
        public.chmod(0o755)
        place, workspace = public / "source", public / "workspace"
        place.mkdir()
        workspace.mkdir()
        os.chown(workspace, 65534, 65534)
        source = (sources.with_pending_wal if state == "wal" else sources.with_hot_journal)(place / "s.db")
        for path in place.iterdir():
            path.chmod(0o444)
        place.chmod(0o555)
        before = sources.listing(place)
        # A fork, because another user may not be able to start this interpreter.
        child = os.fork()
        if child == 0:
            os._exit(_freeze_as_nobody(source, workspace / "copy.db", state))
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert sources.listing(place) == before


def _freeze_as_nobody(source: Path, destination: Path, recovered: str) -> int:
    os.setgid(65534)
    os.setuid(65534)
    try:
        frozen = freeze(source, destination, lock_timeout=1, reporter=SILENT)
    except (SdetlError, OSError):
        traceback.print_exc()
        return 2
    return 0 if frozen.recovered == recovered else 1


def test_a_link_is_followed_to_the_file_and_its_wal(folder: Path, run_folder: Path, tmp_path: Path) -> None:
    source = sources.with_pending_wal(folder / "s.db")
    link = tmp_path / "link.db"
    link.symlink_to(source)
    frozen = freeze(link, run_folder / "copy.db", lock_timeout=1, reporter=SILENT)
    assert sources.rows_of(frozen.path, "SELECT count(*) FROM tickets") == [(sources.ROWS + 1,)]


@pytest.mark.parametrize(
    "name", [b"a?mode=rwc#b%20.db", b"new\nline\x1b[2J'\".db", b"not utf-8 \xff\xfe.db", b":memory:"]
)
def test_hostile_names_are_opened_exactly(folder: Path, run_folder: Path, name: bytes) -> None:
    source = sources.with_pending_wal(folder / "s.db")
    hostile = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))
    for suffix in ("", "-wal", "-shm"):
        Path(f"{source}{suffix}").rename(f"{hostile}{suffix}")
    frozen = copy(hostile, run_folder)
    assert sources.rows_of(frozen.path, "SELECT count(*) FROM tickets") == [(sources.ROWS + 1,)]
    Path(f"{hostile}-wal").unlink()
    Path(hostile).write_bytes(b"")
    message = refusal(hostile).message
    assert message.isprintable()
    message.encode()


def test_a_cancelled_copy_leaves_nothing(folder: Path, run_folder: Path) -> None:
    source = sources.with_pending_wal(folder / "s.db")
    before = sources.listing(folder)
    for check in range(1, 100):
        try:
            freeze(
                source,
                run_folder / "copy.db",
                lock_timeout=1,
                reporter=RecordingReporter(cancel_at_check=check),
            )
        except Cancelled:
            assert os.listdir(run_folder) == []
            assert sources.listing(folder) == before
        else:
            break
    assert check > 4
    assert os.listdir(run_folder) == ["copy.db"]


def test_what_a_killed_predecessor_left_is_swept_and_planted_links_are_not_followed(
    folder: Path, run_folder: Path, tmp_path: Path
) -> None:
    source = sources.with_pending_wal(folder / "s.db")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (run_folder / ".copy.db.partial").symlink_to(victim)
    (run_folder / ".copy.db.partial-wal").write_bytes(b"stale")
    copy(source, run_folder)
    assert victim.read_text() == "precious"


def test_an_earlier_copy_is_not_overwritten(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db")
    copy(source, run_folder)
    with pytest.raises(BackupError, match="exists already"):
        copy(source, run_folder)
    with pytest.raises(BackupError, match="exists already"):
        freeze(source, source, lock_timeout=1, reporter=SILENT)


def test_a_full_disk_is_said_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to mount a small disk")
    source = sources.with_pending_wal(folder / "s.db")
    size = source.stat().st_size + (folder / "s.db-wal").stat().st_size
    small = tmp_path / "small"
    small.mkdir()
    refused = 0
    for kilobytes in (16, source.stat().st_size // 1024, size // 1024 - 4):
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(small)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("mounting is not allowed here")
        try:
            with pytest.raises(ResourceError, match="disk is full"):
                freeze(source, small / "copy.db", lock_timeout=1, reporter=SILENT)
            refused += 1
            assert os.listdir(small) == []
        finally:
            subprocess.run(["umount", str(small)], check=True)
    assert refused == 3


def test_a_large_database_needs_little_memory_and_is_copied_in_blocks(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db", rows=20_000)
    reporter = RecordingReporter()
    freeze(source, run_folder / "copy.db", lock_timeout=1, reporter=reporter)
    copying = [snapshot for snapshot in reporter.snapshots if snapshot.what == "copying the source"]
    assert len(copying) == -(-source.stat().st_size // 2**20) > 3
    assert copying[-1].done == copying[-1].total == source.stat().st_size


def test_inspect_tells_the_facts(folder: Path) -> None:
    source = sources.make(folder / "s.db", encoding="UTF-16le", journal_mode="wal")
    state = inspect(source)
    assert state.journal_mode is JournalMode.WAL
    assert state.header.encoding == "UTF-16le"
    assert state.header.page_size == 4096
    assert state.bytes == source.stat().st_size
    assert not state.needs_recovery
    assert state.writer is None
    connection = sqlite3.connect(source)
    connection.execute("PRAGMA user_version=-7")
    connection.close()
    assert inspect(source).header.user_version == -7


def test_what_is_no_regular_file_is_refused_at_once(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)
    listener.bind("socket")
    os.chdir(here)
    kinds = {
        "fifo": "is a FIFO",
        "socket": "is a socket",
        ".": "is a directory",
        "dangling": "symbolic link to something that does not exist",
        "loop": "circle of symbolic links",
        "absent": "does not exist",
        "nul\0": "no possible path",
        "x" * 4000: "cannot be opened: File name too long",
    }
    for name, words in kinds.items():
        assert words in refusal(folder / name).message
    assert "is a character device" in refusal(Path("/dev/zero")).message
    listener.close()


def test_what_is_no_database_is_named(folder: Path) -> None:
    database = sources.make(folder / "s.db").read_bytes()
    contents = {
        "source-empty": {b"": "is empty"},
        "source-encrypted": {os.urandom(8192): "looks encrypted"},
        "source-not-sqlite": {
            gzip.compress(database): "a gzip archive",
            b"PK\x03\x04" + bytes(100): "a zip archive",
            b"id,name\n1,a\n2,b\n": "a CSV file",
            "Grüße an alle\n".encode() * 400: "a text file",
            b"PGDMP\x01\x0e": "a PostgreSQL dump in pg_dump's custom format",
            b"--\n-- PostgreSQL database dump\n--\n": "a PostgreSQL dump in SQL",
            b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n": "an SQL script",
            bytes(4096): "filled with zero bytes",
            bytes.fromhex("377f0682") + bytes(99): "the -wal of an SQLite database",
            b"\x01\x02\x03" * 50: "in a format that is not known here",
        },
        "source-truncated": {database[:-4096]: "is cut off", database[:4096]: "is cut off"},
        "source-malformed": {
            database[:60]: "ends after 60 of the 100 bytes",
            database[:16] + b"\x00\x07" + database[18:]: "impossible page size",
            database[:21] + b"\x00" + database[22:]: "impossible payload fractions",
        },
        "source-newer": {database[:18] + b"\x03\x03" + database[20:]: "newer than this program reads"},
    }
    for kind, files in contents.items():
        for content, words in files.items():
            path = folder / "file"
            path.write_bytes(content)
            refused = refusal(path)
            assert refused.kind == kind
            assert words in refused.message


def test_a_file_that_may_not_be_read_is_said_so(folder: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to become another user")
    source = sources.make(folder / "s.db")
    source.chmod(0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(SourceError, match="permission denied"):
            inspect(source)
    finally:
        os.seteuid(0)


def test_changes_of_the_source_are_noticed_and_reading_is_none(folder: Path, run_folder: Path) -> None:
    source = sources.make(folder / "s.db", journal_mode="wal")
    before = fingerprint(source)
    frozen = copy(source, run_folder)
    assert changed(before, fingerprint(source)) is None
    assert changed(frozen.source_fingerprint, fingerprint(source)) is None
    with sources.running(source, sources.PENDING_WAL + sources.WAIT):
        assert "-wal file has appeared" in (changed(before, fingerprint(source)) or "")


def test_each_kind_of_change_has_its_sentence(folder: Path) -> None:
    source = sources.make(folder / "s.db")
    before = fingerprint(source)
    os.utime(source, ns=(1, 1))
    assert changed(before, fingerprint(source)) == "it was written (its modification time is different)"
    shutil.copy2(source, folder / "new.db")
    (folder / "new.db").rename(source)
    assert changed(before, fingerprint(source)) == "it was replaced by another file"
    with open(source, "ab") as file:
        file.write(bytes(4096))
    assert "its size went from" in (changed(before, fingerprint(source)) or "")


def test_equal_bytes_outweigh_another_time() -> None:
    one = Fingerprint(1, 1, 1, "a", (), "")
    assert changed(one, Fingerprint(1, 2, 2, "a", (), "")) is None
    assert changed(one, Fingerprint(1, 1, 1, "b", (), "")) == "its content is different"
