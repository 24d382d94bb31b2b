"""A line to type into."""

from __future__ import annotations

from textual.widgets import Input


class Field(Input):
    """An input of one row whose cursor does not blink: an idle screen sends nothing (a blink costs 2 kB/s over SSH)."""

    def __init__(self, value: str = "", *, hint: str = "", id: str, longest: int = 4096) -> None:
        super().__init__(value, placeholder=hint, id=id, compact=True, max_length=longest)
        self.cursor_blink = False
