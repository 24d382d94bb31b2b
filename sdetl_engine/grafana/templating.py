"""Template variables in a query: ``$team``, ``${team:sqlstring}``, ``[[team]]``, and the built-in ones.

The formats are Grafana's (https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/); without a
format, values are quoted as its PostgreSQL data source quotes them.
"""

from __future__ import annotations

import dataclasses
import html
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sdetl_engine.grafana.timerange import duration_text, moment_text
from sdetl_engine.grafana.unknown import UnknownInQuery

_REFERENCE = re.compile(
    r"""
    \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$                              # a dollar-quoted text of SQL
    | \$\{(?P<braced>\w+)(?:\.(?P<field>[^:}]+))?(?::(?P<format>[^}]+))?\}
    | \[\[(?P<bracketed>\w+)(?::(?P<old_format>\w+))?\]\]
    | \$(?P<plain>\w+)(?P<call>\(?)
    """,
    re.VERBOSE | re.DOTALL,
)
_NOT_FOR_SQL = ("lucene", "date")
_UNFORMATTED_ALL = ("text", "percentencode", "queryparam")
"""The only formats that a custom value of "All" does not go past."""


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """What a variable stands for.  ``problem``: why it stands for nothing; told when a query uses it."""

    values: tuple[str, ...] = ()
    many: bool = False
    """A choice of several, even when one is chosen: then it is written as a list."""
    quoted: bool = False
    """Quoted even when it is one value: so for every variable that could be several or "All"."""
    literal: str | None = None
    """The custom value of "All", which goes in as it is."""
    is_all: bool = False
    problem: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """The time range (aware, UTC), the interval of a point (seconds), and the variables by name."""

    start: datetime
    end: datetime
    interval_seconds: int
    variables: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    dashboard: str = ""


def names_in(text: str) -> frozenset[str]:
    """The variables that a text refers to; built-in ones, which begin with two underscores, are left out."""
    found = (m["braced"] or m["bracketed"] or m["plain"] or "" for m in _REFERENCE.finditer(text))
    return frozenset(name for name in found if name and not name.startswith("__") and not name[0].isdigit())


def replace_variables(text: str, context: Context) -> str:
    """The text with every variable replaced.  Raises UnknownInQuery for one that nothing defines."""
    return _REFERENCE.sub(lambda match: _replacement(match, context), text)


def format_value(name: str, value: Value, form: str | None) -> str:
    """The variable's value in one of Grafana's formats.  Raises UnknownInQuery when it has no value."""
    if value.problem is not None:
        raise UnknownInQuery(f"the variable {name!r} has no value: {value.problem}")
    kind = form.partition(":")[0] if form is not None else None
    if value.literal is not None and kind not in _UNFORMATTED_ALL:
        return value.literal
    if kind is None:
        return _as_sql(value)
    if kind in _NOT_FOR_SQL:
        raise UnknownInQuery(f"the variable format {kind!r} of {name!r} has no meaning in SQL")
    if kind == "join":
        return _joined(value, form)
    # An unknown format is written as "glob", which is what Grafana falls back to.
    return _FORMATS.get(kind, _glob)(value, name)


def _replacement(match: re.Match[str], context: Context) -> str:
    if match["tag"] is not None:
        return match[0]
    name = match["braced"] or match["bracketed"] or match["plain"]
    form = match["format"] or match["old_format"]
    call = match["call"] or ""
    if name[0].isdigit():
        return match[0]
    if name in context.variables:
        value = context.variables[name]
        text = format_value(name, value, form)
        if value.literal is not None and text == value.literal:
            others = {n: v for n, v in context.variables.items() if n != name}
            text = replace_variables(text, dataclasses.replace(context, variables=others))
        return text + call
    if name.startswith("__"):
        # With parentheses it is a macro, which is expanded afterwards.
        return match[0] if call else _built_in(name, match["field"], form, context)
    if call:
        raise UnknownInQuery(f"unknown macro ${name}")
    raise UnknownInQuery(f"the dashboard defines no variable {name!r}; set dashboards.variables.{name}")


def _built_in(name: str, field: str | None, form: str | None, context: Context) -> str:
    if name in ("__from", "__to"):
        return moment_text(context.start if name == "__from" else context.end, form)
    seconds = max(1, round((context.end - context.start).total_seconds()))
    known = {
        "__interval": duration_text(context.interval_seconds),
        "__interval_ms": str(context.interval_seconds * 1000),
        "__range": f"{seconds}s",
        "__range_s": str(seconds),
        "__range_ms": str(seconds * 1000),
        "__timezone": "utc",
        "__dashboard": context.dashboard,
        # Who will look is not known here; any account tries the query as well.
        "__org": "Main Org." if field == "name" else "1",
        "__user": {"login": "viewer", "email": "viewer@localhost"}.get(field or "", "1"),
    }
    if name not in known:
        raise UnknownInQuery(f"unknown variable or macro ${name}; macros are written with parentheses")
    return known[name]


def _sql_text(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _as_sql(value: Value) -> str:
    if value.many or value.quoted or len(value.values) != 1:
        return ",".join(map(_sql_text, value.values))
    return value.values[0].replace("'", "''")


def _glob(value: Value, _name: str) -> str:
    return value.values[0] if len(value.values) == 1 else "{" + ",".join(value.values) + "}"


def _regex(value: Value, _name: str) -> str:
    escaped = [re.sub(r"([.*+?^${}()|\[\]\\/])", r"\\\1", v) for v in value.values]
    return escaped[0] if len(escaped) == 1 else "(" + "|".join(escaped) + ")"


def _percent_encoded(value: Value, _name: str) -> str:
    text = "{" + ",".join(value.values) + "}" if value.many else value.values[0]
    return urllib.parse.quote(text, safe="-_.~")


def _query_parameters(value: Value, name: str) -> str:
    values: Sequence[str] = ("$__all",) if value.is_all else value.values
    return "&".join(f"var-{name}={urllib.parse.quote(v, safe='-_.~')}" for v in values)


def _backslashed(value: Value, quote: str) -> str:
    return ",".join(quote + v.replace(quote, "\\" + quote) + quote for v in value.values)


def _json(value: Value, _name: str) -> str:
    """A list as JSON; Grafana leaves a single text as it is, without quotes."""
    if not value.many:
        return value.values[0]
    return json.dumps(list(value.values), ensure_ascii=False, separators=(",", ":"))


def _joined(value: Value, form: str | None) -> str:
    """``join:;`` puts a semicolon between the values, ``join`` alone a comma."""
    _, *arguments = (form or "").split(":")
    return (arguments[0] if arguments else ",").join(value.values)


_FORMATS: Mapping[str, Callable[[Value, str], str]] = {
    "raw": lambda value, _: ",".join(value.values),
    "csv": lambda value, _: ",".join(value.values),
    "pipe": lambda value, _: "|".join(value.values),
    "text": lambda value, _: "All" if value.is_all else " + ".join(value.values),
    "html": lambda value, _: html.escape(", ".join(value.values)),
    "singlequote": lambda value, _: _backslashed(value, "'"),
    "doublequote": lambda value, _: _backslashed(value, '"'),
    "sqlstring": lambda value, _: ",".join(map(_sql_text, value.values)),
    "distributed": lambda value, name: f",{name}=".join(value.values),
    "queryparam": _query_parameters,
    "percentencode": _percent_encoded,
    "json": _json,
    "glob": _glob,
    "regex": _regex,
}
