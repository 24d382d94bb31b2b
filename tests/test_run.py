"""A whole run, as the operator sees it: what goes live, what stops it, and the way back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sdetl_engine import (
    EnvironmentFailed,
    ExitCode,
    OutcomeKind,
    SilentReporter,
    Stage,
    ValidationFailed,
    Workspace,
    checklist_lines,
    list_versions,
    load_settings,
    open_session,
    resume_run,
    rollback,
    run_states,
    start_run,
)
from sdetl_engine.deployment import Deployment
from sdetl_engine.events import Snapshot
from sdetl_engine.findings import StageResult
from sdetl_engine.observe import health
from sdetl_engine.postgres import registry
from sdetl_engine.runner import RunReporter, StageFunction
from sdetl_engine.wording import counted
from tests.migrating import TICKETS, dashboard, finish, migrate, rows_of, schemas_of
from tests.postgres.versions import desk

MakeSource = Callable[[str], Path]


def test_a_dirty_source_goes_live_with_typed_columns_and_proof(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    folder = sorted(p.name for p in tmp_path.iterdir())
    panels = dashboard(
        tmp_path / "boards", "SELECT max(closed - created) FROM servicedesk.tickets WHERE $__timeFilter(created)"
    )

    ended = migrate(source, database, tmp_path / "w", dashboards=panels)

    assert (ended.outcome.kind, ended.outcome.exit_code) == (OutcomeKind.LIVE, ExitCode.DONE)
    assert set(ended.status.values()) == {"passed"}
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT pg_typeof(created)::text, pg_typeof(closed)::text, pg_typeof(code)::text, code, created::text "
            "FROM servicedesk.tickets WHERE id = 50"
        ).fetchone()
        assert found == (
            "timestamp without time zone",
            "timestamp without time zone",
            "text",
            "00050",
            "2025-03-18 09:50:00",
        )
        counted = connection.execute("SELECT count(*), count(closed), sum(hours) FROM servicedesk.tickets").fetchone()
        assert counted == (400, 400 - 57 - 69, sum(i / 4 for i in range(1, 401)))
    assert all(p["equal"] and p["sha256_sent"] == p["sha256_held"] for p in ended.document["proof"].values())
    assert ended.document["ledger"]["by_rule"] == {"date_to_iso": 8, "empty_to_null": 57}
    assert ended.document["dashboards"] == [
        {
            "title": "Desk",
            "panels": 1,
            "passed": 1,
            "failed": [],
            "slowest_ms": ended.document["dashboards"][0]["slowest_ms"],
        }
    ]
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*folder, "boards", "w"])


def test_the_run_leaves_the_files_of_the_contract_for_its_owner_alone(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    workspace = tmp_path / "w"
    ended = migrate(sqlite_file(TICKETS), database, workspace)
    folder = ended.runner.deployment.folder
    copy = Path(ended.document["stages"][1]["summary"]["path"])
    assert {p.name for p in folder.path.iterdir()} >= {
        *("plan.toml", "journal.jsonl", "log.jsonl", "backup", "clean.db", "ledger.db", "report.html", "report.json")
    }
    said = (copy.parent / f"{copy.name}.md5").read_text().split()
    assert said == [hashlib.md5(copy.read_bytes()).hexdigest(), copy.name]
    assert said[0] == ended.document["source"]["md5"]
    assert (workspace / "deployments.log").read_text().count("\n") == 1
    metrics = (workspace / "metrics.prom").read_text()
    assert "etl_dates_standardized_total 8.0" in metrics
    assert 'etl_errors_total{gate="Gate2_Cleaner"} 0.0' in metrics
    assert "etl_disk_space_gb 0.0" not in metrics
    wide = [p for p in folder.path.rglob("*") if stat.S_IMODE(p.stat().st_mode) & 0o077]
    assert wide == []
    manifest = json.loads((copy.parent / "manifest.json").read_text())
    assert {t: (m["rows"], m["equal"]) for t, m in manifest["tables"].items()} == {
        "tickets": (400, True),
        "comments": (533, True),
    }


def test_logs_and_reports_hold_no_content_of_rows(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    secret = "Kowalski-7731"
    source = sqlite_file(TICKETS + f"UPDATE tickets SET title = '{secret}', code = '{secret}';")
    folder = migrate(source, database, tmp_path / "w").runner.deployment.folder
    for path in (folder.journal, folder.log, folder.report_json, folder.report_html, folder.plan):
        assert secret not in path.read_text(), path.name


def test_two_versions_go_back_and_forth(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    first = migrate(sqlite_file(TICKETS), database, tmp_path / "w")
    other = tmp_path / "second.db"
    connection = sqlite3.connect(other)
    connection.executescript(TICKETS + "DELETE FROM comments WHERE id % 2 = 1;")
    connection.close()
    second = migrate(other, database, tmp_path / "w")
    assert rows_of(database, "comments") == 400
    settings = load_settings()
    with open_session(workspace, database, settings) as session:
        assert rollback(session, settings, SilentReporter()).live_version == first.runner.deployment.version
        assert rows_of(database, "comments") == 533
        assert rollback(session, settings, SilentReporter()).live_version == second.runner.deployment.version
        assert rows_of(database, "comments") == 400
        again = rollback(session, settings, SilentReporter(), second.runner.deployment.version)
        assert not again.changed
        assert [v.status for v in list_versions(session)] == ["live", "retired"]
    assert schemas_of(database) == {"sdetl", "servicedesk", first.runner.deployment.version}
    assert "sdetl rollback" in second.document["cutover"]["rollback_command"]
    assert second.runner.deployment.results.has(Stage.BACKUP)
    dump = second.document["stages"][1]["summary"]["dump"]
    assert Path(dump).read_bytes()[:5] == b"PGDMP"


def test_a_schema_that_nobody_managed_is_taken_over_with_its_grants(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    role = f"reader_{database[-8:].strip('=')}" if "=" in database[-8:] else f"reader_{abs(hash(database)) % 10**8}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{role}"')
    try:
        with psycopg.connect(database) as connection:
            connection.execute("CREATE SCHEMA servicedesk CREATE TABLE tickets (id int) CREATE TABLE old (x int)")
            connection.execute("INSERT INTO servicedesk.tickets VALUES (1)")
            connection.execute(f'GRANT USAGE ON SCHEMA servicedesk TO "{role}"')
            connection.execute(f'GRANT SELECT ON servicedesk.tickets, servicedesk.old TO "{role}"')
        ended = migrate(sqlite_file(TICKETS), database, tmp_path / "w")
        assert ended.outcome.exit_code is ExitCode.DONE, ended.document["error"]
        lost = next(f for f in ended.document["findings"] if f["rule"] == "CUTOVER-LOSES")
        assert (lost["count"], "table old" in lost["message"]) == (1, True)
        with psycopg.connect(database) as connection:
            connection.execute(f'SET ROLE "{role}"')
            assert connection.execute("SELECT count(*) FROM servicedesk.tickets").fetchone() == (400,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT count(*) FROM servicedesk.comments")
        settings = load_settings()
        with open_session(Workspace(tmp_path / "w"), database, settings) as session:
            rollback(session, settings, SilentReporter())
        assert rows_of(database, "tickets") == 1
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f'DROP OWNED BY "{role}"')
            connection.execute(f'DROP ROLE "{role}"')


FINE = """
CREATE SCHEMA IF NOT EXISTS rep;
CREATE OR REPLACE FUNCTION rep.fine(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM servicedesk.comments) <> {comments} THEN RAISE EXCEPTION 'no such desk'; END IF;
    RETURN true;
