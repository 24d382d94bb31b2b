"""What texts are numbers.  PostgreSQL is never asked: it reads ``' 7 '`` and refuses ``'1e3'`` as an integer.

Two questions are kept apart: does the text write a number at all, and does it write it *plainly*, so that the number
written back is the same text but for its length (``007``, ``+7`` and ``-0`` are not plain: they are codes).
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

SMALLEST_BIGINT = -(2**63)
LARGEST_BIGINT = 2**63 - 1
LONGEST_NUMBER = 1000
"""Longer texts are refused before any pattern looks at them."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,1000}(?:\.[0-9]{0,1000})?|\.[0-9]{1,1000})(?:[eE][+-]?[0-9]{1,4})?")
_PLAIN_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,1000})(?:\.[0-9]{1,1000})?(?:[eE][+-]?[0-9]{1,4})?")
_ZERO = frozenset("-0.")


def is_integer_text(text: str) -> bool:
    """Digits with an optional sign, nothing around them, of any size."""
    return len(text) <= LONGEST_NUMBER and _INTEGER.fullmatch(text) is not None


def bigint_of(text: str) -> int | None:
    """The integer that the text writes, when it fits 64 bits."""
    if not is_integer_text(text):
        return None
    number = int(text)
    return number if SMALLEST_BIGINT <= number <= LARGEST_BIGINT else None


def is_plain_bigint(text: str) -> bool:
    """True when ``bigint`` holds the text and writes it back character for character."""
    # Nineteen digits are the most that 64 bits need; the pattern refuses longer ones unread.
    return len(text) <= 20 and _PLAIN_INTEGER.fullmatch(text) is not None and bigint_of(text) is not None


def is_decimal_text(text: str) -> bool:
    """Digits with an optional sign, point and exponent; not ``inf``, ``nan``, ``0x1F`` or ``1_000``."""
    return len(text) <= LONGEST_NUMBER and _DECIMAL.fullmatch(text) is not None


def is_plain_decimal(text: str) -> bool:
    """A decimal without leading zeros, plus sign or negative zero: ``0.50``, ``-12``, ``1.5e-3``."""
    if len(text) > LONGEST_NUMBER or _PLAIN_DECIMAL.fullmatch(text) is None:
        return False
    digits = re.split("[eE]", text)[0]
    return not (digits[0] == "-" and _ZERO.issuperset(digits))


def decimals_of(number: float) -> int | None:
    """Digits behind the point that a number needs, as its shortest text has them; None for what is not finite."""
    if not math.isfinite(number):
        return None
    text = repr(number)
    if "e" not in text:
        fraction = text.partition(".")[2]
        return 0 if fraction == "0" else len(fraction)
    exponent = Decimal(text).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else None


def has_leading_zero(text: str) -> bool:
    """Digits that would lose their first zero as a number: a code, not a count."""
    return len(text) > 1 and text[0] == "0" and text.isascii() and text.isdigit()
