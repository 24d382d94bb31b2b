"""From blocks to widgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdetl_tui.blocks import Table
from sdetl_tui.widgets.paged import PagedTable
from sdetl_tui.widgets.prose import Prose

if TYPE_CHECKING:
    from sdetl_tui.blocks import Block, Facts, Gauge, Note
    from sdetl_tui.glyphs import Glyphs


def drawn(blocks: Sequence[Block], glyphs: Glyphs) -> list[Prose | PagedTable]:
    """Widgets for blocks: what is told between two tables is one widget."""
    found: list[Prose | PagedTable] = []
    prose: list[Facts | Note | Gauge] = []
    for block in blocks:
        if isinstance(block, Table):
            if prose:
                found.append(Prose(prose, glyphs))
                prose = []
            found.append(PagedTable(block, glyphs))
        else:
            prose.append(block)
    if prose:
        found.append(Prose(prose, glyphs))
    return found
