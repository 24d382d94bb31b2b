"""Findings, decisions, and the catalogue of rules.

A finding is one thing that a gate noticed.  It carries counts and names, and evidence as keys of rows; it
never carries a row's content unless ``evidence`` was asked for, and evidence never reaches a log.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from typing import Protocol


class Severity(enum.StrEnum):
    """How a finding bears on its gate: ``halt`` stops, ``review`` asks for agreement, the others inform."""

    INFO = "info"
    WARNING = "warning"
    REVIEW = "review"
    HALT = "halt"


class Gate(enum.StrEnum):
    """The verdict at the end of a stage."""

    PASSED = "passed"
    REVIEW = "review"
    HALTED = "halted"


class Choice(enum.StrEnum):
    """What an operator may say about a finding."""

    ACCEPT = "accept"
    MARK_MISSING = "mark-missing"
    LOAD_AS_TEXT = "load-as-text"
    LEAVE_OUT = "leave-out"
    QUARANTINE = "quarantine"
    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"
    READ_NUMBERS = "read-numbers"
    READ_YEARS = "read-years"
    NAME_ZONE = "name-zone"
    ROLL_OVER = "roll-over"
    DECODE = "decode"
    KEEP_BYTES = "keep-bytes"
    SET_TYPE = "set-type"
    ADD_INDEX = "add-index"
    PARTITION = "partition"


_OF_THE_COLUMN = frozenset({Choice.LOAD_AS_TEXT, Choice.LEAVE_OUT, Choice.SET_TYPE, Choice.KEEP_BYTES})
"""Choices that change the column as a whole, whichever finding they were made about."""


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What the operator said about a finding.  ``argument`` is the mark, the type, the index, ...

    ``rule`` ``table`` ``column`` address the finding; ``*`` in table or column means any.
    """

    rule: str
    choice: Choice
    reason: str
    table: str | None = None
    column: str | None = None
    argument: str | None = None
    who: str | None = None
    when: str | None = None
    """ISO 8601 with offset."""

    def answers(self, finding: Finding) -> bool:
        """True when this decision was made about that finding, or settles it too, and the finding allows it.

        What is decided about a column settles everything that was noticed about it for the same reason: a mark that
        is declared missing is missing whichever rule complained of it.
        """
        if self.table not in ("*", finding.table) or self.column not in ("*", finding.column):
            return False
        if self.rule == finding.rule:
            return self.choice in finding.choices or self.choice is Choice.ACCEPT
        if self.choice not in finding.choices or finding.column is None:
            return False
        if self.choice is Choice.MARK_MISSING:
            return self.argument is not None and self.argument == finding.suggestion
        return self.choice in _OF_THE_COLUMN


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """One place where a finding is true: the row's key as text, and the raw value as Python ``repr``-free text."""

    key: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing a gate noticed.  ``fraction`` is ``count`` over the rows (or columns) looked at, 0..1."""

    rule: str
    severity: Severity
    message: str
    advice: str
    table: str | None = None
    column: str | None = None
    count: int = 0
    fraction: float | None = None
    choices: tuple[Choice, ...] = ()
    suggestion: str | None = None
    """The argument that the advice proposes: the mark, the type, the index."""
    evidence: tuple[Evidence, ...] = ()
    decision: Decision | None = None

    @property
    def is_open(self) -> bool:
        """True when it still asks something of the operator."""
        return self.severity in (Severity.REVIEW, Severity.HALT) and self.decision is None


class StageResult(Protocol):
    """What every stage returns: a frozen dataclass with at least these."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the gate noticed, without decisions."""

    @property
    def summary(self) -> dict[str, object]:
        """A few names and numbers for the journal, the log and ``--json``.  No cell values."""


def gate_of(findings: Iterable[Finding]) -> Gate:
    """The verdict that open findings give: any halt halts, else any review asks, else passed."""
    open_severities = {f.severity for f in findings if f.is_open}
    if Severity.HALT in open_severities:
        return Gate.HALTED
    return Gate.REVIEW if Severity.REVIEW in open_severities else Gate.PASSED


def decide(findings: Sequence[Finding], decisions: Sequence[Decision]) -> tuple[Finding, ...]:
    """The findings with the decisions that stand about them attached.

    A halt is never settled by ``accept``: what settles it removes its cause, and the stage is then
    evaluated again without it.
    """
    return tuple(_decided(f, decisions) for f in findings)


def _decided(finding: Finding, decisions: Sequence[Decision]) -> Finding:
    for decision in decisions:
        if decision.answers(finding) and not (finding.severity is Severity.HALT and decision.choice is Choice.ACCEPT):
            return dataclasses.replace(finding, decision=decision)
    return finding
