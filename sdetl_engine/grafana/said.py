"""What a Grafana server says of a query that fails, without the values of a row that PostgreSQL may have quoted in it.

PostgreSQL speaks through Grafana as ``pq: invalid input syntax for type integer: "Anna"`` or as ``ERROR: ... (SQLSTATE
22P02)``.  Its errors about names (of relations, columns, roles) are passed on whole, and of those about data what
stands before the value; any other says no more than that it is one.
"""

from __future__ import annotations

import re

LONGEST = 500
_POSTGRES = re.compile(
    r"\A(?P<before>.*?(?:\bpq: |\b(?:ERROR|FATAL): ))(?P<text>.*?)(?P<code> ?\((?:SQLSTATE )?\w{5}\))?\Z", re.DOTALL
)
_NAME = r'"[^"\n]{1,130}"'
_ABOUT_NAMES = re.compile(
    rf"""(?x)
    (?:column|relation|schema|database|role|type|collation|operator|function|table)\b .{{0,200}}?
        (?:does\ not\ exist(?::\ [^\n"']+)?|is\ ambiguous|is\ not\ unique|must\ appear\ in\ the\ GROUP\ BY\ clause.*)
    |permission\ denied\ .{{0,20}}\ [\w.]+
    |missing\ FROM-clause\ entry\ for\ table\ {_NAME}
    |invalid\ reference\ to\ FROM-clause\ entry\ for\ table\ {_NAME}
    |password\ authentication\ failed\ for\ user\ {_NAME}
    |no\ pg_hba\.conf\ entry\ .*
    |canceling\ statement\ due\ to\ [\w\s]+
    |terminating\ connection\ due\ to\ [\w\s]+
    |(?:sorry,\ )?too\ many\ clients.*|remaining\ connection\ slots.*|the\ database\ system\ is\ [\w\s]+
    |out\ of\ (?:shared\ )?memory|deadlock\ detected|division\ by\ zero|syntax\ error\ at\ end\ of\ input
    |more\ than\ one\ row\ returned\ by\ a\ subquery\ used\ as\ an\ expression
    |cannot\ execute\ \w+\ in\ a\ read-only\ transaction"""
)
_BEFORE_VALUES = re.compile(
    r"invalid input (?:syntax|value) for (?:type|enum) [\w ]+|date/time field value out of range"
    r"|[\w ]+ out of range|numeric field overflow|syntax error at or near|malformed \w+ literal"
    r"|value too long for type [\w ]+\(\d+\)"
)
_QUOTED = re.compile(r"""["'`].*["'`]""", re.DOTALL)


def without_values(text: str) -> str:
    """The message, at most 500 characters of it, with nothing in it that may be a cell."""
    spoken = _POSTGRES.match(text)
    if spoken is None:
        return _QUOTED.sub('"..."', text)[:LONGEST]
    said, code = spoken["text"], spoken["code"] or ""
    if not _ABOUT_NAMES.fullmatch(said):
        about_data = _BEFORE_VALUES.match(said)
        said = about_data[0].strip() if about_data else "an error whose text may quote a row; Grafana shows it"
    return (_QUOTED.sub('"..."', spoken["before"]) + said + code)[:LONGEST]
