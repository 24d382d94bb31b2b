"""Signs: two alphabets that say the same, and bars that are full only when all is done."""

from __future__ import annotations

import dataclasses

import pytest

from sdetl_engine import Status, Verdict
from sdetl_tui.glyphs import ASCII, UNICODE, Glyphs, bar, percent, sparkline


def every_sign(glyphs: Glyphs) -> str:
    values = [getattr(glyphs, field.name) for field in dataclasses.fields(glyphs)]
    return "".join("".join(v.values()) if isinstance(v, dict) else v for v in values)


def test_the_ascii_alphabet_is_ascii() -> None:
    assert every_sign(ASCII).isascii()


@pytest.mark.parametrize("glyphs", [ASCII, UNICODE])
def test_every_state_has_a_sign_and_good_and_bad_differ(glyphs: Glyphs) -> None:
    assert set(glyphs.status) == set(Status)
    assert set(glyphs.verdict) == set(Verdict)
    assert glyphs.status[Status.PASSED] not in {glyphs.status[s] for s in Status if s is not Status.PASSED}
    assert len(set(glyphs.verdict.values())) == len(Verdict)


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, "...."), (0.5, "##.."), (0.999, "###."), (1, "####"), (7, "####"), (-1, "....")]
)
def test_a_bar_is_full_only_at_the_end(share: float, drawn: str) -> None:
    assert bar(share, 4, ASCII) == drawn


def test_a_bar_shows_its_limit() -> None:
    assert bar(0.5, 10, ASCII, mark=0.8) == "#####...|."
    assert bar(0.5, 10, ASCII, mark=1.0) == "#####....|"


@pytest.mark.parametrize(
    ("done", "total", "shown"), [(996, 1000, "99 %"), (1000, 1000, "100 %"), (0, 9, "0 %"), (5, 0, "")]
)
def test_per_cent_are_rounded_down(done: int, total: int, shown: str) -> None:
    assert percent(done, total) == shown


def test_a_sparkline_shows_the_last_values() -> None:
    assert sparkline([9, 0, 10], 2, ASCII) == " @"
    assert sparkline([1, 2, 4], 9, UNICODE) == "▂▄█"
    assert sparkline([], 9, ASCII) == ""
    assert sparkline([0, 0], 9, ASCII) == "  "
