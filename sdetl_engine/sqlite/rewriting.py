"""What cleaning does to one cell, as SQL: which cells change, into what, and which rule explains a change."""

from __future__ import annotations

import dataclasses
import enum
import sqlite3
from collections.abc import Mapping

from sdetl_engine.errors import UsageError
from sdetl_engine.sqlite import decode, iso
from sdetl_engine.sqlite.addressing import row_key
from sdetl_engine.sqlite.open import quote
from sdetl_engine.values import dates
from sdetl_engine.values.agreement import NOTHING_AGREED, Agreement
from sdetl_engine.values.schema import Column, Schema, Table


class Rule(enum.StrEnum):
    """Why a cell was changed, as the ledger calls it."""

    DATE_TO_ISO = "date_to_iso"
    NUMBER_TO_DATE = "number_to_date"
    ZONE_NAMED = "zone_named"
    TEXT_DECODED = "text_decoded"
    MARK_TO_NULL = "mark_to_null"
    EMPTY_TO_NULL = "empty_to_null"


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnRules:
    """What may be done to the texts of a column; BLOBs and NULLs are never touched, and numbers only where it was agreed.

    ``day_first`` settles D/M against M/D (None: only dates that leave no doubt are rewritten); ``marks`` are texts that
    mean missing, compared exactly; so does ``''`` with ``empty_to_null``.  ``agreement``: what else was agreed about the
    dates.  ``decode``: rules for texts that PostgreSQL cannot hold, applied before all others.
    """

    to_iso: bool = False
    day_first: bool | None = None
    marks: tuple[str, ...] = ()
    empty_to_null: bool = False
    agreement: Agreement = NOTHING_AGREED
    decode: tuple[str, ...] = ()

    def iso(self, value: str | float) -> str | None:
        """What a date of the column is rewritten to, by the rule in Python; None where it is left."""
        if self.agreement:
            return self.agreement.iso(value, self.day_first)
        return dates.to_iso(value, self.day_first) if isinstance(value, str) else None

    @property
    def is_active(self) -> bool:
        """True when anything may change."""
        return self.to_iso or self.nulls or bool(self.decode)

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
        return self.rules.is_active


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


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to the connection that the SQL of this module calls."""
    iso.register(connection)
    decode.register(connection)


def changes(rules: ColumnRules, term: str) -> str:
    """A condition: 1 when cleaning changes the value of ``term``, else 0."""
    text = _text(rules, term)
    date = f"coalesce({_iso(rules, text)} <> {_bytes(text)}, 0)" if rules.to_iso else "0"
    changed = _by_case(rules, text, stays="0", missing="1", otherwise=date)
    return f"({changed} OR {_is_other(text, term)})" if rules.decode else changed


def may_change(rules: ColumnRules, term: str) -> str:
    """A cheaper condition that is true wherever `changes` is, and for texts that turn out to be no dates."""
    text = _text(rules, term)
    changed = _by_case(rules, text, stays="0", missing="1", otherwise=str(int(rules.to_iso)))
    return f"({changed} OR {_is_other(text, term)})" if rules.decode else changed


def cleaned(rules: ColumnRules, term: str) -> str:
    """A term: what the value of ``term`` becomes; itself when nothing is to be done."""
    text = _text(rules, term)
    if not rules.to_iso:
        return _by_case(rules, text, stays=text, missing="NULL", otherwise=text)
    date = _iso(rules, text)
    value = f"coalesce({date}, {text})"
    # A date that is declared to mean missing means so in every spelling.
    if marks := _dates_among(rules):
        value = f"CASE WHEN coalesce({date} IN ({marks}), 0) THEN NULL ELSE {value} END"
    return _by_case(rules, text, stays=text, missing="NULL", otherwise=value)


def explained_by(rules: ColumnRules, before: str, after: str) -> Mapping[Rule, str]:
    """For each rule in force the condition that it turned ``before`` into ``after``; they exclude each other."""
    text = _text(rules, before)
    was_text = f"typeof({before}) = 'text'"
    conditions = {}
    if rules.decode:
        conditions[Rule.TEXT_DECODED] = f"{was_text} AND {after} IS {text} COLLATE BINARY AND typeof({after}) = 'text'"
    if rules.empty_to_null:
        conditions[Rule.EMPTY_TO_NULL] = f"{after} IS NULL AND {was_text} AND {_bytes(text)} = ''"
    if rules.marks:
        is_mark = f"{was_text} AND {_bytes(text)} IN ({_literals(rules.marks)})"
        if rules.to_iso and (marks := _dates_among(rules)):
            is_mark = f"({is_mark} OR coalesce({_iso(rules, text)} IN ({marks}), 0))"
        conditions[Rule.MARK_TO_NULL] = f"{after} IS NULL AND {is_mark}" + (
            f" AND {_bytes(text)} <> ''" if rules.empty_to_null else ""
        )
    if rules.to_iso:
        is_date = f"typeof({after}) = 'text' AND {iso.is_iso(after)}"
        is_date += f" AND {_is_other(after, text)}" if rules.decode else ""
        conditions |= _dates_explained(rules, text, after, is_date)
    return conditions


def _dates_explained(rules: ColumnRules, before: str, after: str, is_date: str) -> Mapping[Rule, str]:
    """Numbers became dates, texts were written as ISO has them, and where only a zone was added that is said."""
    conditions = {Rule.DATE_TO_ISO: f"typeof({before}) = 'text' AND {is_date}"}
    if rules.agreement.numbers is not None:
        conditions[Rule.NUMBER_TO_DATE] = f"typeof({before}) IN ('integer', 'real') AND {is_date}"
    if rules.agreement.zone is not None:
        without = iso.to_iso(before, rules.day_first, dataclasses.replace(rules.agreement, zone=None))
        unzoned = f"CASE WHEN {iso.never_changes(before)} THEN {before} ELSE coalesce({without}, '') END"
        zoned = f"{unzoned} IS NOT {after} COLLATE BINARY"
        conditions[Rule.ZONE_NAMED] = f"{conditions[Rule.DATE_TO_ISO]} AND {zoned}"
        conditions[Rule.DATE_TO_ISO] += f" AND NOT ({zoned})"
    return conditions


def _by_case(rules: ColumnRules, term: str, *, stays: str, missing: str, otherwise: str) -> str:
    """The outline of cleaning: what already is right, what is no text, what means missing, and the rest."""
    is_right = iso.has_offset(term) if rules.agreement.zone else iso.never_changes(term)
    right = [f"WHEN {is_right} THEN {stays}"] if rules.to_iso else []
    other = "<> 'text'" if rules.agreement.numbers is None else "NOT IN ('text', 'integer', 'real')"
    not_dated = [f"WHEN typeof({term}) {other} THEN {stays}"]
    marks = [f"WHEN {_bytes(term)} IN ({_literals(rules.missing)}) THEN {missing}"] if rules.nulls else []
    # ISO dates are nearly all there is in most columns, so they are asked for first, unless one of them is a mark.
    branches = [*not_dated, *marks, *right] if _dates_among(rules) else [*right, *not_dated, *marks]
    return f"CASE {' '.join(branches)} ELSE {otherwise} END"


def _text(rules: ColumnRules, term: str) -> str:
    """The term as it is decoded."""
    return f"({decode.decoded_sql(term, rules.decode)})" if rules.decode else term


def _iso(rules: ColumnRules, term: str) -> str:
    return iso.to_iso(term, rules.day_first, rules.agreement)


def _is_other(one: str, other: str) -> str:
    return f"{one} IS NOT {other} COLLATE BINARY"


def _bytes(term: str) -> str:
    """The term without its column's affinity and collation: compared byte by byte."""
    return f"(+{term} COLLATE BINARY)"


