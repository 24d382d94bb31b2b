"""New SQLite files that take their names only when they are finished.

A file is written as ``<name>.partial`` beside its final name.  What has the final name is complete; what a killed
process leaves behind ends in ``.partial`` and is swept by the next start.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from sdetl_engine.errors import EnvironmentFailed, ResourceError, UsageError
from sdetl_engine.files import sync_folder
from sdetl_engine.sqlite.guard import unreadable

SUFFIX = ".partial"
_SIDECARS = ("", "-journal", "-wal", "-shm")
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def new_files(*names: Path) -> Iterator[tuple[Path, ...]]:
    """Create an empty private file for each name; they take their names, in the order given, when the block ends well.

    Yields the paths to write to.  When the block raises, or one cannot take its name, none of them exists afterwards.
    Raises UsageError when a name is taken, by a link too, ResourceError when the disk is full.
    """
    partials = tuple(partial_name(name) for name in names)
    for name in names:
        refuse_taken(name)
    created: list[Path] = []
    with writing(names[0].parent):
        try:
            for partial in partials:
                _create(partial)
                created.append(partial)
            yield partials
            _publish(partials, names, created)
        except BaseException:
            for path in created:
                _discard(path)
            raise


def partial_name(name: Path) -> Path:
    """Where a file is written before it takes its name."""
    return name.with_name(name.name + SUFFIX)


def sweep_partials(folder: Path) -> tuple[Path, ...]:
    """Remove what killed processes left unfinished in the folder; returns what was removed.

    Call it only while holding whatever keeps others from writing there.
    """
    endings = tuple(SUFFIX + sidecar for sidecar in _SIDECARS)
    found = sorted(path for path in folder.iterdir() if path.name.endswith(endings))
    removed = tuple(path for path in found if not stat.S_ISDIR(path.lstat().st_mode))
    for path in removed:
        path.unlink()
    return removed


def refuse_taken(name: Path) -> None:
    """Raise UsageError when something has that name already, be it a link to nowhere."""
    if os.path.lexists(name):
        raise UsageError(
            f"{name} exists already; only new files are written", next_step="name a file that is not there"
        )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the system or SQLite says about writing in ``folder`` into an error that names a way out."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise _full(folder) from None
        raise _unwritable(folder, error.strerror or type(error).__name__) from None
    except sqlite3.DatabaseError as error:
        # Only what the library reports bears a code; misuse of the module is a defect and stays what it is.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise _full(folder) from None
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise _unwritable(folder, str(error)) from None
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            raise unreadable(error) from None
        raise


def _create(partial: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        os.close(os.open(partial, flags, 0o600))
    except FileExistsError:
        raise UsageError(
            f"{partial} is there already: a process that was killed left it, or one is still writing it",
            next_step="when nothing is writing it, remove it and start again",
        ) from None


def _publish(partials: Sequence[Path], names: Sequence[Path], created: list[Path]) -> None:
    for partial in partials:
        _sync(partial)
    for partial, name in zip(partials, names, strict=True):
        refuse_taken(name)
        os.rename(partial, name)
        created[created.index(partial)] = name
    for folder in {name.parent for name in names}:
        sync_folder(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    for sidecar in _SIDECARS:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path.with_name(path.name + sidecar))


def _full(folder: Path) -> EnvironmentFailed:
    free = shutil.disk_usage(folder).free
    return ResourceError(
        f"the disk is full: {free} bytes are free in {folder}",
        next_step="free space there, or choose another --workspace",
    )


def _unwritable(folder: Path, reason: str) -> EnvironmentFailed:
    return ResourceError(
        f"nothing can be written in {folder}: {reason}",
        next_step="check the rights and the disk of that folder, or choose another --workspace",
    )
