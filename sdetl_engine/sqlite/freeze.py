"""The frozen copy: the source is read once, under SQLite's own lock, and everything afterwards reads the copy.

The source is never opened with SQLite (a read-only open of a WAL database leaves files beside it, a read-write open
changes it) and never for writing.  One read-only descriptor takes SQLite's SHARED lock, the bytes of the database and
of what belongs to it (``-wal`` or hot ``-journal``) are copied, and the *copy* is recovered.

Disk needed at the peak: the database and its ``-wal`` or ``-journal`` once, and again the size of that ``-wal`` while
it is checkpointed into a file that grows.  The source is read twice, the finished copy once more.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import enum
import errno
import hashlib
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sdetl_engine.errors import BackupError, EnvironmentFailed, ResourceError, SourceError
from sdetl_engine.events import Reporter
from sdetl_engine.files import BLOCK, sync_folder
from sdetl_engine.sqlite import locking
from sdetl_engine.sqlite.digest import TableDigest, database_digest
from sdetl_engine.sqlite.fingerprint import (
    JOURNAL,
    SHARED_MEMORY,
    SIDECARS,
    WAL,
    Fingerprint,
    JournalMode,
    SourceState,
    beside,
    changed,
    fingerprint,
    fingerprint_of,
    inspect,
    open_if_there,
    open_source,
    shown,
)
from sdetl_engine.sqlite.guard import result_code, unreadable
from sdetl_engine.sqlite.header import HEADER_BYTES, is_journal, read_header
from sdetl_engine.sqlite.open import open_writable
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.wording import counted

__all__ = [
    "Fingerprint",
    "FrozenCopy",
    "JournalMode",
    "Recovered",
    "SourceState",
    "changed",
    "fingerprint",
    "freeze",
    "inspect",
]

_POLL_SECONDS = 0.02
_LEAST_ATTEMPTS = 3
_LONGEST_PAUSE = 1.0
_JOURNAL_TAIL = 8


class Recovered(enum.StrEnum):
    """What had to be done to the copy to make it the whole database by itself."""

    NO = "no"
    WAL = "wal"
    JOURNAL = "journal"


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenCopy:
    """A finished copy.  ``bytes``, ``md5`` and ``sha256`` are those of the file as read back from disk."""

    path: Path
    bytes: int
    md5: str
    sha256: str
    source_sha256: str
    """Of the database file itself, as it was copied and as it was read again afterwards."""
    source_fingerprint: Fingerprint
    byte_identical: bool
    recovered: Recovered
    sidecar_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of the ``-wal`` or ``-journal`` that was copied along, by suffix."""
    source_content: Mapping[str, TableDigest] | None = None
    """What the source holds, by table, as SQLite reads the copied pair before anything is merged into one file.

    None when the copy is byte-identical: then the equal SHA-256 says more.  Otherwise the finished copy's
    `database_digest` must equal it.
    """


def freeze(source: Path, destination: Path, *, lock_timeout: float, reporter: Reporter) -> FrozenCopy:
    """Copy the source to ``destination`` (which must not exist), whole, quiet, recovered and durable.

    Waits up to ``lock_timeout`` seconds for a writer to finish.  The copy has mode 0600, stands alone (no ``-wal``,
    not in WAL mode) and takes its name last; on any failure nothing is left.  Must not run while this process has
    the source open anywhere else.

    Raises SourceError (``kind`` ``source-locked``, ``source-changing``, ``source-malformed`` and those of `inspect`),
    ResourceError when the disk is full, BackupError for other trouble with the copy, Cancelled.
    """
    real = inspect(source).path
    if os.path.lexists(destination):
        raise BackupError(
            f"{shown(destination)} exists already; it is not overwritten",
            next_step="name another file, or move it away",
        )
    partial = destination.with_name(f".{destination.name}.partial")
    try:
        with _writing(partial, real):
            _discard(partial)
            raw = _copy_when_quiet(real, partial, lock_timeout, reporter)
            recovered, content = _recover(partial, raw, reporter)
            size, md5, sha256 = _read_back(partial, reporter)
            if content is None:
                _compare(real, raw.sha256[""], sha256)
            _take_name(partial, destination)
    except BaseException:
        _discard(partial)
        raise
    return FrozenCopy(
        path=destination,
        bytes=size,
        md5=md5,
        sha256=sha256,
        source_sha256=raw.sha256[""],
        source_fingerprint=raw.fingerprint,
        byte_identical=sha256 == raw.sha256[""],
        recovered=recovered,
        sidecar_sha256={suffix: value for suffix, value in raw.sha256.items() if suffix},
        source_content=content,
    )


