"""Bytes that claim to be text and that PostgreSQL cannot hold as such, made text by a rule that somebody stated.

A rule is the name of an encoding (for bytes that are not UTF-8), ``escape`` (each such byte, and each NUL, becomes
``\\xNN``) or ``strip-nul``.  Several are tried in the order in which they were stated.  Pure.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

ESCAPE = "escape"
STRIP_NUL = "strip-nul"
_KNOWN = re.compile(
    r"cp\d+|iso8859-\d+|mac-\w+|koi8-\w|ptcp154|gb\w+|big5\w*|hz|shift_jis\w*|euc_\w+|johab|iso2022_\w+|tis-620|kz1048"
)


def check_rule(rule: str) -> str:
    """The rule as it is kept.  Raises ValueError for what is no rule."""
    if rule in (ESCAPE, STRIP_NUL):
        return rule
    try:
        name = codecs.lookup(rule).name
    except (LookupError, ValueError):
        name = ""
    if not _KNOWN.fullmatch(name):
        raise ValueError(f"{rule!r} is no rule to decode by: name an encoding (cp1252), {ESCAPE} or {STRIP_NUL}")
    return rule


def decoded(raw: bytes, rules: Sequence[str], encoding: str = "utf-8") -> str | None:
    """What the bytes become; None when they are right as they are, or when no rule makes them so.

    ``encoding``: what the file says its texts are written in.
    """
    text = _read(raw, encoding)
    if text is not None and "\0" not in text:
        return None
    for rule in rules:
        if rule == STRIP_NUL:
            text = text.replace("\0", "") if text is not None else None
            raw = raw if text is not None else _without_nul(raw, encoding)
        elif rule == ESCAPE:
            text = (raw.decode(encoding, "backslashreplace") if text is None else text).replace("\0", "\\x00")
        elif text is None and encoding == "utf-8":
            text = _read(raw, rule)
    return text if text is not None and "\0" not in text else None


def _read(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _without_nul(raw: bytes, encoding: str) -> bytes:
    return raw.replace(b"\0", b"") if encoding == "utf-8" else raw
