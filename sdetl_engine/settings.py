"""Every threshold and connection setting, in one validated tree.

Layers, each over the one before: the defaults below, the plan (TOML), the environment
(``SDETL_GATES__MIN_SCORE=85``; ``__`` stands for the dot), ``--set gates.min_score=85``.
A key that nobody knows, or a value out of range, is a :class:`~sdetl_engine.errors.UsageError` that names the
key, where it came from and the nearest key that exists.

No password is a setting: the target's credentials come from ``--target``, ``PG*``, ``~/.pgpass`` or a service.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sdetl_engine.errors import UsageError
from sdetl_engine.findings import Choice, Decision
from sdetl_engine.values.types import TargetType

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0.0, le=86_400.0, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]

ENVIRONMENT_PREFIX = "SDETL_"
MEGABYTE = 1024**2
GIGABYTE = 1024**3


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(_Group):
    """How the source file is read."""

    lock_timeout: Seconds = 10.0
    """How long to wait for a writer to finish before refusing (seconds)."""
    exclude_tables: tuple[str, ...] = ()
    """Tables that are not migrated.  Named in the report."""
    exclude_columns: tuple[str, ...] = ()
    """``table.column`` that are not migrated.  Named in the report."""


class ProfileSettings(_Group):
    """How types are found."""

    sample_rows: Annotated[int, Field(ge=100, le=10_000_000)] = 5000
    type_confidence: Annotated[float, Field(gt=0.5, le=1.0)] = 0.95
    seed: Annotated[int, Field(ge=0)] = 20251019
    evidence_rows: Annotated[int, Field(ge=0, le=1000)] = 20
    """Rows named as evidence for each finding."""


class GateSettings(_Group):
    """Where gates halt."""

    max_mismatched_columns: Share = 0.10
    max_corrupt_dates: Share = 0.20
    halt_score: Score = 50.0
    min_score: Score = 80.0


class CleanSettings(_Group):
    """What cleaning may change."""

    empty_to_null: tuple[str, ...] = ()
    """``table.column`` (``*`` allowed on either side) whose ``''`` becomes NULL, beside date columns."""
    null_markers: tuple[str, ...] = ()
    """``TABLE.COLUMN=MARK`` or ``*=MARK``: values that mean "missing"."""
    day_first: tuple[str, ...] = ()
    """``table.column`` (``*`` allowed) whose undecidable dates are read day first."""
    month_first: tuple[str, ...] = ()
    """``table.column`` (``*`` allowed) whose undecidable dates are read month first."""


class ScoreWeights(_Group):
    """Weights of the five dimensions; they need not add up to 100."""

    completeness: Weight = 40.0
    validity: Weight = 30.0
    consistency: Weight = 20.0
    uniqueness: Weight = 5.0
    integrity: Weight = 5.0


class ScoreSettings(_Group):
    """How quality is weighed."""

    weights: ScoreWeights = ScoreWeights()


class CanarySettings(_Group):
    """The rehearsal on a sample."""

    fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.10
    schema_name: Annotated[str, Field(alias="schema", min_length=1, max_length=63)] = "servicedesk_canary"
    seed: Annotated[int, Field(ge=0)] = 20251019

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class LoadSettings(_Group):
    """The full load."""

    batch_rows: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    types: dict[str, str] = {}
    """``"table.column" = "numeric(10,2)"``: overrides of the chosen type."""
    indexes: tuple[str, ...] = ()
    """Further indexes: ``table(column, column)``, built after the data."""
    suggested_indexes: Literal["ask", "build", "ignore"] = "ask"
    """What to do with indexes that the dashboards' queries suggest."""
    partition: dict[str, str] = {}
    """``"table" = "column by month"`` or ``by year``."""
    partition_suggest_rows: Annotated[int, Field(ge=1)] = 5_000_000
    """Suggest partitioning from this many rows."""
    relations: tuple[str, ...] = ()
    """Relations that the source does not declare: ``child.column -> parent.column``."""
    infer_relations: bool = True


