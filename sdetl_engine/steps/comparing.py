"""The same aggregates computed independently on both sides, at the same time: SQLite in one thread, PostgreSQL in the other."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.events import Reporter
from sdetl_engine.postgres import aggregates as target_side
from sdetl_engine.postgres.plan import TablePlan, VersionPlan
from sdetl_engine.records import ComparedColumn
from sdetl_engine.settings import Settings
from sdetl_engine.sqlite import aggregates as source_side


def compare_sides(
    connection: psycopg.Connection[Any],
    path: Path,
    schema_name: str,
    plan: VersionPlan,
    settings: Settings,
    reporter: Reporter,
) -> tuple[ComparedColumn, ...]:
    """Every loaded column: rows, present, smallest, largest, total, distinct, length.  Changes nothing."""
    compared: list[ComparedColumn] = []
    for number, table in enumerate(plan.tables):
        reporter.progress("compare both sides", number, len(plan.tables), "tables")
        reporter.check()
        compared += _compare_table(connection, path, schema_name, table, settings, reporter)
    reporter.progress("compare both sides", len(plan.tables), len(plan.tables), "tables")
    return tuple(compared)


def _compare_table(
    connection: psycopg.Connection[Any],
    path: Path,
    schema_name: str,
    table: TablePlan,
    settings: Settings,
    reporter: Reporter,
) -> list[ComparedColumn]:
    # A partitioned table has no row order that SQLite shares: its distinct values are counted whole.
    distinct = settings.validate_.exact_distinct_rows if table.partition is None else max(table.rows, 1)
    with concurrent.futures.ThreadPoolExecutor(1, "sdetl-compare") as pool:
        source = pool.submit(
            source_side.aggregate_table,
            path,
            table.source,
            tuple((c.source_name, c.facts, c.target, c.quarantine_misfits) for c in table.loaded_columns),
            distinct_rows=distinct,
            reporter=reporter,
        )
        target = target_side.aggregate_table(connection, schema_name, table, distinct_rows=distinct)
    by_name = {c.source_name: c.name for c in table.loaded_columns}
    held = {a.column: a for a in target}
    return [
        ComparedColumn(table.name, h.column, a.as_text(), h.as_text(), a.differs(h))
        for a in source.result()
        for h in (held[by_name[a.column]],)
    ]
