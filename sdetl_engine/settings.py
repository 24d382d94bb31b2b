"""Every threshold and connection setting, in one validated tree.

Layers, each over the one before: the defaults below, the plan (TOML), the environment
(``SDETL_GATES__MIN_SCORE=85``; ``__`` stands for the dot), ``--set gates.min_score=85``.
A key that nobody knows, or a value out of range, is a :class:`~sdetl_engine.errors.UsageError` that names the
key, where it came from and the nearest key that exists.

No password is a setting: the target's credentials come from ``--target``, ``PG*``, ``~/.pgpass`` or a service.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sdetl_engine.errors import UsageError
from sdetl_engine.findings import Choice, Decision
from sdetl_engine.rules import RULES
from sdetl_engine.values.agreement import NumberUnit, zone_of
from sdetl_engine.values.decoding import check_rule
from sdetl_engine.values.types import TargetType

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0.0, le=86_400.0, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]
Times = Annotated[float, Field(gt=1.0, le=1e6, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]

ENVIRONMENT_PREFIX = "SDETL_"
TAKEN_SCHEMAS: Mapping[str, str] = {
    "sdetl": "the schema of sdetl's registry",
    "information_schema": "PostgreSQL's own",
}
"""Schemas that are somebody's already, and whose."""
_LONGEST_SERVING = 63 - 28
_DRILL_SUFFIX = "_drill"
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
    """Rows of each table that are drawn at random to propose types; every value is asked afterwards."""
    type_confidence: Annotated[float, Field(gt=0.5, le=1.0)] = 0.95
    """Share of the values that must be readable as a type for it to be chosen."""
    seed: Annotated[int, Field(ge=0)] = 20251019
    """Which random sample: the same seed draws the same rows."""
    evidence_rows: Annotated[int, Field(ge=0, le=1000)] = 20
    """Rows named as evidence for each finding."""


class DriftSettings(_Group):
    """From where on a difference to the live version is worth a finding."""

    compare: bool = True
    """Whether the profile measures the live version at all."""
    row_change: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.50
    """Share by which a table may grow or shrink."""
    null_change: Share = 0.10
    """Points by which the share of missing values of a column may change."""
    new_categories: Annotated[int, Field(ge=1)] = 1
    """Least number of values, in a column of few values, that the live version has not."""


class GateSettings(_Group):
    """Where gates halt."""

    max_mismatched_columns: Share = 0.10
    """Halt when the share of columns that do not hold what they declare exceeds this."""
    max_corrupt_dates: Share = 0.20
    """Halt when the share of unreadable dates among the rows of any date column exceeds this."""
    halt_score: Score = 50.0
    """Halt when the score after cleaning is under this."""
    min_score: Score = 80.0
    """Block the migration when the score after cleaning is under this."""


def _unit(text: str) -> object:
    if text not in set(NumberUnit):
        raise ValueError(f"numbers count no {text!r}; they count one of {', '.join(NumberUnit)}")
    return text


def _first_year(text: str) -> object:
    if not re.fullmatch("[0-9]{4}", text) or not 1 <= int(text) <= 9900:
        raise ValueError(f"{text!r} is no year of four digits, the first of a hundred, like 1970")
    return text


