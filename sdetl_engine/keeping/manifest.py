"""The manifest of a backup: which files belong to it, what they hashed to, and what they hold.

It is written last, so a folder without one holds no complete backup.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sdetl_engine.errors import BackupError, UsageError
from sdetl_engine.events import Reporter
from sdetl_engine.files import BLOCK
from sdetl_engine.postgres.content import TableContent
from sdetl_engine.sqlite.digest import TableDigest
from sdetl_engine.workspace import RUN_ID, Workspace

NAME = "manifest.json"


@dataclasses.dataclass(frozen=True, slots=True)
class BackupFile:
    """A file of a backup: its name in the backup's folder, bytes, and hashes in hexadecimal."""

    name: str
    bytes: int
    md5: str
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class DumpEntry:
    """The dump of a backup.  ``content`` is empty in manifests of versions of sdetl that did not note it.

    ``version`` was live then; None when sdetl had made none live.  ``schema`` is the one that was dumped: of the serving
    name, or the version's own.
    """

    file: BackupFile
    schema: str
    serving_schema: str
    version: str | None
    objects: int
    tables: int
    content: Mapping[str, TableContent]


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """One complete backup.  ``tables``: rows and logical digest of each table of the source."""

    folder: Path
    run_id: str
    created: datetime
    source: BackupFile
    tables: Mapping[str, TableDigest]
    dump: DumpEntry | None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that belong to it, beside the manifest."""
        return (self.source.name, self.source.name + ".md5", *((self.dump.file.name,) if self.dump else ()))


@dataclasses.dataclass(frozen=True, slots=True)
class FoundBackup:
    """What the operator named: the manifest, and which of its two halves (None: a whole run or folder)."""

    manifest: Manifest
    only: str | None
    """``dump`` or ``source`` when a file was named."""

    @property
    def named(self) -> str:
        """How to speak of it."""
        return f"the backup of run {self.manifest.run_id}"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup's folder.  Raises BackupError when there is none, or it cannot be read."""
    try:
        return _parsed(folder, json.loads((folder / NAME).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BackupError(
            f"{folder} holds no complete backup: there is no {NAME}, which is written last",
            next_step="use another backup",
            kind="backup-incomplete",
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupError(
            f"{folder / NAME} cannot be read", next_step="use another backup", kind="backup-damaged"
        ) from None


def find_backup(workspace: Workspace, named: str) -> FoundBackup:
    """From a run's id, a backup's folder, its ``.dump`` or its ``.db``.  Raises UsageError, BackupError."""
    if RUN_ID.fullmatch(named):
        return FoundBackup(read_manifest(workspace.run_folder(named).backup), None)
    path = Path(named).absolute()
    if path.is_dir():
        return FoundBackup(read_manifest(path), None)
    if not path.exists():
        raise UsageError(
            f"there is no backup {named}", next_step="name a run (see sdetl status), or a .dump or .db file of a backup"
        )
    manifest = read_manifest(path.parent)
    if path.name == manifest.source.name:
        return FoundBackup(manifest, "source")
    if manifest.dump is not None and path.name == manifest.dump.file.name:
        return FoundBackup(manifest, "dump")
    raise BackupError(
        f"{path.name} is not in the manifest beside it, so nothing says what it should hold",
        next_step="name a file that the manifest lists, or the run",
        kind="backup-foreign",
    )


def check_file(folder: Path, expected: BackupFile, reporter: Reporter) -> str | None:
    """Read the file back from disk: None when size, MD5 and SHA-256 are the manifest's, else a sentence."""
    path = folder / expected.name
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return f"{expected.name} is not a regular file"
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                md5.update(block)
                sha256.update(block)
                size += len(block)
                reporter.progress(f"reading {expected.name} back", size, expected.bytes, "bytes")
                reporter.check()
    except OSError as error:
        return f"{expected.name} cannot be read: {os.strerror(error.errno or 0)}"
    if size != expected.bytes:
        return f"{expected.name} has {size} bytes, the manifest says {expected.bytes}"
    if md5.hexdigest() != expected.md5:
        return f"{expected.name} has MD5 {md5.hexdigest()}, the manifest says {expected.md5}"
    if sha256.hexdigest() != expected.sha256:
        return f"{expected.name} has SHA-256 {sha256.hexdigest()}, the manifest says {expected.sha256}"
    return None


def _parsed(folder: Path, content: Mapping[str, Any]) -> Manifest:
    dump = content.get("dump")
    return Manifest(
        folder=folder,
        run_id=str(content["run"]),
        created=datetime.fromisoformat(content["created"]),
        source=_file(content["copy"]),
        tables={str(t): TableDigest(int(d["rows"]), str(d["sha256"])) for t, d in content["tables"].items()},
        dump=None
        if dump is None
        else DumpEntry(
            file=_file(dump),
            schema=str(dump["schema"]),
            serving_schema=str(dump.get("serving_schema", dump["schema"])),
            version=dump.get("version"),
            objects=int(dump["objects"]),
            tables=int(dump["tables"]),
            content={
                str(t): TableContent(int(c["rows"]), str(c["digest"])) for t, c in dump.get("content", {}).items()
            },
        ),
    )


def _file(entry: Mapping[str, Any]) -> BackupFile:
    name = str(entry["file"])
    if Path(name).name != name:
        raise ValueError(name)
    return BackupFile(name, int(entry["bytes"]), str(entry["md5"]), str(entry["sha256"]))
