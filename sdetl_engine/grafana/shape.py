"""What a query reads, and what may be said about the order of its rows; from its text alone."""

from __future__ import annotations

import dataclasses

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


@dataclasses.dataclass(frozen=True, slots=True)
class QueryShape:
    """``tables`` of the schema that are read, None when the text is not understood.

    ``order``: the places (from 0) or names of the output columns that the rows are ordered by; empty when they are in
    no order, None when they are ordered by something that is not among the output.  ``chooses``: a LIMIT or the like
    may choose other rows among equals each time.
    """

    tables: frozenset[str] | None = None
    order: tuple[int | str, ...] | None = ()
    chooses: bool = True


def shape_of(query: str, schema: str) -> QueryShape:
    """The shape of a query as PostgreSQL gets it.  What is not understood says nothing."""
    try:
        statement = sqlglot.parse_one(query, read="postgres")
    except (SqlglotError, RecursionError):
        return QueryShape()
    tables = frozenset(_name(t.this) for t in statement.find_all(exp.Table) if _schema(t) == schema)
    chooses = statement.find(exp.Limit, exp.Fetch, exp.Distinct, exp.ArrayAgg, exp.GroupConcat) is not None
    return QueryShape(tables, _order(statement), chooses)


def _order(statement: exp.Expr) -> tuple[int | str, ...] | None:
    ordered = statement.args.get("order")
    if ordered is None:
        return ()
    keys: list[int | str] = []
    for term in ordered.expressions:
        key = term.this if isinstance(term, exp.Ordered) else term
        if isinstance(key, exp.Literal) and not key.is_string:
            keys.append(int(key.name) - 1)
        elif isinstance(key, exp.Column) and not key.table:
            keys.append(_name(key.this))
        else:
            return None
    return tuple(keys)


def _schema(table: exp.Table) -> str:
    schema = table.args.get("db")
    return _name(schema) if schema is not None else ""


def _name(identifier: exp.Expr) -> str:
    """A name as PostgreSQL takes it: in lower case unless it is quoted."""
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()
