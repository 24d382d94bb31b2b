"""Indexes that the dashboards' queries would use, from their joins and filters."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sdetl_engine.grafana.dashboards import Dashboard
from sdetl_engine.grafana.macros import expand
from sdetl_engine.grafana.templating import Context, Value, names_in
from sdetl_engine.grafana.unknown import UnknownInQuery
from sdetl_engine.wording import counted, inflected

SMALL_TABLE = 10_000
"""Tables of fewer rows are read whole anyway."""
FEW_VALUES = 2
"""An index on a column of so few different values chooses too little."""
_COMPARED = (exp.EQ, exp.In, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)
_END = datetime(2000, 1, 1, tzinfo=UTC)

Place = tuple[str, str]
"""Table and column."""


@dataclasses.dataclass(frozen=True, slots=True)
class IndexSuggestion:
    """An index and the panels that would use it (``dashboard: panel``).

    ``spelling`` is how the setting ``load.indexes`` writes it.
    """

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
        many = (
            f"{counted(len(self.panels), 'panel')} {inflected(len(self.panels), 'filters or joins', 'filter or join')}"
        )
        return f"{many} {self.table} by {', '.join(self.columns)}: {named}"


def suggest_indexes(
    dashboards: Sequence[Dashboard],
    schema: str,
    *,
    rows: Mapping[str, int],
    existing: Sequence[str] = (),
    distinct: Mapping[Place, int] | None = None,
) -> tuple[IndexSuggestion, ...]:
    """One suggestion per column that panels of ``schema`` compare or join on, most used first.

    ``rows``: rows per table; ``existing``: indexes and primary keys that there will be anyway, spelled as suggestions
    are; ``distinct``: how many different values a column has, where that is known.  A query that cannot be expanded
    or parsed suggests nothing.
    """
    used: dict[Place, list[str]] = defaultdict(list)
    for dashboard in dashboards:
        for panel in dashboard.panels:
            places = {p for query in panel.queries if query.skipped is None for p in _columns(query.sql, schema)}
            for place in places:
                used[place].append(f"{dashboard.title}: {panel.title}")
    found = [
        IndexSuggestion(table, (column,), tuple(panels))
        for (table, column), panels in used.items()
        if rows.get(table, 0) >= SMALL_TABLE
        and (distinct or {}).get((table, column), FEW_VALUES + 1) > FEW_VALUES
        and not any(_leads(spelled, table, column) for spelled in existing)
    ]
    return tuple(sorted(found, key=lambda s: (-len(s.panels), s.spelling)))


def _leads(spelled: str, table: str, column: str) -> bool:
    """An index that begins with the column serves as well as one on it alone."""
    begin = f"{table}({column}"
    return spelled.startswith(begin) and spelled[len(begin) :].lstrip()[:1] in (")", ",")


def _columns(sql: str, schema: str) -> set[Place]:
    context = Context(_END - timedelta(days=1), _END, 60, {name: Value(("0",)) for name in names_in(sql)})
    try:
        statements = sqlglot.parse(expand(sql, context), read="postgres")
    except (UnknownInQuery, SqlglotError, RecursionError):
        return set()
    selects = [s for statement in statements if statement is not None for s in statement.find_all(exp.Select)]
    return {place for select in selects for place in _of_select(select, schema)}


def _of_select(select: exp.Select, schema: str) -> Iterator[Place]:
    """Columns of real tables that this SELECT compares in WHERE or ON, or names in USING."""
    sources = _sources(select, schema)
    joins: Sequence[exp.Join] = select.args.get("joins") or []
    for join in joins:
        for shared in join.args.get("using") or []:
            yield from ((table, _name(shared)) for table in sources.values() if table is not None)
    for condition in [select.args.get("where"), *(join.args.get("on") for join in joins)]:
        for comparison in condition.find_all(*_COMPARED) if condition is not None else ():
            for column in comparison.find_all(exp.Column):
                table = _table_of(column, sources)
                if table is not None and column.find_ancestor(exp.Select) is select and _is_bare(column, comparison):
                    yield table, _name(column.this)


def _sources(select: exp.Select, schema: str) -> dict[str, str | None]:
    """What this SELECT reads, by alias or name: a table of the schema, or None for anything else."""
    origin = select.args.get("from") or select.args.get("from_")
    read = [origin.this] if origin is not None else []
    read += [join.this for join in select.args.get("joins") or []]
    return {
        source.alias_or_name: _name(source.this) if isinstance(source, exp.Table) and source.db == schema else None
        for source in read
    }


def _table_of(column: exp.Column, sources: Mapping[str, str | None]) -> str | None:
    """The column's table; None when it is of something else, or nothing tells of what."""
    if column.table:
        return sources.get(column.table)
    return next(iter(sources.values())) if len(sources) == 1 else None


def _name(identifier: exp.Expression) -> str:
    """A name as PostgreSQL takes it: in lower case unless it is quoted."""
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()


def _is_bare(column: exp.Column, comparison: exp.Expression) -> bool:
    """Compared itself, not inside a function, and not with the empty string."""
    if column.parent is not comparison:
        return False
    return not any(isinstance(e, exp.Literal) and e.is_string and e.name == "" for e in comparison.iter_expressions())
