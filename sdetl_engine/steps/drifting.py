"""Drift: what a profile found, held against the version that is live, under the names and types of the target."""

from __future__ import annotations

from collections.abc import Sequence

from sdetl_engine.findings import Finding
from sdetl_engine.postgres.build import catalogue_name
from sdetl_engine.postgres.livefacts import live_tables, new_values
from sdetl_engine.postgres.names import NameSpace, column_names
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.profiling.drift import ColumnState, DriftLimits, TableState, drift_findings
from sdetl_engine.profiling.facts import ColumnFacts, TableFacts, TypeVerdict
from sdetl_engine.settings import DriftSettings
from sdetl_engine.values.schema import Schema
from sdetl_engine.values.types import Kind, TargetType

_WITH_CATEGORIES = frozenset({Kind.TEXT, Kind.INTEGER})
_WITH_EMPTY = frozenset({Kind.TEXT, Kind.BYTES, Kind.JSON, Kind.JSONB})


def find_drift(
    session: TargetSession,
    serving_schema: str,
    schema: Schema,
    tables: Sequence[TableFacts],
    verdicts: Sequence[TypeVerdict],
    settings: DriftSettings,
) -> tuple[Finding, ...]:
    """Measure the serving schema and compare; reads only.  Raises TargetError."""
    coming, values = _coming(schema, tables, verdicts)
    with session.connect() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        place = place_of(connection, serving_schema) or serving_schema
        live = live_tables(connection, place)
        asked = {
            name: listed
            for name, listed in values.items()
            if name[0] in live and name[1] in live[name[0]].columns and live[name[0]].rows
        }
        fresh = new_values(connection, place, asked)
        connection.rollback()
    limits = DriftLimits(settings.row_change, settings.null_change, settings.new_categories)
    return drift_findings(live, coming, fresh, limits)


def _coming(
    schema: Schema, tables: Sequence[TableFacts], verdicts: Sequence[TypeVerdict]
) -> tuple[dict[str, TableState], dict[tuple[str, str], tuple[str, ...]]]:
    """What the profile says that the target will hold, and the values of columns that hold few."""
    chosen = {(v.table, v.column): v for v in verdicts if not v.left_out}
    names = NameSpace().take_all(t.name for t in schema.tables)
    states, values = {}, {}
    for facts in tables:
        renamed = column_names(c.name for c in schema.table(facts.table).columns)
        kept = [c for c in facts.columns if (facts.table, c.column) in chosen]
        types = {c.column: TargetType.parse(chosen[facts.table, c.column].chosen) for c in kept}
        name = names[facts.table]
        if kept:
            columns = {renamed[c.column]: _state(c, types[c.column]) for c in kept}
            states[name] = TableState(facts.rows, columns)
        for column in kept:
            if types[column.column].kind in _WITH_CATEGORIES and column.few_values:
                values[name, renamed[column.column]] = column.few_values
    return states, values


def _state(facts: ColumnFacts, target: TargetType) -> ColumnState:
    empties = 0 if target.kind in _WITH_EMPTY else facts.empties
    return ColumnState(catalogue_name(target), facts.nulls + facts.marked + empties)
