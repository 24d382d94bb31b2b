"""What the report shows beside the run's document: the checklist with its evidence, checks, receipts, commands."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sdetl_engine.checklist import LINES, Stage, Status
from sdetl_engine.checks import Verdict
from sdetl_engine.deployment import Deployment
from sdetl_engine.outcome import StageRecord
from sdetl_engine.records import BackupResult, CutoverResult, LoadedResult, PreflightResult, ScoreResult, ValidateResult
from sdetl_engine.report.document import with_results
from sdetl_engine.wording import counted, points


def checklist(
    run: Deployment, records: Sequence[StageRecord], last_drill: tuple[datetime, bool, float | None] | None
) -> list[dict[str, Any]]:
    """The twelve lines, each with its state and what proves it.  What nobody checked is ``unknown``."""
    by_stage = {record.stage: record for record in records}
    lines = []
    for line in LINES:
        if line.stage is None:
            status, evidence = _drill(last_drill)
        else:
            record = by_stage[line.stage]
            status, evidence = _line(run, line.text, record)
        lines.append({"text": line.text, "status": str(status), "evidence": evidence})
    return lines


def _line(run: Deployment, text: str, record: StageRecord) -> tuple[Status, str]:
    if record.stage not in with_results(run, [record]):
        return record.status, str(record.summary.get("reason", ""))
    proof = _EVIDENCE.get(text)
    return proof(run, record) if proof else (record.status, _summary(record.summary))


def _summary(summary: Mapping[str, object]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in summary.items() if value is not None)


def _drill(last: tuple[datetime, bool, float | None] | None) -> tuple[Status, str]:
    if last is None:
        return Status.UNKNOWN, "no drill stands in the registry of this target"
    at, passed, seconds = last
    took = f", back in {seconds:.2f} s" if seconds is not None else ""
    return (Status.PASSED if passed else Status.FAILED), f"last drill {at:%Y-%m-%d %H:%M} UTC{took}"


def _backup(run: Deployment, record: StageRecord) -> tuple[Status, str]:
    backup = run.results.load(Stage.BACKUP, BackupResult)
    equal = sum(t.equal for t in backup.tables)
    return (
        record.status,
        f"{backup.path}, MD5 {backup.md5}; {equal} of {counted(len(backup.tables), 'table')} equal ({backup.compared})",
    )


def _dump(run: Deployment, record: StageRecord) -> tuple[Status, str]:
    backup = run.results.load(Stage.BACKUP, BackupResult)
    if backup.dump is None:
        return Status.SKIPPED, backup.dump_skipped or ""
    return (
        record.status,
        f"{backup.dump.path}, {backup.dump.objects} objects listed by pg_restore, MD5 {backup.dump.md5}",
    )


def _score(run: Deployment, record: StageRecord) -> tuple[Status, str]:
    score = run.results.load(Stage.SCORE, ScoreResult)
    return (
        record.status,
        f"{points(score.after)} after cleaning ({points(score.before)} before), threshold {run.settings.gates.min_score:g}",
    )


def _rows(run: Deployment, record: StageRecord) -> tuple[Status, str]:
    loaded = run.results.load(Stage.MIGRATE, LoadedResult)
    equal = sum(p.equal for p in loaded.proof)
    return (
        record.status,
        f"{counted(loaded.rows, 'row')} sent and held, {equal} of {counted(len(loaded.proof), 'table')} equal bit for bit",
    )


def _types(run: Deployment, record: StageRecord) -> tuple[Status, str]:
    checked = run.results.load(Stage.VALIDATE, ValidateResult)
    return (
        _own(record, good=not checked.type_differences),
        f"{checked.types_checked} column types read back, {len(checked.type_differences)} differ",
    )


def _queries(run: Deployment, record: StageRecord) -> tuple[Status, str]:
    checked = run.results.load(Stage.VALIDATE, ValidateResult)
    failed = sum(q.verdict is not Verdict.PASSED for q in checked.sample_queries)
    differ = sum(bool(c.differs) for c in checked.columns)
    said = (
        f"{len(checked.sample_queries)} sample queries, {failed} failed; "
        f"{counted(len(checked.columns), 'column')} compared on both sides, {differ} differ"
    )
    return _own(record, good=not failed and not differ), said


def _dashboards(run: Deployment, record: StageRecord) -> tuple[Status, str]:
    checked = run.results.load(Stage.VALIDATE, ValidateResult)
    tried = [p for p in checked.panels if p.skipped is None]
    if not tried:
        return Status.UNKNOWN, "no dashboards were tried"
    passed = sum(p.ok for p in tried)
    status = _own(record, good=passed == len(tried))
    said = f"{passed} of {counted(len(tried), 'panel query', 'panel queries')} of {counted(len(checked.dashboards), 'dashboard')}"
    after = run.results.load(Stage.CUTOVER, CutoverResult).grafana if run.results.has(Stage.CUTOVER) else None
    if after is not None and after.panels:
        answering = sum(p.verdict is Verdict.PASSED for p in after.panels)
        said += f"; {answering} of {len(after.panels)} through Grafana after the switch"
    return status, said


def _own(record: StageRecord, *, good: bool) -> Status:
    """The state of one line of a stage that proves several: what was good stays so when another line failed."""
    if not good:
        return Status.FAILED
    return Status.PASSED if record.status is Status.FAILED else record.status


_EVIDENCE = {
    "Source database backed up (MD5 verified)": _backup,
    "PostgreSQL schema backed up (pg_dump)": _dump,
    "Quality score >= threshold": _score,
    "Row counts match (SQLite == PostgreSQL)": _rows,
    "Column types correct (TIMESTAMP not TEXT)": _types,
    "Sample queries execute without error": _queries,
    "All dashboards load correctly": _dashboards,
}


def details(run: Deployment, records: Sequence[StageRecord], sdetl: str) -> dict[str, Any]:
    """Everything else that the HTML shows."""
    done = with_results(run, records)
    found: dict[str, Any] = {
        "sdetl": sdetl,
        "min_score": run.settings.gates.min_score,
        "checks": [],
        "receipts": [],
        "post_checks": [],
        "facts": [("workspace", run.workspace.root), ("by", run.who)],
        "commands": _commands(run),
    }
    if Stage.PREFLIGHT in done:
        preflight = run.results.load(Stage.PREFLIGHT, PreflightResult)
        found["checks"] = [dataclasses.asdict(c) for c in preflight.checks]
        found["facts"] += [
            ("SHA-256 of the source", preflight.frozen.source_sha256),
            ("target", preflight.target or "none"),
            ("PostgreSQL", preflight.server_version or "not looked at"),
        ]
    if Stage.SCORE in done:
        receipts = run.results.load(Stage.SCORE, ScoreResult).receipts
        found["receipts"] = [dataclasses.asdict(r) for r in sorted(receipts, key=lambda r: -r.points)[:100]]
    if Stage.CUTOVER in done:
        found["post_checks"] = [
            dataclasses.asdict(c) for c in run.results.load(Stage.CUTOVER, CutoverResult).post_checks
        ]
    return found


def _commands(run: Deployment) -> list[str]:
    """How to repeat the run and how to check its backup."""
    words = ["sdetl", "run", str(run.source)]
    if run.session is not None:
        words += ["--target", run.session.spoken]
    commands = [shlex.join([*words, "--plan", str(run.folder.plan)])]
    if run.results.has(Stage.BACKUP):
        copy = Path(run.results.load(Stage.BACKUP, BackupResult).path)
        commands.append(f"cd {shlex.quote(str(copy.parent))} && md5sum -c {shlex.quote(copy.name + '.md5')}")
    return commands
