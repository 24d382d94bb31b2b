from .beside import Served, hand_over, how_served, list_versions, lock_holder, open_session
from .browse import (
    TableContrast,
    TypeCost,
    ValueCount,
    VersionContrast,
    changed_cells,
    column_values,
    contrast,
    type_cost,
)
from .checklist import LINES, PURPOSE, Stage, Status
from .checks import Check, Verdict
from .decisions import argument_fault, effective, takes_effect_in
from .deployment import Deployment
from .drill_records import DrillResult, DrillStep, Fault, ReaderReport, StepStatus
from .engine import CheckedLine, RunState, checklist_lines, live_now, resume_run, run_states, start_run
from .errors import (
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
from .events import Event, RecordingReporter, Reporter, SilentReporter, Snapshot
from .findings import Choice, Decision, Evidence, Finding, Gate, Severity, decide, gate_of
from .grafana.twins import TwinVerdict
from .keeping.manifest import FoundBackup, find_backup
from .observe.health import Health, measure
from .observe.rate import RateMeter
from .outcome import Outcome, OutcomeKind, StageRecord
from .postgres.registry import Drill, Version
from .postgres.session import TargetSession
from .processes import stay_responsive
from .profiling.facts import ColumnFacts, DateFacts, TableFacts, TypeVerdict
from .records import (
    RESULT_KINDS,
    BackupResult,
    CleanedResult,
    ComparedColumn,
    CutoverResult,
    GaugeReading,
    GrafanaPanel,
    GrafanaSeen,
    GrafanaSource,
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
)
from .rediff import diff
from .rehearsal import drill, earlier_drills
from .report.document import printed_document, run_document
from .rerun import restore_source
from .restored import RestoredVersion, RestoreResult, VerifiedBackup
from .rules import RULES, Rule
from .runner import Runner
from .setting_lines import SettingLine, explained_settings
from .settings import Settings, dump_plan, load_settings, setting_keys
from .showing import EvidenceMark, EvidencePage, can_show_rows, finding_rows
from .sqlite.differences import (
    Difference,
    DifferenceKind,
    DifferencePage,
    export_differences,
    read_differences,
    shown_value,
)
from .sqlite.ledger import LedgerLine, LedgerPage
from .stages.cutover import rollback_command
from .stages.diff import DiffResult
from .stages.late_writes import late_sentences, late_writes
from .stages.prune import Prunable, PruneItem, carry_out_prune, plan_prune
from .stages.restore import drop_restored, make_restored_live, restore_beside
from .stages.rollback import RolledBack, choose_version, rollback
from .stages.verify_backup import verify_backup
from .steps.grafana_watch import grafana_token_of
from .switching.by_hand import WaitsForHand
from .switching.late import LateTable, LateWrites
from .values.encodings import visible
from .version import sdetl_version
from .wording import counted, inflected, limit_of, points, share_beside
from .workspace import RunFolder, Workspace

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
    "EvidenceMark",
    "EvidencePage",
    "ExitCode",
    "Fault",
    "Finding",
    "FoundBackup",
    "Gate",
    "GateStopped",
    "GaugeReading",
    "GrafanaPanel",
    "GrafanaSeen",
    "GrafanaSource",
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
    "Served",
    "SettingLine",
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
    "WaitsForHand",
    "Workspace",
    "argument_fault",
    "can_show_rows",
    "carry_out_prune",
    "changed_cells",
    "checklist_lines",
    "choose_version",
    "column_values",
    "contrast",
    "counted",
    "decide",
    "diff",
    "drill",
    "drop_restored",
    "dump_plan",
    "earlier_drills",
    "effective",
    "explained_settings",
    "export_differences",
    "find_backup",
    "finding_rows",
    "gate_of",
    "grafana_token_of",
    "hand_over",
    "how_served",
    "inflected",
    "late_sentences",
    "late_writes",
    "limit_of",
    "list_versions",
    "live_now",
    "load_settings",
    "lock_holder",
    "make_restored_live",
    "measure",
    "open_session",
    "plan_prune",
    "points",
    "printed_document",
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
    "share_beside",
    "shown_value",
    "start_run",
    "stay_responsive",
    "takes_effect_in",
    "type_cost",
    "verify_backup",
    "visible",
]
