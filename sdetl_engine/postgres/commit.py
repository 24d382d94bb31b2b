"""What became of a transaction: asked of the server where its COMMIT was never answered, and flushed behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg

from sdetl_engine.errors import SdetlError, TargetError

PATIENCE_SECONDS = 30.0
"""How long the server is asked before nobody knows."""
_PAUSE_SECONDS = 0.2


def was_committed(connect: Callable[[], psycopg.Connection[Any]], xid: str, version: str) -> bool:
    """True when the transaction that makes the version live was committed, and is on disk; False when it was not.

    ``connect`` raises TargetError while the server cannot be reached.  Raises TargetError saying that nobody knows
    when the server does not answer in time; ``sdetl versions`` tells once it does.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            status = _status(connect, xid, version)
        except (psycopg.Error, SdetlError):
            status = "unreachable"
        if status in ("committed", "aborted"):
            return status == "committed"
        time.sleep(_PAUSE_SECONDS)
    raise TargetError(
        f"the connection was lost while version {version} was being committed, and the server has not told since "
        "whether it was",
        left_behind="either the version that was live before or the new one is live, whole",
        next_step="when the server answers again, see sdetl versions, then continue with --resume",
        kind="switch-unknown",
    )


def flush(connection: psycopg.Connection[Any]) -> None:
    """Write something, so that the next COMMIT waits until all that was written before it is on disk, and with it what
    was committed without waiting."""
    connection.execute("SELECT pg_logical_emit_message(true, 'sdetl', '')")


def _status(connect: Callable[[], psycopg.Connection[Any]], xid: str, version: str) -> str:
    with connect() as connection:
        connection.autocommit = True
        try:
            row = connection.execute("SELECT pg_xact_status(%s::xid8)", [xid]).fetchone()
        except psycopg.errors.InvalidParameterValue:
            # A server that crashed before it had written the transaction down will give out its number again.
            return "aborted"
        # NULL: so long ago that the server has forgotten it, which no transaction of ours is.
        status = str(row[0]) if row is not None else "unknown"
        if status == "committed" and not _is_live(connection, version):
            return "aborted"  # It has given it out to somebody else by now.
        if status == "committed":
            flush(connection)
        return status


def _is_live(connection: psycopg.Connection[Any], version: str) -> bool:
    query = "SELECT FROM sdetl.versions WHERE version = %s AND status = 'live'"
    return connection.execute(query, [version]).fetchone() is not None
