"""One SQLite table on its way into a scratch schema, as the engine loads it: created, copied, read back."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.events import Reporter, SilentReporter
from sdetl_engine.postgres.build import create_tables
from sdetl_engine.postgres.partitions import create_partitions
from sdetl_engine.postgres.plan import ColumnPlan, PartitionPlan, PartitionUnit, TablePlan, VersionPlan
from sdetl_engine.postgres.rows.load import Sent, load_table, open_source
from sdetl_engine.postgres.rows.proof import Proof, prove_table
from sdetl_engine.profiling.facts import ColumnFacts
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.values.types import Kind, TargetType

SCHEMA = "candidate"


def plan_of(
    path: Path,
    targets: Mapping[str, str],
    *,
    table: str = "t",
    quarantine: tuple[str, ...] = (),
    facts: Mapping[str, ColumnFacts] | None = None,
    partition: tuple[str, PartitionUnit] | None = None,
) -> TablePlan:
    """A plan for a table of the file: PostgreSQL types by column, ``text`` where nothing is said."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        source = read_schema(connection).table(table)
        (rows,) = connection.execute(f"SELECT count(*) FROM {quote(table)}").fetchone()
    columns = tuple(
        ColumnPlan(
            name=c.name,
            source_name=c.name,
            target=TargetType.parse(targets.get(c.name, "text")),
            facts=(facts or {}).get(c.name),
            quarantine_misfits=c.name in quarantine,
        )
        for c in source.columns
    )
    return TablePlan(
        source.name, source, columns, rows=rows, partition=PartitionPlan(*partition) if partition else None
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """What was sent, and the proof that it is held."""

    sent: tuple[Sent, ...]
    proof: Proof


def load(
    path: Path, connection: psycopg.Connection[Any], plan: TablePlan, *, reporter: Reporter | None = None
) -> Loaded:
    """Schema, table, rows and proof in the connection's transaction."""
    listener = reporter or SilentReporter()
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
    create_tables(connection, SCHEMA, VersionPlan((plan,)))
    with contextlib.closing(open_source(path)) as source:
        create_partitions(connection, SCHEMA, plan, source)
        sent = load_table(source, connection, SCHEMA, plan, batch_rows=1000, reporter=listener, health=lambda: None)
    return Loaded(sent, prove_table(connection, SCHEMA, plan, sent, reporter=listener))


def rows_in(connection: psycopg.Connection[Any], columns: str, table: str = "t") -> list[tuple[Any, ...]]:
    """What a reader of the loaded table sees, in the order of its column ``id``."""
    query = sql.SQL("SELECT {} FROM {} ORDER BY id").format(
        sql.SQL(columns),  # columns are written by the tests themselves
        sql.Identifier(SCHEMA, table),
    )
    return connection.execute(query).fetchall()


def facts_of(column: str = "c", *, rows: int, proposed: Kind = Kind.TEXT, **counts: Any) -> ColumnFacts:
    """Facts of a column, as a scan would give them."""
    return ColumnFacts("t", column, rows=rows, nulls=counts.pop("nulls", 0), proposed=proposed, **counts)