CLEAN_ARGUMENTS: Mapping[str, Callable[[str], object]] = {
    "numbers_as_dates": _unit,
    "two_digit_years": _first_year,
    "time_zones": zone_of,
    "decode": check_rule,
}
"""What checks the argument of a setting of the form ``TABLE.COLUMN=VALUE``; each raises ValueError."""


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
    numbers_as_dates: tuple[str, ...] = ()
    """``TABLE.COLUMN=UNIT``: numbers that count seconds, milliseconds, microseconds or nanoseconds since 1970 (UTC) or
    julian-days, or whose digits are YYYYMMDD[HHMMSS].  Otherwise a number is never a date."""
    two_digit_years: tuple[str, ...] = ()
    """``TABLE.COLUMN=YEAR``: two digits stand for the year in the hundred years that begin with YEAR."""
    time_zones: tuple[str, ...] = ()
    """``TABLE.COLUMN=ZONE`` (``*`` allowed): times without an offset are those of the clocks there (Europe/Berlin)."""
    roll_over: tuple[str, ...] = ()
    """``table.column`` (``*`` allowed) in whose dates 24:00 is the midnight that follows, and second 60 the second that
    follows.  Otherwise neither exists."""
    decode: tuple[str, ...] = ()
    """``TABLE.COLUMN=RULE``: how texts with a NUL or with bytes that are not UTF-8 become text: an encoding (cp1252),
    ``escape`` or ``strip-nul``.  Without a rule they go to the quarantine; ``load.types`` can keep the bytes."""

    @field_validator("null_markers")
    @classmethod
    def _marks_are_named(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            if "=" not in text:
                raise ValueError(f"{text!r} is not of the form TABLE.COLUMN=MARK")
        return texts

    @field_validator("numbers_as_dates", "two_digit_years", "time_zones", "decode")
    @classmethod
    def _arguments_exist(cls, texts: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for text in texts:
            name, equals, argument = text.rpartition("=")
            if not equals or not name:
                raise ValueError(f"{text!r} is not of the form TABLE.COLUMN=VALUE")
            CLEAN_ARGUMENTS[info.field_name or ""](argument)
        return texts


class ScoreWeights(_Group):
    """Weights of the five dimensions; they need not add up to 100."""

    completeness: Weight = 40.0
    """Weight of filled cells in columns that ought to be full."""
    validity: Weight = 30.0
    """Weight of values that their type can hold."""
    consistency: Weight = 20.0
    """Weight of dates and texts that are written alike."""
    uniqueness: Weight = 5.0
    """Weight of keys and rows that are not there twice."""
    integrity: Weight = 5.0
    """Weight of references that lead somewhere."""


class ScoreSettings(_Group):
    """How quality is weighed."""

    weights: ScoreWeights = ScoreWeights()


class CanarySettings(_Group):
    """The rehearsal on a sample."""

    fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.10
    """Share of the rows that the canary takes along."""
    schema_name: Annotated[str, Field(alias="schema", min_length=1, max_length=63)] = "servicedesk_canary"
    """The schema that the canary is loaded into; it is dropped again."""
    seed: Annotated[int, Field(ge=0)] = 20251019
    """Which rows: the same seed draws the same ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_validator("schema_name")
    @classmethod
    def _name_fits(cls, name: str) -> str:
        # Its quarantine is called <canary>_quarantine: 11 bytes more.
        if len(name.encode()) > 63 - 11 or "\0" in name or name.startswith("pg_"):
            raise ValueError("a canary's schema has at most 52 bytes and does not begin with pg_")
        if name in TAKEN_SCHEMAS:
            raise ValueError(f"{name} is {TAKEN_SCHEMAS[name]} and no canary's")
        return name


class LoadSettings(_Group):
    """The full load."""

    batch_rows: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    """Rows between two looks at disk, memory and connection."""
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
    view_seconds: Seconds = 60.0
    """How long each side may take to answer a view, so that the results can be compared."""
    relations: tuple[str, ...] = ()
    """Relations that the source does not declare: ``child.column -> parent.column``."""
    infer_relations: bool = True
    """Whether relations that the source does not declare are looked for in names and values."""


class HealthSettings(_Group):
    """Where the surroundings stop a run."""

    min_free_bytes: Annotated[int, Field(ge=0)] = GIGABYTE
    """Halt with less free disk than this."""
    start_free_bytes: Annotated[int, Field(ge=0)] = 2 * GIGABYTE
    """Refuse to start with less free than this, than twice the source, or than ``min_free_bytes``."""
    warn_memory: Share = 0.80
    """Warn when a greater share of the memory is in use."""
    max_memory: Share = 0.90
    """Halt when a greater share of the memory is in use."""


class BackupSettings(_Group):
    """Backups and how long they live."""

    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    """Days that backups are kept; the newest good one, and what a run needs, is kept longer."""
    dump_command: tuple[str, ...] = ()
    """A command of the site's own in place of the bundled pg_dump, e.g.
    ``["docker", "exec", "-i", "servicedesk-postgres", "pg_dump", "-U", "servicedesk_user", "-d", "servicedesk"]``.
    sdetl adds ``-F c -n SCHEMA`` and reads the dump from its standard output."""
    dump_timeout: Seconds = 3600.0
    """How long pg_dump may take (seconds)."""


class DashboardSettings(_Group):
    """The dashboards whose queries are tried."""

    directory: str | None = None
    """Folder of dashboards as Grafana exports them (JSON); the same as --dashboards."""
    slow_seconds: Seconds = 5.0
    """A panel that takes longer is called slow."""
    timeout_seconds: Seconds = 30.0
    """A panel that takes longer has failed."""
    variables: dict[str, str] = {}
    """Values for template variables that the dashboards leave open."""
    range_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    """The time range that ``$__timeFilter`` and its like stand for, back from now, where a dashboard has none."""
    role: str | None = None
    """The role that Grafana logs in as; queries are tried as this role when the operator may SET ROLE to it."""
    compare: bool = True
    """Whether the queries are also asked on the live version, to set the answers beside each other."""
    compare_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """Rows of each answer that are compared; of longer answers, rows are counted and columns compared."""
    change: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.50
    """Share by which an answer may change more than the rows of the tables that it is made of."""
    slower_times: Times = 3.0
    """From so many times the live version's time on, a panel is called slower."""
    much_slower_times: Times = 10.0
    """From so many times on, it is called slower for review."""
    slower_seconds: Seconds = 0.1
    """Nobody notices what is faster than this, however much slower it has become."""


class GrafanaSettings(_Group):
    """The Grafana server whose dashboards are read and whose panels are asked.  Its token is no setting."""

    url: str | None = None
    """Where Grafana answers, e.g. ``https://grafana.example.org/``; without a user or password."""
    tag: tuple[str, ...] = ()
    """Dashboards that bear one of these tags; with neither tag, folder nor uid, all of them."""
    folder: str | None = None
    """Dashboards of the folder of that uid or title."""
    uids: tuple[str, ...] = ()
    """Dashboards by uid, whatever their tag or folder."""
    datasource: str | None = None
    """Name or uid of the PostgreSQL data source, where there are several."""
    timeout_seconds: Seconds = 30.0
    """For each request."""
    most_dashboards: Annotated[int, Field(ge=1, le=1000)] = 100
    """Read no more dashboards than this."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            raise ValueError("it is no address") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("it must be like https://grafana.example.org/")
        if parts.username is not None or parts.password is not None:
            raise ValueError("no user or password belongs here: put a token in SDETL_GRAFANA_TOKEN")
        return url


class ValidateSettings(_Group):
    """What is compared on both sides."""

    exact_distinct_rows: Annotated[int, Field(ge=1)] = 50_000
    """Count distinct values of whole columns up to this many rows; of the first so many rows in larger tables."""
    diff: Literal["off", "sampled", "full"] = "sampled"
    """How much of the ledger equation is checked cell by cell before the cutover.  The proof of load shows that
    PostgreSQL holds what left the cleaned file, the reading back that the cleaned file is source and ledger, and the
    aggregates that what left was right; a sample guards against what all three would miss, ``full`` leaves no doubt
    and costs what ``sdetl diff`` costs."""
    diff_rows: Annotated[int, Field(ge=1)] = 2000
    """Tables up to this many rows are compared whole, of larger ones about as many rows."""


class CutoverSettings(_Group):
    """The switch."""

    lock_timeout_ms: Annotated[int, Field(ge=1, le=900)] = 50
    """Stays under PostgreSQL's deadlock_timeout (1 s), so that sdetl is always the one that yields."""
    attempts: Annotated[int, Field(ge=1, le=10_000)] = 100
    """How often the switch is tried when readers are in the way."""
    budget_seconds: Seconds = 60.0
    """How long it is tried (seconds)."""
    strategy: Literal["rename", "role", "manual"] | None = None
    """``rename``: the version gets the serving schema's name.  ``role``: it keeps its own, and the ``search_path`` of
    ``roles`` leads their new sessions to it.  ``manual``: sdetl writes the exact SQL for both directions; an operator
    runs it, and sdetl verifies.  None: as the version that is live is served; ``rename`` where there is none."""
    roles: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = ()
    """The roles that dashboards log in as, whose ``search_path`` in this database leads to the live version."""
    manual_wait_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How long sdetl waits for that SQL to be run, looking again and again, before it stops with exit code 3."""

    @model_validator(mode="after")
    def _names_roles(self) -> CutoverSettings:
        if self.strategy == "role" and not self.roles:
            raise ValueError("strategy role needs roles: the roles that dashboards log in as")
        if self.roles and self.strategy not in ("role", "manual"):
            raise ValueError("roles are for strategy role or manual: set that as well")
        return self

    @field_validator("roles", mode="before")
    @classmethod
    def _may_be_one_text(cls, roles: object) -> object:
        return [part.strip() for part in roles.split(",")] if isinstance(roles, str) else roles


class PruneSettings(_Group):
    """What ``sdetl prune`` leaves standing, whatever its age."""

    keep_versions: Annotated[int, Field(ge=1, le=1000)] = 2
    """Retired versions, the newest; the one that a rollback brings back is among them."""
    keep_backups: Annotated[int, Field(ge=1, le=1000)] = 2
    """Complete backups, the newest."""
    version_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Retired versions that were loaded less than so many days ago stay, too."""
    late_writes_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    """Exports of late writes that are younger stay: once their version is gone they are all that is left of those rows."""


def _serves(name: str, what: str) -> str:
    """The name, when versions can be called after it: <serving>_v20251019_143022_quarantine is 28 bytes more."""
    if len(name.encode()) > _LONGEST_SERVING or "\0" in name or name.startswith("pg_"):
        raise ValueError(f"{what} has at most {_LONGEST_SERVING} bytes and does not begin with pg_")
    if name in TAKEN_SCHEMAS:
        raise ValueError(f"{name} is {TAKEN_SCHEMAS[name]} and serves nobody")
    return name


class DrillSettings(_Group):
    """The rehearsal of the way back."""

    rto_seconds: Seconds = 60.0
    """The budget of a rollback, from the order to rows read back.  A drill that needs longer has failed."""
    max_rows: Annotated[int, Field(ge=100)] = 300_000
    """Of a source with more rows, a sample that is closed over its relations is drilled with."""
    schema_name: Annotated[str | None, Field(alias="schema", min_length=1)] = None
    """What a drill serves and drops again; None: the serving schema's name and ``_drill``."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_validator("schema_name")
    @classmethod
    def _name_fits(cls, name: str | None) -> str | None:
        return None if name is None else _serves(name, "a drill's schema")


class TargetSettings(_Group):
    """The PostgreSQL session."""

    connect_timeout: Annotated[int, Field(ge=1, le=300)] = 10
    """How long a connection may take to open (seconds)."""
    pool_size: Annotated[int, Field(ge=2, le=32)] = 4
    """Connections that are kept open for small questions."""
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
    """The schema that dashboards read."""
    source: SourceSettings = SourceSettings()
    profile: ProfileSettings = ProfileSettings()
    drift: DriftSettings = DriftSettings()
    gates: GateSettings = GateSettings()
    clean: CleanSettings = CleanSettings()
    score: ScoreSettings = ScoreSettings()
    canary: CanarySettings = CanarySettings()
    load: LoadSettings = LoadSettings()
    health: HealthSettings = HealthSettings()
    backup: BackupSettings = BackupSettings()
    dashboards: DashboardSettings = DashboardSettings()
    grafana: GrafanaSettings = GrafanaSettings()
    validate_: ValidateSettings = Field(default=ValidateSettings(), alias="validate")
    cutover: CutoverSettings = CutoverSettings()
    drill: DrillSettings = DrillSettings()
    prune: PruneSettings = PruneSettings()
    target: TargetSettings = TargetSettings()
    decisions: tuple[PlanDecision, ...] = ()
    """What was decided about findings, each with its reason; see the plan of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_validator("serving_schema")
    @classmethod
    def _name_fits(cls, name: str) -> str:
        return _serves(name, "a serving schema")

    @model_validator(mode="after")
    def _canary_is_beside(self) -> Settings:
        name = self.canary.schema_name
        if name == self.serving_schema:
            raise ValueError(f"canary.schema is the serving schema {name}: a canary is dropped, and needs its own")
        return self

    @model_validator(mode="after")
    def _drill_is_beside(self) -> Settings:
        name = self.drill.schema_name
        if name == self.serving_schema:
            raise ValueError(f"drill.schema is the serving schema {name}: what a drill serves is dropped again")
        return self

    @field_validator("load")
    @classmethod
    def _types_exist(cls, load: LoadSettings) -> LoadSettings:
        for text in load.types.values():
            TargetType.parse(text)
        return load

    @field_validator("decisions")
    @classmethod
    def _rules_exist(cls, decisions: tuple[PlanDecision, ...]) -> tuple[PlanDecision, ...]:
        for decision in decisions:
            if decision.rule not in RULES:
                near = difflib.get_close_matches(decision.rule, RULES, n=1, cutoff=0.4)
                raise ValueError(
                    f"no rule is called {decision.rule!r}" + (f"; did you mean {near[0]}?" if near else "")
                )
        return decisions

    @property
    def drill_schema(self) -> str:
        """What a drill serves: never the schema that dashboards read."""
        named = self.serving_schema.encode()[: _LONGEST_SERVING - len(_DRILL_SUFFIX)].decode(errors="ignore")
        return self.drill.schema_name or named + _DRILL_SUFFIX

    @property
    def standing_decisions(self) -> tuple[Decision, ...]:
        """The decisions of the plan, as the engine uses them."""
        return tuple(d.as_decision() for d in self.decisions)


_OPTIONS: Mapping[str, str] = {
    "clean.null_markers": "--null-marker",
    "dashboards.directory": "--dashboards",
    "grafana.url": "--grafana",
}
"""Settings that have an option of their own on the command line."""
_TABLES = ("load.types", "load.partition", "dashboards.variables")
"""Settings whose keys are names of the source or of dashboards."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Layer:
    """One source of settings: where it is from, for error messages, and what it says, by dotted key."""

    origin: str
    values: Mapping[str, Any]


def load_settings(
    *,
    plan: Path | None = None,
    environ: Mapping[str, str] | None = None,
    assignments: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> Settings:
    """Defaults, then ``plan``, then ``environ``, then ``assignments`` (``key=value``), then ``extra`` (dotted keys).

    ``extra`` is how command line options with a name of their own (``--null-marker``, ``--dashboards``) get in;
    lists in it are added to what the plan says.  Raises UsageError naming every key that is wrong.
    """
    tree, origins = _merged(plan, environ, assignments, extra)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise UsageError(
            _explain(error, origins), next_step="correct the setting; sdetl settings lists them all"
        ) from None


def origins_of(
    *,
    plan: Path | None = None,
    environ: Mapping[str, str] | None = None,
    assignments: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> Mapping[str, str]:
    """Where each setting that is not the default came from, by dotted key: the plan's file, a variable, an option.

    Arguments as for ``load_settings``; raises UsageError as it does, but for values.
    """
    return _merged(plan, environ, assignments, extra)[1]


def _merged(
    plan: Path | None, environ: Mapping[str, str] | None, assignments: Sequence[str], extra: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The layers over each other, and where each key came from."""
    layers = [
        *([_Layer(f"plan {plan}", _read_plan(plan))] if plan else []),
        *(_Layer(f"environment variable {name}", values) for name, values in _from_environment(environ or {})),
        *(_Layer(f"--set {text}", dict([_assignment(text)])) for text in assignments),
    ]
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for key, value in layer.values.items():
            _put(tree, _known_key(key, layer.origin), value)
            origins[next((table for table in _TABLES if key.startswith(f"{table}.")), key)] = layer.origin
    for key, value in (extra or {}).items():
        before = _get(tree, key)
        adds = isinstance(before, list)
        _put(tree, key, [*before, *value] if adds else value)
        option = _OPTIONS.get(key, "command line")
        origins[key] = f"{origins[key]} and {option}" if adds and key in origins else option
    return tree, origins


def dump_plan(settings: Settings) -> str:
    """The settings as a TOML plan: what differs from the defaults, and every decision."""
    tree = settings.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    return "# A plan for sdetl: settings that differ from the defaults, and decisions.\n" + tomli_w.dumps(tree)


def setting_keys() -> tuple[str, ...]:
    """Every dotted key that exists, in order."""
    return tuple(_leaf_keys(Settings))


def _leaf_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaf_keys(kind, key + ".")
        else:
            yield key


def _read_plan(path: Path) -> Mapping[str, Any]:
    try:
        size = path.stat().st_size
        if size > MEGABYTE:
            raise UsageError(f"the plan {path} has {size} bytes; no plan is that long", next_step="check the path")
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror}", next_step="check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the plan {path} is not TOML: {error}", next_step="correct that line") from None
    return dict(_flatten(tree))


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys down to the depth of settings; tables that are values (``load.types``) stay whole."""
    keys = setting_keys()
    for name, value in tree.items():
        key = prefix + name
        if isinstance(value, Mapping) and key not in keys:
            yield from _flatten(value, key + ".")
        else:
            yield key, value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """``SDETL_GATES__MIN_SCORE=85``: each variable and what it says.

    Names without ``__`` are settings only when they name one (SDETL_WORKSPACE is not).
    """
    keys = {key.replace(".", "__").upper(): key for key in setting_keys()}
    for name, text in environ.items():
        bare = name.removeprefix(ENVIRONMENT_PREFIX)
        if bare != name and (bare in keys or "__" in bare):
            yield name, {keys.get(bare, bare.lower().replace("__", ".")): _literal(text)}


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text!r} is not of the form key=value", next_step="write --set gates.min_score=85")
    return _unquoted(key.strip()), _literal(value)


def _unquoted(key: str) -> str:
    """The key as plans and the README write it, ``load.types."table.column"``, without the quotes of TOML."""
    for table in _TABLES:
        name = key.removeprefix(table + ".")
        if name != key and len(name) > 2 and name[0] == name[-1] == '"':
            return f"{table}.{name[1:-1]}"
    return key


def _literal(text: str) -> Any:
    """A value as typed: JSON where it is JSON (numbers, true, lists), plain text otherwise."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, (dict, type(None))) else value


def _known_key(key: str, origin: str) -> str:
    keys = setting_keys()
    if key in keys or any(key.startswith(f"{known}.") for known in _TABLES):
        return key
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(
        f"{origin}: there is no setting {key!r}{hint}", next_step="correct the key; the README lists them all"
    )


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    for table in _TABLES:
        if key.startswith(table + "."):
            _put(tree, table, {**(_get(tree, table) or {}), key[len(table) + 1 :]: value})
            return
    *groups, leaf = key.split(".")
    for group in groups:
        tree = tree.setdefault(group, {})
    tree[leaf] = value


def _get(tree: Mapping[str, Any], key: str) -> Any:
    value: Any = tree
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    return "; ".join(
        ": ".join(filter(None, (_origin(e["loc"], e["msg"], origins), ".".join(map(str, e["loc"])), _said(e["msg"]))))
        for e in error.errors(include_input=False)
    )


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")


def _origin(place: tuple[int | str, ...], message: str, origins: Mapping[str, str]) -> str:
    """Where what is wrong was said.  Of settings that do not go together: wherever one of them was."""
    named = ".".join(map(str, place))
    guilty = [
        origin
        for key, origin in origins.items()
        if (f"{named}.".startswith(f"{key}.") or f"{key}.".startswith(f"{named}.") if named else key in message)
    ]
    return " and ".join(dict.fromkeys(guilty))
