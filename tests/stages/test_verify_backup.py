"""A backup is proved by reading it back and by restoring it, and whatever is wrong with it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sdetl_engine import (
    BackupError,
    SilentReporter,
    UsageError,
    VerifiedBackup,
    find_backup,
    load_settings,
    open_session,
    verify_backup,
)
from tests.stages.recovering import Desk
from tests.test_cli import sdetl


def verify(at: Desk, named: str | None = None) -> VerifiedBackup:
    settings = load_settings()
    with open_session(at.workspace, at.database, settings) as session:
        found = find_backup(at.workspace, named or at.run_id)
        return verify_backup(at.workspace, session, settings, SilentReporter(), found)


def test_a_sound_backup_is_proved_and_says_what_was_compared(two_versions: Desk) -> None:
    done = verify(two_versions)
    assert done.passed
    assert [(check.name, str(check.verdict)) for check in done.checks] == [
        ("copy of the source read back", "passed"),
        ("integrity_check", "passed"),
        ("tables of the copy", "passed"),
        ("dump read back", "passed"),
        ("dump restored into a scratch database", "passed"),
    ]
    assert "800 rows in 2 tables" in done.checks[2].measured
    assert "933 rows in 2 tables" in done.checks[4].measured
    assert two_versions.ask("SELECT count(*) FROM pg_database WHERE datname LIKE 'sdetl_scratch%'") == 0


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lie_about(path: Path, *keys: str, value: object) -> None:
    manifest = json.loads(path.with_name("manifest.json").read_text())
    place = manifest
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.with_name("manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda d: flip_a_byte(d), "dump read back"),
        (lambda d: d.write_bytes(d.read_bytes()[:-10]), "dump read back"),
        (lambda d: d.unlink(), "dump read back"),
        (lambda d: flip_a_byte(next(d.parent.glob("*.db"))), "copy of the source read back"),
        (lambda d: lie_about(d, "tables", "tickets", "rows", value=399), "tables of the copy"),
        (
            lambda d: lie_about(d, "dump", "content", "tickets", "rows", value=399),
            "dump restored into a scratch database",
        ),
    ],
    ids=["flipped", "cut", "gone", "copy flipped", "rows of the copy", "rows of the dump"],
)
def test_damage_is_found(two_versions: Desk, damage: Callable[[Path], None], found: str) -> None:
    damage(two_versions.dump)
    done = verify(two_versions)
    assert not done.passed
    assert [check.name for check in done.checks if check.verdict == "failed"] == [found]


def test_what_an_old_manifest_does_not_say_is_unknown_and_not_passed(two_versions: Desk) -> None:
    lie_about(two_versions.dump, "dump", "content", value={})
    done = verify(two_versions, str(two_versions.dump))
    assert [str(check.verdict) for check in done.checks] == ["passed", "unknown"]


def test_a_folder_without_a_manifest_is_no_backup(two_versions: Desk, tmp_path: Path) -> None:
    two_versions.dump.with_name("manifest.json").unlink()
    with pytest.raises(BackupError, match="no complete backup"):
        verify(two_versions)
    with pytest.raises(UsageError, match="there is no backup"):
        verify(two_versions, str(tmp_path / "nothing.dump"))


def test_verify_on_the_command_line(two_versions: Desk, tmp_path: Path) -> None:
    words = ("backup", "verify", two_versions.run_id, "--target", two_versions.database, "--json")
    done = sdetl(*words, workspace=two_versions.workspace.root)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"]
    flip_a_byte(two_versions.dump)
    damaged = sdetl(*words, workspace=two_versions.workspace.root)
    assert damaged.returncode == 4
    assert not json.loads(damaged.stdout)["passed"]
    handed = tmp_path / "handed"
    made = sdetl("backup", str(tmp_path / "first.db"), "--output", str(handed), workspace=tmp_path / "w")
    assert made.returncode == 0, made.stderr
    assert sdetl("backup", "verify", str(handed), workspace=tmp_path / "w").returncode == 0
