"""Backup: the frozen copy proved equal to the source, the serving schema dumped and proved, old backups retired."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import BackupError
from sdetl_engine.events import Reporter
from sdetl_engine.files import sha256_of, write_atomically
from sdetl_engine.keeping.backups import expired_backups, remove_backups
from sdetl_engine.postgres.content import TableContent, schema_content
from sdetl_engine.postgres.dump import dump_schema
from sdetl_engine.postgres.place import place_of
from sdetl_engine.records import BackupResult, DumpRecord, FrozenSource, PreflightResult, TableCopy
from sdetl_engine.sqlite.digest import TableDigest, file_digest
from sdetl_engine.steps.guards import refuse_changed_source
from sdetl_engine.values.schema import Schema
from sdetl_engine.wording import counted


def backup(run: Deployment, reporter: Reporter) -> BackupResult:
    """Prove the frozen copy, dump what dashboards read today, write the manifest last, then retire old backups."""
    preflight = run.results.load(Stage.PREFLIGHT, PreflightResult)
    frozen = preflight.frozen
    refuse_changed_source(run)
    tables = _compare(frozen, preflight.source_schema, reporter)
    path = Path(frozen.path)
    write_atomically(path.with_name(path.name + ".md5"), f"{frozen.md5}  {path.name}\n")
    dump, skipped = _dump(run, preflight, reporter)
    manifest = run.folder.backup / "manifest.json"
    content = _manifest(run, preflight, tables, dump, skipped)
    write_atomically(manifest, json.dumps(content, ensure_ascii=True, indent=1))
    removed = _retire(run, reporter)
    return BackupResult(
        path=frozen.path,
        bytes=frozen.bytes,
        md5=frozen.md5,
        sha256=frozen.sha256,
        compared="bytes" if frozen.byte_identical else "content",
        tables=tables,
        manifest=str(manifest),
        dump=dump,
        dump_skipped=skipped,
        removed=removed,
    )


def _compare(frozen: FrozenSource, schema: Schema, reporter: Reporter) -> tuple[TableCopy, ...]:
    """Rows and content per table.  The source's side is read from its frozen bytes, whose SHA-256 is the source's;
    where the copy is byte-identical both sides are the same bytes and are digested once."""
    if sha256_of(Path(frozen.path)) != frozen.sha256:
        raise BackupError(
            f"the copy {frozen.path} does not read back as it was written",
            left_behind="that copy, for a look; nothing in the target",
            next_step="check the disk, then start a new run",
        )
    copy = file_digest(Path(frozen.path), schema, reporter)
    source = copy
    if not frozen.byte_identical:
        source = {t.table: TableDigest(t.rows, t.sha256) for t in frozen.raw_tables}
    if frozen.byte_identical and frozen.source_sha256 != frozen.sha256:
        raise BackupError(
            f"copy and source differ: SHA-256 {frozen.sha256} and {frozen.source_sha256}",
            next_step="start a new run",
        )
    tables = tuple(TableCopy(n, d.rows, d.sha256, source[n].rows, source[n].sha256) for n, d in copy.items())
    for table in tables:
        if not table.equal:
            raise BackupError(
                f"table {table.table} of the copy holds {counted(table.rows, 'row')}, of the source {table.source_rows}, "
                "or other content",
                left_behind="that copy, for a look; nothing in the target",
                next_step="start a new run",
            )
    return tables


def _dump(run: Deployment, preflight: PreflightResult, reporter: Reporter) -> tuple[DumpRecord | None, str | None]:
    if run.session is None:
        return None, "no target was named"
    serving = run.settings.serving_schema
    if not preflight.serving_exists:
        return None, f"there is no schema {serving} yet: nothing to dump"
    with run.connect() as connection, reporter.interrupting(connection.cancel_safe):
        schema = place_of(connection, serving) or serving
        connection.rollback()
        snapshot, content = _content(connection, schema, reporter)
        done = dump_schema(
            run.session.conninfo,
            schema,
            run.folder.backup / f"{_file_name(serving)}_{run.folder.stamp}.dump",
            command=run.settings.backup.dump_command,
            snapshot=snapshot,
            timeout=run.settings.backup.dump_timeout,
            reporter=reporter,
        )
    path = str(done.path)
    return DumpRecord(path, done.bytes, done.md5, done.sha256, done.objects, done.tables, content, schema), None


def _content(
    connection: psycopg.Connection[Any], serving: str, reporter: Reporter
) -> tuple[str, dict[str, TableContent]]:
    """What stands in the serving schema now, and the snapshot in which pg_dump sees exactly that."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    assert row is not None
    return str(row[0]), schema_content(connection, serving, reporter)


def _file_name(schema: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in schema)


def _manifest(
    run: Deployment,
    preflight: PreflightResult,
    tables: tuple[TableCopy, ...],
    dump: DumpRecord | None,
    skipped: str | None,
) -> dict[str, object]:
    frozen = preflight.frozen
    source: dict[str, object] = {
        "path": os.fspath(run.source),
        "sha256": frozen.source_sha256,
        "recovered": frozen.recovered,
    }
    copy: dict[str, object] = {
        "file": Path(frozen.path).name,
        "bytes": frozen.bytes,
        "md5": frozen.md5,
        "sha256": frozen.sha256,
        "hashed": "the finished copy, read back from disk",
        "byte_identical_to_source": frozen.byte_identical,
    }
    return {
        "format": 1,
        "run": run.run_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": run.who,
        "source": source,
        "copy": copy,
        "tables": {
            t.table: {
                "rows": t.rows,
                "sha256": t.sha256,
                "source_rows": t.source_rows,
                "source_sha256": t.source_sha256,
                "equal": t.equal,
            }
            for t in tables
        },
        "dump": None
        if dump is None
        else {
            "file": Path(dump.path).name,
            "schema": dump.schema or run.settings.serving_schema,
            "serving_schema": run.settings.serving_schema,
            "version": preflight.live_version,
            "bytes": dump.bytes,
            "md5": dump.md5,
            "sha256": dump.sha256,
            "objects": dump.objects,
            "tables": dump.tables,
            "content": {t: {"rows": c.rows, "digest": c.digest} for t, c in dump.content.items()},
        },
        "dump_skipped": skipped,
    }


def _retire(run: Deployment, reporter: Reporter) -> tuple[str, ...]:
    """Retention: what is older than the limit goes, now that a newer complete backup exists."""
    expired = expired_backups(run.workspace, run.settings.backup.retention_days, keep_runs={run.run_id})
    removed = remove_backups(run.workspace, expired)
    for name in removed:
        reporter.event("BackupRemoved", f"retention removed the backup of run {name}", run=name)
    return removed
