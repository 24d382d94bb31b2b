"""Restore: a dump comes back beside what is live, is proved against its manifest, and is switched in on agreement.

Never on top of what is there: the dump becomes a version of its own, registered like any other, and goes live by the
same switch as a cutover.  What was live stays as a retired version, to go back to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from sdetl_engine.checks import Check, Verdict
from sdetl_engine.errors import BackupError, SdetlError, TargetError, UsageError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.keeping.manifest import DumpEntry, FoundBackup, Manifest, check_file
from sdetl_engine.postgres import build, registry
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.content import TableContent, differences, schema_content
from sdetl_engine.postgres.locks import operator, run_lock
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.rebuild import content_in_scratch, loading_xid, move_to_target, restored_in_scratch
from sdetl_engine.postgres.scratch import open_scratch, scratch_session
from sdetl_engine.postgres.serving import count_rows
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.postgres.switch import SwitchOrder, switch
from sdetl_engine.restored import RestoredVersion, RestoreResult
from sdetl_engine.settings import Settings
from sdetl_engine.switching.going_back import switch_by_hand
from sdetl_engine.switching.led_readers import roles_to_lead
from sdetl_engine.wording import counted
from sdetl_engine.workspace import Workspace

_LONGEST_NAME = 63 - len("_quarantine")


def restore_beside(
    workspace: Workspace,
    session: TargetSession,
    settings: Settings,
    reporter: Reporter,
    backup: FoundBackup,
    *,
    name: str | None = None,
) -> RestoredVersion:
    """Restore the backup's dump as a candidate beside what is live, and prove it.  Nothing is switched.

    ``name``: of the version; by default the serving schema's with the time.  Raises UsageError, BackupError,
    ValidationFailed, TargetError, LockHeld, Cancelled; nothing of it is left in the target then.
    """
    began = time.monotonic()
    workspace.prepare()
    manifest, serving = backup.manifest, settings.serving_schema
    dump = _dump_of(manifest, serving)
    checks = [_file_check(manifest, dump, reporter)]
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(session.connect())
        lock.autocommit = True
        stack.enter_context(run_lock(lock, serving))
        version, live = _register(session, serving, name, manifest, dump)
        stack.enter_context(_swept_on_failure(session, version))
        scratch = scratch_session(session, workspace, settings)
        if scratch is not session:
            stack.enter_context(scratch)
        conninfo = stack.enter_context(restored_in_scratch(scratch, manifest.folder / dump.file.name, reporter))
        restored = content_in_scratch(conninfo, dump.schema, reporter)
        checks.append(_content_check(dump, restored))
        built = _counts(conninfo, dump.schema)
        move_to_target(conninfo, dump.schema, session, version, workspace.root, reporter)
        with session.connect() as connection, reporter.interrupting(connection.cancel_safe):
            checks += _prove_moved(connection, version, restored, built, reporter)
            build.mark_schema(connection, version, run_id=manifest.run_id)
            rows = {table: content.rows for table, content in restored.items()}
            registry.finish_loading(connection, version, table_rows=rows, load_xid=loading_xid(connection, version))
            reporter.check()
            connection.commit()
    reporter.event("BackupRestored", f"{counted(sum(rows.values()), 'row')} in {version}, proved", version=version)
    return RestoredVersion(version, serving, manifest.run_id, live, rows, tuple(checks), time.monotonic() - began)


def make_restored_live(
    session: TargetSession, settings: Settings, reporter: Reporter, restored: RestoredVersion
) -> RestoreResult:
    """Switch a restored version in, and read it back through the serving name.

    A serving schema that is gone altogether is no hindrance: the version that was live in it is then noted as failed.
    Raises TargetError, LockHeld, ValidationFailed; WaitsForHand with ``cutover.strategy=manual``, until somebody has run
    the SQL; called again, it verifies.
    """
    serving = restored.serving_schema
    by_hand = settings.cutover.strategy == "manual"
    with session.connect() as lock:
        lock.autocommit = True
        with run_lock(lock, serving):
            expected = _still_live(session, restored, or_restored=by_hand)
            with session.connect() as connection:
                roles = roles_to_lead(connection, settings)
                place_exists = place_of(connection, serving) is not None
            order = SwitchOrder(
                serving_schema=serving,
                to_version=restored.version,
                expected_live=expected,
                adopt_as=_free_name(session, serving),
                action="restore",
                who=operator(),
                run_id=restored.run_id,
                roles=roles,
            )
            if by_hand:
                before = expected or (order.adopt_as if place_exists else None)
                done = switch_by_hand(session, settings, reporter, order, before)[1]
            else:
                done = switch(session.connect, order, settings.cutover, reporter, before_commit=lambda xid: None)
    with session.connect() as connection:
        registry.note_seconds(connection, restored.version, done.seconds)
        connection.commit()
        place = place_of(connection, serving) or serving
        wrong = [t for t, n in restored.rows.items() if count_rows(connection, place, t) != n]
    if wrong:
        raise ValidationFailed(
            f"after the switch, table {wrong[0]} does not hold the rows that were restored",
            left_behind=f"{restored.version} is live in {serving}",
            next_step="sdetl rollback brings the version before it back",
        )
    return RestoreResult(
        live_version=restored.version,
        previous_version=done.previous_version,
        run_id=restored.run_id,
        rows=restored.rows,
        checks=restored.checks,
        restore_seconds=restored.seconds,
        switch_seconds=done.seconds,
        lock_seconds=done.lock_seconds,
        not_there=done.carried.not_there,
    )


def drop_restored(session: TargetSession, restored: RestoredVersion) -> None:
    """Take a restored version that nobody agreed to out of the target again."""
    _sweep(session, restored.version)


def _dump_of(manifest: Manifest, serving: str) -> DumpEntry:
    if manifest.dump is None:
        raise BackupError(
            f"the backup of run {manifest.run_id} has no dump: there was nothing to dump",
            next_step="restore its source: name the .db file of the backup",
            kind="backup-empty",
        )
    if manifest.dump.serving_schema != serving:
        raise UsageError(
            f"the dump is one of schema {manifest.dump.serving_schema}, not of {serving}",
            next_step=f"give --set serving_schema={manifest.dump.serving_schema}",
        )
    return manifest.dump


def _file_check(manifest: Manifest, dump: DumpEntry, reporter: Reporter) -> Check:
    """Before anything else: is the file the one that the manifest speaks of?"""
    wrong = check_file(manifest.folder, dump.file, reporter)
    if wrong is not None:
        raise BackupError(
            f"the backup of run {manifest.run_id} is damaged: {wrong}",
            next_step="restore an older backup; sdetl status lists the runs",
            kind="backup-damaged",
        )
    return Check("dump read back", Verdict.PASSED, f"{dump.file.bytes} bytes, MD5 {dump.file.md5}", "the manifest's")


def _register(
    session: TargetSession, serving: str, name: str | None, manifest: Manifest, dump: DumpEntry
) -> tuple[str, str | None]:
    """Enter the version as loading, so that whoever comes after a crash knows whose it is."""
    if name is not None and (len(name.encode()) > _LONGEST_NAME or name == serving or name.startswith("pg_")):
        raise UsageError(
            f"no version can be called {name}", next_step=f"use at most {_LONGEST_NAME} bytes, or leave --as out"
        )
    with session.connect() as connection:
        registry.ensure(connection)
        version = name or registry.free_name(connection, serving)
        if registry.get_version(connection, version) is not None or build.schema_exists(connection, version):
            raise UsageError(f"there is already a {version} in the target", next_step="name another with --as")
        live = registry.live_version(connection, serving)
        dumped = registry.get_version(connection, dump.version) if dump.version is not None else None
        registry.add_version(
            connection,
            version,
            serving_schema=serving,
            status=registry.VersionStatus.LOADING,
            created_by=operator(),
            run_id=manifest.run_id,
            source_name=dumped.source_name if dumped else None,
            source_md5=dumped.source_md5 if dumped else None,
            score=dumped.score if dumped else None,
            loaded_now=False,
            note=f"{dump.version or 'what was live'}, restored from the dump that run {manifest.run_id} took",
            of_a_drill=session.is_rehearsing,
        )
        connection.commit()
    return version, live.version if live else None


@contextlib.contextmanager
def _swept_on_failure(session: TargetSession, version: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        _sweep_quietly(session, version)
        raise statement_error(error, f"restoring {version}") from None
    except BaseException:
        _sweep_quietly(session, version)
        raise


def _sweep_quietly(session: TargetSession, version: str) -> None:
    """What cannot be swept now stands as ``loading`` in the registry, and sdetl prune takes it away."""
    with contextlib.suppress(SdetlError, psycopg.Error):
        _sweep(session, version)


def _sweep(session: TargetSession, version: str) -> None:
    with session.connect() as connection:
        registry.drop_version(connection, version)
        connection.commit()


def _content_check(dump: DumpEntry, restored: dict[str, TableContent]) -> Check:
    """What came out of the dump, against what its manifest says was in the serving schema."""
    name = "content of the dump"
    rows = sum(content.rows for content in restored.values())
    if not dump.content:
        return Check(
            name,
            Verdict.UNKNOWN,
            f"{counted(rows, 'row')} in {counted(len(restored), 'table')}; this manifest notes no digests",
        )
    wrong = differences(dump.content, restored)
    if wrong:
        raise ValidationFailed(
            f"what was restored is not what was dumped: {wrong[0]}"
            + (f" (and {len(wrong) - 1} more)" if wrong[1:] else ""),
            left_behind="nothing: the live version untouched",
            next_step="restore an older backup",
        )
    return Check(
        name,
        Verdict.PASSED,
        f"{counted(rows, 'row')} in {counted(len(restored), 'table')}, every digest equal",
        "the manifest's",
    )


def _counts(conninfo: str, schema: str) -> build.ConstraintCounts:
    with open_scratch(conninfo) as connection:
        return build.read_constraints(connection, schema)


def _prove_moved(
    connection: psycopg.Connection[Any],
    version: str,
    restored: dict[str, TableContent],
    built: build.ConstraintCounts,
    reporter: Reporter,
) -> list[Check]:
    wrong = differences(restored, schema_content(connection, version, reporter))
    found = build.read_constraints(connection, version)
    if found != built:
        wrong = (*wrong, f"keys and indexes are {found}, not {built}")
    if wrong:
        raise ValidationFailed(
            f"the version in the target is not what was restored: {wrong[0]}",
            left_behind="nothing: the live version untouched",
            next_step="report it; try again",
        )
    return [
        Check(
            "content in the target",
            Verdict.PASSED,
            f"{counted(len(restored), 'table')}, every digest equal",
            "the dump's",
        ),
        Check(
            "keys and indexes",
            Verdict.PASSED,
            f"{built.primary_keys + built.uniques + built.foreign_keys + built.checks} constraints, "
            f"{built.indexes} indexes",
            "the dump's",
        ),
    ]


def _still_live(session: TargetSession, restored: RestoredVersion, *, or_restored: bool = False) -> str | None:
    """The version that was live when the restore began.  Raises TargetError when another is live now.

    ``or_restored``: the restored one may be live by now.
    """
    with session.connect() as connection:
        live = registry.live_version(connection, restored.serving_schema)
        if or_restored and live is not None and live.version == restored.version:
            return restored.expected_live
        if (live.version if live else None) != restored.expected_live:
            raise TargetError(
                f"{live.version if live else 'no version'} is live in {restored.serving_schema}, not "
                f"{restored.expected_live or 'none'} as when the restore began: somebody else switched meanwhile",
                left_behind=f"{restored.version} as a candidate, not live",
                next_step="see sdetl versions, then start again",
                kind="switch",
            )
        if live is None or place_of(connection, restored.serving_schema) is not None:
            return restored.expected_live
        registry.set_status(connection, live.version, registry.VersionStatus.FAILED)
        connection.commit()
        return None


def _free_name(session: TargetSession, serving: str) -> str:
    with session.connect() as connection:
        return registry.free_name(connection, serving)
