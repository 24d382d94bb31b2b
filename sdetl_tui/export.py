"""What a screen says, as a text file: for a ticket, a mail, or a colleague."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from sdetl_tui.blocks import Block, Facts, Gauge, Note, Table
from sdetl_tui.text import plain, written


def told(blocks: Iterable[Block]) -> Iterator[str]:
    """Lines for blocks, without colours; tables as columns apart by two blanks."""
    for block in blocks:
        match block:
            case Facts():
                if block.title:
                    yield plain(block.title)
                names = [plain(name) for name, _ in block.rows]
                label = max(map(len, names), default=0)
                yield from (
                    f"{name:<{label}}  {written(value)}" for name, (_, value) in zip(names, block.rows, strict=True)
                )
            case Note():
                if block.title:
                    yield plain(block.title)
                yield from (written(text) for text in block.lines)
            case Gauge():
                yield plain(f"{block.verdict}  {block.label}: {block.shown}")
            case Table():
                yield from _table(block)
        yield ""


def _table(table: Table, most: int = 10_000) -> Iterator[str]:
    if table.title:
        yield plain(table.title)
    if not len(table.rows):
        yield plain(table.empty)
        return
    heads = [plain(column.title) for column in table.columns]
    rows = [[written(cell) for cell in row.cells] for row in itertools.islice(table.rows, most)]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, *rows]:
        cells = [
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, table.columns, strict=True)
        ]
        yield "  ".join(cells).rstrip()
    if len(table.rows) > most:
        yield f"... {len(table.rows) - most:,} more rows"


def export(folder: Path, name: str, blocks: Iterable[Block]) -> Path:
    """Write the blocks to a new file in the folder; earlier exports stay.  Raises OSError."""
    for number in itertools.count(1):
        path = folder / f"{name}-{number}.txt"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.writelines(f"{text}\n" for text in told(blocks))
        except FileExistsError:
            continue
        return path
    raise AssertionError("unreachable")
