"""A switch that somebody makes by hand: written, waited for, verified; what was done wrongly or in part is named."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from sdetl_engine import (
    CutoverResult,
    ExitCode,
    OutcomeKind,
    SilentReporter,
    Stage,
    ValidationFailed,
    WaitsForHand,
    Workspace,
    find_backup,
    load_settings,
    make_restored_live,
    open_session,
    restore_beside,
    resume_run,
    rollback,
)
from tests.migrating import TICKETS, Ended, finish, migrate, schemas_of
from tests.postgres.versions import Desk, desk
from tests.test_cli import _environment, sdetl

MakeSource = Callable[[str], Path]
BY_HAND = ("cutover.strategy=manual",)


@pytest.fixture
def it(database: str) -> Iterator[Desk]:
    with desk(database) as made:
        yield made


@pytest.fixture
def reader(it: Desk) -> str:
    """A role that may read, and has a materialized view of its own."""
    return it.role("reader", "LOGIN")


@pytest.fixture
def first(it: Desk, reader: str, sqlite_file: MakeSource, tmp_path: Path) -> str:
    """A version that is live, with a reader and a view of another schema."""
    version = migrate(sqlite_file(TICKETS), it.conninfo, tmp_path / "w", skip_canary=True).runner.deployment.version
    it.run(
        f"CREATE SCHEMA rep; GRANT USAGE ON SCHEMA servicedesk, rep TO {reader}",
        f"GRANT SELECT (id) ON servicedesk.tickets TO {reader}",
        "CREATE VIEW rep.v AS SELECT count(*) AS n FROM servicedesk.comments",
    )
    return version


@pytest.fixture
def waiting(it: Desk, first: str, tmp_path: Path) -> Ended:
    """A run whose candidate waits to be made live."""
    ended = migrate(tmp_path / "source.db", it.conninfo, tmp_path / "w", settings=BY_HAND, skip_canary=True)
    assert (ended.outcome.exit_code, ended.document["error"]["kind"]) == (ExitCode.GATE, "manual")
    return ended


def go_on(it: Desk, waiting: Ended, folder: Path) -> Ended:
    return finish(resume_run(Workspace(folder / "w"), waiting.runner.deployment.run_id, target=it.conninfo))


def test_renamed_and_nothing_else_every_thing_that_is_missing_is_named(
    it: Desk, first: str, reader: str, waiting: Ended, tmp_path: Path
) -> None:
    second = waiting.runner.deployment.version
    it.run(f"ALTER SCHEMA servicedesk RENAME TO {first}", f"ALTER SCHEMA {second} RENAME TO servicedesk")
    ended = go_on(it, waiting, tmp_path)
    assert ended.outcome.exit_code is ExitCode.VALIDATION
    told = ended.document["error"]["message"]
    assert f"role {reader} lacks USAGE on schema servicedesk" in told
    assert f"role {reader} lacks SELECT on column servicedesk.tickets.id" in told
    assert f"view rep.v still reads {first}" in told
    assert it.live() == first
    it.run(
        f"GRANT USAGE ON SCHEMA servicedesk TO {reader}; GRANT SELECT (id) ON servicedesk.tickets TO {reader}",
        "CREATE OR REPLACE VIEW rep.v AS SELECT count(*) AS n FROM servicedesk.comments",
    )
    ended = go_on(it, waiting, tmp_path)
    assert ended.outcome.kind is OutcomeKind.LIVE, ended.document.get("error")
    assert it.live() == second
    entered = it.ask(f"SELECT action, from_version FROM sdetl.deployments WHERE to_version = '{second}'")
    assert entered == [("cutover", first)]


def test_half_a_rename_is_named(it: Desk, first: str, waiting: Ended, tmp_path: Path) -> None:
    it.run(f"ALTER SCHEMA servicedesk RENAME TO {first}")
    ended = go_on(it, waiting, tmp_path)
    assert ended.outcome.exit_code is ExitCode.VALIDATION
    assert "there is no schema servicedesk" in ended.document["error"]["message"]
    assert "still bears its own name" in ended.document["error"]["message"]


def test_another_version_under_the_serving_name_is_not_taken_for_it(
    it: Desk, first: str, waiting: Ended, tmp_path: Path
) -> None:
    second = waiting.runner.deployment.version
    it.run(
        f"ALTER SCHEMA {second} RENAME TO {first}",
        f"UPDATE sdetl.versions SET status = 'retired' WHERE version = '{first}'",
        f"UPDATE sdetl.versions SET status = 'live', previous = '{first}' WHERE version = '{second}'",
    )
    ended = go_on(it, waiting, tmp_path)
    assert ended.outcome.exit_code is ExitCode.VALIDATION
    assert "schema servicedesk was made by run" in ended.document["error"]["message"]
    assert "it is another version" in ended.document["error"]["message"]


def test_rows_written_since_the_switch_by_hand_are_told_and_no_failure(
    it: Desk, waiting: Ended, tmp_path: Path
) -> None:
    it.run(waiting.runner.deployment.folder.cutover_sql.read_text())
    it.run("INSERT INTO servicedesk.comments VALUES (7, 7, 'late')")
    ended = go_on(it, waiting, tmp_path)
    assert ended.outcome.kind is OutcomeKind.LIVE, ended.document.get("error")
    result = ended.runner.deployment.results.load(Stage.CUTOVER, CutoverResult)
    checks = {c.name: (str(c.verdict), c.measured) for c in result.post_checks}
    assert checks["content as it was validated"] == ("warning", "written to since: comments")
    assert "cutover.strategy=manual" in str(result.rollback_command)


def test_the_sql_is_refused_once_something_else_is_live(it: Desk, waiting: Ended, tmp_path: Path) -> None:
    migrate(tmp_path / "source.db", it.conninfo, tmp_path / "w", skip_canary=True)
    third = it.live()
    with pytest.raises(psycopg.errors.RaiseException, match="is not what is live: stop here"):
        it.run(waiting.runner.deployment.folder.cutover_sql.read_text())
    assert it.live() == third


def test_the_run_waits_and_looks_again(it: Desk, first: str, sqlite_file: MakeSource, tmp_path: Path) -> None:
    def by_hand() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for file in (tmp_path / "w" / "runs").glob("*/cutover.sql"):
                it.run(file.read_text())
                return
            time.sleep(0.1)

    somebody = threading.Thread(target=by_hand)
    somebody.start()
    settings = (*BY_HAND, "cutover.manual_wait_seconds=60")
    ended = migrate(tmp_path / "source.db", it.conninfo, tmp_path / "w", settings=settings, skip_canary=True)
    somebody.join()
    assert ended.outcome.kind is OutcomeKind.LIVE, ended.document.get("error")


def test_readers_who_are_led_are_led_by_the_sql(it: Desk, first: str, reader: str, tmp_path: Path) -> None:
    settings = (*BY_HAND, f"cutover.roles={reader}")
    waiting = migrate(tmp_path / "source.db", it.conninfo, tmp_path / "w", settings=settings, skip_canary=True)
    assert waiting.outcome.exit_code is ExitCode.GATE
    second = waiting.runner.deployment.version
    script = waiting.runner.deployment.folder.cutover_sql.read_text()
    leading = next(line for line in script.splitlines() if line.startswith("ALTER ROLE"))
    it.run(leading)
    half = go_on(it, waiting, tmp_path)
    assert half.outcome.exit_code is ExitCode.VALIDATION
    assert "there is still a schema servicedesk" in half.document["error"]["message"]
    it.run(f"ALTER ROLE {reader} IN DATABASE {it.ask('SELECT current_database()')[0][0]} RESET search_path")
    it.run(script)
    ended = go_on(it, waiting, tmp_path)
    assert ended.outcome.kind is OutcomeKind.LIVE, ended.document.get("error")
    with it.log_in(reader) as connection:
        assert connection.execute("SELECT count(id) FROM tickets").fetchone() == (400,)
    assert schemas_of(it.conninfo) == {first, second, "sdetl", "rep"}
    it.run(waiting.runner.deployment.folder.rollback_sql.read_text())
    assert it.live() == first
    assert "servicedesk" in schemas_of(it.conninfo)


def test_a_rollback_by_hand_is_written_named_when_half_made_and_verified(
    it: Desk, first: str, reader: str, tmp_path: Path
) -> None:
    second = migrate(tmp_path / "source.db", it.conninfo, tmp_path / "w", skip_canary=True).runner.deployment.version
    settings = load_settings(assignments=BY_HAND)
    with open_session(Workspace(tmp_path / "w"), it.conninfo, settings) as session:
        with pytest.raises(WaitsForHand) as waits:
            rollback(session, settings, SilentReporter())
        assert it.live() == second
        assert f"--to {first}" in waits.value.next_step
        script = waits.value.forward.read_text()
        without_grants = "\n".join(line for line in script.splitlines() if not re.match("GRANT|REVOKE", line))
        assert waits.value.back is not None
        forward_again = waits.value.back.read_text()

        it.run(f"REVOKE SELECT (id) ON {first}.tickets FROM {reader}", without_grants)
        with pytest.raises(ValidationFailed, match=f"role {reader} lacks SELECT on column servicedesk.tickets.id"):
            rollback(session, settings, SilentReporter(), first)
        it.run(f"GRANT SELECT (id) ON servicedesk.tickets TO {reader}")
        done = rollback(session, settings, SilentReporter(), first)
        assert (done.live_version, done.rows["comments"]) == (first, 533)
        assert done.post_checks
        it.run(forward_again)
        assert rollback(session, settings, SilentReporter(), second).live_version == second


def test_what_was_restored_is_made_live_by_hand_too(it: Desk, first: str, reader: str, tmp_path: Path) -> None:
    second = migrate(tmp_path / "source.db", it.conninfo, tmp_path / "w", skip_canary=True).runner.deployment
    settings, space = load_settings(assignments=BY_HAND), Workspace(tmp_path / "w")
    with open_session(space, it.conninfo, settings) as session:
        restored = restore_beside(space, session, settings, SilentReporter(), find_backup(space, second.run_id))
        with pytest.raises(WaitsForHand) as waits:
            make_restored_live(session, settings, SilentReporter(), restored)
        assert it.live() == second.version
        it.run(waits.value.forward.read_text())
        done = make_restored_live(session, settings, SilentReporter(), restored)
        assert (done.live_version, done.previous_version) == (restored.version, second.version)
        assert rollback(session, settings, SilentReporter(), restored.version).post_checks
    assert it.ask("SELECT count(id) FROM servicedesk.tickets", reader) == [(400,)]


def test_on_a_terminal_the_command_shows_the_sql_and_looks_again(it: Desk, first: str, tmp_path: Path) -> None:
    migrate(tmp_path / "source.db", it.conninfo, tmp_path / "w", skip_canary=True)
    words = ("rollback", "--target", it.conninfo, "--set", BY_HAND[0], "--yes")
    stopped = sdetl(*words, workspace=tmp_path / "w")
    assert stopped.returncode == 3
    assert f"make {first} live as servicedesk, by renaming" in stopped.stdout
    assert "ALTER SCHEMA" in stopped.stdout

    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "sdetl_tui", *words],
        stdin=other_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=_environment(tmp_path / "w"),
    ) as child:
        assert child.stderr is not None
        asked = b""
        while not asked.endswith(b"for later.\n") and (letter := child.stderr.read(1)):
            asked += letter
        it.run((tmp_path / "w" / "by_hand" / f"live_{first}.sql").read_text())
        time.sleep(0.2)
        os.write(terminal, b"\n")
        told, said = child.communicate(timeout=60)
    os.close(other_end)
    os.close(terminal)
    assert child.returncode == 0, said
    assert f"{first} is live" in told.decode()
    assert it.live() == first
