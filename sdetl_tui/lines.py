"""Places told line by line, and questions asked the same way: for screen readers, dumb terminals and pipes."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_tui.blocks import Facts, Gauge, Note, Table
from sdetl_tui.text import plain, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sdetl_tui.blocks import Block, Line

PAGE = 20
"""Rows of a table that are told at once."""
_WIDTH = 78


class Ended(Exception):
    """The input ended, or a signal came: leave at a safe point.  ``code`` is None for the end of the input."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__()
        self.code = code


class Teller:
    """Writes lines and asks questions.  Everything written is literal, one line at a time; nothing is ever redrawn."""

    def __init__(
        self, write: Callable[[str], None], read: Callable[[], str | None], *, ascii_only: bool = False
    ) -> None:
        self._write = write
        self._read = read
        self._ascii = ascii_only

    def say(self, text: str = "") -> None:
        """A line, wrapped."""
        for piece in textwrap.wrap(plain(text), _WIDTH, break_long_words=False, break_on_hyphens=False) or [""]:
            self._out(piece)

    def say_line(self, text: Line) -> None:
        """The same for a line of a view."""
        self.say(written(text))

    def ask(self, question: str) -> str:
        """An answer, without blanks around it.  Raises Ended when there is none any more."""
        self._out(plain(question))
        answer = self._read()
        if answer is None:
            raise Ended
        return answer.strip()

    def agrees(self, question: str) -> bool:
        """True for y or yes; everything else is a no."""
        return self.ask(f"{question} Type y to do it, anything else to leave it.").lower() in ("y", "yes")

    def tell(self, blocks: Iterable[Block], first: int = 0) -> list[Table]:
        """Blocks, and for each table its rows from ``first`` on, numbered.  Returns the tables in order."""
        tables: list[Table] = []
        for block in blocks:
            if isinstance(block, Table):
                tables.append(block)
                self.tell_table(block, first, len(tables))
            else:
                for text in _prose(block):
                    self.say(text)
            self._out("")
        return tables

    def tell_table(self, table: Table, first: int, number: int) -> None:
        """One page of a table: a line per row, named values instead of columns, so that it can be read aloud."""
        total = len(table.rows)
        self.say(
            f"Table {number}: {table.title or table.name}, {engine.counted(total, 'row')}"
            if total
            else f"{table.title}: {table.empty}"
        )
        for place, row in enumerate(itertools.islice(table.rows[first : first + PAGE], PAGE), first + 1):
            cells = [
                f"{column.title} {written(cell)}"
                for column, cell in zip(table.columns, row.cells, strict=True)
                if written(cell)
            ]
            self.say(f"{place}. {'; '.join(cells)}")
        if first + PAGE < total:
            self.say(f"{total - first - PAGE:,} more rows: 'more {number}' goes on")

    def _out(self, text: str) -> None:
        self._write(text.encode("ascii", "replace").decode() if self._ascii else text)


def _prose(block: Facts | Note | Gauge) -> Iterator[str]:
    match block:
        case Facts():
            if block.title:
                yield f"{block.title}:"
            yield from (f"{name}: {written(value)}" for name, value in block.rows)
        case Note():
            if block.title:
                yield f"{block.title}:"
            yield from (written(text) for text in block.lines)
        case Gauge():
            yield f"{block.label}: {block.shown}, {block.verdict}"
