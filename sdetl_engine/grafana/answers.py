"""What came of one query of a panel, whoever ran it: PostgreSQL itself, or Grafana on its behalf."""

from __future__ import annotations

import dataclasses
import enum
import hashlib

LONGEST_VALUE = 200
"""Characters; a longer value is kept as its digest, which is enough to compare."""

Row = tuple[str | None, ...]


class ColumnKind(enum.StrEnum):
    """What Grafana takes a column for; a panel that draws numbers draws nothing when they arrive as text."""

    NUMBER = "number"
    TIME = "time"
    BOOLEAN = "boolean"
    TEXT = "text"


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What one query gave.

    ``columns`` and ``kinds`` are known from the first row on; ``values`` are the first rows, as texts, when they were
    asked for; ``error`` is PostgreSQL's code and primary message, or what Grafana said.
    """

    ok: bool
    rows: int = 0
    columns: tuple[str, ...] = ()
    kinds: tuple[ColumnKind, ...] = ()
    values: tuple[Row, ...] = ()
    milliseconds: float = 0.0
    error: str | None = None

    @property
    def is_whole(self) -> bool:
        """True when every row that the query gave is in ``values``."""
        return len(self.values) == self.rows

    @property
    def is_empty(self) -> bool:
        """True when a panel has nothing to show: no row, or nothing but NULLs."""
        return self.rows == 0 or (self.is_whole and all(value is None for row in self.values for value in row))


def kept(value: object) -> str | None:
    """A value as an answer keeps it."""
    if value is None:
        return None
    text = str(value)
    if len(text) <= LONGEST_VALUE:
        return text
    return "sha256:" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
