"""What the profile tells the operator: one case that raises each rule, one like it that does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sdetl_engine.findings import Choice, Severity, gate_of
from sdetl_engine.profiling.review import findings_of_profile
from sdetl_engine.rules import RULES
from sdetl_engine.values.schema import Relation
from tests.profiling import measured

ISO = "2024-12-31 09:05:00"
MANY = [ISO] * 39

RAISED: dict[str, tuple[str, list[object], str, list[object]]] = {
    # rule: declaration and values that raise it, declaration and values that do not
    "DATE-CORRUPT": ("TIMESTAMP", [*MANY, "2024-02-30"], "TIMESTAMP", [*MANY, "29/2/2024 9:05"]),
    "DATE-ORDER": ("DATE", ["3/4/2024", "25/12/2024"], "DATE", ["4/4/2024", "25/12/2024"]),
    "DATE-ORDER-UNDECIDED": ("DATE", ["3/4/2024", "5/6/2024"], "DATE", ["3/4/2024", "5/6/2024", "13/6/2024"]),
    "DATE-ORDER-CONFLICT": ("DATE", ["25/12/2024", "12/25/2024"], "DATE", ["25/12/2024", "12/11/2024"]),
    "DATE-ZONES-MIXED": ("DATETIME", [ISO, "2024-12-31T09:05:00Z"], "DATETIME", ["2024-12-31T09:05:00Z"]),
    "DATE-TO-ISO": ("TIMESTAMP", ["31/12/2024 9:05"], "TIMESTAMP", ["2024-12-31T09:05:00"]),
    "DATE-FUTURE": ("DATE", ["2026-07-01"], "DATE", ["2025-10-20"]),
    "DATE-SENTINEL": ("DATE", ["1899-12-30", "2024-01-01"], "DATE", ["1971-01-01", "2024-01-01"]),
    "DATE-NUMBERS": ("INTEGER", [1_700_000_000_000, None], "INTEGER", [1_700_000_000_000, 3]),
    "DATE-SHORT-YEARS": ("TEXT", ["31/12/69", "1/2/70"], "TEXT", ["31/12/69", "unit 70"]),
    "TYPE-MISMATCH": ("INTEGER", [1, "x"], "TEXT", [1, "x"]),
    "TYPE-RESIDUE": ("INTEGER", [*range(39), "x"], "INTEGER", [*range(39), ""]),
    "TYPE-WIDENED": ("INTEGER", [1, 2.5], "INTEGER", [1, 2]),
    "TYPE-MIXED": ("", [1, "toto", 12.3], "", [1, 12.3]),
    "WHOLE-REALS": ("REAL", [4711.0, None], "REAL", [4711.0, 0.5]),
    "MISSING-MARK": ("TEXT", ["a", "N/A"], "TEXT", ["a", "Navigation"]),
    "LEADING-ZEROS": ("TEXT", ["007"], "TEXT", ["0", "7", "0x7"]),
    "TEXT-CONTROL": ("TEXT", ["\x1b[31mred"], "TEXT", ["two\nlines\tand a tab"]),
    "TEXT-UNLOADABLE": ("TEXT", ["a\0b"], "TEXT", ["a\\0b"]),
    "EMPTY-TO-NULL": ("TIMESTAMP", [ISO, ""], "TEXT", ["a", ""]),
    "EMPTY-NOT-NULL": ("TIMESTAMP NOT NULL", [ISO, ""], "TIMESTAMP", [ISO, ""]),
}


@pytest.mark.parametrize("rule", RAISED)
def test_each_rule_is_raised_by_its_dirt(tmp_path: Path, rule: str) -> None:
    declared, values, _, _ = RAISED[rule]
    found = measured.column(tmp_path, declared, values).finding(rule)
    assert found.severity is RULES[rule].severity
    assert found.choices == RULES[rule].choices
    assert (found.table, found.column) == ("t", "c")
    assert found.count > 0
    assert found.fraction == found.count / len(values)
    assert "t.c" in found.message


@pytest.mark.parametrize("rule", RAISED)
def test_and_not_by_what_only_looks_like_it(tmp_path: Path, rule: str) -> None:
    _, _, declared, values = RAISED[rule]
    assert rule not in measured.column(tmp_path, declared, values).rules()


@pytest.mark.parametrize("raised", [True, False])
def test_tables_keys_and_relations_have_their_say(tmp_path: Path, raised: bool) -> None:
    script = (
        "CREATE TABLE void (a TEXT);"
        "CREATE TABLE twice (a TEXT, b TEXT);"
        "CREATE TABLE keyed (k TEXT PRIMARY KEY, u TEXT UNIQUE);"
        "CREATE TABLE many (a INTEGER, b INTEGER, PRIMARY KEY (a, b));"
        "CREATE TABLE child (parent TEXT REFERENCES keyed (k), logical TEXT);"
    )
    rows = {
        "void": [] if raised else [("x",)],
        "twice": [("a", "b"), ("a", "b"), ("a", None)] if raised else [("a", "b"), ("b", "b")],
        "keyed": [(None, "1"), ("x", "2")] if raised else [("y", None), ("x", None)],
        "many": [(1, None), (1, 2)] if raised else [(1, 2), (1, 3)],
        "child": [("nobody", "nobody"), ("x", "x")] if raised else [("x", "x"), (None, None)],
    }
    logical = Relation("child", ("logical",), "keyed", ("k",), "inferred")
    found = measured.table(tmp_path, script, rows, relations=[logical])
    told = [(f.rule, f.table, f.column, f.count) for f in found.findings if f.rule != "TYPE-WIDENED"]
    expected = [
        ("TABLE-EMPTY", "void", None, 0),
        ("ROW-DUPLICATE", "twice", None, 1),
        ("KEY-NULL", "keyed", "k", 1),
        ("KEY-NULL", "many", None, 1),
        ("FK-ORPHANS", "child", "parent", 1),
        ("RELATION-ORPHANS", "child", "logical", 1),
    ]
    assert sorted(told, key=str) == (sorted(expected, key=str) if raised else [])


def test_a_key_that_only_sqlites_collation_keeps_apart_is_no_duplicate(tmp_path: Path) -> None:
    found = measured.table(tmp_path, "CREATE TABLE t (c TEXT PRIMARY KEY)", {"t": [("a",), ("A",)]})
    assert "KEY-DUPLICATE" not in found.rules()


def test_a_repeated_key_is_reviewed(tmp_path: Path) -> None:
    """NULLs aside, SQLite keeps keys unique: a corrupt index is how a duplicate gets in."""
    found = measured.table(tmp_path, "CREATE TABLE t (c TEXT PRIMARY KEY)", {"t": [("a",), ("b",)]})
    (table,) = found.tables
    key = dataclasses.replace(table.keys[0], duplicate_rows=1)
    told = findings_of_profile(found.schema, [dataclasses.replace(table, keys=(key,))], found.verdicts, {}, ())
    assert [(f.rule, f.severity, f.count) for f in told] == [("KEY-DUPLICATE", Severity.REVIEW, 1)]


def test_a_clean_database_needs_no_agreement(tmp_path: Path) -> None:
    values: list[object] = [ISO, "31/12/2024 9:05", "", None]
    assert {f.severity for f in measured.column(tmp_path, "TIMESTAMP", values).findings} == {Severity.INFO}
    assert measured.column(tmp_path, "TEXT", ["a", "", None, "b"]).findings == ()


def test_the_message_names_column_mark_and_count(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "TIMESTAMP", [*MANY, "?"]).finding("DATE-CORRUPT")
    assert found.message == (
        "1 of 40 values (2.50%) in t.c cannot be read as a date; 1 of them are '?'; they go to the quarantine"
    )
    assert "--null-marker 't.c=?'" in found.advice
    assert found.suggestion == "?"
    assert Choice.MARK_MISSING in found.choices
    assert [(e.key, e.value) for e in found.evidence][:1] == [("rowid 40", "?")]


def test_evidence_cannot_move_a_cursor(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "TIMESTAMP", [*MANY, "\x1b]0;title\x07"]).finding("DATE-CORRUPT")
    assert all(c.isprintable() for e in found.evidence for c in e.value)


def test_marks_that_alone_keep_a_column_from_being_dates_are_asked_about(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "TEXT", [ISO] * 6 + ["?"] * 4).finding("MISSING-MARK")
    assert (found.severity, found.count, found.suggestion) == (Severity.REVIEW, 4, "?")
    assert "but for them the column would be timestamp" in found.message
    assert measured.column(tmp_path, "TEXT", ["a"] * 6 + ["?"] * 4).finding("MISSING-MARK").severity is Severity.INFO


def test_a_declared_mark_is_not_suggested_again(tmp_path: Path) -> None:
    assert "MISSING-MARK" not in measured.column(tmp_path, "TEXT", ["a", "?"], marks=["*=?"]).rules()


def test_the_neighbours_that_settled_an_order_are_named(tmp_path: Path) -> None:
    script = "CREATE TABLE t (opened DATE, closed DATE)"
    found = measured.table(tmp_path, script, {"t": [("3/4/2024", "25/12/2024"), ("5/6/2024", "26/12/2024")]})
    (told,) = [f for f in found.findings if f.rule == "DATE-ORDER"]
    assert (told.column, told.severity) == ("opened", Severity.INFO)
    assert "opened is read day first" in told.message
    assert "2 dates in neighbouring columns of the table prove day first" in told.message


def test_a_settled_conflict_counts_the_outvoted_among_the_corrupt(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "DATE", ["25/12/2024"] * 39 + ["12/25/2024"], decided=True)
    told = found.finding("DATE-CORRUPT")
    assert told.count == 1
    assert "1 of them have day and month the other way round" in told.message
    assert [e.value for e in told.evidence] == ["12/25/2024"]
    assert found.finding("DATE-TO-ISO").count == 39


def test_misfits_beside_a_widened_type_are_still_reviewed(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "INTEGER", [*range(38), 2.5, "lots"]).finding("TYPE-RESIDUE")
    assert (found.count, found.severity) == (1, Severity.REVIEW)


def test_a_type_from_the_plan_that_does_not_fit_is_reviewed(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "TEXT", ["1", "2", "x"], types={"t.c": "bigint"})
    assert found.finding("TYPE-RESIDUE").count == 1


def test_digits_that_a_size_would_cut_are_kept_and_told(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "DECIMAL(10,2)", [1, 2.125]).finding("TYPE-WIDENED")
    assert "numeric(10,2)" in found.message


def test_both_ends_of_a_column_may_be_dates_that_stand_for_none(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "DATE", ["1899-12-30", "2024-01-01", "9999-12-31"]).findings
    told = [(f.count, f.suggestion) for f in found if f.rule == "DATE-SENTINEL"]
    assert told == [(1, "1899-12-30"), (1, "9999-12-31")]


def test_every_rule_of_the_profile_has_its_cases() -> None:
    """A rule that is added to the catalogue fails here until its cases stand in this folder."""
    of_tables = {"TABLE-EMPTY", "ROW-DUPLICATE", "KEY-NULL", "KEY-DUPLICATE", "FK-ORPHANS", "RELATION-ORPHANS"}
    of_keys_as_they_will_be_held = {"KEY-COLLISION"}  # tests/test_run.py
    of_agreements = {"DATE-CLOCK-CHANGE", "TEXT-DECODED"}  # tests/test_agreements.py, tests/test_rules_raised.py
    of_the_breaker = {"BREAKER-COLUMNS", "BREAKER-DATES"}
    of_drift = {code for code in RULES if code.startswith("DRIFT-")}  # tests/test_drift.py
    assert {r.code for r in RULES.values() if r.stage == "profile"} == {
        *RAISED,
        *of_tables,
        *of_keys_as_they_will_be_held,
        *of_agreements,
        *of_the_breaker,
        *of_drift,
    }


def test_binary_texts_are_counted_by_cause(tmp_path: Path) -> None:
    found = measured.column(tmp_path, "TEXT", ["words"] * 39 + ["a\0b", b"\xff"]).finding("TEXT-UNLOADABLE")
    assert (found.count, found.suggestion) == (2, "escape")
    assert "1 with a NUL character, 1 binary" in found.message


def test_a_column_that_is_left_out_has_nothing_to_say(tmp_path: Path) -> None:
    assert measured.column(tmp_path, "INTEGER", [1, "x"], left_out=["t.c"]).findings == ()


def test_dates_that_stay_text_in_a_key_need_no_decision(tmp_path: Path) -> None:
    script = "CREATE TABLE t (c TEXT PRIMARY KEY)"
    found = measured.table(tmp_path, script, {"t": [("3/4/2024",), ("5/6/2024",)]})
    assert gate_of(found.findings).value == "passed"
