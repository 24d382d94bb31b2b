"""Values that mean "missing": what is usual, and what the operator has declared."""

from __future__ import annotations

from collections.abc import Sequence

WELL_KNOWN_MARKS: tuple[str, ...] = (
    *("?", "-", "--", "---", ".", "..", "*", "#N/A", "N/A", "n/a", "NA", "na", "NULL", "null", "Null", "(null)"),
    *("None", "none", "NONE", "nil", "NaN", "nan", "unknown", "Unknown", "UNKNOWN", "undefined", "missing", "(blank)"),
    *("0000-00-00", "0000-00-00 00:00:00", "\\N", "TBD", "tbd"),
)
LONGEST_MARK = max(map(len, WELL_KNOWN_MARKS))


def is_well_known_mark(text: str) -> bool:
    """True for a text that usually stands for "missing"."""
    return text in WELL_KNOWN_MARKS


def matches(patterns: Sequence[str], table: str, column: str) -> bool:
    """True when one of the patterns (``table.column``, ``*`` on either side, or ``*`` alone) means that column."""
    return any(_means(pattern, table, column) for pattern in patterns)


def markers_for(null_markers: Sequence[str], table: str, column: str) -> tuple[str, ...]:
    """The declared marks of a column, from ``TABLE.COLUMN=MARK``, ``*.COLUMN=MARK``, ``TABLE.*=MARK``, ``*=MARK``.

    Names may hold dots, blanks and ``=``; the mark is what follows the first ``=`` after which the rest names
    the column.  Raises ValueError for a spelling without ``=``.
    """
    found = []
    for text in null_markers:
        if "=" not in text:
            raise ValueError(f"{text!r} is not of the form TABLE.COLUMN=MARK")
        position = text.find("=")
        while position != -1:
            if _means(text[:position], table, column):
                found.append(text[position + 1 :])
                break
            position = text.find("=", position + 1)
    return tuple(dict.fromkeys(mark for mark in found if mark))


def _means(pattern: str, table: str, column: str) -> bool:
    if pattern in ("*", "*.*"):
        return True
    if pattern == f"{table}.{column}":
        return True
    return pattern in (f"{table}.*", f"*.{column}")
