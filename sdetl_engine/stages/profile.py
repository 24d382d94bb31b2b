"""Profile: a random sample proposes each column's type, a full scan asks every value, the breaker decides."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import UsageError
from sdetl_engine.events import Reporter
from sdetl_engine.findings import Finding
from sdetl_engine.profiling import breaker, jury, relations, review, sampling, verdict
from sdetl_engine.profiling.facts import ColumnFacts, KeyFacts, SampleVerdict, TableFacts, TypeVerdict
from sdetl_engine.records import BackupResult, GaugeReading, PreflightResult, ProfileResult
from sdetl_engine.settings import Settings
from sdetl_engine.sqlite.held import colliding_rows, may_collide
from sdetl_engine.sqlite.keys import check_key, check_relation, relation_overlap
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.sample import sample_table
from sdetl_engine.sqlite.scan import scan_table
from sdetl_engine.steps.agreeing import Agreements, as_agreed
from sdetl_engine.steps.drifting import find_drift
from sdetl_engine.values.agreement import NOTHING_AGREED, Agreement
from sdetl_engine.values.missing import markers_for, matches
from sdetl_engine.values.schema import Relation, Schema, Table
from sdetl_engine.values.types import Kind, TargetType

_SAMPLED_CELLS = 250_000


def profile(run: Deployment, reporter: Reporter) -> ProfileResult:
    """Measure and judge every column of the frozen copy."""
    preflight = run.results.load(Stage.PREFLIGHT, PreflightResult)
    path, schema, settings = Path(preflight.frozen.path), preflight.source_schema, run.settings
    _refuse_unknown_columns(schema, settings)
    counted = {t.table: t.rows for t in run.results.load(Stage.BACKUP, BackupResult).tables}
    samples = {t.name: _sample(path, t, counted.get(t.name), settings) for t in schema.tables}
    tables = tuple(_scan(path, t, counted.get(t.name), samples[t.name], settings, reporter) for t in schema.tables)
    tables, agreements = as_agreed(path, schema, tables, settings, reporter)
    tables = tuple(_with_keys(path, schema.table(t.table), t, reporter) for t in tables)
    found = _relations(path, schema, tables, settings)
    relation_facts = _check_relations(path, found, reporter)
    juries = _settle_dates(tables, settings)
    verdicts = _judge_all(schema, tables, samples, juries, agreements, found, settings)
    tables = tuple(_with_collisions(path, schema.table(t.table), t, verdicts, reporter) for t in tables)
    judged = breaker.evaluate(
        verdicts,
        tables,
        max_mismatched_columns=settings.gates.max_mismatched_columns,
        max_corrupt_dates=settings.gates.max_corrupt_dates,
    )
    if judged.tripped:
        run.metrics.count("etl_circuit_breaker_halts", 1)
    findings = review.findings_of_profile(schema, tables, verdicts, juries, relation_facts)
    drift = _drift(run, preflight, tables, verdicts, reporter)
    return ProfileResult(
        tables=tables,
        samples=samples,
        verdicts=verdicts,
        relations=found,
        relation_facts=relation_facts,
        gauges=tuple(
            GaugeReading(g.name, g.measured, g.limit, g.tripped, g.subject, g.sentence) for g in judged.gauges
        ),
        jury={f"{table}.{column}": j.sentence for (table, column), j in juries.items()},
        compared_with=(preflight.live_version or settings.serving_schema) if drift is not None else None,
        findings=(*judged.findings, *findings, *(drift or ())),
    )


def _drift(
    run: Deployment,
    preflight: PreflightResult,
    tables: Sequence[TableFacts],
    verdicts: Sequence[TypeVerdict],
    reporter: Reporter,
) -> tuple[Finding, ...] | None:
    """What is different from the version that readers have; None when there is none, or it is not to be measured."""
    if run.session is None or not preflight.serving_exists or not run.settings.drift.compare:
        return None
    reporter.progress("compare with the live version", 0, None, "tables")
    settings = run.settings
    return find_drift(run.session, settings.serving_schema, preflight.source_schema, tables, verdicts, settings.drift)


def _judge_all(
    schema: Schema,
    tables: Sequence[TableFacts],
    samples: Mapping[str, Mapping[str, SampleVerdict]],
    juries: Mapping[tuple[str, str], jury.JuryVerdict],
    agreements: Agreements,
    found: Sequence[Relation],
    settings: Settings,
) -> tuple[TypeVerdict, ...]:
    declared = [r for r in found if r.origin == "declared"]
    in_relation = {(r.child, c) for r in declared for c in r.child_columns} | {
        (r.parent, c) for r in declared for c in r.parent_columns
    }
    return tuple(
        _judge(
            schema.table(table.table),
            facts,
            samples[table.table][facts.column],
            juries.get((table.table, facts.column)),
            agreements.get((table.table, facts.column), NOTHING_AGREED),
            settings,
            (table.table, facts.column) in in_relation,
        )
        for table in tables
        for facts in table.columns
    )


def _refuse_unknown_columns(schema: Schema, settings: Settings) -> None:
    """A setting that names no column would be a decision that nobody carries out.  Raises UsageError."""
    columns = [(t.name, c.name) for t in schema.tables for c in t.columns]
    spelled = {f"{table}.{column}" for table, column in columns}
    clean = settings.clean
    arguments = {
        "clean.null_markers": clean.null_markers,
        "clean.numbers_as_dates": clean.numbers_as_dates,
        "clean.two_digit_years": clean.two_digit_years,
        "clean.time_zones": clean.time_zones,
        "clean.decode": clean.decode,
    }
    for setting, texts in arguments.items():
        for text in texts:
            if not any(markers_for([text], table, column) for table, column in columns):
                raise _no_column(text, setting, spelled)
    lists = {
        "clean.empty_to_null": settings.clean.empty_to_null,
        "clean.day_first": settings.clean.day_first,
        "clean.month_first": settings.clean.month_first,
        "clean.roll_over": settings.clean.roll_over,
        "source.exclude_columns": settings.source.exclude_columns,
        "load.types": tuple(settings.load.types),
    }
    for setting, patterns in lists.items():
        for pattern in patterns:
            if not any(matches([pattern], table, column) for table, column in columns):
                raise _no_column(pattern, setting, spelled)


def _no_column(text: str, setting: str, spelled: Collection[str]) -> UsageError:
    near = difflib.get_close_matches(text.partition("=")[0], spelled, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    return UsageError(
        f"{setting}: {text!r} names no column of the source{hint}", next_step="correct it and start again"
    )


def _sample(path: Path, table: Table, total: int | None, settings: Settings) -> Mapping[str, SampleVerdict]:
    """Some columns of a wide table at a time, so that its sample does not fill the memory; the rows are the same."""
    wanted, markers = settings.profile.sample_rows, _markers(table, settings)
    at_once = max(1, _SAMPLED_CELLS // wanted)
    found: dict[str, SampleVerdict] = {}
    with contextlib.closing(open_readonly(path)) as connection:
        for start in range(0, len(table.columns), at_once):
            columns = table.columns[start : start + at_once]
            names = [column.name for column in columns]
            rows = sample_table(connection, table, wanted, settings.profile.seed, names=names, total=total)
            found |= sampling.judge_sample(rows, columns, markers=markers, confidence=settings.profile.type_confidence)
    return found


def _scan(
    path: Path,
    table: Table,
    total: int | None,
    samples: Mapping[str, SampleVerdict],
    settings: Settings,
    reporter: Reporter,
) -> TableFacts:
    return scan_table(
        path,
        table,
        _proposals(table, samples, settings),
        markers=_markers(table, settings),
        evidence_rows=settings.profile.evidence_rows,
        now=datetime.now(UTC),
        reporter=reporter,
        total=total,
    )


def _proposals(table: Table, samples: Mapping[str, SampleVerdict], settings: Settings) -> Mapping[str, Kind]:
    """What the scan asks of each column; an override in the plan is asked for instead of what was observed."""
    proposals = dict(sampling.proposals(table, samples))
    for column in table.columns:
        override = settings.load.types.get(f"{table.name}.{column.name}")
        if override is not None:
            proposals[column.name] = TargetType.parse(override).kind
    return proposals


def _markers(table: Table, settings: Settings) -> Mapping[str, tuple[str, ...]]:
    declared = settings.clean.null_markers
    return {c.name: markers_for(declared, table.name, c.name) for c in table.columns}


def _relations(path: Path, schema: Schema, tables: Sequence[TableFacts], settings: Settings) -> tuple[Relation, ...]:
    """Declared foreign keys, those of the plan, and those that names and values give away."""
    declared = [
        Relation(t.name, k.columns, k.parent, k.parent_columns, "declared")
        for t in schema.tables
        for k in t.foreign_keys
        if k.parent_columns
    ]
    planned = [relations.parse(text, schema) for text in settings.load.relations]
    known = [*declared, *planned]
    if not settings.load.infer_relations:
        return tuple(known)
    with open_readonly(path) as connection:
        inferred = relations.infer(schema, lambda c, cc, p, pc: relation_overlap(connection, c, cc, p, pc), tables)
    ends = {(r.child, r.child_columns) for r in known}
    return (*known, *(r for r in inferred if (r.child, r.child_columns) not in ends))


def _with_keys(path: Path, table: Table, facts: TableFacts, reporter: Reporter) -> TableFacts:
    """The facts with every declared key checked over all rows."""
    wanted = [(table.primary_key, "primary")] if table.primary_key else []
    wanted += [
        (tuple(t.column for t in i.terms if t.column is not None), "unique")
        for i in table.indexes
        if i.unique and i.origin != "pk" and i.where is None and all(t.column is not None for t in i.terms)
    ]
    with open_readonly(path) as connection, reporter.interrupting(connection.interrupt):
        keys = tuple(check_key(connection, table, columns, kind) for columns, kind in wanted)
    return dataclasses.replace(facts, keys=keys)


def _with_collisions(
    path: Path, table: Table, facts: TableFacts, verdicts: Sequence[TypeVerdict], reporter: Reporter
) -> TableFacts:
    """The facts with every key asked whether the chosen types make values equal that SQLite keeps apart."""
    chosen = {v.column: v for v in verdicts if v.table == table.name and not v.left_out}
    kinds = {name: TargetType.parse(v.chosen).kind for name, v in chosen.items()}
    order = {name: v.day_first for name, v in chosen.items()}
    keys = []
    with open_readonly(path) as connection, reporter.interrupting(connection.interrupt):
        for key in facts.keys:
            if kinds.keys() >= set(key.columns) and any(may_collide(kinds[c], facts.column(c)) for c in key.columns):
                rows = colliding_rows(connection, table, key.columns, kinds, order)
                key = dataclasses.replace(key, colliding_rows=rows)
            keys.append(key)
    return dataclasses.replace(facts, keys=tuple(keys))


def _check_relations(path: Path, found: Sequence[Relation], reporter: Reporter) -> tuple[KeyFacts, ...]:
    with open_readonly(path) as connection, reporter.interrupting(connection.interrupt):
        return tuple(check_relation(connection, relation) for relation in found)


def _settle_dates(tables: Sequence[TableFacts], settings: Settings) -> Mapping[tuple[str, str], jury.JuryVerdict]:
    """Day and month of every column that holds dates, settled by its values, its neighbours or the operator."""
    settled = {}
    for table in tables:
        dated = [c for c in table.columns if c.dates is not None]
        for column in dated:
            assert column.dates is not None
            neighbours = [c.dates for c in dated if c is not column and c.dates is not None]
            settled[table.table, column.column] = jury.day_first(
                column.dates, neighbours, decided=_decided_order(settings, table.table, column.column)
            )
    return settled


def _decided_order(settings: Settings, table: str, column: str) -> bool | None:
    if matches(settings.clean.day_first, table, column):
        return True
    return False if matches(settings.clean.month_first, table, column) else None


def _judge(
    table: Table,
    facts: ColumnFacts,
    sample: SampleVerdict,
    juror: jury.JuryVerdict | None,
    agreement: Agreement,
    settings: Settings,
    in_relation: bool,
) -> TypeVerdict:
    name = f"{table.name}.{facts.column}"
    judged = verdict.choose_type(
        table.column(facts.column),
        sample,
        facts,
        is_key=in_relation or table.is_in_unique_key(facts.column),
        confidence=settings.profile.type_confidence,
        override=settings.load.types.get(name),
        jury=juror,
        agreement=agreement,
    )
    if matches(settings.source.exclude_columns, table.name, facts.column):
        return dataclasses.replace(
            judged, left_out=True, mismatched=False, corrupt_dates=0, reason="left out by decision"
        )
    return judged
