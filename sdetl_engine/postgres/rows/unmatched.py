"""Rows of two sides that have not met yet, by key.

Rows of equal tables meet at once and never come here.  What does come here is kept in memory while it is little, and
in a temporary file when it is more, so that two tables in a different order cost time and disk, not memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from sdetl_engine.sqlite.open import open_scratch

_MOST_BYTES = 32 * 1024 * 1024
_ROW_OVERHEAD = 300
_EXPECTED: Final = 0
_ACTUAL: Final = 1

Pair = tuple[bytes | None, bytes | None, str]
"""Expected row, actual row, and the name of the row; None where a side has no such row."""


class Unmatched:
    """Meeting place of the rows of one table."""

    def __init__(self) -> None:
        self._waiting: tuple[dict[bytes, list[tuple[bytes, str]]], ...] = ({}, {})
        self._bytes = 0
        self._scratch: sqlite3.Connection | None = None

    @property
    def is_empty(self) -> bool:
        """True when every row has met its counterpart."""
        return self._scratch is None and not any(self._waiting)

    def expected(self, key: bytes, row: bytes, name: str) -> Pair | None:
        """A row of the source; returns the pair when its counterpart was waiting."""
        found = self._take(_ACTUAL, key)
        if found is not None:
            return row, found[0], name
        self._put(_EXPECTED, key, row, name)
        return None

    def actual(self, key: bytes, row: bytes, name: str = "") -> Pair | None:
        """A row of the target; returns the pair when its counterpart was waiting."""
        found = self._take(_EXPECTED, key)
        if found is not None:
            return found[0], row, found[1]
        self._put(_ACTUAL, key, row, name)
        return None

    def awaits(self, side_of_expected: bool, key: bytes) -> bool:
        """True when a row with that key would meet its counterpart on the other side (as far as memory goes)."""
        return key in self._waiting[_ACTUAL if side_of_expected else _EXPECTED]

    def rest(self) -> Iterator[Pair]:
        """What is left at the end: pairs that met only in the file, then rows without a counterpart."""
        if self._scratch is None:
            for row, name in (entry for entries in self._waiting[_EXPECTED].values() for entry in entries):
                yield row, None, name
            for row, name in (entry for entries in self._waiting[_ACTUAL].values() for entry in entries):
                yield None, row, name
            return
        self._spill()
        yield from self._meet(self._scratch)

    def close(self) -> None:
        """Forget everything."""
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None

    def _take(self, side: int, key: bytes) -> tuple[bytes, str] | None:
        entries = self._waiting[side].get(key)
        if entries is None:
            return None
        found = entries.pop(0)
        if not entries:
            del self._waiting[side][key]
        self._bytes -= len(key) + len(found[0]) + _ROW_OVERHEAD
        return found

    def _put(self, side: int, key: bytes, row: bytes, name: str) -> None:
        self._waiting[side].setdefault(key, []).append((row, name))
        self._bytes += len(key) + len(row) + _ROW_OVERHEAD
        if self._bytes > _MOST_BYTES:
            self._spill()

    def _spill(self) -> None:
        if self._scratch is None:
            self._scratch = open_scratch()
            self._scratch.execute("CREATE TABLE waiting (side INTEGER, key BLOB, row BLOB, name TEXT)")
        for side, rows in enumerate(self._waiting):
            self._scratch.executemany(
                "INSERT INTO waiting VALUES (?, ?, ?, ?)",
                ((side, key, row, name) for key, entries in rows.items() for row, name in entries),
            )
            rows.clear()
        self._bytes = 0

    def _meet(self, scratch: sqlite3.Connection) -> Iterator[Pair]:
        for side in (_EXPECTED, _ACTUAL):
            scratch.execute(
                f"CREATE TABLE side_{side} AS SELECT key, row, name,"
                f" row_number() OVER (PARTITION BY key ORDER BY rowid) AS number FROM waiting WHERE side = {side}"
            )
            scratch.execute(f"CREATE INDEX by_key_{side} ON side_{side} (key, number)")
        yield from scratch.execute(
            "SELECT e.row, a.row, e.name FROM side_0 AS e LEFT JOIN side_1 AS a ON a.key = e.key AND a.number = e.number"
        )
        yield from scratch.execute(
            "SELECT NULL, a.row, a.name FROM side_1 AS a LEFT JOIN side_0 AS e ON e.key = a.key AND e.number = a.number"
            " WHERE e.number IS NULL"
        )
