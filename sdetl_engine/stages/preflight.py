"""Pre-flight: everything the run needs is looked at before anything is touched.  Checks are shown all together."""

from __future__ import annotations

import shlex
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import humanize
import psutil
import psycopg

from sdetl_engine.checks import Check, Verdict
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import BackupError, ResourceError, SdetlError, SourceError, TargetError, UsageError
from sdetl_engine.events import Reporter
from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.grafana.dashboards import read_dashboards
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.binaries import find_program
from sdetl_engine.postgres.embedded import abandoned_homes
from sdetl_engine.postgres.facts import TargetFacts, target_facts
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.records import FrozenSource, PreflightResult, RawTable
from sdetl_engine.sqlite.freeze import SourceState, freeze, inspect
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.sqlite.sound import check_sound, foreign_key_violations
from sdetl_engine.switching.late_look import look_for_late_writes
from sdetl_engine.values.schema import Schema
from sdetl_engine.wording import counted

_OLDEST_SQLITE = (3, 38, 0)
_DRILL_AGE = timedelta(days=92)
_LOOK_MS = 60_000
_FOREIGN_KEYS = "foreign keys"
_NOTHING = "nothing: the source untouched, the target unchanged"


def preflight(run: Deployment, reporter: Reporter) -> PreflightResult:
    """Check source, disk, memory and target, then freeze the source and check the frozen copy.

    Raises SourceError, ResourceError, UsageError, TargetError or LockHeld for the first check that failed; every check that was
    made is told as an event.
    """
    checks: list[Check] = []
    state = inspect(run.source)
    checks += [_check_sqlite_library(), *_check_source(state), _check_disk(run, state), _check_memory(run)]
    _refuse(checks, reporter, ResourceError, "resource")
    if run.settings.dashboards.directory is not None:
        checks.append(_check_dashboards(Path(run.settings.dashboards.directory)))
    _refuse(checks, reporter, UsageError, "dashboards")
    facts = _check_target(run, state, checks) if run.session is not None else None
    _refuse(checks, reporter, TargetError, "target")
    frozen = _freeze(run, reporter)
    try:
        schema = _check_content(Path(frozen.path), run, checks, reporter)
        _refuse(checks, reporter, SourceError, "source-malformed")
    except BaseException:
        Path(frozen.path).unlink(missing_ok=True)
        raise
    for check in checks:
        reporter.event("CheckMade", f"{check.name}: {check.verdict}, {check.measured}", verdict=str(check.verdict))
    return PreflightResult(
        checks=tuple(checks),
        frozen=frozen,
        source_schema=schema,
        server_version=facts.server_version if facts else None,
        target=run.session.spoken if run.session else None,
        target_identity=run.session.identity() if run.session else None,
        live_version=facts.live_version if facts else None,
        serving_exists=facts.serving_exists if facts else False,
        findings=tuple(_finding(c) for c in checks if c.verdict in (Verdict.WARNING, Verdict.UNKNOWN)),
    )


def _check_sqlite_library() -> Check:
    good = sqlite3.sqlite_version_info >= _OLDEST_SQLITE
    return Check(
        "SQLite library",
        Verdict.PASSED if good else Verdict.FAILED,
        sqlite3.sqlite_version,
        "3.38 or newer",
        "" if good else "use a Python with a newer SQLite",
    )


def _check_source(state: SourceState) -> list[Check]:
    size = humanize.naturalsize(state.bytes, binary=True)
    writer = state.writer
    quiet = Check("no writer at work", Verdict.PASSED, "none seen", "none")
    if writer is not None:
        fix = "sdetl waits for it; end that program, or wait until it has finished"
        quiet = Check("no writer at work", Verdict.WARNING, f"a writer holds the source: {writer}", "none", fix)
    beside = ", ".join(f"{suffix} {length} bytes" for suffix, length in state.sidecars.items())
    journal = Check(
        "journal",
        Verdict.WARNING if state.hot_journal else Verdict.PASSED,
        f"{state.journal_mode} mode" + (f", beside it: {beside}" if beside else ""),
        "",
        "a transaction was cut off; the copy is recovered, the source stays as it is" if state.hot_journal else "",
    )
    encoding = Check(
        "SQLite file", Verdict.PASSED, f"{size}, {state.header.encoding}, pages of {state.header.page_size} bytes"
    )
    return [encoding, quiet, journal]


