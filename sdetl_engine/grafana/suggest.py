"""Indexes that the dashboards' queries would use, from their joins and filters."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sdetl_engine.grafana.dashboards import Dashboard

SMALL_TABLE = 10_000
"""Tables of fewer rows are read whole anyway."""
_COMPARED = (exp.EQ, exp.In, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)
_MACRO = re.compile(r"\$__(timeFilter|unixEpochFilter)\(([^()]*)\)")
_REST = re.compile(r"\$\{[^}]*\}|\[\[[^\]]*\]\]|\$__\w+(?:\([^()]*\))?|\$\w+")


@dataclasses.dataclass(frozen=True, slots=True)
class IndexSuggestion:
    """An index and the panels that would use it.  ``spelling`` is how ``load.indexes`` writes it."""

    table: str
    columns: tuple[str, ...]
    panels: tuple[str, ...]

    @property
    def spelling(self) -> str:
        """``table(column)``."""
        return f"{self.table}({', '.join(self.columns)})"

    @property
    def reason(self) -> str:
        """One plain sentence."""
        named = ", ".join(self.panels[:3]) + (" ..." if len(self.panels) > 3 else "")
        return f"{len(self.panels)} panels filter or join {self.table} by {', '.join(self.columns)}: {named}"


def suggest_indexes(
    dashboards: Sequence[Dashboard], schema: str, *, rows: Mapping[str, int], existing: Sequence[str] = ()
) -> tuple[IndexSuggestion, ...]:
    """One suggestion per column that panels of ``schema`` compare or join on, most used first.

    ``rows``: rows per table; ``existing``: indexes that there will be anyway, spelled as suggestions are.
    A query that cannot be parsed suggests nothing.
    """
    used: dict[tuple[str, str], list[str]] = defaultdict(list)
    for dashboard in dashboards:
        for panel in dashboard.panels:
            for query in panel.queries:
                for place in _columns(query.sql, schema):
                    if panel.title not in used[place]:
                        used[place].append(panel.title)
    found = [
        IndexSuggestion(table, (column,), tuple(panels))
        for (table, column), panels in used.items()
        if rows.get(table, 0) >= SMALL_TABLE
    ]
    found.sort(key=lambda s: (-len(s.panels), s.spelling))
    return tuple(s for s in found if s.spelling not in existing)


def _columns(sql: str, schema: str) -> set[tuple[str, str]]:
    text = _MACRO.sub(lambda m: f"{m[2]} > 0", sql)
    text = _REST.sub("0", text)
    try:
        statements = sqlglot.parse(text, read="postgres")
    except (SqlglotError, RecursionError):
        return set()
    found: set[tuple[str, str]] = set()
    for statement in statements:
        if statement is not None:
            for select in statement.find_all(exp.Select):
                found |= _of_select(select, schema)
    return found


def _of_select(select: exp.Select, schema: str) -> set[tuple[str, str]]:
    """Columns of real tables that this SELECT compares in WHERE or ON."""
    tables = _tables(select, schema)
    conditions = [
        w for w in (select.args.get("where"), *(j.args.get("on") for j in select.args.get("joins") or [])) if w
    ]
    found = set()
    for condition in conditions:
        for comparison in condition.find_all(*_COMPARED):
            for column in comparison.find_all(exp.Column):
                table = (
                    tables.get(column.table)
                    if column.table
                    else (next(iter(tables.values())) if len(tables) == 1 else None)
                )
                if table is not None and column.find_ancestor(exp.Select) is select and _is_bare(column, comparison):
                    found.add((table, column.name))
    return found


def _is_bare(column: exp.Column, comparison: exp.Expression) -> bool:
    """Compared itself, not inside a function, and not with the empty string."""
    if column.parent is not comparison:
        return False
    return not any(isinstance(e, exp.Literal) and e.is_string and e.name == "" for e in comparison.iter_expressions())


def _tables(select: exp.Select, schema: str) -> dict[str, str]:
    """Alias (or name) to table, of the tables of the schema that this SELECT reads."""
    origin = select.args.get("from") or select.args.get("from_")
    sources = [origin.this] if origin is not None else []
    sources += [join.this for join in select.args.get("joins") or []]
    return {s.alias_or_name: s.name for s in sources if isinstance(s, exp.Table) and s.db == schema}
