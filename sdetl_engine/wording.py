"""Numbers in sentences: one table, two tables; a score that is never rounded up, a share never onto its limit."""

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


_MOST_DECIMALS = 6


def share_beside(share: float, limit: float) -> str:
    """A share (0..1) in per cent, with as many decimals as tell it from its limit: 10.004% is over 10%."""
    decimals = 1
    while share != limit and decimals < _MOST_DECIMALS and round(share * 100, decimals) == round(limit * 100, decimals):
        decimals += 1
    return f"{share:.{decimals}%}"


def limit_of(limit: float) -> str:
    """A limit (0..1) in per cent as it was set: 10%, 12.5%."""
    return f"{limit * 100:g}%"
