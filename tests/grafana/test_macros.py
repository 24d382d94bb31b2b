from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sdetl_engine.grafana.macros import expand, without_comments
from sdetl_engine.grafana.templating import Context, Value, names_in
from sdetl_engine.grafana.unknown import UnknownInQuery

START = datetime(2025, 7, 21, tzinfo=UTC)
END = datetime(2025, 10, 19, 12, 0, 0, 250_000, tzinfo=UTC)
TEAMS = Value(("Cloud", "O'Neil"), many=True, quoted=True)
ONE = Value(("Cloud",), quoted=True)
PLAIN = Value(("O'Neil",))


def expanded(sql: str, **variables: Value) -> str:
    return expand(sql, Context(START, END, 10_800, variables, dashboard="Desk"))


@pytest.mark.parametrize(
    ("macro", "text"),
    [
        ("$__time(created)", 'created AS "time"'),
        ("$__timeEpoch(created)", 'extract(epoch from created) as "time"'),
        ("$__timeFilter(created)", "created BETWEEN '2025-07-21T00:00:00Z' AND '2025-10-19T12:00:00.25Z'"),
        ("$__timeFrom()", "'2025-07-21T00:00:00Z'"),
        ("$__timeTo()", "'2025-10-19T12:00:00.25Z'"),
        ("$__timeGroup(created, '5m')", "floor(extract(epoch from created)/300)*300"),
        (
            "$__timeGroup(coalesce(a[1], least(b, c)), '5m')",
            "floor(extract(epoch from coalesce(a[1], least(b, c)))/300)*300",
        ),
        ("$__timeGroup(created,'1h30m', NULL)", "floor(extract(epoch from created)/5400)*5400"),
        ("$__timeGroup(created, $__interval, 0)", "floor(extract(epoch from created)/10800)*10800"),
        ("$__timeGroupAlias(created, '250ms')", 'floor(extract(epoch from created)/0.25)*0.25 AS "time"'),
        ("$__unixEpochFilter(at)", "at >= 1753056000 AND at <= 1760875200"),
        ("$__unixEpochNanoFilter(at)", "at >= 1753056000000000000 AND at <= 1760875200250000000"),
        ("$__unixEpochGroup(at, '1d')", "floor((at)/86400)*86400"),
        ("$__unixEpochGroupAlias(at, '1d', previous)", 'floor((at)/86400)*86400 AS "time"'),
        ("$__unixEpochFrom()", "1753056000"),
        ("$__timeFilter(coalesce(closed, least(a, b)))", "coalesce(closed, least(a, b)) BETWEEN"),
        ('$__timeFilter("Created (UTC), local")', '"Created (UTC), local" BETWEEN'),
        ("$__interval and $__interval_ms", "3h and 10800000"),
        ("$__range, ${__range_s}", "7819200s, 7819200"),
        ("${__from} to ${__to}", "1753056000000 to 1760875200250"),
        ("${__from:date} ${__to:date:iso}", "2025-07-21T00:00:00.000Z 2025-10-19T12:00:00.250Z"),
        ("${__from:date:YYYY-MM-DD HH:mm} ${__from:date:seconds}", "2025-07-21 00:00 1753056000"),
        ("${__dashboard} ${__user.login}", "Desk viewer"),
    ],
)
def test_macros_become_what_grafana_makes_of_them(macro: str, text: str) -> None:
    assert expanded(macro).startswith(text)


def test_a_time_group_before_a_comma_is_named_time_as_in_grafana() -> None:
    group = "floor(extract(epoch from c)/60)*60"
    assert expanded("SELECT $__timeGroup(c,'1m'), n") == f'SELECT {group} AS "time", n'
    assert expanded("SELECT $__timeGroup(c,'1m') AS t, n GROUP BY $__timeGroup(c,'1m')").count('AS "time"') == 0


