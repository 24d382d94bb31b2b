"""The catalogue of rules: every code that a finding can bear.  Codes are stable; other programs rely on them.

Severity and choices of a finding are those of its rule, unless the gate that raises it says otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sdetl_engine.findings import Choice, Severity


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what raises it, how grave it is, what can be decided, and the setting that holds its threshold.

    ``meaning`` says what was seen and what happens because of it; ``advice`` what to do about it; ``threshold`` is
    the key of a setting, None when there is nothing to set.
    """

    code: str
    stage: str
    severity: Severity
    title: str
    meaning: str
    advice: str = "Nothing to do."
    choices: tuple[Choice, ...] = (Choice.ACCEPT,)
    threshold: str | None = None
    example: str = ""


_TYPED = (Choice.QUARANTINE, Choice.MARK_MISSING, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT, Choice.ACCEPT)
_BREAKER = (Choice.MARK_MISSING, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT, Choice.SET_TYPE)
_SCORE = (Choice.MARK_MISSING, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT)
_ORDER = (Choice.DAY_FIRST, Choice.MONTH_FIRST, Choice.LOAD_AS_TEXT, Choice.ACCEPT)
_TYPE = (Choice.ACCEPT, Choice.SET_TYPE)
_I, _W, _R, _H = Severity.INFO, Severity.WARNING, Severity.REVIEW, Severity.HALT

_PREFLIGHT = (
    Rule(
        "CHECK-WARNING",
        "preflight",
        _W,
        "a pre-flight check warns",
        "The check's own text says what and why.",
        "Follow the fix that the check names.",
    ),
    Rule(
        "CHECK-UNKNOWN",
        "preflight",
        _W,
        "a pre-flight check could not be made",
        "It is not counted as passed.",
        "Make the check possible, or find out by other means.",
    ),
    Rule(
        "SOURCE-FK-VIOLATIONS",
        "preflight",
        _W,
        "the source breaks its own foreign keys",
        "SQLite does not enforce them by default; the rows are loaded and the keys are NOT VALID.",
        "Find the missing parents in the source, or live with a NOT VALID key.",
    ),
)

_TABLES = (
    Rule("TABLE-EMPTY", "profile", _I, "a table holds no rows", "It is created empty."),
    Rule(
        "ROW-DUPLICATE",
        "profile",
        _W,
        "rows equal an earlier row in every column",
        "They are loaded as they are.",
        "Remove them in the source if they are not meant.",
        example="the same timesheet twice",
    ),
    Rule(
        "KEY-NULL",
        "profile",
        _R,
        "a primary key is NULL in places",
        "SQLite allows it in keys that are not INTEGER; PostgreSQL does not.",
        "Agree to load the table without its primary key, or fill the keys in the source.",
    ),
    Rule(
        "KEY-DUPLICATE",
        "profile",
        _R,
        "a key occurs more than once",
        "PostgreSQL cannot build the key.",
        "Agree to load the table without that key, or remove the duplicates in the source.",
    ),
    Rule(
        "KEY-COLLISION",
        "profile",
        _R,
        "values of a key are equal as the chosen type",
        "SQLite tells 1, '1' and x'31' apart; one type for the whole column does not. PostgreSQL cannot build the key.",
        "Agree to load the table without that key, or make the keys one kind of value in the source.",
        example="1 and '1'",
    ),
    Rule(
        "FK-ORPHANS",
        "profile",
        _W,
        "rows without the parent that a declared key names",
        "They are loaded; the foreign key is NOT VALID, so that only new rows are checked.",
        "Add the parents in the source, or live with a NOT VALID key.",
    ),
    Rule(
        "RELATION-ORPHANS",
        "profile",
        _I,
        "rows without a parent, by a relation that nobody declared",
        "Counted and shown; usual where the file is an excerpt.",
        example="timesheets of other teams' tickets",
    ),
)

