"""Every rule of the catalogue is raised by something and not raised by something else: no rule is only words.

A scene is one run (or one look at facts) and the codes that come of it.  A rule that is in neither table fails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
import pytest

from sdetl_engine import RULES, Stage
from sdetl_engine.profiling.review import findings_of_profile
from tests import hazards
from tests.conftest import Server, make_sqlite
from tests.migrating import TICKETS, dashboard, migrate
from tests.postgres.versions import desk
from tests.profiling import measured
from tests.test_agreements import AGREED, VISITS
from tests.test_cli import sdetl
from tests.test_grafana_run import troubled
from tests.test_hazards import LET_THROUGH
from tests.test_twins import second_quarter

Codes = set[str]
Scene = Callable[[str, Path], Codes]

TIDY = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO notes VALUES (1, 'one'), (2, 'two');"
ODD = """
CREATE TABLE owners (owner_id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE works (id INTEGER PRIMARY KEY, owner_id INTEGER, seconds REAL);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
INSERT INTO owners SELECT i, 'o' || i FROM n;
INSERT INTO works SELECT owner_id, CASE WHEN owner_id % 20 THEN owner_id ELSE 9000 END, 60.0 FROM owners;
CREATE TABLE keyed (k PRIMARY KEY, n);
INSERT INTO keyed VALUES (1, 'a'), ('1', 'b'), ('x', 'c');
"""
BROKEN = """
PRAGMA foreign_keys = OFF;
CREATE TABLE parents (id INTEGER PRIMARY KEY);
CREATE TABLE broken (n INTEGER, d TIMESTAMP, p INTEGER REFERENCES parents (id));
INSERT INTO broken VALUES ('many', 'soon', 1), ('few', '2024-01-01', 2), ('none', 'later', 3);
"""
QUARTER = """
UPDATE tickets SET title = 'Request ' || id, hours = hours * 4, closed = NULL, created = 'in spring';
UPDATE comments SET body = 'new' WHERE id = 10;
INSERT INTO comments SELECT id + 100000, ticket_id, body FROM comments;
ALTER TABLE tickets DROP COLUMN code;
ALTER TABLE tickets ADD COLUMN mood TEXT;
CREATE TABLE surveys (id INTEGER PRIMARY KEY);
"""
MORE_TICKETS = """
WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
INSERT INTO tickets SELECT i, 'Ticket ' || i, '2025-01-01 10:00:00', '2025-12-01 17:00:00', printf('%05d', i), 1 FROM n;
"""
COMINGS = """
CREATE TABLE comings (at TIMESTAMP, who TEXT);
INSERT INTO comings VALUES ('2024-05-01 08:00:00', 'a'), ('2025-05-01 08:00:00', 'b');
"""
PANELS = (
    "SELECT id FROM servicedesk.tickets WHERE title LIKE 'Ticket%'",
    "SELECT pg_sleep(CASE WHEN max(body) = 'new' THEN 0.8 ELSE 0 END) IS NULL FROM servicedesk.comments WHERE id = 10",
    "SELECT sum(hours) FROM servicedesk.tickets",
)


def _tidy(database: str, folder: Path) -> Codes:
    boards = dashboard(folder / "boards", "SELECT count(*) FROM servicedesk.notes")
    return migrate(make_sqlite(folder / "s.db", TIDY), database, folder / "w", dashboards=boards).rules


def _looked_at(database: str, folder: Path) -> Codes:
    """No target: nothing but the file is looked at."""
    return migrate(make_sqlite(folder / "s.db", TIDY), None, folder / "w", until=Stage.SCORE).rules


def _hazards(database: str, folder: Path) -> Codes:
    return migrate(hazards.build(folder / "s.db"), database, folder / "w", settings=LET_THROUGH).rules


def _broken(database: str, folder: Path) -> Codes:
    return migrate(make_sqlite(folder / "s.db", BROKEN), None, folder / "w", until=Stage.PROFILE).rules


def _poor(database: str, folder: Path) -> Codes:
    limits = ("gates.min_score=100", "gates.max_mismatched_columns=1", "gates.max_corrupt_dates=1")
    source = make_sqlite(folder / "s.db", BROKEN)
    return migrate(source, None, folder / "w", until=Stage.SCORE, settings=limits).rules


def _worthless(database: str, folder: Path) -> Codes:
    limits = ("gates.halt_score=100", "gates.max_mismatched_columns=1", "gates.max_corrupt_dates=1")
    source = make_sqlite(folder / "s.db", BROKEN)
    return migrate(source, None, folder / "w", until=Stage.SCORE, settings=limits).rules


def _agreed(database: str, folder: Path) -> Codes:
    return migrate(make_sqlite(folder / "s.db", VISITS), None, folder / "w", until=Stage.PROFILE, settings=AGREED).rules


def _odd(database: str, folder: Path) -> Codes:
    return migrate(make_sqlite(folder / "s.db", ODD), None, folder / "w", until=Stage.PROFILE).rules


def _repeated_key(database: str, folder: Path) -> Codes:
    """A corrupt index is how a duplicate gets into a key."""
    found = measured.table(folder, "CREATE TABLE t (c TEXT PRIMARY KEY)", {"t": [("a",), ("b",)]})
    (table,) = found.tables
    key = dataclasses.replace(table.keys[0], duplicate_rows=1)
    told = findings_of_profile(found.schema, [dataclasses.replace(table, keys=(key,))], found.verdicts, {}, ())
    return {f.rule for f in told}


def _boards(database: str, folder: Path) -> Codes:
    boards = dashboard(
        folder / "boards",
        "SELECT t.title, c.body FROM servicedesk.tickets t JOIN servicedesk.comments c ON c.body = t.title WHERE t.code = '1'",
    )
    settings = ("dashboards.slow_seconds=0.000001", "load.partition_suggest_rows=1")
    source = make_sqlite(folder / "s.db", TICKETS + MORE_TICKETS)
    # Agreed to, the index would be built.
    until = Stage.VALIDATE
    ended = migrate(
        source,
        database,
        folder / "w",
        dashboards=boards,
        settings=settings,
        skip_canary=True,
        until=until,
        agreed=False,
    )
    return ended.rules


def _parted(database: str, folder: Path) -> Codes:
    settings = ('load.partition.comings="at by year"', "validate.diff_rows=1")
    source = make_sqlite(folder / "s.db", COMINGS)
    return migrate(source, database, folder / "w", settings=settings, skip_canary=True, until=Stage.VALIDATE).rules


def _quarter(database: str, folder: Path) -> Codes:
    return second_quarter(folder, QUARTER, database, *PANELS).rules


def _shrunk(database: str, folder: Path) -> Codes:
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE SCHEMA servicedesk CREATE TABLE tickets (id int PRIMARY KEY) CREATE TABLE old (a int)"
        )
        connection.execute("INSERT INTO servicedesk.tickets SELECT generate_series(1, 5000)")
        connection.execute("CREATE TABLE public.watching (ticket int REFERENCES servicedesk.tickets)")
    return migrate(make_sqlite(folder / "s.db", TICKETS), database, folder / "w", skip_canary=True).rules


def _led(database: str, folder: Path) -> Codes:
    """The first cutover by search_path while a renamed version is live, with what it does not reach."""
    source = make_sqlite(folder / "s.db", TIDY)
    migrate(source, database, folder / "w", skip_canary=True)
    with desk(database) as it:
        role, other = it.role("led", "LOGIN"), it.role("other", "LOGIN")
        it.run(
            f"GRANT USAGE ON SCHEMA servicedesk TO {role}, {other}; GRANT SELECT ON servicedesk.notes TO {role}, {other}",
            "UPDATE servicedesk.notes SET body = 'corrected' WHERE id = 1",
            "CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM servicedesk.notes'",
        )
        settings = ("cutover.strategy=role", f"cutover.roles={role}")
        with it.log_in(role):
            return migrate(source, database, folder / "w", settings=settings, agreed=False, skip_canary=True).rules


SCENES: Mapping[str, Scene] = {
    "tidy": _tidy,
    "looked-at": _looked_at,
    "hazards": _hazards,
    "broken": _broken,
    "poor": _poor,
    "worthless": _worthless,
    "odd": _odd,
    "agreed": _agreed,
    "repeated-key": _repeated_key,
    "boards": _boards,
    "parted": _parted,
    "quarter": _quarter,
    "shrunk": _shrunk,
    "grafana": troubled,
    "led": _led,
}
RAISED_IN = {
    **dict.fromkeys(("BREAKER-COLUMNS", "BREAKER-DATES", "TYPE-MISMATCH", "SOURCE-FK-VIOLATIONS"), "broken"),
    "SCORE-LOW": "poor",
    "SCORE-HALT": "worthless",
    "KEY-DUPLICATE": "repeated-key",
    "ROWS-NOT-SAMPLED": "parted",
    **dict.fromkeys(("DATE-CLOCK-CHANGE", "TEXT-DECODED"), "agreed"),
    **dict.fromkeys(("WHOLE-REALS", "RELATION-ORPHANS", "KEY-COLLISION"), "odd"),
    **dict.fromkeys(("INDEX-SUGGESTED", "PANEL-SLOW", "PARTITION-SUGGESTED"), "boards"),
    **dict.fromkeys(("PANEL-EMPTY", "PANEL-CHANGED", "PANEL-SLOWER"), "quarter"),
    **dict.fromkeys(("DRIFT-TABLE-NEW", "DRIFT-COLUMN-LOST", "DRIFT-COLUMN-NEW", "DRIFT-TYPE"), "quarter"),
    **dict.fromkeys(("DRIFT-ROWS-MORE", "DRIFT-NULLS", "DRIFT-CATEGORY"), "quarter"),
    **dict.fromkeys(("GRAFANA-UNKNOWN", "GRAFANA-DATASOURCE", "GRAFANA-FAILING", "GRAFANA-PANEL"), "grafana"),
    **dict.fromkeys(("DRIFT-TABLE-LOST", "DRIFT-ROWS-LOST", "CUTOVER-LOSES", "CUTOVER-DEPENDENTS"), "shrunk"),
    **dict.fromkeys(("CUTOVER-NAME-GONE", "CUTOVER-ROLES", "CUTOVER-SESSIONS", "CUTOVER-TEXT"), "led"),
    "CUTOVER-LATE-WRITES": "led",
}
"""Where it is not the file of hazards."""
NOT_RAISED_IN = {"CUTOVER-AGREEMENT": "looked-at", "CHECK-UNKNOWN": "looked-at", "CHECK-WARNING": "looked-at"}
"""Where the tidy file that goes live has it too."""


@pytest.fixture(scope="module")
def scene(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Codes]:
    """Each scene is played once."""
    played: dict[str, Codes] = {}

    def play(name: str) -> Codes:
        if name not in played:
            database = server.create_database()
            try:
                played[name] = SCENES[name](database, tmp_path_factory.mktemp(name))
            finally:
                server.drop_database(database)
        return played[name]

    return play


@pytest.mark.parametrize("code", RULES)
def test_a_rule_is_raised_where_it_applies(scene: Callable[[str], Codes], code: str) -> None:
    assert code in scene(RAISED_IN.get(code, "hazards"))


@pytest.mark.parametrize("code", RULES)
def test_a_rule_is_not_raised_where_it_does_not(scene: Callable[[str], Codes], code: str) -> None:
    assert code not in scene(NOT_RAISED_IN.get(code, "tidy"))


@pytest.mark.parametrize("code", RULES)
def test_a_rule_has_an_example(code: str) -> None:
    assert RULES[code].example


def test_one_rule_is_explained_with_an_example(tmp_path: Path) -> None:
    told = sdetl("rules", "drift-type", workspace=tmp_path)
    assert told.returncode == 0
    assert RULES["DRIFT-TYPE"].meaning in told.stdout
    assert RULES["DRIFT-TYPE"].example in told.stdout
    assert "set-type" in told.stdout
