"""Cutover: the candidate becomes live in one transaction, and is read back under the serving name.

If what is read back is not what was proved, the switch is undone at once and says so.
"""

from __future__ import annotations

import dataclasses
import functools
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.checklist import Stage
from sdetl_engine.checks import Check, Verdict
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import SdetlError, TargetError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.findings import Finding, decide, gate_of
from sdetl_engine.postgres import carry, registry
from sdetl_engine.postgres.build import schema_exists
from sdetl_engine.postgres.locks import assert_held
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.serving import fingerprints
from sdetl_engine.postgres.switch import Switched, SwitchOrder, switch
from sdetl_engine.records import CutoverResult, GrafanaSeen, LoadedResult, PreflightResult, ValidateResult
from sdetl_engine.steps.cutover_findings import cutover_findings
from sdetl_engine.steps.grafana_findings import after_check, after_findings
from sdetl_engine.steps.grafana_watch import GrafanaWatch
from sdetl_engine.steps.guards import refuse_changed_source
from sdetl_engine.steps.planning import dashboards_of
from sdetl_engine.switching.by_hand import HandWork
from sdetl_engine.switching.led_readers import roles_led_now, roles_to_lead
from sdetl_engine.switching.postchecks import failed, post_checks


def cutover(run: Deployment, reporter: Reporter) -> CutoverResult:
    """Switch, read back, and say how to go back.  Raises TargetError, ValidationFailed."""
    loaded = run.results.load(Stage.MIGRATE, LoadedResult)
    began = run.results.load(Stage.PREFLIGHT, PreflightResult)
    run.hold_target_lock()
    with run.connect() as connection:
        connection.autocommit = True
        roles = roles_to_lead(connection, run.settings)
        before = roles_led_now(connection, run.settings.serving_schema)
        already = registry.live_version(connection, run.settings.serving_schema)
        is_live = already is not None and already.version == loaded.version
        serving = run.settings.serving_schema
        findings = () if is_live else cutover_findings(connection, serving, run.version, roles)
    if gate_of(decide(findings, run.decisions)).value != "passed" and not run.agreed:
        return _not_yet(loaded, began, findings)
    watch = GrafanaWatch(run, dashboards_of(run) if run.settings.grafana.url is not None else (), reporter)
    by_hand = run.settings.cutover.strategy == "manual"
    work = _hand_work(run, _order(run, loaded, began, roles), began) if by_hand else None
    if work is not None:
        if not work.standing(run.connect).is_begun:
            watch.look(ask=already is not None)
            _guard(run)
            work.write(run.connect, run.settings.cutover, reporter)
        switched = work.wait(run.connect, run.settings.cutover, reporter)
    elif already is not None and is_live:
        switched = _switched_earlier(run, reporter, already)
    else:
        _tell_of_cut_off(run, reporter)
        watch.look(ask=already is not None)
        _guard(run)
        switched = _switch(run, reporter, _order(run, loaded, began, roles))
    checks = _read_back(run, loaded, roles, by_hand=by_hand)
    result = CutoverResult(
        live_version=loaded.version,
        previous_version=switched.previous_version,
        adopted=switched.adopted,
        seconds=switched.seconds,
        lock_seconds=switched.lock_seconds,
        attempts=switched.attempts,
        grants=switched.carried.grants,
        not_there=switched.carried.not_there,
        rollback_command=_rollback_command(run) if switched.previous_version else None,
        post_checks=checks,
        switched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        led_roles=roles,
        findings=findings,
    )
    if (wrong := failed(checks)) is not None and work is not None:
        raise _left_as_made(work, wrong, result)
    if wrong is not None:
        # Where readers were led before, all who are led now are led back.
        raise _undo(run, reporter, loaded, result, tuple(sorted({*before, *roles})) if before else ())
    run.metrics.set("etl_last_import_timestamp", datetime.now(UTC).timestamp())
    with run.connect() as connection:
        registry.note_seconds(connection, loaded.version, switched.seconds)
        connection.commit()
    return _with_grafana(run, result, watch.look(ask=True))


