"""Data on its way to the screen: whatever a cell holds, what arrives is literal text of one line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdetl_tui.blocks import Span, Tone, line
from sdetl_tui.text import LONGEST, content, contents, literal, plain, written
from tests.wizard.hostile import HOSTILE

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def is_harmless(text: str) -> bool:
    """No control, bidi or zero-width character, no line break."""
    return not any(unicodedata.category(c) in _UNSEEN for c in text)


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_arrives_as_text(value: str) -> None:
    said = line(Span(value, Tone.BAD))
    for shown in (plain(value), written(said), content(said).plain, literal(value).plain, contents([said]).plain):
        assert is_harmless(shown), shown
        assert len(shown) <= LONGEST + 20


@pytest.mark.parametrize("value", ["[@click=app.exit]x[/]", "[/x]", "[bold]", "[", "\\[x]", "$primary"])
def test_what_looks_like_markup_is_shown_as_it_is(value: str) -> None:
    assert content(line(value)).plain == value
    assert content(line(value)).spans == []
    assert literal(value).plain == value
    assert literal(value).spans == []


def test_control_characters_are_shown_not_sent() -> None:
    shown = plain("a\x1b[31mb\x9b2Jc\r\nd")
    assert "\x1b" not in shown
    assert all(letter in shown for letter in "abcd")
    assert shown != "abcd"


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_is_harmless(value: str) -> None:
    assert is_harmless(plain(value))
