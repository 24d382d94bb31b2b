"""From a dump to a schema of another name, without touching anything else on the way.

pg_restore cannot rename a schema.  So the dump is restored into a scratch database, where PostgreSQL itself renames
it, and goes from there into the target under the new name.  What stands in the target under the old name, live or
not, is never touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.events import Reporter
from sdetl_engine.files import working_folder
from sdetl_engine.postgres.content import TableContent, schema_content, table_names
from sdetl_engine.postgres.dump import dump_schema, restore_dump
from sdetl_engine.postgres.scratch import open_scratch, scratch_database
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.postgres.switch import rename_schema

_XIDS = 2**32


@contextlib.contextmanager
def restored_in_scratch(session: TargetSession, dump: Path, reporter: Reporter) -> Iterator[str]:
    """The conninfo of a scratch database that holds what the dump holds.  Raises BackupError, TargetError."""
    with scratch_database(session) as conninfo:
        reporter.event("RestoringBackup", f"restoring {dump.name} into a scratch database")
        restore_dump(dump, conninfo, reporter=reporter)
        yield conninfo


def content_in_scratch(conninfo: str, schema: str, reporter: Reporter) -> dict[str, TableContent]:
    """What a schema of a scratch database holds, by table."""
    with open_scratch(conninfo) as connection, reporter.interrupting(connection.cancel_safe):
        return schema_content(connection, schema, reporter)


def move_to_target(
    scratch: str, schema: str, session: TargetSession, version: str, folder: Path, reporter: Reporter
) -> None:
    """Put the schema of the scratch database into the session's target as ``version``, in one transaction.

    ``folder`` takes the file on the way, which is gone afterwards.  Raises BackupError; nothing is in the target then.
    """
    with open_scratch(scratch) as connection:
        rename_schema(connection, schema, version)
    with working_folder(folder, "restore-") as place:
        passage = place / "version.dump"
        dump_schema(scratch, version, passage, reporter=reporter)
        reporter.event("RestoringBackup", f"restoring it into the target as {version}")
        restore_dump(passage, session.conninfo, reporter=reporter)


def loading_xid(connection: psycopg.Connection[Any], schema: str) -> str | None:
    """The transaction (xid8 as text) that wrote the rows of a schema that was just restored; None without rows."""
    for table in table_names(connection, schema):
        row = connection.execute(
            sql.SQL("SELECT pg_current_xact_id()::text, xmin::text FROM {} LIMIT 1").format(
                sql.Identifier(schema, table)
            )
        ).fetchone()
        if row is not None:
            now, low = int(row[0]), int(row[1])
            epoch = now // _XIDS - (low > now % _XIDS)
            return str(epoch * _XIDS + low)
    return None