def _check_disk(run: Deployment, state: SourceState) -> Check:
    """Room for the frozen copy, the cleaned copy, the ledger and the sample."""
    fix = "free some space, or name another disk with --workspace"
    return _room("free disk", run.folder.path, str(run.workspace.root), _needed_bytes(run, state.bytes), fix)


def _needed_bytes(run: Deployment, source_bytes: int) -> int:
    """What must be free at the start: twice the source, never less than the settings ask for then or later."""
    health = run.settings.health
    return max(2 * source_bytes, health.start_free_bytes, health.min_free_bytes)


def _room(name: str, folder: Path, what: str, needed: int, fix: str) -> Check:
    """Whether the disk of ``folder`` has ``needed`` bytes free for ``what``."""
    free = shutil.disk_usage(folder).free
    good = free >= needed
    return Check(
        name,
        Verdict.PASSED if good else Verdict.FAILED,
        f"{humanize.naturalsize(free, binary=True)} free for {what}",
        humanize.naturalsize(needed, binary=True),
        "" if good else fix,
    )


def _check_memory(run: Deployment) -> Check:
    used = psutil.virtual_memory().percent / 100
    limits = run.settings.health
    verdict = Verdict.PASSED
    if used > limits.max_memory:
        verdict = Verdict.FAILED
    elif used > limits.warn_memory:
        verdict = Verdict.WARNING
    return Check(
        "memory",
        verdict,
        f"{used:.0%} in use",
        f"{limits.max_memory:.0%}",
        "" if verdict is Verdict.PASSED else "end other programs",
    )


def _check_dashboards(folder: Path) -> Check:
    """Whether the folder that was named holds dashboards that can be read: what they ask is asked much later."""
    try:
        found = read_dashboards(folder)
    except UsageError as error:
        return Check("dashboards", Verdict.FAILED, error.message, "a folder of dashboards as JSON", error.next_step)
    queries = sum(dashboard.queries for dashboard in found)
    return Check(
        "dashboards",
        Verdict.PASSED if queries else Verdict.WARNING,
        f"{counted(len(found), 'dashboard')} with {counted(queries, 'query', 'queries')} in {folder}",
        "at least one query that can be tried",
        "" if queries else "see that this is the right folder",
    )


def _check_target(run: Deployment, state: SourceState, checks: list[Check]) -> TargetFacts:
    """Reach the target, take its lock, and look at what the run will need there."""
    session = run.target()
    with session.connect() as connection:
        facts = target_facts(connection, run.settings.serving_schema, run.settings.cutover.roles)
        last = registry.last_drill(connection) if not facts.missing_rights else None
        live = _check_live(connection, facts) if facts.live_version is not None else None
        connection.rollback()
    checks.append(
        Check(
            "target", Verdict.PASSED, f"{session.target.describe()}, PostgreSQL {facts.server_version}", "13 or newer"
        )
    )
    for warning in session.target.warnings:
        checks.append(Check("target credentials", Verdict.WARNING, warning))
    run.hold_target_lock()
    checks.append(Check("no other run", Verdict.PASSED, f"the lock on schema {run.settings.serving_schema} is ours"))
    if live is not None:
        checks.append(live)
    checks += _check_rights(facts)
    checks += [_check_dump_program(run, facts), _check_connections(facts), _check_drill(last, facts)]
    checks += [Check("server setting", Verdict.WARNING, sentence) for sentence in facts.settings]
    if facts.event_triggers:
        listed = ", ".join(facts.event_triggers)
        checks.append(Check("event triggers", Verdict.WARNING, f"run on every CREATE and ALTER: {listed}"))
    if facts.dependents:
        listed = ", ".join(facts.dependents[:5])
        fix = "the cutover carries views and functions over; foreign keys stay with the old version"
        checks.append(Check("objects bound to the serving schema", Verdict.WARNING, listed, "none", fix))
    checks += _check_server_disk(session, facts, _needed_bytes(run, state.bytes))
    return facts


