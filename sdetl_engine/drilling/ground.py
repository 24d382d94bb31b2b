"""Where a drill takes place: a serving schema and a workspace of its own, found empty and left empty.

Only what bears sdetl's mark is ever dropped.  What a killed drill left is swept when the next one begins.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.errors import EnvironmentFailed
from sdetl_engine.postgres import build, quarantine, registry, scratch
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import GateSettings, Settings
from sdetl_engine.workspace import Workspace

_SUFFIX = "_drill"
_LONGEST_SERVING = 35 - len(_SUFFIX)
_FOLDER = "drill-"
_LOCK = "drill.lock"


class Ground:
    """``settings`` are those of the drill's runs, ``workspace`` is where they work; ``schema`` is what they serve."""

    def __init__(self, session: TargetSession, settings: Settings, folder: Path) -> None:
        self.session = session
        self.schema = drill_schema(settings.serving_schema)
        self.folder = folder
        self.workspace = Workspace(folder / "workspace")
        self.settings = _rehearsing(settings, self.schema)

    def sweep(self) -> None:
        """Drop everything of a drill from the target.  Raises TargetError when something foreign is in the way."""
        with self.session.connect() as connection:
            if registry.exists(connection):
                registry.forget(connection, self.schema)
            for schema in self._schemas(connection):
                build.drop_schema_if_ours(connection, schema)
            connection.commit()

    def left(self) -> tuple[str, ...]:
        """What of a drill stands in the target now."""
        with self.session.connect() as connection:
            left = [f"schema {name}" for name in self._schemas(connection)]
            if registry.exists(connection):
                left += [f"registry entry {v.version}" for v in registry.all_versions(connection, self.schema)]
        return tuple(left)

    def _schemas(self, connection: psycopg.Connection[Any]) -> list[str]:
        """Quarantines first, since they are named after their versions."""
        ours = re.compile(re.escape(self.schema) + r"(_v\d{8}_\d{6}(_quarantine)?|_canary(_quarantine)?)?")
        rows = connection.execute(
            "SELECT nspname::text FROM pg_namespace WHERE nspname ^@ %s", [self.schema]
        ).fetchall()
        names = [name for (name,) in rows if ours.fullmatch(name)]
        return sorted(names, key=lambda name: not name.endswith(quarantine.schema_name("")))


def drill_schema(serving_schema: str) -> str:
    """The serving schema of a drill: never the one that dashboards read."""
    return serving_schema.encode()[:_LONGEST_SERVING].decode(errors="ignore") + _SUFFIX


@contextlib.contextmanager
def drill_folder(workspace: Workspace) -> Iterator[Path]:
    """A folder of its own for one drill, gone afterwards; those of drills that died are removed first."""
    workspace.prepare()
    for old in workspace.root.glob(f"{_FOLDER}*"):
        _remove_if_dead(old)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=workspace.root))
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EnvironmentFailed(
            f"no folder for the drill can be made in {workspace.root}: {error.strerror}",
            next_step="name another folder with --workspace",
            kind="workspace",
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def scratch_left(session: TargetSession) -> tuple[str, ...]:
    """Scratch databases on the session's server."""
    with session.connect() as connection:
        return scratch.left_over(connection)


def _remove_if_dead(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        return
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _rehearsing(settings: Settings, schema: str) -> Settings:
    """The settings of the drill's runs.

    A drill rehearses the switch and the way back, not the data: the gates of quality are open, and dashboards, whose
    queries name the schema that is really served, stay out.
    """
    return settings.model_copy(
        update={
            "serving_schema": schema,
            "gates": GateSettings(max_mismatched_columns=1.0, max_corrupt_dates=1.0, halt_score=0.0, min_score=0.0),
            "canary": settings.canary.model_copy(update={"schema_name": f"{schema}_canary"}),
            "dashboards": settings.dashboards.model_copy(update={"directory": None}),
        }
    )
