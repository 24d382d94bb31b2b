"""What is checked through the serving name once a version is live: as anybody, and as the roles that read there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg

from sdetl_engine.checks import Check, Verdict
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.carry.readers import try_all
from sdetl_engine.postgres.finding_tables import Found, find_all
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.search_paths import schemas_of_service
from sdetl_engine.postgres.serving import count_rows
from sdetl_engine.postgres.waiting import old_sessions
from sdetl_engine.wording import counted

SESSIONS = "sessions that began before the switch"


def post_checks(
    connection: psycopg.Connection[Any],
    serving_schema: str,
    version: str,
    rows: Mapping[str, int],
    led_roles: Sequence[str] = (),
) -> tuple[Check, ...]:
    """The checks, in a session that has seen nothing of the switch.

    ``rows``: what each table ought to hold; a table that is not named may hold what it will.  ``led_roles``: the roles
    whose ``search_path`` leads to the version.
    """
    live = registry.live_version(connection, serving_schema)
    place = place_of(connection, serving_schema) or serving_schema
    return (
        *([_check_rows(connection, place, rows)] if rows else []),
        Check(
            "registry names the live version",
            Verdict.PASSED if live is not None and live.version == version else Verdict.FAILED,
            live.version if live else "none",
        ),
        *_check_readers(connection, place),
        *_check_led(connection, serving_schema, place, led_roles),
    )


def _check_led(
    connection: psycopg.Connection[Any], serving_schema: str, place: str, roles: Sequence[str]
) -> list[Check]:
    """Every led role finds the version's tables by their bare names; who began before the switch is counted and named."""
    if not roles:
        return []
    ours = schemas_of_service(connection, serving_schema) - {place}
    checks = [_check_role(found, place, ours) for found in find_all(connection, roles, place)]
    old = old_sessions(connection, roles)
    said = "none"
    if old:
        named = "; ".join(old[:5]) + (f" (and {len(old) - 5} more)" if len(old) > 5 else "")
        said = f"{len(old)} go on reading the version before until they connect again: {named}"
    fix = "let them connect again: restart Grafana, or end them with pg_terminate_backend" if old else ""
    checks.append(Check(SESSIONS, Verdict.WARNING if old else Verdict.PASSED, said, "none", fix))
    return checks


def _check_role(found: Found, place: str, others: Collection[str]) -> Check:
    name = f"role {found.role} finds the tables of {place} by their bare names"
    if found.path is None:
        return Check(name, Verdict.FAILED, "there is no such role")
    first = next((schema for schema in found.path if schema == place or schema in others), None)
    if first != place:
        return Check(name, Verdict.FAILED, f"its search_path is {', '.join(found.path)}")
    if not found.is_known:
        said = f"its search_path leads there ({', '.join(found.path)}); the operator's role is no member of it"
        return Check(name, Verdict.UNKNOWN, said, fix=f"GRANT {found.role} TO the operator's role")
    if not found.tables:
        return Check(name, Verdict.FAILED, "it may read nothing there")
    hidden = [table for table, where in found.tables.items() if where != place]
    if not hidden:
        return Check(name, Verdict.PASSED, f"{counted(len(found.tables), 'table or view', 'tables and views')}")
    where = found.tables[hidden[0]]
    said = f"{hidden[0]} is {f'that of schema {where}' if where is not None else 'not found'}"
    verdict = Verdict.FAILED if where is None or where in others else Verdict.WARNING
    return Check(name, verdict, said + (f" (and {len(hidden) - 1} more)" if len(hidden) > 1 else ""))


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
        wrong[0] if wrong else f"{counted(sum(held.values()), 'row')} in {counted(len(held), 'table')}",
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
