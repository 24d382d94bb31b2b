"""The quality gate."""

from __future__ import annotations

import pytest

from sdetl_engine.findings import Choice, Severity
from sdetl_engine.quality.gate import gate
from sdetl_engine.quality.score import Dimension, Receipt, Score


def scored(total: float, *receipts: Receipt) -> Score:
    return Score(total, {"validity": Dimension(30, 100, 10)}, receipts)


@pytest.mark.parametrize(
    ("total", "rules"),
    [(100, []), (80, []), (79.99, ["SCORE-LOW"]), (50, ["SCORE-LOW"]), (49.99, ["SCORE-HALT"]), (0, ["SCORE-HALT"])],
)
def test_a_score_at_its_limit_passes_and_one_under_it_halts(total: float, rules: list[str]) -> None:
    found = gate(scored(total), halt_score=50, min_score=80)
    assert [f.rule for f in found] == rules
    assert all(f.severity is Severity.HALT and Choice.ACCEPT not in f.choices for f in found)


def test_a_score_that_is_just_under_its_limit_is_not_said_to_be_at_it() -> None:
    (found,) = gate(scored(79.96), halt_score=50, min_score=80)
    assert found.message.startswith("the quality score after cleaning is 79.9, under the limit of 80")


def test_either_limit_can_be_lowered_alone() -> None:
    assert gate(scored(60), halt_score=50, min_score=60) == ()
    assert [f.rule for f in gate(scored(40), halt_score=50, min_score=0)] == ["SCORE-HALT"]


def test_it_names_what_costs_most_and_what_fixing_it_wins_back() -> None:
    worst = Receipt("validity", "tickets", "opened", 90, 21.5, 21.5, "90 values of tickets.opened are no ISO date")
    second = Receipt("uniqueness", "notes", None, 9, 3.25, 3.25, "9 rows of notes are there twice")
    (found,) = gate(scored(75.25, worst, second), halt_score=50, min_score=80)
    assert found.message == (
        "the quality score after cleaning is 75.2, under the limit of 80: "
        "90 values of tickets.opened are no ISO date (-21.5); 9 rows of notes are there twice (-3.2)"
    )
    assert found.advice == "fixing tickets.opened alone wins back 21.5 points; or set gates.min_score"
    assert (found.table, found.column, found.count) == ("tickets", "opened", 90)


def test_the_three_that_cost_most_are_named_and_no_more() -> None:
    costs = [Receipt("validity", "t", f"c{n}", 9, 9.0 - n, 9.0 - n, f"cause {n}") for n in range(4)]
    (found,) = gate(scored(70, *costs), halt_score=50, min_score=80)
    assert "cause 2 (-7.0)" in found.message
    assert "cause 3" not in found.message


def test_a_file_with_nothing_to_assess_never_passes() -> None:
    (found,) = gate(Score(0.0, {}, ()), halt_score=50, min_score=80)
    assert found.rule == "SCORE-HALT"
    assert "there was nothing to assess" in found.message
    assert "the right file" in found.advice
