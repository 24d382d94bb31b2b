"""From rows to what the profile says about them: a real SQLite file, really sampled, scanned and judged."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdetl_engine.events import SilentReporter
from sdetl_engine.findings import Finding
from sdetl_engine.profiling import breaker, jury, review, sampling, verdict
from sdetl_engine.profiling.facts import ColumnFacts, KeyFacts, SampleVerdict, TableFacts, TypeVerdict
from sdetl_engine.sqlite.cleaned import ColumnRules, clean
from sdetl_engine.sqlite.keys import check_key, check_relation
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.sample import sample_table
from sdetl_engine.sqlite.scan import scan_table
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.values.missing import markers_for
from sdetl_engine.values.schema import Relation, Schema, Table
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

NOW = datetime(2025, 10, 19, 14, 30, 22, tzinfo=UTC)
CONFIDENCE = 0.95
DATA = Path(__file__).parents[3] / "shared" / "data"

Rows = Sequence[Sequence[object]]


@dataclasses.dataclass(frozen=True)
class Profiled:
    """Everything that was found out about one file."""

    path: Path
    schema: Schema
    samples: Mapping[str, Mapping[str, SampleVerdict]]
    tables: tuple[TableFacts, ...]
    verdicts: tuple[TypeVerdict, ...]
    juries: Mapping[tuple[str, str], jury.JuryVerdict]
    relation_facts: tuple[KeyFacts, ...]
    findings: tuple[Finding, ...]
    judged: breaker.BreakerVerdict

    def verdict(self, column: str = "c", table: str = "t") -> TypeVerdict:
        return next(v for v in self.verdicts if (v.table, v.column) == (table, column))

    def facts(self, column: str = "c", table: str = "t") -> ColumnFacts:
        return next(t for t in self.tables if t.table == table).column(column)

    def rules(self) -> set[str]:
        return {f.rule for f in self.findings}

    def finding(self, rule: str) -> Finding:
        (found,) = [f for f in (*self.judged.findings, *self.findings) if f.rule == rule]
        return found


def column(folder: Path, declared: str, values: Sequence[object], **how: object) -> Profiled:
    """Profile the table ``t`` with a key ``id`` and the column ``c`` of that declaration, holding those values."""
    rows = list(enumerate(values, start=1))
    return table(folder, f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {declared})", {"t": rows}, **how)


def table(folder: Path, script: str, rows: Mapping[str, Rows], **how: object) -> Profiled:
    """Profile a database made of that script and those rows."""
    path = folder / "source.db"
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        for name, many in rows.items():
            for row in many:
                connection.execute(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(row))})', row)
        connection.commit()
    return profile(path, **how)  # type: ignore[arg-type]


def profile(
    path: Path,
    *,
    marks: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    decided: bool | None = None,
    left_out: Collection[str] = (),
    relations: Sequence[Relation] = (),
) -> Profiled:
    """Profile a file with those ``--null-marker``, types and left-out columns (``table.column``) of the plan."""
    wanted = types or {}
    with open_readonly(path) as connection:
        schema = read_schema(connection)
        samples = {t.name: _sample(connection, t, marks) for t in schema.tables}
        tables = tuple(
            _measure(connection, path, t, _proposals(t, samples[t.name], wanted), marks) for t in schema.tables
        )
        found = (*_declared(schema), *relations)
        relation_facts = tuple(check_relation(connection, r) for r in found)
    juries = {key: one for t in tables for key, one in _settle(t, decided).items()}
    ends = {(r.child, c) for r in found for c in r.child_columns}
    ends |= {(r.parent, c) for r in found for c in r.parent_columns}
    verdicts = tuple(
        dataclasses.replace(one, left_out=True) if f"{one.table}.{one.column}" in left_out else one
        for t in tables
        for c in t.columns
        for one in [
            verdict.choose_type(
                schema.table(t.table).column(c.column),
                samples[t.table][c.column],
                c,
                is_key=(t.table, c.column) in ends or _in_unique(schema.table(t.table), c.column),
                confidence=CONFIDENCE,
                override=wanted.get(f"{t.table}.{c.column}"),
                jury=juries.get((t.table, c.column)),
            )
        ]
    )
    findings = review.findings_of_profile(schema, tables, verdicts, juries, relation_facts)
    judged = breaker.evaluate(verdicts, tables, max_mismatched_columns=0.10, max_corrupt_dates=0.20)
    return Profiled(path, schema, samples, tables, verdicts, juries, relation_facts, findings, judged)


def cleaned(profiled: Profiled, folder: Path, marks: Sequence[str] = ()) -> tuple[TableFacts, ...]:
    """Clean the file as the checklist does, and measure the result against the chosen types."""
    rules = {}
    for one in profiled.verdicts:
        kind = TargetType.parse(one.chosen).kind
        rules[one.table, one.column] = ColumnRules(
            to_iso=kind in DATE_KINDS,
            day_first=one.day_first,
            marks=markers_for(marks, one.table, one.column),
            empty_to_null=kind not in (Kind.TEXT, Kind.BYTES, Kind.JSON, Kind.JSONB),
        )
    output = folder / "clean.db"
    clean(
        profiled.path,
        output,
        folder / "ledger.db",
        profiled.schema,
        rules,
        reporter=SilentReporter(),
        health=lambda: None,
    )
    with open_readonly(output) as connection:
        return tuple(_measure_clean(connection, output, t, profiled) for t in profiled.schema.tables)


def _measure_clean(connection: sqlite3.Connection, path: Path, table: Table, profiled: Profiled) -> TableFacts:
    verdicts = {c.name: profiled.verdict(c.name, table.name) for c in table.columns}
    kinds = {name: TargetType.parse(one.chosen).kind for name, one in verdicts.items()}
    # A date of the outvoted order is readable again for whoever does not know how the order was settled.
    order = {name: one.day_first for name, one in verdicts.items()}
    return _measure(connection, path, table, kinds, (), order)


def real(name: str, folder: Path) -> Path:
    """A copy of one of the real databases; the test is skipped where they are not at hand."""
    source = DATA / name
    if not source.exists():
        pytest.skip(f"the real database {name} is not beside the project")
    copy = folder / os.path.basename(name)
    copy.write_bytes(source.read_bytes())
    return copy


def _sample(connection: sqlite3.Connection, table: Table, marks: Sequence[str]) -> Mapping[str, SampleVerdict]:
    rows = sample_table(connection, table, 5000, 1)
    return sampling.judge_sample(rows, table.columns, markers=_markers(table, marks), confidence=CONFIDENCE)


def _markers(table: Table, marks: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    return {c.name: markers_for(marks, table.name, c.name) for c in table.columns}


def _proposals(table: Table, samples: Mapping[str, SampleVerdict], types: Mapping[str, str]) -> Mapping[str, Kind]:
    asked = sampling.proposals(table, samples)
    for c in table.columns:
        if f"{table.name}.{c.name}" in types:
            asked[c.name] = TargetType.parse(types[f"{table.name}.{c.name}"]).kind
    return asked


def _measure(
    connection: sqlite3.Connection,
    path: Path,
    table: Table,
    kinds: Mapping[str, Kind],
    marks: Sequence[str],
    day_first: Mapping[str, bool | None] | None = None,
) -> TableFacts:
    facts = scan_table(
        path,
        table,
        kinds,
        markers=_markers(table, marks),
        evidence_rows=20,
        now=NOW,
        reporter=SilentReporter(),
        day_first=day_first,
    )
    keys = [check_key(connection, table, table.primary_key, "primary")] if table.primary_key else []
    for index in table.indexes:
        names = [term.column for term in index.terms if term.column is not None]
        if index.unique and index.origin != "pk":
            keys.append(check_key(connection, table, names, "unique"))
    return dataclasses.replace(facts, keys=tuple(keys))


def _in_unique(table: Table, name: str) -> bool:
    return any(term.column == name for index in table.indexes if index.unique for term in index.terms)


def _settle(table: TableFacts, decided: bool | None) -> Mapping[tuple[str, str], jury.JuryVerdict]:
    dated = {c.column: c.dates for c in table.columns if c.dates is not None}
    return {
        (table.table, name): jury.day_first(
            dates, [other for its, other in dated.items() if its != name], decided=decided
        )
        for name, dates in dated.items()
    }


def _declared(schema: Schema) -> list[Relation]:
    return [
        Relation(t.name, k.columns, k.parent, k.parent_columns, "declared")
        for t in schema.tables
        for k in t.foreign_keys
    ]
