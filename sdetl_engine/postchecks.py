"""What is checked through the serving name once a version is live: as anybody, and as the roles that read there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from sdetl_engine.checks import Check, Verdict
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.carry.readers import try_all
from sdetl_engine.postgres.serving import count_rows


def post_checks(
    connection: psycopg.Connection[Any], serving_schema: str, version: str, rows: Mapping[str, int]
) -> tuple[Check, ...]:
    """The checks, in a session that has seen nothing of the switch.

    ``rows``: what each table ought to hold; a table that is not named may hold what it will.
    """
    live = registry.live_version(connection, serving_schema)
    return (
        _check_rows(connection, serving_schema, rows),
        Check(
            "registry names the live version",
            Verdict.PASSED if live is not None and live.version == version else Verdict.FAILED,
            live.version if live else "none",
        ),
        *_check_readers(connection, serving_schema),
    )


def failed(checks: tuple[Check, ...]) -> Check | None:
    """The first check that failed, or None.  What could not be checked has not failed."""
    return next((c for c in checks if c.verdict is Verdict.FAILED), None)


def _check_rows(connection: psycopg.Connection[Any], schema: str, rows: Mapping[str, int]) -> Check:
    held = {table: count_rows(connection, schema, table) for table in rows}
    wrong = [
        f"table {table} holds {held[table]} rows, {rows[table]} were proved"
        for table in rows
        if held[table] != rows[table]
    ]
    return Check(
        "row counts through the serving name",
        Verdict.FAILED if wrong else Verdict.PASSED,
        wrong[0] if wrong else f"{sum(held.values())} rows in {len(held)} tables",
    )


def _check_readers(connection: psycopg.Connection[Any], schema: str) -> list[Check]:
    checks = []
    for tried in try_all(connection, schema):
        name = f"role {tried.role} reads what it was granted"
        if not tried.is_known:
            said = "the operator's role is no member of it"
            checks.append(Check(name, Verdict.UNKNOWN, said, fix=f"GRANT {tried.role} TO the operator's role"))
        elif tried.error is not None:
            checks.append(Check(name, Verdict.FAILED, tried.error))
        elif tried.relations:
            checks.append(Check(name, Verdict.PASSED, f"{tried.relations} tables and views"))
    return checks
