"""Sentences with numbers in them: nobody reads of 1 tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdetl_engine import counted, inflected, limit_of, points, share_beside

ROOT = Path(__file__).parent.parent
SENTENCES = sorted(p for room in ("sdetl_engine", "sdetl_tui") for p in (ROOT / room).rglob("*.py"))
# A number and, right behind it, a noun that is written in the plural whatever the number is.
ALWAYS_MANY = re.compile(
    r"\{(?:len\(|sum\(|count\(|[\w.\[\]]+:,\})[^{}]*\}? (?:tables|rows|columns|values|objects|panels|dashboards|sessions"
    r"|findings|stages|files|roles|functions|cells|differences)\b"
)
# Never one, or no sentence.
MEANT = ("_DEMO_ROWS", "database of about", "len({len(c)", "{len(kept)} columns")


@pytest.mark.parametrize("path", SENTENCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_number_and_its_noun_go_together(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [line.strip() for line in lines if ALWAYS_MANY.search(line) and not any(m in line for m in MEANT)]
    assert found == []


def test_one_and_many() -> None:
    assert (counted(1, "table"), counted(0, "table"), counted(1200, "query", "queries")) == (
        "1 table",
        "0 tables",
        "1,200 queries",
    )
    assert (inflected(1, "is", "are"), inflected(2, "is", "are")) == ("is", "are")


@pytest.mark.parametrize(
    ("score", "said"), [(99.98, "99.9"), (79.96, "79.9"), (80, "80.0"), (100, "100.0"), (0, "0.0"), (32.3, "32.3")]
)
def test_a_score_is_never_rounded_up(score: float, said: str) -> None:
    assert points(score) == said


def test_no_score_loses_a_tenth_that_it_has() -> None:
    assert [points(tenths / 10) for tenths in range(1001)] == [f"{tenths / 10:.1f}" for tenths in range(1001)]


@pytest.mark.parametrize(
    ("share", "limit", "said"),
    [
        (0.375, 0.2, "37.5% of at most 20%"),
        (0.1, 0.1, "10.0% of at most 10%"),
        (0.10004, 0.1, "10.004% of at most 10%"),
        (0.12499, 0.125, "12.499% of at most 12.5%"),
        (0.0, 0.07, "0.0% of at most 7%"),
    ],
)
def test_a_share_is_not_rounded_onto_its_limit(share: float, limit: float, said: str) -> None:
    assert f"{share_beside(share, limit)} of at most {limit_of(limit)}" == said
