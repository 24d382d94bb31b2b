"""What a profile has to say to the operator: findings in plain words, each with its count and the way out.

``review`` only where somebody really has to choose.  Dirt that cleaning repairs is told, not asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sdetl_engine.findings import Finding, Severity
from sdetl_engine.profiling.agreements import findings_of_agreement
from sdetl_engine.profiling.breaker import likely_mark, mark_advice, suggestion, suspects
from sdetl_engine.profiling.facts import DateFacts, KeyFacts, TableFacts, TypeVerdict
from sdetl_engine.profiling.jury import JuryVerdict, SettledBy, outvoted
from sdetl_engine.profiling.subject import Subject
from sdetl_engine.profiling.verdict import misfits_of
from sdetl_engine.rules import RULES
from sdetl_engine.values.declared import declared_target
from sdetl_engine.values.decoding import ESCAPE
from sdetl_engine.values.schema import Schema
from sdetl_engine.values.types import DATE_KINDS, Kind
from sdetl_engine.wording import counted, inflected

Juries = Mapping[tuple[str, str], JuryVerdict]

SENTINELS: tuple[str, ...] = ("0001-01-01", "1899-12-30", "1900-01-01", "1970-01-01", "2099-12-31", "9999-12-31")
"""Days that programs write where they have none: the zero of Excel, of Unix, of .NET, and ends of time."""
_MOST_LISTED = 4
_NUMBERS = frozenset({Kind.INTEGER, Kind.DOUBLE, Kind.NUMERIC})


def findings_of_profile(
    schema: Schema,
    tables: Sequence[TableFacts],
    verdicts: Sequence[TypeVerdict],
    juries: Juries,
    relation_facts: Sequence[KeyFacts],
) -> tuple[Finding, ...]:
    """Everything worth saying, table by table, column by column.

    ``juries`` by table and column, for columns that were asked for dates.  What the circuit breaker has to say is
    not among it (``profiling.breaker``).
    """
    facts = {(t.table, c.column): c for t in tables for c in t.columns}
    found: list[Finding] = []
    for table in tables:
        found += _of_table(table)
    for verdict in verdicts:
        if not verdict.left_out:
            column = facts[verdict.table, verdict.column]
            subject = Subject(column, verdict, juries.get((verdict.table, verdict.column)))
            found += _of_dates(subject)
            found += _of_type(subject)
            found += _of_texts(subject)
            found += _of_empties(subject, schema)
            found += findings_of_agreement(subject, is_key=schema.table(verdict.table).is_in_key(verdict.column))
    found += [_of_relation(r) for r in relation_facts if r.orphan_rows]
    return tuple(found)


# Tables, keys, relations


def _of_table(table: TableFacts) -> Iterator[Finding]:
    if table.rows == 0:
        yield _table_finding("TABLE-EMPTY", table.table, 0, 0, f"{table.table} holds no rows", "nothing to do")
    if table.duplicate_rows:
        said = f"{counted(table.duplicate_rows, 'row')} of {table.table} {inflected(table.duplicate_rows, 'equals', 'equal')} an earlier row in every column"
        advice = "they are loaded as they are; remove them in the source if they are not meant"
        yield _table_finding("ROW-DUPLICATE", table.table, table.duplicate_rows, table.rows, said, advice)
    for key in table.keys:
        yield from _of_key(key)


def _of_key(key: KeyFacts) -> Iterator[Finding]:
    name = f"{key.kind} key of {key.table} ({', '.join(key.columns)})"
    column = _only(key.columns)
    if key.kind == "primary" and key.null_rows:
        said = f"the {name} is NULL in {counted(key.null_rows, 'row')}; PostgreSQL allows no NULL in a primary key"
        advice = "agree to load the table without its primary key, or fill the keys in the source"
        yield _table_finding("KEY-NULL", key.table, key.null_rows, key.rows, said, advice, column)
    if key.duplicate_rows:
        said = f"{counted(key.duplicate_rows, 'row')} {inflected(key.duplicate_rows, 'repeats', 'repeat')} the {name} of an earlier one"
        advice = "agree to load the table without that key, or remove the duplicates in the source"
        yield _table_finding("KEY-DUPLICATE", key.table, key.duplicate_rows, key.rows, said, advice, column)
    if key.colliding_rows:
        said = (
            f"{counted(key.colliding_rows, 'row')} {inflected(key.colliding_rows, 'differs', 'differ')} from another in the {name} only by how SQLite stores them, and are "
            f"equal to it as the type that is chosen"
        )
        advice = "agree to load the table without that key, or make the keys one kind of value in the source"
        yield _table_finding("KEY-COLLISION", key.table, key.colliding_rows, key.rows, said, advice, column)


def _of_relation(relation: KeyFacts) -> Finding:
    ends = f"{relation.table}.{', '.join(relation.columns)} -> {relation.parent}.{', '.join(relation.parent_columns)}"
    present = relation.rows - relation.null_rows
    share = relation.orphan_rows / present if present else 0.0
    said = f"{relation.orphan_rows:,} of {counted(present, 'row')} ({share:.1%}) of {ends} have no parent in this file"
    if relation.origin == "declared":
        rule, advice = "FK-ORPHANS", "they are loaded; the foreign key is created NOT VALID: new rows are checked"
    else:
        rule, advice = "RELATION-ORPHANS", "they are loaded; usual where the file is an excerpt"
    return _table_finding(rule, relation.table, relation.orphan_rows, present, said, advice, _only(relation.columns))


def _table_finding(
    rule: str, table: str, count: int, rows: int, message: str, advice: str, column: str | None = None
) -> Finding:
    return Finding(
        rule,
        RULES[rule].severity,
        message,
        advice,
        table=table,
        column=column,
        count=count,
        fraction=count / rows if rows else None,
        choices=RULES[rule].choices,
    )


def _only(columns: Sequence[str]) -> str | None:
    return columns[0] if len(columns) == 1 else None


# Dates


def _of_dates(subject: Subject) -> Iterator[Finding]:
    dates, verdict = subject.facts.dates, subject.verdict
    if dates is None:
        return
    is_date = subject.kind in DATE_KINDS
    if is_date or verdict.declared_kind in DATE_KINDS or _reads_as_dates(subject):
        yield from _of_order(subject, dates)
        yield from _of_zones(subject, dates)
    if is_date:
        yield from _of_corrupt_dates(subject, dates)
        yield from _of_iso(subject, dates)
        yield from _of_moments(subject, dates)


def _reads_as_dates(subject: Subject) -> bool:
    """True for a text column that would be dates, were there not something that the operator has to settle."""
    if subject.verdict.agreement:
        return True
    return subject.verdict.observed in DATE_KINDS and "part of a key" not in subject.verdict.reason


def _of_order(subject: Subject, dates: DateFacts) -> Iterator[Finding]:
    jury = subject.jury
    if jury is None or jury.settled_by is SettledBy.NOTHING_TO_SETTLE or not dates.iso + dates.convertible:
        return
    witnesses = (*dates.day_first_witnesses[:5], *dates.month_first_witnesses[:5])
    if jury.settled_by is not SettledBy.NOBODY:
        if dates.either:
            order = "day first" if jury.day_first else "month first"
            said = f"{subject.name} is read {order}: {jury.sentence}"
            yield subject.finding("DATE-ORDER", dates.either, said, witnesses=witnesses)
        return
    option = f"--set 'clean.{{}}=[\"{subject.name}\"]'"
    options = f"decide with {option.format('day_first')} or {option.format('month_first')}; until then it stays text"
    if jury.conflict:
        fewer = min(dates.day_first_only, dates.month_first_only)
        said = f"{subject.name} holds dates of both orders: {jury.sentence}"
        advice = f"{options}; the {fewer:,} or more of the other order then count as no dates"
        yield subject.finding("DATE-ORDER-CONFLICT", fewer, said, advice, witnesses=witnesses)
    else:
        said = f"day and month of {subject.name} cannot be told apart: {jury.sentence}"
        yield subject.finding(
            "DATE-ORDER-UNDECIDED", dates.either, said, options, witnesses=dates.convertible_witnesses[:5]
        )


def _of_zones(subject: Subject, dates: DateFacts) -> Iterator[Finding]:
    if subject.kind not in DATE_KINDS and 0 < dates.with_offset < dates.iso + dates.convertible:
        others = dates.iso + dates.convertible - dates.with_offset
        said = (
            f"{counted(dates.with_offset, 'date')} of {subject.name} {inflected(dates.with_offset, 'has', 'have')} a time zone and {others:,} have none; "
            f"the column stays {subject.verdict.chosen}"
        )
        option = f"--set 'clean.time_zones=[\"{subject.name}=Europe/Berlin\"]'"
        advice = f"agree, or say in which zone the others were written ({option}), or give them one in the source"
        yield subject.finding("DATE-ZONES-MIXED", min(dates.with_offset, others), said, advice)


def _of_corrupt_dates(subject: Subject, dates: DateFacts) -> Iterator[Finding]:
    corrupt, facts = subject.verdict.corrupt_dates, subject.facts
    if not corrupt:
        return
    said = f"{corrupt:,} of {counted(facts.rows, 'value')} ({corrupt / facts.rows:.2%}) in {subject.name} cannot be read as a date"
    losers = outvoted(dates, subject.jury)
    if losers:
        said += f"; {losers:,} of them have day and month the other way round"
    against = dates.month_first_witnesses if subject.verdict.day_first else dates.day_first_witnesses
    yield subject.finding(
        "DATE-CORRUPT",
        corrupt,
        f"{said}{suspects(facts)}; they go to the quarantine",
        mark_advice(facts),
        suggestion=likely_mark(facts),
        witnesses=(*dates.unreadable_witnesses, *(against if losers else ()), *facts.misfit_witnesses)[:20],
    )


def _of_iso(subject: Subject, dates: DateFacts) -> Iterator[Finding]:
    rewritten = dates.convertible - outvoted(dates, subject.jury)
    if rewritten <= 0:
        return
    ordered = sorted(((count, shape) for shape, count in dates.shapes.items() if count), reverse=True)
    shapes = ", ".join(f"{count:,} {shape}" for count, shape in ordered[:_MOST_LISTED])
    said = f"{counted(rewritten, 'date')} of {subject.name} {inflected(rewritten, 'is', 'are')} rewritten to ISO ({shapes})"
    advice = "nothing to do: each is in the ledger"
    yield subject.finding("DATE-TO-ISO", rewritten, said, advice, witnesses=dates.convertible_witnesses)


def _of_moments(subject: Subject, dates: DateFacts) -> Iterator[Finding]:
    if dates.future:
        said = f"{counted(dates.future, 'date')} of {subject.name} {inflected(dates.future, 'lies', 'lie')} in the future, the latest {dates.latest}"
        advice = "they are loaded as they are; correct them in the source if they are typing errors"
        yield subject.finding("DATE-FUTURE", dates.future, said, advice)
    for place, end in (("earliest", dates.earliest), ("latest", dates.latest)):
        if end is not None and end[:10] in SENTINELS:
            said = f"the {place} date of {subject.name} is {end[:10]}, which often stands for no date at all"
            advice = f"if it does, say --null-marker '{subject.name}={end}' for each way it is written"
            yield subject.finding("DATE-SENTINEL", 1, said, advice, suggestion=end)


# Types


def _of_type(subject: Subject) -> Iterator[Finding]:
    facts, verdict, kind = subject.facts, subject.verdict, subject.kind
    misfits = misfits_of(facts, kind) if facts.present else 0
    if verdict.mismatched:
        said = (
            f"{subject.name} is declared {verdict.declared}, but {facts.misfits:,} of its {counted(facts.rows, 'value')} {inflected(facts.rows, 'is', 'are')} "
            f"something else{suspects(facts)}; the column is loaded as {verdict.chosen}"
        )
        yield subject.finding(
            "TYPE-MISMATCH",
            facts.misfits,
            said,
            mark_advice(facts),
            suggestion=suggestion(facts),
            witnesses=facts.misfit_witnesses,
        )
    elif misfits and kind not in DATE_KINDS and kind is not Kind.TEXT:
        share = misfits / facts.rows
        said = f"{misfits:,} of {counted(facts.rows, 'value')} ({share:.2%}) in {subject.name} {inflected(misfits, 'is', 'are')} no {verdict.chosen}"
        yield subject.finding(
            "TYPE-RESIDUE",
            misfits,
            f"{said}{suspects(facts)}; they go to the quarantine",
            mark_advice(facts),
            suggestion=likely_mark(facts),
            witnesses=facts.misfit_witnesses,
        )
    else:
        yield from _of_widening(subject)
    if kind is Kind.DOUBLE and facts.reals and facts.whole_reals == facts.reals:
        said = f"every number of {subject.name} is whole, but stored as REAL: probably an id beside NULLs"
        advice = f"nothing to do, or {subject.set_type('bigint')} makes integers of them"
        yield subject.finding("WHOLE-REALS", facts.whole_reals, said, advice, suggestion="bigint")


def _of_widening(subject: Subject) -> Iterator[Finding]:
    """Another type than declared, or one for values of several kinds."""
    facts, verdict, kind = subject.facts, subject.verdict, subject.kind
    if not facts.present:
        return
    advice = f"nothing to do, or {subject.set_type('TYPE')}"
    if verdict.declared_kind is None or kind is Kind.BYTES:
        stored = {
            "integers": facts.integers,
            "reals": facts.reals,
            "texts": facts.texts - facts.empties,
            "BLOBs": facts.blobs,
        }
        kinds = [f"{count:,} {name}" for name, count in stored.items() if count]
        if len(kinds) > 1 and kind not in _NUMBERS:
            said = f"{subject.name} holds {', '.join(kinds)}; it becomes {verdict.chosen}, which holds all of them"
            yield subject.finding("TYPE-MIXED", facts.present, said, advice)
            return
    declared = declared_target(verdict.declared)
    if declared is not None and declared.sql != verdict.chosen and kind not in DATE_KINDS:
        said = f"{subject.name} is declared {verdict.declared} and becomes {verdict.chosen}: {verdict.reason}"
        yield subject.finding("TYPE-WIDENED", misfits_of(facts, declared.kind), said, advice)


# Texts and what stands for missing


def _of_texts(subject: Subject) -> Iterator[Finding]:
    facts, is_text = subject.facts, subject.kind is Kind.TEXT
    if is_text and not subject.verdict.mismatched:
        yield from _of_unloadable(subject)
        yield from _of_marks(subject)
    if is_text and facts.leading_zeros:
        said = f"{counted(facts.leading_zeros, 'value')} of {subject.name} {inflected(facts.leading_zeros, 'is', 'are')} digits with a leading zero; they stay text, unchanged"
        yield subject.finding("LEADING-ZEROS", facts.leading_zeros, said)
    if is_text and facts.with_controls:
        said = f"{facts.with_controls:,} texts of {subject.name} hold control characters; they are loaded unchanged"
        yield subject.finding("TEXT-CONTROL", facts.with_controls, said)


def _of_unloadable(subject: Subject) -> Iterator[Finding]:
    facts = subject.facts
    count = misfits_of(facts, Kind.TEXT)
    if not count:
        return
    causes = {
        "with a NUL character": facts.with_nul,
        "not UTF-8": facts.invalid_utf8,
        "binary": facts.blobs,
    }
    listed = ", ".join(f"{n:,} {cause}" for cause, n in causes.items() if n)
    rule = "cp1252" if facts.invalid_utf8 else ESCAPE
    yield subject.finding(
        "TEXT-UNLOADABLE",
        count,
        f"{counted(count, 'value')} of {subject.name} cannot stand in PostgreSQL as text ({listed}); "
        "they go to the quarantine with their bytes",
        f"agree; or decode them: --set 'clean.decode=[\"{subject.name}={rule}\"]' (an encoding, escape or strip-nul); or "
        f"keep the column's bytes: {subject.set_type('bytea')}",
        suggestion=rule,
        witnesses=facts.misfit_witnesses,
    )


def _of_marks(subject: Subject) -> Iterator[Finding]:
    """Marks in a column that ends as text: told, but asked about where they alone keep it from a better type."""
    facts, mark = subject.facts, likely_mark(subject.facts)
    if mark is None:
        return
    ordered = sorted(((count, text) for text, count in facts.missing_marks.items()), reverse=True)
    listed = ", ".join(f"{count:,} {text!r}" for count, text in ordered[:_MOST_LISTED])
    total = sum(facts.missing_marks.values())
    said = f"{total:,} of {counted(facts.rows, 'value')} of {subject.name} often {inflected(total, 'means', 'mean')} missing: {listed}"
    severity = None
    if facts.proposed is not Kind.TEXT and facts.misfits == total:
        said += f"; but for them the column would be {facts.proposed}"
        severity = Severity.REVIEW
    advice = f"if they do, say --null-marker '{subject.name}={mark}'"
    yield subject.finding("MISSING-MARK", total, said, advice, severity=severity, suggestion=mark)


def _of_empties(subject: Subject, schema: Schema) -> Iterator[Finding]:
    facts = subject.facts
    if not facts.empties or subject.kind in (Kind.TEXT, Kind.BYTES):
        return
    if schema.table(facts.table).column(facts.column).not_null:
        said = (
            f"{counted(facts.empties, 'value')} of {subject.name} {inflected(facts.empties, 'is', 'are')} empty, the column is NOT NULL and a "
            f"{subject.verdict.chosen} cannot be empty"
        )
        advice = f"load it as text: {subject.set_type('text')}, or fill it in the source"
        yield subject.finding("EMPTY-NOT-NULL", facts.empties, said, advice)
    else:
        said = f"{counted(facts.empties, 'empty value')} of {subject.name} {inflected(facts.empties, 'becomes', 'become')} NULL"
        yield subject.finding("EMPTY-TO-NULL", facts.empties, said, "nothing to do: each is in the ledger")
