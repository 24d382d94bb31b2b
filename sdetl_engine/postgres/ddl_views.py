"""The views of a version: which can be written anew, under which names, and in which order."""

from __future__ import annotations

from collections.abc import Mapping

from sdetl_engine.postgres.drafts import TableDraft
from sdetl_engine.postgres.names import NameSpace
from sdetl_engine.postgres.plan import NotMigrated, ViewPlan
from sdetl_engine.postgres.terms import Untranslatable
from sdetl_engine.postgres.translate import ScopeColumn
from sdetl_engine.postgres.views import Query, Relation, WaitsFor, translate_view
from sdetl_engine.values.schema import Schema


def plan_views(
    schema: Schema, drafts: Mapping[str, TableDraft], names: NameSpace
) -> tuple[tuple[ViewPlan, ...], list[NotMigrated]]:
    """The views in the order of what they read, and those that are not migrated, with the reason."""
    waiting = {o.name: o.sql for o in schema.others if o.kind == "view"}
    relations = {name: Relation(draft.name, draft.scope.columns) for name, draft in drafts.items()}
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


def _columns(query: Query) -> dict[str, ScopeColumn]:
    """What other views may name of it; a column that is always NULL has no type to go on with."""
    return {
        name: ScopeColumn(name, term.kind, term.collation or "BINARY", term.always_real)
        for name, term in query.columns
        if term.kind is not None
    }
