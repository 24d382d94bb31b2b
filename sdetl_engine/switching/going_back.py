"""An earlier version made live again, guarded before and checked after; undone by itself when the checks fail."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg

from sdetl_engine.checks import Check
from sdetl_engine.errors import TargetError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.build import read_columns
from sdetl_engine.postgres.locks import operator
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.postgres.switch import Guard, Switched, SwitchOrder, switch
from sdetl_engine.settings import Settings
from sdetl_engine.switching.by_hand import HandWork
from sdetl_engine.switching.led_readers import roles_led_now, roles_to_lead
from sdetl_engine.switching.postchecks import failed, post_checks


def go_back(
    session: TargetSession, settings: Settings, reporter: Reporter, version: registry.Version, live: str
) -> tuple[Switched, tuple[Check, ...]]:
    """Switch from ``live`` to ``version`` and check through the serving name.  The caller holds the run's lock.

    With ``cutover.strategy=manual`` somebody else switches: see ``go_back_by_hand``.  Raises TargetError when the switch
    was not made, ValidationFailed when it was undone again; Cancelled.
    """
    guard = functools.partial(_refuse_incomplete, dict(version.table_rows or {}))
    with session.connect() as connection:
        roles, before = roles_to_lead(connection, settings), roles_led_now(connection, settings.serving_schema)
    order = _order(settings, version.version, live, roles, guard)
    if settings.cutover.strategy == "manual":
        return go_back_by_hand(session, settings, reporter, order, live)
    done = _switch(session, settings, reporter, order)
    with session.connect() as connection:
        # Rows may have been written while the version was live: their number proves nothing.
        checks = post_checks(connection, settings.serving_schema, version.version, {}, done.led_roles)
    if (wrong := failed(checks)) is not None:
        again = _order(settings, live, version.version, tuple(sorted({*before, *roles})) if before else ())
        raise _undone(session, settings, reporter, again, wrong)
    return done, checks


def go_back_by_hand(
    session: TargetSession, settings: Settings, reporter: Reporter, order: SwitchOrder, before: str
) -> tuple[Switched, tuple[Check, ...]]:
    """Have somebody switch, and check through the serving name.  ``before``: what was live.

    Nothing is undone: what was made by hand stays as it was made.  Raises WaitsForHand, ValidationFailed, TargetError;
    Cancelled.
    """
    work, done = switch_by_hand(session, settings, reporter, order, before)
    with session.connect() as connection:
        checks = post_checks(connection, settings.serving_schema, order.to_version, {}, done.led_roles)
    if (wrong := failed(checks)) is not None:
        raise ValidationFailed(
            f"after the switch by hand to {order.to_version}, {wrong.name} failed: {wrong.measured}",
            left_behind=f"{order.to_version} is live",
            next_step=f"correct it, or go back to {before} with the SQL in {work.back}; then {work.again}",
        )
    return done, checks


def switch_by_hand(
    session: TargetSession, settings: Settings, reporter: Reporter, order: SwitchOrder, before: str | None
) -> tuple[HandWork, Switched]:
    """Write the SQL of both directions unless it was begun with, wait, and verify.

    ``before``: the name that what was live gets, None where nothing was.  Raises WaitsForHand, ValidationFailed.
    """
    folder, version = session.workspace.by_hand, order.to_version
    words = [
        "sdetl",
        "rollback",
        "--target",
        session.spoken,
        "--workspace",
        str(session.workspace.root),
        "--to",
        version,
    ]
    if settings.serving_schema != "servicedesk":
        words += ["--set", f"serving_schema={settings.serving_schema}"]
    words += ["--set", "cutover.strategy=manual", "--yes"]
    again = f"verify it: {shlex.join(words)}"
    work = HandWork(order, before, folder / f"live_{version}.sql", folder / f"live_{before}.sql", again)
    if not work.standing(session.connect).is_begun:
        work.write(session.connect, settings.cutover, reporter)
    return work, work.wait(session.connect, settings.cutover, reporter)


def made_by_hand(
    session: TargetSession, settings: Settings, reporter: Reporter, live: registry.Version
) -> tuple[Check, ...]:
    """Verify the switch to what the registry says is live by now.  Raises ValidationFailed naming what is missing."""
    if live.previous is None:
        return ()
    with session.connect() as connection:
        roles = roles_to_lead(connection, settings)
    order = _order(settings, live.version, live.previous, roles)
    return go_back_by_hand(session, settings, reporter, order, live.previous)[1]


def _order(settings: Settings, to: str, live: str, roles: tuple[str, ...], guard: Guard | None = None) -> SwitchOrder:
    return SwitchOrder(
        serving_schema=settings.serving_schema,
        to_version=to,
        expected_live=live,
        adopt_as=f"{settings.serving_schema}_v{datetime.now(UTC):%Y%m%d_%H%M%S}",
        action="rollback",
        who=operator(),
        roles=roles,
        guard=guard,
    )


def _switch(session: TargetSession, settings: Settings, reporter: Reporter, order: SwitchOrder) -> Switched:
    return switch(session.connect, order, settings.cutover, reporter, before_commit=lambda xid: None)


def _refuse_incomplete(tables: Mapping[str, int], connection: psycopg.Connection[Any], version: str) -> None:
    """Every table that the version was loaded with is still there."""
    there = read_columns(connection, version)
    gone = [table for table in tables if table not in there]
    if gone:
        raise TargetError(
            f"version {version} is not whole any more: {', '.join(gone[:5])} is gone",
            left_behind="the version that is live untouched",
            next_step="go back to another version (sdetl versions), or restore a backup (sdetl restore)",
            kind="rollback",
        )


def _undone(
    session: TargetSession, settings: Settings, reporter: Reporter, again: SwitchOrder, wrong: Check
) -> ValidationFailed:
    """Forward again by ourselves; both failures are told when that fails too."""
    version, before = again.expected_live, again.to_version
    what = f"after the rollback to {version}, {wrong.name} failed: {wrong.measured}"
    try:
        _switch(session, settings, reporter, again)
    except TargetError as second:
        return ValidationFailed(
            f"{what}; switching back failed too: {second.message}",
            left_behind=f"{version} is live",
            next_step=f"see sdetl versions; sdetl rollback --to {before} tries again",
        )
    return ValidationFailed(
        f"{what}; {before} was made live again",
        left_behind=f"{before} live as before",
        next_step="correct what the check found, or go back to another version (sdetl versions)",
    )
