"""A random sample of a table's rows, drawn without sorting or reading the whole table where that is possible.

Rows are found by guessing rowids; where guesses mostly miss, or there is no rowid, one pass picks rows by position.
The same seed draws the same sample from the same file.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from sdetl_engine.sqlite.open import quote
from sdetl_engine.values.schema import Table

LONGEST = 4096
"""Texts and BLOBs are cut to this many characters or bytes: enough to tell what they are."""
_GUESSES_PER_ROW = 8

SampledRow = tuple[object, ...]


def sample_table(
    connection: sqlite3.Connection,
    table: Table,
    rows: int,
    seed: int,
    *,
    names: Sequence[str] | None = None,
    total: int | None = None,
) -> list[SampledRow]:
    """At most ``rows`` random rows, as tuples in column order; all rows when there are no more.

    Texts come as ``str``; bytes that are not valid UTF-8 are kept by ``surrogateescape``.  ``names``: only these
    columns; ``total``: the rows of the table, when known.
    """
    return list(iterate_sample(connection, table, rows, seed, names=names, total=total))


def iterate_sample(
    connection: sqlite3.Connection,
    table: Table,
    rows: int,
    seed: int,
    *,
    names: Sequence[str] | None = None,
    total: int | None = None,
) -> Iterator[SampledRow]:
    """The same, one row at a time.  ``names``: only these columns; ``total``: the rows of the table, when known."""
    columns = ", ".join(_cut(quote(name)) for name in names or [column.name for column in table.columns])
    chooser = random.Random(seed)  # noqa: S311 - a sample, not a secret
    rowid = rowid_name(table)
    keys = _random_rowids(connection, table, rowid, rows, chooser, total) if rowid else None
    with lenient_texts(connection):
        if keys is None:
            yield from _by_position(connection, table, columns, rows, chooser)
        else:
            query = f"SELECT {columns} FROM {quote(table.name)} WHERE {rowid} = ?"
            yield from (connection.execute(query, (key,)).fetchone() for key in keys)


def estimate_distinct(seen: Mapping[int, int], total: int) -> int:
    """How many different values ``total`` rows have, from how often each value was seen in a sample of them.

    The estimator of Haas and Stokes that PostgreSQL's ANALYZE uses: n*d / (n - f1 + f1*n/N).
    """
    sampled, different = sum(seen.values()), len(seen)
    if not sampled or sampled >= total:
        return different
    once = sum(1 for times in seen.values() if times == 1)
    estimate = sampled * different / (sampled - once + once * sampled / total)
    return min(total, max(different, round(estimate)))


def rowid_name(table: Table) -> str | None:
    """SQL that names the rowid, or None when the table has none or its columns have taken all its names."""
    if not table.has_rowid:
        return None
    if table.rowid_alias is not None:
        return quote(table.rowid_alias)
    taken = {column.name.lower() for column in table.columns}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)


def ends_of(connection: sqlite3.Connection, name: str, rowid: str) -> tuple[int | None, int | None]:
    """The lowest and the highest rowid; ``name`` and ``rowid`` are SQL.  Asked together, SQLite would read every row."""
    low, high = (connection.execute(f"SELECT {end}({rowid}) FROM {name}").fetchone()[0] for end in ("min", "max"))
    return low, high


@contextlib.contextmanager
def lenient_texts(connection: sqlite3.Connection) -> Iterator[None]:
    """Let the connection hand over texts that are not valid UTF-8, for a while."""
    before = connection.text_factory
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        connection.text_factory = before


def _cut(column: str) -> str:
    return (
        f"CASE WHEN typeof({column}) IN ('text', 'blob') AND length(CAST({column} AS BLOB)) > {LONGEST}"
        f" THEN substr({column}, 1, {LONGEST}) ELSE {column} END"
    )


def _random_rowids(
    connection: sqlite3.Connection, table: Table, rowid: str, rows: int, chooser: random.Random, total: int | None
) -> list[int] | None:
    """``rows`` different rowids, each as likely as any other, in order; None when they lie too far apart to guess."""
    name = quote(table.name)
    low, high = ends_of(connection, name, rowid)
    if low is None or high is None:
        return []
    if high - low < 2 * rows:
        return None
    probe = f"SELECT 1 FROM {name} WHERE {rowid} = ?"
    has_gaps = high - low + 1 != total
    found: set[int] = set()
    for _ in range(_GUESSES_PER_ROW * rows):
        guess = chooser.randint(low, high)
        if guess not in found and (not has_gaps or connection.execute(probe, (guess,)).fetchone() is not None):
            found.add(guess)
            if len(found) == rows:
                return sorted(found)
    return None


def _by_position(
    connection: sqlite3.Connection, table: Table, columns: str, rows: int, chooser: random.Random
) -> Iterator[SampledRow]:
    """One pass over the table that takes the rows at random places."""
    name = quote(table.name)
    (total,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    if total <= rows:
        yield from connection.execute(f"SELECT {columns} FROM {name}")
        return
    chosen = _Positions(chooser.sample(range(total), rows))
    connection.create_function("sdetl_chosen", 0, chosen)
    yield from connection.execute(f"SELECT {columns} FROM {name} WHERE sdetl_chosen()")


class _Positions:
    """Says of each row in turn whether it was chosen."""

    def __init__(self, positions: Sequence[int]) -> None:
        self._chosen = frozenset(positions)
        self._next = 0

    def __call__(self) -> bool:
        position, self._next = self._next, self._next + 1
        return position in self._chosen
