"""Rollback: an earlier version becomes live again, by the same switch as a cutover, timed."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import UTC, datetime

from sdetl_engine.checks import Check
from sdetl_engine.errors import TargetError, UsageError
from sdetl_engine.events import Reporter
from sdetl_engine.files import append_line
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.content import table_names
from sdetl_engine.postgres.locks import operator, run_lock
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.serving import count_rows
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.postgres.written import marks
from sdetl_engine.settings import Settings
from sdetl_engine.switching.going_back import go_back, made_by_hand
from sdetl_engine.switching.late import LateWrites
from sdetl_engine.wording import counted, inflected


@dataclasses.dataclass(frozen=True, slots=True)
class RolledBack:
    """What is live now, what was, how long it took (seconds), and the tables read back with their rows."""

    live_version: str
    previous_version: str
    seconds: float
    lock_seconds: float
    attempts: int
    rows: dict[str, int]
    rto_seconds: float = 0.0
    """From the order to rows read back under the serving name."""
    changed: bool = True
    """False when the wanted version was live already."""
    post_checks: tuple[Check, ...] = ()
    """What was checked through the serving name afterwards."""


def choose_version(
    session: TargetSession, settings: Settings, wanted: str | None
) -> tuple[registry.Version, registry.Version]:
    """The live version and the one to go back to.  Raises UsageError or TargetError saying why there is none."""
    serving = settings.serving_schema
    with session.connect() as connection:
        if not registry.exists(connection) or (live := registry.live_version(connection, serving)) is None:
            raise TargetError(
                f"sdetl has made no version live in schema {serving} of this target",
                next_step="check --target and serving_schema; sdetl versions shows what there is",
                kind="rollback",
            )
        name = wanted or live.previous
        if name is None:
            raise TargetError(
                f"{live.version} is the first version of {serving}: there is none to go back to",
                next_step="a dump of an earlier state stands in the backup folder of each run: sdetl restore RUN",
                kind="rollback",
            )
        version = registry.get_version(connection, name)
    if version is None or version.serving_schema != serving:
        raise UsageError(f"there is no version {name} of {serving}", next_step="see sdetl versions")
    return live, version


def rollback(
    session: TargetSession,
    settings: Settings,
    reporter: Reporter,
    wanted: str | None = None,
    *,
    late: LateWrites | None = None,
    log: bool = True,
) -> RolledBack:
    """Make ``wanted`` (default: the version that was live before the present one) live again.

    ``late``: what was found to have been written to the live version; what was written after that is warned of.
    ``log``: add a line to ``deployments.log`` of the session's workspace.  Asking for the version that is live already
    changes nothing and is no error; what was switched by hand is verified then.  When the checks afterwards fail, the
    version that was live is made live again.  Raises UsageError, TargetError, ValidationFailed, LockHeld, Cancelled;
    WaitsForHand with ``cutover.strategy=manual``, when nobody has run the SQL yet.
    """
    began = time.monotonic()
    live, version = choose_version(session, settings, wanted)
    if version.version == live.version:
        by_hand = settings.cutover.strategy == "manual"
        checks = made_by_hand(session, settings, reporter, live) if by_hand else ()
        rows = _rows(session, settings)
        return RolledBack(live.version, live.version, 0.0, 0.0, 0, rows, changed=False, post_checks=checks)
    with session.connect() as lock:
        lock.autocommit = True
        with run_lock(lock, settings.serving_schema):
            done, checks = go_back(session, settings, reporter, version, live.version)
    rows = _rows(session, settings)
    rto = time.monotonic() - began
    expected = dict(version.table_rows or {})
    wrong = [t for t, n in expected.items() if rows.get(t) != n]
    if wrong:
        reporter.event(
            "RowsDiffer",
            f"{counted(len(wrong), 'table')} of {version.version} {inflected(len(wrong), 'holds', 'hold')} other row counts than when it was loaded: {', '.join(wrong[:5])}",
            level="warning",
        )
    _note(session, version.version, rto)
    result = RolledBack(
        version.version, live.version, done.seconds, done.lock_seconds, done.attempts, rows, rto, post_checks=checks
    )
    if late is not None:
        _warn_of_later_writes(session, live, late, reporter)
    if log:
        _log(session, settings, result, late)
    return result


def _note(session: TargetSession, version: str, seconds: float) -> None:
    """How long it took, into the registry; one of an older format is brought up to date first."""
    with session.connect() as connection:
        registry.ensure(connection)
        registry.note_seconds(connection, version, seconds)
        connection.commit()


def _warn_of_later_writes(
    session: TargetSession, retired: registry.Version, late: LateWrites, reporter: Reporter
) -> None:
    """Between the finding and the switch somebody may have gone on writing; nobody writes there any more."""
    if retired.load_xid is None or late.unknown is not None:
        return
    with session.connect() as connection:
        now = marks(connection, retired.version, retired.load_xid)
    if now != dict(late.marks):
        reporter.event(
            "WrittenMeanwhile",
            f"{retired.version} was written to until the switch: rows that the export does not have stand in it",
            level="warning",
            version=retired.version,
        )


def _log(session: TargetSession, settings: Settings, done: RolledBack, late: LateWrites | None) -> None:
    """The line in ``deployments.log``."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "action": "rollback",
        "by": operator(),
        "target": session.spoken,
        "serving_schema": settings.serving_schema,
        "live": done.live_version,
        "previous": done.previous_version,
        "rto_seconds": round(done.rto_seconds, 3),
        "lock_seconds": round(done.lock_seconds, 3),
        "late_writes": late.rows if late is not None and late.unknown is None else None,
        "late_writes_in": late.sql_file if late is not None else None,
    }
    append_line(session.workspace.prepare().deployments_log, json.dumps(line, ensure_ascii=True))


def _rows(session: TargetSession, settings: Settings) -> dict[str, int]:
    """Rows per table as readers of the serving schema see them now."""
    serving = settings.serving_schema
    with session.connect() as connection:
        place = place_of(connection, serving) or serving
        return {name: count_rows(connection, place, name) for name in table_names(connection, place)}
