"""The command line: one JSON document on stdout, people's words on stderr, exit codes that tell the truth."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.migrating import TICKETS, rows_of

MakeSource = Callable[[str], Path]


def sdetl(*words: str, workspace: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a script would."""
    return subprocess.run(
        [sys.executable, "-m", "sdetl_tui", *words],
        capture_output=True,
        text=True,
        env=_environment(workspace) | environ,
        timeout=180,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@contextlib.contextmanager
def started(*words: str, workspace: Path) -> Iterator[subprocess.Popen[str]]:
    """The command at work, to be sent signals; it is ended when the block is left."""
    child = subprocess.Popen(
        [sys.executable, "-m", "sdetl_tui", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(workspace),
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        if child.stderr is not None:
            child.stderr.close()


def _environment(workspace: Path) -> dict[str, str]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "SDETL_"))}
    settings = {"SDETL_HEALTH__START_FREE_BYTES": "0", "SDETL_HEALTH__MIN_FREE_BYTES": "0"}
    return {**keep, **settings, "SDETL_WORKSPACE": str(workspace)}


def test_run_versions_and_rollback(sqlite_file: MakeSource, database: str, tmp_path: Path) -> None:
    source, space = sqlite_file(TICKETS), tmp_path / "w"
    done = sdetl("run", str(source), "--target", database, "--yes", "--json", workspace=space)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["outcome"] == "live"
    assert document["source"]["tables"] == {"comments": 533, "tickets": 400}
    assert Path(document["report"]).read_text().startswith("<!doctype html>")
    assert "✓ cutover" in done.stderr or "* cutover" in done.stderr
    again = sdetl("run", str(source), "--target", database, "--yes", workspace=space)
    assert again.returncode == 0
    assert again.stdout == ""
    asked = sdetl("rollback", "--target", database, workspace=space)
    assert asked.returncode == 3
    assert "--yes" in asked.stderr
    back = sdetl("rollback", "--target", database, "--yes", "--json", workspace=space)
    assert json.loads(back.stdout)["live_version"] == document["target"]["version_schema"]
    listed = json.loads(sdetl("versions", "--target", database, "--json", workspace=space).stdout)
    assert sorted(v["status"] for v in listed["versions"]) == ["live", "retired"]
    assert rows_of(database, "tickets") == 400


def test_what_was_only_validated_is_made_live_by_the_command_that_is_printed(
    sqlite_file: MakeSource, database: str, tmp_path: Path
) -> None:
    words = ("run", str(sqlite_file(TICKETS)), "--target", database, "--until")
    scored = sdetl(*words, "score", workspace=tmp_path / "w")
    assert "to make it live" not in scored.stderr
    validated = sdetl(*words, "validate", "--yes", workspace=tmp_path / "w")
    assert validated.returncode == 0, validated.stderr
    (told,) = [line for line in validated.stderr.splitlines() if "to make it live: " in line]
    candidate, _, command = told.partition(" is a validated candidate; to make it live: ")
    assert rows_of(database, "tickets", candidate) == 400
    assert shlex.split(command)[0] == "sdetl"
    switched = sdetl(*shlex.split(command)[1:], workspace=tmp_path / "elsewhere")
    assert switched.returncode == 0, switched.stderr
    assert f"{candidate} is live" in switched.stderr
    assert "to make it live" not in switched.stderr
    assert rows_of(database, "tickets") == 400


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run",), 2, "SOURCE"),
        (("run", "x.db"), 2, "--target"),
        (("run", "x.db", "--target", "embedded", "--set", "gates.min_scor=1"), 2, "gates.min_score"),
        (("run", "x.db", "--frobnicate"), 2, "frobnicate"),
        (("run", "x.db", "--target", "embedded", "--until", "lunch"), 2, "lunch"),
        (("profile", "missing.db"), 5, "missing.db"),
        (("report", "20200101T000000Z"), 2, "no run"),
        (("rules", "NO-SUCH-RULE"), 2, "sdetl rules"),
    ],
)
def test_wrong_use_is_told_in_two_lines(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = sdetl(*words, workspace=tmp_path / "w")
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    in_json = sdetl(*words, "--json", workspace=tmp_path / "w")
    assert json.loads(in_json.stdout)["exit_code"] == code


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"id,title\n1,printer\n" * 50, "SQLite"),
        (b"\x1f\x8b\x08" + b"\0" * 600, "SQLite"),
        (random.Random(1).randbytes(8192), ""),
    ],
    ids=["empty", "csv", "gzip", "noise"],
)
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    source = tmp_path / "export.db"
    source.write_bytes(content)
    done = sdetl("preflight", str(source), workspace=tmp_path / "w")
    assert done.returncode == 5
    assert str(source) in done.stderr
    assert kind in done.stderr
    assert source.read_bytes() == content


