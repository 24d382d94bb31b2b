"""Statements that PostgreSQL may refuse without harm: tried in a savepoint, and answered with the reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.errors import TargetError
from sdetl_engine.postgres.connect import statement_error

_REFUSALS = ("0A", "22", "23", "42", "54")
"""SQLSTATE classes that speak of the object or the data: not supported, data, integrity, definition, limits."""
_RIGHTS = "42501"


def attempt(connection: psycopg.Connection[Any], statement: sql.Composed, doing: str) -> psycopg.Error | None:
    """Execute in the connection's transaction; the error when PostgreSQL refuses, and all is as before.

    ``doing`` is what is being done, e.g. ``creating index a``.  Raises TargetError when the server, not the
    statement, is the matter: no rights, no room, no connection.
    """
    with wanted(doing):
        connection.execute("SAVEPOINT sdetl_attempt")
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if not state.startswith(_REFUSALS) or state == _RIGHTS:
            raise statement_error(error, doing) from None
        with wanted(doing):
            connection.execute("ROLLBACK TO SAVEPOINT sdetl_attempt")
            connection.execute("RELEASE SAVEPOINT sdetl_attempt")
        return error
    with wanted(doing):
        connection.execute("RELEASE SAVEPOINT sdetl_attempt")
    return None


@contextlib.contextmanager
def wanted(doing: str) -> Iterator[None]:
    """Around statements that must succeed: what PostgreSQL says becomes a TargetError without the content of a row."""
    try:
        yield
    except psycopg.Error as error:
        explained = statement_error(error, doing)
        raise TargetError(
            explained.message,
            left_behind="nothing: the load was rolled back",
            next_step=explained.next_step,
            kind=explained.kind,
        ) from None


def reason(error: psycopg.Error) -> str:
    """PostgreSQL's own words, without its DETAIL; not those of data exceptions, which quote values."""
    state = error.sqlstate or ""
    if state.startswith("22"):
        return f"PostgreSQL cannot compute it for every row (SQLSTATE {state})"
    return f"PostgreSQL: {error.diag.message_primary} (SQLSTATE {state})"
