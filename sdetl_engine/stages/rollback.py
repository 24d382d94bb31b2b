"""Rollback: an earlier version becomes live again, by the same switch as a cutover, timed."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime

from sdetl_engine.errors import TargetError, UsageError
from sdetl_engine.events import Reporter
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.locks import operator, run_lock
from sdetl_engine.postgres.serving import count_rows
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.postgres.switch import SwitchOrder, switch
from sdetl_engine.settings import Settings


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
                next_step="a dump of an earlier state stands in the backup folder of each run (pg_restore reads it)",
                kind="rollback",
            )
        version = registry.get_version(connection, name)
    if version is None or version.serving_schema != serving:
        raise UsageError(f"there is no version {name} of {serving}", next_step="see sdetl versions")
    return live, version


def rollback(session: TargetSession, settings: Settings, reporter: Reporter, wanted: str | None = None) -> RolledBack:
    """Make ``wanted`` (default: the version that was live before the present one) live again.

    Asking for the version that is live already changes nothing and is no error.
    """
    began = time.monotonic()
    live, version = choose_version(session, settings, wanted)
    if version.version == live.version:
        return RolledBack(live.version, live.version, 0.0, 0.0, 0, _rows(session, settings), changed=False)
    with session.connect() as lock:
        lock.autocommit = True
        with run_lock(lock, settings.serving_schema):
            order = SwitchOrder(
                serving_schema=settings.serving_schema,
                to_version=version.version,
                expected_live=live.version,
                adopt_as=f"{settings.serving_schema}_v{datetime.now(UTC):%Y%m%d_%H%M%S}",
                action="rollback",
                who=operator(),
            )
            done = switch(session.connect, order, settings.cutover, reporter, before_commit=lambda xid: None)
    rows = _rows(session, settings)
    expected = dict(version.table_rows or {})
    wrong = [t for t, n in expected.items() if rows.get(t) != n]
    if wrong:
        reporter.event(
            "RowsDiffer",
            f"{len(wrong)} tables of {version.version} hold other row counts than when it was loaded: {', '.join(wrong[:5])}",
            level="warning",
        )
    rto = time.monotonic() - began
    _note(session, version.version, rto)
    return RolledBack(version.version, live.version, done.seconds, done.lock_seconds, done.attempts, rows, rto)


def _note(session: TargetSession, version: str, seconds: float) -> None:
    """How long it took, into the registry; one of an older format is brought up to date first."""
    with session.connect() as connection:
        registry.ensure(connection)
        registry.note_seconds(connection, version, seconds)
        connection.commit()


def _rows(session: TargetSession, settings: Settings) -> dict[str, int]:
    """Rows per table as readers of the serving schema see them now."""
    serving = settings.serving_schema
    with session.connect() as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) "
            "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname",
            [serving],
        ).fetchall()
        return {name: count_rows(connection, serving, name) for (name,) in tables}
