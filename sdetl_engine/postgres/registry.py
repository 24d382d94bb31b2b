"""The registry: schema ``sdetl`` in the target, the truth about what is live, for any operator on any machine.

Versions change status only here: ``loading`` -> ``candidate`` -> ``live`` -> ``retired``, or ``failed``.
The functions take a connection and run inside its transaction; whoever calls them commits.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from sdetl_engine.errors import TargetError

SCHEMA = "sdetl"
_OF_A_DRILL = "made by a drill"
"""How the note of a version begins that a rehearsal may drop."""
_TABLES = ("format", "versions", "deployments", "drills")


class VersionStatus(enum.StrEnum):
    """Where a version stands."""

    LOADING = "loading"
    CANDIDATE = "candidate"
    LIVE = "live"
    RETIRED = "retired"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """One complete load, as the registry knows it.  Times are aware (UTC).  ``previous`` was live before it."""

    version: str
    serving_schema: str
    status: str
    created_at: datetime
    created_by: str
    run_id: str | None
    source_name: str | None
    source_md5: str | None
    rows: int | None
    table_rows: Mapping[str, int] | None
    score: float | None
    live_since: datetime | None
    previous: str | None
    load_xid: str | None
    """The transaction that loaded it (xid8 as text): snapshots older than it would see it empty."""
    note: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Drill:
    """A rehearsal.  ``server_version`` is the major version; seconds, None where it did not get so far."""

    at: datetime
    serving_schema: str
    server_version: int
    passed: bool
    rollback_seconds: float | None
    restore_seconds: float | None
    who: str


_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE sdetl.versions (
        version text PRIMARY KEY,
        serving_schema text NOT NULL,
        status text NOT NULL CHECK (status IN ('loading', 'candidate', 'live', 'retired', 'failed')),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        created_by text NOT NULL,
        run_id text,
        source_name text,
        source_md5 text,
        rows bigint,
        table_rows jsonb,
        score double precision,
        live_since timestamptz,
        previous text,
        load_xid text,
        note text
    );
    CREATE UNIQUE INDEX versions_one_live ON sdetl.versions (serving_schema) WHERE status = 'live';
    CREATE TABLE sdetl.deployments (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        action text NOT NULL CHECK (action IN ('cutover', 'rollback', 'restore')),
        serving_schema text NOT NULL,
        from_version text,
        to_version text NOT NULL,
        who text NOT NULL,
        run_id text
    );
    CREATE TABLE sdetl.drills (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        serving_schema text NOT NULL,
        server_version integer NOT NULL,
        passed boolean NOT NULL,
        rollback_seconds double precision,
        restore_seconds double precision,
        who text NOT NULL,
        steps jsonb NOT NULL
    );
    """,
    "ALTER TABLE sdetl.deployments ADD COLUMN seconds double precision",
)
FORMAT = len(_MIGRATIONS)
"""The newest format that this sdetl writes and reads."""


def exists(connection: psycopg.Connection[Any]) -> bool:
    """True when the target has a registry.  Raises TargetError when it is not whole, or this role may not look."""
    if _one(connection, "SELECT NOT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = 'sdetl'"):
        role = sql.Identifier(connection.info.user).as_string(connection)
        raise TargetError(
            f"role {connection.info.user} may not look into schema {SCHEMA}, the registry of the target",
            next_step=f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}; "
            f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {SCHEMA} TO {role};",
            kind="rights",
        )
    missing = [t for t in _TABLES if _one(connection, f"SELECT to_regclass('{SCHEMA}.{t}') IS NULL")]
    if missing and len(missing) < len(_TABLES):
        raise _not_whole(f"table {missing[0]} is missing")
    return not missing


