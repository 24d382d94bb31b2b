"""Prune: old backups and retired versions go, never the live one, never the newest good ones, never what is needed."""

from __future__ import annotations

import dataclasses

from sdetl_engine.backups import expired_backups, remove_backups
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.locks import run_lock
from sdetl_engine.postgres.registry import VersionStatus
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import Settings
from sdetl_engine.workspace import Workspace


@dataclasses.dataclass(frozen=True, slots=True)
class Prunable:
    """Runs whose backups go, and versions that go."""

    backups: tuple[str, ...]
    versions: tuple[str, ...]


def plan_prune(workspace: Workspace, session: TargetSession | None, settings: Settings, keep: int) -> Prunable:
    """What would be removed.  ``keep`` retired versions stay, the newest ones; so does the one to roll back to."""
    expired = expired_backups(workspace, settings.backup.retention_days)
    return Prunable(tuple(b.run_id for b in expired), _old_versions(session, settings, keep) if session else ())


def carry_out_prune(
    workspace: Workspace, session: TargetSession | None, settings: Settings, planned: Prunable
) -> Prunable:
    """Remove exactly what was planned and is still removable; returns what was removed."""
    still = [b for b in expired_backups(workspace, settings.backup.retention_days) if b.run_id in planned.backups]
    removed = remove_backups(workspace, still)
    dropped: list[str] = []
    if session is not None and planned.versions:
        with session.connect() as lock:
            lock.autocommit = True
            with run_lock(lock, settings.serving_schema), session.connect() as connection:
                for version in planned.versions:
                    registry.drop_version(connection, version)
                    connection.commit()
                    dropped.append(version)
    return Prunable(removed, tuple(dropped))


def _old_versions(session: TargetSession, settings: Settings, keep: int) -> tuple[str, ...]:
    with session.connect() as connection:
        if not registry.exists(connection):
            return ()
        versions = registry.all_versions(connection, settings.serving_schema)
    live = next((v for v in versions if v.status == VersionStatus.LIVE), None)
    retired = [
        v for v in versions if v.status == VersionStatus.RETIRED and (live is None or v.version != live.previous)
    ]
    # One place of those to keep is taken by the version that a rollback would bring back.
    spare = retired[max(0, keep - 1) :] if live is not None and live.previous else retired[keep:]
    return tuple(v.version for v in spare)
