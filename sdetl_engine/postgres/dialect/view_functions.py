"""What expressions of queries have beside what every expression has: aggregates, windows, subqueries, dates.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from sqlglot import exp

from sdetl_engine.postgres.dialect import terms
from sdetl_engine.postgres.dialect.terms import NUMBERS, Term, Untranslatable
from sdetl_engine.postgres.dialect.translate import RULES, Rule, Scope, Writer, rule, spoken, write_node
from sdetl_engine.postgres.dialect.view_dates import DATE_FUNCTIONS, formatted
from sdetl_engine.postgres.dialect.view_scope import QueryScope, only, ordered, refuse_collation
from sdetl_engine.postgres.names import quoted
from sdetl_engine.values.types import DATE_KINDS, Kind


@dataclasses.dataclass(frozen=True, slots=True)
class _Call:
    """A call of an aggregate or window function, apart from what its result is cast to: OVER stands between them.

    ``order``: the order in which an aggregate takes its values, where that is no window's.
    """

    name: str
    arguments: str
    result: Term
    cast: str = ""
    order: str = ""
    filter: str = ""

    @property
    def term(self) -> Term:
        """The call as an aggregate."""
        return self._with(f"{self.name}({self.arguments}{self.order}){self.filter}")

    def over(self, window: str) -> Term:
        """The call over a window."""
        return self._with(f"({self.name}({self.arguments}){self.filter} OVER ({window}))")

    def _with(self, call: str) -> Term:
        return dataclasses.replace(self.result, sql=f"{call}{self.cast}", constant=None)


_Caller = Callable[[exp.Expression, QueryScope], _Call]


# Aggregates


def _count(node: exp.Expression, scope: QueryScope) -> _Call:
    if isinstance(node.this, exp.Star):
        return _Call("count", "*", Term("", Kind.INTEGER))
    term, distinct = _aggregated(node.this, scope)
    return _Call("count", f"{distinct}{term.sql}", Term("", Kind.INTEGER))


def _sum(node: exp.Expression, scope: QueryScope) -> _Call:
    term, distinct = _aggregated(node.this, scope)
    number = terms.as_number(term)
    cast = "::bigint" if number.kind is Kind.INTEGER else ""
    return _Call("sum", f"{distinct}{number.sql}", number, cast)


def _average(node: exp.Expression, scope: QueryScope) -> _Call:
    term, distinct = _aggregated(node.this, scope)
    number = terms.as_number(term)
    return _Call("avg", f"{distinct}{number.sql}", Term("", Kind.DOUBLE, always_real=True), "::double precision")


def _extreme(function: str) -> _Caller:
    def call(node: exp.Expression, scope: QueryScope) -> _Call:
        term = write_node(node.this, scope)
        if term.kind is Kind.TEXT:
            refuse_collation(term)
            return _Call(function, f'{term.sql} COLLATE "C"', term)
        if term.kind is Kind.BOOLEAN:
            term = terms.as_number(term)
        if term.kind not in NUMBERS | DATE_KINDS:
            raise Untranslatable(f"it uses {function}() on {term.kind or 'NULL'}")
        return _Call(function, term.sql, term)

    return call


def _joined(node: exp.Expression, scope: QueryScope) -> _Call:
    """``group_concat``: in SQLite's order, which is that of its rows, where they have one that both sides know."""
    term, distinct = _aggregated(node.this, scope)
    text = terms.as_text(term, "group_concat()")
    separator = node.args.get("separator")
    between = write_node(separator, scope) if separator is not None else terms.text_term(",")
    if between.kind is not Kind.TEXT or between.constant is None:
        raise Untranslatable("it uses group_concat() with a separator that is no constant text")
    keys = [quoted(source.alias, name) for source in scope.sources for name in source.key]
    is_ordered = not distinct and scope.sources and scope.sources[0].key
    order = f" ORDER BY {', '.join(keys)}" if is_ordered else ""
    return _Call("string_agg", f"{distinct}{text.sql}, {between.sql}", Term("", Kind.TEXT), order=order)


def _aggregated(node: exp.Expression, scope: Scope) -> tuple[Term, str]:
    if isinstance(node, exp.Distinct):
        if len(node.expressions) != 1:
            raise Untranslatable("it counts different combinations")
        term = write_node(node.expressions[0], scope)
        refuse_collation(term)
        return term, "DISTINCT "
    return write_node(node, scope), ""


# Window functions


def _numbering(name: str, kind: Kind = Kind.INTEGER) -> _Caller:
    def call(node: exp.Expression, scope: QueryScope) -> _Call:
        return _Call(name, "", Term("", kind, always_real=kind is Kind.DOUBLE))

    return call


def _ntile(node: exp.Expression, scope: QueryScope) -> _Call:
    return _Call("ntile", f"{_constant(node.this, scope)}::int", Term("", Kind.INTEGER), "::bigint")


