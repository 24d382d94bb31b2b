"""The journal survives death, shows a torn tail for what it is, and refuses what was altered."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdetl_engine.journal import Journal, JournalDamaged


def written(path: Path) -> Journal:
    journal = Journal(path)
    journal.write("run_started", source="a.db")
    journal.write("stage_finished", stage="preflight", status="passed")
    journal.write("stage_finished", stage="backup", status="passed")
    return journal


def test_what_was_written_is_read_back_in_order(tmp_path: Path) -> None:
    written(tmp_path / "journal.jsonl")
    again = Journal(tmp_path / "journal.jsonl")
    assert [r["event"] for r in again.records] == ["run_started", "stage_finished", "stage_finished"]
    assert again.last("stage_finished", stage="preflight") is not None
    assert again.last("stage_finished", stage="clean") is None


def test_writing_goes_on_after_reading_back(tmp_path: Path) -> None:
    written(tmp_path / "journal.jsonl")
    Journal(tmp_path / "journal.jsonl").write("run_ended", outcome="live")
    assert len(Journal(tmp_path / "journal.jsonl").records) == 4


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_torn_by_a_crash_is_set_aside(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.jsonl"
    written(path)
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(path)
    assert again.torn_tail
    assert len(again.records) == 2
    again.write("run_ended")
    assert len(Journal(path).records) == 3


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path)
    whole = path.read_bytes()
    last_line = whole.rindex(b"\n", 0, -1) + 1
    for position in range(0, last_line, 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x01
        path.write_bytes(bytes(damaged))
        with pytest.raises(JournalDamaged):
            Journal(path)


def test_a_line_that_was_taken_out_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(JournalDamaged, match="line 2"):
        Journal(path)


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert written(tmp_path / "journal.jsonl").path.stat().st_mode & 0o077 == 0