END$$;
"""
GUARDED = """
ALTER TABLE servicedesk.tickets ENABLE ROW LEVEL SECURITY;
CREATE POLICY guarded ON servicedesk.tickets TO {role} USING (rep.fine(id));
GRANT USAGE ON SCHEMA servicedesk, rep TO {role};
GRANT SELECT ON servicedesk.tickets, servicedesk.comments TO {role};
"""


def test_readers_who_cannot_read_the_new_version_are_given_the_old_one_back(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    first = migrate(sqlite_file(TICKETS), database, tmp_path / "w")
    other = tmp_path / "second.db"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.executescript(TICKETS + "DELETE FROM comments WHERE id % 2 = 1;")
    with desk(database) as it:
        reader = it.role("reader")
        it.run(FINE.format(comments=533), GUARDED.format(role=reader))
        ended = migrate(other, database, tmp_path / "w")
        assert ended.outcome.exit_code is ExitCode.VALIDATION
        error = ended.document["error"]
        assert f"role {reader} reads what it was granted failed: no such desk" in error["message"]
        assert f"{first.runner.deployment.version} was made live again" in error["message"]
        assert it.live() == first.runner.deployment.version
        assert it.ask("SELECT count(*) FROM servicedesk.tickets", reader) == [(400,)]
        assert ended.status["cutover"] == "failed"
        assert "no such desk" in ended.runner.deployment.folder.report_html.read_text()

        it.run(FINE.format(comments=400))
        second = migrate(other, database, tmp_path / "w").runner.deployment.version
        assert it.live() == second
        settings = load_settings()
        with (
            open_session(Workspace(tmp_path / "w"), database, settings) as session,
            pytest.raises(ValidationFailed, match=f"no such desk; {second} was made live again"),
        ):
            rollback(session, settings, SilentReporter())
        assert it.live() == second


def test_panels_are_tried_with_the_rights_that_the_dashboards_role_has(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    migrate(source, database, tmp_path / "w")
    panels = dashboard(
        tmp_path / "boards", "SELECT count(*) FROM servicedesk.tickets", "SELECT count(*) FROM servicedesk.comments"
    )
    with desk(database) as it:
        reader = it.role("grafana")
        it.run(f"GRANT USAGE ON SCHEMA servicedesk TO {reader}; GRANT SELECT ON servicedesk.tickets TO {reader}")
        ended = migrate(source, database, tmp_path / "w", dashboards=panels, settings=(f"dashboards.role={reader}",))
        (board,) = ended.document["dashboards"]
        assert (board["passed"], [f["panel"] for f in board["failed"]]) == (1, ["panel 2"])
        assert "permission denied for table comments" in board["failed"][0]["error"]


def test_a_cutover_by_hand_is_written_waited_for_and_verified(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    first = migrate(source, database, tmp_path / "w").runner.deployment.version
    with desk(database) as it:
        reader = it.role("reader")
        it.run(
            f"CREATE SCHEMA rep; GRANT USAGE ON SCHEMA servicedesk, rep TO {reader}",
            f"GRANT SELECT (id) ON servicedesk.tickets TO {reader}",
            "CREATE MATERIALIZED VIEW rep.n AS SELECT count(*) AS n FROM servicedesk.tickets",
            "CREATE VIEW rep.v AS SELECT n FROM rep.n",
            f"GRANT SELECT ON rep.v TO {reader}",
        )
        stopped = migrate(source, database, tmp_path / "w", settings=("cutover.strategy=manual",))
        assert stopped.outcome.exit_code is ExitCode.GATE
        assert stopped.document["error"]["kind"] == "manual"
        folder = stopped.runner.deployment.folder
        assert str(folder.cutover_sql) in stopped.document["error"]["next"]
        assert it.live() == first
        assert it.ask("SELECT n FROM rep.v", reader) == [(400,)]

        it.run(folder.cutover_sql.read_text())
        ended = finish(resume_run(Workspace(tmp_path / "w"), stopped.runner.deployment.run_id, target=database))
        assert ended.outcome.kind is OutcomeKind.LIVE, ended.document.get("error")
        assert it.live() == stopped.runner.deployment.version
        assert it.ask("SELECT count(id) FROM servicedesk.tickets", reader) == [(400,)]

        it.run(folder.rollback_sql.read_text())
        assert it.live() == first
        assert it.ask("SELECT n FROM rep.v", reader) == [(400,)]
        switches = it.ask(f"SELECT action, to_version = '{first}' FROM sdetl.deployments ORDER BY id")
        assert switches == [("cutover", True), ("cutover", False), ("rollback", True)]


def test_a_candidate_that_somebody_wrote_to_after_validation_does_not_go_live(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    begun = migrate(
        sqlite_file(TICKETS),
        database,
        tmp_path / "w",
        until=Stage.VALIDATE,
        settings=('load.partition.tickets="created by year"',),
    )
    version = begun.runner.deployment.version
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE {version}.tickets SET title = title WHERE id = 7")
    ended = finish(resume_run(Workspace(tmp_path / "w"), begun.runner.deployment.run_id, target=database))
    assert ended.outcome.exit_code is ExitCode.VALIDATION
    assert "is not as it was validated: tickets changed since" in ended.document["error"]["message"]
    assert "servicedesk" not in schemas_of(database)


def test_a_version_that_lost_a_table_is_not_gone_back_to(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    first = migrate(source, database, tmp_path / "w").runner.deployment.version
    second = migrate(source, database, tmp_path / "w").runner.deployment.version
    with psycopg.connect(database) as connection:
        connection.execute(f"DROP TABLE {first}.comments")
    with open_session(Workspace(tmp_path / "w"), database, load_settings()) as session:
        with pytest.raises(EnvironmentFailed, match="not whole any more: comments is gone"):
            rollback(session, load_settings(), SilentReporter())
        assert {v.version for v in list_versions(session) if v.status == "live"} == {second}


def test_a_mark_for_missing_halts_until_somebody_declares_it(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS + "UPDATE tickets SET closed = '?' WHERE id % 3 = 0;")
    halted = migrate(source, database, tmp_path / "w")
    assert (halted.outcome.kind, halted.outcome.exit_code) == (OutcomeKind.HALTED, ExitCode.GATE)
    assert halted.status["profile"] == "halted"
    assert halted.status["clean"] == "pending"
    finding = next(f for f in halted.document["findings"] if f["rule"] == "BREAKER-DATES")
    assert (finding["table"], finding["column"], finding["suggestion"], finding["count"]) == (
        "tickets",
        "closed",
        "?",
        133,
    )
    assert "'?'" in finding["message"]
    assert schemas_of(database) == set()
    live = migrate(source, database, tmp_path / "w", markers=("tickets.closed=?",))
    assert live.outcome.exit_code is ExitCode.DONE
    assert live.document["ledger"]["by_rule"]["mark_to_null"] == 133


def test_without_agreement_nothing_is_switched(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    stopped = migrate(sqlite_file(TICKETS), database, tmp_path / "w", agreed=False)
    assert stopped.outcome.exit_code is ExitCode.GATE
    assert stopped.status["cutover"] == "review"
    assert "servicedesk" not in schemas_of(database)
    resumed = finish(resume_run(Workspace(tmp_path / "w"), stopped.runner.deployment.run_id, target=database))
    assert resumed.outcome.kind is OutcomeKind.LIVE
    assert rows_of(database, "tickets") == 400


def test_a_dashboard_that_breaks_keeps_the_previous_version_live(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    live = migrate(source, database, tmp_path / "w").runner.deployment.version
    broken = dashboard(
        tmp_path / "boards", "SELECT count(*) FROM servicedesk.tickets", "SELECT severity FROM servicedesk.tickets"
    )
    ended = migrate(source, database, tmp_path / "w", dashboards=broken)
    assert (ended.outcome.kind, ended.outcome.exit_code) == (OutcomeKind.FAILED, ExitCode.VALIDATION)
    assert "panel 2" in ended.document["error"]["message"]
    assert "severity" in ended.document["error"]["message"]
    (board,) = ended.document["dashboards"]
    assert (board["panels"], board["passed"], [f["panel"] for f in board["failed"]]) == (2, 1, ["panel 2"])
    summary = next(s["summary"] for s in ended.document["stages"] if s["name"] == "validate")
    assert (summary["panels"], summary["panels_failed"], summary["columns_compared"]) == (2, 1, 9)
    folder = ended.runner.deployment.folder
    assert "panel 2" in folder.report_html.read_text()
    lines = {line["text"]: line["status"] for line in json.loads(folder.report_json.read_text())["checklist"]}
    assert lines["All dashboards load correctly"] == "failed"
    assert lines["Column types correct (TIMESTAMP not TEXT)"] == "passed"
    resumed = finish(resume_run(Workspace(tmp_path / "w"), ended.runner.deployment.run_id, target=database))
    assert resumed.status["validate"] == "failed"
    assert ended.status["cutover"] == "pending"
    assert rows_of(database, "tickets") == 400
    with open_session(Workspace(tmp_path / "w"), database, load_settings()) as session:
        assert {v.version for v in list_versions(session) if v.status == "live"} == {live}
        with pytest.raises(EnvironmentFailed, match="candidate"):
            rollback(session, load_settings(), SilentReporter(), ended.runner.deployment.version)


def test_what_differs_in_the_candidate_is_named_in_every_document(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    begun = migrate(sqlite_file(TICKETS), database, tmp_path / "w", until=Stage.MIGRATE)
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE {begun.runner.deployment.version}.tickets SET hours = hours + 1 WHERE id = 7")
    ended = finish(resume_run(Workspace(tmp_path / "w"), begun.runner.deployment.run_id, target=database))
    assert ended.outcome.exit_code is ExitCode.VALIDATION
    summary = next(s["summary"] for s in ended.document["stages"] if s["name"] == "validate")
    assert summary["columns_differ"] == ["tickets.hours: total, distinct"]
    lines = {line.text: line.status for line in checklist_lines(ended.runner)}
    assert lines["Sample queries execute without error"] == "failed"
    assert "tickets.hours: total" in ended.runner.deployment.folder.report_html.read_text()


def test_a_load_that_cannot_be_proved_shows_which_table(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    """A trigger that comes with every new table of the target changes what was sent."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            """
            CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.body = upper(NEW.body); RETURN NEW; END$$;
            CREATE FUNCTION meddle() RETURNS event_trigger LANGUAGE plpgsql AS $$
            DECLARE made record;
            BEGIN
                FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '%.comments' LOOP
                    EXECUTE format('CREATE TRIGGER t BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION public.shout()',
                                   made.object_identity);
                END LOOP;
            END$$;
            CREATE EVENT TRIGGER meddling ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION meddle();
            """
        )
    source = sqlite_file(TICKETS)
    for skip_canary in (False, True):
        ended = migrate(source, database, tmp_path / "w", skip_canary=skip_canary)
        assert ended.outcome.exit_code is ExitCode.VALIDATION, ended.document["error"]
        failed = next(s for s in ended.document["stages"] if s["status"] == "failed")
        assert failed["name"] == ("migrate" if skip_canary else "canary")
        assert failed["summary"]["unproved"] == ["comments"]
        assert schemas_of(database) <= {"sdetl"}
    assert {t: p["equal"] for t, p in ended.document["proof"].items()}["comments"] is False
    assert "version_schema" not in ended.document["target"]


@pytest.mark.parametrize(
    ("table", "rows", "key", "count"),
    [
        ("t (k PRIMARY KEY, n)", "(1, 'a'), ('1', 'b'), (x'31', 'c'), (2, 'd'), (2.5, 'e'), ('2.5', 'f')", "k", 3),
        ("t (k INTEGER PRIMARY KEY, n UNIQUE)", "(1, 7), (2, '7'), (3, 8)", "n", 1),
        ("t (a INTEGER, b, PRIMARY KEY (a, b))", "(1, '1'), (1, 1), (2, '1'), (2, 2)", "a, b", 1),
        (
            "t (k TIMESTAMP PRIMARY KEY, n)",
            "('2024-01-02', 1), ('2024-01-02 00:00', 2), ('2024-03-04 05:06', 3)",
            "k",
            1,
        ),
    ],
)
def test_a_key_whose_values_become_equal_is_asked_about_and_the_table_loaded_without_it(
    sqlite_file: MakeSource, database: str, tmp_path: Path, table: str, rows: str, key: str, count: int
) -> None:
    source = sqlite_file(f"CREATE TABLE {table}; INSERT INTO t VALUES {rows};")
    stopped = migrate(source, database, tmp_path / "w", until=Stage.PROFILE, agreed=False)
    assert stopped.outcome.exit_code is ExitCode.GATE
    found = next(f for f in stopped.document["findings"] if f["rule"] == "KEY-COLLISION")
    assert (found["severity"], found["table"], found["count"]) == ("review", "t", count)
    ended = migrate(source, database, tmp_path / "w")
    assert ended.outcome.exit_code is ExitCode.DONE, ended.document["error"]
    assert rows_of(database, "t") == rows.count("(")
    (missed,) = [m for m in ended.document["not_migrated"] if counted(count, "row") in m["reason"]]
    assert (missed["table"], missed["name"]) == ("t", key)


def test_empty_cells_that_no_type_may_hold_are_asked_about_once(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(
        TICKETS + "CREATE TABLE visits (id INTEGER PRIMARY KEY, at TIMESTAMP NOT NULL);"
        "INSERT INTO visits SELECT id, printf('2025-12-%02d 17:00:00', 1 + id % 28) FROM tickets;"
        "UPDATE visits SET at = '' WHERE id = 7;"
    )
    ended = migrate(source, database, tmp_path / "w")
    asked = [f["rule"] for f in ended.document["findings"] if f.get("table") == "visits" and f["severity"] == "review"]
    assert asked == ["EMPTY-NOT-NULL"]
    assert "EMPTY-KEPT" in ended.rules


def test_a_column_that_lies_a_little_is_kept_whole_in_the_quarantine(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(
        TICKETS
        + "UPDATE tickets SET hours = 'two' WHERE id IN (7, 9); UPDATE tickets SET closed = 'soon' WHERE id = 8;"
    )
    ended = migrate(source, database, tmp_path / "w")
    assert ended.outcome.exit_code is ExitCode.DONE
    assert {"TYPE-RESIDUE", "DATE-CORRUPT", "QUARANTINED"} <= ended.rules
    version = ended.runner.deployment.version
    with psycopg.connect(database) as connection:
        cells = connection.execute(
            f'SELECT "column", row_key, convert_from(raw, \'UTF8\') FROM "{version}_quarantine".cells ORDER BY 1, 2'
        ).fetchall()
        assert cells == [("closed", "[8]", "soon"), ("hours", "[7]", "two"), ("hours", "[9]", "two")]
        assert connection.execute("SELECT count(*) FROM servicedesk.tickets WHERE hours IS NULL").fetchone() == (2,)


def test_a_date_that_was_outvoted_is_kept_whole_in_the_quarantine(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS + "UPDATE tickets SET created = '12/25/2024 8:00' WHERE id = 3;")
    ended = migrate(source, database, tmp_path / "w", settings=('clean.day_first=["tickets.created"]',))
    assert ended.outcome.exit_code is ExitCode.DONE
    with psycopg.connect(database) as connection:
        cells = connection.execute(
            f"SELECT row_key, convert_from(raw, 'UTF8') FROM \"{ended.runner.deployment.version}_quarantine\".cells"
        ).fetchall()
        assert cells == [("[3]", "12/25/2024 8:00")]
        counted = connection.execute("SELECT count(*), count(created) FROM servicedesk.tickets").fetchone()
        assert counted == (400, 399)


def test_a_mark_for_a_column_that_is_not_there_is_refused(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    ended = migrate(sqlite_file(TICKETS), database, tmp_path / "w", markers=("tickets.close=?",))
    assert ended.outcome.exit_code is ExitCode.USAGE
    assert "tickets.closed" in ended.document["error"]["message"]


def test_loading_nothing_is_never_a_success(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    ended = migrate(sqlite_file("CREATE TABLE t (a INTEGER, b TEXT);"), database, tmp_path / "w")
    assert ended.outcome.exit_code in (ExitCode.GATE, ExitCode.VALIDATION)
    assert "servicedesk" not in schemas_of(database)


@pytest.mark.parametrize(
    "stage", [Stage.PREFLIGHT, Stage.PROFILE, Stage.CLEAN, Stage.CANARY, Stage.MIGRATE, Stage.VALIDATE]
)
def test_a_run_that_ended_early_is_resumed_after_its_last_finished_stage(
    sqlite_file: MakeSource, database: str, tmp_path: Path, stage: Stage
) -> None:
    begun = migrate(sqlite_file(TICKETS), database, tmp_path / "w", until=stage)
    assert begun.outcome.exit_code is ExitCode.DONE
    runner = resume_run(Workspace(tmp_path / "w"), begun.runner.deployment.run_id, target=database)
    assert [r.stage for r in runner.records if r.status == "passed"][-1] is stage
    ended = finish(runner)
    assert ended.outcome.kind is OutcomeKind.LIVE
    assert ended.runner.deployment.run_id == begun.runner.deployment.run_id
    assert rows_of(database, "comments") == 533


def test_a_run_that_died_behind_its_last_stage_is_closed_as_live(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    begun = migrate(sqlite_file(TICKETS), database, tmp_path / "w")
    journal = begun.runner.deployment.folder.journal
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    assert "run_ended" in lines[-1]
    journal.write_text("".join(lines[:-1]), encoding="utf-8")
    (state,) = run_states(Workspace(tmp_path / "w"))
    assert (state.outcome, state.is_resumable, state.goes_on_at) == ("interrupted", True, None)
    live = schemas_of(database)
    ended = finish(resume_run(Workspace(tmp_path / "w"), state.run_id, target=database))
    assert (ended.outcome.kind, ended.outcome.exit_code) == (OutcomeKind.LIVE, ExitCode.DONE)
    assert schemas_of(database) == live
    assert [s.outcome for s in run_states(Workspace(tmp_path / "w"))] == ["live"]


def test_a_run_is_not_resumed_when_its_world_has_changed(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    begun = migrate(source, database, tmp_path / "w", until=Stage.CLEAN)
    run_id, space = begun.runner.deployment.run_id, Workspace(tmp_path / "w")

    def refused(**given: object) -> str:
        with pytest.raises(EnvironmentFailed) as caught:
            resume_run(space, run_id, **given)  # type: ignore[arg-type]
        return caught.value.message

    assert "settings changed: gates" in refused(
        target=database, settings=load_settings(assignments=["gates.min_score=70"])
    )
    assert "it is about" in refused(target=database, source=tmp_path / "other.db")
    assert "target" in refused(target="host=/nowhere dbname=x")
    folder = begun.runner.deployment.folder
    clean = folder.clean.read_bytes()
    folder.clean.write_bytes(clean[:-1] + b"x")
    assert "clean.db is missing or was altered" in refused(target=database)
    folder.clean.write_bytes(clean)
    with sqlite3.connect(source) as connection:
        connection.execute("DELETE FROM comments WHERE id = 10")
    assert "has changed" in refused(target=database)
    assert [s.outcome for s in run_states(space)] == ["validated"]


def test_a_source_that_changes_during_the_run_is_not_loaded(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    begun = migrate(source, database, tmp_path / "w", until=Stage.SCORE)
    assert begun.outcome.exit_code is ExitCode.DONE
    with sqlite3.connect(source) as connection:
        connection.execute("DELETE FROM comments WHERE id = 10")
    with pytest.raises(EnvironmentFailed, match="has changed"):
        resume_run(Workspace(tmp_path / "w"), begun.runner.deployment.run_id, target=database)


def test_what_a_killed_canary_left_is_swept(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    begun = migrate(sqlite_file(TICKETS), database, tmp_path / "w", until=Stage.SCORE)
    (begun.runner.deployment.folder.path / "canary.db.partial").write_bytes(b"half")
    resumed = finish(resume_run(Workspace(tmp_path / "w"), begun.runner.deployment.run_id, target=database))
    assert resumed.outcome.kind is OutcomeKind.LIVE


def test_a_canary_named_like_another_version_drops_nothing(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    migrate(source, database, tmp_path / "w", settings=("serving_schema=desk",))
    migrate(source, database, tmp_path / "w", settings=("serving_schema=desk",))
    kept = next(name for name in schemas_of(database) if name.startswith("desk_v"))
    for name in ("desk", kept):
        ended = migrate(source, database, tmp_path / "w", settings=(f"canary.schema={name}",))
        assert (ended.outcome.exit_code, ended.status["canary"]) == (ExitCode.ENVIRONMENT, "failed")
        assert name in ended.document["error"]["message"]
        assert rows_of(database, "tickets", name) == 400


def test_a_live_version_that_is_gone_is_told_before_anything_is_done(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    migrate(source, database, tmp_path / "w")
    with psycopg.connect(database) as connection:
        connection.execute("ALTER SCHEMA servicedesk RENAME TO elsewhere")
    ended = migrate(source, database, tmp_path / "w")
    assert (ended.outcome.exit_code, ended.status["preflight"]) == (ExitCode.ENVIRONMENT, "failed")
    assert "no schema servicedesk" in ended.document["error"]["message"]
    assert "restore" in ended.document["error"]["next"]


def test_what_was_changed_by_hand_in_the_live_version_is_told_before_the_next_cutover(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    live = migrate(source, database, tmp_path / "w").runner.deployment.version
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE servicedesk.tickets SET hours = 0 WHERE id IN (3, 4, 5)")
        connection.execute("DROP TABLE servicedesk.comments")
        connection.execute("CREATE TABLE servicedesk.mine AS SELECT 1 AS one")
    said = (
        "comments: the table is gone (533 rows); mine: the table was made since; it is not exported (1 row); "
        "tickets: 3 rows added or changed, 3 deleted or changed"
    )
    ready = migrate(source, database, tmp_path / "w", until=Stage.VALIDATE).runner.deployment
    asked = finish(resume_run(Workspace(tmp_path / "w"), ready.run_id, target=database), agreed=False)
    told = [f for f in asked.document["findings"] if f["message"].endswith(said)]
    assert [f["rule"] for f in told] == ["CUTOVER-LATE-WRITES"]
    assert told[0]["message"].startswith(f"{live} is not as it was loaded")
    (check,) = [f for f in asked.document["findings"] if "live version: " in f["message"]]
    assert said in check["message"]
    assert (asked.outcome.exit_code, rows_of(database, "mine")) == (ExitCode.GATE, 1)
    assert migrate(source, database, tmp_path / "w").document["outcome"] == "live"
    quiet = migrate(source, database, tmp_path / "w", agreed=False, settings=("drift.compare=false",))
    assert "CUTOVER-AGREEMENT" in quiet.rules
    assert "CUTOVER-LATE-WRITES" not in quiet.rules
    assert not [f for f in quiet.document["findings"] if "live version: " in f["message"]]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: folder.rmdir(), "there is no folder"),
        (lambda folder: None, "holds no dashboard"),
        (lambda folder: (folder / "a.json").write_text("{"), "a.json"),
        (lambda folder: (folder / "a.json").mkdir(), "holds no dashboard"),
    ],
)
def test_a_folder_of_dashboards_that_cannot_be_read_is_told_by_the_pre_flight(
    sqlite_file: MakeSource, tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    folder = tmp_path / "boards"
    folder.mkdir()
    damage(folder)
    ended = migrate(sqlite_file(TICKETS), None, tmp_path / "w", until=Stage.PREFLIGHT, dashboards=folder)
    assert (ended.outcome.exit_code, ended.status["preflight"]) == (ExitCode.USAGE, "failed")
    assert said in ended.document["error"]["message"]
    assert ended.document["error"]["next"]


def test_a_live_version_that_goes_before_the_cutover_is_named(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    live = migrate(source, database, tmp_path / "w").runner.deployment.version
    ready = migrate(source, database, tmp_path / "w", until=Stage.VALIDATE)
    with psycopg.connect(database) as connection:
        connection.execute("DROP SCHEMA servicedesk CASCADE")
    ended = finish(resume_run(Workspace(tmp_path / "w"), ready.runner.deployment.run_id, target=database))
    assert ended.document["outcome"] == "failed"
    assert live in ended.document["error"]["message"]
    candidate = ready.runner.deployment.version
    assert ended.document["error"]["left_behind"] == f"the candidate {candidate} in the target, not live"
    assert candidate in schemas_of(database)
    assert "no schema servicedesk" in ended.document["error"]["message"]
    assert "restore" in ended.document["error"]["next"]


@pytest.mark.parametrize(
    "damage",
    [
        *(f"DROP TABLE sdetl.{t}" for t in ("format", "versions", "deployments", "drills")),
        "DELETE FROM sdetl.format",
    ],
)
def test_a_damaged_registry_is_named_and_nothing_is_switched(
    sqlite_file: MakeSource, database: str, tmp_path: Path, damage: str
) -> None:
    source = sqlite_file(TICKETS)
    migrate(source, database, tmp_path / "w")
    before = schemas_of(database)
    with psycopg.connect(database) as connection:
        connection.execute(damage)
    ended = migrate(source, database, tmp_path / "w")
    assert (ended.outcome.exit_code, ended.document["error"]["kind"]) == (ExitCode.ENVIRONMENT, "registry")
    assert "no whole registry" in ended.document["error"]["message"]
    assert schemas_of(database) == before


@pytest.fixture
def stranger(database: str) -> Iterator[str]:
    """The conninfo of the database for a role that has been granted nothing."""
    name = f"sdetl_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        yield make_conninfo(database, user=name)
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_role_that_may_not_see_the_registry_is_told_the_grant(
    sqlite_file: MakeSource, database: str, stranger: str, tmp_path: Path
) -> None:
    source = sqlite_file(TICKETS)
    migrate(source, database, tmp_path / "w")
    ended = migrate(source, stranger, tmp_path / "w", until=Stage.PREFLIGHT)
    assert ended.outcome.exit_code is ExitCode.ENVIRONMENT
    assert "GRANT CREATE ON DATABASE" in ended.document["error"]["next"]
    assert "GRANT USAGE ON SCHEMA sdetl" in ended.document["error"]["next"]
    with (
        psycopg.connect(stranger) as connection,
        pytest.raises(EnvironmentFailed, match="may not look into schema sdetl") as caught,
    ):
        registry.exists(connection)
    assert "GRANT USAGE ON SCHEMA sdetl" in caught.value.next_step


def test_one_run_per_target_and_schema(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    settings = load_settings()
    with psycopg.connect(database, autocommit=True) as holder:
        from sdetl_engine.postgres.locks import run_lock

        with run_lock(holder, settings.serving_schema):
            ended = migrate(sqlite_file(TICKETS), database, tmp_path / "w")
    assert ended.outcome.exit_code is ExitCode.ENVIRONMENT
    assert ended.document["error"]["kind"] == "lock"
    assert "@" in ended.document["error"]["message"]
    assert "since" in ended.document["error"]["message"]


@pytest.mark.parametrize("at_check", [3, 12, 25, 40])
def test_cancel_leaves_nothing_half_made_and_can_be_resumed(
    sqlite_file: MakeSource, database: str, tmp_path: Path, at_check: int
) -> None:
    from sdetl_engine import start_run

    settings = load_settings(assignments=("health.start_free_bytes=0", "health.min_free_bytes=0"))
    runner = start_run(Workspace(tmp_path / "w"), sqlite_file(TICKETS), database, settings)
    checks = 0
    check = runner.reporter.check

    def counting() -> None:
        nonlocal checks
        checks += 1
        if checks == at_check:
            runner.reporter.request_stop()
        check()

    runner.reporter.check = counting  # type: ignore[method-assign]
    cancelled = finish(runner)
    assert (cancelled.outcome.kind, cancelled.outcome.exit_code) == (OutcomeKind.CANCELLED, ExitCode.CANCELLED)
    assert schemas_of(database) <= {"sdetl", cancelled.runner.deployment.version}
    assert "servicedesk_canary" not in schemas_of(database)
    leftovers = [p.name for p in runner.deployment.folder.path.rglob("*") if "partial" in p.name]
    assert leftovers == []
    resumed = finish(resume_run(Workspace(tmp_path / "w"), runner.deployment.run_id, target=database))
    assert resumed.outcome.kind is OutcomeKind.LIVE
    assert rows_of(database, "tickets") == 400


def test_a_large_table_is_partitioned_when_the_plan_says_so(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    plan = ('load.partition.tickets="created by month"', 'load.indexes=["tickets(code)"]')
    ended = migrate(sqlite_file(TICKETS), database, tmp_path / "w", settings=plan)
    assert ended.outcome.exit_code is ExitCode.DONE, ended.document.get("error")
    with psycopg.connect(database) as connection:
        parts = connection.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'servicedesk.tickets'::regclass"
        ).fetchone()
        assert parts == (13,)
    assert rows_of(database, "tickets") == 400
    assert ended.document["proof"]["tickets"]["equal"]


def test_a_server_that_goes_away_in_the_load_leaves_nothing_and_is_told_plainly(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    from sdetl_engine import start_run

    settings = load_settings(assignments=("health.start_free_bytes=0", "health.min_free_bytes=0"))
    runner = start_run(Workspace(tmp_path / "w"), sqlite_file(TICKETS), database, settings)
    event = runner.reporter.event

    def cut_off(name: str, message: str, *, level: str = "info", **context: object) -> None:
        event(name, message, level=level, **context)
        if name == "TableLoaded" and runner.reporter.stage is Stage.MIGRATE:
            with psycopg.connect(database, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    runner.reporter.event = cut_off  # type: ignore[method-assign]
    ended = finish(runner)
    assert ended.outcome.exit_code is ExitCode.ENVIRONMENT, ended.document["error"]
    assert "servicedesk" not in schemas_of(database)
    assert runner.deployment.version not in schemas_of(database)
    resumed = finish(resume_run(Workspace(tmp_path / "w"), runner.deployment.run_id, target=database))
    assert resumed.outcome.kind is OutcomeKind.LIVE


def test_a_stop_in_the_middle_of_a_query_is_no_failure_of_the_server(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    from sdetl_engine import start_run

    slow = dashboard(tmp_path / "boards", "SELECT pg_sleep(30)")
    settings = load_settings(
        assignments=("health.start_free_bytes=0", "health.min_free_bytes=0"), extra={"dashboards.directory": str(slow)}
    )
    runner = start_run(Workspace(tmp_path / "w"), sqlite_file(TICKETS), database, settings)
    progress = runner.reporter.progress

    def stop_soon(what: str, done: int, total: int | None, unit: str = "rows") -> None:
        progress(what, done, total, unit)
        if "dashboards" in what:
            threading.Timer(0.5, runner.reporter.request_stop, [ExitCode.TERMINATED]).start()

    runner.reporter.progress = stop_soon  # type: ignore[method-assign]
    ended = finish(runner)
    assert (ended.outcome.kind, ended.outcome.exit_code) == (OutcomeKind.CANCELLED, ExitCode.TERMINATED)
    assert ended.status["validate"] == "cancelled"


def test_a_stage_begins_without_the_progress_of_the_one_before(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    runner = start_run(
        Workspace(tmp_path / "w"),
        sqlite_file(TICKETS),
        database,
        load_settings(assignments=("health.start_free_bytes=0",)),
    )
    seen: dict[Stage, Snapshot | None] = {}

    def looking(stage: Stage, recipe: StageFunction) -> StageFunction:
        def look(run: Deployment, reporter: RunReporter) -> StageResult:
            seen[stage] = reporter.latest
            return recipe(run, reporter)

        return look

    runner._recipes = {stage: looking(stage, recipe) for stage, recipe in runner._recipes.items()}
    finish(runner, Stage.CLEAN)
    assert seen == dict.fromkeys((Stage.PREFLIGHT, Stage.BACKUP, Stage.PROFILE, Stage.CLEAN))
    assert runner.reporter.latest is not None


def test_a_disk_that_fills_up_while_cleaning_leaves_the_backup_and_says_so(
    sqlite_file: MakeSource, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "measure", lambda folder: health.Health(free_bytes=2, memory_used=0.1))
    source = sqlite_file(TICKETS)
    space = Workspace(tmp_path / "w")
    settings = load_settings(assignments=("health.start_free_bytes=0", "health.min_free_bytes=3"))
    ended = finish(start_run(space, source, database, settings))
    error = ended.document["error"]
    assert (ended.outcome.exit_code, ended.status["clean"]) == (ExitCode.ENVIRONMENT, "failed")
    assert "health.min_free_bytes" in error["message"]
    assert error["left_behind"] == "the run's folder with its backup; nothing new in the target"
    assert list((tmp_path / "w" / "runs").glob("*/backup/*.md5"))
    assert schemas_of(database) == set()
    monkeypatch.undo()
    again = finish(resume_run(space, ended.document["run_id"], target=database))
    assert again.outcome.kind is OutcomeKind.LIVE
