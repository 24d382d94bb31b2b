"""The four sets of colours.  Every state has a sign and a word beside its colour."""

from __future__ import annotations

from textual.theme import Theme

THEMES = {"dark": "sdetl-dark", "light": "sdetl-light", "contrast": "sdetl-contrast", "ansi": "ansi-dark"}
"""What ``--theme`` says, and what textual calls it.  ``ansi``: the terminal's own colours."""


def themes() -> tuple[Theme, ...]:
    """The sets that textual does not bring along."""
    dark = Theme(
        name="sdetl-dark",
        primary="#2f6f9f",
        secondary="#6c8ebf",
        accent="#4fb3d9",
        warning="#e0b040",
        error="#e06c60",
        success="#5fbf8f",
        foreground="#d8dee9",
        background="#12161c",
        surface="#1b212a",
        panel="#232b36",
        dark=True,
    )
    light = Theme(
        name="sdetl-light",
        primary="#1f5f8f",
        secondary="#4a6fa5",
        accent="#00688b",
        warning="#8a5a00",
        error="#b02a1e",
        success="#1b6b43",
        foreground="#1c2128",
        background="#fafafa",
        surface="#eeeeee",
        panel="#e2e2e2",
        dark=False,
    )
    contrast = Theme(
        name="sdetl-contrast",
        primary="#0000ff",
        secondary="#00ffff",
        accent="#00ffff",
        warning="#ffff00",
        error="#ff5f5f",
        success="#00ff00",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1c1c1c",
        dark=True,
    )
    return dark, light, contrast
