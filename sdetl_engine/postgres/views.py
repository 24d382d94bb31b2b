"""Views in PostgreSQL's dialect.  Pure.

A view is read by sqlglot and written anew from a closed set of clauses, its expressions by ``postgres.translate``: no
text of the source is executed.  What has no safe equivalent is :class:`Untranslatable`, with the reason; whether the
rest means the same is shown by comparing results (``postgres.viewing``), not by reading.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sdetl_engine.postgres import terms
from sdetl_engine.postgres.names import quoted
from sdetl_engine.postgres.terms import NUMBERS, Term, Untranslatable
from sdetl_engine.postgres.translate import RULES, Rule, Scope, ScopeColumn, look_up, rule, spoken, write_node
from sdetl_engine.values.types import DATE_KINDS, Kind

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
_FORMATS = {
    "%Y": "YYYY",
    "%m": "MM",
    "%d": "DD",
    "%H": "HH24",
    "%M": "MI",
    "%S": "SS",
    "%Y-%m": "YYYY-MM",
    "%Y-%m-%d": "YYYY-MM-DD",
    "%H:%M": "HH24:MI",
    "%Y-%m-%d %H:%M:%S": "YYYY-MM-DD HH24:MI:SS",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Relation:
    """Something that a query reads: its name in PostgreSQL (None: as it is called in the query), and its columns."""

    name: str | None
    columns: Mapping[str, ScopeColumn]


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """A query written anew, and what each of its columns is."""

    sql: str
    columns: tuple[tuple[str, Term], ...]


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


@dataclasses.dataclass(frozen=True, slots=True)
class _Source:
    """One relation in a FROM clause, under its alias."""

    alias: str
    columns: Mapping[str, ScopeColumn]
    merged: frozenset[str] = frozenset()
    """Columns of USING: they are those of a relation before."""

    def term(self, column: ScopeColumn) -> Term:
        return Term(
            quoted(self.alias, column.name), column.kind, collation=column.collation, always_real=column.always_real
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _QueryScope(Scope):
    """What the expressions of one SELECT may name, and the SELECT around it."""

    sources: tuple[_Source, ...] = ()
    outer: _QueryScope | None = None
    write_query: Callable[[exp.Expression, _QueryScope | None], Query] | None = None

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
        """Queries have aggregates and subqueries beside what every expression has."""
        return _IN_QUERIES.get(kind) or RULES.get(kind)

    def subquery(self, node: exp.Expression) -> Query:
        """A query inside an expression."""
        assert self.write_query is not None
        return self.write_query(node, self)


class _Writer:
    """Writes queries over some relations."""

    def __init__(self, relations: Mapping[str, Relation], views: frozenset[str]) -> None:
        self._relations = relations
        self._views = views

    def write(self, node: exp.Expression, outer: _QueryScope | None) -> Query:
        """A SELECT, a combination of some, or one in parentheses."""
        if isinstance(node, exp.Subquery):
            _only(node, {"this", "alias"})
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
        return Query(f"WITH {heads} {query.sql}", query.columns)

    def _with(self, node: exp.Expression, outer: _QueryScope | None) -> list[tuple[str, Relation, str]]:
        clause = node.args.get("with_")
        if clause is None:
            return []
        if clause.args.get("recursive"):
            raise Untranslatable("it is recursive")
        found: list[tuple[str, Relation, str]] = []
        for part in clause.expressions:
            writer = _Writer({**self._relations, **{n: r for n, r, _ in found}}, self._views)
            query = writer.write(part.this, outer)
            name = part.alias
            names = [c.name for c in part.args["alias"].columns] or [n for n, _ in query.columns]
            columns = _named(names, query)
            listed = ", ".join(quoted(c.name) for c in columns.values())
            found.append((name, Relation(None, columns), f"{quoted(name)} ({listed}) AS ({query.sql})"))
        return found

    def _combined(self, node: exp.Expression, outer: _QueryScope | None) -> Query:
        _only(node, {"this", "expression", "distinct", "with_", "order", "limit", "offset"})
        left, right = self.write(node.this, outer), self.write(node.expression, outer)
        if len(left.columns) != len(right.columns):
            raise Untranslatable("its parts have different numbers of columns")
        for (_, one), (_, other) in zip(left.columns, right.columns, strict=True):
            if one.kind is not other.kind and None not in (one.kind, other.kind):
                raise Untranslatable(f"its parts combine {one.kind} with {other.kind}")
            _refuse_collation(one)
        word = _SET_WORDS[type(node)] + ("" if node.args.get("distinct") else " ALL")
        tail = self._tail(node, _QueryScope("", {}), left.columns)
        return Query(f"({left.sql}) {word} ({right.sql}){tail}", left.columns)

    def _select(self, node: exp.Select, outer: _QueryScope | None) -> Query:
        _only(node, _SELECT_PARTS)
        sources, from_text = self._from(node, outer)
        scope = _QueryScope("", {}, sources=tuple(sources), outer=outer, write_query=self.write)
        columns = [found for part in node.expressions for found in _selected(part, scope)]
        pieces = ["SELECT"]
        if node.args.get("distinct"):
            _only(node.args["distinct"], set())
            for _, term in columns:
                _refuse_collation(term)
            pieces.append("DISTINCT")
        pieces.append(", ".join(f"{term.sql} AS {quoted(f'c{n}')}" for n, (_, term) in enumerate(columns)))
        if from_text:
            pieces.append(f"FROM {from_text}")
        if (where := node.args.get("where")) is not None:
            pieces.append(f"WHERE {terms.as_truth(write_node(where.this, scope))}")
        if (group := node.args.get("group")) is not None:
            _only(group, {"expressions"})
            grouped = [_by_alias(g, columns, scope) for g in group.expressions]
            for term in grouped:
                _refuse_collation(term)
            pieces.append("GROUP BY " + ", ".join(term.sql for term in grouped))
        if (having := node.args.get("having")) is not None:
            pieces.append(f"HAVING {terms.as_truth(write_node(having.this, scope))}")
        return Query(" ".join(pieces) + self._tail(node, scope, tuple(columns)), tuple(columns))

    def _tail(self, node: exp.Expression, scope: _QueryScope, columns: Sequence[tuple[str, Term]]) -> str:
        """ORDER BY, LIMIT and OFFSET."""
        text = ""
        if (order := node.args.get("order")) is not None:
            text += " ORDER BY " + ", ".join(_ordered(o, scope, columns) for o in order.expressions)
        for word in ("limit", "offset"):
            if (clause := node.args.get(word)) is not None:
                number = clause.expression
                if not isinstance(number, exp.Literal) or number.is_string or not number.name.isdigit():
                    raise Untranslatable(f"its {word.upper()} is no plain number")
                text += f" {word.upper()} {int(number.name)}"
        return text

    def _from(self, node: exp.Select, outer: _QueryScope | None) -> tuple[list[_Source], str]:
        if node.args.get("from_") is None:
            return [], ""
        source, text = self._relation(node.args["from_"].this, outer)
        sources = [source]
        for join in node.args.get("joins") or ():
            _only(join, {"this", "side", "kind", "on", "using"})
            source, piece = self._relation(join.this, outer)
            side, kind = join.args.get("side") or "", join.args.get("kind") or ""
            if side not in ("", "LEFT") or kind not in ("", "CROSS", "INNER", "OUTER"):
                raise Untranslatable(f"it uses a {side} {kind} join")
            condition = self._condition(join, sources, source, outer)
            if join.args.get("using"):
                merged = frozenset(i.name.lower() for i in join.args["using"])
                source = dataclasses.replace(source, merged=merged)
            sources.append(source)
            word = "LEFT JOIN" if side else "JOIN" if condition else "CROSS JOIN"
            if side and not condition:
                raise Untranslatable("it has a left join without a condition")
            text += f" {word} {piece}{condition}"
        return sources, text

    def _condition(
        self, join: exp.Expression, before: Sequence[_Source], source: _Source, outer: _QueryScope | None
    ) -> str:
        if (on := join.args.get("on")) is not None:
            scope = _QueryScope("", {}, sources=(*before, source), outer=outer, write_query=self.write)
            return f" ON {terms.as_truth(write_node(on, scope))}"
        if not join.args.get("using"):
            return ""
        left = _QueryScope("", {}, sources=tuple(before))
        right = _QueryScope("", {}, sources=(source,))
        pairs = [
            terms.compare("=", *(side.column(i.name, None, is_quoted=False) for side in (left, right))).sql
            for i in join.args["using"]
        ]
        return f" ON {' AND '.join(pairs)}"

    def _relation(self, node: exp.Expression, outer: _QueryScope | None) -> tuple[_Source, str]:
        if isinstance(node, exp.Subquery):
            _only(node, {"this", "alias"})
            query = self.write(node.this, outer)
            columns = _named([name for name, _ in query.columns], query)
            alias = node.alias or "subquery"
            listed = ", ".join(quoted(c.name) for c in columns.values())
            return _Source(alias, columns), f"({query.sql}) AS {quoted(alias)} ({listed})"
        if not isinstance(node, exp.Table):
            raise Untranslatable(f"it reads from {spoken(node)}")
        _only(node, {"this", "alias", "db"})
        if node.db and node.db.lower() != "main":
            raise Untranslatable("it reads from another database")
        relation = look_up(self._relations, node.name)
        if relation is None:
            if node.name.lower() in self._views:
                raise WaitsFor(node.name)
            raise Untranslatable(f"it reads {node.name}, which is not migrated")
        alias = node.alias or node.name
        return _Source(alias, relation.columns), f"{quoted(relation.name or node.name)} AS {quoted(alias)}"


def _only(node: exp.Expression, parts: set[str]) -> None:
    """Refuse a clause with parts that nobody looks at.  Raises Untranslatable."""
    for key, value in node.args.items():
        if value and key not in parts:
            raise Untranslatable(f"it uses {key.rstrip('_')} in {spoken(node)}")


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


def _selected(node: exp.Expression, scope: _QueryScope) -> list[tuple[str, Term]]:
    """One part of a SELECT list: a term with its name, or all columns of a source."""
    if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
        _only(node, {"this", "table"})
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


def _by_alias(node: exp.Expression, columns: Sequence[tuple[str, Term]], scope: _QueryScope) -> Term:
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


def _ordered(node: exp.Expression, scope: _QueryScope, columns: Sequence[tuple[str, Term]]) -> str:
    if not isinstance(node, exp.Ordered):
        raise Untranslatable(f"it orders by {spoken(node)}")
    term = _by_alias(node.this, columns, scope)
    text = term.sql
    if not scope.sources:
        # After a combination of queries PostgreSQL orders by a column of the result only.
        text = str(next((n + 1 for n, (_, t) in enumerate(columns) if t == term), 1))
    elif term.kind is Kind.TEXT:
        text = f'{terms.collated(term, term.collation or "BINARY")} COLLATE "C"'
    direction = "DESC" if node.args.get("desc") else "ASC"
    return f"{text} {direction} NULLS {'FIRST' if node.args.get('nulls_first') else 'LAST'}"


def _refuse_collation(term: Term) -> None:
    if term.kind is Kind.TEXT and (term.collation or "BINARY") != "BINARY":
        raise Untranslatable(f"it takes texts together by the collation {term.collation}")
    if term.kind is Kind.JSON:
        raise Untranslatable("it takes json values together, which PostgreSQL does not compare")


# --- what only queries have ---------------------------------------------------------------------------------------


def _count(node: exp.Expression, scope: Scope) -> Term:
    if isinstance(node.this, exp.Star):
        return Term("count(*)", Kind.INTEGER)
    term, distinct = _aggregated(node.this, scope)
    return Term(f"count({distinct}{term.sql})", Kind.INTEGER)


def _sum(node: exp.Expression, scope: Scope) -> Term:
    term, distinct = _aggregated(node.this, scope)
    number = terms.as_number(term)
    cast = "::bigint" if number.kind is Kind.INTEGER else ""
    return Term(f"sum({distinct}{number.sql}){cast}", number.kind, always_real=number.always_real)


def _average(node: exp.Expression, scope: Scope) -> Term:
    term, distinct = _aggregated(node.this, scope)
    number = terms.as_number(term)
    return Term(f"avg({distinct}{number.sql})::double precision", Kind.DOUBLE, always_real=True)


def _extreme(function: str) -> Callable[[exp.Expression, Scope], Term]:
    def write(node: exp.Expression, scope: Scope) -> Term:
        term = write_node(node.this, scope)
        if term.kind is Kind.TEXT:
            _refuse_collation(term)
            return dataclasses.replace(term, sql=f'{function}({term.sql} COLLATE "C")', constant=None)
        if term.kind is Kind.BOOLEAN:
            term = terms.as_number(term)
        if term.kind not in NUMBERS | DATE_KINDS:
            raise Untranslatable(f"it uses {function}() on {term.kind or 'NULL'}")
        return dataclasses.replace(term, sql=f"{function}({term.sql})", constant=None)

    return write


def _aggregated(node: exp.Expression, scope: Scope) -> tuple[Term, str]:
    if isinstance(node, exp.Distinct):
        if len(node.expressions) != 1:
            raise Untranslatable("it counts different combinations")
        term = write_node(node.expressions[0], scope)
        _refuse_collation(term)
        return term, "DISTINCT "
    return write_node(node, scope), ""


def _round(node: exp.Expression, scope: Scope) -> Term:
    number = terms.as_number(write_node(node.this, scope))
    places = node.args.get("decimals")
    if places is not None and not (isinstance(places, exp.Literal) and places.name.isdigit()):
        raise Untranslatable("it rounds to a number of digits that is no constant")
    digits = int(places.name) if places is not None else 0
    return Term(f"round({number.sql}::numeric, {digits})::double precision", Kind.DOUBLE, always_real=True)


def _formatted(node: exp.Expression, scope: Scope) -> Term:
    """``strftime`` with a format that means the same in both."""
    argument = node.this.this if isinstance(node.this, exp.TsOrDsToTimestamp) else node.this
    term = write_node(argument, scope)
    pattern = node.args["format"]
    known = _FORMATS.get(pattern.name) if isinstance(pattern, exp.Literal) else None
    if known is None or term.kind not in (Kind.DATE, Kind.TIMESTAMP):
        raise Untranslatable("it uses strftime() in a way that is not known")
    return Term(f"to_char({term.sql}, '{known}')", Kind.TEXT)


def _exists(node: exp.Expression, scope: Scope) -> Term:
    assert isinstance(scope, _QueryScope)
    return Term(f"EXISTS ({scope.subquery(node.this).sql})", Kind.BOOLEAN)


def _scalar(node: exp.Expression, scope: Scope) -> Term:
    """A subquery in place of a value.  SQLite takes its first row, PostgreSQL refuses more than one."""
    assert isinstance(scope, _QueryScope)
    query = scope.subquery(node)
    if len(query.columns) != 1:
        raise Untranslatable("a subquery in place of a value has several columns")
    return dataclasses.replace(query.columns[0][1], sql=f"({query.sql})", constant=None)


def _in(node: exp.Expression, scope: Scope) -> Term:
    query = node.args.get("query")
    if query is None:
        return RULES[exp.In].write(node, scope)
    assert isinstance(scope, _QueryScope)
    term, inner = write_node(node.this, scope), scope.subquery(query)
    if len(inner.columns) != 1 or inner.columns[0][1].kind is not term.kind:
        raise Untranslatable("it looks for a value among others of another type")
    _refuse_collation(term)
    return Term(f"({term.sql} IN ({inner.sql}))", Kind.BOOLEAN)


_IN_QUERIES: Mapping[type[exp.Expression], Rule] = {
    exp.Count: rule(_count, "this", "big_int"),
    exp.Sum: rule(_sum, "this"),
    exp.Avg: rule(_average, "this"),
    exp.Min: rule(_extreme("min"), "this"),
    exp.Max: rule(_extreme("max"), "this"),
    exp.Round: rule(_round, "this", "decimals"),
    exp.TimeToStr: rule(_formatted, "this", "format"),
    exp.Exists: rule(_exists, "this"),
    exp.Subquery: rule(_scalar, "this"),
    exp.In: rule(_in, "this", "expressions", "query"),
}
