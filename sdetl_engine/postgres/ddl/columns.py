"""The columns of a table in the target: names, types, NOT NULL, defaults, identity, generated ones, partition."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sdetl_engine.errors import UsageError
from sdetl_engine.postgres.ddl.drafts import TableDraft, null_rows, scope_of
from sdetl_engine.postgres.ddl.spelling import read_partition
from sdetl_engine.postgres.dialect.defaults import translate_default
from sdetl_engine.postgres.dialect.terms import NUMBERS, Untranslatable, as_number
from sdetl_engine.postgres.dialect.translate import Scope, translate_expression
from sdetl_engine.postgres.names import column_names
from sdetl_engine.postgres.plan import ColumnPlan, NotMigrated, PartitionPlan
from sdetl_engine.profiling.facts import ColumnFacts, TableFacts, TypeVerdict
from sdetl_engine.values.schema import Column, Table
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType
from sdetl_engine.wording import counted, inflected

MOST_COLUMNS = 1600
"""PostgreSQL's limit for a table (https://www.postgresql.org/docs/current/limits.html)."""


def draft_table(
    table: Table, name: str, facts: TableFacts, verdicts: Mapping[str, TypeVerdict], partition: str | None
) -> tuple[TableDraft, list[NotMigrated]]:
    """The table with its columns decided, and what of them is not migrated.

    ``verdicts`` by column; a column without one is not loaded.  ``partition`` as ``load.partition`` has it.
    Raises UsageError for a partition that cannot be, and for a table with more columns than PostgreSQL takes.
    """
    missed: list[NotMigrated] = []
    names = column_names(c.name for c in table.columns)
    kept = [c for c in table.columns if c.name in verdicts and not verdicts[c.name].left_out]
    if len(kept) > MOST_COLUMNS:
        raise UsageError(
            f"table {table.name} has {len(kept)} columns; PostgreSQL takes {MOST_COLUMNS}",
            next_step="leave columns out with source.exclude_columns",
        )
    missed += [
        NotMigrated("column", c.name, table.name, "left out by decision") for c in table.columns if c not in kept
    ]
    plain = [_plan_column(table, c, names[c.name], facts.column(c.name), verdicts[c.name].chosen, missed) for c in kept]
    columns = _generate(table, plain, missed)
    draft = TableDraft(name, table, facts, columns)
    if partition is None:
        return draft, missed
    return dataclasses.replace(draft, partition=_plan_partition(draft, partition)), missed


def _plan_column(
    table: Table, column: Column, name: str, facts: ColumnFacts, chosen: str, missed: list[NotMigrated]
) -> ColumnPlan:
    target = TargetType.parse(chosen)
    plan = ColumnPlan(
        name=name,
        source_name=column.name,
        target=target,
        facts=facts,
        quarantine_misfits=_has_misfits(facts, target),
    )
    missing = null_rows(plan)
    if column.not_null and missing:
        reason = f"{counted(missing, 'row')} {inflected(missing, 'has', 'have')} no value there"
        missed.append(NotMigrated("not null", column.name, table.name, reason))
    return dataclasses.replace(
        plan,
        not_null=column.not_null and not missing,
        default_sql=_plan_default(table, column, target, missed),
        identity=column.name == table.rowid_alias and target.kind is Kind.INTEGER and not missing,
    )


def _has_misfits(facts: ColumnFacts, target: TargetType) -> bool:
    """True unless every value that is there was asked about this very kind, and fits."""
    if target.kind is Kind.BYTES:
        return False
    empties = facts.empties if target.kind is not Kind.TEXT else 0
    # A date that is not ISO after cleaning was outvoted, or nobody could tell its day: it is no date to load.
    unsettled = target.kind in DATE_KINDS and facts.dates is not None and facts.dates.convertible > 0
    unasked = facts.proposed is not target.kind and facts.rows > facts.nulls
    return facts.misfits > 0 or empties > 0 or unsettled or unasked


def _plan_default(table: Table, column: Column, target: TargetType, missed: list[NotMigrated]) -> str | None:
    if column.default is None or column.generated is not None or column.name == table.rowid_alias:
        return None
    try:
        return translate_default(column.default, target)
    except Untranslatable as answer:
        missed.append(NotMigrated("default", column.name, table.name, f"not translated: {answer}", column.default))
        return None


def _generate(table: Table, columns: list[ColumnPlan], missed: list[NotMigrated]) -> tuple[ColumnPlan, ...]:
    """Generated columns: computed by PostgreSQL where it surely comes to the same, else loaded as they are."""
    scope = _scope_of_generated(table, columns)
    planned = []
    for plan in columns:
        column = table.column(plan.source_name)
        if column.generated is None:
            planned.append(plan)
            continue
        try:
            planned.append(dataclasses.replace(plan, generated_sql=_generation(column, plan, scope)))
        except Untranslatable as answer:
            reason = f"its values are loaded, new rows are not computed: {answer}"
            missed.append(NotMigrated("generated column", column.name, table.name, reason, column.generation or ""))
            planned.append(plan)
    return tuple(planned)


def _scope_of_generated(table: Table, columns: list[ColumnPlan]) -> Scope:
    """Columns whose values arrive as they were, and are not generated themselves (PostgreSQL allows no chains)."""
    missing = {c.name: "is left out" for c in table.columns}
    usable = []
    for plan in columns:
        if table.column(plan.source_name).generated is not None:
            missing[plan.source_name] = "is generated itself"
        elif plan.quarantine_misfits:
            missing[plan.source_name] = "has values in the quarantine"
        else:
            usable.append(plan)
    return scope_of(table, usable, missing)


def _generation(column: Column, plan: ColumnPlan, scope: Scope) -> str:
    if not column.generation:
        raise Untranslatable("its expression could not be read")
    if plan.quarantine_misfits:
        raise Untranslatable("some of its values go to the quarantine")
    term = translate_expression(column.generation, scope)
    kind = plan.target.kind
    if kind is Kind.INTEGER and term.kind is Kind.BOOLEAN:
        term = as_number(term)
    if term.kind is not kind and not (term.kind is Kind.INTEGER and kind in NUMBERS):
        raise Untranslatable(f"it computes {term.kind or 'NULL'}, the column is {kind}")
    return term.sql


def _plan_partition(draft: TableDraft, text: str) -> PartitionPlan:
    source_name, unit = read_partition(draft.source, text)
    column = draft.column(source_name)
    if column is None or column.target.kind not in DATE_KINDS or not column.is_loaded:
        is_what = "left out" if column is None else "generated" if not column.is_loaded else str(column.target)
        raise UsageError(
            f"load.partition: {draft.source.name}.{source_name} is {is_what}; a table is split by a date column",
            next_step="name a date or timestamp column, or remove the setting",
        )
    return PartitionPlan(column.name, unit)
