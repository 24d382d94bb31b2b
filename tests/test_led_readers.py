"""A run whose version is reached by the search_path of its readers: rehearsed, switched, read back, rolled back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdetl_engine import (
    CutoverResult,
    ExitCode,
    Fault,
    OutcomeKind,
    SilentReporter,
    Stage,
    UsageError,
    Workspace,
    diff,
    drill,
    find_backup,
    late_writes,
    load_settings,
    make_restored_live,
    open_session,
    restore_beside,
    rollback,
)
from sdetl_engine.postgres.locks import operator
from tests.migrating import TICKETS, Ended, dashboard, migrate, schemas_of
from tests.postgres.versions import Desk, desk
from tests.test_cli import sdetl

MakeSource = Callable[[str], Path]


@pytest.fixture
def it(database: str) -> Iterator[Desk]:
    with desk(database) as made:
        yield made


@pytest.fixture
def grafana(it: Desk) -> str:
    """The role that dashboards log in as."""
    return it.role("grafana", "LOGIN")


def led(*roles: str) -> tuple[str, ...]:
    return ("cutover.strategy=role", f"cutover.roles={','.join(roles)}")


def run(it: Desk, source: Path, folder: Path, *settings: str, queries: tuple[str, ...] = ()) -> Ended:
    panels = dashboard(folder / "boards", *queries) if queries else None
    return migrate(source, it.conninfo, folder / "w", settings=settings, dashboards=panels, skip_canary=True)


def comments(it: Desk, role: str) -> int:
    with it.log_in(role) as connection:
        row = connection.execute("SELECT count(*) FROM comments").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def first(it: Desk, grafana: str, sqlite_file: MakeSource, tmp_path: Path) -> str:
    """A version of 533 comments to which Grafana is led."""
    it.run(
        f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {grafana}",
        f"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {grafana}",
    )
    ended = run(it, sqlite_file(TICKETS), tmp_path, *led(grafana))
    assert ended.outcome.kind is OutcomeKind.LIVE, ended.document.get("error")
    return ended.runner.deployment.version


def checks(ended: Ended) -> dict[str, tuple[str, str]]:
    result = ended.runner.deployment.results.load(Stage.CUTOVER, CutoverResult)
    return {c.name: (str(c.verdict), c.measured) for c in result.post_checks}


def test_a_second_run_and_a_rollback_that_was_told_nothing(
    it: Desk, first: str, grafana: str, sqlite_file: MakeSource, tmp_path: Path
) -> None:
    panels = (
        "SELECT count(*) FROM comments",
        "SELECT t.title FROM tickets t JOIN comments c ON c.ticket_id = t.id LIMIT 3",
    )
    with it.log_in(grafana) as open_before:
        open_before.autocommit = True
        open_before.execute("SELECT count(*) FROM comments")
        source = tmp_path / "source.db"
        with sqlite3.connect(source) as connection:
            connection.execute("DELETE FROM comments WHERE id % 2 = 1")
        ended = run(it, source, tmp_path, *led(grafana), f"dashboards.role={grafana}", queries=panels)
        assert ended.outcome.kind is OutcomeKind.LIVE, ended.document.get("error")
        second = ended.runner.deployment.version
        assert open_before.execute("SELECT count(*) FROM comments").fetchone() == (533,)
        assert comments(it, grafana) == 400
        assert schemas_of(it.conninfo) == {first, second, "sdetl"}
        found = checks(ended)
        assert found[f"role {grafana} finds the tables of {second} by their bare names"] == (
            "passed",
            "2 tables and views",
        )
        verdict, said = found["sessions that began before the switch"]
        assert verdict == "warning"
        assert f"server process {open_before.info.backend_pid} ({grafana}, Grafana)" in said
        assert "CUTOVER-SESSIONS" in ended.rules
        told = sdetl("versions", "--target", it.conninfo, workspace=tmp_path / "w").stdout
        assert f"{second} is live under its own name: the search_path of {grafana} leads to it, since " in told
        assert f"made so by {operator()}; 1 session from before goes on reading" in told
    assert ended.summary("validate")["panels"] == 2
    assert ended.summary("validate")["panels_failed"] == 0
    assert ended.summary("validate")["compared_with"] == first

    settings = load_settings()
    with open_session(Workspace(tmp_path / "w"), it.conninfo, settings) as session:
        it.run(f"INSERT INTO {second}.comments VALUES (7, 7, 'late')")
        late = late_writes(Workspace(tmp_path / "w"), session, settings, SilentReporter())
        assert [(t.table, t.added) for t in late.tables] == [("comments", 1)]
        done = rollback(session, settings, SilentReporter(), late=late)
    assert (done.live_version, done.rows["comments"]) == (first, 533)
    assert comments(it, grafana) == 533


def test_a_dashboard_that_names_the_serving_schema_fails_before_anybody_is_led(
    it: Desk, first: str, grafana: str, tmp_path: Path
) -> None:
    panels = ("SELECT count(*) FROM tickets", "SELECT count(*) FROM servicedesk.tickets")
    ended = run(it, tmp_path / "source.db", tmp_path, *led(grafana), queries=panels)
    assert ended.outcome.exit_code is ExitCode.VALIDATION
    assert "panel 'panel 2'" in ended.document["error"]["message"]
    assert comments(it, grafana) == 533
    assert it.live() == first


def test_roles_that_read_and_are_not_led_are_named(it: Desk, first: str, grafana: str, tmp_path: Path) -> None:
    other = it.role("reporting", "LOGIN")
    it.run(f"GRANT USAGE ON SCHEMA {first} TO {other}; GRANT SELECT ON {first}.tickets TO {other}")
    ended = migrate(
        tmp_path / "source.db", it.conninfo, tmp_path / "w", settings=led(grafana), agreed=False, skip_canary=True
    )
    assert ended.outcome.exit_code is ExitCode.GATE
    (message,) = [f["message"] for f in ended.document["findings"] if f["rule"] == "CUTOVER-ROLES"]
    assert other in message
    assert grafana not in message


def test_the_next_run_goes_the_way_that_the_live_version_is_served(
    it: Desk, first: str, grafana: str, tmp_path: Path
) -> None:
    ended = run(it, tmp_path / "source.db", tmp_path)
    assert ended.outcome.kind is OutcomeKind.LIVE
    assert schemas_of(it.conninfo) == {first, ended.runner.deployment.version, "sdetl"}
    renamed = run(it, tmp_path / "source.db", tmp_path, "cutover.strategy=rename")
    assert renamed.outcome.kind is OutcomeKind.LIVE, renamed.document.get("error")
    assert "servicedesk" in schemas_of(it.conninfo)
    assert comments(it, grafana) == 533


def test_a_role_that_reads_nothing_there_afterwards_undoes_the_switch(
    it: Desk, first: str, grafana: str, tmp_path: Path
) -> None:
    new = it.role("new", "LOGIN")
    ended = run(it, tmp_path / "source.db", tmp_path, *led(grafana, new))
    assert ended.outcome.exit_code is ExitCode.VALIDATION
    assert f"role {new} finds the tables" in ended.document["error"]["message"]
    assert "was made live again" in ended.document["error"]["message"]
    assert it.live() == first
    assert comments(it, grafana) == 533
    with it.log_in(new) as connection:
        assert connection.execute("SHOW search_path").fetchone() == (f'{first}, "$user", public',)


def test_pre_flight_refuses_a_role_that_is_not_there(it: Desk, sqlite_file: MakeSource, tmp_path: Path) -> None:
    ended = run(it, sqlite_file(TICKETS), tmp_path, *led("nobody_here"))
    assert ended.outcome.exit_code is ExitCode.ENVIRONMENT
    assert "search_path of role nobody_here" in ended.document["error"]["message"]
    assert "CREATE ROLE" in ended.document["error"]["next"]
    assert schemas_of(it.conninfo) == set()


def test_backup_diff_restore_and_drill_find_the_version_under_its_own_name(
    it: Desk, first: str, grafana: str, tmp_path: Path
) -> None:
    space = Workspace(tmp_path / "w")
    ended = run(it, tmp_path / "source.db", tmp_path, *led(grafana))
    second = ended.runner.deployment.version
    settings = load_settings(assignments=("health.start_free_bytes=0", "health.min_free_bytes=0"))
    found = find_backup(space, ended.runner.deployment.run_id)
    assert found.manifest.dump is not None
    assert (found.manifest.dump.schema, found.manifest.dump.serving_schema) == (first, "servicedesk")
    with open_session(space, it.conninfo, settings) as session:
        compared = diff(space, session, settings, tmp_path / "source.db", SilentReporter())
        assert (compared.schema, compared.equal) == (second, True)

        paths = it.ask("SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting ORDER BY 1")
        done = drill(space, session, settings, SilentReporter(), faults=(Fault.BAD_CANDIDATE,))
        assert (done.passed, done.serving_untouched) == (True, True), done.steps
        assert it.ask("SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting ORDER BY 1") == paths

        it.run(f"DELETE FROM {second}.comments")
        restored = restore_beside(space, session, settings, SilentReporter(), found)
        live = make_restored_live(session, settings, SilentReporter(), restored)
    assert live.previous_version == second
    assert comments(it, grafana) == 533
    assert live.live_version in schemas_of(it.conninfo)


@pytest.mark.parametrize(
    "settings", [("cutover.strategy=role",), ("cutover.roles=a",), ("cutover.strategy=rename", "cutover.roles=a")]
)
def test_roles_and_strategy_belong_together(settings: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"cutover: .*role"):
        load_settings(assignments=settings)
