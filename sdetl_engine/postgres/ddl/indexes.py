"""Primary keys, unique constraints and indexes of the target: kept where the data allows, else said why not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from sdetl_engine.postgres.ddl.drafts import LONGEST_INDEXED, TableDraft, is_long, null_rows
from sdetl_engine.postgres.dialect import terms
from sdetl_engine.postgres.dialect.terms import Term, Untranslatable
from sdetl_engine.postgres.dialect.translate import translate_condition, translate_expression
from sdetl_engine.postgres.names import NameSpace, quoted
from sdetl_engine.postgres.plan import ColumnPlan, IndexPlan, NotMigrated, UniquePlan
from sdetl_engine.values.schema import Index, IndexTerm
from sdetl_engine.values.types import Kind
from sdetl_engine.wording import counted as many
from sdetl_engine.wording import inflected


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedKeys:
    """Keys and indexes of one table.  ``unique_columns``: the sets of columns that a foreign key may point at."""

    primary_key: tuple[str, ...] = ()
    primary_key_name: str = ""
    uniques: tuple[UniquePlan, ...] = ()
    indexes: tuple[IndexPlan, ...] = ()
    missed: tuple[NotMigrated, ...] = ()
    unique_columns: frozenset[frozenset[str]] = frozenset()

    def __add__(self, other: PlannedKeys) -> PlannedKeys:
        return PlannedKeys(
            self.primary_key or other.primary_key,
            self.primary_key_name or other.primary_key_name,
            self.uniques + other.uniques,
            self.indexes + other.indexes,
            self.missed + other.missed,
            self.unique_columns | other.unique_columns,
        )

    def has_index(self, definition: str) -> bool:
        """True when an index, or the one behind a key, is defined just so."""
        keys = [self.primary_key, *(u.columns for u in self.uniques)]
        return definition in {i.definition for i in self.indexes} | {_btree(map(quoted, k)) for k in keys if k}


def plan_primary_key(draft: TableDraft, names: NameSpace) -> PlannedKeys:
    """The primary key, or an index in its place with the reason."""
    source = draft.source
    if not source.primary_key:
        return PlannedKeys()
    listed = ", ".join(source.primary_key)
    columns = draft.planned(source.primary_key)
    if columns is None:
        return PlannedKeys(missed=(NotMigrated("primary key", listed, source.name, "a column of it is left out"),))
    terms_of_key = tuple(IndexTerm(c, collation=source.column(c).collation) for c in source.primary_key)
    key = Index("", terms_of_key, unique=True, origin="pk")
    obstacle, reasons = _obstacle(draft, key, columns, "primary"), _reasons_of_columns(draft, columns)
    if obstacle is None and not reasons:
        made = names.take(f"{draft.name}_pkey")
        kept = tuple(c.name for c in columns)
        planned = PlannedKeys(kept, made, unique_columns=frozenset({frozenset(kept)}))
        # Under COLLATE NOCASE a and A are one key in SQLite; PostgreSQL's key keeps them apart, this index does not.
        return planned + plan_index(draft, key, names) if _is_folded(draft, key) else planned
    missed = NotMigrated("primary key", listed, source.name, "; ".join([*reasons, *([obstacle] if obstacle else [])]))
    # NULLs differ from each other in both databases, so a unique index still holds what SQLite held.
    in_its_place = dataclasses.replace(key, unique=obstacle is None)
    return PlannedKeys(missed=(missed,)) + plan_index(draft, in_its_place, names)


def plan_index(
    draft: TableDraft, index: Index, names: NameSpace, *, name: str | None = None, origin: str = "source"
) -> PlannedKeys:
    """A unique constraint or an index.  ``name``: the name it has to have; one is made when there is none."""
    what = "unique constraint" if index.origin == "u" else "index"
    label = index.name if name is not None else _spoken(index)
    try:
        columns = _columns_of(draft, index)
        obstacle = _obstacle(draft, index, columns, "unique") if index.unique else None
        if obstacle is not None:
            missed = NotMigrated(what, label, draft.source.name, f"built without UNIQUE: {obstacle}")
            plain = dataclasses.replace(index, unique=False)
            return PlannedKeys(missed=(missed,)) + plan_index(draft, plain, names, name=name, origin=origin)
        plan, note = _index_plan(draft, index, columns, origin)
    except Untranslatable as answer:
        return PlannedKeys(missed=(NotMigrated(what, label, draft.source.name, str(answer), _definition(index)),))
    made = name or names.take("_".join([draft.name, *(c.name for c in columns), "key" if index.unique else "idx"]))
    planned = PlannedKeys(
        missed=(NotMigrated(what, label, draft.source.name, note),) if note else (),
        unique_columns=frozenset({frozenset(c.name for c in columns)})
        if _can_be_pointed_at(draft, index, columns)
        else frozenset(),
    )
    if index.origin == "u" and planned.unique_columns:
        return planned + PlannedKeys(uniques=(UniquePlan(made, draft.name, tuple(c.name for c in columns)),))
    return planned + PlannedKeys(indexes=(dataclasses.replace(plan, name=made),))


def _can_be_pointed_at(draft: TableDraft, index: Index, columns: Sequence[ColumnPlan]) -> bool:
    plain = not _is_folded(draft, index) and all(t.column is not None for t in index.terms)
    return index.unique and plain and index.where is None and not any(map(is_long, columns))


def _reasons_of_columns(draft: TableDraft, columns: Sequence[ColumnPlan]) -> list[str]:
    """What keeps the columns from being a primary key, though they may be unique."""
    counted = draft.key_facts("primary", [c.source_name for c in columns])
    nulls = max([null_rows(c) for c in columns] + [counted.null_rows if counted is not None else 0])
    reasons = [f"{many(nulls, 'row')} {inflected(nulls, 'has', 'have')} NULL in it"] if nulls else []
    if any(map(is_long, columns)):
        reasons.append(f"its values are longer than the {LONGEST_INDEXED:,} bytes that a b-tree takes")
    return reasons


def _columns_of(draft: TableDraft, index: Index) -> tuple[ColumnPlan, ...]:
    named = [t.column for t in index.terms if t.column is not None]
    columns = draft.planned(named)
    if columns is None:
        raise Untranslatable("a column of it is left out")
    json = next((c for c in columns if c.target.kind is Kind.JSON), None)
    if json is not None:
        raise Untranslatable(f"{json.name} is json, which has no order and no equality")
    return columns


def _obstacle(draft: TableDraft, index: Index, columns: Sequence[ColumnPlan], kind: str) -> str | None:
    """Why the data or PostgreSQL does not allow this to be unique, or None."""
    if any(c.target.kind is Kind.JSON for c in columns):
        return "json has no equality"
    counted = draft.key_facts(kind, [t.column for t in index.terms if t.column is not None])
    if counted is not None and counted.duplicate_rows and index.where is None:
        return f"{many(counted.duplicate_rows, 'row')} {inflected(counted.duplicate_rows, 'repeats', 'repeat')} the value of another"
    if counted is not None and counted.colliding_rows and index.where is None:
        types = ", ".join(dict.fromkeys(str(c.target) for c in columns))
        return f"{many(counted.colliding_rows, 'row')} {inflected(counted.colliding_rows, 'is', 'are')} equal to another as {types}, though SQLite tells them apart"
    if draft.partition is None:
        return None
    if draft.partition.column not in {c.name for c in columns}:
        return f"it does not contain {draft.partition.column}, by which the table is partitioned"
    if any(t.column is None for t in index.terms) or _is_folded(draft, index) or any(map(is_long, columns)):
        return "the table is partitioned, and it is not of plain columns"
    return None


def _index_plan(
    draft: TableDraft, index: Index, columns: Sequence[ColumnPlan], origin: str
) -> tuple[IndexPlan, str | None]:
    """The index without its name, and what is different from the source's."""
    long = {c.source_name for c in columns if is_long(c)}
    where = f" WHERE {translate_condition(index.where, draft.scope)}" if index.where is not None else ""
    if not long or index.unique:
        definition = _btree(_term(draft, t, index.unique, hashed=t.column in long) for t in index.terms)
        note = "unique over the MD5 of its long values" if long else None
        return IndexPlan("", draft.name, definition + where, index.unique, origin), note
    if len(index.terms) > 1:
        listed = ", ".join(sorted(long))
        raise Untranslatable(f"values of {listed} are longer than the {LONGEST_INDEXED:,} bytes that a b-tree takes")
    term = _term(draft, dataclasses.replace(index.terms[0], descending=False), False)
    note = f"built as a hash index, for equality only: values are longer than the {LONGEST_INDEXED:,} bytes of a b-tree"
    return IndexPlan("", draft.name, f"USING hash ({term}){where}", False, origin), note