_DATES = (
    Rule(
        "DATE-CORRUPT",
        "profile",
        _R,
        "values of a date column are no dates",
        "What no accepted format reads goes to the quarantine.",
        "Declare a mark as missing, load the column as text, or agree to the quarantine.",
        _TYPED,
        example="2024-02-30",
    ),
    Rule(
        "DATE-ORDER",
        "profile",
        _I,
        "day and month were told apart",
        "The evidence is counted: values over 12 in one place, or the neighbours' dates.",
        "Nothing to do; clean.day_first and clean.month_first overrule it.",
        _ORDER,
        example="03/04/2024 beside 25/12/2024",
    ),
    Rule(
        "DATE-ORDER-UNDECIDED",
        "profile",
        _R,
        "nothing tells day and month apart",
        "No value over 12 in either place, and no neighbour that helps. The column stays text until somebody decides.",
        "Decide with clean.day_first or clean.month_first.",
        _ORDER,
        example="only 03/04/2024 and 05/06/2024",
    ),
    Rule(
        "DATE-ORDER-CONFLICT",
        "profile",
        _R,
        "some dates are day first, others month first",
        "The order is a property of the column; values that contradict each other leave it text until somebody decides.",
        "Decide for the order of the majority: the others then count as no dates. Or keep the column text.",
        _ORDER,
        example="25/12/2024 and 12/25/2024",
    ),
    Rule(
        "DATE-ZONES-MIXED",
        "profile",
        _R,
        "some dates have a time zone, others none",
        "They cannot be compared; the column stays text.",
        "Agree, or give all of them a zone in the source.",
        (Choice.ACCEPT, Choice.SET_TYPE, Choice.LEAVE_OUT),
        example="2024-01-01 10:00:00 and 2024-01-01T10:00:00Z",
    ),
    Rule(
        "DATE-TO-ISO",
        "profile",
        _I,
        "dates are rewritten to ISO",
        "Each is in the ledger.",
        example="31/12/2024 9:05 becomes 2024-12-31 09:05:00",
    ),
    Rule(
        "DATE-FUTURE",
        "profile",
        _W,
        "dates lie in the future",
        "More than a day past the moment of profiling; loaded as they are.",
        "Correct them in the source if they are typing errors.",
    ),
    Rule(
        "DATE-SENTINEL",
        "profile",
        _I,
        "a date that often stands for none",
        "The first or last date of the column is one that programs write where they have none.",
        "Declare it with --null-marker if it means missing.",
        (Choice.MARK_MISSING, Choice.ACCEPT),
        example="1899-12-30  1970-01-01  9999-12-31",
    ),
)

_TYPES = (
    Rule(
        "TYPE-MISMATCH",
        "profile",
        _R,
        "a column does not hold what it is declared as",
        "Fewer than the confidence share of its values can be read as the declared type; it is loaded as text.",
        "Agree, declare a mark as missing, or set a type.",
        (Choice.ACCEPT, Choice.MARK_MISSING, Choice.LEAVE_OUT, Choice.SET_TYPE),
        "profile.type_confidence",
        "INTEGER that holds lots-of-it",
    ),
    Rule(
        "TYPE-RESIDUE",
        "profile",
        _R,
        "a few values do not fit the column's type",
        "They go to the quarantine with their raw bytes.",
        "Declare a mark as missing, load the column as text, or agree to the quarantine.",
        _TYPED,
    ),
    Rule(
        "TYPE-WIDENED",
        "profile",
        _I,
        "a column gets another type than declared",
        "The data does not fit the declaration, and another type holds all of it.",
        "Nothing to do, or set a type with load.types.",
        _TYPE,
    ),
    Rule(
        "TYPE-MIXED",
        "profile",
        _I,
        "a column holds values of several kinds",
        "PostgreSQL has one type per column; one that holds all of them exactly was chosen.",
        "Nothing to do, or set a type with load.types.",
        _TYPE,
        example="1, 'toto' and 12.3 in a column without type",
    ),
    Rule(
        "WHOLE-REALS",
        "profile",
        _I,
        "whole numbers are stored as REAL",
        "Usual for ids beside NULLs.",
        "Nothing to do, or make integers of them with load.types.",
        _TYPE,
        example="4711.0",
    ),
    Rule(
        "MISSING-MARK",
        "profile",
        _I,
        "values often mean missing",
        "They are loaded as they are until the mark is declared. In review where they alone keep a column from being "
        "dates or numbers.",
        "Declare them with --null-marker if they mean missing.",
        (Choice.MARK_MISSING, Choice.ACCEPT),
        example="?  N/A  -  NULL",
    ),
    Rule("LEADING-ZEROS", "profile", _I, "digits with a leading zero", "They stay text, unchanged.", example="007"),
    Rule(
        "TEXT-CONTROL", "profile", _I, "texts hold control characters", "They are loaded unchanged and shown escaped."
    ),
    Rule(
        "TEXT-UNLOADABLE",
        "profile",
        _R,
        "texts that PostgreSQL cannot hold",
        "A NUL character, bytes that are not UTF-8, or a BLOB: they go to the quarantine.",
        "Agree, or load the column's bytes with load.types.",
        (Choice.QUARANTINE, Choice.SET_TYPE, Choice.LEAVE_OUT, Choice.ACCEPT),
    ),
    Rule("EMPTY-TO-NULL", "profile", _I, "empty values of a typed column become NULL", "Each is in the ledger."),
    Rule(
        "EMPTY-NOT-NULL",
        "profile",
        _R,
        "empty values where neither empty nor NULL can be",
        "The column is NOT NULL and its type cannot be empty.",
        "Load it as text, or fill it in the source.",
        (Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT, Choice.QUARANTINE, Choice.ACCEPT),
    ),
    Rule(
        "BREAKER-COLUMNS",
        "profile",
        _H,
        "too many columns do not hold what they are declared as",
        "The share of mismatched columns exceeds the limit.",
        "Declare marks as missing, load columns as text, leave them out, or fix the source.",
        _BREAKER,
        "gates.max_mismatched_columns",
    ),
    Rule(
        "BREAKER-DATES",
        "profile",
        _H,
        "too many dates of a column cannot be read",
        "The share of corrupt dates among the column's rows exceeds the limit.",
        "Declare a mark as missing, load the column as text, leave it out, or fix the source.",
        _BREAKER,
        "gates.max_corrupt_dates",
        "37 % of sys_created_at is ?",
    ),
)

