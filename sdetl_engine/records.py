"""What each stage found, as frozen data: kept in the run's folder, read by later stages, screens and the report.

A stage never imports another stage; what passes between them is here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sdetl_engine.checklist import Stage
from sdetl_engine.checks import Check as Check
from sdetl_engine.checks import Verdict as Verdict
from sdetl_engine.findings import Finding, StageResult
from sdetl_engine.grafana.twins import TwinVerdict
from sdetl_engine.postgres.content import TableContent
from sdetl_engine.postgres.plan import NotMigrated
from sdetl_engine.profiling.facts import KeyFacts, SampleVerdict, TableFacts, TypeVerdict
from sdetl_engine.sqlite.fingerprint import Fingerprint
from sdetl_engine.values.schema import Relation, Schema


def _named(**lists: list[str]) -> dict[str, object]:
    """The lists that name something."""
    return {key: names for key, names in lists.items() if names}


@dataclasses.dataclass(frozen=True, slots=True)
class RawTable:
    """One table as read from the source's own bytes, before recovery."""

    table: str
    rows: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSource:
    """The copy that everything after pre-flight reads, and the source's fingerprint when it was taken.

    Sizes in bytes; hashes in hexadecimal, of the finished copy as re-read from disk.  ``byte_identical`` when
    the copy's bytes are the source's; otherwise a write-ahead log or journal was taken in (``recovered``).
    """

    path: str
    bytes: int
    md5: str
    sha256: str
    source_sha256: str
    byte_identical: bool
    recovered: str
    fingerprint: Fingerprint
    raw_tables: tuple[RawTable, ...] = ()
    """Rows and digests read from the raw bytes of source and log, where something had to be recovered."""


