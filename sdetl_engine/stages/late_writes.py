"""Late writes: found, shown and exported before a rollback leaves them behind in the version that is retired."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.checklist import Stage
from sdetl_engine.decisions import effective
from sdetl_engine.errors import ResourceError, SdetlError, TargetError
from sdetl_engine.events import Reporter
from sdetl_engine.files import sha256_of
from sdetl_engine.late import LateTable, LateWrites
from sdetl_engine.late_export import LateExport
from sdetl_engine.planning import plan_of
from sdetl_engine.postgres import build, registry
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.load import load_table, open_source
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.plan import TablePlan, VersionPlan
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.postgres.written import ChangeKind, Mark, Sides, changes, count_changes, marks, sides_of, touched
from sdetl_engine.records import CleanedResult
from sdetl_engine.results import ResultStore
from sdetl_engine.settings import Settings, load_settings
from sdetl_engine.workspace import Workspace

_BY_CONTENT = "with the cleaned copy of the run that loaded it, row by row"
_BY_TRANSACTION = "by the transactions that wrote the rows; the cleaned copy of the run that loaded it is not here"


def late_writes(
    workspace: Workspace, session: TargetSession, settings: Settings, reporter: Reporter, *, export: bool = True
) -> LateWrites:
    """What was written to the live version since it was loaded; what is found is exported into the workspace.

    Reads one snapshot; changes nothing in the target.  Raises TargetError when no version is live, ResourceError when
    the export cannot be written, Cancelled.
    """
    try:
        with session.connect() as connection, reporter.interrupting(connection.cancel_safe):
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                return _find(workspace, connection, settings, reporter, export=export)
            finally:
                connection.rollback()
    except psycopg.Error as error:
        reporter.check()
        raise statement_error(error, "looking for what was written since the cutover") from None
    except OSError as error:
        raise ResourceError(
            f"what was written since the cutover could not be exported: {error.strerror} ({error.filename})",
            left_behind="nothing was switched; a part of the export",
            next_step="free some space, then try again",
        ) from None


def late_sentences(found: LateWrites) -> tuple[str, ...]:
    """What an operator must know before agreeing to a rollback, in sentences; empty when nothing would be left behind."""
    if found.unknown is not None:
        return (f"what was written to {found.version} since it went live cannot be told: {found.unknown}",)
    return tuple(_sentence(table) for table in found.tables)


def _find(
    workspace: Workspace,
    connection: psycopg.Connection[Any],
    settings: Settings,
    reporter: Reporter,
    *,
    export: bool,
) -> LateWrites:
    serving = settings.serving_schema
    live = registry.live_version(connection, serving) if registry.exists(connection) else None
    if live is None:
        raise TargetError(f"no version is live in schema {serving}", next_step="see sdetl versions", kind="rollback")
    result = LateWrites(live.version, serving, live.live_since, (), 0, _BY_TRANSACTION)
    if live.load_xid is None or live.table_rows is None:
        return dataclasses.replace(result, unknown="sdetl did not load it, so nobody knows what was in it")
    reporter.progress("looking for late writes", 0, None, "tables")
    place = place_of(connection, serving) or serving
    found = marks(connection, place, live.load_xid)
    result = dataclasses.replace(result, checked_tables=len({*found, *live.table_rows}), marks=found)
    suspects = touched(live, found)
    if not suspects:
        return result
    plan = _plan_as_loaded(workspace, live)
    with _as_loaded(connection, plan, suspects, reporter) as loaded:
        sides = [
            sides_of(connection, table, place, loaded if plan and table in plan[1] else None)
            for table in suspects
            if table in found
        ]
        tables = [_count(connection, live, s, found[s.table]) for s in sides]
        tables += [_gone(live, table) for table in suspects if table not in found]
        tables = [t for t in tables if t.written or t.missing or t.note]
        result = dataclasses.replace(
            result, tables=tuple(tables), compared=_BY_CONTENT if plan is not None else _BY_TRANSACTION
        )
        named = {t.table for t in tables}
        if export and named:
            result = _export(
                workspace, connection, result, [s for s in sides if s.table in named], live.load_xid, reporter
            )
    return result


def _plan_as_loaded(workspace: Workspace, live: registry.Version) -> tuple[Path, dict[str, TablePlan]] | None:
    """The cleaned copy that the version was loaded from, and how; None when it is not here, or is not what it was."""
    if live.run_id is None or live.run_id not in workspace.run_ids():
        return None
    folder = workspace.run_folder(live.run_id)
    if live.version != f"{live.serving_schema}_v{folder.stamp}" or not folder.clean.exists():
        return None
    try:
        results, settings = ResultStore(folder.results), load_settings(plan=folder.plan)
        if sha256_of(folder.clean) != results.load(Stage.CLEAN, CleanedResult).sha256:
            return None
        plan = plan_of(results, effective(settings, settings.standing_decisions))
    except SdetlError:
        return None
    return folder.clean, {table.name: _plain(table) for table in plan.tables}


def _plain(table: TablePlan) -> TablePlan:
    """The table without what its rows do not need."""
    columns = tuple(dataclasses.replace(c, identity=False) for c in table.columns)
    return dataclasses.replace(table, columns=columns, partition=None)


@contextlib.contextmanager
def _as_loaded(
    connection: psycopg.Connection[Any],
    plan: tuple[Path, dict[str, TablePlan]] | None,
    tables: tuple[str, ...],
    reporter: Reporter,
) -> Iterator[str]:
    """A schema with those tables as they were loaded.  It is never committed, so nobody else sees it."""
    schema = "sdetl_as_loaded"
    if plan is not None:
        path, known = plan
        wanted = tuple(known[table] for table in tables if table in known)
        build.create_version_schema(connection, schema, run_id="comparison")
        build.create_tables(connection, schema, VersionPlan(wanted))
        with contextlib.closing(open_source(path)) as source:
            for table in wanted:
                load_table(source, connection, schema, table, batch_rows=10_000, reporter=reporter, health=lambda: None)
    yield schema


def _count(connection: psycopg.Connection[Any], live: registry.Version, sides: Sides, mark: Mark) -> LateTable:
    loaded = (live.table_rows or {}).get(sides.table)
    missing = max(0, (loaded or 0) - (mark.rows - mark.later))
    if loaded is None:
        return LateTable(sides.table, mark.rows, 0, note="the table was made since; it is not exported")
    if sides.loaded is None:
        return LateTable(sides.table, mark.later, missing)
    counts = count_changes(connection, sides, live.load_xid or "0")
    added, changed, deleted = (
        counts.get(kind, 0) for kind in (ChangeKind.ADDED, ChangeKind.CHANGED, ChangeKind.DELETED)
    )
    return LateTable(sides.table, added + changed, deleted + changed, added, changed, deleted)


def _gone(live: registry.Version, table: str) -> LateTable:
    rows = (live.table_rows or {}).get(table, 0)
    return LateTable(table, 0, rows, 0, 0, rows, note="the table is gone")


def _export(
    workspace: Workspace,
    connection: psycopg.Connection[Any],
    result: LateWrites,
    sides: list[Sides],
    load_xid: str,
    reporter: Reporter,
) -> LateWrites:
    now = datetime.now(UTC)
    folder = workspace.prepare().late_writes / f"{now:%Y%m%d_%H%M%S_%f}"
    heading = f"Written to {result.version} since it was loaded, as of {now:%Y-%m-%d %H:%M:%S} UTC"
    unmade = {table.table for table in result.tables if table.note is not None}
    with LateExport(folder, heading) as files:
        for side in sides:
            if side.table in unmade:
                continue
            files.begin_table(side)
            for kind, values, literals in changes(connection, side, load_xid):
                files.add(side, kind, values, literals)
            reporter.check()
    reporter.event(
        "LateWritesExported", f"{result.rows} rows written since the cutover are in {folder}", rows=result.rows
    )
    return dataclasses.replace(
        result, sql_file=str(files.sql_path), csv_files=tuple(str(path) for path in files.csv_paths)
    )


def _sentence(table: LateTable) -> str:
    if table.note is not None:
        return f"{table.table}: {table.note} ({max(table.written, table.missing):,} rows)"
    if table.added is None:
        return f"{table.table}: {table.written:,} rows added or changed, {table.missing:,} deleted or changed"
    return f"{table.table}: {table.added:,} added, {table.changed:,} changed, {table.deleted:,} deleted"
