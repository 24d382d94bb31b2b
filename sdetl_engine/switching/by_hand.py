"""Switches that an operator makes by hand: the exact SQL of both directions written, waited for, and verified."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.errors import GateStopped, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.files import private_folder, write_atomically
from sdetl_engine.postgres import carry
from sdetl_engine.postgres.by_hand import Standing, enter, look
from sdetl_engine.postgres.switch import Switched, SwitchOrder, rehearse_switch
from sdetl_engine.settings import CutoverSettings

_POLL_SECONDS = 0.5
Connect = Callable[[], psycopg.Connection[Any]]


class WaitsForHand(GateStopped):
    """The SQL is written and nobody has run it yet.  ``forward`` and ``back`` are the files; ``again`` verifies."""

    kind = "manual"

    def __init__(self, message: str, *, forward: Path, back: Path | None, again: str, left_behind: str) -> None:
        super().__init__(
            message,
            left_behind=left_behind,
            next_step=f"run psql -v ON_ERROR_STOP=1 -f {shlex.quote(str(forward))}, then {again}",
        )
        self.forward, self.back = forward, back


@dataclasses.dataclass(frozen=True, slots=True)
class HandWork:
    """One switch by hand.  ``previous``: the name that what is live gets; ``again``: how the operator has it verified."""

    order: SwitchOrder
    previous: str | None
    forward: Path
    back: Path
    again: str

    def standing(self, connect: Connect) -> Standing:
        """How far it has come."""
        with connect() as connection:
            standing = look(connection, self.order, self.previous)
            connection.rollback()
        return standing

    def write(self, connect: Connect, settings: CutoverSettings, reporter: Reporter) -> None:
        """Rehearse both directions and write their SQL.  Raises what ``rehearse_switch`` raises."""
        forward, back = rehearse_switch(connect, self.order, settings, reporter)
        private_folder(self.forward.parent)
        write_atomically(self.forward, forward)
        if back:
            write_atomically(self.back, back)
        reporter.event("SwitchWritten", f"the SQL of the switch stands in {self.forward}, rehearsed")

    def wait(self, connect: Connect, settings: CutoverSettings, reporter: Reporter) -> Switched:
        """Look until it is done, for ``cutover.manual_wait_seconds``; what is missing is told as it changes.

        Raises WaitsForHand when nobody has begun by then, ValidationFailed naming what is missing; Cancelled.
        """
        until = time.monotonic() + settings.manual_wait_seconds
        told: tuple[str, ...] = ()
        while not (standing := self.standing(connect)).is_done:
            if standing.missing and standing.missing != told:
                told = standing.missing
                reporter.event("SwitchHalfMade", f"made by hand in part: {_listed(told)}", level="warning")
            if time.monotonic() >= until:
                raise self._not_done(standing)
            reporter.progress("waiting for the SQL to be run by hand", 0, None, "")
            reporter.check()
            time.sleep(_POLL_SECONDS)
        if not standing.is_entered:
            with connect() as connection:
                enter(connection, self.order, self.previous)
                connection.commit()
            reporter.event("SwitchEntered", f"{self.order.to_version} was made live by hand; the registry says so now")
        reporter.event("SwitchMade", f"{self.order.to_version} is live in {self.order.serving_schema}, made so by hand")
        return Switched(self.previous, False, 0.0, 0.0, 0, carry.Carried(), self.order.roles)

    def _not_done(self, standing: Standing) -> GateStopped | ValidationFailed:
        version = self.order.to_version
        back = self.back if self.back.exists() else None
        if not standing.is_begun:
            return WaitsForHand(
                f"version {version} waits to be made live by hand (cutover.strategy=manual)",
                forward=self.forward,
                back=back,
                again=self.again,
                left_behind=f"{self.forward}{f' and {back}' if back is not None else ''}; the version that is live untouched",
            )
        way_back = f"; or take it back with the SQL in {back}" if back is not None and standing.is_entered else ""
        return ValidationFailed(
            f"the switch to version {version} was made by hand in part: {_listed(standing.missing)}",
            left_behind="what was done by hand; sdetl changed nothing",
            next_step=f"do what is missing, as {self.forward} has it{way_back}; then {self.again}",
            kind="manual-half",
        )


def _listed(missing: tuple[str, ...]) -> str:
    return "; ".join(missing[:10]) + (f" (and {len(missing) - 10} more)" if len(missing) > 10 else "")