def test_a_password_stays_secret(sqlite_file: MakeSource, tmp_path: Path) -> None:
    space = tmp_path / "w"
    target = "postgresql://etl:CANARYpw7f3a@127.0.0.1:1/servicedesk"
    done = sdetl("run", str(sqlite_file(TICKETS)), "--target", target, "--json", workspace=space)
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["kind"]
    everything = done.stdout + done.stderr + "".join(p.read_text() for p in space.rglob("*.json*"))
    everything += "".join(p.read_text() for p in space.rglob("*.toml")) + "".join(
        p.read_text() for p in space.rglob("*.html")
    )
    assert "CANARYpw7f3a" not in everything


def test_clean_and_backup_hand_their_files_over(sqlite_file: MakeSource, tmp_path: Path) -> None:
    source = sqlite_file(TICKETS)
    clean = tmp_path / "cleaned.db"
    done = sdetl("clean", str(source), "--output", str(clean), "--yes", workspace=tmp_path / "w")
    assert done.returncode == 0, done.stderr
    assert clean.exists()
    assert clean.with_name("cleaned.db.ledger").exists()
    again = sdetl("clean", str(source), "--output", str(clean), "--yes", workspace=tmp_path / "w")
    assert again.returncode == 2
    assert "exists" in again.stderr
    folder = tmp_path / "backups"
    assert sdetl("backup", str(source), "--output", str(folder), workspace=tmp_path / "w").returncode == 0
    listed = subprocess.run(["md5sum", "-c", *[p.name for p in folder.glob("*.md5")]], cwd=folder, check=False)
    assert listed.returncode == 0
    twice = sdetl(
        "clean", str(clean), "--output", str(tmp_path / "again.db"), "--yes", "--json", workspace=tmp_path / "w"
    )
    assert json.loads(twice.stdout)["ledger"]["cells_changed"] == 0


def test_help_and_version(tmp_path: Path) -> None:
    assert "rollback" in sdetl("--help", workspace=tmp_path).stdout
    assert sdetl("--version", workspace=tmp_path).stdout.startswith("sdetl ")
    for command in (
        "run",
        "demo",
        "preflight",
        "backup",
        "profile",
        "clean",
        "score",
        "status",
        "versions",
        "rollback",
    ):
        assert "Usage" in sdetl(command, "--help", workspace=tmp_path).stdout


@pytest.mark.parametrize(
    "words", [("versions", "--target", "host=127.0.0.1 port=1"), ("run", "s.db", "--yes"), ("--plain",)]
)
@pytest.mark.parametrize("module", ["typer", "rich.console", "sdetl_engine.settings", "platformdirs"])
def test_an_interruption_while_modules_are_imported_is_one_line(
    tmp_path: Path, module: str, words: tuple[str, ...]
) -> None:
    """However early Ctrl-C comes: no traceback, and not without a word."""
    program = f"""
import os, runpy, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = {list(words)!r}
runpy.run_module("sdetl_tui", run_name="__main__", alter_sys=True)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=_environment(tmp_path / "w"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert (ended.returncode, ended.stdout, ended.stderr.split("\n")) == (
        130,
        "",
        ["", "cancelled by the operator", ""],
    )