def ensure(connection: psycopg.Connection[Any]) -> None:
    """Create the registry, or bring an older one up to date, in the connection's transaction.

    Raises TargetError when a newer sdetl wrote it, or when a foreign schema of that name is in the way.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('sdetl registry', 0))")
    if not _one(connection, "SELECT to_regclass('sdetl.format') IS NOT NULL"):
        if _one(connection, "SELECT to_regnamespace('sdetl') IS NOT NULL"):
            raise TargetError(
                "the target has a schema sdetl that is not sdetl's registry",
                next_step="rename that schema, or migrate into another database",
                kind="registry",
            )
        connection.execute("CREATE SCHEMA sdetl")
        connection.execute("COMMENT ON SCHEMA sdetl IS 'Registry of sdetl: what is live, since when, by whom'")
        connection.execute("CREATE TABLE sdetl.format (number integer NOT NULL)")
        connection.execute("INSERT INTO sdetl.format VALUES (0)")
    number = _one(connection, "SELECT number FROM sdetl.format")
    if number is None:
        raise _not_whole("table format holds no row")
    if number > FORMAT:
        raise TargetError(
            f"the registry in the target was written by a newer sdetl (format {number}, this one knows {FORMAT})",
            next_step="use the newer sdetl",
            kind="registry",
        )
    for migration in _MIGRATIONS[number:]:
        connection.execute(sql.SQL(migration))
    connection.execute("UPDATE sdetl.format SET number = %s", [FORMAT])


def add_version(
    connection: psycopg.Connection[Any],
    version: str,
    *,
    serving_schema: str,
    status: VersionStatus,
    created_by: str,
    run_id: str | None = None,
    source_name: str | None = None,
    source_md5: str | None = None,
    table_rows: Mapping[str, int] | None = None,
    score: float | None = None,
    note: str | None = None,
    loaded_now: bool = True,
    of_a_drill: bool = False,
) -> None:
    """Enter a version.  ``loaded_now``: its rows were written by the present transaction.

    ``of_a_drill``: a rehearsal makes it, and drops it again.
    """
    if of_a_drill:
        note = ": ".join(filter(None, (_OF_A_DRILL, note)))
    connection.execute(
        """
        INSERT INTO sdetl.versions (version, serving_schema, status, created_by, run_id, source_name, source_md5,
                                    rows, table_rows, score, load_xid, note)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, CASE WHEN %s THEN pg_current_xact_id()::text END, %s)
        """,
        [
            version,
            serving_schema,
            status,
            created_by,
            run_id,
            source_name,
            source_md5,
            sum(table_rows.values()) if table_rows is not None else None,
            Jsonb(dict(table_rows)) if table_rows is not None else None,
            score,
            loaded_now,
            note,
        ],
    )


def finish_loading(
    connection: psycopg.Connection[Any], version: str, *, table_rows: Mapping[str, int], load_xid: str | None
) -> None:
    """A version that was ``loading`` is whole and proved: it becomes a candidate.  ``load_xid`` wrote its rows."""
    connection.execute(
        "UPDATE sdetl.versions SET status = 'candidate', rows = %s, table_rows = %s, load_xid = %s WHERE version = %s",
        [sum(table_rows.values()), Jsonb(dict(table_rows)), load_xid, version],
    )


def free_name(connection: psycopg.Connection[Any], serving_schema: str) -> str:
    """A name for a version of that schema: the last second before now that no version or schema is named after."""
    moment = datetime.now(UTC)
    while True:
        name = f"{serving_schema}_v{moment:%Y%m%d_%H%M%S}"
        taken = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [name]).fetchone()
        if not taken and (not exists(connection) or get_version(connection, name) is None):
            return name
        moment -= timedelta(seconds=1)


def live_version(connection: psycopg.Connection[Any], serving_schema: str) -> Version | None:
    """The version that is live under the serving name, or None when none is managed."""
    found = _versions(connection, "WHERE serving_schema = %s AND status = 'live'", [serving_schema])
    return found[0] if found else None


def get_version(connection: psycopg.Connection[Any], version: str) -> Version | None:
    """The version of that name, or None."""
    found = _versions(connection, "WHERE version = %s", [version])
    return found[0] if found else None


def is_known(connection: psycopg.Connection[Any], schema: str) -> bool:
    """True when the schema is a version, or serves one: nobody's to be used for anything else."""
    if not exists(connection):
        return False
    return bool(_versions(connection, "WHERE version = %s OR serving_schema = %s", [schema, schema]))


def all_versions(connection: psycopg.Connection[Any], serving_schema: str | None = None) -> list[Version]:
    """Every version, newest first; of one serving schema when given."""
    if serving_schema is None:
        return _versions(connection, "", [])
    return _versions(connection, "WHERE serving_schema = %s", [serving_schema])


def set_status(connection: psycopg.Connection[Any], version: str, status: VersionStatus) -> None:
    """Change a version's status.  Raises TargetError when it is not in the registry."""
    cursor = connection.execute("UPDATE sdetl.versions SET status = %s WHERE version = %s", [status, version])
    if cursor.rowcount != 1:
        raise TargetError(f"version {version} is not in the registry", next_step="see sdetl versions", kind="registry")


def entries_of_switch(
    action: str, *, serving_schema: str, from_version: str | None, to_version: str, who: str, run_id: str | None
) -> tuple[sql.Composed, ...]:
    """The statements that enter a switch: who is live, who was, and a line in the history.

    They go into the transaction that renames, and into the SQL that an operator runs by hand.
    """
    retire = sql.SQL("UPDATE sdetl.versions SET status = 'retired' WHERE version = {}").format(
        sql.Literal(from_version)
    )
    enter = sql.SQL(
        "UPDATE sdetl.versions SET status = 'live', live_since = clock_timestamp(), previous = {} WHERE version = {}"
    ).format(sql.Literal(from_version), sql.Literal(to_version))
    values = (action, serving_schema, from_version, to_version, who, run_id)
    note = sql.SQL(
        "INSERT INTO sdetl.deployments (action, serving_schema, from_version, to_version, who, run_id) VALUES ({})"
    ).format(sql.SQL(", ").join(map(sql.Literal, values)))
    return (retire, enter, note) if from_version is not None else (enter, note)


