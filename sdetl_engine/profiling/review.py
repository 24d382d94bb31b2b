"""What a profile has to say to the operator: findings in plain words, each with its count and the way out.

``review`` only where somebody really has to choose.  Dirt that cleaning repairs is told, not asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sdetl_engine.findings import Choice, Evidence, Finding, Severity
from sdetl_engine.profiling.breaker import likely_mark, mark_advice, suspects
from sdetl_engine.profiling.facts import ColumnFacts, KeyFacts, TableFacts, TypeVerdict, Witness
from sdetl_engine.profiling.jury import JuryVerdict, SettledBy
from sdetl_engine.values.encodings import visible
from sdetl_engine.values.schema import Schema
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

Juries = Mapping[tuple[str, str], JuryVerdict]
_TYPED_CHOICES = (Choice.QUARANTINE, Choice.MARK_MISSING, Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT, Choice.ACCEPT)


def findings_of_profile(
    schema: Schema,
    tables: Sequence[TableFacts],
    verdicts: Sequence[TypeVerdict],
    juries: Juries,
    relation_facts: Sequence[KeyFacts],
) -> tuple[Finding, ...]:
    """Everything worth saying, table by table, column by column."""
    facts = {(t.table, c.column): c for t in tables for c in t.columns}
    found: list[Finding] = []
    for table in tables:
        found += _of_table(table)
    for verdict in verdicts:
        if not verdict.left_out:
            column = facts[verdict.table, verdict.column]
            found += _of_dates(column, verdict, juries.get((verdict.table, verdict.column)))
            found += _of_values(column, verdict)
            found += _of_texts(column, verdict)
            found += _of_empties(column, verdict, schema)
    found += [_of_relation(r) for r in relation_facts if r.orphan_rows]
    return tuple(found)


def _finding(
    rule: str,
    severity: Severity,
    column: ColumnFacts,
    count: int,
    message: str,
    advice: str,
    choices: tuple[Choice, ...] = (Choice.ACCEPT,),
    suggestion: str | None = None,
    witnesses: Sequence[Witness] = (),
) -> Finding:
    return Finding(
        rule,
        severity,
        message,
        advice,
        table=column.table,
        column=column.column,
        count=count,
        fraction=count / column.rows if column.rows else None,
        choices=choices,
        suggestion=suggestion,
        evidence=tuple(
            Evidence(f"rowid {w.rowid}" if w.rowid is not None else "", visible(w.value, 200)) for w in witnesses
        ),
    )


def _of_table(table: TableFacts) -> Iterator[Finding]:
    if table.rows == 0:
        yield Finding("TABLE-EMPTY", Severity.INFO, f"{table.table} holds no rows", "nothing to do", table=table.table)
    if table.duplicate_rows:
        yield Finding(
            "ROW-DUPLICATE",
            Severity.WARNING,
            f"{table.duplicate_rows:,} rows of {table.table} equal an earlier row in every column",
            "they are loaded as they are; remove them in the source if they are not meant",
            table=table.table,
            count=table.duplicate_rows,
            fraction=table.duplicate_rows / table.rows,
            choices=(Choice.ACCEPT,),
        )
    for key in table.keys:
        yield from _of_key(key)


def _of_key(key: KeyFacts) -> Iterator[Finding]:
    name = f"{key.kind} key of {key.table} ({', '.join(key.columns)})"
    if key.kind == "primary" and key.null_rows:
        yield Finding(
            "KEY-NULL",
            Severity.REVIEW,
            f"the {name} is NULL in {key.null_rows:,} rows; PostgreSQL allows no NULL in a primary key",
            "agree to load the table without its primary key, or fill the keys in the source",
            table=key.table,
            column=key.columns[0] if len(key.columns) == 1 else None,
            count=key.null_rows,
            choices=(Choice.ACCEPT,),
        )
    if key.duplicate_rows:
        yield Finding(
            "KEY-DUPLICATE",
            Severity.REVIEW,
            f"the {name} occurs more than once in {key.duplicate_rows:,} rows",
            "agree to load the table without that key, or remove the duplicates in the source",
            table=key.table,
            column=key.columns[0] if len(key.columns) == 1 else None,
            count=key.duplicate_rows,
            choices=(Choice.ACCEPT,),
        )


def _of_dates(column: ColumnFacts, verdict: TypeVerdict, jury: JuryVerdict | None) -> Iterator[Finding]:
    dates = column.dates
    if dates is None:
        return
    name = f"{column.table}.{column.column}"
    is_date = TargetType.parse(verdict.chosen).kind in DATE_KINDS
    wanted = is_date or verdict.declared_kind in DATE_KINDS or verdict.observed in DATE_KINDS
    if jury is not None and wanted and dates.iso + dates.convertible:
        yield from _of_order(column, jury)
    if is_date and verdict.corrupt_dates:
        yield _finding(
            "DATE-CORRUPT",
            Severity.REVIEW,
            column,
            verdict.corrupt_dates,
            f"{verdict.corrupt_dates:,} of {column.rows:,} values ({verdict.corrupt_dates / column.rows:.2%}) in {name} "
            f"cannot be read as a date{suspects(column)}; they go to the quarantine",
            mark_advice(column),
            _TYPED_CHOICES,
            likely_mark(column),
            dates.unreadable_witnesses,
        )
    if is_date and dates.convertible:
        shapes = ", ".join(
            f"{count:,} {shape}" for shape, count in sorted(dates.shapes.items(), key=lambda i: -i[1])[:4]
        )
        yield _finding(
            "DATE-TO-ISO",
            Severity.INFO,
            column,
            dates.convertible,
            f"{dates.convertible:,} dates of {name} are rewritten to ISO ({shapes})",
            "nothing to do: each is in the ledger",
            witnesses=dates.convertible_witnesses,
        )
    if is_date and dates.future:
        yield _finding(
            "DATE-FUTURE",
            Severity.WARNING,
            column,
            dates.future,
            f"{dates.future:,} dates of {name} lie in the future, the latest {dates.latest}",
            "they are loaded as they are; correct them in the source if they are typing errors",
        )
    if dates.with_offset and dates.with_offset < dates.iso + dates.convertible and wanted:
        yield _finding(
            "DATE-ZONES-MIXED",
            Severity.REVIEW,
            column,
            dates.with_offset,
            f"{dates.with_offset:,} dates of {name} have a time zone and the others have none; the column stays text",
            "agree, or give all of them a zone in the source",
            (Choice.ACCEPT, Choice.SET_TYPE, Choice.LEAVE_OUT),
        )


def _of_order(column: ColumnFacts, jury: JuryVerdict) -> Iterator[Finding]:
    dates = column.dates
    assert dates is not None
    name = f"{column.table}.{column.column}"
    choices = (Choice.DAY_FIRST, Choice.MONTH_FIRST, Choice.LOAD_AS_TEXT, Choice.ACCEPT)
    witnesses = (*dates.day_first_witnesses[:5], *dates.month_first_witnesses[:5])
    options = f"say --set 'clean.day_first=[\"{name}\"]' or clean.month_first; until then the column stays text"
    if jury.settled_by is SettledBy.NOBODY:
        rule = "DATE-ORDER-CONFLICT" if jury.conflict else "DATE-ORDER-UNDECIDED"
        count = dates.either if not jury.conflict else min(dates.day_first_only, dates.month_first_only)
        said = f"day and month of {name} cannot be told apart: {jury.sentence}"
        yield _finding(rule, Severity.REVIEW, column, count, said, options, choices, None, witnesses)
    elif jury.settled_by is not SettledBy.NOTHING_TO_SETTLE:
        word = "day first" if jury.day_first else "month first"
        yield _finding(
            "DATE-ORDER",
            Severity.INFO,
            column,
            dates.either,
            f"{name} is read {word}: {jury.sentence}",
            "nothing to do",
            choices,
            None,
            witnesses,
        )


def _of_values(column: ColumnFacts, verdict: TypeVerdict) -> Iterator[Finding]:
    name = f"{column.table}.{column.column}"
    kind = TargetType.parse(verdict.chosen).kind
    if verdict.mismatched:
        yield _finding(
            "TYPE-MISMATCH",
            Severity.REVIEW,
            column,
            column.misfits,
            f"{name} is declared {verdict.declared}, but {column.misfits:,} of its {column.rows:,} values are something "
            f"else{suspects(column)}; the column is loaded as {verdict.chosen}",
            mark_advice(column),
            (Choice.ACCEPT, Choice.MARK_MISSING, Choice.LEAVE_OUT, Choice.SET_TYPE),
            likely_mark(column),
            column.misfit_witnesses,
        )
    elif column.misfits and kind is column.proposed and kind not in DATE_KINDS and kind is not Kind.TEXT:
        yield _finding(
            "TYPE-RESIDUE",
            Severity.REVIEW,
            column,
            column.misfits,
            f"{column.misfits:,} of {column.rows:,} values in {name} are no {verdict.chosen}{suspects(column)}; "
            "they go to the quarantine",
            mark_advice(column),
            _TYPED_CHOICES,
            likely_mark(column),
            column.misfit_witnesses,
        )
    elif (
        verdict.declared_kind is not None
        and verdict.declared_kind is not kind
        and column.present
        and kind not in DATE_KINDS
    ):
        yield _finding(
            "TYPE-WIDENED",
            Severity.INFO,
            column,
            column.misfits,
            f"{name} is declared {verdict.declared} and becomes {verdict.chosen}: {verdict.reason}",
            f"nothing to do, or --set 'load.types.{name}=TYPE'",
            (Choice.ACCEPT, Choice.SET_TYPE),
        )
    if column.reals and column.whole_reals == column.reals and kind is Kind.DOUBLE:
        yield _finding(
            "WHOLE-REALS",
            Severity.INFO,
            column,
            column.whole_reals,
            f"every number of {name} is whole, but stored as REAL: probably an id beside NULLs",
            f"--set 'load.types.{name}=bigint' makes integers of them",
            (Choice.ACCEPT, Choice.SET_TYPE),
            "bigint",
        )


def _of_texts(column: ColumnFacts, verdict: TypeVerdict) -> Iterator[Finding]:
    name = f"{column.table}.{column.column}"
    is_text = TargetType.parse(verdict.chosen).kind is Kind.TEXT
    told = (Choice.ACCEPT,)
    if is_text and column.misfits and not verdict.mismatched and column.proposed is Kind.TEXT:
        broken = column.with_nul + column.invalid_utf8
        yield _finding(
            "TEXT-UNLOADABLE",
            Severity.REVIEW,
            column,
            column.misfits,
            f"{column.misfits:,} texts of {name} cannot stand in PostgreSQL as they are "
            f"({column.with_nul:,} with a NUL character, {column.invalid_utf8:,} not UTF-8"
            + (f", {column.misfits - broken:,} other" if column.misfits > broken else "")
            + "); they go to the quarantine with their bytes",
            f"agree, or load the bytes: --set 'load.types.{name}=bytea'",
            (Choice.QUARANTINE, Choice.SET_TYPE, Choice.LEAVE_OUT, Choice.ACCEPT),
            "bytea",
            column.misfit_witnesses,
        )
    if column.missing_marks and is_text and not verdict.mismatched:
        listed = ", ".join(
            f"{count:,} {mark!r}" for mark, count in sorted(column.missing_marks.items(), key=lambda i: -i[1])[:4]
        )
        mark = likely_mark(column)
        yield _finding(
            "MISSING-MARK",
            Severity.INFO,
            column,
            sum(column.missing_marks.values()),
            f"{name} holds values that often mean missing: {listed}",
            f"if they do, say --null-marker '{name}={mark}'",
            (Choice.MARK_MISSING, Choice.ACCEPT),
            mark,
        )
    if is_text and column.leading_zeros:
        said = f"{column.leading_zeros:,} values of {name} are digits with a leading zero; they stay text, unchanged"
        yield _finding("LEADING-ZEROS", Severity.INFO, column, column.leading_zeros, said, "nothing to do", told)
    if column.with_controls:
        said = f"{column.with_controls:,} texts of {name} hold control characters; they are loaded unchanged"
        yield _finding("TEXT-CONTROL", Severity.INFO, column, column.with_controls, said, "nothing to do", told)


def _of_empties(column: ColumnFacts, verdict: TypeVerdict, schema: Schema) -> Iterator[Finding]:
    kind = TargetType.parse(verdict.chosen).kind
    if not column.empties or kind in (Kind.TEXT, Kind.BYTES):
        return
    declared = schema.table(column.table).column(column.column)
    name = f"{column.table}.{column.column}"
    if declared.not_null:
        yield _finding(
            "EMPTY-NOT-NULL",
            Severity.REVIEW,
            column,
            column.empties,
            f"{column.empties:,} values of {name} are empty, the column is NOT NULL and a {verdict.chosen} cannot be empty",
            f"load it as text: --set 'load.types.{name}=text', or fill it in the source",
            (Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT, Choice.QUARANTINE, Choice.ACCEPT),
        )
        return
    yield _finding(
        "EMPTY-TO-NULL",
        Severity.INFO,
        column,
        column.empties,
        f"{column.empties:,} empty values of {name} become NULL",
        "nothing to do: each is in the ledger",
    )


def _of_relation(relation: KeyFacts) -> Finding:
    ends = f"{relation.table}.{', '.join(relation.columns)} -> {relation.parent}.{', '.join(relation.parent_columns)}"
    present = relation.rows - relation.null_rows
    share = relation.orphan_rows / present if present else 0.0
    counted = f"{relation.orphan_rows:,} of {present:,} rows ({share:.1%}) of {ends} have no parent in this file"
    if relation.origin == "declared":
        severity, rule, advice = (
            Severity.WARNING,
            "FK-ORPHANS",
            "they are loaded; the foreign key is created NOT VALID, so that new rows are checked",
        )
    else:
        severity, rule, advice = (
            Severity.INFO,
            "RELATION-ORPHANS",
            "they are loaded; usual where the file is an excerpt",
        )
    return Finding(
        rule,
        severity,
        counted,
        advice,
        table=relation.table,
        column=relation.columns[0] if len(relation.columns) == 1 else None,
        count=relation.orphan_rows,
        fraction=share,
        choices=(Choice.ACCEPT,),
    )
