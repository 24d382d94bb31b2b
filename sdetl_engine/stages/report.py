"""Report: the document for the change ticket, and the line in deployments.log."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.events import Reporter
from sdetl_engine.files import append_line
from sdetl_engine.records import BackupResult, CutoverResult, LoadedResult, ReportResult, ScoreResult


def report(run: Deployment, reporter: Reporter) -> ReportResult:
    """Add the line to ``deployments.log``.  The documents are rendered when the run ends, so that they can say how."""
    cutover = run.results.load(Stage.CUTOVER, CutoverResult)
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run.run_id,
        "by": run.who,
        "source": str(run.source),
        "md5": run.results.load(Stage.BACKUP, BackupResult).md5,
        "live": cutover.live_version,
        "previous": cutover.previous_version,
        "rows": run.results.load(Stage.MIGRATE, LoadedResult).rows,
        "score": round(run.results.load(Stage.SCORE, ScoreResult).after, 2),
        "rollback": cutover.rollback_command,
    }
    append_line(run.workspace.deployments_log, json.dumps(line, ensure_ascii=True))
    reporter.event("DeploymentLogged", f"logged in {run.workspace.deployments_log}")
    return ReportResult(html=str(run.folder.report_html), json=str(run.folder.report_json))
