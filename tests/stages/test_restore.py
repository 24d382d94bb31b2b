"""Restoring: a backup comes back beside what is live, is proved, and goes live on agreement."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from sdetl_engine import (
    BackupError,
    Cancelled,
    RecordingReporter,
    RestoreResult,
    SilentReporter,
    UsageError,
    ValidationFailed,
    drop_restored,
    list_versions,
    load_settings,
    make_restored_live,
    open_session,
    restore_beside,
    rollback,
)
from tests.migrating import rows_of, schemas_of
from tests.stages.recovering import Desk
from tests.test_cli import sdetl, started


def restore(at: Desk, name: str | None = None, reporter: SilentReporter | None = None) -> RestoreResult:
    settings = load_settings()
    with open_session(at.workspace, at.database, settings) as session:
        restored = restore_beside(at.workspace, session, settings, reporter or SilentReporter(), at.backup, name=name)
        return make_restored_live(session, settings, SilentReporter(), restored)


def test_a_dump_comes_back_as_a_version_of_its_own_and_what_was_live_stays(two_versions: Desk) -> None:
    done = restore(two_versions, name="servicedesk_before")
    assert (done.live_version, done.previous_version) == ("servicedesk_before", two_versions.second)
    assert [str(check.verdict) for check in done.checks] == ["passed"] * 4
    assert dict(done.rows) == {"tickets": 400, "comments": 533}
    assert rows_of(two_versions.database, "comments") == 533
    assert rows_of(two_versions.database, "comments", two_versions.second) == 400
    assert two_versions.ask("SELECT count(*) FROM pg_indexes WHERE schemaname = 'servicedesk'") == two_versions.ask(
        f"SELECT count(*) FROM pg_indexes WHERE schemaname = '{two_versions.first}'"
    )
    assert two_versions.ask("SELECT count(*) FROM pg_database WHERE datname LIKE 'sdetl_scratch%'") == 0
    with open_session(two_versions.workspace, two_versions.database, load_settings()) as session:
        entry = next(v for v in list_versions(session) if v.version == "servicedesk_before")
        first = next(v for v in list_versions(session) if v.version == two_versions.first)
        assert (entry.source_md5, entry.rows, entry.score) == (first.source_md5, 933, first.score)
        assert entry.note is not None
        assert two_versions.first in entry.note
        assert rollback(session, load_settings(), SilentReporter()).live_version == two_versions.second
    assert rows_of(two_versions.database, "comments") == 400
    assert two_versions.ask("SELECT count(seconds) FROM sdetl.deployments WHERE action <> 'cutover'") == 2


def test_nothing_is_switched_before_somebody_agrees(two_versions: Desk) -> None:
    settings = load_settings()
    before = schemas_of(two_versions.database)
    with open_session(two_versions.workspace, two_versions.database, settings) as session:
        restored = restore_beside(two_versions.workspace, session, settings, SilentReporter(), two_versions.backup)
        assert rows_of(two_versions.database, "comments") == 400
        assert rows_of(two_versions.database, "comments", restored.version) == 533
        drop_restored(session, restored)
        assert {v.version for v in list_versions(session)} == {two_versions.first, two_versions.second}
    assert schemas_of(two_versions.database) == before


def test_a_serving_schema_that_somebody_dropped_comes_back(two_versions: Desk) -> None:
    two_versions.tell("DROP SCHEMA servicedesk CASCADE")
    done = restore(two_versions)
    assert rows_of(two_versions.database, "comments") == 533
    assert done.previous_version is None
    assert two_versions.ask(f"SELECT status FROM sdetl.versions WHERE version = '{two_versions.second}'") == "failed"


def test_the_rights_of_readers_survive(two_versions: Desk) -> None:
    role = f"reader_{abs(hash(two_versions.database)) % 10**8}"
    two_versions.tell(
        f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA servicedesk TO {role}; "
        f"GRANT SELECT ON ALL TABLES IN SCHEMA servicedesk TO {role}"
    )
    try:
        restore(two_versions)
        with psycopg.connect(two_versions.database) as connection:
            connection.execute(f"SET ROLE {role}")
            assert connection.execute("SELECT count(*) FROM servicedesk.comments").fetchone() == (533,)
    finally:
        two_versions.tell(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_damaged_dump_is_refused_before_anything_is_done(two_versions: Desk) -> None:
    content = bytearray(two_versions.dump.read_bytes())
    content[len(content) // 2] ^= 1
    two_versions.dump.write_bytes(content)
    before = schemas_of(two_versions.database)
    with pytest.raises(BackupError, match="MD5"):
        restore(two_versions)
    assert schemas_of(two_versions.database) == before
    assert two_versions.ask("SELECT count(*) FROM sdetl.versions") == 2


def test_a_dump_that_holds_something_else_than_its_manifest_says_leaves_nothing(two_versions: Desk) -> None:
    manifest = two_versions.dump.with_name("manifest.json")
    said = json.loads(manifest.read_text())
    said["dump"]["content"]["comments"]["digest"] = "0" * 32
    manifest.write_text(json.dumps(said))
    before = schemas_of(two_versions.database)
    with pytest.raises(ValidationFailed, match="table comments holds 533 rows with other content"):
        restore(two_versions)
    assert schemas_of(two_versions.database) == before
    assert two_versions.ask("SELECT count(*) FROM sdetl.versions") == 2
    assert two_versions.ask("SELECT count(*) FROM pg_database WHERE datname LIKE 'sdetl_scratch%'") == 0


@pytest.mark.parametrize("at_check", [1, 4, 9, 14])
def test_a_cancelled_restore_leaves_nothing(two_versions: Desk, at_check: int) -> None:
    before = schemas_of(two_versions.database)
    with pytest.raises(Cancelled):
        restore(two_versions, reporter=RecordingReporter(cancel_at_check=at_check))
    assert schemas_of(two_versions.database) == before
    assert two_versions.ask("SELECT count(*) FROM sdetl.versions") == 2
    assert two_versions.ask("SELECT count(*) FROM pg_database WHERE datname LIKE 'sdetl_scratch%'") == 0


@pytest.mark.parametrize("name", ["servicedesk", "pg_mine", "x" * 60])
def test_a_name_that_cannot_be_is_refused(two_versions: Desk, name: str) -> None:
    with pytest.raises(UsageError):
        restore(two_versions, name=name)


def test_a_name_that_is_taken_is_never_overwritten(two_versions: Desk) -> None:
    with pytest.raises(UsageError, match="already"):
        restore(two_versions, name=two_versions.first)


def test_a_role_that_may_not_create_databases_restores_through_the_embedded_server(
    two_versions: Desk, tmp_path: Path
) -> None:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    role = f"etl_{abs(hash(two_versions.database)) % 10**8}"
    name = conninfo_to_dict(two_versions.database)["dbname"]
    two_versions.tell(
        f'CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE "{name}" TO {role}; ALTER SCHEMA sdetl OWNER TO {role}; '
        f"GRANT ALL ON ALL TABLES IN SCHEMA sdetl TO {role}; ALTER TABLE sdetl.deployments OWNER TO {role}"
    )
    try:
        settings = load_settings()
        reached = make_conninfo(two_versions.database, user=role)
        with open_session(two_versions.workspace, reached, settings) as session:
            restored = restore_beside(two_versions.workspace, session, settings, SilentReporter(), two_versions.backup)
        assert rows_of(two_versions.database, "comments", restored.version) == 533
        # Of the oldest version that serves: what is dumped there goes back to the target's server.
        assert list(two_versions.workspace.root.glob("postgres*"))
    finally:
        two_versions.tell(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_restore_on_the_command_line(two_versions: Desk) -> None:
    space = two_versions.workspace.root
    asked = sdetl("restore", two_versions.run_id, "--target", two_versions.database, workspace=space)
    assert (asked.returncode, asked.stdout) == (3, "")
    assert rows_of(two_versions.database, "comments") == 400
    done = sdetl(
        "restore", str(two_versions.dump), "--target", two_versions.database, "--yes", "--json", workspace=space
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["previous_version"] == two_versions.second
    listed = sdetl("versions", "--target", two_versions.database, workspace=space).stdout.splitlines()
    assert [line.split()[0] for line in listed if "a rollback goes back to this one" in line] == [two_versions.second]
    assert document["rollback_command"].startswith("sdetl rollback --target")
    assert rows_of(two_versions.database, "comments") == 533


def test_the_copy_of_a_source_comes_back_through_the_checklist(two_versions: Desk) -> None:
    copy = next(two_versions.dump.parent.glob("*.db"))
    words = ("restore", str(copy), "--target", two_versions.database, "--yes", "--json")
    two_versions.tell("DELETE FROM servicedesk.comments")
    done = sdetl(*words, workspace=two_versions.workspace.root)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "live"
    assert rows_of(two_versions.database, "comments") == 400
    copy.write_bytes(copy.read_bytes() + b"\0")
    damaged = sdetl(*words, workspace=two_versions.workspace.root)
    assert damaged.returncode == 5
    assert "the manifest says" in damaged.stderr


def test_what_a_killed_restore_left_is_taken_away(two_versions: Desk) -> None:
    before = schemas_of(two_versions.database)
    space = two_versions.workspace.root
    words = ("restore", two_versions.run_id, "--target", two_versions.database, "--yes")
    with started(*words, workspace=space) as child:
        assert child.stderr is not None
        next(line for line in child.stderr if "into the target as" in line)
        child.kill()
        child.wait()
    assert rows_of(two_versions.database, "comments") == 400
    assert two_versions.ask("SELECT count(*) FROM sdetl.versions WHERE status = 'loading'") == 1
    pruned = sdetl("prune", "--target", two_versions.database, "--yes", "--json", workspace=space)
    assert len(json.loads(pruned.stdout)["versions"]) == 1, pruned.stderr
    assert schemas_of(two_versions.database) == before
    again = sdetl(*words, workspace=space)
    assert again.returncode == 0, again.stderr
    assert two_versions.ask("SELECT count(*) FROM pg_database WHERE datname LIKE 'sdetl_scratch%'") == 0
    assert not [p for p in space.iterdir() if p.name.startswith("restore-")]
