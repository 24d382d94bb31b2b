"""Findings: filtered, sorted, searched; one in detail with its evidence and the decisions that are open."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import RULES, Choice, Finding, Gate, Severity, Stage
from sdetl_tui.blocks import SEVERITY_TONE, Column, Facts, Note, Row, Span, Table, Tone, line
from sdetl_tui.views.evidence import EvidenceRows, evidence_rows
from sdetl_tui.views.figures import Rows, count, percent, said

if TYPE_CHECKING:
    from sdetl_engine import Decision
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look

Item = tuple[Stage, Finding]
_GRAVITY = {Severity.HALT: 0, Severity.REVIEW: 1, Severity.WARNING: 2, Severity.INFO: 3}


class Order(enum.StrEnum):
    """By what findings are sorted."""

    GRAVITY = "gravity"
    COUNT = "count"
    PLACE = "place"


class Which(enum.StrEnum):
    """Which findings are shown."""

    ALL = "all"
    OPEN = "open"
    DECIDED = "decided"
    GRAVE = "warnings and up"


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """What is shown, and in which order.  ``search`` is looked for in rule, table, column and message."""

    which: Which = Which.ALL
    order: Order = Order.GRAVITY
    search: str = ""
    stage: Stage | None = None


def chosen(items: Sequence[Item], wanted: Filter) -> list[Item]:
    """The findings that the filter lets through, in its order."""
    needle = wanted.search.casefold()
    found = [item for item in items if _shown(item, wanted) and (not needle or needle in _haystack(item[1]))]
    return sorted(found, key=lambda item: _rank(item, wanted.order))


def blocks(look: Look, items: Sequence[Item], wanted: Filter) -> tuple[Block, ...]:
    """How many, and the table."""
    found = chosen(items, wanted)
    still_open = sum(f.is_open for _, f in items)
    numbers = {id(item): number for number, item in enumerate(items)}
    stage = f" of {wanted.stage}" if wanted.stage is not None else ""
    searched = f", holding {wanted.search!r}" if wanted.search else ""
    head = line(
        f"{count(len(found))} of {engine.counted(len(items), 'finding')}{stage} ({wanted.which}, by {wanted.order}{searched}); ",
        Span(f"{still_open} open", Tone.BAD if still_open else Tone.GOOD),
    )
    columns = (
        Column("Severity"),
        Column("State"),
        Column("Rule"),
        Column("Where", tail=True),
        Column("Count", right=True, spare=True),
        Column("What", spare=True),
    )
    rows = Rows(found, lambda item: _row(numbers[id(item)], item))
    return (Note((head,)), Table("findings", columns, rows, empty="no finding"))


def detail(look: Look, item: Item) -> tuple[Block, ...]:
    """One finding: what, where, how many, the advice, the decision, and rows that show it."""
    stage, finding = item
    rule = RULES[finding.rule]
    rows: list[tuple[str, Line]] = [
        (
            "finding",
            line(Span(f"{finding.severity}: ", SEVERITY_TONE[finding.severity]), Span(finding.rule, Tone.STRONG)),
        ),
        ("where", line(f"{stage}: {where(finding)}")),
        ("what", line(finding.message)),
        ("advice", line(finding.advice)),
        ("meaning", line(rule.meaning)),
    ]
    if finding.count:
        part = f" ({percent(finding.fraction)})" if finding.fraction is not None else ""
        rows.append(("how many", line(f"{count(finding.count)}{part}")))
    if rule.threshold:
        rows.append(("threshold", line(f"{rule.threshold} (setting)")))
    rows.append(("decision", decision_line(finding.decision) if finding.decision is not None else _waiting(finding)))
    shown = evidence(look, finding)
    return (Facts(tuple(rows)), *((shown,) if shown is not None else ()))


def evidence(look: Look, finding: Finding) -> Table | None:
    """The rows that show it: all of them, read page by page, where the rule can tell them; else those that were kept."""
    columns = (Column("Row"), Column("Value"))
    if finding.count > len(finding.evidence) and engine.can_show_rows(look.run, finding):
        return Table(
            *("evidence", columns, EvidenceRows(look.run, finding)), title=f"Rows that show it ({count(finding.count)})"
        )
    if not finding.evidence:
        return None
    title = f"Rows that show it ({count(len(finding.evidence))} of {count(finding.count)})"
    return Table("evidence", columns, evidence_rows(finding.evidence, first=0), title=title)


def where(finding: Finding) -> str:
    """Table and column, as far as there are."""
    return ".".join(part for part in (finding.table, finding.column) if part) or "the whole run"


def decision_line(decision: Decision) -> Line:
    """Who decided what, when and why."""
    argument = f" {decision.argument}" if decision.argument else ""
    who = f" ({decision.who or 'plan'}{', ' + decision.when if decision.when else ''})"
    return line(Span(f"{decision.choice}{argument}", Tone.GOOD), f": {decision.reason}{who}")


CHOICE_WORDS: dict[Choice, str] = {
    Choice.ACCEPT: "agree: go on with it as it is",
    Choice.MARK_MISSING: "this mark means missing in that column",
    Choice.LOAD_AS_TEXT: "load the column as text, unchanged",
    Choice.LEAVE_OUT: "leave it out of the migration",
    Choice.QUARANTINE: "put these values into the quarantine",
    Choice.DAY_FIRST: "its dates are day first (31/12)",
    Choice.MONTH_FIRST: "its dates are month first (12/31)",
    Choice.READ_NUMBERS: "its numbers are dates, in this unit",
    Choice.READ_YEARS: "its years of two digits begin with this year",
    Choice.NAME_ZONE: "its times are those of this zone (Europe/Berlin)",
    Choice.ROLL_OVER: "read 24:00 and second 60 as what follows them",
    Choice.DECODE: "decode them by this rule (cp1252, escape, strip-nul)",
    Choice.KEEP_BYTES: "keep the column's bytes as they are (bytea)",
    Choice.SET_TYPE: "load it as another type",
    Choice.ADD_INDEX: "build this index after the data",
    Choice.PARTITION: "partition the table like this",
}
ARGUED = frozenset(
    {
        *(Choice.MARK_MISSING, Choice.SET_TYPE, Choice.ADD_INDEX, Choice.PARTITION),
        *(Choice.READ_NUMBERS, Choice.READ_YEARS, Choice.NAME_ZONE, Choice.DECODE),
    }
)
"""Choices that need an argument: the mark, the type, the index, the partitioning, the unit, the rule ..."""


def is_decidable(finding: Finding) -> bool:
    """True when something can be said about it: it is open, or it offers more than to agree."""
    return finding.decision is None and (finding.is_open or not set(finding.choices) <= {Choice.ACCEPT})


def choices(finding: Finding) -> tuple[Choice, ...]:
    """What may be said about it: a halt is never just agreed to."""
    offered = finding.choices or (() if finding.severity is Severity.HALT else (Choice.ACCEPT,))
    return tuple(c for c in offered if not (finding.severity is Severity.HALT and c is Choice.ACCEPT))


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """One line of the decision dialog.  ``everywhere``: about every column of every table, not just this one."""

    choice: Choice
    words: str
    everywhere: bool = False


def offers(finding: Finding) -> tuple[Offer, ...]:
    """The choices as they are offered: a mark that means missing here may mean so everywhere."""
    found: list[Offer] = []
    for choice in choices(finding):
        found.append(Offer(choice, CHOICE_WORDS[choice]))
        if choice is Choice.MARK_MISSING:
            found.append(Offer(choice, "this mark means missing in every column of every table", everywhere=True))
    return tuple(found)


def gate_word(before: Gate, after: Gate) -> Line:
    """What a decision does to the gate, in words."""
    tone = {Gate.PASSED: Tone.GOOD, Gate.REVIEW: Tone.NOTICE, Gate.HALTED: Tone.BAD}[after]
    return line("with this decision the gate goes from ", f"{before} to ", Span(str(after), tone))


def _waiting(finding: Finding) -> Line:
    if finding.is_open:
        return line(Span("open: it waits for you", Tone.BAD if finding.severity is Severity.HALT else Tone.NOTICE))
    return said("none is needed", Tone.DIM)


def _shown(item: Item, wanted: Filter) -> bool:
    stage, finding = item
    if wanted.stage is not None and stage is not wanted.stage:
        return False
    match wanted.which:
        case Which.ALL:
            return True
        case Which.OPEN:
            return finding.is_open
        case Which.DECIDED:
            return finding.decision is not None
        case Which.GRAVE:
            return finding.severity is not Severity.INFO


def _haystack(finding: Finding) -> str:
    return " ".join((finding.rule, finding.table or "", finding.column or "", finding.message)).casefold()


def _rank(item: Item, order: Order) -> tuple[object, ...]:
    stage, finding = item
    gravity = (not finding.is_open, _GRAVITY[finding.severity])
    match order:
        case Order.GRAVITY:
            return (*gravity, -finding.count)
        case Order.COUNT:
            return (-finding.count, *gravity)
        case Order.PLACE:
            return (list(Stage).index(stage), where(finding), *gravity)


def _row(number: int, item: Item) -> Row:
    _, finding = item
    if finding.is_open:
        state = Span("OPEN", SEVERITY_TONE[finding.severity])
    elif finding.decision is not None:
        state = Span(str(finding.decision.choice), Tone.GOOD)
    else:
        state = Span("noted", Tone.DIM)
    cells = (
        line(Span(str(finding.severity), SEVERITY_TONE[finding.severity])),
        line(state),
        line(finding.rule),
        line(where(finding)),
        line(count(finding.count) if finding.count else ""),
        line(finding.message),
    )
    return Row(str(number), cells)