def _compare(real: Path, written: str, read: str) -> None:
    if written != read:
        raise BackupError(
            f"the copy of {shown(real)} reads back different from what was written",
            next_step="check the disk of the workspace, or use another one, and start again",
        )


def _take_name(partial: Path, destination: Path) -> None:
    os.rename(partial, destination)
    try:
        sync_folder(destination.parent)
    except OSError:
        # A name that may not last is not a finished copy.
        os.unlink(destination)
        raise


@dataclasses.dataclass(frozen=True, slots=True)
class _RawCopy:
    """What was copied: SHA-256 by suffix (``""`` is the database itself)."""

    sha256: Mapping[str, str]
    fingerprint: Fingerprint


class _MovedError(Exception):
    """The source changed while it was copied."""


def _copy_when_quiet(real: Path, partial: Path, lock_timeout: float, reporter: Reporter) -> _RawCopy:
    """Copy until two readings agree and nothing moved meanwhile; a few attempts, whatever the timeout."""
    deadline = time.monotonic() + lock_timeout
    attempt = 0
    while True:
        attempt += 1
        try:
            with _Source(real, deadline, lock_timeout, reporter) as opened:
                return _copy_once(opened, partial, reporter)
        except _MovedError:
            _discard(partial)
        if attempt >= _LEAST_ATTEMPTS and time.monotonic() >= deadline:
            raise SourceError(
                f"{shown(real)} is being written by another program: it changed during each of {counted(attempt, 'copy', 'copies')}",
                kind="source-changing",
                next_step="stop the program that writes it, or export a copy from it, and start again",
            )
        reporter.event(
            "SourceMoved", "the source changed while it was copied; copying again", level="warning", attempt=attempt
        )
        reporter.check()
        time.sleep(min(_LONGEST_PAUSE, _POLL_SECONDS * 2**attempt))


