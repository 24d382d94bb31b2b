"""The quality score: five dimensions, 0..100, and a receipt for every point lost.

Each dimension counts what it assessed and what failed; its score is the share that did not fail.  The total is the
weighted mean of the dimensions that had anything to assess: a dimension without evidence is left out, not perfect.
Points lost add up exactly: each receipt is its count's share of its dimension's weight.

completeness  values of columns that ought to be full: primary keys, NOT NULL columns, dates of creation, and columns
              that are filled in at least 95 % of the rows.  Half-empty optional columns are normal in ticket systems.
validity      values of columns whose type can refuse one (dates, numbers, booleans, ..., what is declared so and is
              not), that can be loaded as they are.  Texts are assessed where they hold what PostgreSQL refuses.
              What cleaning can repair counts as failed before it: dates in another shape, ``''``, declared marks.
consistency   dates of a column written one way, and not in the future
uniqueness    rows that are not there twice, keys that occur once
integrity     rows whose declared parent exists (relations that nobody declared are told, not weighed)
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from sdetl_engine.profiling.facts import ColumnFacts, DateFacts, KeyFacts, TableFacts, TypeVerdict
from sdetl_engine.profiling.verdict import misfits_of
from sdetl_engine.values.dates import ISO_SHAPES
from sdetl_engine.values.schema import Schema
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType
from sdetl_engine.wording import counted, inflected

DIMENSIONS = ("completeness", "validity", "consistency", "uniqueness", "integrity")
OUGHT_TO_BE_FULL = 0.95
_BEGINNING = re.compile(r"(?:^|[^a-z])(?:created|creation|opened|reported|submitted|registered|logged)", re.IGNORECASE)


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

    @property
    def is_empty(self) -> bool:
        """True when there was nothing to assess at all."""
        return not any(d.assessed and d.weight for d in self.dimensions.values())


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
    schema: Schema | None = None,
) -> Score:
    """Weigh the facts against the verdicts.

    ``weights`` by dimension; they need not add up to 100.  ``schema`` tells which columns are NOT NULL.
    """
    judged = {(v.table, v.column): v for v in verdicts if not v.left_out}
    not_null = {(t.name, c.name) for t in schema.tables for c in t.columns if c.not_null} if schema else set()
    tallies = [tally for table in tables for tally in _of_table(table, judged, not_null)]
    tallies += [_integrity(r) for r in relation_facts if r.origin == "declared" and r.rows > r.null_rows]
    dimensions = {name: _dimension(name, weights[name], tallies) for name in DIMENSIONS}
    counted = sum(d.weight for d in dimensions.values() if d.assessed)
    if not counted:
        return Score(0.0, dimensions, ())
    receipts = [_receipt(t, dimensions[t.dimension], counted) for t in tallies if t.failed]
    receipts = sorted((r for r in receipts if r.points), key=lambda r: -r.points)
    return Score(max(0.0, 100.0 - sum(r.points for r in receipts)), dimensions, tuple(receipts))


def _dimension(name: str, weight: float, tallies: Sequence[_Tally]) -> Dimension:
    mine = [t for t in tallies if t.dimension == name]
    return Dimension(weight, sum(t.assessed for t in mine), sum(t.failed for t in mine))


def _receipt(tally: _Tally, dimension: Dimension, counted: float) -> Receipt:
    # Repairing values leaves them assessed, so that exactly the points they cost come back.
    points = 100.0 * dimension.weight / counted * tally.failed / dimension.assessed
    return Receipt(tally.dimension, tally.table, tally.column, tally.failed, points, points, tally.sentence)


def _of_table(
    table: TableFacts, judged: Mapping[tuple[str, str], TypeVerdict], not_null: set[tuple[str, str]]
) -> Iterator[_Tally]:
    must = {column for key in table.keys if key.kind == "primary" for column in key.columns}
    must |= {c.column for c in table.columns if (table.table, c.column) in not_null}
    for column in table.columns:
        verdict = judged.get((table.table, column.column))
        if verdict is not None and column.rows:
            if column.column in must or _ought_to_be_full(column, verdict):
                yield _completeness(column)
            yield from _validity(column, verdict)
            yield from _consistency(column, verdict)
    yield from _uniqueness(table)


def _ought_to_be_full(column: ColumnFacts, verdict: TypeVerdict) -> bool:
    if column.missing <= (1 - OUGHT_TO_BE_FULL) * column.rows:
        return True
    is_date = _kind(verdict) in DATE_KINDS or verdict.declared_kind in DATE_KINDS
    return is_date and column.present > 0 and _BEGINNING.search(column.column) is not None


def _kind(verdict: TypeVerdict) -> Kind:
    return TargetType.parse(verdict.chosen).kind


def _completeness(column: ColumnFacts) -> _Tally:
    said = f"{counted(column.missing, 'value')} of {column.table}.{column.column} {inflected(column.missing, 'is', 'are')} missing, where all ought to be there"
    return _Tally("completeness", column.table, column.column, column.rows, column.missing, said)


def _validity(column: ColumnFacts, verdict: TypeVerdict) -> Iterator[_Tally]:
    kind, name = _kind(verdict), f"{column.table}.{column.column}"
    assessed = column.rows - column.nulls
    failed = _invalid(column, verdict, kind)
    if kind in (Kind.TEXT, Kind.BYTES) and not verdict.mismatched:
        assessed = assessed if failed else 0
        said = f"{failed:,} texts of {name} cannot be loaded as they are"
    elif verdict.mismatched:
        said = f"{counted(failed, 'value')} of {name} {inflected(failed, 'is', 'are')} not the {verdict.declared} that the column is declared as"
    elif kind in DATE_KINDS and column.dates is not None:
        missing = column.empties + column.marked
        repair = f"{column.dates.convertible:,} can be rewritten, {missing:,} mean missing"
        said = f"{counted(failed, 'value')} of {name} {inflected(failed, 'is', 'are')} no ISO date ({repair})"
    else:
        said = f"{counted(failed, 'value')} of {name} {inflected(failed, 'is', 'are')} no {verdict.chosen}"
    if assessed:
        yield _Tally("validity", column.table, column.column, assessed, min(failed, assessed), said)


def _invalid(column: ColumnFacts, verdict: TypeVerdict, kind: Kind) -> int:
    """Values that are not as their type wants them, those included that cleaning repairs."""
    if verdict.mismatched:
        return column.misfits
    if kind in (Kind.TEXT, Kind.BYTES):
        return misfits_of(column, kind)
    repairable = column.empties + column.marked + (column.dates.convertible if column.dates is not None else 0)
    return misfits_of(column, kind) + repairable


def _consistency(column: ColumnFacts, verdict: TypeVerdict) -> Iterator[_Tally]:
    dates = column.dates
    if dates is None or _kind(verdict) not in DATE_KINDS:
        return
    readable = dates.iso + dates.convertible
    odd = readable - _usual(dates)
    said = (
        f"{counted(odd, 'date')} of {column.table}.{column.column} are written in another way than most, "
        f"{dates.future:,} lie in the future"
    )
    if readable:
        failed = min(readable, odd + dates.future)
        yield _Tally("consistency", column.table, column.column, readable, failed, said)


def _usual(dates: DateFacts) -> int:
    """Dates written in the way that most are.  ISO with and without a fraction or a time is one way."""
    ways: collections.Counter[str] = collections.Counter()
    for shape, count in dates.shapes.items():
        ways["ISO" if shape in ISO_SHAPES else re.split("[ T][HD]", shape)[0]] += count
    return min(max(ways.values(), default=0), dates.iso + dates.convertible)


def _uniqueness(table: TableFacts) -> Iterator[_Tally]:
    if table.rows:
        said = f"{counted(table.duplicate_rows, 'row')} of {table.table} {inflected(table.duplicate_rows, 'is', 'are')} there twice"
        yield _Tally("uniqueness", table.table, None, table.rows, table.duplicate_rows, said)
    for key in table.keys:
        if key.rows:
            failed = min(key.rows, key.duplicate_rows + (key.null_rows if key.kind == "primary" else 0))
            said = f"{counted(failed, 'row')} of {table.table} {inflected(failed, 'has', 'have')} a NULL or repeated key ({', '.join(key.columns)})"
            yield _Tally("uniqueness", table.table, None, key.rows, failed, said)


def _integrity(relation: KeyFacts) -> _Tally:
    said = f"{counted(relation.orphan_rows, 'row')} of {relation.table} {inflected(relation.orphan_rows, 'has', 'have')} no parent in {relation.parent}"
    column = relation.columns[0] if len(relation.columns) == 1 else None
    return _Tally("integrity", relation.table, column, relation.rows - relation.null_rows, relation.orphan_rows, said)
