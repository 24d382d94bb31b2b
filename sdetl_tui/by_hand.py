"""A switch that somebody makes by hand, on the command line: its SQL shown, and looked at again on every Enter."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sdetl_engine import SdetlError, ValidationFailed, WaitsForHand
from sdetl_tui.narration import stderr_console, tell_error
from sdetl_tui.show import emit
from sdetl_tui.text import literal, plain

if TYPE_CHECKING:
    from sdetl_engine import Outcome

Made = TypeVar("Made")


def followed(run: Callable[[], Outcome], *, asks: bool) -> Outcome:
    """A run that may wait for somebody: once without a terminal, on one again until it is done or left."""
    shown = False
    while True:
        outcome = run()
        error = outcome.error
        if not is_about_it(error) or not asks:
            return outcome
        shown = _show(error, shown=shown)
        if not _again(error):
            return outcome


def until_made(work: Callable[[], Made], *, asks: bool) -> Made:
    """The same for work that raises.  Raises what ``work`` raises, once nobody wants to look again."""
    shown = False
    while True:
        try:
            return work()
        except (WaitsForHand, ValidationFailed) as error:
            if not is_about_it(error) or not asks:
                raise
            shown = _show(error, shown=shown)
            if not _again(error):
                raise


def is_about_it(error: SdetlError | None) -> bool:
    """True when the error says that somebody has not switched by hand yet, or in part."""
    return error is not None and error.kind in ("manual", "manual-half")


def _show(error: SdetlError | None, *, shown: bool) -> bool:
    """The SQL of both directions on stdout, the first time; returns True."""
    if isinstance(error, WaitsForHand) and not shown:
        for file in filter(None, (error.forward, error.back)):
            emit(plain(f"-- {file}"))
            for line in file.read_text(encoding="utf-8").splitlines():
                emit(plain(line))
    return True


def _again(error: SdetlError | None) -> bool:
    """Ask whether to look again; never without a terminal."""
    if error is None or not sys.stdin.isatty():
        return False
    console = stderr_console()
    if not isinstance(error, WaitsForHand):
        tell_error(console, error)
    words = "Run that SQL by hand, then press Enter to have it verified; q leaves it for later."
    console.print(literal(words), soft_wrap=True)
    answer = sys.stdin.readline()
    return bool(answer) and answer.strip().lower() not in ("q", "quit")
