"""What stands beside the checklist, for callers: sessions, versions, handing results over."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import ResourceError, UsageError
from sdetl_engine.files import private_folder, sync_folder
from sdetl_engine.postgres import locks, registry
from sdetl_engine.postgres.place import place_of_live
from sdetl_engine.postgres.registry import Version
from sdetl_engine.postgres.search_paths import roles_led_to
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.postgres.waiting import old_sessions
from sdetl_engine.records import BackupResult, CleanedResult
from sdetl_engine.settings import Settings
from sdetl_engine.workspace import Workspace


def open_session(
    workspace: Workspace, target: str, settings: Settings, environ: Mapping[str, str] | None = None
) -> TargetSession:
    """The way to a target without a run.  A context manager.  Raises UsageError."""
    return TargetSession.parse(target, workspace.prepare(), settings, environ or os.environ)


def list_versions(session: TargetSession, serving_schema: str | None = None) -> list[Version]:
    """Every version that the target's registry knows, newest first."""
    with session.connect() as connection:
        return registry.all_versions(connection, serving_schema) if registry.exists(connection) else []


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """How readers reach the version that is live: in the schema of the serving name, or led by their ``search_path``."""

    serving_schema: str
    version: str
    schema: str | None
    """The schema that they read; None when it is gone."""
    roles: tuple[str, ...]
    """The roles that are led to it; none where it bears the serving name."""
    since: datetime | None
    by: str | None
    """Who made it live."""
    old_sessions: tuple[str, ...]
    """Their sessions that began before it went live and read the version before, each in a few words."""


def how_served(session: TargetSession) -> tuple[Served, ...]:
    """Every version that is live in the target, and how it is reached."""
    with session.connect() as connection:
        known = registry.all_versions(connection) if registry.exists(connection) else []
        return tuple(_served(connection, v) for v in known if v.status == registry.VersionStatus.LIVE)


def _served(connection: psycopg.Connection[Any], live: Version) -> Served:
    place = place_of_live(connection, live.serving_schema, live.version)
    roles = roles_led_to(connection, place) if place is not None and place != live.serving_schema else ()
    return Served(
        live.serving_schema,
        live.version,
        place,
        roles,
        live.live_since,
        registry.made_live_by(connection, live.version),
        old_sessions(connection, roles, live.live_since) if roles else (),
    )


def lock_holder(session: TargetSession, serving_schema: str) -> str | None:
    """Who works on the serving schema now (``user@host since ...``), or None."""
    with session.connect() as connection:
        return locks.holder(connection, serving_schema)


def hand_over(run: Deployment, stage: Stage, output: Path) -> tuple[Path, ...]:
    """Copy what a stage made to ``output``: the backup's files into a folder, or the cleaned file and its ledger.

    Written beside under another name and renamed when complete.  Raises UsageError, ResourceError.
    """
    if stage is Stage.BACKUP:
        backup = run.results.load(Stage.BACKUP, BackupResult)
        names = [Path(backup.path), Path(backup.path + ".md5"), Path(backup.manifest)]
        names += [Path(backup.dump.path)] if backup.dump else []
        pairs = [(source, output / source.name) for source in names]
        private_folder(output)
    elif stage is Stage.CLEAN:
        cleaned = run.results.load(Stage.CLEAN, CleanedResult)
        pairs = [(Path(cleaned.ledger), output.with_name(output.name + ".ledger")), (Path(cleaned.path), output)]
    else:
        raise UsageError(f"stage {stage} makes no file to hand over", next_step="leave --output out")
    for source, destination in pairs:
        _copy(source, destination)
    return tuple(destination for _, destination in pairs)


def _copy(source: Path, destination: Path) -> None:
    partial = destination.with_name(f".{destination.name}.partial")
    try:
        with source.open("rb") as reader, partial.open("xb") as writer:
            os.fchmod(writer.fileno(), 0o600)
            shutil.copyfileobj(reader, writer, 1024 * 1024)
            writer.flush()
            os.fsync(writer.fileno())
        os.link(partial, destination)
    except FileExistsError:
        raise UsageError(f"{destination} exists already", next_step="name a path that does not exist yet") from None
    except OSError as error:
        raise ResourceError(
            f"{destination} could not be written: {error.strerror}", next_step="check the disk and the folder"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(destination.parent)