_DRIFT = (
    Rule(
        "DRIFT-TABLE-LOST",
        "profile",
        _R,
        "a table of the live version is not in this source",
        "Whoever reads it will find nothing after the cutover.",
        "Check that this is the right file; agree if the table is meant to go.",
        example="tickets stands in the live version, and the new file has only timesheets",
    ),
    Rule(
        "DRIFT-TABLE-NEW",
        "profile",
        _I,
        "a table is new",
        "The live version has none of that name.",
        example="the help desk has begun to export surveys",
    ),
    Rule(
        "DRIFT-COLUMN-LOST",
        "profile",
        _R,
        "a column of the live version is not in this source",
        "Queries that name it will fail; validate tries those of the dashboards.",
        "Check that this is the right file; agree if the column is meant to go.",
        example="tickets.team was renamed to tickets.group in the help desk",
    ),
    Rule(
        "DRIFT-COLUMN-NEW",
        "profile",
        _I,
        "a column is new",
        "The live version has none of that name.",
        example="tickets has gained a column satisfaction",
    ),
    Rule(
        "DRIFT-TYPE",
        "profile",
        _W,
        "a column gets another type than it has now",
        "The values of this source ask for another type than those of the live version did.",
        "Set the type with load.types if it should stay.",
        (Choice.ACCEPT, Choice.SET_TYPE, Choice.LOAD_AS_TEXT),
        example="the ids of invoices were numbers and now some begin with a letter",
    ),
    Rule(
        "DRIFT-ROWS-LOST",
        "profile",
        _R,
        "a table has far fewer rows than now",
        "It shrinks by more than the limit: perhaps the file is an excerpt, or the export was cut off.",
        "Check that the file is complete; agree if rows were removed on purpose.",
        threshold="drift.row_change",
        example="400,000 tickets in the live version, 12,000 in the file",
    ),
    Rule(
        "DRIFT-ROWS-MORE",
        "profile",
        _W,
        "a table has far more rows than now",
        "It grows by more than the limit.",
        "Check that rows were not exported twice.",
        threshold="drift.row_change",
        example="twice as many timesheets as three months ago",
    ),
    Rule(
        "DRIFT-NULLS",
        "profile",
        _W,
        "the share of missing values has jumped",
        "A column that was filled is empty more often, or the other way round, by more points than the limit.",
        "Look whether the export still fills the column.",
        threshold="drift.null_change",
        example="closed was missing in 12 % of the tickets and now is in 90 %",
    ),
    Rule(
        "DRIFT-CATEGORY",
        "profile",
        _I,
        "a column of few values has new ones",
        "Panels that filter or colour by the known values will not show them.",
        "Look at the values; nothing to do if they are meant.",
        threshold="drift.new_categories",
        example="status 'Waiting for vendor' beside Open and Closed",
    ),
)

