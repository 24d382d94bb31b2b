"""What cleaning does to one cell, as SQL: which cells change, into what, and which rule explains a change."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from sdetl_engine.errors import UsageError
from sdetl_engine.sqlite import iso
from sdetl_engine.sqlite.addressing import row_key
from sdetl_engine.sqlite.open import quote
from sdetl_engine.values import dates
from sdetl_engine.values.schema import Column, Schema, Table


class Rule(enum.StrEnum):
    """Why a cell was changed, as the ledger calls it."""

    DATE_TO_ISO = "date_to_iso"
    MARK_TO_NULL = "mark_to_null"
    EMPTY_TO_NULL = "empty_to_null"


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnRules:
    """What may be done to the texts of a column; numbers, BLOBs and NULLs are never touched.

    ``day_first`` settles D/M against M/D (None: only dates that leave no doubt are rewritten); ``marks`` are texts that
    mean missing, compared exactly; so does ``''`` with ``empty_to_null``.
    """

    to_iso: bool = False
    day_first: bool | None = None
    marks: tuple[str, ...] = ()
    empty_to_null: bool = False

    @property
    def nulls(self) -> bool:
        """True when some text becomes NULL."""
        return bool(self.marks) or self.empty_to_null

    @property
    def missing(self) -> tuple[str, ...]:
        """Every text that means missing."""
        return (*self.marks, *([""] if self.empty_to_null else []))


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnRewriting:
    """The rules of one column that its table allows, and those it does not, with the reason."""

    column: str
    rules: ColumnRules
    forbidden: ColumnRules | None = None
    why: str = ""

    @property
    def is_active(self) -> bool:
        """True when anything may change."""
        return self.rules.to_iso or self.rules.nulls


@dataclasses.dataclass(frozen=True, slots=True)
class TableRewriting:
    """A table and what is done to its columns; ``columns`` may be empty."""

    table: Table
    columns: tuple[ColumnRewriting, ...]

    @property
    def active(self) -> tuple[ColumnRewriting, ...]:
        """The columns in which anything may change."""
        return tuple(column for column in self.columns if column.is_active)


def plan_rewriting(schema: Schema, rules: Mapping[tuple[str, str], ColumnRules]) -> tuple[TableRewriting, ...]:
    """Every table of the schema with the rules for its columns, held against what the table allows.

    Raises UsageError when a rule names a column that is not there.
    """
    known = {(table.name, column.name) for table in schema.tables for column in table.columns}
    for table_name, column_name in rules.keys() - known:
        raise UsageError(f"there is no column {table_name}.{column_name} to clean", next_step="correct the plan")
    return tuple(
        TableRewriting(
            table,
            tuple(
                _allowed(schema, table, column, rules[table.name, column.name])
                for column in table.columns
                if (table.name, column.name) in rules
            ),
        )
        for table in schema.tables
    )


def changes(rules: ColumnRules, term: str) -> str:
    """A condition: 1 when cleaning changes the value of ``term``, else 0."""
    date = f"coalesce({iso.to_iso(term, rules.day_first)} <> {_bytes(term)}, 0)" if rules.to_iso else "0"
    return _by_case(rules, term, stays="0", missing="1", otherwise=date)


def may_change(rules: ColumnRules, term: str) -> str:
    """A cheaper condition that is true wherever `changes` is, and for texts that turn out to be no dates."""
    return _by_case(rules, term, stays="0", missing="1", otherwise=str(int(rules.to_iso)))


def cleaned(rules: ColumnRules, term: str) -> str:
    """A term: what the value of ``term`` becomes; itself when nothing is to be done."""
    if not rules.to_iso:
        return _by_case(rules, term, stays=term, missing="NULL", otherwise=term)
    date = iso.to_iso(term, rules.day_first)
    value = f"coalesce({date}, {term})"
    # A date that is declared to mean missing means so in every spelling.
    if marks := _dates_among(rules.marks):
        value = f"CASE WHEN coalesce({date} IN ({marks}), 0) THEN NULL ELSE {value} END"
    return _by_case(rules, term, stays=term, missing="NULL", otherwise=value)


def explained_by(rules: ColumnRules, before: str, after: str) -> Mapping[Rule, str]:
    """For each rule in force the condition that it turned ``before`` into ``after``; they exclude each other."""
    was_text = f"typeof({before}) = 'text'"
    conditions = {}
    if rules.empty_to_null:
        conditions[Rule.EMPTY_TO_NULL] = f"{after} IS NULL AND {was_text} AND {_bytes(before)} = ''"
    if rules.marks:
        is_mark = f"{_bytes(before)} IN ({_literals(rules.marks)})"
        if rules.to_iso and (marks := _dates_among(rules.marks)):
            is_mark = f"({is_mark} OR coalesce({iso.to_iso(before, rules.day_first)} IN ({marks}), 0))"
        conditions[Rule.MARK_TO_NULL] = f"{after} IS NULL AND {was_text} AND {is_mark}" + (
            f" AND {_bytes(before)} <> ''" if rules.empty_to_null else ""
        )
    if rules.to_iso:
        conditions[Rule.DATE_TO_ISO] = f"{was_text} AND typeof({after}) = 'text' AND {iso.is_iso(after)}"
    return conditions


def _by_case(rules: ColumnRules, term: str, *, stays: str, missing: str, otherwise: str) -> str:
    """The outline of cleaning: what already is right, what is no text, what means missing, and the rest."""
    right = [f"WHEN {iso.never_changes(term)} THEN {stays}"] if rules.to_iso else []
    not_text = [f"WHEN typeof({term}) <> 'text' THEN {stays}"]
    marks = [f"WHEN {_bytes(term)} IN ({_literals(rules.missing)}) THEN {missing}"] if rules.nulls else []
    # ISO dates are nearly all there is in most columns, so they are asked for first, unless one of them is a mark.
    branches = [*not_text, *marks, *right] if _dates_among(rules.marks) else [*right, *not_text, *marks]
    return f"CASE {' '.join(branches)} ELSE {otherwise} END"


def _bytes(term: str) -> str:
    """The term without its column's affinity and collation: compared byte by byte."""
    return f"(+{term} COLLATE BINARY)"


