"""Marks that mean missing."""

from __future__ import annotations

import pytest

from sdetl_engine.values.missing import is_well_known_mark, markers_for, matches


@pytest.mark.parametrize("text", ["?", "N/A", "-", "NULL", "(null)", "0000-00-00"])
def test_usual_signs_for_missing_are_known(text: str) -> None:
    assert is_well_known_mark(text)


@pytest.mark.parametrize("text", ["", "0", "no", "? ", "network"])
def test_values_are_not_taken_for_signs(text: str) -> None:
    assert not is_well_known_mark(text)


@pytest.mark.parametrize("spelling", ["incidents.vendor=?", "incidents.*=?", "*.vendor=?", "*=?", "*.*=?"])
def test_a_mark_can_be_declared_for_a_column_a_table_or_everything(spelling: str) -> None:
    assert markers_for([spelling], "incidents", "vendor") == ("?",)


@pytest.mark.parametrize("spelling", ["incidents.caller=?", "problems.*=?", "*.caller=?", "vendor=?"])
def test_a_mark_stays_with_the_column_that_it_was_declared_for(spelling: str) -> None:
    assert markers_for([spelling], "incidents", "vendor") == ()


def test_several_marks_of_a_column_are_all_kept_once_each() -> None:
    declared = ["*=?", "t.c=N/A", "*=?", "t.other=-"]
    assert markers_for(declared, "t", "c") == ("?", "N/A")


def test_names_with_dots_blanks_and_signs_are_understood() -> None:
    assert markers_for(["my.table.TKT-Job#/Ref#=n/a"], "my.table", "TKT-Job#/Ref#") == ("n/a",)
    assert markers_for(["t.a=b=?"], "t", "a=b") == ("?",)
    assert markers_for(["t.c==?"], "t", "c=") == ("?",)


def test_the_mark_itself_may_be_an_equals_sign() -> None:
    assert markers_for(["t.c=="], "t", "c") == ("=",)


def test_a_spelling_without_a_mark_is_refused() -> None:
    with pytest.raises(ValueError, match=r"TABLE\.COLUMN=MARK"):
        markers_for(["t.c"], "t", "c")


def test_patterns_name_columns() -> None:
    assert matches(["tickets.*"], "tickets", "closed")
    assert matches(["*.closed"], "tickets", "closed")
    assert matches(["*"], "tickets", "closed")
    assert not matches(["tickets.closed"], "tickets", "opened")
    assert not matches([], "tickets", "closed")
