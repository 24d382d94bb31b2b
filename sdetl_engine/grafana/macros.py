"""What Grafana makes of a query before PostgreSQL sees it: template variables first, then ``$__`` macros.

The rules are those of Grafana's PostgreSQL data source and of its variable formats
(https://grafana.com/docs/grafana/latest/datasources/postgres/ and .../dashboards/variables/variable-syntax/).
What is not known here is an error that names it, never left in the text.
"""

from __future__ import annotations

import dataclasses
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_592_000, "y": 31_536_000}
_INTERVAL = re.compile(r"(\d{1,9})(ms|[smhdwMy])")
_VARIABLE = re.compile(r"\$\{(\w+)(?:\.[^:^}]+)?(?::([^}]+))?\}|\[\[(\w+)(?::(\w+))?\]\]|\$(\w+)")
_MACRO = re.compile(r"\$__(\w+)")
_RELATIVE = re.compile(r"now(?:-(\d{1,6})([smhdwMy]))?(?:/[smhdwMy])?")


class UnknownInQuery(Exception):
    """A variable or macro that nothing defines; the text names it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """What a variable stands for.  ``quoted``: multi-value or "All" variables are quoted when no format is asked for."""

    values: tuple[str, ...]
    quoted: bool = False
    literal: str | None = None
    """The custom value of "All", which goes in as it is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """The time range (aware, UTC), the interval of a point (seconds), and the variables by name."""

    start: datetime
    end: datetime
    interval_seconds: int
    variables: Mapping[str, Value] = dataclasses.field(default_factory=dict)


def range_of(time_from: str, time_to: str, *, default_days: int, now: datetime) -> tuple[datetime, datetime]:
    """A dashboard's range in UTC; ``default_days`` back from now where it has none that can be read."""
    end = _moment(time_to, now) or now
    start = _moment(time_from, now)
    return (start if start is not None and start < end else end - timedelta(days=default_days)), end


def expand(sql: str, context: Context) -> str:
    """The query as PostgreSQL gets it.  Raises UnknownInQuery."""
    return _expand_macros(_VARIABLE.sub(lambda m: _variable(m, context), sql), context)


def format_value(value: Value, form: str | None) -> str:
    """The variable's value in one of Grafana's formats.  Raises UnknownInQuery for a format that is none."""
    if value.literal is not None and form in (None, "raw"):
        return value.literal
    values = value.values
    if form is None:
        if not value.quoted:
            return _doubled(values[0]) if len(values) == 1 else ",".join(map(_sql_text, values))
        return ",".join(map(_sql_text, values))
    try:
        return _FORMATS[form.partition(":")[0]](values)
    except KeyError:
        raise UnknownInQuery(f"unknown variable format {form!r}") from None


def _doubled(text: str) -> str:
    return text.replace("'", "''")


def _sql_text(text: str) -> str:
    return f"'{_doubled(text)}'"


