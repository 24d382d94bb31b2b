"""Numbers in sentences: one table, two tables; a score that is never rounded up."""

from __future__ import annotations

import math


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """``1 table``, ``1,200 tables``; ``plural`` for nouns that do not just take an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def inflected(count: int, one: str, many: str) -> str:
    """The word that goes with so many: ``is`` or ``are``, ``it`` or ``them``."""
    return one if count == 1 else many


def points(score: float) -> str:
    """A score (0..100) with one decimal, rounded down: 79.96 is under 80, and 99.98 is not all."""
    # What a float cannot hold exactly (32.3 * 10) is not to lose a tenth.
    return f"{math.floor(score * 10 + 1e-6) / 10:.1f}"