def _term(draft: TableDraft, term: IndexTerm, unique: bool, *, hashed: bool = False) -> str:
    written = _expression(draft, term, unique)
    if hashed:
        column = draft.column(term.column) if term.column is not None else None
        is_document = column is not None and column.target.kind is Kind.JSONB
        return f"md5({written}::text)" if is_document else f"md5({written})"
    return f"{written} DESC" if term.descending else written


def _expression(draft: TableDraft, term: IndexTerm, unique: bool) -> str:
    if term.column is None:
        if not term.expression:
            raise Untranslatable("a term of it could not be read")
        return f"({_folded(translate_expression(term.expression, draft.scope), term.collation, unique)})"
    column = draft.column(term.column)
    assert column is not None, "_columns_of has looked"
    return _folded(Term(quoted(column.name), column.target.kind), term.collation, unique)


def _folded(term: Term, collation: str, unique: bool) -> str:
    """A text under its collation.  Only a unique index must fold exactly as SQLite does; others are for queries."""
    if term.kind is not Kind.TEXT or collation == "BINARY":
        return term.sql
    if unique:
        return terms.collated(term, collation)
    return f"lower({term.sql})" if collation == "NOCASE" else term.sql


def _is_folded(draft: TableDraft, index: Index) -> bool:
    for term in index.terms:
        column = draft.column(term.column) if term.column is not None else None
        if term.collation != "BINARY" and (column is None or column.target.kind is Kind.TEXT):
            return True
    return False


def _btree(written: Iterable[str]) -> str:
    return f"USING btree ({', '.join(written)})"


def _spoken(index: Index) -> str:
    return ", ".join(t.column or t.expression or "?" for t in index.terms)


def _definition(index: Index) -> str:
    where = f" WHERE {index.where}" if index.where else ""
    return f"({_spoken(index)}){where}"
