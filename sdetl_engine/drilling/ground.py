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

from sdetl_engine.errors import EnvironmentFailed, TargetError
from sdetl_engine.files import working_folder
from sdetl_engine.postgres import build, registry
from sdetl_engine.postgres.rows import quarantine
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import GateSettings, Settings
from sdetl_engine.workspace import Workspace


class Ground:
    """``settings`` are those of the drill's runs, ``workspace`` is where they work; ``schema`` is what they serve."""

    def __init__(self, session: TargetSession, settings: Settings, folder: Path) -> None:
        self.session = session
        self.schema = settings.drill_schema
        self.folder = folder
        self.workspace = Workspace(folder / "workspace")
        self.settings = _rehearsing(settings, self.schema)

    def sweep(self) -> None:
        """Drop everything of a drill from the target.

        Raises TargetError when something foreign is in the way, or a version that no drill made: nothing is dropped then.
        """
        with self.session.connect() as connection:
            self._refuse_others(connection)
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

    def _refuse_others(self, connection: psycopg.Connection[Any]) -> None:
        """Every version bears sdetl's mark, whoever reads it: only what the registry says a drill made is a drill's.

        Somebody may serve a schema of this very name, or of a name that begins like it.
        """
        known = registry.all_versions(connection) if registry.exists(connection) else []
        drills = [v for v in known if v.serving_schema == self.schema and registry.is_of_a_drill(v)]
        others = [v for v in known if not registry.is_of_a_drill(v)]
        names = {self.schema, *(v.version for v in drills)} if drills else set()
        ours = {*names, *map(quarantine.schema_name, names)} - {v.serving_schema for v in others}
        served = next((v for v in others if v.serving_schema == self.schema), None)
        taken = [s for s in self._schemas(connection) if s not in ours and build.is_ours(connection, s)]
        if served is not None or taken:
            what = f"version {served.version}" if served is not None else f"schema {taken[0]}"
            raise TargetError(
                f"schema {self.schema} is no place for a drill: {what} is there, and no drill made it",
                left_behind="nothing: it was not touched",
                next_step=f"rehearse in a schema of another name: --set drill.schema={self.schema[:27]}_rehearsal",
                kind="name-taken",
            )

    def _schemas(self, connection: psycopg.Connection[Any]) -> list[str]:
        """Quarantines first, since they are named after their versions."""
        ours = re.compile(re.escape(self.schema) + r"(_v\d{8}_\d{6}(_quarantine)?|_canary(_quarantine)?)?")
        rows = connection.execute(
            "SELECT nspname::text FROM pg_namespace WHERE nspname ^@ %s", [self.schema]
        ).fetchall()
        names = [name for (name,) in rows if ours.fullmatch(name)]
        return sorted(names, key=lambda name: not name.endswith(quarantine.schema_name("")))


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
            "drill": settings.drill.model_copy(update={"schema_name": None}),
            "cutover": settings.cutover.model_copy(update={"strategy": "rename", "roles": ()}),
            "grafana": settings.grafana.model_copy(update={"url": None}),
        }
    )
