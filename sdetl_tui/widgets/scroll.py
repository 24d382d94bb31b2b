"""Scroll bars for terminals that show ASCII only."""

from __future__ import annotations

from typing import ClassVar

from textual.scrollbar import ScrollBar, ScrollBarRender


class AsciiScrollBar(ScrollBarRender):
    """Whole cells, no parts of blocks."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "]
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "]


def use_ascii(*, only: bool) -> None:
    """Choose the scroll bars of this process."""
    ScrollBar.renderer = AsciiScrollBar if only else ScrollBarRender
