"""Day first or month first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdetl_engine.profiling.facts import DateFacts
from sdetl_engine.profiling.jury import SettledBy, day_first, outvoted


def dates(day: int = 0, month: int = 0, either: int = 0) -> DateFacts:
    return DateFacts({}, 0, day + month + either, 0, day_first_only=day, month_first_only=month, either=either)


def test_iso_dates_leave_nothing_to_settle() -> None:
    found = day_first(dates(), [dates(day=5)], decided=None)
    assert (found.day_first, found.settled_by) == (None, SettledBy.NOTHING_TO_SETTLE)


def test_one_value_over_twelve_settles_the_column() -> None:
    found = day_first(dates(day=118, either=4021), [], decided=None)
    assert (found.day_first, found.settled_by) == (True, SettledBy.VALUES)
    assert found.sentence == "118 values prove day first, 0 prove month first, 4,021 could be either"
    assert day_first(dates(day=1, either=4021), [], decided=None).day_first is True
    assert day_first(dates(month=1, either=4021), [], decided=None).day_first is False


def test_its_own_values_count_more_than_the_neighbours() -> None:
    assert day_first(dates(month=1, either=9), [dates(day=1000)], decided=None).day_first is False


def test_values_that_contradict_each_other_settle_nothing() -> None:
    found = day_first(dates(day=1000, month=1, either=9), [], decided=None)
    assert (found.day_first, found.settled_by, found.conflict) == (None, SettledBy.NOBODY, True)


def test_neighbours_are_heard_when_a_column_proves_nothing() -> None:
    found = day_first(dates(either=9), [dates(), dates(day=40)], decided=None)
    assert (found.day_first, found.settled_by, found.conflict) == (True, SettledBy.NEIGHBOURS, False)
    assert "40 dates in neighbouring columns of the table prove day first" in found.sentence
    other = day_first(dates(either=9), [dates(month=1)], decided=None)
    assert (other.day_first, other.settled_by) == (False, SettledBy.NEIGHBOURS)


def test_neighbours_that_contradict_each_other_do_not_help() -> None:
    found = day_first(dates(either=9), [dates(day=40), dates(month=1)], decided=None)
    assert (found.day_first, found.settled_by) == (None, SettledBy.NOBODY)
    assert "contradict" in found.sentence


def test_without_evidence_nobody_decides() -> None:
    found = day_first(dates(either=9), [dates(either=3)], decided=None)
    assert (found.day_first, found.settled_by, found.conflict) == (None, SettledBy.NOBODY, False)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50), st.booleans())
def test_the_operator_has_the_last_word_and_the_others_are_counted(
    day: int, month: int, either: int, decided: bool
) -> None:
    facts = dates(day, month, either)
    found = day_first(facts, [], decided=decided)
    assert (found.day_first, found.settled_by) == (decided, SettledBy.OPERATOR)
    assert outvoted(facts, found) == (month if decided else day)


def test_nobody_is_outvoted_before_the_order_is_settled() -> None:
    facts = dates(day=3, month=4)
    assert outvoted(facts, None) == 0
    assert outvoted(facts, day_first(facts, [], decided=None)) == 0
