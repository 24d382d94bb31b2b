"""Building one version from one SQLite file, in one transaction: the canary and the full load both do this.

Schema, tables, rows by binary COPY, proof, indexes, keys, ANALYZE; the caller adds the registry's entry and
commits, or rolls back and nothing is left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.errors import UsageError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.postgres import build
from sdetl_engine.postgres.finish import finish
from sdetl_engine.postgres.partitions import create_partitions
from sdetl_engine.postgres.plan import TablePlan, VersionPlan
from sdetl_engine.postgres.rows import quarantine
from sdetl_engine.postgres.rows.load import load_table, open_source
from sdetl_engine.postgres.rows.proof import prove_table
from sdetl_engine.postgres.viewing import create_views
from sdetl_engine.records import LoadedResult, TableProof
from sdetl_engine.settings import Settings
from sdetl_engine.wording import counted


def load_version(
    connection: psycopg.Connection[Any],
    path: Path,
    version: str,
    plan: VersionPlan,
    settings: Settings,
    reporter: Reporter,
    *,
    run_id: str,
    health: Callable[[], None],
) -> LoadedResult:
    """Build schema ``version`` from the file, inside the connection's transaction, which is left open.

    Raises ValidationFailed when what PostgreSQL holds is not what was sent, TargetError, ResourceError, Cancelled.
    """
    began = time.monotonic()
    build.create_version_schema(connection, version, run_id=run_id)
    build.create_tables(connection, version, plan)
    proofs: list[TableProof] = []
    seconds: dict[str, float] = {}
    with contextlib.closing(open_source(path)) as source:
        for table in plan.tables:
            started = time.monotonic()
            proof = _load_table(source, connection, version, table, settings, reporter, health)
            proofs.append(proof)
            seconds[table.name] = round(time.monotonic() - started, 3)
            if (wrong := _unproved(proof, table.rows)) is not None:
                raise _refused(wrong, _loaded(version, plan, proofs, seconds, time.monotonic() - began))
            reporter.event(
                "TableLoaded", f"{table.name}: {counted(proof.rows_held, 'row')}, proved", rows=proof.rows_held
            )
    load_seconds = time.monotonic() - began
    built = finish(connection, version, plan, reporter)
    views, without = create_views(connection, version, plan, path, reporter, seconds=settings.load.view_seconds)
    return dataclasses.replace(
        _loaded(version, plan, proofs, seconds, load_seconds),
        indexes=built.indexes,
        constraints=built.constraints,
        not_migrated=(*plan.not_migrated, *built.not_migrated, *without),
        views=views,
        orphans=dict(built.invalid),
    )


def _loaded(
    version: str, plan: VersionPlan, proofs: Sequence[TableProof], seconds: Mapping[str, float], load_seconds: float
) -> LoadedResult:
    """What has been loaded, before anything was built on it."""
    return LoadedResult(
        version=version,
        proof=tuple(proofs),
        types={t.name: {c.name: c.target.sql for c in t.columns} for t in plan.tables},
        indexes=0,
        constraints=0,
        not_migrated=plan.not_migrated,
        renamed=plan.renamed,
        orphans={},
        quarantine_schema=quarantine.schema_name(version) if any(p.quarantined for p in proofs) else None,
        seconds_by_table=dict(seconds),
        load_seconds=load_seconds,
    )


def _load_table(
    source: sqlite3.Connection,
    connection: psycopg.Connection[Any],
    version: str,
    table: TablePlan,
    settings: Settings,
    reporter: Reporter,
    health: Callable[[], None],
) -> TableProof:
    """Copy, read back, and put aside what the types cannot hold."""
    if table.partition is not None:
        create_partitions(connection, version, table, source)
    sent = load_table(
        source, connection, version, table, batch_rows=settings.load.batch_rows, reporter=reporter, health=health
    )
    proof = prove_table(connection, version, table, sent, reporter=reporter)
    return TableProof(
        table=table.name,
        rows_sent=proof.rows_sent,
        rows_held=proof.rows_held,
        sha256_sent=proof.sha256_sent,
        sha256_held=proof.sha256_held,
        equal=proof.equal,
        quarantined=quarantine.fill(source, connection, version, table),
    )


def refuse_empty(plan: VersionPlan, rows: Mapping[str, int]) -> None:
    """Loading nothing is never a success."""
    if not plan.tables:
        raise UsageError("there is no table to migrate", next_step="check the source and source.exclude_tables")
    if not any(rows.values()):
        raise ValidationFailed(
            "no table of the source holds a single row: loading nothing is never a success",
            next_step="check that this is the right file",
        )


def _unproved(proof: TableProof, expected: int) -> tuple[str, str] | None:
    """What is wrong with a table's proof and what to do about it; None when it is good."""
    if proof.rows_sent != expected:
        return (
            f"table {proof.table}: {counted(proof.rows_sent, 'row')} left the cleaned file, which holds {expected}",
            "start a new run; report it with the run's log if it happens again",
        )
    if not proof.equal:
        return (
            f"table {proof.table}: PostgreSQL holds other content in {counted(proof.rows_held, 'row')} than was sent in {proof.rows_sent}",
            "check the server's disk and log, then start a new run",
        )
    return None


def _refused(wrong: tuple[str, str], loaded: LoadedResult) -> ValidationFailed:
    return ValidationFailed(
        wrong[0],
        left_behind="nothing: the load was rolled back; the live version untouched",
        next_step=wrong[1],
        result=loaded,
    )


def with_rows(plan: VersionPlan, rows: Mapping[str, int]) -> VersionPlan:
    """The plan with the row counts of the file that is loaded."""
    tables = tuple(dataclasses.replace(t, rows=rows[t.source.name]) for t in plan.tables)
    return dataclasses.replace(plan, tables=tables)
