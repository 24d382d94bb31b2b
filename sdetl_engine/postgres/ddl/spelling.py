"""What an operator writes about tables and columns in a plan: further indexes, and partitions.

Names are looked for, not cut out of the text: a column may be called ``TKT-Created Time (UTC), local``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from sdetl_engine.errors import UsageError
from sdetl_engine.postgres.plan import PartitionUnit
from sdetl_engine.values.schema import Index, IndexTerm, Schema, Table

_ORDER = re.compile(r"\s*(?:\b(asc|desc)\b)?\s*(,|$)", re.IGNORECASE)
_PARTITION = re.compile(r"\s*(.+?)\s+by\s+(month|year)\s*", re.IGNORECASE | re.DOTALL)


def read_index(text: str, schema: Schema) -> tuple[Table, Index]:
    """``table(column, other column DESC)``.  Raises UsageError naming the nearest name that exists."""
    for table, inner in _tables_before_parenthesis(text, schema):
        terms = _read_terms(inner, table)
        if terms:
            return table, Index("", tuple(terms))
    raise _unknown(text, schema)


def read_partition(table: Table, text: str) -> tuple[str, PartitionUnit]:
    """``column by month`` or ``column by year``; the column by its name in the source.  Raises UsageError."""
    match = _PARTITION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"load.partition for {table.name}: {text!r} is not understood",
            next_step='write it as "column by month" or "column by year"',
        )
    return real_column(table, match[1], "load.partition"), PartitionUnit(match[2].lower())


def real_table(schema: Schema, text: str, setting: str) -> Table:
    """The table of that name, exact or but for case.  Raises UsageError."""
    found = _named(text, [t.name for t in schema.tables])
    if found is None:
        raise UsageError(
            f"{setting}: the source has no table {text!r}" + _nearest(text, [t.name for t in schema.tables]),
            next_step="correct the setting",
        )
    return schema.table(found)


def real_column(table: Table, text: str, setting: str) -> str:
    """The column of that name, exact, quoted or but for case.  Raises UsageError."""
    names = [c.name for c in table.columns]
    found = _named(text, names)
    if found is None:
        raise UsageError(
            f"{setting}: table {table.name} has no column {text!r}" + _nearest(text, names),
            next_step="correct the setting",
        )
    return found


def _named(text: str, names: Sequence[str]) -> str | None:
    bare = text.strip()
    candidates = [bare, bare[1:-1].replace('""', '"')] if len(bare) > 1 and bare[0] == bare[-1] == '"' else [bare]
    for candidate in candidates:
        if candidate in names:
            return candidate
    return next((n for n in names if n.lower() in {c.lower() for c in candidates}), None)


def _tables_before_parenthesis(text: str, schema: Schema) -> Iterator[tuple[Table, str]]:
    """Tables whose name stands at the beginning, the longest first, with what stands in the parentheses."""
    stripped = text.strip()
    for table in sorted(schema.tables, key=lambda t: -len(t.name)):
        for spelling in _spellings(table.name):
            rest = stripped[len(spelling) :].strip()
            if stripped.lower().startswith(spelling.lower()) and rest.startswith("(") and rest.endswith(")"):
                yield table, rest[1:-1]


def _spellings(name: str) -> tuple[str, str]:
    return name, '"' + name.replace('"', '""') + '"'


def _read_terms(text: str, table: Table) -> list[IndexTerm] | None:
    """The terms that fill the text; None when none do.  The longest column name is tried first."""
    text = text.lstrip()
    for name in sorted((c.name for c in table.columns), key=len, reverse=True):
        for spelling in _spellings(name):
            if not spelling or not text.lower().startswith(spelling.lower()):
                continue
            after = _ORDER.match(text, len(spelling))
            if after is None:
                continue
            collation = table.column(name).collation
            term = IndexTerm(name, descending=(after[1] or "").lower() == "desc", collation=collation)
            rest = _read_terms(text[after.end() :], table) if after[2] else []
            if rest is not None:
                return [term, *rest]
    return None


def _unknown(text: str, schema: Schema) -> UsageError:
    """Say which part is not known, as far as it can be told."""
    tables = list(_tables_before_parenthesis(text, schema))
    if tables:
        table, inner = tables[0]
        names = [c.name for c in table.columns]
        parts = [re.sub(r"\s+(?:asc|desc)\s*$", "", p, flags=re.IGNORECASE).strip() for p in inner.split(",")]
        wrong = next((p for p in parts if _named(p, names) is None), inner)
        return UsageError(
            f"load.indexes: {text!r}: table {table.name} has no column {wrong!r}" + _nearest(wrong, names),
            next_step="correct the setting",
        )
    head = text.partition("(")[0].strip()
    names = [t.name for t in schema.tables]
    return UsageError(
        f"load.indexes: {text!r}: the source has no table {head!r}" + _nearest(head, names)
        if "(" in text and text.rstrip().endswith(")")
        else f"load.indexes: {text!r} is not understood",
        next_step='write it as "table(column, column)"',
    )


def _nearest(text: str, names: Sequence[str]) -> str:
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(text.lower(), list(by_lower), n=1, cutoff=0.4)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""
