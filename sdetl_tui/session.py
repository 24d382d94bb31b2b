"""What one session of the wizard begins with and keeps, whichever screen is shown."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from sdetl_engine import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdetl_engine import DrillResult, SdetlError, Settings
    from sdetl_tui.bridge import Bridge
    from sdetl_tui.terminal import Terminal


@dataclasses.dataclass(slots=True)
class Form:
    """The answers on the start screen, as typed."""

    source: str = ""
    target: str = ""
    plan: str = ""


@dataclasses.dataclass(slots=True)
class Drilled:
    """The drill of this session: what it breaks, and what came of the last one."""

    faults: tuple[Fault, ...] = tuple(Fault)
    result: DrillResult | None = None
    error: SdetlError | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Session:
    """What the command line says about this session."""

    bridge: Bridge
    terminal: Terminal
    form: Form
    settings: Callable[[Path | None], Settings]
    """Settings of a plan, with environment and options on top."""