def _neighbour(name: str) -> _Caller:
    def call(node: exp.Expression, scope: QueryScope) -> _Call:
        value = write_node(node.this, scope)
        offset = _constant(node.args["offset"], scope) if node.args.get("offset") is not None else 1
        if node.args.get("default") is None:
            return _Call(name, f"{value.sql}, {offset}", value)
        (one, other), kind = terms.common([value, write_node(node.args["default"], scope)])
        return _Call(name, f"{one}, {offset}, {other}", dataclasses.replace(value, kind=kind, always_real=False))

    return call


def _nth(name: str) -> _Caller:
    def call(node: exp.Expression, scope: QueryScope) -> _Call:
        value = write_node(node.this, scope)
        offset = f", {_constant(node.args['offset'], scope)}" if node.args.get("offset") is not None else ""
        return _Call(name, f"{value.sql}{offset}", value)

    return call


def _constant(node: exp.Expression, scope: Scope) -> int:
    number = write_node(node, scope).constant
    if not isinstance(number, int) or not 0 <= number < 2**31:
        raise Untranslatable("it uses a window function with a number that is no constant")
    return number


_AGGREGATES: Mapping[type[exp.Expression], tuple[_Caller, frozenset[str]]] = {
    exp.Count: (_count, frozenset({"this", "big_int"})),
    exp.Sum: (_sum, frozenset({"this"})),
    exp.Avg: (_average, frozenset({"this"})),
    exp.Min: (_extreme("min"), frozenset({"this"})),
    exp.Max: (_extreme("max"), frozenset({"this"})),
    exp.GroupConcat: (_joined, frozenset({"this", "separator"})),
}
_WINDOW_ONLY: Mapping[type[exp.Expression], tuple[_Caller, frozenset[str]]] = {
    exp.RowNumber: (_numbering("row_number"), frozenset()),
    exp.Rank: (_numbering("rank"), frozenset()),
    exp.DenseRank: (_numbering("dense_rank"), frozenset()),
    exp.PercentRank: (_numbering("percent_rank", Kind.DOUBLE), frozenset()),
    exp.CumeDist: (_numbering("cume_dist", Kind.DOUBLE), frozenset()),
    exp.Ntile: (_ntile, frozenset({"this"})),
    exp.Lag: (_neighbour("lag"), frozenset({"this", "offset", "default"})),
    exp.Lead: (_neighbour("lead"), frozenset({"this", "offset", "default"})),
    exp.FirstValue: (_nth("first_value"), frozenset({"this"})),
    exp.LastValue: (_nth("last_value"), frozenset({"this"})),
    exp.NthValue: (_nth("nth_value"), frozenset({"this", "offset"})),
}


def _call(node: exp.Expression, scope: Scope, *, in_window: bool) -> _Call:
    """A call of an aggregate, or within a window of anything that may stand there, with its FILTER."""
    assert isinstance(scope, QueryScope)
    if isinstance(node, exp.Filter):
        only(node, {"this", "expression"})
        condition = terms.as_truth(write_node(node.expression.this, scope))
        return dataclasses.replace(_call(node.this, scope, in_window=in_window), filter=f" FILTER (WHERE {condition})")
    known = _AGGREGATES.get(type(node)) or (_WINDOW_ONLY.get(type(node)) if in_window else None)
    if known is None:
        raise Untranslatable(f"it uses {spoken(node)} with FILTER or OVER")
    caller, arguments = known
    only(node, set(arguments))
    return caller(node, scope)


def _aggregate(node: exp.Expression, scope: Scope) -> Term:
    return _call(node, scope, in_window=False).term


def _window(node: exp.Expression, scope: Scope) -> Term:
    """A call over a window.  Frames of rows and of groups mean the same in both; so does the default."""
    assert isinstance(scope, QueryScope)
    only(node, {"this", "partition_by", "order", "spec", "over"})
    pieces = []
    parts = [write_node(part, scope) for part in node.args.get("partition_by") or ()]
    for part in parts:
        refuse_collation(part)
    if parts:
        pieces.append("PARTITION BY " + ", ".join(part.sql for part in parts))
    if (order := node.args.get("order")) is not None:
        pieces.append("ORDER BY " + ", ".join(ordered(o, scope) for o in order.expressions))
    if (frame := node.args.get("spec")) is not None:
        pieces.append(_frame(frame))
    call = _call(node.this, scope, in_window=True)
    if call.arguments.startswith("DISTINCT "):
        raise Untranslatable("it counts different values over a window")
    return call.over(" ".join(pieces))


def _frame(node: exp.Expression) -> str:
    only(node, {"kind", "start", "start_side", "end", "end_side"})
    kind = str(node.args.get("kind") or "").upper()
    if kind not in ("ROWS", "RANGE", "GROUPS"):
        raise Untranslatable("it uses an unusual frame of a window")
    ends = [_frame_end(node, "start", kind)]
    if node.args.get("end") is not None:
        return f"{kind} BETWEEN {ends[0]} AND {_frame_end(node, 'end', kind)}"
    return f"{kind} {ends[0]}"


