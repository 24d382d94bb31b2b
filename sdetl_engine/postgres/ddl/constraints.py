"""Foreign keys and CHECKs of the target, to be added after the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sdetl_engine.postgres.ddl.drafts import TableDraft
from sdetl_engine.postgres.dialect.terms import Untranslatable
from sdetl_engine.postgres.dialect.translate import translate_condition
from sdetl_engine.postgres.names import NameSpace
from sdetl_engine.postgres.plan import CheckPlan, ColumnPlan, ForeignKeyPlan, NotMigrated
from sdetl_engine.profiling.facts import KeyFacts
from sdetl_engine.values.schema import ForeignKey
from sdetl_engine.values.types import DATE_KINDS, Kind
from sdetl_engine.wording import counted, inflected

_ACTIONS = frozenset({"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"})


def plan_foreign_keys(
    drafts: Mapping[str, TableDraft],
    unique_columns: Mapping[str, frozenset[frozenset[str]]],
    relation_facts: Sequence[KeyFacts],
    names: NameSpace,
) -> tuple[tuple[ForeignKeyPlan, ...], tuple[NotMigrated, ...]]:
    """Every declared foreign key, or the reason why not.

    ``drafts`` by source name; ``unique_columns``: the sets of target columns, by source table, that are unique.
    """
    planned: list[ForeignKeyPlan] = []
    missed: list[NotMigrated] = []
    for draft in drafts.values():
        for key in draft.source.foreign_keys:
            orphans = _orphans(draft, key, relation_facts)
            reason = _obstacle(draft, drafts.get(key.parent), key, unique_columns, orphans)
            if reason is None:
                planned.append(_foreign_key(draft, drafts[key.parent], key, orphans, names))
            else:
                listed = f"{', '.join(key.columns)} -> {key.parent}"
                missed.append(NotMigrated("foreign key", listed, draft.source.name, reason))
    return tuple(planned), tuple(missed)


def plan_checks(draft: TableDraft, names: NameSpace) -> tuple[tuple[CheckPlan, ...], tuple[NotMigrated, ...]]:
    """The CHECKs that translate, and the others with the reason."""
    planned: list[CheckPlan] = []
    missed: list[NotMigrated] = []
    for number, text in enumerate(draft.source.checks, 1):
        try:
            expression = translate_condition(text, draft.scope)
        except Untranslatable as answer:
            missed.append(NotMigrated("check", f"CHECK {number}", draft.source.name, f"not translated: {answer}", text))
        else:
            planned.append(CheckPlan(names.take(f"{draft.name}_check{number}"), draft.name, expression))
    return tuple(planned), tuple(missed)


def _foreign_key(
    child: TableDraft, parent: TableDraft, key: ForeignKey, orphans: int, names: NameSpace
) -> ForeignKeyPlan:
    columns, parent_columns = child.planned(key.columns), parent.planned(key.parent_columns)
    assert columns is not None, "_obstacle has looked"
    assert parent_columns is not None, "_obstacle has looked"
    return ForeignKeyPlan(
        name=names.take("_".join([child.name, *(c.name for c in columns), "fkey"])),
        table=child.name,
        columns=tuple(c.name for c in columns),
        parent=parent.name,
        parent_columns=tuple(c.name for c in parent_columns),
        on_delete=_action(key.on_delete),
        on_update=_action(key.on_update),
        deferrable=key.deferrable,
        initially_deferred=key.initially_deferred,
        orphans=orphans,
    )


def _action(text: str) -> str:
    return text.upper() if text.upper() in _ACTIONS else "NO ACTION"


def _orphans(draft: TableDraft, key: ForeignKey, relation_facts: Sequence[KeyFacts]) -> int:
    wanted = (draft.source.name, key.columns, key.parent, key.parent_columns)
    found = (f for f in relation_facts if (f.table, f.columns, f.parent, f.parent_columns) == wanted)
    return max((f.orphan_rows for f in found), default=0)


def _obstacle(
    child: TableDraft,
    parent: TableDraft | None,
    key: ForeignKey,
    unique_columns: Mapping[str, frozenset[frozenset[str]]],
    orphans: int,
) -> str | None:
    """Why PostgreSQL cannot have this foreign key, or None."""
    if parent is None:
        return f"the table {key.parent} that it points at is not migrated or does not exist"
    if not key.parent_columns:
        return f"it points at no columns that {key.parent} has"
    columns, parent_columns = child.planned(key.columns), parent.planned(key.parent_columns)
    if columns is None or parent_columns is None:
        return "a column of it is left out"
    for column, other in zip(columns, parent_columns, strict=True):
        if not _comparable(column, other):
            return f"{column.name} is {column.target}, {parent.name}.{other.name} is {other.target}"
    if frozenset(c.name for c in parent_columns) not in unique_columns.get(key.parent, frozenset()):
        return f"{', '.join(c.name for c in parent_columns)} of {parent.name} is not unique there"
    if any(c.generated_sql for c in columns) and _writes_child(key):
        return "its action would write a generated column"
    if orphans and child.partition is not None:
        return f"{counted(orphans, 'row')} {inflected(orphans, 'has', 'have')} no parent, and a partitioned table takes no NOT VALID foreign key"
    return None


def _writes_child(key: ForeignKey) -> bool:
    return key.on_delete.upper() in ("SET NULL", "SET DEFAULT") or key.on_update.upper() not in (
        "NO ACTION",
        "RESTRICT",
    )


def _comparable(child: ColumnPlan, parent: ColumnPlan) -> bool:
    """True when PostgreSQL implements a foreign key between the types: equal, or the child's widens to the parent's."""
    mine, its = child.target.kind, parent.target.kind
    if mine in (Kind.JSON, Kind.JSONB):
        return False
    if mine is its:
        return True
    return (mine is Kind.INTEGER and its in (Kind.NUMERIC, Kind.DOUBLE)) or {mine, its} <= DATE_KINDS
