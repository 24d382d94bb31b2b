"""From what a SQLite file declares and what was proved of its data to the plan of a version.  Pure.

The rules: names stay as they are (``postgres.names``); types are those of the verdicts; what a source declares is
kept where the data allows it and PostgreSQL has it (``ddl_columns``, ``ddl_indexes``, ``ddl_constraints``); what is
not kept is listed with the reason.  Nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sdetl_engine.errors import UsageError
from sdetl_engine.postgres.ddl.columns import draft_table
from sdetl_engine.postgres.ddl.constraints import plan_checks, plan_foreign_keys
from sdetl_engine.postgres.ddl.drafts import TableDraft
from sdetl_engine.postgres.ddl.indexes import PlannedKeys, plan_index, plan_primary_key
from sdetl_engine.postgres.ddl.spelling import read_index, real_table
from sdetl_engine.postgres.ddl.views import plan_views
from sdetl_engine.postgres.names import NameSpace
from sdetl_engine.postgres.plan import CheckPlan, NotMigrated, TablePlan, VersionPlan
from sdetl_engine.profiling.facts import KeyFacts, TableFacts, TypeVerdict
from sdetl_engine.settings import LoadSettings
from sdetl_engine.values.schema import Schema, Table

_NOT_CARRIED = {
    "trigger": "triggers are not migrated; PostgreSQL would need a function in its own language",
    "virtual": "virtual tables belong to an extension of SQLite",
    "shadow": "it is the storage of a virtual table",
}


def plan_version(
    schema: Schema,
    verdicts: Sequence[TypeVerdict],
    tables: Sequence[TableFacts],
    relation_facts: Sequence[KeyFacts],
    *,
    load: LoadSettings,
    exclude_tables: Collection[str] = (),
    suggested_indexes: Sequence[str] = (),
) -> VersionPlan:
    """What the version will hold.

    ``tables`` are the facts of the file that is loaded (after cleaning), ``relation_facts`` those of its relations.
    ``suggested_indexes`` are spelled as ``load.indexes`` is; one that names what is not there is left aside.
    Raises UsageError when ``load.indexes`` or ``load.partition`` names what is not there.
    """
    missed: list[NotMigrated] = [*_excluded(schema, exclude_tables), *_others(schema)]
    wanted = [t for t in schema.tables if t.name not in exclude_tables]
    partitions = {real_table(schema, name, "load.partition").name: how for name, how in load.partition.items()}
    names = NameSpace()
    drafts = _draft_tables(wanted, verdicts, tables, partitions, names, missed)
    # The source's own names are given first; those that are made give way.
    index_names = names.take_all(i.name for d in drafts.values() for i in d.source.indexes if i.origin == "c")
    keys = _plan_keys(drafts, index_names, names)
    _add_further(schema, drafts, keys, names, load.indexes, "plan")
    _add_further(schema, drafts, keys, names, suggested_indexes, "suggested")
    missed += [m for planned in keys.values() for m in planned.missed]
    foreign_keys, without_parent = plan_foreign_keys(
        drafts, {name: planned.unique_columns for name, planned in keys.items()}, relation_facts, names
    )
    missed += without_parent
    checks: list[CheckPlan] = []
    for draft in drafts.values():
        planned_checks, untranslated = plan_checks(draft, names)
        checks += planned_checks
        missed += untranslated
    views, untranslated_views = plan_views(schema, drafts, names)
    missed += untranslated_views
    return VersionPlan(
        tables=tuple(_table_plan(draft, keys[name]) for name, draft in drafts.items()),
        indexes=tuple(i for planned in keys.values() for i in planned.indexes),
        uniques=tuple(u for planned in keys.values() for u in planned.uniques),
        foreign_keys=foreign_keys,
        checks=tuple(checks),
        views=views,
        not_migrated=tuple(missed),
        renamed=_renamed(drafts, index_names),
    )


def _excluded(schema: Schema, exclude_tables: Collection[str]) -> list[NotMigrated]:
    return [
        NotMigrated("table", t.name, None, "left out by decision") for t in schema.tables if t.name in exclude_tables
    ]


def _others(schema: Schema) -> list[NotMigrated]:
    """What is neither an ordinary table nor a view."""
    return [
        NotMigrated("virtual table" if o.kind == "virtual" else o.kind, o.name, o.table, _NOT_CARRIED[o.kind], o.sql)
        for o in schema.others
        if o.kind != "view"
    ]


def _draft_tables(
    tables: Sequence[Table],
    verdicts: Sequence[TypeVerdict],
    facts: Sequence[TableFacts],
    partitions: Mapping[str, str],
    names: NameSpace,
    missed: list[NotMigrated],
) -> dict[str, TableDraft]:
    measured = {f.table: f for f in facts}
    given = names.take_all(t.name for t in tables)
    drafts = {}
    for table in tables:
        if table.name not in measured:
            raise UsageError(f"table {table.name} was not profiled", next_step="start a new run")
        of_table = {v.column: v for v in verdicts if v.table == table.name}
        draft, without = draft_table(
            table, given[table.name], measured[table.name], of_table, partitions.get(table.name)
        )
        missed += without
        if draft.columns:
            drafts[table.name] = draft
        else:
            missed.append(NotMigrated("table", table.name, None, "all its columns are left out"))
    return drafts


def _plan_keys(
    drafts: Mapping[str, TableDraft], index_names: Mapping[str, str], names: NameSpace
) -> dict[str, PlannedKeys]:
    """Keys and indexes that the source declares, by source table."""
    keys = {}
    for table, draft in drafts.items():
        keys[table] = plan_primary_key(draft, names)
        for index in draft.source.indexes:
            if index.origin != "pk":
                keys[table] += plan_index(draft, index, names, name=index_names.get(index.name))
    return keys


def _add_further(
    schema: Schema,
    drafts: Mapping[str, TableDraft],
    keys: dict[str, PlannedKeys],
    names: NameSpace,
    spellings: Sequence[str],
    origin: str,
) -> None:
    """Add indexes that the plan or the dashboards ask for, unless there is one just like it."""
    for text in spellings:
        try:
            table, index = read_index(text, schema)
        except UsageError:
            if origin == "plan":
                raise
            continue
        if table.name not in drafts:
            continue
        planned = plan_index(drafts[table.name], index, names, origin=origin)
        if not any(keys[table.name].has_index(i.definition) for i in planned.indexes):
            keys[table.name] += planned


def _table_plan(draft: TableDraft, keys: PlannedKeys) -> TablePlan:
    return TablePlan(
        name=draft.name,
        source=draft.source,
        columns=draft.columns,
        primary_key=keys.primary_key,
        primary_key_name=keys.primary_key_name,
        rows=draft.facts.rows,
        partition=draft.partition,
    )


def _renamed(drafts: Mapping[str, TableDraft], index_names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    renamed = [(d.source.name, d.name) for d in drafts.values() if d.source.name != d.name]
    renamed += [
        (f"{d.source.name}.{c.source_name}", c.name)
        for d in drafts.values()
        for c in d.columns
        if c.source_name != c.name
    ]
    renamed += [(name, given) for name, given in index_names.items() if name != given]
    return tuple(renamed)
