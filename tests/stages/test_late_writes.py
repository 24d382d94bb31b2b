"""What was written to the live version is found before a rollback, exported exactly, and never lost."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import psycopg
import pytest

from sdetl_engine import (
    LateWrites,
    RecordingReporter,
    SilentReporter,
    TargetError,
    Workspace,
    late_sentences,
    late_writes,
    load_settings,
    open_session,
    rollback,
)
from sdetl_engine.postgres.content import schema_content
from tests.conftest import make_sqlite
from tests.migrating import TICKETS, migrate
from tests.stages.recovering import Desk
from tests.test_cli import sdetl


def look(at: Desk) -> LateWrites:
    settings = load_settings()
    with open_session(at.workspace, at.database, settings) as session:
        return late_writes(at.workspace, session, settings, SilentReporter())


def content(at: Desk, schema: str) -> object:
    with psycopg.connect(at.database) as connection:
        return schema_content(connection, schema, SilentReporter())


WRITES = """
INSERT INTO servicedesk.tickets (id, title, code, hours) VALUES
  (9001, 'late', E'=1+1', NULL), (9002, E'O''Neil \\\\ "x"\\n--; DROP TABLE tickets', '', -1.5);
UPDATE servicedesk.tickets SET title = title || '!', closed = NULL WHERE id IN (3, 4, 5);
DELETE FROM servicedesk.comments WHERE id = 61;
INSERT INTO servicedesk.notes VALUES ('note 1', '2025-01-01 00:00:00'), ('note 1', '2025-01-01 00:00:00');
DELETE FROM servicedesk.notes WHERE ctid = (SELECT min(ctid) FROM servicedesk.notes);
"""


def test_nothing_written_is_nothing_found(twice: Desk) -> None:
    found = look(twice)
    assert (found.found, found.rows, found.tables, found.checked_tables) == (False, 0, (), 3)
    assert not (twice.workspace.root / "late_writes").exists()


def test_added_changed_and_deleted_rows_are_told_apart_by_key(twice: Desk) -> None:
    twice.tell("INSERT INTO servicedesk.tickets (id, title) SELECT 9000 + g, 'late' FROM generate_series(1, 2) g")
    twice.tell("UPDATE servicedesk.tickets SET hours = 0 WHERE id IN (3, 4, 5)")
    twice.tell("UPDATE servicedesk.tickets SET hours = hours WHERE id = 6")
    twice.tell("DELETE FROM servicedesk.comments WHERE id IN (10, 20, 30, 40)")
    found = look(twice)
    assert {t.table: (t.added, t.changed, t.deleted) for t in found.tables} == {
        "tickets": (2, 3, 0),
        "comments": (0, 0, 4),
    }
    assert found.rows == 9
    assert late_sentences(found) == (
        "comments: 0 added, 0 changed, 4 deleted",
        "tickets: 2 added, 3 changed, 0 deleted",
    )


def test_the_export_writes_the_same_rows_again_on_the_version_that_went_live(twice: Desk) -> None:
    twice.tell(WRITES)
    written = content(twice, "servicedesk")
    found = look(twice)
    assert found.sql_file is not None
    assert {t.table: (t.added, t.changed, t.deleted) for t in found.tables} == {
        "tickets": (2, 3, 0),
        "comments": (0, 0, 1),
        "notes": (2, 0, 1),
    }
    settings = load_settings()
    with open_session(twice.workspace, twice.database, settings) as session:
        rollback(session, settings, SilentReporter(), late=found)
    assert content(twice, twice.second) == written
    assert content(twice, "servicedesk") != written
    with psycopg.connect(twice.database, autocommit=True) as connection:
        connection.execute(Path(found.sql_file).read_bytes())
    assert content(twice, "servicedesk") == written


def test_the_csv_is_for_people_and_no_spreadsheet_runs_it(twice: Desk) -> None:
    twice.tell(WRITES)
    found = look(twice)
    path = next(Path(p) for p in found.csv_files if "tickets" in p)
    with path.open(newline="", encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows["9001"]["code"] == "'=1+1"
    assert rows["9002"]["hours"] == "-1.5"
    assert rows["9002"]["title"].startswith("O'Neil")
    assert {row["sdetl_change"] for row in rows.values()} == {"added", "changed"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_without_the_cleaned_copy_it_tells_what_can_be_told(twice: Desk) -> None:
    twice.tell("UPDATE servicedesk.tickets SET hours = 0 WHERE id IN (3, 4, 5)")
    twice.tell("DELETE FROM servicedesk.comments WHERE id = 400")
    twice.workspace.run_folder(twice.run_id).clean.unlink()
    found = look(twice)
    assert [(t.table, t.written, t.missing, t.added) for t in found.tables] == [
        ("comments", 0, 1, None),
        ("tickets", 3, 3, None),
    ]
    assert "not here" in found.compared
    assert found.sql_file is not None
    assert Path(found.sql_file).read_text().count('ON CONFLICT ("id") DO UPDATE SET') == 3


def test_a_table_that_was_dropped_or_made_is_named(twice: Desk) -> None:
    twice.tell("DROP TABLE servicedesk.notes")
    twice.tell("CREATE TABLE servicedesk.extra AS SELECT 1 AS x")
    sentences = " ".join(late_sentences(look(twice)))
    assert "notes: the table is gone" in sentences
    assert "extra: the table was made since" in sentences


def test_what_cannot_be_known_is_said(tmp_path: Path, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE SCHEMA servicedesk CREATE TABLE tickets (id int)")
    run = migrate(make_sqlite(tmp_path / "s.db", TICKETS), database, tmp_path / "w").runner.deployment
    at = Desk(Workspace(tmp_path / "w"), database, "", run.version, run.run_id)
    settings = load_settings()
    with open_session(at.workspace, database, settings) as session:
        adopted = rollback(session, settings, SilentReporter())
    assert adopted.previous_version == run.version
    found = look(at)
    assert found.found
    assert "cannot be told" in late_sentences(found)[0]
    at.tell("DELETE FROM sdetl.versions")
    with pytest.raises(TargetError):
        look(at)


def test_what_is_written_after_the_export_is_warned_of(twice: Desk) -> None:
    twice.tell("DELETE FROM servicedesk.comments WHERE id = 10")
    found = look(twice)
    twice.tell("DELETE FROM servicedesk.comments WHERE id = 20")
    settings, reporter = load_settings(), RecordingReporter()
    with open_session(twice.workspace, twice.database, settings) as session:
        rollback(session, settings, reporter, late=found)
    assert "WrittenMeanwhile" in [event.name for event in reporter.events]


def test_a_restored_version_knows_what_was_written_to_it(twice: Desk) -> None:
    done = sdetl("restore", twice.run_id, "--target", twice.database, "--yes", workspace=twice.workspace.root)
    assert done.returncode == 0, done.stderr
    assert look(twice).rows == 0
    twice.tell("DELETE FROM servicedesk.comments WHERE id = 10")
    assert [(t.table, t.missing) for t in look(twice).tables] == [("comments", 1)]


def test_rollback_on_the_command_line_shows_exports_and_asks(twice: Desk) -> None:
    twice.tell("DELETE FROM servicedesk.comments WHERE id = 10")
    words = ("rollback", "--target", twice.database)
    asked = sdetl(*words, workspace=twice.workspace.root)
    assert asked.returncode == 3
    assert "comments: 0 added, 0 changed, 1 deleted" in asked.stderr
    assert "leave 1 late row behind" in asked.stderr
    assert twice.ask("SELECT count(*) FROM servicedesk.comments") == 532
    done = sdetl(*words, "--yes", "--json", workspace=twice.workspace.root)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["late_writes"]["rows"] == 1
    assert Path(document["late_writes"]["sql_file"]).exists()
    assert twice.ask("SELECT count(*) FROM servicedesk.comments") == 533
    line = json.loads((twice.workspace.root / "deployments.log").read_text().splitlines()[-1])
    assert (line["action"], line["late_writes"], line["live"]) == ("rollback", 1, twice.first)
    seconds = twice.ask("SELECT seconds FROM sdetl.deployments ORDER BY id DESC LIMIT 1")
    assert line["rto_seconds"] == round(document["rto_seconds"], 3) == round(float(str(seconds)), 3)
