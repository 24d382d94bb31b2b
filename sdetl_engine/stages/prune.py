"""Prune: old backups, versions, cleaned copies and exports go; never what is live, newest and good, or needed by a run or a rollback.

What would go is planned first and looked at again, under the lock of the serving schema, right before it goes: only
what stands in the plan and may still go is removed.  Everything that stays has its reason told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sdetl_engine import leftovers
from sdetl_engine.errors import TargetError
from sdetl_engine.keeping.backups import complete_backups, judge_backups, remove_backups
from sdetl_engine.keeping.needed import runs_in_need
from sdetl_engine.leftovers import Leftover
from sdetl_engine.postgres import build, registry
from sdetl_engine.postgres.carry import dependents
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.locks import run_lock
from sdetl_engine.postgres.place import place_of_live
from sdetl_engine.postgres.registry import Version, VersionStatus
from sdetl_engine.postgres.rows import quarantine
from sdetl_engine.postgres.search_paths import roles_led_to
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import Settings
from sdetl_engine.workspace import Workspace

_LOCK_TIMEOUT = "5s"


@dataclasses.dataclass(frozen=True, slots=True)
class PruneItem:
    """A backup or a cleaned copy (``name`` is its run's id), a version, or an export of late writes (its folder's name);
    ``bytes`` it takes, and why it goes or stays."""

    kind: str
    """``backup``, ``version``, ``cleaned copy`` or ``late writes``."""
    name: str
    bytes: int
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Prunable:
    """What goes, and what stays and why."""

    going: tuple[PruneItem, ...]
    staying: tuple[PruneItem, ...]

    @property
    def backups(self) -> tuple[str, ...]:
        """Ids of the runs whose backups go."""
        return tuple(item.name for item in self.going if item.kind == "backup")

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions that go."""
        return tuple(item.name for item in self.going if item.kind == "version")

    @property
    def bytes(self) -> int:
        """What is won."""
        return sum(item.bytes for item in self.going)


def plan_prune(
    workspace: Workspace, session: TargetSession | None, settings: Settings, keep: int | None = None
) -> Prunable:
    """What would be removed.  ``keep``: retired versions that stay, else ``prune.keep_versions``.

    Without a session only what is in the workspace is looked at.  Raises TargetError, LockHeld.
    """
    going: list[PruneItem] = []
    staying: list[PruneItem] = []
    versions: list[Version] = []
    everywhere: list[Version] = []
    if session is not None:
        with session.connect() as connection:
            everywhere = registry.all_versions(connection) if registry.exists(connection) else []
            versions = [version for version in everywhere if version.serving_schema == settings.serving_schema]
            for version, status_why, stays in _judged(connection, workspace, versions, settings, keep):
                item = PruneItem("version", version.version, _size(connection, version), stays or status_why)
                (staying if stays else going).append(item)
    for judged in judge_backups(
        workspace,
        settings.backup.retention_days,
        keep_runs=_runs_of_rollback(versions),
        keep_newest=settings.prune.keep_backups,
    ):
        why = judged.stays or f"it is of {judged.backup.created:%Y-%m-%d}"
        item = PruneItem("backup", judged.backup.run_id, judged.backup.bytes, why)
        (staying if judged.stays else going).append(item)
    gone = {item.name for item in going if item.kind == "version"}
    left = [version for version in everywhere if version.version not in gone]
    for leftover in _leftovers(workspace, session, settings, left):
        why = leftover.stays or f"it is of {leftover.made:%Y-%m-%d}"
        item = PruneItem(leftover.kind, leftover.name, leftover.bytes, why)
        (staying if leftover.stays else going).append(item)
    return Prunable(tuple(going), tuple(staying))


def carry_out_prune(
    workspace: Workspace,
    session: TargetSession | None,
    settings: Settings,
    planned: Prunable,
    keep: int | None = None,
) -> Prunable:
    """Remove what was planned and may still go; what was planned and may no longer is among ``staying``.

    Raises LockHeld while a run works on the target, TargetError when PostgreSQL refuses: what went before is gone.
    """
    if session is None:
        return _remove(workspace, None, settings, planned, plan_prune(workspace, None, settings, keep))
    with session.connect() as lock:
        lock.autocommit = True
        with run_lock(lock, settings.serving_schema):
            return _remove(workspace, session, settings, planned, plan_prune(workspace, session, settings, keep))


def _remove(
    workspace: Workspace, session: TargetSession | None, settings: Settings, planned: Prunable, now: Prunable
) -> Prunable:
    wanted = {(item.kind, item.name) for item in planned.going}
    going = [item for item in now.going if (item.kind, item.name) in wanted]
    staying = [item for item in now.staying if (item.kind, item.name) in wanted]
    if session is not None:
        for item in going:
            if item.kind == "version":
                _drop(session, item.name)
    gone = {item.name for item in going if item.kind == "backup"}
    remove_backups(workspace, [backup for backup in complete_backups(workspace) if backup.run_id in gone])
    listed = {(item.kind, item.name) for item in going}
    leftovers.remove(one for one in _leftovers(workspace, session, settings, []) if (one.kind, one.name) in listed)
    return Prunable(tuple(going), tuple(staying))


