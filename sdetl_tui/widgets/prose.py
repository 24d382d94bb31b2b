"""Lines, facts and gauges, wrapped to the width there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from sdetl_tui.blocks import Facts, Gauge, Note, Span, Tone, line
from sdetl_tui.glyphs import bar
from sdetl_tui.text import content

if TYPE_CHECKING:
    from sdetl_tui.blocks import Line
    from sdetl_tui.glyphs import Glyphs

Told = Facts | Note | Gauge
_GAUGE_BAR = 24


class Prose(Widget):
    """Blocks without tables, one under the other.  Long values wrap under their beginning, not under their name."""

    DEFAULT_CSS = "Prose { height: auto; width: 1fr; margin-bottom: 1; }"

    def __init__(self, blocks: Sequence[Told], glyphs: Glyphs) -> None:
        super().__init__()
        self._blocks = blocks
        self._glyphs = glyphs

    def tell(self, blocks: Sequence[Told]) -> None:
        """Something else instead."""
        self._blocks = blocks
        self.refresh(layout=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as allowed."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As high as the wrapped lines are."""
        return len(self._lines(width))

    def render(self) -> Content:
        """The lines at the present width."""
        return Content("\n").join(self._lines(self.size.width))

    def _lines(self, width: int) -> list[Content]:
        if width < 4:
            return []
        lines: list[Content] = []
        for number, block in enumerate(self._blocks):
            if number and not isinstance(block, Gauge):
                lines.append(Content(""))
            match block:
                case Facts():
                    lines += _titled(block.title)
                    lines += _facts(block.rows, width)
                case Note():
                    lines += _titled(block.title)
                    lines += [wrapped for text in block.lines for wrapped in _wrapped(text, width)]
                case Gauge():
                    lines += _gauge(block, width, self._glyphs)
        return lines


def _titled(title: str) -> list[Content]:
    return [content(line(Span(title, Tone.STRONG)))] if title else []


def _facts(rows: Sequence[tuple[str, Line]], width: int) -> list[Content]:
    label = min(max((len(name) for name, _ in rows), default=0), max(8, width // 3)) + 2
    found: list[Content] = []
    for name, value in rows:
        pieces = _wrapped(value, max(4, width - label))
        head = content(line(Span(name, Tone.DIM)), limit=label - 2).pad_right(label)
        head = head.truncate(label, pad=True)
        found.append(Content.assemble(head, pieces[0]))
        found += [Content.assemble(" " * label, piece) for piece in pieces[1:]]
    return found


def _wrapped(text: Line, width: int) -> list[Content]:
    shown = content(text)
    return shown.wrap(width) if shown.cell_length else [Content("")]


def _gauge(gauge: Gauge, width: int, glyphs: Glyphs) -> list[Content]:
    head = line(Span(f"{gauge.verdict}  ", gauge.tone), gauge.label)
    drawn = bar(gauge.share, min(_GAUGE_BAR, max(4, width - 26)), glyphs, mark=gauge.limit)
    below = line("  ", Span(drawn, gauge.tone), f" {gauge.shown}")
    return [*_wrapped(head, width), *_wrapped(below, width)]