def _with_grafana(run: Deployment, result: CutoverResult, seen: GrafanaSeen | None) -> CutoverResult:
    """What Grafana shows since the switch.  It never undoes one: it may be down while the version is sound."""
    if seen is None:
        return result
    rehearsed = run.results.load(Stage.VALIDATE, ValidateResult)
    return dataclasses.replace(
        result,
        grafana=seen,
        post_checks=(*result.post_checks, after_check(seen, rehearsed)),
        findings=(*result.findings, *after_findings(seen, rehearsed, result.rollback_command)),
    )


def _not_yet(loaded: LoadedResult, began: PreflightResult, findings: tuple[Finding, ...]) -> CutoverResult:
    """Nothing done: the gate will ask for agreement."""
    return CutoverResult(loaded.version, began.live_version, False, 0.0, 0.0, 0, 0, (), None, (), "", findings=findings)


def _guard(run: Deployment) -> None:
    """Immediately before: our lock is still held, and the source unchanged."""
    if run.target_lock is not None:
        assert_held(run.target_lock, run.settings.serving_schema)
    refuse_changed_source(run)


def _refuse_changed(run: Deployment, connection: psycopg.Connection[Any], version: str) -> None:
    """The candidate, which nobody can write to by now, is as it was when it was validated."""
    changed = _changed(run, connection, version)
    if changed:
        raise ValidationFailed(
            f"the candidate {version} is not as it was validated: {', '.join(changed[:5])} changed since",
            left_behind="the candidate, not live; the live version untouched",
            next_step="find out who writes to the candidate, then start a new run",
        )


