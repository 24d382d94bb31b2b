"""The views of a version: which can be written anew, under which names, and in which order."""

from __future__ import annotations

from collections.abc import Mapping

from sdetl_engine.postgres.ddl.drafts import TableDraft
from sdetl_engine.postgres.dialect.terms import Untranslatable
from sdetl_engine.postgres.dialect.translate import ScopeColumn
from sdetl_engine.postgres.dialect.view_scope import Query
from sdetl_engine.postgres.dialect.views import Relation, WaitsFor, translate_view
from sdetl_engine.postgres.names import NameSpace
from sdetl_engine.postgres.plan import NotMigrated, ViewPlan
from sdetl_engine.values.schema import Schema
from sdetl_engine.values.types import Kind


def plan_views(
    schema: Schema, drafts: Mapping[str, TableDraft], names: NameSpace
) -> tuple[tuple[ViewPlan, ...], list[NotMigrated]]:
    """The views in the order of what they read, and those that are not migrated, with the reason."""
    waiting = {o.name: o.sql for o in schema.others if o.kind == "view"}
    relations = {name: Relation(draft.name, draft.scope.columns, _key(draft)) for name, draft in drafts.items()}
    given = names.take_all(waiting)
    planned: list[ViewPlan] = []
    missed: list[NotMigrated] = []
    held_up: dict[str, str] = {}
    progress = True
    while waiting and progress:
        progress = False
        for name, text in list(waiting.items()):
            try:
                query = translate_view(text, relations, [n for n in waiting if n != name])
                relations[name] = Relation(given[name], _columns(query))
                kinds = tuple(term.kind for _, term in query.columns)
                planned.append(ViewPlan(given[name], name, query.sql, kinds, text))
            except WaitsFor as other:
                held_up[name] = str(other)
                continue
            except Untranslatable as answer:
                missed.append(NotMigrated("view", name, None, f"not translated: {answer}", text))
            del waiting[name]
            progress = True
    missed += [
        NotMigrated("view", name, None, f"it reads the view {held_up[name]}, which reads it again", text)
        for name, text in waiting.items()
    ]
    return tuple(planned), missed


def _key(draft: TableDraft) -> tuple[str, ...]:
    """What SQLite keeps the rows of the table ordered by, where the target has it."""
    source = draft.source
    names = (source.rowid_alias,) if source.rowid_alias is not None else source.primary_key
    if source.has_rowid and source.rowid_alias is None:
        return ()
    return tuple(c.name for c in draft.planned(names) or () if c.target.kind is Kind.INTEGER)


def _columns(query: Query) -> dict[str, ScopeColumn]:
    """What other views may name of it; a column that is always NULL has no type to go on with."""
    return {
        name: ScopeColumn(name, term.kind, term.collation or "BINARY", term.always_real)
        for name, term in query.columns
        if term.kind is not None
    }