def _dates_among(rules: ColumnRules) -> str:
    """The marks that are dates, as literals; of a column whose dates get an offset, with it, too."""
    dated = [mark for mark in rules.marks if (reading := dates.read_date(mark)) and reading.is_iso]
    return _literals(
        tuple(dict.fromkeys([*dated, *(rules.iso(mark) or mark for mark in dated), *_at_utc(rules, dated)]))
    )


def _at_utc(rules: ColumnRules, dated: list[str]) -> list[str]:
    return [] if rules.agreement.numbers is None else [f"{mark}+00:00" for mark in dated if mark[-6] not in "+-"]


def _literals(texts: tuple[str, ...]) -> str:
    return ", ".join("'" + text.replace("'", "''").replace("\0", "' || char(0) || '") + "'" for text in texts)


def _allowed(schema: Schema, table: Table, column: Column, rules: ColumnRules) -> ColumnRewriting:
    nothing = ColumnRules()
    if why := _why_never(table, column):
        return ColumnRewriting(column.name, nothing, forbidden=rules, why=why)
    if rules.nulls and (why := _why_not_null(schema, table, column)):
        only_dates = dataclasses.replace(rules, marks=(), empty_to_null=False)
        only_nulls = dataclasses.replace(rules, to_iso=False, decode=())
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
