"""Verify a backup: every file read back from disk, the copy's tables digested, the dump restored into a scratch database.

A backup that nobody has restored is a hope.  Everything is compared with the manifest; what the manifest does not
say is told as unknown, never as passed.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Mapping

import psycopg

from sdetl_engine.checks import Check, Verdict
from sdetl_engine.errors import BackupError, SourceError
from sdetl_engine.events import Reporter
from sdetl_engine.keeping.manifest import DumpEntry, FoundBackup, Manifest, check_file
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.content import differences
from sdetl_engine.postgres.rebuild import content_in_scratch, restored_in_scratch
from sdetl_engine.postgres.scratch import scratch_session
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.restored import VerifiedBackup
from sdetl_engine.settings import Settings
from sdetl_engine.sqlite.digest import TableDigest, file_digest
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.sqlite.sound import check_sound
from sdetl_engine.wording import counted
from sdetl_engine.workspace import Workspace

_FIX = "use an older backup; take a new one"


def verify_backup(
    workspace: Workspace, session: TargetSession, settings: Settings, reporter: Reporter, backup: FoundBackup
) -> VerifiedBackup:
    """Prove the backup, or the half of it that was named.  ``session``: where its dump is restored, in a database
    of its own; the embedded server when the role there may not create one.

    A difference is a failed check, not an error.  Raises TargetError, Cancelled.
    """
    began = time.monotonic()
    manifest = backup.manifest
    checks: list[Check] = []
    if backup.only != "dump":
        checks += _source_checks(manifest, reporter)
    if backup.only != "source":
        checks += _dump_checks(workspace, session, settings, manifest, reporter)
    for check in checks:
        level = "error" if check.verdict is Verdict.FAILED else "info"
        reporter.event("CheckMade", f"{check.name}: {check.verdict}, {check.measured}", level=level)
    return VerifiedBackup(manifest.run_id, str(manifest.folder), tuple(checks), time.monotonic() - began)


def _source_checks(manifest: Manifest, reporter: Reporter) -> list[Check]:
    """The frozen copy of the source: its bytes, then its tables as SQLite reads them."""
    name = manifest.source.name
    wrong = check_file(manifest.folder, manifest.source, reporter)
    if wrong is not None:
        return [Check("copy of the source read back", Verdict.FAILED, wrong, "the manifest's", _FIX)]
    read = Check("copy of the source read back", Verdict.PASSED, f"{name}, MD5 {manifest.source.md5}", "the manifest's")
    try:
        with open_readonly(manifest.folder / name) as connection, reporter.interrupting(connection.interrupt):
            complaints = check_sound(connection, reporter)
            found = file_digest(manifest.folder / name, read_schema(connection), reporter)
    except (sqlite3.DatabaseError, SourceError) as error:
        return [read, Check("tables of the copy", Verdict.FAILED, f"SQLite cannot read it: {type(error).__name__}")]
    return [read, *_sound(complaints), _tables(manifest.tables, found)]


def _sound(complaints: tuple[str, ...]) -> list[Check]:
    if complaints:
        return [Check("integrity_check", Verdict.WARNING, complaints[0], "ok", "the source was like that")]
    return [Check("integrity_check", Verdict.PASSED, "ok", "ok")]


def _tables(expected: Mapping[str, TableDigest], found: Mapping[str, TableDigest]) -> Check:
    """Excluded tables stand in the copy and not in the manifest."""
    wrong = [
        f"table {t} holds {counted(found[t].rows, 'row')}, the manifest says {d.rows}, or other content"
        if t in found
        else f"table {t} is missing"
        for t, d in expected.items()
        if found.get(t) != d
    ]
    rows = sum(d.rows for d in expected.values())
    if wrong:
        return Check("tables of the copy", Verdict.FAILED, wrong[0], "the manifest's", _FIX)
    return Check(
        "tables of the copy",
        Verdict.PASSED,
        f"{counted(rows, 'row')} in {counted(len(expected), 'table')}, every digest equal",
        "the manifest's",
    )


def _dump_checks(
    workspace: Workspace, session: TargetSession, settings: Settings, manifest: Manifest, reporter: Reporter
) -> list[Check]:
    dump = manifest.dump
    if dump is None:
        return [Check("dump", Verdict.UNKNOWN, "this backup has none: there was no serving schema to dump")]
    wrong = check_file(manifest.folder, dump.file, reporter)
    if wrong is not None:
        return [Check("dump read back", Verdict.FAILED, wrong, "the manifest's", _FIX)]
    read = Check("dump read back", Verdict.PASSED, f"{dump.file.name}, MD5 {dump.file.md5}", "the manifest's")
    return [read, _restore(workspace, session, settings, manifest, dump, reporter)]


def _restore(
    workspace: Workspace,
    session: TargetSession,
    settings: Settings,
    manifest: Manifest,
    dump: DumpEntry,
    reporter: Reporter,
) -> Check:
    name = "dump restored into a scratch database"
    with contextlib.ExitStack() as stack:
        scratch = scratch_session(session, workspace, settings)
        if scratch is not session:
            stack.enter_context(scratch)
        try:
            conninfo = stack.enter_context(restored_in_scratch(scratch, manifest.folder / dump.file.name, reporter))
            found = content_in_scratch(conninfo, dump.schema, reporter)
        except BackupError as error:
            return Check(name, Verdict.FAILED, error.message, "", _FIX)
        except psycopg.Error as error:
            raise statement_error(error, "reading the scratch database") from None
        place = scratch.target.describe()
    rows = sum(content.rows for content in found.values())
    if not dump.content:
        return Check(
            name,
            Verdict.UNKNOWN,
            f"{counted(rows, 'row')} in {counted(len(found), 'table')}; this manifest notes no digests",
        )
    wrong = differences(dump.content, found)
    if wrong:
        return Check(name, Verdict.FAILED, wrong[0], "the manifest's", _FIX)
    return Check(
        name,
        Verdict.PASSED,
        f"{counted(rows, 'row')} in {counted(len(found), 'table')}, every digest equal ({place})",
        "the manifest's",
    )
