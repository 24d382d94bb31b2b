"""Pre-flight: everything the run needs is looked at before anything is touched.  Checks are shown all together."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import humanize
import psutil
import psycopg

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import EnvironmentFailed, LockHeld, ResourceError, SdetlError, SourceError, TargetError
from sdetl_engine.events import Reporter
from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.postgres import binaries, carry, registry
from sdetl_engine.postgres.facts import TargetFacts, target_facts
from sdetl_engine.records import Check, FrozenSource, PreflightResult, RawTable, Verdict
from sdetl_engine.sqlite.freeze import FrozenCopy, SourceState, freeze, inspect
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.sqlite.sound import check_sound, foreign_key_violations
from sdetl_engine.values.schema import Schema

_OLDEST_SQLITE = (3, 38, 0)
_DRILL_AGE = timedelta(days=92)


def preflight(run: Deployment, reporter: Reporter) -> PreflightResult:
    """Check source, disk, memory and target; freeze the source.  Raises the first failure, all checks told."""
    checks: list[Check] = [_check_sqlite_library()]
    state = inspect(run.source)
    checks += _check_source(state)
    checks += [_check_disk(run, state), _check_memory(run)]
    _tell(checks, reporter)
    _refuse(checks, ResourceError, "resource")
    target = _check_target(run, checks) if run.session is not None else None
    _tell(checks, reporter)
    _refuse(checks, TargetError, "target")
    frozen = _freeze(run, reporter)
    try:
        schema = _check_sound(Path(frozen.path), run, checks, reporter)
        _tell(checks, reporter)
        _refuse(checks, SourceError, "source-malformed")
    except BaseException:
        Path(frozen.path).unlink(missing_ok=True)
        raise
    return PreflightResult(
        checks=tuple(checks),
        frozen=frozen,
        source_schema=schema,
        server_version=target.server_version if target else None,
        target=run.session.spoken if run.session else None,
        target_identity=run.session.identity() if run.session else None,
        live_version=target.live_version if target else None,
        serving_exists=target.serving_exists if target else False,
        findings=_findings(checks),
    )
