"""What a declared type asks for: SQLite's affinity (https://www.sqlite.org/datatype3.html, 3.1), and common usage.

SQLite takes any words as a type.  The affinity is a rule; that ``DATETIME`` means a timestamp is usage, and a
label may lie: the data has the last word (``profiling.verdict``).
"""

from __future__ import annotations

import enum
import re

from sdetl_engine.values.types import Kind, TargetType


class Affinity(enum.StrEnum):
    """The five affinities of SQLite."""

    INTEGER = "INTEGER"
    TEXT = "TEXT"
    BLOB = "BLOB"
    REAL = "REAL"
    NUMERIC = "NUMERIC"


_SIZE = re.compile(r"\(\s*(\d{1,4})\s*(?:,\s*(\d{1,4})\s*)?\)")
_WORDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"\b(?:timestamptz|datetimeoffset|timestamp *(?:\( *\d+ *\))? *with time zone)\b"), Kind.TIMESTAMPTZ),
    (re.compile(r"\b(?:timestamp\w*|datetime\w*|smalldatetime)\b"), Kind.TIMESTAMP),
    (re.compile(r"\bdate\b"), Kind.DATE),
    (re.compile(r"\btime\b"), Kind.TIME),
    (re.compile(r"\bbool(?:ean)?\b"), Kind.BOOLEAN),
    (re.compile(r"\bjsonb\b"), Kind.JSONB),
    (re.compile(r"\bjson\b"), Kind.JSON),
    (re.compile(r"\b(?:uuid|guid|uniqueidentifier)\b"), Kind.UUID),
)


def affinity(declared: str) -> Affinity:
    """The affinity that SQLite gives a column of that declared type."""
    word = declared.upper()
    if "INT" in word:
        return Affinity.INTEGER
    if any(part in word for part in ("CHAR", "CLOB", "TEXT")):
        return Affinity.TEXT
    if "BLOB" in word or not word.strip():
        return Affinity.BLOB
    if any(part in word for part in ("REAL", "FLOA", "DOUB")):
        return Affinity.REAL
    return Affinity.NUMERIC


def declared_target(declared: str) -> TargetType | None:
    """The PostgreSQL type that the declaration asks for; None when it asks for nothing."""
    if not declared.strip():
        return None
    for pattern, kind in _WORDS:
        if pattern.search(declared.lower()):
            return TargetType(kind)
    match affinity(declared):
        case Affinity.INTEGER:
            return TargetType(Kind.INTEGER)
        case Affinity.TEXT:
            return TargetType(Kind.TEXT)
        case Affinity.BLOB:
            return TargetType(Kind.BYTES)
        case Affinity.REAL:
            return TargetType(Kind.DOUBLE)
        case Affinity.NUMERIC:
            return _numeric(declared)


def _numeric(declared: str) -> TargetType | None:
    """``NUMERIC(10,2)`` and ``DECIMAL``; a made-up word (``STRING``, ``byte[]``) asks for nothing."""
    if not re.search(r"\b(?:numeric|decimal|dec|number|money|currency)\b", declared.lower()):
        return None
    size = _SIZE.search(declared)
    if size is None or not 1 <= int(size[1]) <= 1000 or int(size[2] or 0) > int(size[1]):
        return TargetType(Kind.NUMERIC)
    return TargetType(Kind.NUMERIC, int(size[1]), int(size[2] or 0))
