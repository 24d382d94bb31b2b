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

from sdetl_engine.beside import hand_over, list_versions, open_session
from sdetl_engine.checklist import LINES, PURPOSE, Stage, Status
from sdetl_engine.decisions import effective
from sdetl_engine.deployment import Deployment
from sdetl_engine.engine import RunState, resume_run, run_states, sdetl_version, start_run
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
from sdetl_engine.findings import Choice, Decision, Finding, Gate, Severity
from sdetl_engine.observe.rate import RateMeter
from sdetl_engine.report.document import run_document
from sdetl_engine.rules import RULES, Rule
from sdetl_engine.runner import Outcome, OutcomeKind, Runner, StageRecord
from sdetl_engine.settings import Settings, dump_plan, load_settings, setting_keys
from sdetl_engine.stages.prune import carry_out_prune, plan_prune
from sdetl_engine.stages.rollback import choose_version, rollback
from sdetl_engine.workspace import RunFolder, Workspace

__all__ = [
    "LINES",
    "PURPOSE",
    "RULES",
    "BackupError",
    "Cancelled",
    "Choice",
    "Decision",
    "Deployment",
    "EnvironmentFailed",
    "Event",
    "ExitCode",
    "Finding",
    "Gate",
    "GateStopped",
    "LockHeld",
    "Outcome",
    "OutcomeKind",
    "RateMeter",
    "RecordingReporter",
    "Reporter",
    "ResourceError",
    "Rule",
    "RunFolder",
    "RunState",
    "Runner",
    "SdetlError",
    "Settings",
    "Severity",
    "SilentReporter",
    "Snapshot",
    "SourceError",
    "Stage",
    "StageRecord",
    "Status",
    "TargetError",
    "UsageError",
    "ValidationFailed",
    "Workspace",
    "carry_out_prune",
    "choose_version",
    "dump_plan",
    "effective",
    "hand_over",
    "list_versions",
    "load_settings",
    "open_session",
    "plan_prune",
    "resume_run",
    "rollback",
    "run_document",
    "run_states",
    "sdetl_version",
    "setting_keys",
    "start_run",
]
