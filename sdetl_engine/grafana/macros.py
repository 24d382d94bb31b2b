"""What Grafana makes of a query before PostgreSQL sees it: comments out, template variables in, ``$__`` macros expanded.

The rules are those of Grafana's PostgreSQL data source (https://grafana.com/docs/grafana/latest/datasources/postgres/),
except that a macro's argument may hold parentheses.  What is not known here is an error that names it, never left in
the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sdetl_engine.grafana.templating import Context, replace_variables
from sdetl_engine.grafana.timerange import epoch_milliseconds, rfc3339, seconds_of
from sdetl_engine.grafana.unknown import UnknownInQuery

_MACRO = re.compile(r"\$__(\w+)\(")
_COMMENT = re.compile(
    r"""
    (?P<kept> (?<!\w)[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$ )
    | --[^\n]* | /\*(?:(?!/\*|\*/).)*\*/
    """,
    re.VERBOSE | re.DOTALL,
)


def expand(sql: str, context: Context) -> str:
    """The query as PostgreSQL gets it.  Raises UnknownInQuery."""
    return _expand_macros(replace_variables(without_comments(sql), context), context)


def without_comments(sql: str) -> str:
    """The query without its comments, nested ones included; texts and quoted names are left alone."""
    while True:
        shorter = _COMMENT.sub(lambda match: match["kept"] or " ", sql)
        if shorter == sql:
            return sql
        sql = shorter


def _expand_macros(sql: str, context: Context) -> str:
    out: list[str] = []
    place = 0
    while (match := _MACRO.search(sql, place)) is not None:
        inside, after = _parenthesis(sql, match.end() - 1)
        name = match[1]
        if name == "timeGroup" and _is_followed_by_comma(sql, sql[match.start() : after]):
            name = "timeGroupAlias"
        out += [sql[place : match.start()], _macro(name, _arguments(_expand_macros(inside, context)), context)]
        place = after
    return "".join([*out, sql[place:]])


def _is_followed_by_comma(sql: str, call: str) -> bool:
    """As in Grafana, the first place of a call decides for all of them: before a comma it becomes ``AS "time"``."""
    return sql[sql.index(call) + len(call) :].startswith(",")


def _parenthesis(sql: str, opening: int) -> tuple[str, int]:
    """What stands between the balanced parentheses, and the place after them."""
    depth, quote = 0, ""
    for place in range(opening, len(sql)):
        character = sql[place]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return sql[opening + 1 : place], place + 1
    raise UnknownInQuery("a macro's parenthesis is never closed")


def _arguments(inside: str) -> list[str]:
    """Split at commas that stand in no parenthesis and no quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for place, character in enumerate(inside):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(inside[start:place].strip())
            start = place + 1
    parts.append(inside[start:].strip())
    return parts if parts != [""] else []


def _macro(name: str, arguments: list[str], context: Context) -> str:
    moments = {
        "timeFrom": f"'{rfc3339(context.start)}'",
        "timeTo": f"'{rfc3339(context.end)}'",
        "unixEpochFrom": str(epoch_milliseconds(context.start) // 1000),
        "unixEpochTo": str(epoch_milliseconds(context.end) // 1000),
        "unixEpochNanoFrom": str(epoch_milliseconds(context.start) * 10**6),
        "unixEpochNanoTo": str(epoch_milliseconds(context.end) * 10**6),
    }
    if name in moments:
        return moments[name]
    if name not in _COLUMN_MACROS:
        raise UnknownInQuery(f"unknown macro $__{name}")
    if not arguments:
        raise UnknownInQuery(f"$__{name} has no column")
    return _COLUMN_MACROS[name](arguments, moments)


def _step(name: str, arguments: list[str]) -> str:
    """The seconds of a group, the second argument; a third one says how Grafana fills gaps, which needs no SQL."""
    if len(arguments) not in (2, 3):
        raise UnknownInQuery(f"$__{name} needs a column, an interval and perhaps a fill value")
    if len(arguments) == 3 and arguments[2] not in ("NULL", "previous"):
        try:
            float(arguments[2])
        except ValueError:
            raise UnknownInQuery(f"$__{name} cannot fill with {arguments[2]}") from None
    return f"{seconds_of(arguments[1]):.10g}"


def _time_group(arguments: list[str], _moments: Mapping[str, str]) -> str:
    step = _step("timeGroup", arguments)
    return f"floor(extract(epoch from {arguments[0]})/{step})*{step}"


def _epoch_group(arguments: list[str], _moments: Mapping[str, str]) -> str:
    step = _step("unixEpochGroup", arguments)
    return f"floor(({arguments[0]})/{step})*{step}"


_COLUMN_MACROS: Mapping[str, Callable[[list[str], Mapping[str, str]], str]] = {
    "time": lambda a, _: f'{a[0]} AS "time"',
    "timeEpoch": lambda a, _: f'extract(epoch from {a[0]}) as "time"',
    "timeFilter": lambda a, m: f"{a[0]} BETWEEN {m['timeFrom']} AND {m['timeTo']}",
    "timeGroup": _time_group,
    "timeGroupAlias": lambda a, m: _time_group(a, m) + ' AS "time"',
    "unixEpochFilter": lambda a, m: f"{a[0]} >= {m['unixEpochFrom']} AND {a[0]} <= {m['unixEpochTo']}",
    "unixEpochNanoFilter": lambda a, m: f"{a[0]} >= {m['unixEpochNanoFrom']} AND {a[0]} <= {m['unixEpochNanoTo']}",
    "unixEpochGroup": _epoch_group,
    "unixEpochGroupAlias": lambda a, m: _epoch_group(a, m) + ' AS "time"',
}
