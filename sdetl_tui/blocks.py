"""What a screen says, before anything is drawn: lines, facts, tables and gauges, each with the tone it is said in.

Views build these from the engine's results; the full-screen wizard draws them with widgets and ``sdetl --plain`` writes
them line by line.  A span holds raw text: ``text.py`` makes it literal on the way out, whoever shows it.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdetl_engine import Severity, Status, Verdict

if TYPE_CHECKING:
    from sdetl_engine import Reporter


class Tone(enum.StrEnum):
    """How something is said.  Never the only carrier of a meaning: a word or a symbol says the same."""

    PLAIN = "plain"
    DIM = "dim"
    STRONG = "strong"
    GOOD = "good"
    NOTICE = "notice"
    BAD = "bad"
    ACCENT = "accent"


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line.  ``text`` may come from anywhere."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """A line of plain texts and spans."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """Some lines of text, under a title when there is one."""

    lines: tuple[Line, ...]
    title: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are, one a line."""

    rows: tuple[tuple[str, Line], ...]
    title: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Gauge:
    """A measured share (0..1) against its limit.  ``verdict`` says in a word what it came to."""

    label: str
    share: float
    limit: float
    shown: str
    verdict: str
    tone: Tone


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.  ``right``: figures, set to the right; ``tail``: cut at the front where room is short, because
    the end tells more (names of columns, paths); ``spare``: left out where room is short: the detail has it too."""

    title: str
    right: bool = False
    tail: bool = False
    spare: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One row.  ``key`` names it to whoever opens its detail."""

    key: str
    cells: tuple[Line, ...]


class SlowRows(Sequence[Row], abc.ABC):
    """Rows that may take a while to find: a screen reads a page of them beside itself, and may stop looking."""

    @abc.abstractmethod
    def read(self, first: int, limit: int, reporter: Reporter | None = None) -> Sequence[Row]:
        """Up to ``limit`` rows from the one numbered ``first`` on.  Raises SdetlError; Cancelled when it was stopped."""


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns.  ``rows`` may be a lazy sequence: only the page that is shown is asked for."""

    name: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    empty: str = "nothing here"
    title: str = ""

    def in_full(self, row: Row) -> Facts:
        """One of its rows, with every column and nothing cut."""
        return Facts(tuple((column.title, cell) for column, cell in zip(self.columns, row.cells, strict=True)))


Block = Note | Facts | Gauge | Table

STATUS_TONE = {
    Status.PENDING: Tone.DIM,
    Status.RUNNING: Tone.ACCENT,
    Status.PASSED: Tone.GOOD,
    Status.REVIEW: Tone.NOTICE,
    Status.HALTED: Tone.BAD,
    Status.FAILED: Tone.BAD,
    Status.SKIPPED: Tone.DIM,
    Status.CANCELLED: Tone.NOTICE,
    Status.UNKNOWN: Tone.NOTICE,
}
VERDICT_TONE = {
    Verdict.PASSED: Tone.GOOD,
    Verdict.WARNING: Tone.NOTICE,
    Verdict.FAILED: Tone.BAD,
    Verdict.UNKNOWN: Tone.NOTICE,
}
SEVERITY_TONE = {
    Severity.HALT: Tone.BAD,
    Severity.REVIEW: Tone.NOTICE,
    Severity.WARNING: Tone.NOTICE,
    Severity.INFO: Tone.DIM,
}


def good_or_bad(*, good: bool) -> Tone:
    """The tone of a yes or no."""
    return Tone.GOOD if good else Tone.BAD
