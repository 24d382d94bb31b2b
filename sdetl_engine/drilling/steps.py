"""The steps of a drill as they are taken: timed, told, and kept whether they succeed or not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg

from sdetl_engine.drill_records import DrillStep, StepStatus
from sdetl_engine.errors import Cancelled, SdetlError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.postgres.connect import statement_error


class Note:
    """What a step has to say about itself."""

    def __init__(self) -> None:
        self.detail = ""


class Steps:
    """Keeps every step.  The reporter hears ``DrillStepStarted`` and ``DrillStepFinished`` with name and seconds."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.taken: list[DrillStep] = []

    @property
    def failed(self) -> bool:
        """True once a step has failed."""
        return any(step.status is StepStatus.FAILED for step in self.taken)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Note]:
        """Time the block.  What it raises makes the step a failed one and is raised on as an SdetlError."""
        note, began = Note(), time.monotonic()
        self._reporter.event("DrillStepStarted", name, step=name)
        try:
            yield note
        except Cancelled:
            raise
        except psycopg.Error as error:
            told = statement_error(error, name)
            self._take(name, StepStatus.FAILED, time.monotonic() - began, told.message)
            raise told from None
        except SdetlError as error:
            self._take(name, StepStatus.FAILED, time.monotonic() - began, error.message)
            raise
        self._take(name, StepStatus.PASSED, time.monotonic() - began, note.detail)

    def skip(self, name: str, why: str) -> None:
        """A step that was not taken."""
        self._take(name, StepStatus.SKIPPED, 0.0, why)

    def _take(self, name: str, status: StepStatus, seconds: float, detail: str) -> None:
        self.taken.append(DrillStep(name, status, seconds, detail))
        level = "warning" if status is StepStatus.FAILED else "info"
        self._reporter.event(
            "DrillStepFinished",
            f"{name}: {status}" + (f", {detail}" if detail else ""),
            level=level,
            step=name,
            status=str(status),
            seconds=round(seconds, 3),
        )


def expect(condition: bool, otherwise: str) -> None:
    """Raise ValidationFailed when what the drill proves does not hold."""
    if not condition:
        raise ValidationFailed(otherwise, next_step="report it with the output of the drill")