class _Source:
    """The source, opened once and locked: a context manager.  ``files`` are descriptors by suffix."""

    def __init__(self, real: Path, deadline: float, lock_timeout: float, reporter: Reporter) -> None:
        self.path = real
        self.files: dict[str, int] = {}
        self._deadline = deadline
        self._lock_timeout = lock_timeout
        self._reporter = reporter
        self._memory: int | None = None

    def __enter__(self) -> _Source:
        try:
            self.files[""] = open_source(self.path)
            self._memory = open_if_there(beside(self.path, SHARED_MEMORY))
            self._lock()
            self._open_sidecars()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        # Closing the descriptors gives up the locks.
        for descriptor in (*self.files.values(), self._memory):
            if descriptor is not None:
                os.close(descriptor)
        self.files.clear()
        self._memory = None

    def _lock(self) -> None:
        started = time.monotonic()
        try:
            while not locking.try_shared(self.files[""], self._memory):
                who = locking.writer(self.files[""], self._memory) or locking.Writer()
                if time.monotonic() >= self._deadline:
                    raise _locked(self.path, who, self._lock_timeout)
                waited = int(time.monotonic() - started)
                self._reporter.progress(
                    f"waiting for {who} to finish writing", waited, int(self._lock_timeout), "seconds"
                )
                self._reporter.check()
                time.sleep(_POLL_SECONDS)
        except locking.LocksUnsupportedError:
            self._reporter.event(
                "SourceNotLocked",
                "the source's file system has no locks; the copy is compared with the source instead",
                level="warning",
            )

    def _open_sidecars(self) -> None:
        """Open the ``-wal`` when it holds something, and the ``-journal`` when it is hot."""
        for suffix in (WAL, JOURNAL):
            path = beside(self.path, suffix)
            descriptor = open_if_there(path)
            if descriptor is None:
                if os.path.lexists(path):
                    raise SourceError(
                        f"{shown(path)} cannot be read, and without it the database is not whole",
                        kind="source-unreadable",
                        next_step="grant this user read access to it",
                    )
                continue
            self.files[suffix] = descriptor
            start = os.pread(descriptor, HEADER_BYTES, 0)
            if not start or (suffix == JOURNAL and not is_journal(start)):
                os.close(self.files.pop(suffix))
        if JOURNAL in self.files:
            _refuse_super_journal(self.path, self.files[JOURNAL])

    def state(self) -> tuple[object, ...]:
        """Identity, size and time of each file that counts; different when anything was written or replaced."""
        found: list[object] = []
        for suffix in ("", WAL, *({JOURNAL} & self.files.keys())):
            try:
                facts = os.stat(beside(self.path, suffix))
            except FileNotFoundError:
                continue
            if suffix != WAL or facts.st_size:
                found.append((suffix, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns))
        return tuple(found)

    def opened_state(self) -> tuple[object, ...]:
        """The same of the descriptors that are read."""
        found: list[object] = []
        for suffix, descriptor in self.files.items():
            facts = os.fstat(descriptor)
            found.append((suffix, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns))
        return tuple(found)


def _copy_once(source: _Source, partial: Path, reporter: Reporter) -> _RawCopy:
    before = source.opened_state()
    total = sum(os.fstat(descriptor).st_size for descriptor in source.files.values())
    meter = _Meter("copying the source", total, reporter)
    copied = {suffix: _copy(fd, beside(partial, suffix), meter) for suffix, fd in source.files.items()}
    # Whoever writes without SQLite's locks, or where there are none, is only seen by reading again.
    meter = _Meter("comparing the copy with the source", total, reporter)
    with concurrent.futures.ThreadPoolExecutor(1, "sdetl-flush") as other:
        flushed = other.submit(_flush, [beside(partial, suffix) for suffix in source.files])
        read_again = {suffix: _digest(fd, meter) for suffix, fd in source.files.items()}
        flushed.result()
    if copied != read_again or source.state() != before or source.opened_state() != before:
        raise _MovedError
    return _RawCopy(copied, fingerprint_of(source.path, source.files[""], copied[""]))


class _Meter:
    """Counts bytes for the reporter and asks at every block whether to go on."""

    def __init__(self, what: str, total: int, reporter: Reporter) -> None:
        self._what, self._total, self._reporter = what, total, reporter
        self._done = 0

    def add(self, size: int) -> None:
        """One block is done.  Raises Cancelled."""
        self._done += size
        self._reporter.progress(self._what, self._done, self._total, "bytes")
        self._reporter.check()


def _blocks(descriptor: int, meter: _Meter) -> Iterator[bytes]:
    place = 0
    while True:
        try:
            block = os.pread(descriptor, BLOCK, place)
        except OSError as error:
            raise SourceError(
                f"the source cannot be read beyond byte {place}: {error.strerror}",
                kind="source-unreadable",
                next_step="check the disk that it lies on, and get the file again",
            ) from None
        if not block:
            return
        place += len(block)
        yield block
        meter.add(len(block))


def _copy(descriptor: int, target: Path, meter: _Meter) -> str:
    digest = hashlib.sha256()
    copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(copy, "wb", buffering=0) as file, concurrent.futures.ThreadPoolExecutor(1, "sdetl-hash") as other:
        for block in _blocks(descriptor, meter):
            hashed = other.submit(digest.update, block)
            view = memoryview(block)
            while view:
                view = view[file.write(view) :]
            hashed.result()
    return digest.hexdigest()


