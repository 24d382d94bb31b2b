"""The catalogue of rules: every code that a finding can bear.  Codes are stable; other programs rely on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sdetl_engine.findings import Choice, Severity


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what raises it, how grave it is, what can be decided, and the setting that holds its threshold."""

    code: str
    stage: str
    severity: Severity
    title: str
    meaning: str
    choices: tuple[Choice, ...] = (Choice.ACCEPT,)
    threshold: str | None = None
    example: str = ""


_TYPED = (Choice.QUARANTINE, Choice.MARK_MISSING, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT, Choice.ACCEPT)
_HALTS = (Choice.MARK_MISSING, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT)
_ORDER = (Choice.DAY_FIRST, Choice.MONTH_FIRST, Choice.LOAD_AS_TEXT, Choice.ACCEPT)
_I, _W, _R, _H = Severity.INFO, Severity.WARNING, Severity.REVIEW, Severity.HALT

_ALL: tuple[Rule, ...] = (
    Rule("CHECK-WARNING", "preflight", _W, "a pre-flight check warns", "The check's own text says what and why."),
    Rule("CHECK-UNKNOWN", "preflight", _W, "a pre-flight check could not be made", "It is not counted as passed."),
    Rule(
        "SOURCE-FK-VIOLATIONS",
        "preflight",
        _W,
        "the source breaks its own foreign keys",
        "SQLite does not enforce them by default; the rows are loaded and the keys are NOT VALID.",
    ),
    Rule("TABLE-EMPTY", "profile", _I, "a table holds no rows", "It is created empty."),
    Rule("ROW-DUPLICATE", "profile", _W, "rows equal an earlier row in every column", "They are loaded as they are."),
    Rule(
        "KEY-NULL",
        "profile",
        _R,
        "a primary key is NULL in places",
        "SQLite allows it in keys that are not INTEGER; PostgreSQL does not. The table is loaded without its key.",
    ),
    Rule("KEY-DUPLICATE", "profile", _R, "a key occurs more than once", "The table is loaded without that key."),
    Rule(
        "DATE-CORRUPT",
        "profile",
        _R,
        "values of a date column are no dates",
        "What no accepted format reads goes to the quarantine, unless a mark or text is decided.",
        _TYPED,
    ),
    Rule(
        "DATE-ORDER",
        "profile",
        _I,
        "day and month were told apart",
        "The evidence is counted: values over 12 in one place, or the neighbours' dates.",
        _ORDER,
    ),
    Rule(
        "DATE-ORDER-UNDECIDED",
        "profile",
        _R,
        "nothing tells day and month apart",
        "No value over 12 in either place, and no neighbour that helps. The column stays text until somebody decides.",
        _ORDER,
        example="only 03/04/2024 and 05/06/2024",
    ),
    Rule(
        "DATE-ORDER-CONFLICT",
        "profile",
        _R,
        "some dates are day first, others month first",
        "The order is a property of the column; two that contradict each other leave it text until somebody decides.",
        _ORDER,
        example="25/12/2024 and 12/25/2024",
    ),
    Rule(
        "DATE-ZONES-MIXED",
        "profile",
        _R,
        "some dates have a time zone, others none",
        "They cannot be compared; the column stays text.",
        (Choice.ACCEPT, Choice.SET_TYPE, Choice.LEAVE_OUT),
    ),
    Rule("DATE-TO-ISO", "profile", _I, "dates are rewritten to ISO", "Each is in the ledger."),
    Rule(
        "DATE-FUTURE",
        "profile",
        _W,
        "dates lie in the future",
        "More than a day past the moment of profiling; loaded as they are.",
    ),
    Rule(
        "TYPE-MISMATCH",
        "profile",
        _R,
        "a column does not hold what it is declared as",
        "Fewer than the confidence share of its values can be read as the declared type; it is loaded as text.",
        (Choice.ACCEPT, Choice.MARK_MISSING, Choice.LEAVE_OUT, Choice.SET_TYPE),
        "profile.type_confidence",
    ),
    Rule(
        "TYPE-RESIDUE",
        "profile",
        _R,
        "a few values do not fit the column's type",
        "They go to the quarantine with their raw bytes, unless something else is decided.",
        _TYPED,
    ),
    Rule(
        "TYPE-WIDENED",
        "profile",
        _I,
        "a column gets another type than declared",
        "The data does not fit the declaration, and a wider type holds all of it.",
        (Choice.ACCEPT, Choice.SET_TYPE),
    ),
    Rule(
        "WHOLE-REALS",
        "profile",
        _I,
        "whole numbers are stored as REAL",
        "Usual for ids beside NULLs.",
        (Choice.ACCEPT, Choice.SET_TYPE),
    ),
    Rule(
        "MISSING-MARK",
        "profile",
        _I,
        "values often mean missing",
        "They are loaded as they are until the mark is declared.",
        (Choice.MARK_MISSING, Choice.ACCEPT),
        example="?  N/A  -  NULL",
    ),
    Rule("LEADING-ZEROS", "profile", _I, "digits with a leading zero", "They stay text, unchanged."),
    Rule(
        "TEXT-CONTROL", "profile", _I, "texts hold control characters", "They are loaded unchanged and shown escaped."
    ),
    Rule(
        "TEXT-UNLOADABLE",
        "profile",
        _R,
        "texts that PostgreSQL cannot hold",
        "A NUL character, or bytes that are not UTF-8: they go to the quarantine.",
        (Choice.QUARANTINE, Choice.SET_TYPE, Choice.LEAVE_OUT, Choice.ACCEPT),
    ),
    Rule("EMPTY-TO-NULL", "profile", _I, "empty values of a typed column become NULL", "Each is in the ledger."),
    Rule(
        "EMPTY-NOT-NULL",
        "profile",
        _R,
        "empty values where neither empty nor NULL can be",
        "The column is NOT NULL and its type cannot be empty.",
        (Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT, Choice.QUARANTINE, Choice.ACCEPT),
    ),
    Rule(
        "FK-ORPHANS",
        "profile",
        _W,
        "rows without the parent that a declared key names",
        "Loaded; the foreign key is NOT VALID.",
    ),
    Rule(
        "RELATION-ORPHANS",
        "profile",
        _I,
        "rows without a parent, by a relation that nobody declared",
        "Counted and shown; usual where the file is an excerpt.",
    ),
    Rule(
        "BREAKER-COLUMNS",
        "profile",
        _H,
        "too many columns do not hold what they are declared as",
        "The share of mismatched columns exceeds the limit.",
        _HALTS,
        "gates.max_mismatched_columns",
    ),
    Rule(
        "BREAKER-DATES",
        "profile",
        _H,
        "too many dates of a column cannot be read",
        "The share of corrupt dates exceeds the limit.",
        _HALTS,
        "gates.max_corrupt_dates",
        "37 % of sys_created_at is ?",
    ),
    Rule(
        "EMPTY-KEPT",
        "clean",
        _R,
        "values that mean missing were kept",
        "NULL was not allowed there.",
        (Choice.ACCEPT, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT),
    ),
    Rule(
        "SCORE-LOW",
        "score",
        _H,
        "the quality is under the threshold",
        "The score after cleaning is under the limit for migration.",
        _HALTS,
        "gates.min_score",
    ),
    Rule(
        "SCORE-HALT",
        "score",
        _H,
        "the quality is far too low",
        "The score after cleaning is under the limit for anything.",
        _HALTS,
        "gates.halt_score",
    ),
    Rule(
        "INDEX-SUGGESTED",
        "migrate",
        _I,
        "an index would help the dashboards",
        "Found in the joins and filters of their queries.",
        (Choice.ADD_INDEX, Choice.ACCEPT),
        "load.suggested_indexes",
    ),
    Rule(
        "PARTITION-SUGGESTED",
        "migrate",
        _I,
        "partitions would help",
        "The table is large and has a well-filled date column.",
        (Choice.PARTITION, Choice.ACCEPT),
        "load.partition_suggest_rows",
    ),
    Rule(
        "NOT-MIGRATED",
        "migrate",
        _W,
        "something that the source declares was not migrated",
        "Each is listed with its reason in the report.",
    ),
    Rule(
        "QUARANTINED",
        "migrate",
        _W,
        "values stand in the quarantine",
        "Their type cannot hold them; table, key, column, raw bytes and reason are there.",
        (Choice.ACCEPT, Choice.LOAD_AS_TEXT),
    ),
    Rule("FK-NOT-VALID", "migrate", _W, "a foreign key is NOT VALID", "Old rows break it; new rows are checked."),
    Rule("DASHBOARDS-NOT-TRIED", "validate", _W, "no dashboards were tried", "None were named."),
    Rule(
        "PANEL-SLOW",
        "validate",
        _W,
        "a dashboard panel is slow",
        "It took longer than the limit.",
        threshold="dashboards.slow_seconds",
    ),
    Rule(
        "CUTOVER-AGREEMENT", "cutover", _R, "the cutover wants agreement", "Nothing is switched before somebody agrees."
    ),
    Rule(
        "CUTOVER-DEPENDENTS",
        "cutover",
        _R,
        "objects of other schemas stay with the old version",
        "Views and foreign keys are bound to tables, not to names.",
    ),
)

RULES: Mapping[str, Rule] = {rule.code: rule for rule in _ALL}
