"""Every way of writing a date through a whole run: what arrives in PostgreSQL, and what is put aside."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from sdetl_engine import SilentReporter, Workspace, diff, load_settings, open_session
from tests.conftest import Server
from tests.migrating import Ended, migrate

DAY, MOMENT, INSTANT = "date", "timestamp", "timestamptz"
SHAPES: dict[str, tuple[str, str]] = {
    # text as it is written in a column of its own: type, and what PostgreSQL holds (instants in UTC)
    "2024-12-31": (DAY, "2024-12-31"),
    "2024-12-31 09:05": (MOMENT, "2024-12-31 09:05:00"),
    "2024-12-31 09:05:06": (MOMENT, "2024-12-31 09:05:06"),
    "2024-12-31T09:05:06": (MOMENT, "2024-12-31 09:05:06"),
    "2024-12-31 09:05:06.5": (MOMENT, "2024-12-31 09:05:06.5"),
    "2024-12-31 09:05:06.123456": (MOMENT, "2024-12-31 09:05:06.123456"),
    "2024-12-31T09:05:06.1234567": (MOMENT, "2024-12-31 09:05:06.123456"),
    "2024-12-31T09:05:06Z": (INSTANT, "2024-12-31 09:05:06+00"),
    "2024-12-31T09:05:06.25Z": (INSTANT, "2024-12-31 09:05:06.25+00"),
    "2024-12-31 09:05:06+05:30": (INSTANT, "2024-12-31 03:35:06+00"),
    "2024-12-31T09:05:06-0800": (INSTANT, "2024-12-31 17:05:06+00"),
    "2024-12-31T09:05:06 UTC": (INSTANT, "2024-12-31 09:05:06+00"),
    "2024-02-29": (DAY, "2024-02-29"),
    "9999-12-31": (DAY, "9999-12-31"),
    "0001-01-01": (DAY, "0001-01-01"),
    "31/12/2024": (DAY, "2024-12-31"),
    "31-12-2024": (DAY, "2024-12-31"),
    "31.12.2024": (DAY, "2024-12-31"),
    "31/12/2024 9:05": (MOMENT, "2024-12-31 09:05:00"),
    "31.12.2024 09:05:06": (MOMENT, "2024-12-31 09:05:06"),
    "12/31/2024": (DAY, "2024-12-31"),
    "12-31-2024": (DAY, "2024-12-31"),
    "12/31/2024 9:05:06 PM": (MOMENT, "2024-12-31 21:05:06"),
    "12/31/2024 12:05 AM": (MOMENT, "2024-12-31 00:05:00"),
    "12/31/2024 12:05 p.m.": (MOMENT, "2024-12-31 12:05:00"),
    "2024/12/31": (DAY, "2024-12-31"),
    "2024.12.31": (DAY, "2024-12-31"),
    "2024-1-2": (DAY, "2024-01-02"),
    "20241231T090506": (MOMENT, "2024-12-31 09:05:06"),
    "20241231T090506Z": (INSTANT, "2024-12-31 09:05:06+00"),
    "31 Dec 2024": (DAY, "2024-12-31"),
    "Dec 31, 2024": (DAY, "2024-12-31"),
    "December 31, 2024 9:05 PM": (MOMENT, "2024-12-31 21:05:00"),
    "Tue, 31 Dec 2024 09:05:06 GMT": (INSTANT, "2024-12-31 09:05:06+00"),
    "31-DEC-2024": (DAY, "2024-12-31"),
    "31 décembre 2024": (DAY, "2024-12-31"),
    "1er août 2024": (DAY, "2024-08-01"),
    "31. Dezember 2024": (DAY, "2024-12-31"),
    "3. März 2024 9:05": (MOMENT, "2024-03-03 09:05:00"),
    "31 de diciembre de 2024": (DAY, "2024-12-31"),
    "31 de dezembro de 2024": (DAY, "2024-12-31"),
    "31 dicembre 2024": (DAY, "2024-12-31"),
    "31 mei 2024": (DAY, "2024-05-31"),
}
DECLARED: dict[str, tuple[str, str]] = {
    # SQLite makes numbers of digits in such columns, and a number is a date by agreement only
    "20241231": (DAY, "2024-12-31"),
    "20241231090506": (MOMENT, "2024-12-31 09:05:06"),
}
DIGITS = 'clean.numbers_as_dates=["shapes.d0=digits", "shapes.d1=digits"]'
NO_DATES = (
    *("2024-02-30", "31/04/2024", "2023-02-29", "0000-01-01", "0000-00-00", "10000-01-01", "-0044-03-15"),
    *("2024-12-31 24:00:00", "2016-12-31 23:59:60", "2024-12-31 25:00", "31/12/24", "today", "infinity", "J2451187"),
    *("2024-13-01", "12/2024", "2024", "2024-W05-1", "31 brumaire 2024", "2024-12-31 9:05 PM AM", "2024-12-31\x00"),
)
GOOD = "2024-06-15 10:00:00"
LATE_ROW = 5900
"""Past the sample of 5000 rows, if only by the share of rows that it leaves out."""


@pytest.fixture(scope="module")
def gone(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ended, str, Path, Path]]:
    folder = tmp_path_factory.mktemp("dates")
    source, conninfo = folder / "dates.db", server.create_database()
    with contextlib.closing(sqlite3.connect(source)) as connection:
        _fill(connection)
        connection.commit()
    ended = migrate(source, conninfo, folder / "w", skip_canary=True, settings=(DIGITS,))
    assert ended.document["outcome"] == "live", ended.document["error"]
    yield ended, conninfo, source, folder / "w"
    server.drop_database(conninfo)


def _fill(connection: sqlite3.Connection) -> None:
    shapes = list(SHAPES)
    columns = ", ".join(f"s{n} TEXT" for n in range(len(shapes)))
    connection.execute(f"CREATE TABLE shapes ({columns}, d0 DATE, d1 TIMESTAMP)")
    connection.executemany(
        f"INSERT INTO shapes VALUES ({', '.join('?' * (len(shapes) + 2))})", [(*shapes, *DECLARED)] * 3
    )
    connection.execute("CREATE TABLE wrong (id INTEGER PRIMARY KEY, a TIMESTAMP)")
    rows = [*NO_DATES, *[GOOD] * (40 * len(NO_DATES))]
    connection.executemany("INSERT INTO wrong (a) VALUES (?)", [(text,) for text in rows])
    connection.execute("CREATE TABLE two (id INTEGER PRIMARY KEY, a TEXT)")
    connection.executemany(
        "INSERT INTO two (a) VALUES (?)", [("31/12/2024 9:05",) if n == LATE_ROW else (GOOD,) for n in range(6000)]
    )


@pytest.mark.parametrize("text", [*SHAPES, *DECLARED])
def test_a_shape_arrives_as_the_date_that_it_is(gone: tuple[Ended, str, Path, Path], text: str) -> None:
    ended, conninfo, _, _ = gone
    column = f"s{list(SHAPES).index(text)}" if text in SHAPES else f"d{list(DECLARED).index(text)}"
    kind, held = {**SHAPES, **DECLARED}[text]
    assert ended.document["types"]["shapes"][column]["chosen"] == kind
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = sql.SQL("SELECT DISTINCT {}::text FROM servicedesk.shapes").format(sql.Identifier(column))
        assert connection.execute(query).fetchall() == [(held,)]


@pytest.mark.parametrize("number", range(len(NO_DATES)), ids=NO_DATES)
def test_what_is_no_date_is_put_aside_as_it_was(gone: tuple[Ended, str, Path, Path], number: int) -> None:
    ended, conninfo, _, _ = gone
    cells = sql.Identifier(f"{ended.document['target']['version_schema']}_quarantine", "cells")
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT a FROM servicedesk.wrong WHERE id = %s", [number + 1]).fetchone() == (None,)
        query = sql.SQL("SELECT raw FROM {} WHERE row_key = %s").format(cells)
        raw = connection.execute(query, [f"[{number + 1}]"]).fetchone()
    assert raw == (NO_DATES[number].encode(),)


def test_a_second_shape_past_the_sample_is_read_too(gone: tuple[Ended, str, Path, Path]) -> None:
    ended, conninfo, _, _ = gone
    assert ended.document["types"]["two"]["a"]["chosen"] == MOMENT
    with psycopg.connect(conninfo) as connection:
        query = "SELECT a::text FROM servicedesk.two WHERE id = %s"
        assert connection.execute(query, [LATE_ROW + 1]).fetchone() == ("2024-12-31 09:05:00",)


def test_all_of_it_is_accounted_for(gone: tuple[Ended, str, Path, Path]) -> None:
    _, conninfo, source, workspace = gone
    settings = load_settings()
    with open_session(Workspace(workspace), conninfo, settings) as session:
        assert diff(Workspace(workspace), session, settings, source, SilentReporter()).equal