class HealthSettings(_Group):
    """Where the surroundings stop a run."""

    min_free_bytes: Annotated[int, Field(ge=0)] = GIGABYTE
    start_free_bytes: Annotated[int, Field(ge=0)] = 2 * GIGABYTE
    """Refuse to start with less free than this, or than twice the source."""
    warn_memory: Share = 0.80
    max_memory: Share = 0.90


class BackupSettings(_Group):
    """Backups and how long they live."""

    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    dump_command: tuple[str, ...] = ()
    """A command of the site's own in place of the bundled pg_dump, e.g.
    ``["docker", "exec", "-i", "servicedesk-postgres", "pg_dump", "-U", "servicedesk_user", "-d", "servicedesk"]``.
    sdetl adds ``-F c -n SCHEMA`` and reads the dump from its standard output."""
    dump_timeout: Seconds = 3600.0


class DashboardSettings(_Group):
    """The dashboards whose queries are tried."""

    directory: str | None = None
    slow_seconds: Seconds = 5.0
    timeout_seconds: Seconds = 30.0
    variables: dict[str, str] = {}
    """Values for template variables that the dashboards leave open."""
    range_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    """The time range that ``$__timeFilter`` and its like stand for, back from now, where a dashboard has none."""
    role: str | None = None
    """The role that Grafana logs in as; queries are tried as this role when the operator may SET ROLE to it."""


class ValidateSettings(_Group):
    """What is compared on both sides."""

    exact_distinct_rows: Annotated[int, Field(ge=1)] = 200_000
    """Count distinct values of whole columns up to this many rows; of the first so many rows in larger tables."""


class CutoverSettings(_Group):
    """The switch."""

    lock_timeout_ms: Annotated[int, Field(ge=1, le=900)] = 50
    """Stays under PostgreSQL's deadlock_timeout (1 s), so that sdetl is always the one that yields."""
    attempts: Annotated[int, Field(ge=1, le=10_000)] = 100
    budget_seconds: Seconds = 60.0


class TargetSettings(_Group):
    """The PostgreSQL session."""

    connect_timeout: Annotated[int, Field(ge=1, le=300)] = 10
    pool_size: Annotated[int, Field(ge=2, le=32)] = 4
    embedded_version: Literal[16, 18] = 18
    """Major version of the server that ``--target embedded`` starts."""


class PlanDecision(_Group):
    """A decision as it stands in a plan."""

    rule: str
    choice: Choice
    reason: Annotated[str, Field(min_length=1)]
    table: str | None = None
    column: str | None = None
    argument: str | None = None
    who: str | None = None
    when: str | None = None

    def as_decision(self) -> Decision:
        """The same, as the engine uses it."""
        return Decision(**self.model_dump())


class Settings(_Group):
    """All settings of a run, with the decisions that stand in its plan."""

    serving_schema: Annotated[str, Field(min_length=1)] = "servicedesk"
    source: SourceSettings = SourceSettings()
    profile: ProfileSettings = ProfileSettings()
    gates: GateSettings = GateSettings()
    clean: CleanSettings = CleanSettings()
    score: ScoreSettings = ScoreSettings()
    canary: CanarySettings = CanarySettings()
    load: LoadSettings = LoadSettings()
    health: HealthSettings = HealthSettings()
    backup: BackupSettings = BackupSettings()
    dashboards: DashboardSettings = DashboardSettings()
    validate_: ValidateSettings = Field(default=ValidateSettings(), alias="validate")
    cutover: CutoverSettings = CutoverSettings()
    target: TargetSettings = TargetSettings()
    decisions: tuple[PlanDecision, ...] = ()

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_validator("serving_schema")
    @classmethod
    def _name_fits(cls, name: str) -> str:
        # A version is called <serving>_v20251019_143022, its quarantine <version>_quarantine: 28 bytes more.
        if len(name.encode()) > 63 - 28 or "\0" in name or name.startswith("pg_"):
            raise ValueError("a serving schema has at most 35 bytes and does not begin with pg_")
        return name

    @field_validator("load")
    @classmethod
    def _types_exist(cls, load: LoadSettings) -> LoadSettings:
        for text in load.types.values():
            TargetType.parse(text)
        return load
