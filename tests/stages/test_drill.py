"""A drill, as the operator sees it: every fault survived and timed, and nothing of it left."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sdetl_engine import (
    Cancelled,
    DrillResult,
    EnvironmentFailed,
    Fault,
    RecordingReporter,
    SilentReporter,
    StepStatus,
    Workspace,
    drill,
    earlier_drills,
    load_settings,
    open_session,
)
from tests.migrating import TICKETS, migrate, rows_of, schemas_of
from tests.test_cli import sdetl, started

MakeSource = Callable[[str], Path]
SETTINGS = ("health.start_free_bytes=0", "health.min_free_bytes=0")


def rehearse(
    database: str,
    workspace: Path,
    *faults: Fault,
    source: Path | None = None,
    budget: float = 60.0,
    settings: tuple[str, ...] = (),
) -> DrillResult:
    chosen = load_settings(assignments=(*SETTINGS, *settings))
    with open_session(Workspace(workspace), database, chosen) as session:
        return drill(
            Workspace(workspace),
            session,
            chosen,
            SilentReporter(),
            source=source,
            faults=faults,
            budget_seconds=budget,
        )


@pytest.mark.parametrize("fault", Fault)
def test_a_drill_survives_the_fault_and_leaves_nothing(
    sqlite_file: MakeSource, database: str, tmp_path: Path, fault: Fault
) -> None:
    source = sqlite_file(TICKETS)

    done = rehearse(database, tmp_path / "w", fault, source=source)

    assert done.passed, [(s.name, s.detail) for s in done.steps if s.status is StepStatus.FAILED]
    assert done.readers is not None
    assert (done.readers.errors, done.readers.torn) == (0, 0)
    assert done.readers.reads > 0
    assert (done.readers.expected_errors > 0) == (fault is Fault.DROPPED_TABLE)
    assert done.within_budget
    assert done.restore_seconds is not None
    assert 0 < done.seconds_by_step[f"roll back after {fault}"] < 5
    assert schemas_of(database) == {"sdetl"}
    assert {p.name for p in (tmp_path / "w").iterdir()} == {"runs", "rollback_tests.log"}
    with psycopg.connect(database) as connection:
        left = connection.execute(
            "SELECT (SELECT count(*) FROM sdetl.versions), (SELECT count(*) FROM sdetl.deployments), "
            "(SELECT count(*) FROM pg_database WHERE datname LIKE 'sdetl_scratch%')"
        ).fetchone()
    assert left == (0, 0, 0)


def test_a_drill_beside_a_live_version_touches_nothing_of_it_and_is_remembered(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    live = migrate(source, database, tmp_path / "w").runner.deployment
    before = schemas_of(database)
    first = rehearse(database, tmp_path / "w", Fault.KILLED_CONNECTION)
    second = rehearse(database, tmp_path / "w", Fault.BAD_CANDIDATE)
    assert (first.passed, second.passed) == (True, True)
    assert second.serving_untouched
    assert first.source == f"the cleaned copy of run {live.run_id}"
    assert schemas_of(database) == before
    assert rows_of(database, "tickets") == 400
    lines = [json.loads(line) for line in (tmp_path / "w" / "rollback_tests.log").read_text().splitlines()]
    assert [(line["faults"], line["passed"]) for line in lines] == [
        (["killed-connection"], True),
        (["bad-candidate"], True),
    ]
    assert lines[1]["rto_seconds"] == round(second.rto_seconds or 0, 3)
    assert [d.passed for d in second.earlier] == [True]
    with open_session(Workspace(tmp_path / "w"), database, load_settings()) as session:
        assert [d.rollback_seconds for d in earlier_drills(session)] == [second.rto_seconds, first.rto_seconds]
    again = migrate(source, database, tmp_path / "w")
    assert "rollback rehearsed" not in " ".join(f["message"] for f in again.document["findings"])


def test_a_drill_that_changes_the_serving_schema_has_failed(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    migrate(source, database, tmp_path / "w")
    settings = load_settings(assignments=SETTINGS)

    class Meddler(SilentReporter):
        def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
            if name == "DrillStepStarted" and message == "drop everything":
                with psycopg.connect(database) as other:
                    other.execute("UPDATE servicedesk.tickets SET title = 'changed' WHERE id = 1")

    with open_session(Workspace(tmp_path / "w"), database, settings) as session:
        done = drill(Workspace(tmp_path / "w"), session, settings, Meddler(), source=source, faults=())
    assert not done.passed
    assert not done.serving_untouched
    assert "tickets holds 400 rows with other content" in done.steps[-1].detail


def test_a_rollback_over_its_budget_is_a_failed_drill(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    done = rehearse(database, tmp_path / "w", source=sqlite_file(TICKETS), budget=0.000_001)
    assert not done.passed
    assert [s.name for s in done.steps if s.status is StepStatus.FAILED] == ["rollback within the budget"]
    assert schemas_of(database) == {"sdetl"}


@pytest.mark.parametrize("at_check", [5, 120, 300])
def test_a_cancelled_drill_leaves_nothing_and_is_not_recorded(
    sqlite_file: MakeSource, database: str, tmp_path: Path, at_check: int
) -> None:
    settings = load_settings(assignments=SETTINGS)
    reporter = RecordingReporter(cancel_at_check=at_check)
    with open_session(Workspace(tmp_path / "w"), database, settings) as session:
        with pytest.raises(Cancelled):
            drill(Workspace(tmp_path / "w"), session, settings, reporter, source=sqlite_file(TICKETS))
        assert earlier_drills(session) == ()
    assert schemas_of(database) == {"sdetl"}
    assert {p.name for p in (tmp_path / "w").iterdir()} == {"runs"}


def test_a_foreign_schema_of_that_name_is_not_touched(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE SCHEMA servicedesk_drill CREATE TABLE mine (id int)")
    with pytest.raises(EnvironmentFailed, match="servicedesk_drill was not made by sdetl"):
        rehearse(database, tmp_path / "w", source=sqlite_file(TICKETS))
    assert rows_of(database, "mine", "servicedesk_drill") == 0


def test_a_folder_that_a_killed_drill_left_is_swept_by_the_next(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    (tmp_path / "w" / "drill-dead").mkdir(parents=True)
    (tmp_path / "w" / "drill-dead" / "working.lock").touch()
    assert rehearse(database, tmp_path / "w", Fault.FULL_DISK, source=sqlite_file(TICKETS)).passed
    assert not (tmp_path / "w" / "drill-dead").exists()


def test_a_schema_that_somebody_serves_under_the_drills_name_is_not_touched(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    migrate(source, database, tmp_path / "w", settings=("serving_schema=servicedesk_drill",))
    before = schemas_of(database)
    with pytest.raises(EnvironmentFailed, match="no place for a drill: version servicedesk_drill_v") as refused:
        rehearse(database, tmp_path / "w", source=source)
    assert (schemas_of(database), rows_of(database, "tickets", "servicedesk_drill")) == (before, 400)
    said = next(word for word in refused.value.next_step.split() if word.startswith("drill.schema="))
    assert rehearse(database, tmp_path / "w", source=source, settings=(said,)).passed
    assert schemas_of(database) == before
    with psycopg.connect(database) as connection:
        connection.execute("DROP SCHEMA sdetl CASCADE")
    with pytest.raises(EnvironmentFailed, match="no place for a drill: schema servicedesk_drill"):
        rehearse(database, tmp_path / "w", source=source)
    assert rows_of(database, "tickets", "servicedesk_drill") == 400


def test_a_drill_on_the_command_line(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    words = ("drill", str(sqlite_file(TICKETS)), "--target", database, "--fault", "dropped-table")
    asked = sdetl(*words, workspace=tmp_path / "w")
    assert (asked.returncode, asked.stdout) == (3, "")
    assert schemas_of(database) == set()
    done = sdetl(*words, "--yes", "--json", workspace=tmp_path / "w")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["passed"], document["within_budget"], document["faults"]) == (True, True, ["dropped-table"])
    late = sdetl(*words, "--yes", "--budget", "0.001", workspace=tmp_path / "w")
    assert late.returncode == 4
    assert "THE DRILL DID NOT PASS" in late.stdout
    assert "earlier drills" in late.stdout
    assert sdetl(*words, "--fault", "flood", workspace=tmp_path / "w").returncode == 2


def test_a_role_with_few_rights_can_drill(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    role = f"etl_{abs(hash(database)) % 10**8}"
    name = conninfo_to_dict(database)["dbname"]
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f'CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE "{name}" TO {role}')
    try:
        reached = make_conninfo(database, user=role)
        faults = (Fault.KILLED_CONNECTION, Fault.FULL_DISK, Fault.DROPPED_TABLE)
        done = rehearse(reached, tmp_path / "w", *faults, source=sqlite_file(TICKETS))
        assert done.passed, [(s.name, s.detail) for s in done.steps if s.status is StepStatus.FAILED]
        assert "by hand" in next(s.detail for s in done.steps if s.name == "break: full-disk")
    finally:
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_a_server_that_ends_every_session_in_the_middle_leaves_nothing(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    class CutOff(SilentReporter):
        def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
            if name == "DrillStepStarted" and message == "restore a backup":
                with psycopg.connect(database, autocommit=True) as other:
                    other.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )

    settings = load_settings(assignments=SETTINGS)
    with open_session(Workspace(tmp_path / "w"), database, settings) as session:
        done = drill(Workspace(tmp_path / "w"), session, settings, CutOff(), source=sqlite_file(TICKETS), faults=())
        assert not done.passed
        assert [s.name for s in done.steps if s.status is StepStatus.FAILED] == ["readers saw whole versions only"]
        assert [d.passed for d in earlier_drills(session)] == [False]
    assert schemas_of(database) == {"sdetl"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_drill_that_is_ended_clears_away_or_is_swept_by_the_next(
    sqlite_file: MakeSource, database: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    source = sqlite_file(TICKETS)
    with started("drill", str(source), "--target", database, "--yes", workspace=tmp_path / "w") as child:
        assert child.stderr is not None
        next(line for line in child.stderr if "build version 2" in line)
        child.send_signal(number)
        rest = child.stderr.read()
        assert child.wait(60) == code, rest
    assert "Traceback" not in rest
    if number != signal.SIGKILL:
        assert schemas_of(database) == {"sdetl"}
        assert [p.name for p in (tmp_path / "w").iterdir()] == ["runs"]
        return
    assert "servicedesk_drill" in schemas_of(database)
    assert rehearse(database, tmp_path / "w", source=source).passed
    assert schemas_of(database) == {"sdetl"}
    assert {p.name for p in (tmp_path / "w").iterdir()} == {"runs", "rollback_tests.log"}
