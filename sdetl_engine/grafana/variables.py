"""What a dashboard's template variables stand for when it opens: chosen, all, or the first that their query gives."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

from sdetl_engine.grafana.dashboards import Variable
from sdetl_engine.grafana.macros import expand
from sdetl_engine.grafana.templating import Context, Value, names_in
from sdetl_engine.grafana.timerange import duration_text
from sdetl_engine.grafana.unknown import UnknownInQuery

_AUTO_INTERVAL = "$__auto_interval"
_MAY_BE_EMPTY = ("textbox", "datasource", "constant", "adhoc")
_FLAGGED = re.compile(r"/(.*)/([a-z]*)", re.DOTALL)

ReadValues = Callable[[str], tuple[str, ...]]
"""Runs a variable's query and returns its values; raises UnknownInQuery saying why it cannot."""


def resolve_variables(
    variables: Sequence[Variable], overrides: Mapping[str, str], context: Context, read: ReadValues
) -> Context:
    """The context with every variable's value; ``overrides`` (name to text) go before what the dashboard says.

    A variable that cannot be resolved carries the reason, which is told when a query uses it.
    """
    own = {v.name for v in variables}
    context = dataclasses.replace(context, variables={n: Value((t,)) for n, t in overrides.items() if n not in own})
    for variable in _by_dependency(variables):
        value = _value(_overridden(variable, overrides), context, read)
        context = dataclasses.replace(context, variables={**context.variables, variable.name: value})
    return context


def narrowed(context: Context, names: Sequence[str]) -> Context:
    """The context of one copy of a repeated panel: the named variables stand for one value, their first."""
    known = {n: context.variables[n] for n in names if n in context.variables and context.variables[n].values}
    first = {n: Value(v.values[:1], quoted=v.quoted) for n, v in known.items()}
    return dataclasses.replace(context, variables={**context.variables, **first})


def _by_dependency(variables: Sequence[Variable]) -> list[Variable]:
    """Those that others refer to go first; in a circle, as they are listed."""
    ordered: list[Variable] = []
    waiting = list(variables)
    while waiting:
        names = {v.name for v in waiting}
        free = [v for v in waiting if not names_in(v.query) & (names - {v.name})]
        ordered += free or waiting
        waiting = [v for v in waiting if free and v not in free]
    return ordered


def _overridden(variable: Variable, overrides: Mapping[str, str]) -> Variable:
    if variable.name not in overrides:
        return variable
    return dataclasses.replace(variable, current=(overrides[variable.name],))


def _value(variable: Variable, context: Context, read: ReadValues) -> Value:
    quoted = variable.multi or variable.include_all
    if not variable.is_all and variable.current:
        if variable.kind == "interval" and variable.current[0].startswith(_AUTO_INTERVAL):
            return Value((duration_text(context.interval_seconds),))
        return Value(variable.current, many=variable.multi, quoted=quoted)
    if variable.is_all and variable.all_value is not None:
        return Value(variable.options or (variable.all_value,), literal=variable.all_value, is_all=True)
    try:
        values = _options(variable, context, read)
    except UnknownInQuery as problem:
        return Value(problem=str(problem))
    if values:
        many = variable.multi or variable.is_all
        return Value(values if variable.is_all else values[:1], many=many, quoted=quoted, is_all=variable.is_all)
    if variable.kind in _MAY_BE_EMPTY:
        return Value(("",), quoted=quoted)
    return Value(problem="there is nothing that it could be")


def _options(variable: Variable, context: Context, read: ReadValues) -> tuple[str, ...]:
    if variable.kind != "query":
        return variable.options
    if not variable.query.strip():
        raise UnknownInQuery("it has no query")
    return _filtered(read(expand(variable.query, context)), variable.regex)


def _filtered(values: Sequence[str], pattern: str) -> tuple[str, ...]:
    """The values that the variable's regular expression lets through; what it captures stands for the value."""
    if not pattern:
        return tuple(values)
    flagged = _FLAGGED.fullmatch(pattern)
    body, flags = (flagged[1], flagged[2]) if flagged else (pattern, "")
    try:
        # JavaScript names a group without the P.
        compiled = re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", body), re.IGNORECASE if "i" in flags else 0)
    except re.error:
        raise UnknownInQuery(f"its regular expression {pattern} is not understood") from None
    found = [m for v in values if (m := compiled.search(v))]
    return tuple(dict.fromkeys(_captured(match) for match in found))


def _captured(match: re.Match[str]) -> str:
    named = match.groupdict()
    if named.get("value") is not None:
        return named["value"]
    return next((g for g in match.groups() if g is not None), match.string)