def entry_of_adoption(version: str, *, serving_schema: str, who: str) -> sql.Composed:
    """The statement that enters a schema which nobody managed, under the version name that it gets."""
    note = "was in the serving schema before sdetl; taken over at the first cutover"
    return sql.SQL("INSERT INTO sdetl.versions (version, serving_schema, status, created_by, note) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Literal, (version, serving_schema, "retired", who, note)))
    )


def note_seconds(connection: psycopg.Connection[Any], to_version: str, seconds: float) -> None:
    """How long the newest switch to that version took, from the order to the read-back (seconds)."""
    connection.execute(
        "UPDATE sdetl.deployments SET seconds = %s "
        "WHERE id = (SELECT max(id) FROM sdetl.deployments WHERE to_version = %s)",
        [seconds, to_version],
    )


def made_live_by(connection: psycopg.Connection[Any], version: str) -> str | None:
    """Who switched to that version last; None when nobody did."""
    row = connection.execute(
        "SELECT who FROM sdetl.deployments WHERE to_version = %s ORDER BY id DESC LIMIT 1", [version]
    ).fetchone()
    return str(row[0]) if row is not None else None


def record_drill(
    connection: psycopg.Connection[Any],
    *,
    serving_schema: str,
    server_version: int,
    passed: bool,
    rollback_seconds: float | None,
    restore_seconds: float | None,
    who: str,
    steps: list[dict[str, object]],
) -> None:
    """Add a rehearsal to the history."""
    connection.execute(
        "INSERT INTO sdetl.drills (serving_schema, server_version, passed, rollback_seconds, restore_seconds, who, steps) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            serving_schema,
            server_version,
            passed,
            rollback_seconds,
            restore_seconds,
            who,
            Jsonb(steps),
        ],
    )


def drills(connection: psycopg.Connection[Any], limit: int = 10) -> list[Drill]:
    """The newest drills of this target, newest first."""
    if not exists(connection):
        return []
    columns = ", ".join(field.name for field in dataclasses.fields(Drill))
    with connection.cursor(row_factory=class_row(Drill)) as cursor:
        return cursor.execute(f"SELECT {columns} FROM sdetl.drills ORDER BY at DESC LIMIT %s", [limit]).fetchall()


def is_of_a_drill(version: Version) -> bool:
    """True when a rehearsal made the version: only such a one is a rehearsal's to drop."""
    return (version.note or "").startswith(_OF_A_DRILL)


def forget(connection: psycopg.Connection[Any], serving_schema: str) -> None:
    """Take every version and deployment of a serving schema out of the registry: for rehearsals, which left nothing."""
    connection.execute("DELETE FROM sdetl.versions WHERE serving_schema = %s", [serving_schema])
    connection.execute("DELETE FROM sdetl.deployments WHERE serving_schema = %s", [serving_schema])


def last_drill(connection: psycopg.Connection[Any]) -> tuple[datetime, bool, int, float | None] | None:
    """When the newest drill was, whether it passed, the server version it ran on, and its rollback time in seconds."""
    if not exists(connection):
        return None
    row = connection.execute(
        "SELECT at, passed, server_version, rollback_seconds FROM sdetl.drills ORDER BY at DESC LIMIT 1"
    ).fetchone()
    return (row[0], row[1], row[2], row[3]) if row else None


def _versions(connection: psycopg.Connection[Any], where: str, values: list[object]) -> list[Version]:
    columns = ", ".join(field.name for field in dataclasses.fields(Version))
    query = f"SELECT {columns} FROM sdetl.versions {where} ORDER BY created_at DESC, version DESC"
    with connection.cursor(row_factory=class_row(Version)) as cursor:
        return cursor.execute(query, values).fetchall()


def _not_whole(what: str) -> TargetError:
    return TargetError(
        f"schema {SCHEMA} of the target is no whole registry: {what}",
        left_behind="nothing: what readers read is untouched",
        next_step=f"bring schema {SCHEMA} back from the server's own backup; if it is not sdetl's, rename it",
        kind="registry",
    )


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def drop_version(connection: psycopg.Connection[Any], version: str) -> None:
    """Drop a version that is not live, with its quarantine, and its entry.  Raises TargetError when it is live."""
    known = get_version(connection, version)
    if known is None or known.status == VersionStatus.LIVE:
        raise TargetError(
            f"version {version} is {'live' if known else 'not in the registry'} and is not dropped",
            next_step="see sdetl versions",
            kind="registry",
        )
    for schema in (version, f"{version}_quarantine"):
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
    connection.execute("DELETE FROM sdetl.versions WHERE version = %s", [version])