def _check_server_disk(session: TargetSession, facts: TargetFacts, needed: int) -> list[Check]:
    """Room where the server keeps its data, as far as that can be told; and what deleted workspaces left there."""
    name, home = "free disk of the server", session.embedded_home
    if home is None:
        said = f"SQL cannot tell; the serving schema takes {humanize.naturalsize(facts.bytes, binary=True)} now"
        return [Check(name, Verdict.UNKNOWN, said, "twice the source", "look at the server's own monitoring")]
    fix = f"free some space on the disk of {home}"
    checks = [_room(name, home, f"the embedded server's data in {home}", needed, fix)]
    abandoned = abandoned_homes()
    if abandoned:
        folder, workspace = abandoned[0]
        more = f" (and {len(abandoned) - 1} more in {folder.parent})" if len(abandoned) > 1 else ""
        checks.append(
            Check(
                "data of deleted workspaces",
                Verdict.WARNING,
                f"{folder} holds the embedded server's data of workspace {workspace}, which is not there{more}",
                "none",
                f"if that workspace was deleted, not moved and not on a disk that is away: rm -r {shlex.quote(str(folder))}",
            )
        )
    return checks


def _check_live(connection: psycopg.Connection[Any], facts: TargetFacts) -> Check:
    """Whether what the registry calls live is there, whole, and as it was loaded.

    Nothing can be backed up, compared or switched without it; what was changed in it is not in the next version.
    """
    name, wanted = "live version", "as it was loaded"
    if not facts.serving_exists:
        return Check(
            name,
            Verdict.FAILED,
            f"the registry says that {facts.live_version} is live, but there is no schema {facts.serving_schema}",
            "",
            "find out who dropped or renamed it; sdetl restore brings it back from the newest run's backup that has a dump",
        )
    if facts.missing_rights:
        return Check(name, Verdict.UNKNOWN, "rights are missing to look at it", wanted)
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(_LOOK_MS)])
    try:
        late = look_for_late_writes(connection, facts.serving_schema)
    except psycopg.errors.QueryCanceled:
        said = f"its rows could not be counted within {_LOOK_MS // 1000} s for each table; the cutover looks again"
        return Check(name, Verdict.UNKNOWN, said, wanted)
    if late is None or late.unknown is not None:
        return Check(name, Verdict.UNKNOWN, late.unknown or "" if late else "it went away meanwhile", wanted)
    if not late.tables:
        return Check(name, Verdict.PASSED, f"{late.version}, not a row written since it was loaded", wanted)
    fix = "bring what was written there into the source: a cutover leaves it behind in that version"
    return Check(name, Verdict.WARNING, f"{late.version} was changed since: {late.summary}", wanted, fix)


def _check_rights(facts: TargetFacts) -> list[Check]:
    return [
        Check(
            f"right: {r.name}",
            Verdict.PASSED if r.granted else Verdict.FAILED,
            "granted" if r.granted else "missing",
            "",
            r.fix,
        )
        for r in facts.rights
    ]


def _check_dump_program(run: Deployment, facts: TargetFacts) -> Check:
    if run.settings.backup.dump_command:
        return Check("pg_dump", Verdict.PASSED, "the site's own command (backup.dump_command)")
    try:
        program = find_program("pg_dump", facts.server_major)
    except BackupError as error:
        return Check("pg_dump", Verdict.FAILED, error.message, f"{facts.server_major} or newer", error.next_step)
    return Check("pg_dump", Verdict.PASSED, program.version, f"{facts.server_major} or newer")


def _check_connections(facts: TargetFacts) -> Check:
    good = facts.connections_left >= 4
    return Check(
        "free connections",
        Verdict.PASSED if good else Verdict.FAILED,
        str(facts.connections_left),
        "4",
        "" if good else "end idle sessions, or raise the limit of the role or the server",
    )