def _dates_among(marks: tuple[str, ...]) -> str:
    return _literals(tuple(mark for mark in marks if (reading := dates.read_date(mark)) and reading.is_iso))


def _literals(texts: tuple[str, ...]) -> str:
    return ", ".join("'" + text.replace("'", "''").replace("\0", "' || char(0) || '") + "'" for text in texts)


def _allowed(schema: Schema, table: Table, column: Column, rules: ColumnRules) -> ColumnRewriting:
    nothing = ColumnRules()
    if why := _why_never(table, column):
        return ColumnRewriting(column.name, nothing, forbidden=rules, why=why)
    if rules.nulls and (why := _why_not_null(schema, table, column)):
        only_dates = dataclasses.replace(rules, marks=(), empty_to_null=False)
        only_nulls = dataclasses.replace(rules, to_iso=False)
        return ColumnRewriting(column.name, only_dates, forbidden=only_nulls, why=why)
    return ColumnRewriting(column.name, rules)


def _why_never(table: Table, column: Column) -> str:
    if column.generated:
        return "the column is computed from others"
    if not table.has_rowid and column.key_position:
        return "the column is part of the key by which rows of this WITHOUT ROWID table are known"
    if row_key(table) is None:
        return "columns have taken all names of the rowid, so that no row of the table can be named"
    return ""


def _why_not_null(schema: Schema, table: Table, column: Column) -> str:
    if column.not_null:
        return "the column is NOT NULL"
    if column.key_position:
        return "the column is part of the primary key"
    if any(
        key.parent.lower() == table.name.lower() and column.name in key.parent_columns
        for other in schema.tables
        for key in other.foreign_keys
    ):
        return "a foreign key refers to the column"
    return ""


def may_be_refused(rewriting: TableRewriting) -> bool:
    """True when a UNIQUE, PRIMARY KEY or CHECK of the table could stand against a cleaned value."""
    table = rewriting.table
    names = {column.column for column in rewriting.active}
    if table.checks or "check" in table.sql.lower() or names & set(table.primary_key):
        return True
    return any(
        index.unique and any(term.column is None or term.column in names for term in index.terms)
        for index in table.indexes
    )


def quoted(rewriting: ColumnRewriting) -> str:
    """The column's name as it stands in SQL."""
    return quote(rewriting.column)