def _flush(paths: Sequence[Path]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _digest(descriptor: int, meter: _Meter) -> str:
    digest = hashlib.sha256()
    for block in _blocks(descriptor, meter):
        digest.update(block)
    return digest.hexdigest()


def _recover(partial: Path, raw: _RawCopy, reporter: Reporter) -> tuple[Recovered, Mapping[str, TableDigest] | None]:
    """Make the copied files one file that stands alone.  Not touched at all when it does so already.

    Returns the content as SQLite reads it before the merge, or None when there was nothing to do.
    """
    recovered = Recovered.JOURNAL if JOURNAL in raw.sha256 else Recovered.WAL if WAL in raw.sha256 else Recovered.NO
    if recovered is Recovered.NO and not read_header(bytes.fromhex(raw.fingerprint.header)).wal:
        return recovered, None
    try:
        with contextlib.closing(open_writable(partial)) as connection:
            content = database_digest(connection, read_schema(connection), reporter)
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.DatabaseError as error:
        raise _full(partial, 0) if result_code(error) == sqlite3.SQLITE_FULL else unreadable(error) from None
    left = [suffix for suffix in SIDECARS if os.path.lexists(beside(partial, suffix))]
    if busy or mode != "delete" or left:
        raise BackupError(
            "the copy of the source could not be recovered into one file",
            next_step="start again; when it happens again, let the program that owns the source checkpoint it",
        )
    return recovered, content


def _read_back(partial: Path, reporter: Reporter) -> tuple[int, str, str]:
    """Flush the finished file, then read it from disk: size, MD5 and SHA-256."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    descriptor = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        if hasattr(os, "posix_fadvise"):
            # Out of the page cache, so that it is the disk that answers.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        size = os.fstat(descriptor).st_size
        with concurrent.futures.ThreadPoolExecutor(1, "sdetl-md5") as other:
            for block in _blocks(descriptor, _Meter("reading the copy back", size, reporter)):
                updated = other.submit(md5.update, block)
                sha256.update(block)
                updated.result()
    finally:
        os.close(descriptor)
    return size, md5.hexdigest(), sha256.hexdigest()


def _refuse_super_journal(real: Path, journal: int) -> None:
    """A journal that ends in its magic names a super-journal: one transaction over several attached databases.

    SQLite would look for that file at its original place and may delete it there.
    """
    size = os.fstat(journal).st_size
    if is_journal(os.pread(journal, _JOURNAL_TAIL, max(size - _JOURNAL_TAIL, 0))):
        raise SourceError(
            f"a transaction over several databases was cut off in {shown(real)}",
            kind="source-malformed",
            next_step="open it once with the program that owns it, so that it is rolled back, and start again",
        )


def _locked(real: Path, who: locking.Writer, waited: float) -> SourceError:
    return SourceError(
        f"{shown(real)} is locked: {who} is writing it, still after {waited:g} s",
        kind="source-locked",
        next_step="let that program finish, or stop it, and start again; source.lock_timeout says how long to wait",
    )


@contextlib.contextmanager
def _writing(partial: Path, real: Path) -> Iterator[None]:
    """Turn what the system says about the copy into an error that names the file and the way out."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _full(partial, _size(real)) from None
        raise _unwritable(partial, error) from None


def _full(partial: Path, needed: int) -> EnvironmentFailed:
    free = shutil.disk_usage(partial.parent).free
    wanted = f"{needed} bytes are needed, " if needed else ""
    return ResourceError(
        f"the disk is full: {wanted}{free} bytes are free in {shown(partial.parent)}",
        next_step="free space there, or choose another --workspace",
    )


def _unwritable(partial: Path, error: OSError) -> EnvironmentFailed:
    return BackupError(
        f"the copy in {shown(partial.parent)} cannot be written: {error.strerror}",
        next_step="check the rights and the disk of that folder, or choose another --workspace",
    )


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _discard(partial: Path) -> None:
    """Remove our own unfinished files.  A link of that name is removed, never followed."""
    for suffix in ("", *SIDECARS):
        path = beside(partial, suffix)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
