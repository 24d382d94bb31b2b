"""Prune removes what nobody needs any more, and nothing else."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sdetl_engine import (
    EnvironmentFailed,
    Prunable,
    Workspace,
    carry_out_prune,
    load_settings,
    open_session,
    plan_prune,
)
from sdetl_engine.journal import Journal
from sdetl_engine.postgres import build, registry
from sdetl_engine.postgres.locks import run_lock
from sdetl_engine.postgres.registry import VersionStatus
from tests.migrating import schemas_of
from tests.postgres.versions import desk
from tests.test_cli import sdetl

STATUS = {
    "r": VersionStatus.RETIRED,
    "c": VersionStatus.CANDIDATE,
    "l": VersionStatus.LOADING,
    "f": VersionStatus.FAILED,
}


def have_versions(database: str, *versions: str, live: str | None, previous: str | None = None) -> None:
    """Versions from old to new: ``r1`` retired, ``c2`` candidate, ``l3`` loading, ``f4`` failed.  ``live`` is one more."""
    with psycopg.connect(database) as connection:
        registry.ensure(connection)
        for name in versions:
            build.create_version_schema(connection, name, run_id="a run")
            connection.execute(f"CREATE TABLE {name}.t (id int)")
            status = STATUS[name[0]]
            registry.add_version(connection, name, serving_schema="servicedesk", status=status, created_by="a test")
        if live is not None:
            build.create_version_schema(connection, "servicedesk", run_id="a run")
            registry.add_version(
                connection, live, serving_schema="servicedesk", status=VersionStatus.CANDIDATE, created_by="a test"
            )
            connection.execute(
                "UPDATE sdetl.versions SET status = 'live', previous = %s WHERE version = %s", [previous, live]
            )


def have_run(workspace: Workspace, days_ago: float, *, outcome: str | None = "live", backup: bool = True) -> str:
    """A run that many days ago, ended like that (None: cut off), with a complete backup.  Returns its id."""
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    run_id = moment.strftime("%Y%m%dT%H%M%SZ")
    folder = workspace.prepare().runs / run_id / "backup"
    folder.mkdir(parents=True)
    journal = Journal(folder.parent / "journal.jsonl")
    journal.write("run_started", target="a target", source="x.db")
    if outcome is not None:
        journal.write("run_ended", outcome=outcome)
    content = run_id.encode()
    hashes = {"md5": hashlib.md5(content).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()}
    for name in ("s.db", "s.db.md5", "d.dump"):
        (folder / name).write_bytes(content)
    manifest: dict[str, Any] = {
        "run": run_id,
        "created": moment.isoformat(),
        "copy": {"file": "s.db", "bytes": len(content), **hashes},
        "tables": {},
        "dump": {"file": "d.dump", "bytes": len(content), **hashes, "schema": "servicedesk", "objects": 1, "tables": 1},
    }
    if backup:
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return run_id


def prune(workspace: Workspace, database: str | None, *assignments: str, keep: int | None = None) -> Prunable:
    settings = load_settings(assignments=assignments)
    if database is None:
        return carry_out_prune(workspace, None, settings, plan_prune(workspace, None, settings, keep), keep)
    with open_session(workspace, database, settings) as session:
        return carry_out_prune(workspace, session, settings, plan_prune(workspace, session, settings, keep), keep)


def files_of(workspace: Workspace, run_id: str) -> set[str]:
    return {p.name for p in (workspace.runs / run_id / "backup").iterdir()}


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "w")


def test_the_oldest_retired_versions_go_and_the_way_back_stays(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", "r3", "r4", live="v5", previous="r1")
    done = prune(space, database)
    assert set(done.versions) == {"r2", "r3"}
    assert schemas_of(database) == {"sdetl", "servicedesk", "r1", "r4"}
    with psycopg.connect(database) as connection:
        left = {v.version for v in registry.all_versions(connection)}
    assert left == {"r1", "r4", "v5"}
    assert prune(space, database).going == ()


@pytest.mark.parametrize(("keep", "going"), [(1, {"r2", "r3", "r4"}), (3, {"r2"}), (9, set())])
def test_as_many_stay_as_were_asked_for(database: str, space: Workspace, keep: int, going: set[str]) -> None:
    have_versions(database, "r1", "r2", "r3", "r4", live="v5", previous="r1")
    assert set(prune(space, database, keep=keep).versions) == going


def test_what_is_live_has_the_size_of_the_schema_that_readers_see(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", live="v9", previous="r2")
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE servicedesk.t AS SELECT 1 AS id")
    settings = load_settings()
    with open_session(space, database, settings) as session:
        staying = {item.name: item.bytes for item in plan_prune(space, session, settings).staying}
    assert staying["v9"] == 8192


def test_young_versions_stay_when_days_are_set(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", "r3", live="v5", previous="r3")
    assert prune(space, database, "prune.version_days=30").versions == ()


def test_nothing_retired_goes_while_nothing_is_live(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", "r3", "r4", live=None)
    assert prune(space, database, keep=1).versions == ()


def test_what_was_cut_off_goes_and_a_candidate_of_elsewhere_stays(database: str, space: Workspace) -> None:
    have_versions(database, "l1", "f2", "c3", live="v5")
    planned = prune(space, database)
    assert set(planned.versions) == {"l1", "f2"}
    assert schemas_of(database) == {"sdetl", "servicedesk", "c3"}


def test_what_somebody_else_made_or_uses_stays_and_says_why(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", "r3", live="v5", previous="r3")
    with psycopg.connect(database) as connection:
        connection.execute("COMMENT ON SCHEMA r1 IS 'mine'")
        connection.execute("CREATE SCHEMA mine; CREATE VIEW mine.v AS SELECT * FROM r2.t")
    settings = load_settings()
    with open_session(space, database, settings) as session:
        planned = plan_prune(space, session, settings, 1)
    assert planned.versions == ()
    why = {item.name: item.why for item in planned.staying}
    assert why["r1"] == "sdetl did not make it"
    assert "mine.v depends on it" in why["r2"]
    assert (why["r3"], why["v5"]) == ("a rollback brings it back", "it is live")


def test_a_version_that_went_live_after_the_plan_stays(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", "r3", live="v5", previous="r3")
    settings = load_settings()
    with open_session(space, database, settings) as session:
        planned = plan_prune(space, session, settings, 1)
        assert set(planned.versions) == {"r1", "r2"}
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE sdetl.versions SET previous = 'r1' WHERE version = 'v5'")
        done = carry_out_prune(space, session, settings, planned, 1)
    assert done.versions == ("r2",)
    assert [(item.name, item.why) for item in done.staying] == [("r1", "a rollback brings it back")]


def test_nothing_goes_while_a_run_works_on_the_target(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", "r3", live="v5", previous="r3")
    with (
        psycopg.connect(database, autocommit=True) as other,
        run_lock(other, "servicedesk"),
        pytest.raises(EnvironmentFailed, match="another run"),
    ):
        prune(space, database, keep=1)
    assert {"r1", "r2"} <= schemas_of(database)


def test_a_version_that_is_read_is_not_waited_for(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r3", live="v5", previous="r3")
    with psycopg.connect(database) as reader:
        reader.execute("SELECT * FROM r1.t")
        with pytest.raises(EnvironmentFailed, match="still reads it"):
            prune(space, database, keep=1)
    assert "r1" in schemas_of(database)


def test_old_backups_go_by_age_and_count(space: Workspace) -> None:
    old, older, young, newest = (have_run(space, days) for days in (100, 200, 20, 1))
    assert set(prune(space, None).backups) == {old, older}
    assert files_of(space, old) == set()
    assert files_of(space, young) == files_of(space, newest) == {"manifest.json", "s.db", "s.db.md5", "d.dump"}


def test_the_newest_good_backup_stays_however_old_it_is(space: Workspace) -> None:
    good, damaged = have_run(space, 300), have_run(space, 200)
    oldest = have_run(space, 400)
    (space.runs / damaged / "backup" / "d.dump").write_bytes(b"cut")
    done = prune(space, None, "prune.keep_backups=1")
    assert set(done.backups) == {oldest}
    assert "manifest.json" in files_of(space, good)


def test_what_a_run_that_can_be_resumed_needs_stays_until_a_later_one_went_live(space: Workspace) -> None:
    overtaken = have_run(space, 200, outcome="halted")
    have_run(space, 150)
    cut_off, halted = have_run(space, 100, outcome=None), have_run(space, 90, outcome="halted")
    for days in (80, 70):
        have_run(space, days, outcome="failed")
    going = prune(space, None, "prune.keep_backups=1").backups
    assert overtaken in going
    assert not {cut_off, halted} & set(going)


def test_backups_of_the_live_version_and_of_the_way_back_stay(database: str, space: Workspace) -> None:
    of_previous, of_live, other = have_run(space, 300), have_run(space, 200), have_run(space, 250)
    for days in (40, 41):
        have_run(space, days)
    have_versions(database, "r1", live="v5", previous="r1")
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE sdetl.versions SET run_id = %s WHERE version = 'r1'", [of_previous])
        connection.execute("UPDATE sdetl.versions SET run_id = %s WHERE version = 'v5'", [of_live])
    assert set(prune(space, database).backups) == {other}


def test_no_age_means_anything_while_the_clock_is_behind(space: Workspace) -> None:
    have_run(space, 100)
    have_run(space, 90)
    have_run(space, -2)
    assert prune(space, None, "prune.keep_backups=1").backups == ()


def test_only_files_of_the_backup_are_removed_and_no_link_is_followed(space: Workspace, tmp_path: Path) -> None:
    old = have_run(space, 100)
    for days in (2, 1):
        have_run(space, days)
    precious = tmp_path / "precious"
    precious.write_text("stays")
    folder = space.runs / old / "backup"
    (folder / "notes.txt").write_text("stays")
    (folder / "s.db.md5").unlink()
    (folder / "s.db.md5").symlink_to(precious)
    assert prune(space, None).backups == (old,)
    assert files_of(space, old) == {"notes.txt", "s.db.md5"}
    assert precious.read_text() == "stays"


def test_prune_on_the_command_line_is_a_dry_run_until_it_is_agreed_to(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", "r3", live="v5", previous="r3")
    words = ("prune", "--target", database, "--keep", "1")
    dry = sdetl(*words, workspace=space.root)
    assert dry.returncode == 0
    assert "nothing was removed" in dry.stdout
    assert "a rollback brings it back" in dry.stdout
    assert {"r1", "r2"} <= schemas_of(database)
    done = sdetl(*words, "--yes", "--json", workspace=space.root)
    document = json.loads(done.stdout)
    assert (document["done"], document["versions"]) == (True, ["r2", "r1"])
    assert schemas_of(database) == {"sdetl", "servicedesk", "r3"}


def have_cleaned(workspace: Workspace, run_id: str) -> Path:
    path = workspace.runs / run_id / "clean.db"
    path.write_bytes(b"cleaned")
    return path


def loaded_from(database: str, version: str, run_id: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE sdetl.versions SET run_id = %s WHERE version = %s", [run_id, version])


def why(planned: Prunable) -> dict[tuple[str, str], str]:
    return {(item.kind, item.name): item.why for item in planned.staying}


def test_cleaned_copies_go_with_the_versions_that_were_loaded_from_them(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", "r3", live="v5", previous="r3")
    runs = {name: have_run(space, days) for name, days in (("r1", 400), ("r3", 200), ("v5", 100), ("new", 50))}
    copies = {name: have_cleaned(space, run_id) for name, run_id in runs.items()}
    ledger = space.runs / runs["r1"] / "ledger.db"
    ledger.write_bytes(b"ledger")
    with open_session(space, database, load_settings()) as session:
        for run_id in runs.values():
            journal = space.runs / run_id / "journal.jsonl"
            journal.unlink()
            noted = Journal(journal)
            noted.write("run_started", target=session.spoken, source="x.db")
            noted.write("run_ended", outcome="live")
    for name in ("r1", "r3", "v5"):
        loaded_from(database, name, runs[name])
    settings = load_settings()
    with open_session(space, database, settings) as session:
        planned = plan_prune(space, session, settings, 1)
        kept = why(planned)
        assert "version v5 was loaded from it" in kept["cleaned copy", runs["v5"]]
        assert "version r3 was loaded from it" in kept["cleaned copy", runs["r3"]]
        assert "the next drill uses it" in kept["cleaned copy", runs["new"]]
        carry_out_prune(space, session, settings, planned, 1)
    assert {name for name, path in copies.items() if path.exists()} == {"r3", "v5", "new"}
    assert ledger.exists()


def test_a_cleaned_copy_that_a_run_or_another_target_needs_stays(database: str, space: Workspace) -> None:
    open_run, elsewhere, newest = have_run(space, 90, outcome="halted"), have_run(space, 95), have_run(space, 40)
    for run_id in (open_run, elsewhere, newest):
        have_cleaned(space, run_id)
    (space.runs / newest / "journal.jsonl").unlink()
    settings = load_settings()
    with open_session(space, database, settings) as session:
        kept = why(plan_prune(space, session, settings))
    assert "can be resumed" in kept["cleaned copy", open_run]
    assert "about another target: a target" in kept["cleaned copy", elsewhere]
    kept = why(plan_prune(space, None, settings))
    assert "with --target only" in kept["cleaned copy", elsewhere]


def test_a_link_in_place_of_a_cleaned_copy_is_left_alone(space: Workspace, tmp_path: Path) -> None:
    old, newest = have_run(space, 90), have_run(space, 40)
    have_cleaned(space, newest)
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    (space.runs / old / "clean.db").symlink_to(treasure)
    assert not [item for item in prune(space, None).going if item.kind == "cleaned copy"]
    assert treasure.exists()


def test_exports_of_late_writes_go_after_a_year_and_foreign_files_stay(space: Workspace) -> None:
    now = datetime.now(UTC)
    old, other, young = (
        space.late_writes / f"{now - timedelta(days=days):%Y%m%d_%H%M%S_%f}" for days in (500, 400, 100)
    )
    for folder in (old, other, young, space.late_writes / "mine"):
        folder.mkdir(parents=True)
        (folder / "writes.sql").write_text("INSERT")
        (folder / "01_tickets.csv").write_text("id")
    (other / "notes.txt").write_text("mine")
    done = prune(space, None)
    assert {item.name for item in done.going} == {old.name, other.name}
    assert not old.exists()
    assert [p.name for p in other.iterdir()] == ["notes.txt"]
    assert (young / "writes.sql").exists()
    assert (space.late_writes / "mine" / "writes.sql").exists()
    assert prune(space, None).going == ()


def test_a_version_that_a_role_is_led_to_stays(database: str, space: Workspace) -> None:
    have_versions(database, "r1", "r2", "r3", live="v5", previous="r3")
    with desk(database) as it:
        role = it.role("led")
        it.run(f"ALTER ROLE {role} SET search_path = r1, public")
        settings = load_settings()
        with open_session(space, database, settings) as session:
            planned = plan_prune(space, session, settings, 1)
    assert planned.versions == ("r2",)
    assert why(planned)["version", "r1"] == f"the search_path of role {role} leads to it"
