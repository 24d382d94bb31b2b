"""SQLite's date functions in queries: of columns that are dates in PostgreSQL.  Pure.

https://www.sqlite.org/lang_datefunc.html.  What depends on the moment of asking (``now``) or on the place (``localtime``)
cannot be compared on both sides, and is not translated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from sdetl_engine.postgres.dialect import terms
from sdetl_engine.postgres.dialect.terms import Term, Untranslatable
from sdetl_engine.postgres.dialect.translate import Scope, write_node
from sdetl_engine.values.types import Kind

_START = re.compile(r"start of (day|month|year)", re.IGNORECASE)
_SHIFT = re.compile(r"([+-]?)(\d{1,6}) (second|minute|hour|day|month|year)s?", re.IGNORECASE)
_PATTERNS = {
    "Y": "YYYY",
    "m": "MM",
    "d": "DD",
    "H": "HH24",
    "M": "MI",
    "S": "SS",
    "j": "DDD",
    "f": "SS.MS",
}
_PLAIN = frozenset(" -/:.,")


def formatted(node: exp.Expression, scope: Scope) -> Term:
    """``strftime`` with a format of which every piece means the same in both."""
    argument = node.this.this if isinstance(node.this, exp.TsOrDsToTimestamp) else node.this
    pattern = node.args["format"]
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        raise Untranslatable("it uses strftime() with a format that is no constant")
    return _written(pattern.name, _moment([argument], scope, "strftime()"))


def _written(pattern: str, moment: str) -> Term:
    pieces: list[str] = []
    run = ""
    for token in re.findall(r"%.|[^%]|%$", pattern, re.DOTALL):
        if token[0] == "%" and token[1:] in _PATTERNS:
            run += _PATTERNS[token[1:]]
            continue
        if token in _PLAIN:
            run += token
            continue
        pieces += [f"to_char({moment}, '{run}')"] if run else []
        run = ""
        pieces.append(_piece(token, moment))
    pieces += [f"to_char({moment}, '{run}')"] if run else []
    if not pieces:
        raise Untranslatable("it uses strftime() with an empty format")
    return Term(pieces[0] if len(pieces) == 1 else f"({' || '.join(pieces)})", Kind.TEXT)


def _piece(token: str, moment: str) -> str:
    match token:
        case "%w":
            return f"(extract(dow FROM {moment})::int::text)"
        case "%s":
            return f"({_seconds(moment)}::text)"
        case "%%":
            return "'%'"
        case _ if token[0] == "%":
            raise Untranslatable("it uses strftime() with a format that PostgreSQL has not")
        case _:
            return terms.text_literal(token)


def _day(arguments: Sequence[exp.Expression], scope: Scope) -> Term:
    return Term(f"({_moment(arguments, scope, 'date()')})::date", Kind.DATE)


def _second(arguments: Sequence[exp.Expression], scope: Scope) -> Term:
    return Term(f"date_trunc('second', {_moment(arguments, scope, 'datetime()')})", Kind.TIMESTAMP)


def _clock(arguments: Sequence[exp.Expression], scope: Scope) -> Term:
    return Term(f"to_char({_moment(arguments, scope, 'time()')}, 'HH24:MI:SS')", Kind.TEXT)


def _julian(arguments: Sequence[exp.Expression], scope: Scope) -> Term:
    """SQLite counts milliseconds and divides: the same division gives the same double."""
    moment = _moment(arguments, scope, "julianday()")
    milliseconds = f"(round(extract(epoch FROM {moment}) * 1000) + 210866760000000)"
    return Term(f"({milliseconds}::double precision / 86400000)", Kind.DOUBLE, always_real=True)


def _epoch(arguments: Sequence[exp.Expression], scope: Scope) -> Term:
    return Term(_seconds(_moment(arguments, scope, "unixepoch()")), Kind.INTEGER)


def _seconds(moment: str) -> str:
    return f"floor(extract(epoch FROM {moment}))::bigint"


def _moment(arguments: Sequence[exp.Expression], scope: Scope, what: str) -> str:
    """The timestamp (of UTC) that the arguments of a date function stand for: a value and its modifiers."""
    if not arguments:
        raise Untranslatable(f"it uses {what} of the moment in which it is asked")
    term, modifiers = write_node(arguments[0], scope), [_modifier(node, scope) for node in arguments[1:]]
    if term.kind is Kind.INTEGER and modifiers and modifiers[0].lower() == "unixepoch":
        moment, modifiers = f"(to_timestamp({term.sql}) AT TIME ZONE 'UTC')", modifiers[1:]
    elif term.kind in (Kind.DATE, Kind.TIMESTAMP):
        moment = f"{term.sql}::timestamp" if term.kind is Kind.DATE else term.sql
    elif term.kind is Kind.TIMESTAMPTZ:
        moment = f"({term.sql} AT TIME ZONE 'UTC')"
    else:
        raise Untranslatable(f"it uses {what} on {term.kind or 'NULL'}")
    is_first_of_month = False
    for modifier in modifiers:
        if (start := _START.fullmatch(modifier)) is not None:
            moment = f"date_trunc('{start[1].lower()}', {moment})"
            is_first_of_month = start[1].lower() != "day"
        elif (shift := _SHIFT.fullmatch(modifier)) is not None:
            unit = shift[3].lower()
            if unit in ("month", "year") and not is_first_of_month:
                # 31 January and a month is 2 or 3 March in SQLite, and the end of February in PostgreSQL.
                raise Untranslatable(f"it shifts a date by {unit}s, which is not the same in both")
            is_first_of_month = is_first_of_month and unit in ("month", "year")
            moment = f"({moment} + interval '{shift[1]}{int(shift[2])} {unit}')"
        else:
            raise Untranslatable(f"it uses {what} with a modifier that is not known")
    return moment


def _modifier(node: exp.Expression, scope: Scope) -> str:
    if not isinstance(node, exp.Literal) or not node.is_string:
        raise Untranslatable("it uses a date function with a modifier that is no constant")
    return node.name.strip()


DATE_FUNCTIONS: Mapping[str, Callable[[Sequence[exp.Expression], Scope], Term]] = {
    "date": _day,
    "datetime": _second,
    "time": _clock,
    "julianday": _julian,
    "unixepoch": _epoch,
}
