"""A table split by ranges of a date column: one heap per month or year, and one for rows without a date.

Each heap is loaded by its own COPY, in order, so that each can be proved by reading it back.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.attempt import wanted
from sdetl_engine.postgres.plan import PartitionPlan, PartitionUnit, TablePlan
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.shape import DAYS_TO_2000, column_shape
from sdetl_engine.values.types import Kind

_LONGEST_NAME = 63


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One heap: its table name, the rows of the source that belong in it (SQL, None: all), and its bounds."""

    table: str
    where: str | None = None
    lower: str | None = None
    upper: str | None = None
    """Bounds as ISO dates, lower included, upper not; both None for the default partition or an undivided table."""


def parts_of(source: sqlite3.Connection, plan: TablePlan) -> tuple[Part, ...]:
    """The heaps of a table: itself, or its partitions for the dates that are there, then the default one."""
    if plan.partition is None:
        return (Part(plan.name),)
    period = _period_sql(plan, plan.partition)
    query = f"SELECT DISTINCT {period} FROM {quote(plan.source.name)} ORDER BY 1"
    found = [row[0].decode() if isinstance(row[0], bytes) else row[0] for row in source.execute(query)]
    parts = []
    for name in found:
        lower, upper = _bounds(name) if name is not None else (None, None)
        if upper is not None:
            parts.append(Part(_name(plan.name, name.replace("-", "_")), f"{period} = '{name}'", lower, upper))
    listed = ", ".join(f"'{name}'" for name in found if name is not None and _bounds(name)[1] is not None)
    rest = f"{period} IS NULL" + (f" OR {period} NOT IN ({listed})" if listed else " OR 1")
    return (*parts, Part(_name(plan.name, "default"), f"({rest})"))


def _period_sql(plan: TablePlan, partition: PartitionPlan) -> str:
    """SQL for the period (``2025-07`` or ``2025``) that PostgreSQL will see in a row: that of the value as it is sent,
    offsets applied; NULL where there is none, or where it goes to the quarantine."""
    column = next(c for c in plan.columns if c.name == partition.column)
    shape = column_shape(column.source_name, column.target, column.facts, quarantine_misfits=column.quarantine_misfits)
    unit = "%Y-%m" if partition.unit is PartitionUnit.MONTH else "%Y"
    if column.target.kind is Kind.DATE:
        seconds = f"({shape.expression} + {DAYS_TO_2000}) * 86400"
    else:
        # Whole days first: division rounds towards zero, and years before 2000 are negative.
        day = 86_400_000_000
        seconds = (
            f"(({shape.expression} + {DAYS_TO_2000 * day}) - (({shape.expression}) % {day} + {day}) % {day}) / 1000000"
        )
    return f"strftime('{unit}', {seconds}, 'unixepoch')"


def create_partitions(
    connection: psycopg.Connection[Any], schema: str, plan: TablePlan, source: sqlite3.Connection
) -> None:
    """Create the heaps of a table that was created partitioned."""
    for part in _only_parts(source, plan):
        bounds = sql.SQL("DEFAULT")
        if part.lower is not None and part.upper is not None:
            bounds = sql.SQL("FOR VALUES FROM ({}) TO ({})").format(  # type: ignore[assignment]
                sql.Literal(part.lower), sql.Literal(part.upper)
            )
        with wanted(f"creating partition {part.table} of table {plan.name}"):
            connection.execute(
                sql.SQL("CREATE TABLE {} PARTITION OF {} {}").format(
                    sql.Identifier(schema, part.table), sql.Identifier(schema, plan.name), bounds
                )
            )


def _only_parts(source: sqlite3.Connection, plan: TablePlan) -> Iterator[Part]:
    if plan.partition is not None:
        yield from parts_of(source, plan)


def _bounds(period: str) -> tuple[str, str | None]:
    """First day of the period and of the next; None past the year 9999, where the default partition takes over."""
    year = int(period[:4])
    if len(period) == 4:
        return f"{year:04d}-01-01", f"{year + 1:04d}-01-01" if year < 9999 else None
    month = int(period[5:7])
    if month == 12:
        return f"{year:04d}-12-01", f"{year + 1:04d}-01-01" if year < 9999 else None
    return f"{year:04d}-{month:02d}-01", f"{year:04d}-{month + 1:02d}-01"


def _name(table: str, suffix: str) -> str:
    """``<table>_p<suffix>``; where that passes PostgreSQL's 63 bytes, cut and told apart by a digest of the name."""
    tail = f"_p{suffix}"
    if len(table.encode()) + len(tail) <= _LONGEST_NAME:
        return table + tail
    tail = "_" + hashlib.sha256(table.encode()).hexdigest()[:8] + tail
    return table.encode()[: _LONGEST_NAME - len(tail)].decode(errors="ignore") + tail
