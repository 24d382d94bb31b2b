"""What is different about this source, compared with the version that readers have now.  Pure.

The live version is measured by ``postgres.livefacts``; both sides are compared under the names and types that the
target has, after everything that cleaning would turn NULL counts as missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from sdetl_engine.findings import Evidence, Finding
from sdetl_engine.rules import RULES
from sdetl_engine.values.encodings import visible
from sdetl_engine.wording import counted

_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class DriftLimits:
    """From where on a change is worth saying; all as in the settings ``drift.*``."""

    rows: float
    """Share by which the rows of a table may change."""
    nulls: float
    """Points (0..1) by which the share of missing values of a column may change."""
    categories: int
    """Least number of new values in a column of few values."""


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnState:
    """A column on one side: its PostgreSQL type, and how many of the table's rows have no value there."""

    type: str
    missing: int


@dataclasses.dataclass(frozen=True, slots=True)
class TableState:
    """A table on one side, under its name in the target."""

    rows: int
    columns: Mapping[str, ColumnState]


def drift_findings(
    live: Mapping[str, TableState],
    coming: Mapping[str, TableState],
    new_values: Mapping[tuple[str, str], Sequence[str]],
    limits: DriftLimits,
) -> tuple[Finding, ...]:
    """Findings about tables and columns that were gained, lost or changed.  ``new_values`` by table and column."""
    found: list[Finding] = []
    for name in sorted(live.keys() - coming.keys()):
        said = f"table {name} is in the live version ({counted(live[name].rows, 'row')}) and not in this source"
        found.append(_finding("DRIFT-TABLE-LOST", said, name, count=live[name].rows))
    for name in sorted(coming.keys() - live.keys()):
        said = f"table {name} is new ({counted(coming[name].rows, 'row')})"
        found.append(_finding("DRIFT-TABLE-NEW", said, name, count=coming[name].rows))
    for name in sorted(live.keys() & coming.keys()):
        found += _of_table(name, live[name], coming[name], new_values, limits)
    return tuple(found)


def _of_table(
    table: str,
    live: TableState,
    coming: TableState,
    new_values: Mapping[tuple[str, str], Sequence[str]],
    limits: DriftLimits,
) -> Iterator[Finding]:
    yield from _of_rows(table, live.rows, coming.rows, limits.rows)
    for column in _in_order(live.columns, coming.columns):
        said = f"column {table}.{column} is in the live version and not in this source"
        yield _finding("DRIFT-COLUMN-LOST", said, table, column)
    for column in _in_order(coming.columns, live.columns):
        yield _finding("DRIFT-COLUMN-NEW", f"column {table}.{column} is new", table, column)
    for column, before in live.columns.items():
        after = coming.columns.get(column)
        if after is None:
            continue
        if before.type != after.type:
            said = f"{table}.{column} was {before.type} and becomes {after.type}"
            yield _finding("DRIFT-TYPE", said, table, column)
        yield from _of_missing(
            table, column, _Share(before.missing, live.rows), _Share(after.missing, coming.rows), limits
        )
        values = new_values.get((table, column), ())
        if len(values) >= limits.categories:
            yield _of_values(table, column, values)


def _of_rows(table: str, before: int, after: int, limit: float) -> Iterator[Finding]:
    if before == after or abs(after - before) <= limit * before:
        return
    said = f"{table} had {counted(before, 'row')} and has {after:,}" + (
        f" ({after / before - 1:+.0%})" if before else ""
    )
    rule = "DRIFT-ROWS-LOST" if after < before else "DRIFT-ROWS-MORE"
    yield _finding(
        rule, said, table, count=abs(after - before), fraction=abs(after - before) / before if before else None
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Share:
    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else 0.0


def _of_missing(table: str, column: str, before: _Share, after: _Share, limits: DriftLimits) -> Iterator[Finding]:
    if not before.of or not after.of or abs(after.value - before.value) <= limits.nulls:
        return
    said = f"{table}.{column} was missing in {before.value:.1%} of the rows and is in {after.value:.1%}"
    yield _finding("DRIFT-NULLS", said, table, column, count=after.count, fraction=after.value)


def _of_values(table: str, column: str, values: Sequence[str]) -> Finding:
    what = "value" if len(values) == 1 else "values"
    found = _finding(
        "DRIFT-CATEGORY", f"{len(values)} {what} of {table}.{column} are new", table, column, count=len(values)
    )
    return dataclasses.replace(found, evidence=tuple(Evidence("", visible(value)) for value in values[:_MOST_NAMED]))


def _finding(
    rule: str,
    message: str,
    table: str,
    column: str | None = None,
    *,
    count: int = 0,
    fraction: float | None = None,
) -> Finding:
    known = RULES[rule]
    return Finding(
        rule,
        known.severity,
        message,
        known.advice[0].lower() + known.advice[1:].rstrip("."),
        table=table,
        column=column,
        count=count,
        fraction=fraction,
        choices=known.choices,
    )


def _in_order(names: Mapping[str, object], without: Collection[str]) -> list[str]:
    return [name for name in names if name not in without]
