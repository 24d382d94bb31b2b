"""A sample of a database that is closed over its relations: a seeded share of the parents, with their children.

An independent sample of child rows would orphan nine in ten of them.  Children whose parents are not in the file
at all are sampled by themselves, so that they are rehearsed too; whatever parent a sampled row has comes along.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from sdetl_engine.events import Reporter
from sdetl_engine.sqlite.open import open_writable, quote
from sdetl_engine.values.schema import Relation, Schema, Table

SMALL = 30
"""Tables of so few rows are taken whole."""


@dataclasses.dataclass(frozen=True, slots=True)
class SubsetResult:
    """Rows drawn and rows there were, by table."""

    path: Path
    rows: Mapping[str, int]
    of: Mapping[str, int]


def sample_subset(
    source: Path,
    output: Path,
    schema: Schema,
    relations: Sequence[Relation],
    fraction: float,
    seed: int,
    reporter: Reporter,
) -> SubsetResult:
    """Write the sample to the new file ``output``.  The same seed draws the same rows.  Raises Cancelled."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(descriptor)
    connection = open_writable(output)
    try:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA encoding = '{schema.encoding}'")
        connection.execute("ATTACH ? AS source", [f"{source.absolute().as_uri()}?mode=ro"])
        with reporter.interrupting(connection.interrupt):
            try:
                return _draw(connection, output, schema, relations, fraction, seed, reporter)
            except sqlite3.OperationalError:
                reporter.check()
                raise
    finally:
        connection.close()


def _draw(
    connection: sqlite3.Connection,
    output: Path,
    schema: Schema,
    relations: Sequence[Relation],
    fraction: float,
    seed: int,
    reporter: Reporter,
) -> SubsetResult:
    names = {t.name for t in schema.tables if t.has_rowid}
    links = [r for r in relations if r.child in names and r.parent in names]
    children = {r.child for r in links if r.child != r.parent}
    drawn = {t.name: f"temp.drawn_{number}" for number, t in enumerate(schema.tables)}
    of = {}
    connection.execute("BEGIN")
    for number, table in enumerate(schema.tables):
        reporter.check()
        reporter.progress("draw the sample", number, len(schema.tables), "tables")
        (of[table.name],) = connection.execute(f"SELECT count(*) FROM source.{quote(table.name)}").fetchone()
        if table.has_rowid:
            connection.execute(f"CREATE TABLE {drawn[table.name]} (id INTEGER PRIMARY KEY)")
            if table.name not in children:
                _draw_share(connection, table, drawn[table.name], fraction, seed + number, of[table.name])
    for number, table in enumerate(schema.tables):
        if table.name in children:
            mine = [r for r in links if r.child == table.name]
            _draw_children(connection, table, mine, drawn, fraction, seed + number, of[table.name])
    _close(connection, links, drawn, reporter)
    rows = {t.name: _copy_rows(connection, t, drawn[t.name]) for t in schema.tables}
    connection.execute("COMMIT")
    return SubsetResult(output, rows, of)


def _draw_share(
    connection: sqlite3.Connection, table: Table, drawn: str, fraction: float, seed: int, rows: int, where: str = ""
) -> None:
    """A random share of the rowids, at least all of a small table, and the rows at both ends."""
    name = quote(table.name)
    if rows <= SMALL:
        connection.execute(f"INSERT OR IGNORE INTO {drawn} SELECT rowid FROM source.{name}")
        return
    chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
    threshold = fraction
    connection.create_function("sdetl_draw", 0, lambda: chance.random() < threshold)
    connection.execute(
        f"INSERT OR IGNORE INTO {drawn} SELECT rowid FROM source.{name} WHERE sdetl_draw()"
        + (f" AND {where}" if where else "")
    )
    connection.execute(
        f"INSERT OR IGNORE INTO {drawn} SELECT min(rowid) FROM source.{name} UNION SELECT max(rowid) FROM source.{name}"
    )
    (got,) = connection.execute(f"SELECT count(*) FROM {drawn}").fetchone()
    least = min(rows, SMALL, math.ceil(fraction * rows)) if not where else 0
    if got < least:
        connection.execute(f"INSERT OR IGNORE INTO {drawn} SELECT rowid FROM source.{name} LIMIT {least}")


