"""Dates in SQL agree with the rule in Python, text by text."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdetl_engine.sqlite import iso
from sdetl_engine.values.dates import to_iso

TEXTS = [
    "2024-02-29",
    "2024-02-30",
    "2024-01-02 03:04:05",
    "2024-01-02T03:04",
    "2024-01-02T03:04:05.123456+02:00",
    "2024-01-02 03:04:05.1234567",
    "2024-01-02 03:04:05.12 ",
    "2024-01-02 03:04:05.12345 +01:00",
    "2024-01-02 03:04:05Z",
    "2024-01-02 03:04:05z",
    "2024-01-02 24:00:00",
    "2024-01-02  9:05:00",
    "2024-01-2  09:05:00",
    "2024-1-2 09:05:00",
    " 2024-1-2 09:05:00",
    "ABCD-E1-F2 03:GH:IJ",
    "2024-01-02 9:05",
    "now",
    "2451545",
    "31/12/2024 9:05",
    "31/4/2024 9:05",
    "29/2/2024",
    "29/2/2023",
    "1.2.2024 23:59:59",
    "1.2-2024",
    "1/2/2024 24:00",
    "1/2/2024 9:60",
    "1/2/0000",
    "1/2/2024 9:05\0hidden",
    "1/2/2024\0",
    "0/1/2024",
    "13/13/2024",
    "12-Jan-2024 10:00",
    "1/2/2024 9:05 PM",
    "",
    "?",
    "٣/٤/٢٠٢٤",
    "março 5, 2024",
]


@pytest.fixture(params=["UTF-8", "UTF-16le", "UTF-16be"])
def connection(request: pytest.FixtureRequest) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"PRAGMA encoding='{request.param}'")
    connection.execute("CREATE TABLE t(c)")
    iso.register(connection)
    return connection


def in_sql(connection: sqlite3.Connection, text: str, day_first: bool | None) -> tuple[bool, str | None]:
    term = f"SELECT {iso.never_changes('c')}, {iso.to_iso('c', day_first)} FROM (SELECT ? AS c)"
    standing, value = connection.execute(term, (text,)).fetchone()
    return bool(standing), value


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("day_first", [True, False, None])
def test_sql_gives_what_the_rule_gives(connection: sqlite3.Connection, text: str, day_first: bool | None) -> None:
    standing, value = in_sql(connection, text, day_first)
    assert value == to_iso(text, day_first)
    if standing:
        assert value in (text, None)


number = st.integers(0, 32).map(str) | st.integers(0, 13).map(lambda n: f"{n:02d}")
sign = st.sampled_from("//.-  ")
time = st.builds(
    "{}{}:{}{}".format,
    st.sampled_from([" ", "T", "  "]),
    number,
    st.integers(0, 61).map(lambda n: f"{n:02d}"),
    st.sampled_from(["", ":07", ":60", ":07.5", "Z", " PM", "+02:00", " "]),
)
year = st.integers(0, 9999).map(lambda n: f"{n:04d}")
dates = st.one_of(
    st.builds("{}{}{}{}{}{}".format, number, sign, number, sign, year, time | st.just("")),
    st.builds("{}{}{}{}{}{}".format, year, sign, number, sign, number, time | st.just("")),
    st.builds(
        str.join, st.just(""), st.lists(st.sampled_from([*"0123456789", "/", "-", ":", " ", "T", "."]), max_size=20)
    ),
)


@settings(max_examples=400, deadline=None)
@given(text=dates, day_first=st.sampled_from([True, False, None]))
def test_sql_agrees_with_the_rule_on_texts_nobody_thought_of(text: str, day_first: bool | None) -> None:
    connection = sqlite3.connect(":memory:")
    iso.register(connection)
    standing, value = in_sql(connection, text, day_first)
    connection.close()
    assert value == to_iso(text, day_first)
    assert not standing or value in (text, None)


def test_texts_that_need_no_change_are_known_without_asking_python() -> None:
    connection = sqlite3.connect(":memory:")
    for text in ("2024-01-02", "2024-01-02 03:04:05", "2024-01-02T03:04:05.5Z", "2024-01-02 03:04+05:30"):
        assert connection.execute(f"SELECT {iso.is_iso('c')} FROM (SELECT ? AS c)", (text,)).fetchone() == (1,)


def test_bytes_that_are_no_text_are_unreadable(connection: sqlite3.Connection) -> None:
    assert connection.execute(f"SELECT {iso.FUNCTION}(x'ff2fd8', 1)").fetchone() == (None,)
