"""Looking at a source without opening it with SQLite: what it is, whether it is quiet, whether it has changed.

Every function here opens the source for reading, reads its header and closes it again.  Closing a descriptor drops
the record locks that this process holds on the file (see ``sqlite.locking``), so none of them may run while
``sqlite.freeze`` copies the same source.
"""

from __future__ import annotations

import dataclasses
import enum
import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from sdetl_engine.errors import SourceError
from sdetl_engine.sqlite import locking
from sdetl_engine.sqlite.header import (
    HEADER_BYTES,
    MAGIC,
    PROBE_BYTES,
    Header,
    is_journal,
    looks_encrypted,
    other_kind,
    read_header,
)
from sdetl_engine.values.encodings import visible

WAL = "-wal"
SHARED_MEMORY = "-shm"
JOURNAL = "-journal"
SIDECARS = (WAL, SHARED_MEMORY, JOURNAL)


class JournalMode(enum.StrEnum):
    """How the database keeps its transactions."""

    ROLLBACK = "rollback"
    WAL = "wal"


@dataclasses.dataclass(frozen=True, slots=True)
class Fingerprint:
    """Enough to notice that a source is not the one it was.  ``sha256`` only when the whole file was read."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str | None
    sidecars: tuple[tuple[str, int, int], ...]
    """Suffix, size and mtime_ns of each ``-wal``, ``-shm``, ``-journal`` that exists."""
    header: str
    """The first 100 bytes, hexadecimal; they hold SQLite's change counter."""


@dataclasses.dataclass(frozen=True, slots=True)
class SourceState:
    """A source as it stands: ``path`` with symbolic links resolved, sizes in bytes."""

    path: Path
    bytes: int
    header: Header
    journal_mode: JournalMode
    sidecars: Mapping[str, int]
    """Size of each file beside it, by suffix."""
    hot_journal: bool
    """A transaction was cut off; SQLite would roll it back at the next opening."""
    writer: locking.Writer | None
    """Who holds a write lock at this moment, when somebody does."""

    @property
    def pending_wal(self) -> int:
        """Bytes of the ``-wal`` whose transactions may not be in the file yet."""
        return self.sidecars.get(WAL, 0)

    @property
    def needs_recovery(self) -> bool:
        """True when the file alone, without what lies beside it, is not the whole database."""
        return self.hot_journal or self.pending_wal > 0


def inspect(path: Path) -> SourceState:
    """Look at a source before anything is done with it.  Returns at once, whatever the path names.

    Raises SourceError when it is missing, not a readable regular file, empty, not SQLite, encrypted, truncated or
    of a newer format; ``kind`` tells these apart.  A writer at work is reported, not refused.
    """
    real = resolve(path)
    descriptor = open_source(real)
    try:
        size = os.fstat(descriptor).st_size
        header = _checked_header(real, os.pread(descriptor, PROBE_BYTES, 0), size)
        writer = _writer(real, descriptor)
    finally:
        os.close(descriptor)
    sidecars = {suffix: length for suffix, length, _ in sidecars_of(real)}
    # Before a writer changes the file it has a lock: a journal under a lock is not hot.
    hot = writer is None and is_journal(_first_bytes(beside(real, JOURNAL)))
    state = SourceState(
        path=real,
        bytes=size,
        header=header,
        journal_mode=JournalMode.WAL if header.wal or sidecars.get(WAL) else JournalMode.ROLLBACK,
        sidecars=sidecars,
        hot_journal=hot,
        writer=writer,
    )
    _refuse_truncated(state)
    return state


def fingerprint(path: Path) -> Fingerprint:
    """The cheap fingerprint: metadata and header, without reading the file.  Raises SourceError."""
    real = resolve(path)
    descriptor = open_source(real)
    try:
        return fingerprint_of(real, descriptor)
    finally:
        os.close(descriptor)


def fingerprint_of(real: Path, descriptor: int, sha256: str | None = None) -> Fingerprint:
    """The same through a descriptor that is open already."""
    facts = os.fstat(descriptor)
    header = os.pread(descriptor, HEADER_BYTES, 0).hex()
    return Fingerprint(facts.st_size, facts.st_mtime_ns, facts.st_ino, sha256, sidecars_of(real), header)


def changed(before: Fingerprint, after: Fingerprint) -> str | None:
    """What is different, as a sentence; None when nothing that bears on the content is.

    The ``-shm`` does not count: readers write it.  Equal SHA-256 outweigh a new inode or time.
    """
    beside_before, beside_after = _content_sidecars(before), _content_sidecars(after)
    for suffix in sorted({*beside_before, *beside_after}):
        if suffix not in beside_before:
            return f"a {suffix} file has appeared beside it"
        if suffix not in beside_after:
            return f"the {suffix} file beside it is gone"
        if beside_before[suffix] != beside_after[suffix]:
            return f"the {suffix} file beside it was written"
    if before.sha256 is not None and after.sha256 is not None:
        return None if before.sha256 == after.sha256 else "its content is different"
    if before.size != after.size:
        return f"its size went from {before.size} to {after.size} bytes"
    if before.inode != after.inode:
        return "it was replaced by another file"
    if before.header != after.header:
        return "its header, which counts changes, is different"
    return "it was written (its modification time is different)" if before.mtime_ns != after.mtime_ns else None