def _check_drill(last: tuple[datetime, bool, int, float | None] | None, facts: TargetFacts) -> Check:
    name, fix = "rollback rehearsed", "rehearse: sdetl drill, with this target"
    if last is None:
        return Check(name, Verdict.WARNING, "no drill in this target's registry", "within a quarter", fix)
    at, passed, version, _ = last
    age = datetime.now(UTC) - at
    if not passed or age > _DRILL_AGE or version != facts.server_major:
        state = "failed" if not passed else f"{age.days} days ago, on PostgreSQL {version}"
        return Check(name, Verdict.WARNING, state, "passed, within a quarter, on this server version", fix)
    return Check(name, Verdict.PASSED, f"{age.days} days ago", "within a quarter")


def _freeze(run: Deployment, reporter: Reporter) -> FrozenSource:
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in run.source.stem)[:80] or "source"
    destination = run.folder.backup / f"{name}_{run.folder.stamp}.db"
    destination.unlink(missing_ok=True)
    copy = freeze(run.source, destination, lock_timeout=run.settings.source.lock_timeout, reporter=reporter)
    return FrozenSource(
        path=str(copy.path),
        bytes=copy.bytes,
        md5=copy.md5,
        sha256=copy.sha256,
        source_sha256=copy.source_sha256,
        byte_identical=copy.byte_identical,
        recovered=str(copy.recovered),
        fingerprint=copy.source_fingerprint,
        raw_tables=tuple(RawTable(n, d.rows, d.sha256) for n, d in (copy.source_content or {}).items()),
    )


def _check_content(path: Path, run: Deployment, checks: list[Check], reporter: Reporter) -> Schema:
    """Soundness and schema of the frozen copy, which holds exactly what the source holds."""
    excluded = set(run.settings.source.exclude_tables)
    with open_readonly(path) as connection:
        reporter.progress("integrity check", 0, None, "pages")
        messages = check_sound(connection, reporter)
        broken = foreign_key_violations(connection, reporter)
        schema = read_schema(connection, exclude_tables=excluded)
    fix = "ask the vendor for a sound file, or recover it with sqlite3 .recover"
    sound = Check("integrity_check", Verdict.PASSED, "ok")
    if messages:
        sound = Check("integrity_check", Verdict.FAILED, messages[0], "ok", fix)
    checks.append(sound)
    orphans = {table: count for table, count in broken.items() if count}
    keys = Check(_FOREIGN_KEYS, Verdict.PASSED, "no violation")
    if orphans:
        listed = ", ".join(f"{table}: {count}" for table, count in orphans.items())
        keys = Check(
            _FOREIGN_KEYS, Verdict.WARNING, f"rows without a parent: {listed}", "none", "they are loaded, NOT VALID"
        )
    checks.append(keys)
    if not schema.tables:
        checks.append(
            Check("tables", Verdict.FAILED, "no table to migrate", "at least one", "check that this is the right file")
        )
    return schema


def _refuse(checks: list[Check], reporter: Reporter, error: type[SdetlError], kind: str) -> None:
    """Raise for the failed checks; all of them are told together."""
    failed = [c for c in checks if c.verdict is Verdict.FAILED]
    if not failed:
        return
    for check in checks:
        level = "error" if check.verdict is Verdict.FAILED else "info"
        reporter.event("CheckMade", f"{check.name}: {check.verdict}, {check.measured}", level=level)
    said = "; ".join(f"{c.name}: {c.measured}" + (f" (needed: {c.limit})" if c.limit else "") for c in failed)
    fixes = "; ".join(c.fix for c in failed if c.fix) or "correct it and start again"
    raise error(f"pre-flight failed: {said}", left_behind=_NOTHING, next_step=fixes, kind=kind)


def _finding(check: Check) -> Finding:
    rule = "CHECK-WARNING" if check.verdict is Verdict.WARNING else "CHECK-UNKNOWN"
    if check.name == _FOREIGN_KEYS:
        rule = "SOURCE-FK-VIOLATIONS"
    return Finding(
        rule,
        Severity.WARNING,
        f"{check.name}: {check.measured}" + (f" (wanted: {check.limit})" if check.limit else ""),
        check.fix or "nothing to do",
        choices=(Choice.ACCEPT,),
    )
