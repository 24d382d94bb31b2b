"""Defaults of SQLite columns as defaults of PostgreSQL columns, written for the type that the column got.

``DEFAULT 0`` becomes ``false`` on a boolean column and ``'0'`` on a text column; ``datetime('now')`` is UTC to the
second in SQLite and stays that.  PostgreSQL is never left to guess what a text means.
SQLite's rules: https://www.sqlite.org/lang_createtable.html#the_default_clause
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping

from sqlglot import exp

from sdetl_engine.postgres.dialect import terms
from sdetl_engine.postgres.dialect.terms import Term, Untranslatable
from sdetl_engine.postgres.dialect.translate import Scope, parse, write_node
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

_UTC = "(now() AT TIME ZONE 'UTC')"
_DAY = "YYYY-MM-DD"
_SECOND = "YYYY-MM-DD HH24:MI:SS"
_CLOCK = "HH24:MI:SS"
_NOW_FUNCTIONS = {"datetime": _SECOND, "date": _DAY, "time": _CLOCK}
_STRFTIME = {"Y": "YYYY", "m": "MM", "d": "DD", "H": "HH24", "M": "MI", "S": "SS", "f": "SS.MS", "j": "DDD"}
_STRFTIME_PIECE = re.compile(r"%([YmdHMSfj])|([^%\"\\]+)")
_EPOCH = "floor(extract(epoch FROM now()))::bigint"
_NOTHING = Scope("", {})


def translate_default(text: str, target: TargetType) -> str | None:
    """The default as SQL; None where it is NULL, which is what PostgreSQL does anyway.  Raises Untranslatable."""
    try:
        tree = _bare(parse(text))
        if isinstance(tree, exp.Null):
            return None
        now = _now_format(tree)
        if now is not None:
            return _now(now, target.kind)
        return _constant(_value(tree), target.kind)
    except RecursionError:
        raise Untranslatable("it is nested too deeply") from None


def _bare(tree: exp.Expression) -> exp.Expression:
    while isinstance(tree, exp.Paren) and isinstance(tree.this, exp.Expression):
        tree = tree.this
    return tree


def _value(tree: exp.Expression) -> Term:
    if isinstance(tree, exp.Column) and isinstance(tree.this, exp.Identifier) and not tree.args.get("table"):
        # No column can be named here, so a name is a text: DEFAULT "abc", DEFAULT abc.
        return terms.text_term(tree.this.name)
    return write_node(tree, _NOTHING)


def _now_format(tree: exp.Expression) -> str | None:
    """How the present moment is to be written (to_char's format, or ``epoch``); None when it is not asked for."""
    if isinstance(tree, exp.CurrentTimestamp):
        return _SECOND
    if isinstance(tree, exp.CurrentDate):
        return _DAY
    if isinstance(tree, exp.CurrentTime):
        return _CLOCK
    if isinstance(tree, exp.Date) and _is_now([tree.this]) and not tree.expressions:
        return _DAY
    if isinstance(tree, exp.TimeToStr):
        moment, pattern = tree.this, tree.args.get("format")
        inner = moment.this if isinstance(moment, exp.TsOrDsToTimestamp) else moment
        return _strftime(pattern.name) if _is_now([inner]) and isinstance(pattern, exp.Literal) else None
    if isinstance(tree, exp.Anonymous) and isinstance(tree.this, str):
        return _now_function(tree.this.lower(), tree.expressions)
    return None


def _now_function(name: str, arguments: list[exp.Expression]) -> str | None:
    if "localtime" in {a.name.lower() for a in arguments if isinstance(a, exp.Literal)}:
        raise Untranslatable("it is the local time of whichever machine writes the row")
    if arguments and not _is_now(arguments):
        return None
    return "epoch" if name == "unixepoch" else _NOW_FUNCTIONS.get(name)


def _is_now(arguments: list[exp.Expression]) -> bool:
    return len(arguments) == 1 and isinstance(arguments[0], exp.Literal) and arguments[0].name.lower() == "now"


def _strftime(pattern: str) -> str:
    """https://www.sqlite.org/lang_datefunc.html as a format of to_char."""
    if pattern == "%s":
        return "epoch"
    pieces, end = [], 0
    for match in _STRFTIME_PIECE.finditer(pattern):
        if match.start() != end:
            break
        end = match.end()
        pieces.append(_STRFTIME[match[1]] if match[1] else _literal_piece(match[2]))
    if end != len(pattern) or not pieces:
        raise Untranslatable("it uses an unusual format of strftime()")
    return "".join(pieces)


def _literal_piece(text: str) -> str:
    return f'"{text}"' if re.search(r"[^\s:.,/-]", text) else text


def _now(form: str, kind: Kind) -> str:
    """The present moment in that form, in a column of that type."""
    if form == "epoch":
        if kind in terms.NUMBERS:
            return _EPOCH
        if kind is Kind.TEXT:
            return f"({_EPOCH})::text"
        raise Untranslatable(f"it is a number of seconds, the column {kind}")
    if kind is Kind.TEXT:
        return f"to_char({_UTC}, {terms.text_literal(form)})"
    precision = _PRECISION.get(form.replace('"T"', " ").removesuffix('"Z"'))
    if precision is None or kind not in _NOW_AS or (kind is Kind.TIME) != (precision == "clock"):
        raise Untranslatable(f"it is a moment in a form that is no {kind}")
    return _NOW_AS[kind](precision)


_PRECISION = {_SECOND: "second", _DAY: "day", _CLOCK: "clock", "YYYY-MM-DD HH24:MI:SS.MS": "milliseconds"}
_NOW_AS: Mapping[Kind, Callable[[str], str]] = {
    Kind.TIMESTAMP: lambda precision: f"date_trunc('{precision}', now() AT TIME ZONE 'UTC')",
    Kind.TIMESTAMPTZ: lambda precision: f"(date_trunc('{precision}', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')",
    Kind.DATE: lambda precision: f"{_UTC}::date",
    Kind.TIME: lambda precision: "date_trunc('second', now() AT TIME ZONE 'UTC')::time",
}


def _constant(term: Term, kind: Kind) -> str:
    """A constant in a column of that type."""
    if term.kind is kind and kind is not Kind.TEXT:
        return term.sql
    if term.kind is Kind.BOOLEAN:  # TRUE and FALSE are 1 and 0
        term = terms.number_term("1" if term.sql == "true" else "0") if term.sql in ("true", "false") else term
    value = term.constant
    if value is None:
        if term.kind is kind or (term.kind in terms.NUMBERS and kind in terms.NUMBERS):
            return term.sql
        raise Untranslatable(f"it is {term.kind or 'NULL'}, the column {kind}")
    written = _written(value, kind)
    if written is None:
        raise Untranslatable(f"it is {'an empty text' if value == '' else 'a constant'} that is no {kind}")
    return written


def _written(value: str | float, kind: Kind) -> str | None:
    if kind is Kind.TEXT:
        return _as_text(value)
    if kind is Kind.BOOLEAN:
        meaning = terms.boolean_of(value)
        return None if meaning is None else str(meaning).lower()
    if kind in terms.NUMBERS:
        return _as_number(value, kind)
    if not isinstance(value, str):
        return None
    if kind in DATE_KINDS:
        return terms.moment(value, kind)
    if kind is Kind.TIME:
        return terms.clock(value)
    if kind is Kind.UUID:
        return _as_uuid(value)
    return _as_json(value, kind) if kind in (Kind.JSON, Kind.JSONB) else None


def _as_text(value: str | float) -> str:
    """A number in a column of texts is written as SQLite writes it; only integers are surely the same everywhere."""
    if isinstance(value, float):
        if not re.fullmatch(r"-?\d{1,15}\.\d{1,15}", repr(value)) or len(repr(value)) > len("-0.12345678901234"):
            raise Untranslatable("it is a number in a column of texts")
        return terms.text_literal(repr(value))
    return terms.text_literal(str(value))


def _as_number(value: str | float, kind: Kind) -> str | None:
    text = str(value).strip() if isinstance(value, str) else repr(value)
    if not re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", text, re.ASCII):
        return None
    term = terms.number_term(text.removeprefix("+"))
    if kind is not Kind.INTEGER or term.kind is Kind.INTEGER:
        return term.sql if kind is not Kind.NUMERIC else f"('{text}'::numeric)"
    whole = isinstance(term.constant, float) and term.constant.is_integer() and abs(term.constant) < 2**53
    return terms.number_term(str(int(term.constant))).sql if whole and term.constant is not None else None


def _as_uuid(value: str) -> str | None:
    try:
        return f"'{uuid.UUID(value)}'::uuid"
    except ValueError:
        return None


def _as_json(value: str, kind: Kind) -> str | None:
    try:
        json.loads(value)
    except ValueError:
        return None
    return f"{terms.text_literal(value)}::{kind.value}"
