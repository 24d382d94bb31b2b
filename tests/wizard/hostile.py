"""Texts that have harmed screens: markup, escape sequences, invisible marks, width tricks."""

from __future__ import annotations

HOSTILE = (
    "[@click=app.exit]x[/]",
    "[/x]",
    "[bold red]x",
    "[",
    "esc \x1b[2J\x1b[31m\x1b[?1049l",
    "osc \x1b]0;title\x07\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\",
    "osc52 \x1b]52;c;aGVsbG8=\x07",
    "c1 \x9b31m\x9d0;t\x9c\x90q\x9c",
    "bidi \u202egnp.exe\u202c \u2066x\u2069 \u200f",
    "zero\u200bwidth\u200d\u2060\ufeff",
    "emoji 👩‍👩‍👧‍👦 🏳️‍🌈 é",
    "lines\none\r\ntwo\u2028three\x85four\x0b\x0c",
    "bell \x07 nul \x00 del \x7f tab \t back \x08\x08\x08",
    "wide 漢字漢字漢字",
    "lone \ud800 surrogate",
    "tag \U000e0041\U000e0042",
)
"""One of each kind."""