@dataclasses.dataclass(frozen=True, slots=True)
class PreflightResult:
    """Every check with its verdict.  A failed one has already stopped the run."""

    checks: tuple[Check, ...]
    frozen: FrozenSource
    source_schema: Schema
    server_version: str | None = None
    target: str | None = None
    target_identity: str | None = None
    live_version: str | None = None
    """The version that was live when the run began."""
    serving_exists: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """Counts by verdict."""
        return {
            "checks": len(self.checks),
            "warnings": sum(c.verdict is Verdict.WARNING for c in self.checks),
            "unknown": sum(c.verdict is Verdict.UNKNOWN for c in self.checks),
            "tables": len(self.source_schema.tables),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class TableCopy:
    """One table in source and copy: rows and content digest, and whether they are equal."""

    table: str
    rows: int
    sha256: str
    source_rows: int
    source_sha256: str

    @property
    def equal(self) -> bool:
        """True when both sides hold the same content."""
        return (self.rows, self.sha256) == (self.source_rows, self.source_sha256)


@dataclasses.dataclass(frozen=True, slots=True)
class DumpRecord:
    """The dump of the serving schema, proved by listing it."""

    path: str
    bytes: int
    md5: str
    sha256: str
    objects: int
    tables: int
    content: Mapping[str, TableContent] = dataclasses.field(default_factory=dict)
    """What the serving schema held when it was dumped, by table."""
    schema: str | None = None
    """The schema that readers read then; None in results of versions of sdetl that did not note it."""


@dataclasses.dataclass(frozen=True, slots=True)
class BackupResult:
    """Both backups.  ``dump`` is None when there was no serving schema to dump."""

    path: str
    bytes: int
    md5: str
    sha256: str
    compared: str
    """How copy and source were compared: ``bytes`` (equal SHA-256 of both, re-read) or ``content`` (digests)."""
    tables: tuple[TableCopy, ...]
    manifest: str
    dump: DumpRecord | None
    dump_skipped: str | None
    removed: tuple[str, ...] = ()
    """What retention removed."""
    findings: tuple[Finding, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """Sizes, hashes and counts."""
        return {
            "path": self.path,
            "bytes": self.bytes,
            "md5": self.md5,
            "sha256": self.sha256,
            "tables_equal": sum(t.equal for t in self.tables),
            "dump": self.dump.path if self.dump else self.dump_skipped,
            "removed": len(self.removed),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class GaugeReading:
    """One threshold of the circuit breaker: what was measured against which limit."""

    name: str
    measured: float
    limit: float
    tripped: bool
    subject: str
    sentence: str


@dataclasses.dataclass(frozen=True, slots=True)
class ProfileResult:
    """Every column measured and judged."""

    tables: tuple[TableFacts, ...]
    samples: Mapping[str, Mapping[str, SampleVerdict]]
    verdicts: tuple[TypeVerdict, ...]
    relations: tuple[Relation, ...]
    relation_facts: tuple[KeyFacts, ...]
    gauges: tuple[GaugeReading, ...]
    jury: Mapping[str, str]
    """``table.column`` to the sentence about how its days and months were told apart."""
    compared_with: str | None = None
    """The live version (or the serving schema, where nobody managed it) that drift was measured against, if any."""
    findings: tuple[Finding, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(t.rows for t in self.tables)

    def table(self, name: str) -> TableFacts:
        """Facts of the table of that exact name.  Raises KeyError."""
        for table in self.tables:
            if table.table == name:
                return table
        raise KeyError(name)

    def verdict(self, table: str, column: str) -> TypeVerdict:
        """The verdict on a column.  Raises KeyError."""
        for verdict in self.verdicts:
            if (verdict.table, verdict.column) == (table, column):
                return verdict
        raise KeyError((table, column))

    @property
    def summary(self) -> dict[str, object]:
        """Counts, and the breaker's state."""
        return {
            "tables": len(self.tables),
            "columns": len(self.verdicts),
            "rows": self.rows,
            "mismatched_columns": sum(v.mismatched for v in self.verdicts),
            "breaker_tripped": any(g.tripped for g in self.gauges),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class CleanedResult:
    """The cleaned copy and its ledger."""

    path: str
    ledger: str
    sha256: str
    rows: Mapping[str, int]
    cells_changed: int
    by_rule: Mapping[str, int]
    by_column: Mapping[str, Mapping[str, int]]
    """``table.column`` to rule to count."""
    second_pass_changes: int
    findings: tuple[Finding, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """Counts by rule."""
        return {
            "rows": sum(self.rows.values()),
            "cells_changed": self.cells_changed,
            "second_pass_changes": self.second_pass_changes,
            **{f"rule_{name}": count for name, count in self.by_rule.items()},
        }


@dataclasses.dataclass(frozen=True, slots=True)
class ScoredDimension:
    """One dimension, before and after cleaning: shares of 0..100, None when there was nothing to assess."""

    weight: float
    before: float | None
    after: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreReceipt:
    """Points lost after cleaning, and what fixing the cause would win back."""

    dimension: str
    table: str
    column: str | None
    count: int
    points: float
    win_back: float
    sentence: str


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreResult:
    """The quality score, 0..100."""

    before: float
    after: float
    dimensions: Mapping[str, ScoredDimension]
    receipts: tuple[ScoreReceipt, ...]
    clean_tables: tuple[TableFacts, ...]
    """The cleaned file, measured again: what the load relies on."""
    receipts_before: tuple[ScoreReceipt, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """Both totals."""
        return {"before": round(self.before, 2), "after": round(self.after, 2), "receipts": len(self.receipts)}


@dataclasses.dataclass(frozen=True, slots=True)
class TableProof:
    """What left SQLite and what PostgreSQL holds, bit for bit."""

    table: str
    rows_sent: int
    rows_held: int
    sha256_sent: str
    sha256_held: str
    equal: bool
    quarantined: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class LoadedResult:
    """A version schema, loaded and proved; the canary's and the full one's alike.

    ``types``: table to column to PostgreSQL type.  ``orphans``: foreign keys that are NOT VALID, with counts.
    """

    version: str
    proof: tuple[TableProof, ...]
    types: Mapping[str, Mapping[str, str]]
    indexes: int
    constraints: int
    not_migrated: tuple[NotMigrated, ...]
    renamed: tuple[tuple[str, str], ...]
    orphans: Mapping[str, int]
    quarantine_schema: str | None
    seconds_by_table: Mapping[str, float]
    load_seconds: float
    dropped: bool = False
    """True for a canary: its schema is gone again."""
    views: tuple[str, ...] = ()
    """Views that give the same rows on both sides."""
    differences: tuple[str, ...] = ()
    """What the canary's validation found; a difference has already stopped the run."""
    findings: tuple[Finding, ...] = ()

    @property
    def rows(self) -> int:
        """Rows held, all tables."""
        return sum(p.rows_held for p in self.proof)

    @property
    def summary(self) -> dict[str, object]:
        """Counts and times."""
        return {
            "version": self.version,
            "tables": len(self.proof),
            "rows": self.rows,
            "indexes": self.indexes,
            "constraints": self.constraints,
            "views": len(self.views),
            "not_migrated": len(self.not_migrated),
            "quarantined": sum(p.quarantined for p in self.proof),
            "load_seconds": round(self.load_seconds, 3),
            **_named(unproved=[p.table for p in self.proof if not p.equal], differences=list(self.differences)),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class ComparedColumn:
    """Aggregates of one column on both sides, as canonical text; ``differs`` names the measures that do."""

    table: str
    column: str
    source: Mapping[str, str | None]
    target: Mapping[str, str | None]
    differs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class TableDiff:
    """One table: rows on both sides (of those compared), and differences by kind.

    ``whole`` is False when only a sample of its rows was compared; ``skipped`` says why none was.
    """

    table: str
    rows_expected: int
    rows_actual: int
    differences: Mapping[str, int]
    whole: bool = True
    skipped: str = ""

    @property
    def total(self) -> int:
        """All its differences."""
        return sum(self.differences.values())


@dataclasses.dataclass(frozen=True, slots=True)
class PanelTwin:
    """The same query on the version that was live, and how the candidate's answer compares with it.

    ``how``: the differences in names and counts, never values.  ``explained``: the data differ enough to explain it.
    ``times_slower`` is None unless the candidate is noticeably slower.
    """

    verdict: TwinVerdict
    milliseconds: float
    rows: int
    how: tuple[str, ...] = ()
    explained: bool = True
    times_slower: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class PanelRecord:
    """One panel query of a dashboard, tried on the candidate under the serving name."""

    dashboard: str
    panel: str
    ref: str
    ok: bool
    milliseconds: float
    rows: int
    error: str | None = None
    skipped: str | None = None
    slow: bool = False
    twin: PanelTwin | None = None
    """None where there was no version to compare with."""


@dataclasses.dataclass(frozen=True, slots=True)
class GrafanaSource:
    """The data source that Grafana reads the target by; what Grafana does not tell is empty.

    ``is_provisioned`` (from a file, never to be written) is None when it is not known; ``said`` is what Grafana says of
    its health when that is not good.
    """

    uid: str
    name: str
    address: str
    database: str
    user: str
    is_provisioned: bool | None
    health: Verdict
    said: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class GrafanaPanel:
    """One panel query as Grafana itself answers it; ``error`` is also why it is unknown.

    ``twin`` compares with what Grafana answered before the switch.
    """

    dashboard: str
    panel: str
    ref: str
    verdict: Verdict
    milliseconds: float = 0.0
    rows: int = 0
    error: str | None = None
    twin: PanelTwin | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class GrafanaSeen:
    """What Grafana showed at one moment.  ``problems``: what could not be asked, and why."""

    url: str
    version: str | None
    source: GrafanaSource | None
    panels: tuple[GrafanaPanel, ...]
    problems: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """Panels by verdict."""
        return {f"grafana_{v}": sum(p.verdict is v for p in self.panels) for v in (Verdict.PASSED, Verdict.FAILED)}


@dataclasses.dataclass(frozen=True, slots=True)
class ValidateResult:
    """Both sides compared, sample queries and dashboards tried."""

    columns: tuple[ComparedColumn, ...]
    type_differences: tuple[str, ...]
    types_checked: int
    sample_queries: tuple[Check, ...]
    panels: tuple[PanelRecord, ...]
    dashboards: Mapping[str, str]
    """Dashboard title to its file."""
    rehearsed_as: str | None = None
    fingerprints: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of the candidate's tables when validation began; see ``postgres.serving``."""
    compared_with: str | None = None
    """The live version (or the serving schema, where nobody managed it) that the panels were compared with, if any."""
    grafana: GrafanaSeen | None = None
    """The panels through Grafana itself, on the version that was live; None when no server was named."""
    diff: tuple[TableDiff, ...] = ()
    """The ledger equation, of all rows or of a sample (``validate.diff``); empty when it was off."""
    findings: tuple[Finding, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """Counts."""
        return {
            "rows_compared": sum(t.rows_expected for t in self.diff),
            "rows_differ": sum(t.total for t in self.diff),
            "columns_compared": len(self.columns),
            "types_checked": self.types_checked,
            "sample_queries": len(self.sample_queries),
            "panels": sum(p.skipped is None for p in self.panels),
            "panels_failed": sum(not p.ok and p.skipped is None for p in self.panels),
            "dashboards": len(self.dashboards),
            **self._twins,
            **(self.grafana.summary if self.grafana is not None else {}),
            **_named(
                columns_differ=[f"{c.table}.{c.column}: {', '.join(c.differs)}" for c in self.columns if c.differs],
                types_differ=list(self.type_differences),
                queries_failed=[q.name for q in self.sample_queries if q.verdict is not Verdict.PASSED],
            ),
        }

    @property
    def _twins(self) -> dict[str, object]:
        """How many panels compare how; nothing when there was nothing to compare with."""
        if self.compared_with is None:
            return {}
        twins = [p.twin for p in self.panels if p.twin is not None]
        found = {f"panels_{v}": sum(t.verdict is v for t in twins) for v in TwinVerdict if v is not TwinVerdict.BROKEN}
        slower = sum(t.times_slower is not None for t in twins)
        return {"compared_with": self.compared_with, **found, "panels_slower": slower}


@dataclasses.dataclass(frozen=True, slots=True)
class CutoverResult:
    """The switch, and what was read back through the serving name afterwards.  Times in seconds."""

    live_version: str
    previous_version: str | None
    adopted: bool
    seconds: float
    lock_seconds: float
    attempts: int
    grants: int
    not_there: tuple[str, ...]
    rollback_command: str | None
    post_checks: tuple[Check, ...]
    switched_at: str
    led_roles: tuple[str, ...] = ()
    """The roles whose ``search_path`` leads to the version; none where it got the serving schema's name."""
    grafana: GrafanaSeen | None = None
    """The panels through Grafana itself after the switch, beside before; None when no server was named."""
    findings: tuple[Finding, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """What is live, what was, and how long readers waited."""
        return {
            "live": self.live_version,
            "previous": self.previous_version,
            "seconds": round(self.seconds, 3),
            "lock_seconds": round(self.lock_seconds, 3),
            "attempts": self.attempts,
            "grants": self.grants,
            **_named(led_roles=list(self.led_roles)),
            "rollback_command": self.rollback_command,
            **(self.grafana.summary if self.grafana is not None else {}),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class ReportResult:
    """Where the documents are."""

    html: str
    json: str
    findings: tuple[Finding, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """Paths."""
        return {"html": self.html, "json": self.json}


RESULT_KINDS: Mapping[Stage, type[StageResult]] = {
    Stage.PREFLIGHT: PreflightResult,
    Stage.BACKUP: BackupResult,
    Stage.PROFILE: ProfileResult,
    Stage.CLEAN: CleanedResult,
    Stage.SCORE: ScoreResult,
    Stage.CANARY: LoadedResult,
    Stage.MIGRATE: LoadedResult,
    Stage.VALIDATE: ValidateResult,
    Stage.CUTOVER: CutoverResult,
    Stage.REPORT: ReportResult,
}
"""What each stage leaves in the run's folder."""