@pytest.mark.parametrize(
    ("reference", "many", "one", "plain"),
    [
        ("$team", "'Cloud','O''Neil'", "'Cloud'", "O''Neil"),
        ("${team}", "'Cloud','O''Neil'", "'Cloud'", "O''Neil"),
        ("[[team]]", "'Cloud','O''Neil'", "'Cloud'", "O''Neil"),
        ("${team:raw}", "Cloud,O'Neil", "Cloud", "O'Neil"),
        ("[[team:csv]]", "Cloud,O'Neil", "Cloud", "O'Neil"),
        ("${team:singlequote}", r"'Cloud','O\'Neil'", "'Cloud'", r"'O\'Neil'"),
        ("${team:doublequote}", '"Cloud","O\'Neil"', '"Cloud"', '"O\'Neil"'),
        ("${team:sqlstring}", "'Cloud','O''Neil'", "'Cloud'", "'O''Neil'"),
        ("${team:pipe}", "Cloud|O'Neil", "Cloud", "O'Neil"),
        ("${team:json}", '["Cloud","O\'Neil"]', "Cloud", "O'Neil"),
        ("${team:join}", "Cloud,O'Neil", "Cloud", "O'Neil"),
        ("${team:join:; }", "Cloud; O'Neil", "Cloud", "O'Neil"),
        ("${team:html}", "Cloud, O&#x27;Neil", "Cloud", "O&#x27;Neil"),
        ("${team:text}", "Cloud + O'Neil", "Cloud", "O'Neil"),
        ("${team:glob}", "{Cloud,O'Neil}", "Cloud", "O'Neil"),
        ("${team:distributed}", "Cloud,team=O'Neil", "Cloud", "O'Neil"),
        ("${team:queryparam}", "var-team=Cloud&var-team=O%27Neil", "var-team=Cloud", "var-team=O%27Neil"),
        ("${team:percentencode}", "%7BCloud%2CO%27Neil%7D", "Cloud", "O%27Neil"),
        ("${team:no-such-format}", "{Cloud,O'Neil}", "Cloud", "O'Neil"),
    ],
)
def test_variables_in_every_format(reference: str, many: str, one: str, plain: str) -> None:
    assert [expanded(reference, team=value) for value in (TEAMS, ONE, PLAIN)] == [many, one, plain]


def test_a_regular_expression_is_escaped() -> None:
    assert expanded("${v:regex}", v=Value(("a.b", "c+d"), many=True)) == r"(a\.b|c\+d)"


def test_the_custom_value_of_all_goes_in_as_it_is_whatever_the_format() -> None:
    custom = Value(("A','B",), literal="A','B", is_all=True)
    assert expanded("IN ('${team:raw}')", team=custom) == "IN ('A','B')"
    assert expanded("IN ('${team:sqlstring}')", team=custom) == "IN ('A','B')"
    assert expanded("${team:text}", team=custom) == "All"


def test_the_custom_value_of_all_may_use_other_variables() -> None:
    assert expanded("$team", team=Value(("$site.%",), literal="$site.%", is_all=True), site=PLAIN) == "O''Neil.%"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT $nobody", "'nobody'"),
        ("SELECT '${nobody:raw}'", "'nobody'"),
        ("SELECT [[nobody]]", "'nobody'"),
        ("SELECT $__nothing(c)", "$__nothing"),
        ("SELECT $nothing(c)", "$nothing"),
        ("SELECT $__timeFrom", "$__timeFrom"),
        ("SELECT ${__nobody.name}", "$__nobody"),
        ("SELECT $__timeFilter()", "$__timeFilter"),
        ("SELECT $__timeGroup(c)", "$__timeGroup"),
        ("SELECT $__timeGroup(c, 'often')", "'often'"),
        ("SELECT $__timeGroup(c, '0s')", "'0s'"),
        ("SELECT $__timeGroup(c, '1d', sometimes)", "sometimes"),
        ("SELECT $__timeFilter(c", "never closed"),
        ("SELECT ${__from:date:Qo}", "'Qo'"),
    ],
)
def test_what_nothing_defines_is_named_and_never_left_in_the_text(sql: str, named: str) -> None:
    with pytest.raises(UnknownInQuery, match=named.replace("$", r"\$")):
        expanded(sql)


def test_a_variable_without_a_value_says_why() -> None:
    with pytest.raises(UnknownInQuery, match="'team' has no value: its query fails"):
        expanded("SELECT $team", team=Value(problem="its query fails: no such table"))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT $1::int, '$100', 100 % 7, '%s', \"a$\"",
        "SELECT $$price in $usd$$, $q$ it's $x $q$",
        "SELECT '^x$', '[[:alpha:]]+', ARRAY[[1,2],[3,4]], a[b[1]]",
        "SELECT '--not a comment', \"/* nor this */\", E'it\\'s -- fine'",
    ],
)
def test_what_is_neither_variable_nor_macro_stays(sql: str) -> None:
    assert expanded(sql) == sql


def test_what_stands_in_comments_is_not_expanded() -> None:
    sql = "SELECT 1 -- for $nobody, don't use $__nothing(x)\n, 2 /* [[nobody]] /* nested */ $__old() */ FROM t"
    assert " ".join(expanded(sql).split()) == "SELECT 1 , 2 FROM t"
    assert without_comments("SELECT 'a' -- it's\n, 'b -- c'") == "SELECT 'a'  \n, 'b -- c'"


def test_values_are_data_and_are_not_expanded_again() -> None:
    hostile = Value(("$other ${other} [[other]] $__timeFrom",), quoted=True)
    assert expanded("SELECT $v", v=hostile, other=PLAIN) == "SELECT '$other ${other} [[other]] $__timeFrom'"


def test_names_that_a_query_refers_to() -> None:
    assert names_in("$a ${b:csv} [[c]] $__timeFilter(x) ${__from} $1 $$ $no $$") == {"a", "b", "c"}