def resolve(path: Path) -> Path:
    """Follow symbolic links, as SQLite does: sidecars lie beside the real file.  Raises SourceError."""
    try:
        return path.resolve(strict=True)
    except OSError as error:
        raise _cannot_be_found(path, error) from None
    except RuntimeError:  # Path.resolve says a loop of links this way
        raise _cannot_be_found(path, OSError(errno.ELOOP, "")) from None
    except ValueError:
        raise SourceError(
            f"{shown(path)} is no possible path", kind="source-missing", next_step="check the path"
        ) from None


def open_source(real: Path) -> int:
    """A read-only descriptor of a regular file.  Never blocks: a FIFO or device is refused.  Raises SourceError."""
    try:
        _refuse_irregular(real, os.stat(real))
        # O_NONBLOCK: should a FIFO take the file's place in between, opening it must not hang.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_be_found(real, error) from None
    try:
        _refuse_irregular(real, os.fstat(descriptor))
    except SourceError:
        os.close(descriptor)
        raise
    return descriptor


def beside(path: Path, suffix: str) -> Path:
    """The path of a sidecar."""
    return path.with_name(path.name + suffix)


def sidecars_of(real: Path) -> tuple[tuple[str, int, int], ...]:
    """Suffix, size and mtime_ns of each file beside the database that exists."""
    found = []
    for suffix in SIDECARS:
        try:
            facts = os.stat(beside(real, suffix))
        except OSError:
            continue
        found.append((suffix, facts.st_size, facts.st_mtime_ns))
    return tuple(found)


def shown(path: Path) -> str:
    """A path as a message may carry it: one line, no control characters, no broken Unicode."""
    return visible(str(path), limit=1000)


def _content_sidecars(print_: Fingerprint) -> dict[str, tuple[int, int]]:
    return {suffix: (size, mtime) for suffix, size, mtime in print_.sidecars if suffix != SHARED_MEMORY and size}


def _writer(real: Path, descriptor: int) -> locking.Writer | None:
    memory = open_if_there(beside(real, SHARED_MEMORY))
    try:
        return locking.writer(descriptor, memory)
    finally:
        if memory is not None:
            os.close(memory)


def open_if_there(path: Path) -> int | None:
    """A read-only descriptor of a sidecar; None when it is not a regular file that can be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def _first_bytes(path: Path) -> bytes:
    descriptor = open_if_there(path)
    if descriptor is None:
        return b""
    try:
        return os.pread(descriptor, HEADER_BYTES, 0)
    finally:
        os.close(descriptor)


def _checked_header(real: Path, block: bytes, size: int) -> Header:
    if size == 0:
        raise SourceError(
            f"{shown(real)} is empty (0 bytes)",
            kind="source-empty",
            next_step="get the file again from where it comes; the copy was probably cut off",
        )
    if not block.startswith(MAGIC):
        raise _not_sqlite(real, block, size)
    try:
        header = read_header(block)
    except ValueError as error:
        raise SourceError(
            f"{shown(real)} begins like an SQLite database, but {error}",
            kind="source-malformed",
            next_step="get the file again from where it comes, or recover it with `sqlite3 FILE .recover`",
        ) from None
    if header.needs_newer_sqlite:
        raise SourceError(
            f"{shown(real)} was written by SQLite {header.writer_version} in a format newer than this program reads",
            kind="source-newer",
            next_step="let the program that owns it export it with `VACUUM INTO`, or update Python's SQLite",
        )
    return header


def _not_sqlite(real: Path, block: bytes, size: int) -> SourceError:
    if looks_encrypted(block, size):
        return SourceError(
            f"{shown(real)} looks encrypted (SQLCipher or SEE): no SQLite header, and nothing but random bytes",
            kind="source-encrypted",
            next_step="ask its vendor for the key or for an unencrypted export, decrypt it, and use that file",
        )
    kind = other_kind(block)
    unpack = "unpack it first" if "archive" in kind else "check the path; the source must be an SQLite 3 file"
    return SourceError(
        f"{shown(real)} is not an SQLite database: it is {kind}", kind="source-not-sqlite", next_step=unpack
    )


def _refuse_truncated(state: SourceState) -> None:
    pages = state.header.page_count
    # With a -wal or a hot journal the file may rightly be shorter than its header says.
    if pages is None or state.needs_recovery or state.writer or state.bytes >= pages * state.header.page_size:
        return
    raise SourceError(
        f"{shown(state.path)} is cut off: {state.bytes} bytes, its header promises {pages * state.header.page_size}",
        kind="source-truncated",
        next_step="get the file again from where it comes and compare its size",
    )


def _refuse_irregular(real: Path, facts: os.stat_result) -> None:
    for test, kind in _KINDS:
        if test(facts.st_mode):
            raise SourceError(
                f"{shown(real)} is {kind}, not a regular file",
                kind="source-not-regular",
                next_step="name the SQLite database file itself",
            )


_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


def _cannot_be_found(path: Path, error: OSError) -> SourceError:
    code = error.errno
    if code == errno.ENXIO:
        _refuse_irregular(path, os.stat(path))
    if code in (errno.EACCES, errno.EPERM):
        return SourceError(
            f"{shown(path)} cannot be read: permission denied",
            kind="source-unreadable",
            next_step="grant this user read access to the file and to the folders above it",
        )
    if code == errno.ELOOP:
        reason = "leads round in a circle of symbolic links"
    elif os.path.islink(path):
        reason = "is a symbolic link to something that does not exist"
    elif code in (errno.ENOENT, errno.ENOTDIR):
        reason = "does not exist"
    else:
        reason = f"cannot be opened: {error.strerror}"
    return SourceError(f"{shown(path)} {reason}", kind="source-missing", next_step="check the path")
