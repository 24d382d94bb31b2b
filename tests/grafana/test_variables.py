from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sdetl_engine.grafana.dashboards import Variable
from sdetl_engine.grafana.macros import expand
from sdetl_engine.grafana.templating import Context
from sdetl_engine.grafana.unknown import UnknownInQuery
from sdetl_engine.grafana.variables import narrowed, resolve_variables

NOW = datetime(2025, 10, 19, tzinfo=UTC)
ANSWERS = {"SELECT team": ("Cloud", "Desk"), "SELECT person IN ('Cloud','Desk')": ("Bo", "Ines")}
TEAM = Variable("team", "query", ("$__all",), query="SELECT team", multi=True, include_all=True)


def read(sql: str) -> tuple[str, ...]:
    if sql not in ANSWERS:
        raise UnknownInQuery(f"its query fails: {sql}")
    return ANSWERS[sql]


def resolved(*variables: Variable, **overrides: str) -> Context:
    return resolve_variables(variables, overrides, Context(NOW - timedelta(days=90), NOW, 10_800), read)


def test_all_means_every_value_of_the_query_quoted() -> None:
    assert expand("IN ($team)", resolved(TEAM)) == "IN ('Cloud','Desk')"


def test_a_variable_that_depends_on_a_later_one_is_resolved_after_it() -> None:
    person = Variable("person", "query", (), query="SELECT person IN ($team)")
    assert expand("'$person'", resolved(person, TEAM)) == "'Bo'"


def test_variables_that_depend_on_each_other_say_so_when_they_are_used() -> None:
    first, second = Variable("a", "query", (), query="$b"), Variable("b", "query", (), query="$a")
    context = resolved(first, second)
    assert expand("SELECT 1", context) == "SELECT 1"
    with pytest.raises(UnknownInQuery, match="'a'"):
        expand("SELECT $a", context)


def test_a_query_that_fails_is_told_by_the_panels_that_need_it() -> None:
    broken = Variable("site", "query", (), query="SELECT nothing")
    context = resolved(broken, TEAM)
    assert expand("SELECT $team", context) == "SELECT 'Cloud','Desk'"
    with pytest.raises(UnknownInQuery, match=r"'site' has no value: its query fails"):
        expand("SELECT '$site'", context)


def test_a_choice_that_stands_in_the_file_needs_no_query() -> None:
    assert expand("$site", resolved(Variable("site", "query", ("Perth",), query="SELECT nothing"))) == "Perth"


def test_a_custom_value_of_all_needs_no_list() -> None:
    custom = Variable("team", "custom", ("All",), include_all=True, multi=True, all_value="A','B")
    assert expand("IN ('${team:raw}')", resolved(custom)) == "IN ('A','B')"


def test_settings_go_before_the_dashboard_and_fill_what_it_leaves_open() -> None:
    context = resolved(TEAM, team="Desk", other="x")
    assert expand("IN ($team) AND $other", context) == "IN ('Desk') AND x"
    assert expand("IN ($team)", resolved(TEAM, team="All")) == "IN ('Cloud','Desk')"


def test_lists_and_intervals() -> None:
    size = Variable("size", "custom", (), options=("S", "M"))
    step = Variable("step", "interval", ("$__auto_interval_step",), options=("1m",))
    text = Variable("text", "textbox", ())
    assert expand("$size $step '$text'", resolved(size, step, text)) == "S 3h ''"


@pytest.mark.parametrize(
    ("regex", "values"),
    [("/^C/", "'Cloud'"), ("es", "'Desk'"), ("/(?<text>.)(?<value>.*)/", "'loud','esk'"), ("/D(.)/i", "'e'")],
)
def test_a_regular_expression_filters_and_cuts(regex: str, values: str) -> None:
    variable = Variable("team", "query", ("$__all",), query="SELECT team", multi=True, include_all=True, regex=regex)
    assert expand("$team", resolved(variable)) == values


def test_a_repeated_panel_has_one_value() -> None:
    assert expand("= $team", narrowed(resolved(TEAM), ("team", "nobody"))) == "= 'Cloud'"
