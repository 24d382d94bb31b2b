"""SQLite's own file locks, taken with plain POSIX record locks on a read-only descriptor.

The bytes are those of SQLite's unix VFS (``os_unix.c`` and ``wal.c``, "lock-byte page" in
https://www.sqlite.org/fileformat2.html): whoever holds them for reading keeps every writer that uses SQLite from
changing the file, and nothing is written anywhere.

Record locks belong to the process and the file: closing *any* descriptor of that file in this process drops them.
So a source that is locked here must not be opened a second time until it is released.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import struct
import sys
from types import ModuleType

import psutil

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None

_PENDING = 0x40000000
_RESERVED = _PENDING + 1
_SHARED_FIRST = _PENDING + 2
_SHARED_SIZE = 510
_WAL_WRITE = 120
_WAL_WRITE_AND_CHECKPOINT = 2

_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_HELD = frozenset({errno.EAGAIN, errno.EACCES})


@dataclasses.dataclass(frozen=True, slots=True)
class Writer:
    """Who holds a write lock; None for what the system does not tell."""

    pid: int | None = None
    program: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "another program"
        return f"process {self.pid}" + (f" ({self.program})" if self.program else "")


class LocksUnsupportedError(Exception):
    """This file system or platform has no record locks."""


def try_shared(database: int, shared_memory: int | None) -> bool:
    """Take SQLite's SHARED lock, and for WAL mode the right to keep writers and checkpoints out.

    ``database`` and ``shared_memory`` (the ``-shm``, when there is one) are descriptors open for reading.
    False when a writer is in the way; nothing is then held.  Raises LocksUnsupportedError.
    """
    # PENDING first, and only for a moment, as SQLite does: a waiting writer is not starved.
    if not _read_lock(database, _PENDING, 1):
        return False
    held = _read_lock(database, _SHARED_FIRST, _SHARED_SIZE)
    _unlock(database, _PENDING, 1)
    if not held:
        return False
    quiet = _holder(database, _RESERVED, 1) is None
    if quiet and shared_memory is not None:
        quiet = _read_lock(shared_memory, _WAL_WRITE, _WAL_WRITE_AND_CHECKPOINT)
    if not quiet:
        release(database, shared_memory)
    return quiet


def release(database: int, shared_memory: int | None) -> None:
    """Give up what `try_shared` took."""
    if shared_memory is not None:
        _unlock(shared_memory, _WAL_WRITE, _WAL_WRITE_AND_CHECKPOINT)
    _unlock(database, _SHARED_FIRST, _SHARED_SIZE)


def writer(database: int, shared_memory: int | None) -> Writer | None:
    """Who is writing, or about to; None when nobody is or it cannot be known."""
    pid = _holder(database, _PENDING, 2 + _SHARED_SIZE)
    if pid is None and shared_memory is not None:
        pid = _holder(shared_memory, _WAL_WRITE, _WAL_WRITE_AND_CHECKPOINT)
    if pid is None:
        return None
    return Writer(pid, _program(pid)) if pid > 0 else Writer()


def _read_lock(descriptor: int, start: int, length: int) -> bool:
    if fcntl is None:
        raise LocksUnsupportedError
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, length, start, os.SEEK_SET)
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno in _UNSUPPORTED:
            raise LocksUnsupportedError from None
        raise
    return True


def _unlock(descriptor: int, start: int, length: int) -> None:
    if fcntl is not None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, length, start, os.SEEK_SET)


def _holder(descriptor: int, start: int, length: int) -> int | None:
    """The pid behind a write lock in that range: F_GETLK asks without taking anything.  0 when not known."""
    if fcntl is None or sys.maxsize <= 2**32 or sys.platform not in ("linux", "darwin"):
        return None
    mac = sys.platform == "darwin"
    layout = "qqihh" if mac else "hhqqi0q"
    asked = (start, length, 0, fcntl.F_RDLCK, os.SEEK_SET) if mac else (fcntl.F_RDLCK, os.SEEK_SET, start, length, 0)
    try:
        answer = struct.unpack(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *asked)))
    except OSError:
        return None
    kind, pid = (answer[3], answer[2]) if mac else (answer[0], answer[4])
    return None if kind == fcntl.F_UNLCK else max(pid, 0)


def _program(pid: int) -> str | None:
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return None