def _changed(run: Deployment, connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """The tables of the schema that are not as they were validated."""
    before = run.results.load(Stage.VALIDATE, ValidateResult).fingerprints
    now = fingerprints(connection, schema)
    return [table for table in {**before, **now} if before.get(table) != now.get(table)]


def _order(run: Deployment, loaded: LoadedResult, began: PreflightResult, roles: tuple[str, ...]) -> SwitchOrder:
    return SwitchOrder(
        serving_schema=run.settings.serving_schema,
        to_version=loaded.version,
        expected_live=began.live_version,
        adopt_as=_name_to_adopt(run),
        action="cutover",
        who=run.who,
        run_id=run.run_id,
        roles=roles,
        guard=functools.partial(_refuse_changed, run),
    )


def _hand_work(run: Deployment, order: SwitchOrder, began: PreflightResult) -> HandWork:
    """The switch as somebody makes it by hand; what a first schema will be called is decided once."""
    decided = run.journal.last("switch_by_hand")
    if decided is None:
        previous = order.adopt_as if began.live_version is None and began.serving_exists else began.live_version
        run.journal.write("switch_by_hand", to=order.to_version, previous=previous)
    else:
        previous = decided["previous"]
    order = dataclasses.replace(order, adopt_as=previous or order.adopt_as)
    again = f"continue with --resume {run.run_id}"
    return HandWork(order, previous, run.folder.cutover_sql, run.folder.rollback_sql, again)


def _left_as_made(work: HandWork, wrong: Check, result: CutoverResult) -> ValidationFailed:
    """What was made by hand is not undone by sdetl."""
    return ValidationFailed(
        f"after the cutover by hand, {wrong.name} failed: {wrong.measured}",
        left_behind=f"{result.live_version} is live",
        next_step=f"correct it and {work.again}; or take it back with the SQL in {work.back}",
        result=result,
    )


def _switch(run: Deployment, reporter: Reporter, order: SwitchOrder) -> Switched:
    switched = switch(
        run.connect,
        order,
        run.settings.cutover,
        reporter,
        before_commit=lambda xid: _note_commit(run, order.to_version, xid),
    )
    run.journal.write(
        "switched",
        to=order.to_version,
        previous=switched.previous_version,
        lock_seconds=round(switched.lock_seconds, 4),
    )
    reporter.event("SwitchMade", f"{order.to_version} is live in {order.serving_schema}")
    return switched


def _note_commit(run: Deployment, version: str, xid: str) -> None:
    """Durable before COMMIT: whoever comes after a crash can ask the server what became of that transaction."""
    run.journal.write("switch_committing", to=version, xid=xid)


def _name_to_adopt(run: Deployment) -> str:
    """A version name for a serving schema that nobody managed: the last second before now that is free."""
    moment = datetime.now(UTC)
    with run.connect() as connection:
        while True:
            name = f"{run.settings.serving_schema}_v{moment:%Y%m%d_%H%M%S}"
            if registry.get_version(connection, name) is None and not schema_exists(connection, name):
                return name
            moment -= timedelta(seconds=1)


def _tell_of_cut_off(run: Deployment, reporter: Reporter) -> None:
    """When this run was cut off in its switch, say that it was not made."""
    begun, made = run.journal.last("switch_committing"), run.journal.last("switched")
    if begun is not None and (made is None or made["seq"] < begun["seq"]):
        reporter.event(
            "SwitchNotMade",
            f"the switch to {begun['to']} that was cut off earlier was not committed: nothing had changed for readers",
            level="warning",
        )


def _switched_earlier(run: Deployment, reporter: Reporter, live: registry.Version) -> Switched:
    """This run was ended after its switch was committed and before that was noted."""
    reporter.event(
        "SwitchFound",
        f"{live.version} is live already: the switch was committed before this run was cut off",
        level="warning",
    )
    run.journal.write("switched", to=live.version, previous=live.previous, found_after_restart=True)
    return Switched(live.previous, False, 0.0, 0.0, 0, carry.Carried())


def _read_back(run: Deployment, loaded: LoadedResult, roles: tuple[str, ...], *, by_hand: bool) -> tuple[Check, ...]:
    # Nobody knows how long ago somebody switched by hand: rows may have been written since.
    rows = {} if by_hand else {proof.table: proof.rows_held for proof in loaded.proof}
    with run.connect() as connection:
        checks = post_checks(connection, run.settings.serving_schema, loaded.version, rows, roles)
        return (_check_content(run, connection), *checks) if by_hand else checks


def _check_content(run: Deployment, connection: psycopg.Connection[Any]) -> Check:
    """Whether what is live is, row for row, what was validated."""
    place = place_of(connection, run.settings.serving_schema)
    changed = _changed(run, connection, place) if place is not None else []
    said = f"written to since: {', '.join(changed[:5])}" if changed else "not a row was written since"
    return Check("content as it was validated", Verdict.WARNING if changed else Verdict.PASSED, said)


def _undo(
    run: Deployment, reporter: Reporter, loaded: LoadedResult, result: CutoverResult, roles: tuple[str, ...]
) -> SdetlError:
    """Go back by ourselves, to where readers found the version before; both failures are told when that fails too."""
    wrong = failed(result.post_checks)
    assert wrong is not None, "who calls this has looked"
    what = f"after the cutover, {wrong.name} failed: {wrong.measured}"
    if result.previous_version is None:
        return ValidationFailed(
            what,
            left_behind=f"{loaded.version} is live; there is no version to go back to",
            next_step="look at the serving schema",
            result=result,
        )
    order = SwitchOrder(
        serving_schema=run.settings.serving_schema,
        to_version=result.previous_version,
        expected_live=loaded.version,
        adopt_as=_name_to_adopt(run),
        action="rollback",
        who=run.who,
        run_id=run.run_id,
        roles=roles,
    )
    try:
        switch(run.connect, order, run.settings.cutover, reporter, before_commit=lambda xid: None)
    except TargetError as second:
        return ValidationFailed(
            f"{what}; going back failed too: {second.message}",
            left_behind=f"{loaded.version} is still live",
            next_step=_rollback_command(run),
            result=result,
        )
    run.journal.write("switched", to=result.previous_version, previous=loaded.version, undone=True)
    return ValidationFailed(
        f"{what}; the previous version {result.previous_version} was made live again",
        left_behind=f"{loaded.version} as a retired version",
        next_step="look at the report, then start a new run",
        result=dataclasses.replace(result, rollback_command=None),
    )


def _rollback_command(run: Deployment) -> str:
    by_hand = run.settings.cutover.strategy == "manual"
    return rollback_command(run.target().spoken, run.workspace.root, run.settings.serving_schema, by_hand=by_hand)


def rollback_command(target: str, workspace: Path, serving_schema: str, *, by_hand: bool = False) -> str:
    """The exact command that brings the previous version back.  ``target`` without a password.

    ``by_hand``: it writes the SQL that does so.
    """
    words = ["sdetl", "rollback", "--target", target, "--workspace", str(workspace)]
    if serving_schema != "servicedesk":
        words += ["--set", f"serving_schema={serving_schema}"]
    if by_hand:
        words += ["--set", "cutover.strategy=manual"]
    return shlex.join([*words, "--yes"])
