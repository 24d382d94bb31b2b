"""A table while its version is planned: its columns are decided, its keys and indexes are not yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from sdetl_engine.postgres.dialect.translate import Scope, ScopeColumn
from sdetl_engine.postgres.plan import ColumnPlan, PartitionPlan
from sdetl_engine.profiling.facts import KeyFacts, TableFacts
from sdetl_engine.values.declared import Affinity, affinity
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import Kind

LONGEST_INDEXED = 2600
"""Bytes.  A b-tree entry takes at most 2704 with its header (a third of a page, less overhead)."""


@dataclasses.dataclass(frozen=True, slots=True)
class TableDraft:
    """One table of the target; ``columns`` are those that are not left out."""

    name: str
    source: Table
    facts: TableFacts
    columns: tuple[ColumnPlan, ...]
    partition: PartitionPlan | None = None

    def column(self, source_name: str) -> ColumnPlan | None:
        """The column of that name in the source, or None when it is left out."""
        return next((c for c in self.columns if c.source_name == source_name), None)

    def planned(self, source_names: Sequence[str]) -> tuple[ColumnPlan, ...] | None:
        """Those columns, in that order; None when one of them is left out."""
        found = [self.column(name) for name in source_names]
        return tuple(c for c in found if c is not None) if None not in found else None

    def key_facts(self, kind: str, columns: Sequence[str]) -> KeyFacts | None:
        """What was counted of that key."""
        wanted = tuple(columns)
        return next((k for k in self.facts.keys if k.kind == kind and k.columns == wanted), None)

    @property
    def scope(self) -> Scope:
        """What the expressions of CHECKs and indexes may name."""
        left_out = {c.name: "is left out" for c in self.source.columns if self.column(c.name) is None}
        return scope_of(self.source, self.columns, left_out)


def scope_of(table: Table, columns: Sequence[ColumnPlan], missing: Mapping[str, str]) -> Scope:
    """The scope of those columns; ``missing``: why others cannot be named."""
    return Scope(table.name, {c.source_name: _in_scope(table, c) for c in columns}, missing)


def _in_scope(table: Table, column: ColumnPlan) -> ScopeColumn:
    declared = table.column(column.source_name)
    always_real = column.target.kind is Kind.DOUBLE and affinity(declared.declared) is Affinity.REAL
    return ScopeColumn(column.name, column.target.kind, declared.collation, always_real)


def null_rows(column: ColumnPlan) -> int:
    """Rows in which the target will hold NULL there; a generated column is taken as its facts have it."""
    facts = column.facts
    if facts is None:
        return 0
    empties = facts.empties if column.target.kind not in (Kind.TEXT, Kind.BYTES) else 0
    return facts.nulls + facts.marked + empties + (facts.misfits if column.quarantine_misfits else 0)


def is_long(column: ColumnPlan) -> bool:
    """True when a value of the column may be too long for a b-tree."""
    return (
        column.target.kind in (Kind.TEXT, Kind.BYTES, Kind.JSONB)
        and column.facts is not None
        and column.facts.largest_bytes > LONGEST_INDEXED
    )