def _draw_children(
    connection: sqlite3.Connection,
    table: Table,
    relations: Sequence[Relation],
    drawn: Mapping[str, str],
    fraction: float,
    seed: int,
    rows: int,
) -> None:
    """Children of drawn parents, and a share of those that have no parent in the file."""
    for relation in relations:
        if relation.parent != table.name:
            connection.execute(
                f"INSERT OR IGNORE INTO {drawn[table.name]} SELECT c.rowid FROM source.{quote(table.name)} c "
                f"WHERE {_tuple(connection, relation, child=True, alias='c')} IN ({_parent_keys(connection, relation, drawn)})"
            )
    orphaned = " AND ".join(
        f"{_tuple(connection, r, child=True)} NOT IN ({_parent_keys(connection, r, None)})"
        for r in relations
        if r.parent != table.name and len(r.child_columns) == 1
    )
    if orphaned:
        _draw_share(connection, table, drawn[table.name], fraction, seed, max(rows, SMALL + 1), orphaned)


def _close(
    connection: sqlite3.Connection, relations: Sequence[Relation], drawn: Mapping[str, str], reporter: Reporter
) -> None:
    """Add the parents of everything drawn, until nothing is added: cycles and self-references included."""
    added = 1
    while added:
        reporter.check()
        added = 0
        for r in relations:
            cursor = connection.execute(
                f"INSERT OR IGNORE INTO {drawn[r.parent]} SELECT p.rowid FROM source.{quote(r.parent)} p "
                f"WHERE {_tuple(connection, r, child=False, alias='p')} IN (SELECT {_tuple(connection, r, child=True, alias='c')} "
                f"FROM source.{quote(r.child)} c JOIN {drawn[r.child]} d ON c.rowid = d.id)"
            )
            added += cursor.rowcount


def _parent_keys(connection: sqlite3.Connection, relation: Relation, drawn: Mapping[str, str] | None) -> str:
    key = _tuple(connection, relation, child=False, alias="p", bare=True)
    joined = f" JOIN {drawn[relation.parent]} d ON p.rowid = d.id" if drawn is not None else ""
    not_null = " AND ".join(f"p.{quote(c)} IS NOT NULL" for c in relation.parent_columns)
    return f"SELECT {key} FROM source.{quote(relation.parent)} p{joined} WHERE {not_null}"


def _tuple(
    connection: sqlite3.Connection, relation: Relation, *, child: bool, alias: str = "", bare: bool = False
) -> str:
    """The columns of one end as a row value, both ends as the same storage class: ``'123'`` is ``123``."""
    columns = relation.child_columns if child else relation.parent_columns
    prefix = f"{alias}." if alias else ""
    terms = [_comparable(f"{prefix}{quote(c)}") for c in columns]
    return ", ".join(terms) if bare or len(terms) == 1 else f"({', '.join(terms)})"


def _comparable(term: str) -> str:
    """Whole REAL numbers as integers, then everything as text."""
    return f"CAST(CASE WHEN typeof({term}) = 'real' AND {term} = CAST({term} AS INTEGER) THEN CAST({term} AS INTEGER) ELSE {term} END AS TEXT)"


def _copy_rows(connection: sqlite3.Connection, table: Table, drawn: str) -> int:
    """The table as it is declared, without indexes, with the drawn rows under their own rowids."""
    connection.execute(table.sql)
    name = quote(table.name)
    columns = ", ".join(quote(c.name) for c in table.columns if c.generated is None)
    if not table.has_rowid:
        cursor = connection.execute(f"INSERT INTO main.{name} ({columns}) SELECT {columns} FROM source.{name}")
        return cursor.rowcount
    keeps = table.rowid_alias is None and all(c.name.lower() != "rowid" for c in table.columns)
    target = f"rowid, {columns}" if keeps else columns
    chosen = ", ".join(
        [*(["s.rowid"] if keeps else []), *(f"s.{quote(c.name)}" for c in table.columns if c.generated is None)]
    )
    cursor = connection.execute(
        f"INSERT INTO main.{name} ({target}) SELECT {chosen} FROM {drawn} d JOIN source.{name} s ON s.rowid = d.id ORDER BY d.id"
    )
    return cursor.rowcount
