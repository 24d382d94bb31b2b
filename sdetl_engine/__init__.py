"""sdetl's engine: moving a ServiceDesk database from SQLite to PostgreSQL, and back out again, without screens.

What a caller may import is here; everything else is the engine's own business.  A run in four lines::

    settings = load_settings()
    runner = start_run(Workspace.default(), Path("tickets.db"), "embedded", settings)
    with runner.deployment:
        outcome = runner.run()

``runner.start()`` does the same in the engine's own thread: poll ``runner.reporter.latest`` for progress,
drain ``runner.reporter.events``, stop with ``runner.reporter.request_stop()``, decide with
``runner.deployment.decide()`` and look again with ``runner.reconsider()``.
"""

from sdetl_engine.beside import hand_over, list_versions, lock_holder, open_session
from sdetl_engine.browse import (
    TableContrast,
    TypeCost,
    ValueCount,
    VersionContrast,
    changed_cells,
    column_values,
    contrast,
    type_cost,
)
from sdetl_engine.checklist import LINES, PURPOSE, Stage, Status
from sdetl_engine.decisions import effective, takes_effect_in
from sdetl_engine.deployment import Deployment
from sdetl_engine.drill_records import DrillResult, DrillStep, Fault, ReaderReport, StepStatus
from sdetl_engine.engine import CheckedLine, RunState, checklist_lines, resume_run, run_states, sdetl_version, start_run
from sdetl_engine.errors import (
    BackupError,
    Cancelled,
    EnvironmentFailed,
    ExitCode,
    GateStopped,
    LockHeld,
    ResourceError,
    SdetlError,
    SourceError,
    TargetError,
    UsageError,
    ValidationFailed,
)
from sdetl_engine.events import Event, RecordingReporter, Reporter, SilentReporter
from sdetl_engine.events import Progress as Snapshot
from sdetl_engine.findings import Choice, Decision, Evidence, Finding, Gate, Severity, decide, gate_of
from sdetl_engine.grafana.twins import TwinVerdict
from sdetl_engine.late import LateTable, LateWrites
from sdetl_engine.manifest import FoundBackup, find_backup
from sdetl_engine.observe.health import Health, measure
from sdetl_engine.observe.rate import RateMeter
from sdetl_engine.postgres.registry import Drill, Version
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.profiling.facts import ColumnFacts, DateFacts, TableFacts, TypeVerdict
from sdetl_engine.records import (
    RESULT_KINDS,
    BackupResult,
    Check,
    CleanedResult,
    ComparedColumn,
    CutoverResult,
    GaugeReading,
    LoadedResult,
    PanelRecord,
    PanelTwin,
    PreflightResult,
    ProfileResult,
    RawTable,
    ReportResult,
    ScoredDimension,
    ScoreReceipt,
    ScoreResult,
    TableCopy,
    TableDiff,
    TableProof,
    ValidateResult,
    Verdict,
)
from sdetl_engine.rehearsal import drill, earlier_drills
from sdetl_engine.report.document import run_document
from sdetl_engine.rerun import restore_source
from sdetl_engine.restored import RestoredVersion, RestoreResult, VerifiedBackup
from sdetl_engine.rules import RULES, Rule
from sdetl_engine.runner import Outcome, OutcomeKind, Runner, StageRecord
from sdetl_engine.settings import Settings, dump_plan, load_settings, setting_keys
from sdetl_engine.sqlite.differences import (
    Difference,
    DifferenceKind,
    DifferencePage,
    export_differences,
    read_differences,
    shown_value,
)
from sdetl_engine.sqlite.ledger import Line as LedgerLine
from sdetl_engine.sqlite.ledger import Page as LedgerPage
from sdetl_engine.stages.cutover import rollback_command
from sdetl_engine.stages.diff import DiffResult, diff
from sdetl_engine.stages.late_writes import late_sentences, late_writes
from sdetl_engine.stages.prune import Prunable, PruneItem, carry_out_prune, plan_prune
from sdetl_engine.stages.restore import drop_restored, make_restored_live, restore_beside
from sdetl_engine.stages.rollback import RolledBack, choose_version, rollback
from sdetl_engine.stages.verify_backup import verify_backup
from sdetl_engine.values.encodings import visible
from sdetl_engine.workspace import RunFolder, Workspace

__all__ = [
    "LINES",
    "PURPOSE",
    "RESULT_KINDS",
    "RULES",
    "BackupError",
    "BackupResult",
    "Cancelled",
    "Check",
    "CheckedLine",
    "Choice",
    "CleanedResult",
    "ColumnFacts",
    "ComparedColumn",
    "CutoverResult",
    "DateFacts",
    "Decision",
    "Deployment",
    "DiffResult",
    "Difference",
    "DifferenceKind",
    "DifferencePage",
    "Drill",
    "DrillResult",
    "DrillStep",
    "EnvironmentFailed",
    "Event",
    "Evidence",
    "ExitCode",
    "Fault",
    "Finding",
    "FoundBackup",
    "Gate",
    "GateStopped",
    "GaugeReading",
    "Health",
    "LateTable",
    "LateWrites",
    "LedgerLine",
    "LedgerPage",
    "LoadedResult",
    "LockHeld",
    "Outcome",
    "OutcomeKind",
    "PanelRecord",
    "PanelTwin",
    "PreflightResult",
    "ProfileResult",
    "Prunable",
    "PruneItem",
    "RateMeter",
    "RawTable",
    "ReaderReport",
    "RecordingReporter",
    "ReportResult",
    "Reporter",
    "ResourceError",
    "RestoreResult",
    "RestoredVersion",
    "RolledBack",
    "Rule",
    "RunFolder",
    "RunState",
    "Runner",
    "ScoreReceipt",
    "ScoreResult",
    "ScoredDimension",
    "SdetlError",
    "Settings",
    "Severity",
    "SilentReporter",
    "Snapshot",
    "SourceError",
    "Stage",
    "StageRecord",
    "Status",
    "StepStatus",
    "TableContrast",
    "TableCopy",
    "TableDiff",
    "TableFacts",
    "TableProof",
    "TargetError",
    "TargetSession",
    "TwinVerdict",
    "TypeCost",
    "TypeVerdict",
    "UsageError",
    "ValidateResult",
    "ValidationFailed",
    "ValueCount",
    "Verdict",
    "VerifiedBackup",
    "Version",
    "VersionContrast",
    "Workspace",
    "carry_out_prune",
    "changed_cells",
    "checklist_lines",
    "choose_version",
    "column_values",
    "contrast",
    "decide",
    "diff",
    "drill",
    "drop_restored",
    "dump_plan",
    "earlier_drills",
    "effective",
    "export_differences",
    "find_backup",
    "gate_of",
    "hand_over",
    "late_sentences",
    "late_writes",
    "list_versions",
    "load_settings",
    "lock_holder",
    "make_restored_live",
    "measure",
    "open_session",
    "plan_prune",
    "read_differences",
    "restore_beside",
    "restore_source",
    "resume_run",
    "rollback",
    "rollback_command",
    "run_document",
    "run_states",
    "sdetl_version",
    "setting_keys",
    "shown_value",
    "start_run",
    "takes_effect_in",
    "type_cost",
    "verify_backup",
    "visible",
]
