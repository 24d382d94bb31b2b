"""Texts as a terminal may show them, and bytes that claim to be text."""

from __future__ import annotations

import unicodedata

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, limit: int = 80) -> str:
    """The text on one line, cut at ``limit``; control, bidi, zero-width and unassigned characters become escapes.

    Nothing in the result moves a cursor, changes a title, reorders or hides characters (CWE-150).
    """
    shown = "".join(_escape(c) if unicodedata.category(c) in _INVISIBLE else c for c in text[: limit + 1])
    return shown if len(text) <= limit else shown[:limit] + "…"


def _escape(character: str) -> str:
    code = ord(character)
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def is_utf8(raw: bytes) -> bool:
    """True when the bytes are well-formed UTF-8."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def lenient(raw: bytes) -> str:
    """Bytes as text for showing; what is not UTF-8 becomes escapes."""
    return raw.decode("utf-8", errors="backslashreplace")