_LATER = (
    Rule(
        "EMPTY-KEPT",
        "clean",
        _R,
        "values were kept as they are",
        "NULL was not allowed there.",
        "Load the column as text, or agree: what its type cannot hold stands in the quarantine.",
        (Choice.ACCEPT, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT),
    ),
    Rule(
        "SCORE-LOW",
        "score",
        _H,
        "the quality is under the threshold",
        "The score after cleaning is under the limit for migration.",
        "Fix what the largest receipts name.",
        _SCORE,
        "gates.min_score",
    ),
    Rule(
        "SCORE-HALT",
        "score",
        _H,
        "the quality is far too low",
        "The score after cleaning is under the limit for anything.",
        "Check that this is the right file; then fix what the largest receipts name.",
        _SCORE,
        "gates.halt_score",
    ),
    Rule(
        "INDEX-SUGGESTED",
        "migrate",
        _I,
        "an index would help the dashboards",
        "Found in the joins and filters of their queries.",
        "Add it to load.indexes, or set load.suggested_indexes=build.",
        (Choice.ADD_INDEX, Choice.ACCEPT),
        "load.suggested_indexes",
    ),
    Rule(
        "PARTITION-SUGGESTED",
        "migrate",
        _I,
        "partitions would help",
        "The table is large and has a well-filled date column.",
        "Set load.partition for the table.",
        (Choice.PARTITION, Choice.ACCEPT),
        "load.partition_suggest_rows",
    ),
    Rule(
        "NOT-MIGRATED",
        "migrate",
        _W,
        "something that the source declares was not migrated",
        "Each is listed with its reason in the report.",
        "Create it by hand where it is needed.",
    ),
    Rule(
        "QUARANTINED",
        "migrate",
        _W,
        "values stand in the quarantine",
        "Their type cannot hold them; table, key, column, raw bytes and reason are there.",
        "Look at them there, or load the column as text.",
        (Choice.ACCEPT, Choice.LOAD_AS_TEXT),
    ),
    Rule(
        "FK-NOT-VALID",
        "migrate",
        _W,
        "a foreign key is NOT VALID",
        "Old rows break it; new rows are checked.",
        "VALIDATE CONSTRAINT once the parents are there.",
    ),
    Rule(
        "DASHBOARDS-NOT-TRIED",
        "validate",
        _W,
        "no dashboards were tried",
        "None were named.",
        "Name their folder with --dashboards.",
    ),
    Rule(
        "PANEL-SLOW",
        "validate",
        _W,
        "a dashboard panel is slow",
        "It took longer than the limit.",
        "Look at the suggested indexes.",
        threshold="dashboards.slow_seconds",
    ),
    Rule(
        "PANEL-EMPTY",
        "validate",
        _R,
        "a dashboard panel becomes empty",
        "It shows something on the live version and nothing on the candidate.",
        "Look for the rows that it asks for in the source; agree when they are gone for good.",
    ),
    Rule(
        "PANEL-CHANGED",
        "validate",
        _R,
        "a dashboard panel changes more than its data explain",
        "Its columns are others, it changes although its tables hold the same, or much more than their rows do.",
        "Compare the panel on both versions; agree when the new answer is right.",
        threshold="dashboards.change",
    ),
    Rule(
        "PANEL-SLOWER",
        "validate",
        _R,
        "a dashboard panel becomes much slower",
        "It takes many times as long on the candidate as on the live version.",
        "Look at the suggested indexes and at those of the live version.",
        threshold="dashboards.much_slower_times",
    ),
    Rule(
        "CUTOVER-AGREEMENT",
        "cutover",
        _R,
        "the cutover wants agreement",
        "Nothing is switched before somebody agrees.",
        "Agree, or stop here: the candidate stays.",
    ),
    Rule(
        "CUTOVER-LOSES",
        "cutover",
        _R,
        "the new version lacks objects that the live one has",
        "Tables, views or functions of the serving schema that the source does not bring; they stay in the old version.",
        "Bring them into the source, or agree.",
    ),
    Rule(
        "CUTOVER-DEPENDENTS",
        "cutover",
        _R,
        "objects of other schemas stay with the old version",
        "Views and foreign keys are bound to tables, not to names.",
        "Recreate them after the cutover, or agree.",
    ),
)

RULES: Mapping[str, Rule] = {
    rule.code: rule for rules in (_PREFLIGHT, _TABLES, _DATES, _TYPES, _DRIFT, _LATER) for rule in rules
}
