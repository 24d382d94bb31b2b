"""Which row and column of the source a COPY failed at, in words that hold no cell's value."""

from __future__ import annotations

import re
import sqlite3

import psycopg

from sdetl_engine.postgres.plan import TablePlan
from sdetl_engine.sqlite.addressing import row_key
from sdetl_engine.sqlite.open import quote

_LINE = re.compile(r"\bCOPY .*?\bline (\d+)(?:, column |\b)", re.DOTALL)


def refused_at(error: psycopg.Error, plan: TablePlan) -> tuple[int | None, str | None]:
    """Row number (from 1) and column that the server's CONTEXT names; the rest of it quotes values and is dropped."""
    context = error.diag.context or ""
    match = _LINE.search(context)
    if match is None:
        return None, None
    rest = context[match.end() :]
    # The longest name first: one column's name may begin another's.
    names = sorted((c.name for c in plan.loaded_columns), key=len, reverse=True)
    named = match[0].endswith("column ")
    return int(match[1]), next((name for name in names if named and _names(rest, name)), None)


def describe_row(source: sqlite3.Connection, plan: TablePlan, where: str | None, number: int) -> str:
    """``row 7 (rowid 12)`` of what was loaded; only the number where rows have no rowid, whose key is content."""
    key = row_key(plan.source)
    if key is None or not key.is_rowid:
        return f"row {number}"
    query = (
        f"SELECT {key.terms[0]} FROM {quote(plan.source.name)} NOT INDEXED"
        + (f" WHERE {where}" if where else "")
        + f" ORDER BY {key.terms[0]} LIMIT 1 OFFSET {number - 1}"
    )
    found = source.execute(query).fetchone()
    return f"row {number}" + (f" (rowid {found[0]})" if found else "")


def _names(rest: str, name: str) -> bool:
    return rest.startswith(name) and rest[len(name) : len(name) + 1] in ("", ":", ",", "\n")
