"""The few signs that are not letters, in two alphabets: for terminals that show Unicode, and for those that do not."""

from __future__ import annotations

import dataclasses

from sdetl_engine import Status, Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Glyphs:
    """Signs for states, bars and arrows.  A word always stands beside a state's sign."""

    status: dict[Status, str]
    verdict: dict[Verdict, str]
    full: str
    empty: str
    mark: str
    arrow: str
    bars: str
    bullet: str
    rule: str
    cut: str


UNICODE = Glyphs(
    status={
        Status.PENDING: "·",
        Status.RUNNING: "▶",
        Status.PASSED: "✓",
        Status.REVIEW: "?",
        Status.HALTED: "■",
        Status.FAILED: "✗",
        Status.SKIPPED: "–",
        Status.CANCELLED: "■",
        Status.UNKNOWN: "?",
    },
    verdict={Verdict.PASSED: "✓", Verdict.WARNING: "!", Verdict.FAILED: "✗", Verdict.UNKNOWN: "?"},
    full="█",
    empty="░",
    mark="│",
    arrow="→",
    bars=" ▁▂▃▄▅▆▇█",
    bullet="•",
    rule="─",
    cut="…",
)
ASCII = Glyphs(
    status={
        Status.PENDING: ".",
        Status.RUNNING: ">",
        Status.PASSED: "+",
        Status.REVIEW: "?",
        Status.HALTED: "#",
        Status.FAILED: "x",
        Status.SKIPPED: "-",
        Status.CANCELLED: "#",
        Status.UNKNOWN: "?",
    },
    verdict={Verdict.PASSED: "+", Verdict.WARNING: "!", Verdict.FAILED: "x", Verdict.UNKNOWN: "?"},
    full="#",
    empty=".",
    mark="|",
    arrow="->",
    bars=" .:-=+*#@",
    bullet="*",
    rule="-",
    cut="~",
)


def bar(share: float, width: int, glyphs: Glyphs, *, mark: float | None = None) -> str:
    """A bar of ``width`` cells, full only at 1.0; ``mark`` puts a limit's sign where it stands."""
    share = min(max(share, 0.0), 1.0)
    cells = [glyphs.full] * int(share * width)
    cells += [glyphs.empty] * (width - len(cells))
    if mark is not None and width:
        cells[min(int(min(max(mark, 0.0), 1.0) * width), width - 1)] = glyphs.mark
    return "".join(cells)


def sparkline(values: list[float], width: int, glyphs: Glyphs) -> str:
    """The last ``width`` values as a row of small bars, the highest full."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    steps = len(glyphs.bars) - 1
    return "".join(glyphs.bars[round(value / top * steps)] if top > 0 else glyphs.bars[0] for value in shown)


def percent(done: int, total: int) -> str:
    """Whole per cent, rounded down: 100 % only when all is done."""
    return f"{done * 100 // total} %" if total else ""
