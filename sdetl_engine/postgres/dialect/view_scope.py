"""What the expressions of one query may name, and how it orders.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from sdetl_engine.postgres.dialect import terms
from sdetl_engine.postgres.dialect.terms import Term, Untranslatable
from sdetl_engine.postgres.dialect.translate import RULES, Rule, Scope, ScopeColumn, look_up, spoken, write_node
from sdetl_engine.postgres.names import quoted
from sdetl_engine.values.types import Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """A query written anew, and what each of its columns is."""

    sql: str
    columns: tuple[tuple[str, Term], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One relation in a FROM clause, under its alias."""

    alias: str
    columns: Mapping[str, ScopeColumn]
    merged: frozenset[str] = frozenset()
    """Columns of USING: they are those of a relation before."""

    key: tuple[str, ...] = ()
    """The columns by which the rows of the source lie in order, where they are known."""

    def term(self, column: ScopeColumn) -> Term:
        """A column of it."""
        return Term(
            quoted(self.alias, column.name), column.kind, collation=column.collation, always_real=column.always_real
        )


@dataclasses.dataclass(frozen=True, slots=True)
class QueryScope(Scope):
    """What the expressions of one SELECT may name, and the SELECT around it."""

    sources: tuple[Source, ...] = ()
    outer: QueryScope | None = None
    write_query: Callable[[exp.Expression, QueryScope | None], Query] | None = None
    rules: Mapping[type[exp.Expression], Rule] = dataclasses.field(default_factory=dict)
    """What queries have beside what every expression has."""

    def column(self, wanted: str, qualifier: str | None, *, is_quoted: bool) -> Term:
        """The column of whichever source has it; else of the query around."""
        found = [
            source.term(column)
            for source in self.sources
            if qualifier is None or source.alias.lower() == qualifier.lower()
            for column in [look_up(source.columns, wanted)]
            if column is not None and (qualifier is not None or wanted.lower() not in source.merged)
        ]
        if len(found) > 1:
            raise Untranslatable(f"it names {wanted}, which several of its tables have")
        if found:
            return found[0]
        if self.outer is not None:
            return self.outer.column(wanted, qualifier, is_quoted=is_quoted)
        if is_quoted and qualifier is None:
            return terms.text_term(wanted)
        raise Untranslatable(f"it names {wanted}, which is no column of its tables")

    def rule(self, kind: type[exp.Expression]) -> Rule | None:
        """Those of queries, then those of every expression."""
        return self.rules.get(kind) or RULES.get(kind)

    def subquery(self, node: exp.Expression) -> Query:
        """A query inside an expression."""
        assert self.write_query is not None
        return self.write_query(node, self)


def only(node: exp.Expression, parts: set[str]) -> None:
    """Refuse a clause with parts that nobody looks at.  Raises Untranslatable."""
    for key, value in node.args.items():
        if value and key not in parts:
            raise Untranslatable(f"it uses {key.rstrip('_')} in {spoken(node)}")


def by_alias(node: exp.Expression, columns: Sequence[tuple[str, Term]], scope: QueryScope) -> Term:
    """A term of GROUP BY or ORDER BY: the number or the name of a column of the result, or an expression."""
    if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
        place = int(node.name)
        if not 1 <= place <= len(columns):
            raise Untranslatable("it orders or groups by a column that is not there")
        return columns[place - 1][1]
    if isinstance(node, exp.Column) and node.args.get("table") is None:
        named = [term for name, term in columns if name.lower() == node.name.lower()]
        if len(named) == 1:
            return named[0]
    return write_node(node, scope)


def ordered(node: exp.Expression, scope: QueryScope, columns: Sequence[tuple[str, Term]] = ()) -> str:
    """A term of ORDER BY with its direction, as SQLite orders."""
    if not isinstance(node, exp.Ordered):
        raise Untranslatable(f"it orders by {spoken(node)}")
    term = by_alias(node.this, columns, scope)
    text = term.sql
    if not scope.sources:
        # After a combination of queries PostgreSQL orders by a column of the result only.
        text = str(next((n + 1 for n, (_, t) in enumerate(columns) if t == term), 1))
    elif term.kind is Kind.TEXT:
        text = f'{terms.collated(term, term.collation or "BINARY")} COLLATE "C"'
    direction = "DESC" if node.args.get("desc") else "ASC"
    return f"{text} {direction} NULLS {'FIRST' if node.args.get('nulls_first') else 'LAST'}"


def refuse_collation(term: Term) -> None:
    """Refuse to take values together that PostgreSQL tells apart in another way.  Raises Untranslatable."""
    if term.kind is Kind.TEXT and (term.collation or "BINARY") != "BINARY":
        raise Untranslatable(f"it takes texts together by the collation {term.collation}")
    if term.kind is Kind.JSON:
        raise Untranslatable("it takes json values together, which PostgreSQL does not compare")
