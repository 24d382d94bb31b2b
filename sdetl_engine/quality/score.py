"""The quality score: five dimensions, 0..100, and a receipt for every point lost.

Each dimension counts what it assessed and what failed; its score is the share that did not fail.  The total is the
weighted mean of the dimensions that had anything to assess: a dimension without evidence is left out, not perfect.
Points lost add up exactly: each receipt is its count's share of its dimension's weight.

completeness  values of columns that ought to be full (keys, and columns filled in at least 95 % of the rows)
validity      values that can be read as what their column will be, without repair
consistency   dates written one way, and not in the future
uniqueness    rows that are not there twice, keys that occur once
integrity     rows whose declared parent exists (relations that nobody declared are told, not weighed)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from sdetl_engine.profiling.facts import ColumnFacts, KeyFacts, TableFacts, TypeVerdict
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

DIMENSIONS = ("completeness", "validity", "consistency", "uniqueness", "integrity")
OUGHT_TO_BE_FULL = 0.95


@dataclasses.dataclass(frozen=True, slots=True)
class Dimension:
    """``assessed`` and ``failed`` are counts; ``score`` is 0..1, None when there was nothing to assess."""

    weight: float
    assessed: int
    failed: int

    @property
    def score(self) -> float | None:
        """Share that did not fail."""
        return 1.0 - self.failed / self.assessed if self.assessed else None


@dataclasses.dataclass(frozen=True, slots=True)
class Receipt:
    """Points (of 100) lost to one cause, and what fixing it would win back."""

    dimension: str
    table: str
    column: str | None
    count: int
    points: float
    win_back: float
    sentence: str


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """``total`` is 0..100; 0 when nothing could be assessed."""

    total: float
    dimensions: Mapping[str, Dimension]
    receipts: tuple[Receipt, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Tally:
    """One thing counted for a dimension."""

    dimension: str
    table: str
    column: str | None
    assessed: int
    failed: int
    sentence: str = ""


def score(
    tables: Sequence[TableFacts],
    verdicts: Sequence[TypeVerdict],
    relation_facts: Sequence[KeyFacts],
    weights: Mapping[str, float],
) -> Score:
    """Weigh the facts against the verdicts.  ``weights`` by dimension; they need not add up to 100."""
    judged = {(v.table, v.column): v for v in verdicts if not v.left_out}
    tallies = [t for table in tables for t in _of_table(table, judged)]
    tallies += [_integrity(r) for r in relation_facts if r.origin == "declared" and r.rows > r.null_rows]
    dimensions = {
        name: Dimension(
            weights[name],
            sum(t.assessed for t in tallies if t.dimension == name),
            sum(t.failed for t in tallies if t.dimension == name),
        )
        for name in DIMENSIONS
    }
    counted = sum(d.weight for d in dimensions.values() if d.assessed)
    if not counted:
        return Score(0.0, dimensions, ())
    receipts = []
    for tally in tallies:
        if tally.failed:
            dimension = dimensions[tally.dimension]
            points = 100.0 * dimension.weight / counted * tally.failed / dimension.assessed
            receipts.append(
                Receipt(tally.dimension, tally.table, tally.column, tally.failed, points, points, tally.sentence)
            )
    receipts.sort(key=lambda r: -r.points)
    return Score(max(0.0, 100.0 - sum(r.points for r in receipts)), dimensions, tuple(receipts))


def _of_table(table: TableFacts, judged: Mapping[tuple[str, str], TypeVerdict]) -> Iterator[_Tally]:
    key_columns = {c for k in table.keys for c in k.columns}
    for column in table.columns:
        verdict = judged.get((table.table, column.column))
        if verdict is not None and column.rows:
            yield from _completeness(column, column.column in key_columns)
            yield from _validity(column, verdict)
            yield from _consistency(column, verdict)
    if table.rows:
        said = f"{table.duplicate_rows:,} rows of {table.table} are there twice"
        yield _Tally("uniqueness", table.table, None, table.rows, table.duplicate_rows, said)
    for key in table.keys:
        if key.rows:
            failed = min(key.rows, key.duplicate_rows + (key.null_rows if key.kind == "primary" else 0))
            said = f"{failed:,} rows of {table.table} have a NULL or repeated key ({', '.join(key.columns)})"
            yield _Tally("uniqueness", table.table, None, key.rows, failed, said)


def _completeness(column: ColumnFacts, in_key: bool) -> Iterator[_Tally]:
    if in_key or column.missing <= (1 - OUGHT_TO_BE_FULL) * column.rows:
        said = f"{column.missing:,} values of {column.table}.{column.column} are missing, where nearly all are there"
        yield _Tally("completeness", column.table, column.column, column.rows, column.missing, said)


def _validity(column: ColumnFacts, verdict: TypeVerdict) -> Iterator[_Tally]:
    kind = TargetType.parse(verdict.chosen).kind
    name = f"{column.table}.{column.column}"
    assessed = column.rows - column.nulls - column.marked
    if not assessed:
        return
    if kind in DATE_KINDS and column.dates is not None:
        repairable = column.dates.convertible
        failed = repairable + column.dates.unreadable + column.dates.numeric + column.blobs + column.empties
        said = f"{failed:,} values of {name} are no ISO date ({repairable:,} can be rewritten)"
    elif verdict.mismatched:
        failed, said = column.misfits, f"{column.misfits:,} values of {name} are not what the column is declared as"
    elif kind in (Kind.TEXT, Kind.BYTES):
        failed = column.misfits if column.proposed is kind else column.with_nul + column.invalid_utf8
        said = f"{failed:,} texts of {name} cannot be loaded as they are"
    else:
        failed = column.misfits + column.empties
        said = f"{failed:,} values of {name} are no {verdict.chosen}"
    yield _Tally("validity", column.table, column.column, assessed, min(failed, assessed), said)


def _consistency(column: ColumnFacts, verdict: TypeVerdict) -> Iterator[_Tally]:
    dates = column.dates
    if dates is None or TargetType.parse(verdict.chosen).kind not in DATE_KINDS:
        return
    readable = dates.iso + dates.convertible
    if not readable:
        return
    name = f"{column.table}.{column.column}"
    usual = max(dates.shapes.values(), default=0)
    odd = max(0, readable - usual)
    said = f"{odd:,} dates of {name} are written in another way than most, {dates.future:,} lie in the future"
    yield _Tally("consistency", column.table, column.column, readable, min(readable, odd + dates.future), said)


def _integrity(relation: KeyFacts) -> _Tally:
    said = f"{relation.orphan_rows:,} rows of {relation.table} have no parent in {relation.parent}"
    column = relation.columns[0] if len(relation.columns) == 1 else None
    return _Tally("integrity", relation.table, column, relation.rows - relation.null_rows, relation.orphan_rows, said)
