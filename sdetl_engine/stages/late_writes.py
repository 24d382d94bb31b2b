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
from sdetl_engine.postgres import build, registry
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.plan import TablePlan, VersionPlan
from sdetl_engine.postgres.rows.load import load_table, open_source
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.postgres.written import ChangeKind, Sides, changes, count_changes, sides_of
from sdetl_engine.records import CleanedResult
from sdetl_engine.results import ResultStore
from sdetl_engine.settings import Settings, load_settings
from sdetl_engine.steps.planning import plan_of
from sdetl_engine.switching.late import LateTable, LateWrites
from sdetl_engine.switching.late_export import LateExport
from sdetl_engine.switching.late_look import BY_TRANSACTION, look_for_late_writes
from sdetl_engine.wording import counted, inflected
from sdetl_engine.workspace import Workspace

_BY_CONTENT = "with the cleaned copy of the run that loaded it, row by row"


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
    return tuple(table.sentence for table in found.tables)


def _find(
    workspace: Workspace,
    connection: psycopg.Connection[Any],
    settings: Settings,
    reporter: Reporter,
    *,
    export: bool,
) -> LateWrites:
    serving = settings.serving_schema
    reporter.progress("looking for late writes", 0, None, "tables")
    result = look_for_late_writes(connection, serving)
    live = registry.get_version(connection, result.version) if result is not None else None
    if result is None or live is None:
        raise TargetError(f"no version is live in schema {serving}", next_step="see sdetl versions", kind="rollback")
    if result.unknown is not None or not result.tables:
        return result
    place, quick = place_of(connection, serving) or serving, {t.table: t for t in result.tables}
    plan = _plan_as_loaded(workspace, live)
    with _as_loaded(connection, plan, tuple(quick), reporter) as loaded:
        sides = [
            sides_of(connection, table, place, loaded if plan and table in plan[1] else None)
            for table in quick
            if table in result.marks
        ]
        compared = [_count(connection, live, s, quick[s.table]) for s in sides]
        tables = [*compared, *(late for table, late in quick.items() if table not in result.marks)]
        tables = [t for t in tables if t.written or t.missing or t.note]
        result = dataclasses.replace(
            result, tables=tuple(tables), compared=_BY_CONTENT if plan is not None else BY_TRANSACTION
        )
        named = {t.table for t in tables}
        if export and named:
            result = _export(
                workspace, connection, result, [s for s in sides if s.table in named], live.load_xid or "0", reporter
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


def _count(connection: psycopg.Connection[Any], live: registry.Version, sides: Sides, quick: LateTable) -> LateTable:
    """``quick`` with the kinds of changes told apart, where there is something to compare with."""
    if sides.loaded is None or quick.note is not None:
        return quick
    counts = count_changes(connection, sides, live.load_xid or "0")
    added, changed, deleted = (
        counts.get(kind, 0) for kind in (ChangeKind.ADDED, ChangeKind.CHANGED, ChangeKind.DELETED)
    )
    return LateTable(sides.table, added + changed, deleted + changed, added, changed, deleted)


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
        "LateWritesExported",
        f"{counted(result.rows, 'row')} written since the cutover {inflected(result.rows, 'is', 'are')} in {folder}",
        rows=result.rows,
    )
    return dataclasses.replace(
        result, sql_file=str(files.sql_path), csv_files=tuple(str(path) for path in files.csv_paths)
    )