def _frame_end(node: exp.Expression, which: str, kind: str) -> str:
    value, side = node.args.get(which), str(node.args.get(f"{which}_side") or "").upper()
    if value == "CURRENT ROW":
        return "CURRENT ROW"
    if value == "UNBOUNDED" and side in ("PRECEDING", "FOLLOWING"):
        return f"UNBOUNDED {side}"
    is_number = isinstance(value, exp.Literal) and not value.is_string and value.name.isdigit()
    if not is_number or kind == "RANGE" or side not in ("PRECEDING", "FOLLOWING"):
        raise Untranslatable("it uses an unusual frame of a window")
    assert isinstance(value, exp.Literal)
    return f"{int(value.name)} {side}"


# Functions


def _round(node: exp.Expression, scope: Scope) -> Term:
    number = terms.as_number(write_node(node.this, scope))
    places = node.args.get("decimals")
    if places is not None and not (isinstance(places, exp.Literal) and places.name.isdigit()):
        raise Untranslatable("it rounds to a number of digits that is no constant")
    digits = int(places.name) if places is not None else 0
    return Term(f"round({number.sql}::numeric, {digits})::double precision", Kind.DOUBLE, always_real=True)


def _of_several(function: str) -> Writer:
    """``min`` and ``max`` of several values: NULL when one of them is, unlike LEAST and GREATEST."""

    def write(node: exp.Expression, scope: Scope) -> Term:
        values = [write_node(n, scope) for n in (node.this, *node.expressions)]
        for value in values:
            refuse_collation(value)
        written, kind = terms.common(values)
        if kind not in NUMBERS | DATE_KINDS | {Kind.TEXT}:
            raise Untranslatable(f"it compares {kind or 'NULL'}")
        collated = [f'{sql} COLLATE "C"' for sql in written] if kind is Kind.TEXT else written
        nulls = " OR ".join(f"{sql} IS NULL" for sql in written)
        return Term(f"(CASE WHEN {nulls} THEN NULL ELSE {function}({', '.join(collated)}) END)", kind)

    return write


def _function(node: exp.Expression, scope: Scope) -> Term:
    """Functions that sqlglot has no node for."""
    name = node.this.lower()
    if name in DATE_FUNCTIONS:
        return DATE_FUNCTIONS[name](node.expressions, scope)
    if name == "total" and len(node.expressions) == 1:
        number = terms.as_number(write_node(node.expressions[0], scope))
        return Term(f"COALESCE(sum({number.sql})::double precision, 0)", Kind.DOUBLE, always_real=True)
    return RULES[exp.Anonymous].write(node, scope)


def _date(node: exp.Expression, scope: Scope) -> Term:
    return DATE_FUNCTIONS["date"]([node.this], scope)


# Subqueries


def _exists(node: exp.Expression, scope: Scope) -> Term:
    assert isinstance(scope, QueryScope)
    return Term(f"EXISTS ({scope.subquery(node.this).sql})", Kind.BOOLEAN)


def _scalar(node: exp.Expression, scope: Scope) -> Term:
    """A subquery in place of a value.  SQLite takes its first row, PostgreSQL refuses more than one."""
    assert isinstance(scope, QueryScope)
    query = scope.subquery(node)
    if len(query.columns) != 1:
        raise Untranslatable("a subquery in place of a value has several columns")
    return dataclasses.replace(query.columns[0][1], sql=f"({query.sql})", constant=None)


def _in(node: exp.Expression, scope: Scope) -> Term:
    query = node.args.get("query")
    if query is None:
        return RULES[exp.In].write(node, scope)
    assert isinstance(scope, QueryScope)
    term, inner = write_node(node.this, scope), scope.subquery(query)
    if len(inner.columns) != 1 or inner.columns[0][1].kind is not term.kind:
        raise Untranslatable("it looks for a value among others of another type")
    refuse_collation(term)
    return Term(f"({term.sql} IN ({inner.sql}))", Kind.BOOLEAN)


IN_QUERIES: Mapping[type[exp.Expression], Rule] = {
    **{kind: Rule(_aggregate, arguments) for kind, (_, arguments) in _AGGREGATES.items()},
    exp.Filter: rule(_aggregate),
    exp.Window: rule(_window, "this", "partition_by", "order", "spec", "over"),
    exp.Least: rule(_of_several("LEAST"), "this", "expressions"),
    exp.Greatest: rule(_of_several("GREATEST"), "this", "expressions"),
    exp.Round: rule(_round, "this", "decimals"),
    exp.TimeToStr: rule(formatted, "this", "format"),
    exp.Date: rule(_date, "this"),
    exp.Anonymous: rule(_function, "this", "expressions"),
    exp.Exists: rule(_exists, "this"),
    exp.Subquery: rule(_scalar, "this"),
    exp.In: rule(_in, "this", "expressions", "query"),
}
