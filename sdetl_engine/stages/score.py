"""Score: the quality before and after cleaning, with a receipt for every point lost, and the gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.events import Reporter
from sdetl_engine.profiling.facts import TableFacts
from sdetl_engine.quality import gate
from sdetl_engine.quality import score as quality
from sdetl_engine.records import (
    CleanedResult,
    PreflightResult,
    ProfileResult,
    ScoredDimension,
    ScoreReceipt,
    ScoreResult,
)
from sdetl_engine.settings import Settings
from sdetl_engine.sqlite.scan import scan_table
from sdetl_engine.values.schema import Schema
from sdetl_engine.values.types import Kind, TargetType


def score(run: Deployment, reporter: Reporter) -> ScoreResult:
    """Measure the cleaned file again and weigh both."""
    schema = run.results.load(Stage.PREFLIGHT, PreflightResult).source_schema
    profile = run.results.load(Stage.PROFILE, ProfileResult)
    cleaned = run.results.load(Stage.CLEAN, CleanedResult)
    tables = _measure_clean(cleaned, schema, profile, run.settings, reporter)
    weights = run.settings.score.weights.model_dump()
    before = quality.score(profile.tables, profile.verdicts, profile.relation_facts, weights, schema)
    after = quality.score(tables, profile.verdicts, profile.relation_facts, weights, schema)
    run.metrics.set("etl_quality_score", after.total)
    return ScoreResult(
        before=before.total,
        after=after.total,
        dimensions={
            name: ScoredDimension(dimension.weight, _percent(before.dimensions[name].score), _percent(dimension.score))
            for name, dimension in after.dimensions.items()
        },
        receipts=tuple(_receipt(r) for r in after.receipts),
        receipts_before=tuple(_receipt(r) for r in before.receipts),
        clean_tables=tables,
        findings=gate.gate(after, halt_score=run.settings.gates.halt_score, min_score=run.settings.gates.min_score),
    )


def _measure_clean(
    cleaned: CleanedResult, schema: Schema, profile: ProfileResult, settings: Settings, reporter: Reporter
) -> tuple[TableFacts, ...]:
    """Columns that cleaning changed, or whose chosen type is not the one asked about, are read again; the others
    are, cell for cell, those of the profile: cleaning proved that they are equal."""
    measured = []
    for facts in profile.tables:
        table = schema.table(facts.table)
        kinds = {c.column: TargetType.parse(profile.verdict(facts.table, c.column).chosen).kind for c in facts.columns}
        again = [c.column for c in facts.columns if _must_read_again(c.column, facts, cleaned, kinds)]
        if not again:
            measured.append(facts)
            continue
        fresh = scan_table(
            Path(cleaned.path),
            table,
            kinds,
            markers={},
            evidence_rows=settings.profile.evidence_rows,
            now=datetime.now(UTC),
            reporter=reporter,
            columns=again,
            total=facts.rows,
            day_first={name: profile.verdict(facts.table, name).day_first for name in again},
        )
        by_name = {c.column: c for c in fresh.columns}
        columns = tuple(by_name.get(c.column, c) for c in facts.columns)
        measured.append(dataclasses.replace(facts, columns=columns))
    return tuple(measured)


def _must_read_again(column: str, facts: TableFacts, cleaned: CleanedResult, kinds: Mapping[str, Kind]) -> bool:
    known = facts.column(column)
    return f"{facts.table}.{column}" in cleaned.by_column or known.proposed is not kinds[column] or known.marked > 0


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def _receipt(receipt: quality.Receipt) -> ScoreReceipt:
    return ScoreReceipt(
        receipt.dimension,
        receipt.table,
        receipt.column,
        receipt.count,
        receipt.points,
        receipt.win_back,
        receipt.sentence,
    )