def _leftovers(
    workspace: Workspace, session: TargetSession | None, settings: Settings, versions: list[Version]
) -> list[Leftover]:
    """Cleaned copies and exports.  ``versions``: those that stay in the target, of whatever serving schema."""
    target = session.spoken if session is not None else None
    copies = leftovers.cleaned_copies(workspace, settings.backup.retention_days, target=target, versions=versions)
    return [*copies, *leftovers.exports(workspace, settings.prune.late_writes_days)]


def _judged(
    connection: psycopg.Connection[Any],
    workspace: Workspace,
    versions: list[Version],
    settings: Settings,
    keep: int | None,
) -> list[tuple[Version, str, str | None]]:
    """Each version with what it is, and why it stays (None: it goes); newest first."""
    live = next((v for v in versions if v.status == VersionStatus.LIVE), None)
    count = keep if keep is not None else settings.prune.keep_versions
    # One place of those that stay is taken by the version that a rollback brings back, however old it is.
    newest = [v.version for v in versions if v.status == VersionStatus.RETIRED and not _is_way_back(v, live)]
    stay = set(newest[: count - 1 if live is not None and live.previous else count])
    limit = datetime.now(UTC) - timedelta(days=settings.prune.version_days)
    needed = runs_in_need(workspace)
    judged = []
    for version in versions:
        stays = _why_needed(version, live, needed, workspace)
        if stays is None and version.status == VersionStatus.RETIRED:
            if version.version in stay:
                stays = f"it is one of the {count} retired ones that stay"
            elif version.created_at > limit:
                stays = f"it was loaded less than {settings.prune.version_days} days ago"
        judged.append((version, f"it is {version.status}", stays or _why_foreign(connection, version)))
    return judged


def _is_way_back(version: Version, live: Version | None) -> bool:
    return live is not None and version.version == live.previous


def _why_needed(version: Version, live: Version | None, needed: Mapping[str, str], workspace: Workspace) -> str | None:
    if version.status == VersionStatus.LIVE:
        return "it is live"
    if _is_way_back(version, live):
        return "a rollback brings it back"
    if version.status == VersionStatus.RETIRED and live is None:
        return "no version is live: it may be the one to go back to"
    if version.run_id is not None and version.run_id in needed:
        return f"run {version.run_id} needs it: {needed[version.run_id]}"
    if version.status == VersionStatus.CANDIDATE and version.run_id not in workspace.run_ids():
        return f"run {version.run_id or '?'}, which is not in this workspace, may make it live"
    return None


def _why_foreign(connection: psycopg.Connection[Any], version: Version) -> str | None:
    """Nothing that sdetl did not make goes, and nothing that somebody else has bound to a version goes with it."""
    if not build.schema_exists(connection, version.version):
        return None
    # What was cut off while it was loading may not bear the mark yet; its name was free when it was registered.
    if version.status != VersionStatus.LOADING and not build.is_ours(connection, version.version):
        return "sdetl did not make it"
    led = roles_led_to(connection, version.version)
    if led:
        return f"the search_path of role {led[0]} leads to it"
    bound = dependents(connection, version.version)
    return f"{bound[0].kind} {bound[0].name} depends on it" if bound else None


def _size(connection: psycopg.Connection[Any], version: Version) -> int:
    schema: str | None = version.version
    if version.status == VersionStatus.LIVE:
        schema = place_of_live(connection, version.serving_schema, version.version)
    row = connection.execute(
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind IN ('r', 'm')",
        [schema],
    ).fetchone()
    return int(row[0]) if row else 0


def _drop(session: TargetSession, version: str) -> None:
    try:
        with session.connect() as connection:
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
            known = registry.get_version(connection, version)
            if known is not None and known.status == VersionStatus.LOADING and build.schema_exists(connection, version):
                build.mark_schema(connection, version, run_id=known.run_id or "")
            for schema in (quarantine.schema_name(version), version):
                build.drop_schema_if_ours(connection, schema)
            registry.drop_version(connection, version)
            connection.commit()
    except TargetError as error:
        if error.kind != "busy":
            raise
        raise TargetError(
            f"version {version} was not dropped: a session still reads it",
            next_step="wait until it has ended, then prune again",
            kind="busy",
        ) from None
    except psycopg.Error as error:
        raise statement_error(error, f"dropping version {version}") from None


def _runs_of_rollback(versions: list[Version]) -> dict[str, str]:
    """Runs whose backups the live version and the way back were made from."""
    live = next((v for v in versions if v.status == VersionStatus.LIVE), None)
    if live is None:
        return {}
    reasons = {v.run_id: "it is of the version that a rollback brings back" for v in versions if _is_way_back(v, live)}
    reasons[live.run_id] = "it is of the version that is live"
    return {run_id: why for run_id, why in reasons.items() if run_id is not None}
