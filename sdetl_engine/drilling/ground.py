"""Where a drill takes place: a serving schema and a workspace of its own, found empty and left empty.

Only what bears sdetl's mark is ever dropped.  What a killed drill left is swept when the next one begins.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.errors import EnvironmentFailed
from sdetl_engine.files import working_folder
from sdetl_engine.postgres import build, quarantine, registry
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import GateSettings, Settings
from sdetl_engine.workspace import Workspace

_SUFFIX = "_drill"
_LONGEST_SERVING = 35 - len(_SUFFIX)


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
    """A folder of its own for one drill.  Raises EnvironmentFailed when the workspace cannot be written."""
    workspace.prepare()
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(working_folder(workspace.root, "drill-"))
        except OSError as error:
            raise EnvironmentFailed(
                f"no folder for the drill can be made in {workspace.root}: {error.strerror}",
                next_step="name another folder with --workspace",
                kind="workspace",
            ) from None
        yield folder


def _rehearsing(settings: Settings, schema: str) -> Settings:
    """The settings of the drill's runs.

    A drill rehearses the switch and the way back, not the data: the gates of quality are open, and dashboards, whose
    queries name the schema that is really served, stay out.  Versions are renamed: no role's settings are touched.
    """
    return settings.model_copy(
        update={
            "serving_schema": schema,
            "gates": GateSettings(max_mismatched_columns=1.0, max_corrupt_dates=1.0, halt_score=0.0, min_score=0.0),
            "canary": settings.canary.model_copy(update={"schema_name": f"{schema}_canary"}),
            "dashboards": settings.dashboards.model_copy(update={"directory": None}),
            "cutover": settings.cutover.model_copy(update={"strategy": "rename", "roles": ()}),
            "grafana": settings.grafana.model_copy(update={"url": None}),
        }
    )
