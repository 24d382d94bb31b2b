"""Numbers in sentences: one table, two tables."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """``1 table``, ``1,200 tables``; ``plural`` for nouns that do not just take an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def inflected(count: int, one: str, many: str) -> str:
    """The word that goes with so many: ``is`` or ``are``, ``it`` or ``them``."""
    return one if count == 1 else many
