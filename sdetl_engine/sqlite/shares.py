"""Sharing the columns of a table out among processes, so that all have about as much to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeVar

from sdetl_engine import processes
from sdetl_engine.sqlite.open import quote
from sdetl_engine.values.schema import Table

Item = TypeVar("Item")

WORTH_CELLS = 3_000_000
"""Reading fewer cells than so many takes about as long as starting a process."""
_LOOKED_AT_ROWS = 500
_BYTES_LIKE_A_NUMBER = 16
_COLUMNS_AT_ONCE = 500


def shared_out(
    connection: sqlite3.Connection, table: Table, items: Sequence[tuple[Item, str, float]]
) -> list[list[Item]]:
    """``items`` (each with its column, and what a value costs beside its length) in one or more shares, in order."""
    count = min(processes.useful(), len(items))
    if count < 2 or not is_large(connection, table, len(items)):
        return [[item for item, _, _ in items]]
    lengths = _mean_lengths(connection, table, [column for _, column, _ in items])
    costs = [cost + length / _BYTES_LIKE_A_NUMBER for (_, _, cost), length in zip(items, lengths, strict=True)]
    shares: list[list[int]] = [[] for _ in range(count)]
    for number in sorted(range(len(items)), key=lambda n: -costs[n]):
        min(shares, key=lambda share: sum(costs[n] for n in share)).append(number)
    return [[items[n][0] for n in sorted(share)] for share in shares]


def is_large(connection: sqlite3.Connection, table: Table, columns: int) -> bool:
    """True when so many columns of the table are worth the start of processes that read them."""
    rows = WORTH_CELLS // columns
    query = f"SELECT count(*) FROM (SELECT 1 FROM {quote(table.name)} NOT INDEXED LIMIT ?)"
    return bool(connection.execute(query, (rows,)).fetchone()[0] >= rows)


def _mean_lengths(connection: sqlite3.Connection, table: Table, columns: Sequence[str]) -> list[float]:
    """The mean length of each column in the first rows, in bytes."""
    found: list[float] = []
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        names = [quote(column) for column in columns[start : start + _COLUMNS_AT_ONCE]]
        terms = ", ".join(f"total(length(CAST({name} AS BLOB)))" for name in names)
        query = f"SELECT {terms} FROM (SELECT {', '.join(names)} FROM {quote(table.name)} NOT INDEXED LIMIT ?)"
        found += [total / _LOOKED_AT_ROWS for total in connection.execute(query, (_LOOKED_AT_ROWS,)).fetchone()]
    return found
