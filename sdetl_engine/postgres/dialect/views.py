"""Views in PostgreSQL's dialect.  Pure.

A view is read by sqlglot and written anew from a closed set of clauses, its expressions by ``postgres.dialect.translate``: no
text of the source is executed.  What has no safe equivalent is :class:`Untranslatable`, with the reason; whether the
rest means the same is shown by comparing results (``postgres.viewing``), not by reading.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sdetl_engine.postgres.dialect import terms
from sdetl_engine.postgres.dialect.terms import Term, Untranslatable
from sdetl_engine.postgres.dialect.translate import ScopeColumn, look_up, spoken, write_node
from sdetl_engine.postgres.dialect.view_functions import IN_QUERIES
from sdetl_engine.postgres.dialect.view_scope import (
    Query,
    QueryScope,
    Source,
    by_alias,
    only,
    ordered,
    refuse_collation,
)
from sdetl_engine.postgres.names import quoted
from sdetl_engine.values.types import Kind

_LONGEST_TEXT = 100_000
_SELECT_PARTS = {
    "expressions",
    "distinct",
    "from_",
    "joins",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
    "with_",
}
_SET_WORDS: Mapping[type[exp.Expression], str] = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}


@dataclasses.dataclass(frozen=True, slots=True)
class Relation:
    """Something that a query reads: its name in PostgreSQL (None: as it is called in the query), and its columns."""

    name: str | None
    columns: Mapping[str, ScopeColumn]
    key: tuple[str, ...] = ()
    """The columns by which SQLite has its rows in order, where they are known."""


class WaitsFor(Exception):
    """The query reads a view that is not translated yet, or never will be; its name is the text."""


def translate_view(text: str, relations: Mapping[str, Relation], views: Sequence[str]) -> Query:
    """The SELECT of a CREATE VIEW.  ``relations`` by source name; ``views``: names of views that are not among them.

    Raises Untranslatable, and WaitsFor when one of ``views`` is read.
    """
    if len(text) > _LONGEST_TEXT:
        raise Untranslatable(f"it is longer than {_LONGEST_TEXT:,} characters")
    try:
        statements = sqlglot.parse(text, read="sqlite")
    except (SqlglotError, RecursionError, ValueError):
        raise Untranslatable("it could not be parsed") from None
    tree = statements[0] if len(statements) == 1 else None
    body = tree.expression if isinstance(tree, exp.Create) else None
    if tree is None or not isinstance(body, (exp.Select, exp.SetOperation, exp.Subquery)):
        raise Untranslatable("it could not be parsed as a view")
    try:
        query = _Writer(relations, frozenset(v.lower() for v in views)).write(body, None)
    except RecursionError:
        raise Untranslatable("it is nested too deeply") from None
    if not isinstance(tree.this, exp.Schema):
        return query
    names = [column.name for column in tree.this.expressions]
    if len(names) != len(query.columns):
        raise Untranslatable("it names another number of columns than it has")
    return Query(query.sql, tuple((name, term) for name, (_, term) in zip(names, query.columns, strict=True)))


class _Writer:
    """Writes queries over some relations."""

    def __init__(self, relations: Mapping[str, Relation], views: frozenset[str]) -> None:
        self._relations = relations
        self._views = views

    def _scope(self, sources: Sequence[Source], outer: QueryScope | None) -> QueryScope:
        return QueryScope("", {}, sources=tuple(sources), outer=outer, write_query=self.write, rules=IN_QUERIES)

    def write(self, node: exp.Expression, outer: QueryScope | None) -> Query:
        """A SELECT, a combination of some, or one in parentheses."""
        if isinstance(node, exp.Subquery):
            only(node, {"this", "alias"})
            return self.write(node.this, outer)
        common = self._with(node, outer)
        writer = self if not common else _Writer({**self._relations, **{n: r for n, r, _ in common}}, self._views)
        if isinstance(node, exp.Select):
            query = writer._select(node, outer)
        elif type(node) in _SET_WORDS:
            query = writer._combined(node, outer)
        else:
            raise Untranslatable(f"it uses {spoken(node)}")
        if not common:
            return query
        heads = ", ".join(text for _, _, text in common)
        word = "WITH RECURSIVE" if node.args["with_"].args.get("recursive") else "WITH"
        return Query(f"{word} {heads} {query.sql}", query.columns)

    def _with(self, node: exp.Expression, outer: QueryScope | None) -> list[tuple[str, Relation, str]]:
        clause = node.args.get("with_")
        if clause is None:
            return []
        found: list[tuple[str, Relation, str]] = []
        for part in clause.expressions:
            writer = _Writer({**self._relations, **{n: r for n, r, _ in found}}, self._views)
            name = part.alias
            given = [c.name for c in part.args["alias"].columns]
            if clause.args.get("recursive") and _reads(part.this, name):
                query = writer._recursive(part.this, name, given, outer)
            else:
                query = writer.write(part.this, outer)
            names = given or [n for n, _ in query.columns]
            columns = _named(names, query)
            listed = ", ".join(quoted(c.name) for c in columns.values())
            found.append((name, Relation(None, columns), f"{quoted(name)} ({listed}) AS ({query.sql})"))
        return found

    def _recursive(self, node: exp.Expression, name: str, given: Sequence[str], outer: QueryScope | None) -> Query:
        """A query that reads itself: a first part, and one that goes on from it.  The first part decides the types."""
        if not isinstance(node, exp.Union) or _reads(node.this, name):
            raise Untranslatable("it reads itself in another way than by one UNION")
        only(node, {"this", "expression", "distinct"})
        first = self.write(node.this, outer)
        columns = _named(given or [n for n, _ in first.columns], first)
        writer = _Writer({**self._relations, name: Relation(None, columns)}, self._views)
        further = writer.write(node.expression, outer)
        if [t.kind for _, t in first.columns] != [t.kind for _, t in further.columns]:
            raise Untranslatable("what it goes on with has other types than what it begins with")
        word = "UNION" if node.args.get("distinct") else "UNION ALL"
        return Query(f"{_typed(first)} {word} {_typed(further)}", first.columns)

    def _combined(self, node: exp.Expression, outer: QueryScope | None) -> Query:
        only(node, {"this", "expression", "distinct", "with_", "order", "limit", "offset"})
        left, right = self.write(node.this, outer), self.write(node.expression, outer)
        if len(left.columns) != len(right.columns):
            raise Untranslatable("its parts have different numbers of columns")
        for (_, one), (_, other) in zip(left.columns, right.columns, strict=True):
            if one.kind is not other.kind and None not in (one.kind, other.kind):
                raise Untranslatable(f"its parts combine {one.kind} with {other.kind}")
            refuse_collation(one)
        word = _SET_WORDS[type(node)] + ("" if node.args.get("distinct") else " ALL")
        tail = self._tail(node, QueryScope("", {}), left.columns)
        return Query(f"({left.sql}) {word} ({right.sql}){tail}", left.columns)

    def _select(self, node: exp.Select, outer: QueryScope | None) -> Query:
        only(node, _SELECT_PARTS)
        sources, from_text = self._from(node, outer)
        scope = self._scope(sources, outer)
        columns = [found for part in node.expressions for found in _selected(part, scope)]
        pieces = ["SELECT"]
        if node.args.get("distinct"):
            only(node.args["distinct"], set())
            for _, term in columns:
                refuse_collation(term)
            pieces.append("DISTINCT")
        pieces.append(", ".join(f"{term.sql} AS {quoted(f'c{n}')}" for n, (_, term) in enumerate(columns)))
        if from_text:
            pieces.append(f"FROM {from_text}")
        if (where := node.args.get("where")) is not None:
            pieces.append(f"WHERE {terms.as_truth(write_node(where.this, scope))}")
        if (group := node.args.get("group")) is not None:
            only(group, {"expressions"})
            grouped = [by_alias(g, columns, scope) for g in group.expressions]
            for term in grouped:
                refuse_collation(term)
            pieces.append("GROUP BY " + ", ".join(term.sql for term in grouped))
        if (having := node.args.get("having")) is not None:
            pieces.append(f"HAVING {terms.as_truth(write_node(having.this, scope))}")
        return Query(" ".join(pieces) + self._tail(node, scope, tuple(columns)), tuple(columns))

    def _tail(self, node: exp.Expression, scope: QueryScope, columns: Sequence[tuple[str, Term]]) -> str:
        """ORDER BY, LIMIT and OFFSET."""
        text = ""
        if (order := node.args.get("order")) is not None:
            text += " ORDER BY " + ", ".join(ordered(o, scope, columns) for o in order.expressions)
        for word in ("limit", "offset"):
            if (clause := node.args.get(word)) is not None:
                number = clause.expression
                if not isinstance(number, exp.Literal) or number.is_string or not number.name.isdigit():
                    raise Untranslatable(f"its {word.upper()} is no plain number")
                text += f" {word.upper()} {int(number.name)}"
        return text

    def _from(self, node: exp.Select, outer: QueryScope | None) -> tuple[list[Source], str]:
        if node.args.get("from_") is None:
            return [], ""
        source, text = self._relation(node.args["from_"].this, outer)
        sources = [source]
        for join in node.args.get("joins") or ():
            only(join, {"this", "side", "kind", "on", "using"})
            source, piece = self._relation(join.this, outer)
            side, kind = join.args.get("side") or "", join.args.get("kind") or ""
            if side not in ("", "LEFT", "RIGHT", "FULL") or kind not in ("", "CROSS", "INNER", "OUTER"):
                raise Untranslatable(f"it uses a {side} {kind} join")
            condition = self._condition(join, sources, source, outer)
            if join.args.get("using"):
                merged = frozenset(i.name.lower() for i in join.args["using"])
                source = dataclasses.replace(source, merged=merged)
            sources.append(source)
            word = f"{side} JOIN" if side else "JOIN" if condition else "CROSS JOIN"
            if side and not condition:
                raise Untranslatable(f"it has a {side} JOIN without a condition")
            text += f" {word} {piece}{condition}"
        return sources, text

    def _condition(
        self, join: exp.Expression, before: Sequence[Source], source: Source, outer: QueryScope | None
    ) -> str:
        if (on := join.args.get("on")) is not None:
            scope = self._scope((*before, source), outer)
            return f" ON {terms.as_truth(write_node(on, scope))}"
        if not join.args.get("using"):
            return ""
        left = QueryScope("", {}, sources=tuple(before))
        right = QueryScope("", {}, sources=(source,))
        pairs = [
            terms.compare("=", *(side.column(i.name, None, is_quoted=False) for side in (left, right))).sql
            for i in join.args["using"]
        ]
        return f" ON {' AND '.join(pairs)}"

    def _relation(self, node: exp.Expression, outer: QueryScope | None) -> tuple[Source, str]:
        if isinstance(node, exp.Subquery):
            only(node, {"this", "alias"})
            query = self.write(node.this, outer)
            columns = _named([name for name, _ in query.columns], query)
            alias = node.alias or "subquery"
            listed = ", ".join(quoted(c.name) for c in columns.values())
            return Source(alias, columns), f"({query.sql}) AS {quoted(alias)} ({listed})"
        if not isinstance(node, exp.Table):
            raise Untranslatable(f"it reads from {spoken(node)}")
        only(node, {"this", "alias", "db"})
        if node.db and node.db.lower() != "main":
            raise Untranslatable("it reads from another database")
        relation = look_up(self._relations, node.name)
        if relation is None:
            if node.name.lower() in self._views:
                raise WaitsFor(node.name)
            raise Untranslatable(f"it reads {node.name}, which is not migrated")
        alias = node.alias or node.name
        return Source(
            alias, relation.columns, key=relation.key
        ), f"{quoted(relation.name or node.name)} AS {quoted(alias)}"


def _named(names: Sequence[str], query: Query) -> dict[str, ScopeColumn]:
    """The columns of a query under the names that the query around knows them by."""
    if len(names) != len(query.columns) or len({n.lower() for n in names}) != len(names):
        raise Untranslatable("columns of a part of it have no names, or equal ones")
    return {
        name: ScopeColumn(name, _kind(term), term.collation or "BINARY", term.always_real)
        for name, (_, term) in zip(names, query.columns, strict=True)
    }


def _kind(term: Term) -> Kind:
    if term.kind is None:
        raise Untranslatable("a column of a part of it is always NULL")
    return term.kind


def _selected(node: exp.Expression, scope: QueryScope) -> list[tuple[str, Term]]:
    """One part of a SELECT list: a term with its name, or all columns of a source."""
    if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
        only(node, {"this", "table"})
        wanted = node.args.get("table")
        sources = [s for s in scope.sources if wanted is None or s.alias.lower() == wanted.name.lower()]
        if not sources:
            raise Untranslatable("it selects all columns of nothing")
        return [
            (name, source.term(column))
            for source in sources
            for name, column in source.columns.items()
            if wanted is not None or name.lower() not in source.merged
        ]
    if isinstance(node, exp.Alias):
        return [(node.alias, write_node(node.this, scope))]
    name = node.name if isinstance(node, exp.Column) else node.sql(dialect="sqlite")
    return [(name, write_node(node, scope))]


def _reads(node: exp.Expression, name: str) -> bool:
    """True when the query reads something of that name."""
    return any(table.name.lower() == name.lower() for table in node.find_all(exp.Table))


def _typed(query: Query) -> str:
    """The query with the type of every column written out, as a recursion wants it."""
    columns = [f"{quoted(f'c{n}')}::{_kind(term)} AS {quoted(f'c{n}')}" for n, (_, term) in enumerate(query.columns)]
    return f"SELECT {', '.join(columns)} FROM ({query.sql}) AS part"
