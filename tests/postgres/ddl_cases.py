"""From an SQL script to a planned and built version: real SQLite files, real facts, real PostgreSQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.events import Reporter, SilentReporter
from sdetl_engine.postgres import build
from sdetl_engine.postgres.build import BuildResult
from sdetl_engine.postgres.ddl.design import plan_version
from sdetl_engine.postgres.partitions import create_partitions
from sdetl_engine.postgres.plan import NotMigrated, VersionPlan
from sdetl_engine.postgres.rows.load import load_table, open_source
from sdetl_engine.profiling.facts import KeyFacts, TableFacts, TypeVerdict
from sdetl_engine.settings import LoadSettings
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.scan import check_key, check_relation, scan_table
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.values.declared import declared_target
from sdetl_engine.values.schema import Relation, Schema, Table
from sdetl_engine.values.types import TargetType

VERSION = "servicedesk_v20251019_143022"


def plan_file(
    path: Path,
    *,
    types: Mapping[str, str] | None = None,
    leave_out: Collection[str] = (),
    load: LoadSettings | None = None,
    exclude_tables: Collection[str] = (),
    suggested: Sequence[str] = (),
) -> VersionPlan:
    """Plan a file.  Columns get the type that they are declared as, but for ``types`` (``table.column`` to type)."""
    with open_readonly(path) as connection:
        schema = read_schema(connection)
    verdicts = _verdicts(schema, types or {}, leave_out)
    return plan_version(
        schema,
        verdicts,
        [_measure(path, t, verdicts) for t in schema.tables],
        _relations(path, schema),
        load=load or LoadSettings(),
        exclude_tables=exclude_tables,
        suggested_indexes=suggested,
    )


def build_file(
    connection: psycopg.Connection[Any], path: Path, plan: VersionPlan, reporter: Reporter | None = None
) -> BuildResult:
    """Create, load and finish the version in the connection's transaction."""
    build.create_version_schema(connection, VERSION, run_id="20251019T143022Z")
    build.create_tables(connection, VERSION, plan)
    source = open_source(path)
    try:
        for table in plan.tables:
            if table.partition is not None:
                create_partitions(connection, VERSION, table, source)
            load_table(
                source, connection, VERSION, table, batch_rows=1000, reporter=SilentReporter(), health=lambda: None
            )
    finally:
        source.close()
    return build.finish(connection, VERSION, plan, reporter or SilentReporter())


def rows(connection: psycopg.Connection[Any], query: str, *names: str) -> list[tuple[Any, ...]]:
    """What a query returns; each ``{}`` is a name, qualified with the version when it is the first."""
    identifiers = [sql.Identifier(VERSION, n) if place == 0 else sql.Identifier(n) for place, n in enumerate(names)]
    return connection.execute(sql.SQL(query).format(*identifiers)).fetchall()


def missed(plan: VersionPlan | BuildResult, kind: str) -> list[NotMigrated]:
    """What of a kind is not migrated."""
    return [m for m in plan.not_migrated if m.kind == kind]


def _verdicts(schema: Schema, types: Mapping[str, str], leave_out: Collection[str]) -> list[TypeVerdict]:
    return [
        TypeVerdict(
            table=table.name,
            column=column.name,
            declared=column.declared,
            declared_kind=None,
            observed=None,
            confidence=1.0,
            chosen=types.get(f"{table.name}.{column.name}") or str(declared_target(column.declared) or "text"),
            reason="the test says so",
            left_out=f"{table.name}.{column.name}" in leave_out,
        )
        for table in schema.tables
        for column in table.columns
    ]


def _measure(path: Path, table: Table, verdicts: Sequence[TypeVerdict]) -> TableFacts:
    kinds = {v.column: TargetType.parse(v.chosen).kind for v in verdicts if v.table == table.name}
    facts = scan_table(
        path,
        table,
        kinds,
        markers={},
        evidence_rows=0,
        now=datetime(2025, 10, 19, tzinfo=UTC),
        reporter=SilentReporter(),
    )
    wanted = [(table.primary_key, "primary")] if table.primary_key else []
    wanted += [
        (tuple(t.column for t in i.terms if t.column is not None), "unique")
        for i in table.indexes
        if i.unique and i.origin != "pk" and i.where is None and all(t.column is not None for t in i.terms)
    ]
    with open_readonly(path) as connection:
        keys = tuple(check_key(connection, table, columns, kind) for columns, kind in wanted)
    return dataclasses.replace(facts, keys=keys)


def _relations(path: Path, schema: Schema) -> list[KeyFacts]:
    with open_readonly(path) as connection:
        return [
            check_relation(connection, Relation(t.name, k.columns, k.parent, k.parent_columns, "declared"))
            for t in schema.tables
            for k in t.foreign_keys
            if k.parent_columns
        ]
