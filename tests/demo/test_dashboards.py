"""The demo's dashboards, and the published ones, on the demo's data in PostgreSQL with the types it ought to have."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sdetl_engine.demo import build_source, demo_dashboards
from sdetl_engine.demo.tables import TABLES
from sdetl_engine.events import SilentReporter
from sdetl_engine.grafana.dashboards import read_dashboards
from sdetl_engine.postgres.panels import PanelOutcome, run_dashboards
from sdetl_engine.settings import DashboardSettings
from tests.conftest import Server

SLASHED = re.compile(r"(\d+)/(\d+)/(\d+) (.*)")
KINDS = {"INTEGER": "bigint", "REAL": "double precision", "TEXT": "text", "TIMESTAMP": "timestamp"}


@pytest.fixture(scope="module")
def servicedesk(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database that holds a small demo in schema ``servicedesk``."""
    source = build_source(tmp_path_factory.mktemp("demo") / "demo.db", rows=6000).path
    database = server.create_database()
    with psycopg.connect(database) as connection, sqlite3.connect(source) as held:
        connection.execute("CREATE SCHEMA servicedesk")
        for table, columns in TABLES.items():
            load(connection, held, table, columns)
        yield connection
        connection.rollback()
    server.drop_database(database)


def load(
    connection: psycopg.Connection[Any], held: sqlite3.Connection, table: str, columns: tuple[tuple[str, str], ...]
) -> None:
    kinds = [(name, "timestamp" if is_date(table, name) else KINDS[declared]) for name, declared in columns]
    target = sql.Identifier("servicedesk", table)
    listed = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(k)) for n, k in kinds)
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(target, listed))
    with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(target)) as copy:
        for row in held.execute(f'SELECT * FROM "{table}"'):
            copy.write_row([moment(v) if k == "timestamp" else v for v, (_, k) in zip(row, kinds, strict=True)])


def is_date(table: str, name: str) -> bool:
    return table == "tickets" and name.endswith((" Time", " Date"))


def moment(text: str | None) -> str | None:
    return SLASHED.sub(r"\3-\2-\1 \4", text) if text else None


def tried(connection: psycopg.Connection[Any], folder: Path, *uids: str) -> list[PanelOutcome]:
    found = [d for d in read_dashboards(folder) if not uids or d.uid in uids]
    return list(run_dashboards(connection, found, DashboardSettings(), reporter=SilentReporter()))


def test_every_panel_of_the_demo_passes_and_shows_something(servicedesk: psycopg.Connection[Any]) -> None:
    outcomes = tried(servicedesk, demo_dashboards())
    assert len(outcomes) > 30
    assert [(o.panel, o.error) for o in outcomes if not o.ok or o.skipped] == []
    assert [o.panel for o in outcomes if o.rows == 0] == []


def test_every_panel_of_the_published_dashboards_passes(
    servicedesk: psycopg.Connection[Any], shared_data: Path
) -> None:
    names = ("executive", "operations", "quality", "team-performance")
    outcomes = tried(servicedesk, shared_data / "grafana", *(f"servicedesk-{name}" for name in names))
    assert len(outcomes) == 26
    assert [(o.panel, o.error) for o in outcomes if not o.ok] == []


def test_a_date_column_that_stayed_text_breaks_the_panels_that_subtract(servicedesk: psycopg.Connection[Any]) -> None:
    servicedesk.execute("SAVEPOINT typed")
    servicedesk.execute('ALTER TABLE servicedesk.tickets ALTER "TKT-Created Time" TYPE text')
    broken = [o for o in tried(servicedesk, demo_dashboards()) if not o.ok]
    servicedesk.execute("ROLLBACK TO typed")
    assert "Median hours to resolution" in {o.panel for o in broken}
    assert {(o.error or "")[:5] for o in broken} == {"42883"}
