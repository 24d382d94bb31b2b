"""What an operator should know before agreeing to a cutover: what it leaves behind, and whom it does not reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from sdetl_engine.findings import Choice, Finding, Severity
from sdetl_engine.postgres import carry
from sdetl_engine.postgres.build import schema_exists
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.search_paths import logins_that_read
from sdetl_engine.postgres.waiting import old_sessions
from sdetl_engine.switching.late_look import look_for_late_writes
from sdetl_engine.wording import counted, inflected

_MOST_NAMED = 5


def cutover_findings(
    connection: psycopg.Connection[Any], serving_schema: str, version: str, led_roles: Sequence[str]
) -> tuple[Finding, ...]:
    """The switch itself wants agreement; so does everything that it would not take along.

    ``led_roles``: the roles whose ``search_path`` will lead to the version.
    """
    place = place_of(connection, serving_schema)
    found = [
        Finding(
            "CUTOVER-AGREEMENT",
            Severity.REVIEW,
            f"version {version} is ready to become live in schema {serving_schema}"
            if not led_roles
            else f"version {version} is ready to become live for {', '.join(led_roles)}",
            "agree to the cutover",
            choices=(Choice.ACCEPT,),
        )
    ]
    if place in (None, version) or not schema_exists(connection, version):
        return tuple(found)  # nothing was live, or the version is live already
    assert place is not None
    found += [*_objects(connection, place, version), *_late_writes(connection, serving_schema)]
    if led_roles:
        found += _led(connection, serving_schema, place, led_roles)
    return tuple(found)


def _objects(connection: psycopg.Connection[Any], place: str, version: str) -> Iterator[Finding]:
    """What stays with the version that is live now."""
    lost = carry.missing_in(connection, place, version)
    if lost:
        yield _finding(
            "CUTOVER-LOSES",
            f"{counted(len(lost), 'object')} that readers find in {place} now {inflected(len(lost), 'is', 'are')} not in the new version: {_listed(lost)}",
            "agree, or bring them into the source; they stay in the version that is live now",
            len(lost),
        )
    bound = carry.left_behind(connection, place)
    if bound:
        yield _finding(
            "CUTOVER-DEPENDENTS",
            f"{counted(len(bound), 'object')} in other schemas {inflected(len(bound), 'is', 'are')} bound to the tables of {place} and {inflected(len(bound), 'stays', 'stay')} with the old "
            f"version: {_listed(bound)}",
            "agree, or drop them before the cutover; views and functions are carried over",
            len(bound),
        )


def _late_writes(connection: psycopg.Connection[Any], serving_schema: str) -> Iterator[Finding]:
    """What somebody changed by hand in the live version: the new one comes from the source, and has none of it."""
    late = look_for_late_writes(connection, serving_schema)
    if late is not None and late.tables:
        yield _finding(
            "CUTOVER-LATE-WRITES",
            f"{late.version} is not as it was loaded, and what was written there stays there: {late.summary}",
            "bring it into the source; or agree: the rows stay in that version, which is kept as a retired one",
            late.rows,
        )


def _led(
    connection: psycopg.Connection[Any], serving_schema: str, place: str, led_roles: Sequence[str]
) -> Iterator[Finding]:
    """Whom a changed ``search_path`` does not reach."""
    if place == serving_schema:
        yield _finding(
            "CUTOVER-NAME-GONE",
            f"there will be no schema {serving_schema} any more: it becomes the version before, and the new one bears "
            "its own name",
            f"see that nobody writes {serving_schema}.table: dashboards must use bare names; or cut over with "
            "cutover.strategy=rename",
        )
    named = carry.naming_in_text(connection, place)
    if named:
        yield _finding(
            "CUTOVER-TEXT",
            f"{counted(len(named), 'function')} {inflected(len(named), 'names', 'name')} {place} in the text and {inflected(len(named), 'goes', 'go')} on reading it: {_listed(named)}",
            "let them use bare names and a SET search_path of their own; or agree",
            len(named),
        )
    others = [role for role in logins_that_read(connection, place) if role not in led_roles]
    if others:
        yield _finding(
            "CUTOVER-ROLES",
            f"{counted(len(others), 'role')} that can log in {inflected(len(others), 'reads', 'read')} {place} and {inflected(len(others), 'is', 'are')} not led to the new version: {_names(others)}",
            "name them in cutover.roles; or agree that they go on reading the old version",
            len(others),
        )
    open_now = old_sessions(connection, led_roles)
    if open_now:
        yield Finding(
            "CUTOVER-SESSIONS",
            Severity.WARNING,
            f"{counted(len(open_now), 'session')} {inflected(len(open_now), 'is', 'are')} open that will go on reading {place} until {inflected(len(open_now), 'it connects', 'they connect')} again, beside new "
            f"ones that read the new version: {_names(open_now)}",
            "let them connect again right after the cutover: restart Grafana, or end them with pg_terminate_backend",
            count=len(open_now),
            choices=(Choice.ACCEPT,),
        )


def _finding(rule: str, message: str, advice: str, count: int = 0) -> Finding:
    return Finding(rule, Severity.REVIEW, message, advice, count=count, choices=(Choice.ACCEPT,))


def _listed(objects: Sequence[carry.Dependent]) -> str:
    return _names([f"{one.kind} {one.name}" for one in objects])


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (" ..." if len(names) > _MOST_NAMED else "")
