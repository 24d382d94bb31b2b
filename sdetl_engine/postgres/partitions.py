"""A table split by ranges of a date column: one heap per month or year, and one for rows without a date.

Each heap is loaded by its own COPY, in order, so that each can be proved by reading it back.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.plan import PartitionUnit, TablePlan
from sdetl_engine.sqlite.open import quote


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
    by_source = {c.name: c.source_name for c in plan.columns}
    column = quote(by_source[plan.partition.column])
    width = 7 if plan.partition.unit is PartitionUnit.MONTH else 4
    query = f"SELECT DISTINCT substr({column}, 1, {width}) FROM {quote(plan.source.name)} WHERE {column} IS NOT NULL ORDER BY 1"
    found = [row[0].decode() if isinstance(row[0], bytes) else row[0] for row in source.execute(query)]
    periods = [p for p in found if p[:4].isdigit() and p[:4] > "0000"]
    parts = []
    for period in periods:
        lower, upper = _bounds(period)
        if upper is not None:
            where = f"substr({column}, 1, {width}) = '{period}'"
            parts.append(Part(_name(plan.name, period.replace("-", "_")), where, lower, upper))
    listed = ", ".join(f"'{p.lower[:width]}'" for p in parts if p.lower)
    rest = f"{column} IS NULL" + (f" OR substr({column}, 1, {width}) NOT IN ({listed})" if listed else " OR 1")
    return (*parts, Part(_name(plan.name, "default"), rest))


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
    """``<table>_p<suffix>``, cut to PostgreSQL's 63 bytes at a character."""
    tail = f"_p{suffix}"
    head = table.encode()[: 63 - len(tail)].decode(errors="ignore")
    return head + tail
