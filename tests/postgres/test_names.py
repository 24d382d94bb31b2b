from __future__ import annotations

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import given, settings
from psycopg import sql

from sdetl_engine.postgres.names import SYSTEM_COLUMNS, NameSpace, can_hold, column_names


@pytest.mark.parametrize("name", ["tickets", "User", "a.b", 'say "hi"', "TKT-Parent ID", " ", "größe", "é" * 31, "%s"])
def test_a_name_that_can_be_held_stays(name: str) -> None:
    assert column_names([name]) == {name: name}


@pytest.mark.parametrize("name", ["", "xmin", "ctid", "tableoid", "a" * 64, "é" * 32, "nul\0inside"])
def test_a_name_that_cannot_be_held_gets_another_the_same_every_time(name: str) -> None:
    given_name = column_names([name])[name]
    assert given_name != name
    assert can_hold(given_name, forbidden=SYSTEM_COLUMNS)
    assert column_names([name, "other"])[name] == given_name


def test_names_that_postgresql_would_cut_to_the_same_stay_apart() -> None:
    twins = ["x" * 63 + "a", "x" * 63 + "b", "x" * 63]
    names = column_names(twins)
    assert len(set(names.values())) == 3
    assert names["x" * 63] == "x" * 63


def test_a_name_is_cut_between_characters() -> None:
    assert column_names(["€" * 40])["€" * 40].startswith("€" * 18 + "_")


def test_a_name_of_the_source_goes_before_one_that_is_made() -> None:
    long = "x" * 70
    made = column_names([long])[long]
    assert column_names([long, made])[made] == made
    assert column_names([long, made])[long] != made


def test_a_system_column_may_be_the_name_of_a_table() -> None:
    assert NameSpace().take("xmin") == "xmin"


def test_a_name_is_given_once() -> None:
    names = NameSpace()
    assert names.take("t_key") == "t_key"
    assert names.take("t_key") != "t_key"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), unique=True, max_size=8))
def test_every_set_of_names_fits_and_stays_apart(names: list[str]) -> None:
    given_names = column_names(names)
    assert list(given_names) == names
    assert len(set(given_names.values())) == len(names)
    assert all(can_hold(n, forbidden=SYSTEM_COLUMNS) for n in given_names.values())


def test_postgresql_holds_them_as_they_are(connection: psycopg.Connection[object]) -> None:
    wanted = [
        "",
        "xmin",
        "x" * 70 + "a",
        "x" * 70 + "b",
        "é" * 40,
        'q"uote',
        "nul\0",
        "User",
        "user",
        "%s",
        "{}",
        "a\nb",
    ]
    given_names = list(column_names(wanted).values())
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(n)) for n in given_names)
    connection.execute(sql.SQL("CREATE TABLE t ({})").format(columns))
    found = connection.execute(
        "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = 't'::regclass AND attnum > 0"
    ).fetchone()
    assert found == (given_names,)