def _globbed(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else "{" + ",".join(values) + "}"


def _regex(values: Sequence[str]) -> str:
    escaped = [re.sub(r"([.*+?^${}()|\[\]\\/])", r"\\\1", v) for v in values]
    return escaped[0] if len(escaped) == 1 else "(" + "|".join(escaped) + ")"


_FORMATS: Mapping[str, Callable[[Sequence[str]], str]] = {
    "raw": ",".join,
    "csv": ",".join,
    "text": " + ".join,
    "pipe": "|".join,
    "singlequote": lambda values: ",".join("'" + v.replace("'", "\\'") + "'" for v in values),
    "doublequote": lambda values: ",".join('"' + v.replace('"', '\\"') + '"' for v in values),
    "sqlstring": lambda values: ",".join(map(_sql_text, values)),
    "json": lambda values: json.dumps(list(values)),
    "glob": _globbed,
    "regex": _regex,
    "percentencode": lambda values: urllib.parse.quote(_globbed(values), safe=""),
}


def _variable(match: re.Match[str], context: Context) -> str:
    name = match[1] or match[3] or match[5]
    form = match[2] or match[4]
    if name in ("__from", "__to"):
        return _moment_text(context.start if name == "__from" else context.end, form)
    if name in ("__interval", "__interval_ms", "__range", "__range_s", "__range_ms"):
        return _global(name, context)
    if name.startswith("__"):
        return match[0]
    if match[5] is not None and name.isdigit():
        return match[0]
    if name not in context.variables:
        if match[5] is not None:
            return match[0]
        raise UnknownInQuery(f"the dashboard defines no variable {name!r}; set dashboards.variables.{name}")
    return format_value(context.variables[name], form)


def _global(name: str, context: Context) -> str:
    seconds = max(1, round((context.end - context.start).total_seconds()))
    return {
        "__interval": f"{context.interval_seconds}s",
        "__interval_ms": str(context.interval_seconds * 1000),
        "__range": f"{seconds}s",
        "__range_s": str(seconds),
        "__range_ms": str(seconds * 1000),
    }[name]


def _moment_text(moment: datetime, form: str | None) -> str:
    if form is None:
        return str(round(moment.timestamp() * 1000))
    if form in ("date", "date:iso"):
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    if form == "date:seconds":
        return str(round(moment.timestamp()))
    if form == "date:YYYY-MM-DD":
        return moment.strftime("%Y-%m-%d")
    raise UnknownInQuery(f"unknown date format {form!r}")


def _expand_macros(sql: str, context: Context) -> str:
    out: list[str] = []
    place = 0
    while (match := _MACRO.search(sql, place)) is not None:
        out.append(sql[place : match.start()])
        name, after = match[1], match.end()
        arguments: list[str] = []
        if sql[after : after + 1] == "(":
            inside, after = _parenthesis(sql, after)
            arguments = _arguments(_expand_macros(inside, context))
        out.append(_macro(name, arguments, context))
        place = after
    return "".join([*out, sql[place:]])


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
        "timeFrom": f"'{_rfc3339(context.start)}'",
        "timeTo": f"'{_rfc3339(context.end)}'",
        "unixEpochFrom": str(int(context.start.timestamp())),
        "unixEpochTo": str(int(context.end.timestamp())),
        "unixEpochNanoFrom": str(int(context.start.timestamp()) * 10**9),
        "unixEpochNanoTo": str(int(context.end.timestamp()) * 10**9),
    }
    if name in moments:
        return moments[name]
    if name not in _COLUMN_MACROS:
        raise UnknownInQuery(f"unknown macro $__{name}")
    if not arguments:
        raise UnknownInQuery(f"$__{name} has no column")
    return _COLUMN_MACROS[name](arguments, moments)


def _time_group(arguments: list[str], _moments: Mapping[str, str]) -> str:
    if len(arguments) < 2:
        raise UnknownInQuery("$__timeGroup needs a column and an interval")
    seconds = _seconds(arguments[1])
    return f"floor(extract(epoch from {arguments[0]})/{seconds})*{seconds}"


def _epoch_group(arguments: list[str], _moments: Mapping[str, str]) -> str:
    if len(arguments) < 2:
        raise UnknownInQuery("$__unixEpochGroup needs a column and an interval")
    seconds = _seconds(arguments[1])
    return f"floor(({arguments[0]})/{seconds})*{seconds}"


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


def _seconds(text: str) -> str:
    match = _INTERVAL.fullmatch(text.strip().strip("'\""))
    if match is None:
        raise UnknownInQuery(f"{text} is no interval")
    return f"{max(1, round(int(match[1]) * _UNITS[match[2]]))}"


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str, now: datetime) -> datetime | None:
    match = _RELATIVE.fullmatch(text.strip())
    if match is not None:
        return now - timedelta(seconds=int(match[1] or 0) * _UNITS[match[2] or "s"])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
