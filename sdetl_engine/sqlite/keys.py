"""Checking keys and relations over every row, in SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sdetl_engine.profiling.facts import KeyFacts
from sdetl_engine.sqlite.open import quote
from sdetl_engine.sqlite.sample import lenient_texts
from sdetl_engine.values.numbers import is_plain_bigint
from sdetl_engine.values.schema import Relation, Table

_OVERLAP_SAMPLE = 500


def check_key(connection: sqlite3.Connection, table: Table, columns: Sequence[str], kind: str) -> KeyFacts:
    """Count the rows that break a primary key or unique constraint: a NULL in it, or beyond the first of a value.

    Texts are compared byte by byte, as PostgreSQL will, whatever the column's collation.
    """
    name, key = quote(table.name), [quote(column) for column in columns]
    null = " OR ".join(f"{column} IS NULL" for column in key)
    rows, null_rows = connection.execute(f"SELECT count(*), total({null}) FROM {name}").fetchone()
    duplicates = 0
    if list(columns) != [table.rowid_alias]:
        grouped = ", ".join(f"{column} COLLATE BINARY" for column in key)
        different = f"SELECT count(*) FROM (SELECT 1 FROM {name} WHERE NOT ({null}) GROUP BY {grouped})"
        duplicates = rows - int(null_rows) - connection.execute(different).fetchone()[0]
    return KeyFacts(table.name, tuple(columns), kind, rows, null_rows=int(null_rows), duplicate_rows=duplicates)


def check_relation(connection: sqlite3.Connection, relation: Relation) -> KeyFacts:
    """Count the rows of the child whose parent is not there.  A row with a NULL in the key points nowhere.

    Values are compared across storage classes: the text ``'123'`` and the real 123.0 point at the integer 123.
    A parent that does not exist makes an orphan of every row that points at it.
    """
    child = quote(relation.child)
    columns = [quote(column) for column in relation.child_columns]
    null = " OR ".join(f"{column} IS NULL" for column in columns)
    rows, null_rows = connection.execute(f"SELECT count(*), total({null}) FROM {child}").fetchone()
    orphans = rows - int(null_rows)
    if orphans and _exists(connection, relation.parent, relation.parent_columns):
        with _parent_keys(connection, relation) as keys:
            pointing = ", ".join(_canonical(column) for column in columns)
            query = f"SELECT count(*) FROM {child} WHERE NOT ({null}) AND ({pointing}) NOT IN (SELECT * FROM {keys})"
            (orphans,) = connection.execute(query).fetchone()
    return KeyFacts(
        table=relation.child,
        columns=relation.child_columns,
        kind="relation",
        rows=rows,
        null_rows=int(null_rows),
        orphan_rows=orphans,
        parent=relation.parent,
        parent_columns=relation.parent_columns,
        origin=relation.origin,
    )


def is_orphan_sql(alias: str, columns: Sequence[str], parent: str | None, parent_columns: Sequence[str]) -> str:
    """A condition on a row of that alias: it points at a parent that is not there.  Counts what `check_relation` counts.

    ``parent`` is None for a table that does not exist.
    """
    pointing = [f"{alias}.{quote(column)}" for column in columns]
    points = " AND ".join(f"{column} IS NOT NULL" for column in pointing)
    if parent is None:
        return points
    keys = [quote(column) for column in parent_columns]
    there = f"SELECT {', '.join(map(_canonical, keys))} FROM {quote(parent)} WHERE " + " AND ".join(
        f"{column} IS NOT NULL" for column in keys
    )
    return f"{points} AND ({', '.join(map(_canonical, pointing))}) NOT IN ({there})"


def relation_overlap(connection: sqlite3.Connection, child: str, column: str, parent: str, key: str) -> float:
    """Share (0..1) of a few hundred values of ``child.column``, from all over the table, that are in ``parent.key``."""
    with lenient_texts(connection):
        wanted = {_canonical_value(value) for value in _spread(connection, child, column)}
        if not wanted:
            return 0.0
        asked = [form for value in wanted for form in _forms(value)]
        marks = ", ".join("?" * len(asked))
        query = f"SELECT DISTINCT {quote(key)} FROM {quote(parent)} WHERE {quote(key)} IN ({marks})"
        found = {_canonical_value(value) for (value,) in connection.execute(query, asked)}
    return len(wanted & found) / len(wanted)


def duplicate_rows(connection: sqlite3.Connection, table: Table, telling: Sequence[str]) -> int:
    """Rows equal to an earlier one in every column.  ``telling``: columns likely to differ between rows.

    Only rows that agree in the telling columns are compared in all; few do.
    """
    if table.rowid_alias is not None or not table.has_rowid:
        return 0
    name = quote(table.name)
    shared = [f"c{number}" for number in range(len(telling))]
    terms = ", ".join(f"{quote(column)} COLLATE BINARY" for column in telling)
    named = ", ".join(f"{quote(c)} AS {alias}" for c, alias in zip(telling, shared, strict=True))
    connection.execute("DROP TABLE IF EXISTS temp.sdetl_alike")
    connection.execute(
        f"CREATE TEMP TABLE sdetl_alike AS SELECT {named} FROM {name} GROUP BY {terms} HAVING count(*) > 1"
    )
    try:
        if connection.execute("SELECT 1 FROM temp.sdetl_alike LIMIT 1").fetchone() is None:
            return 0
        same = " AND ".join(
            f"t.{quote(c)} COLLATE BINARY IS a.{alias}" for c, alias in zip(telling, shared, strict=True)
        )
        everything = ", ".join(f"t.{quote(column.name)} COLLATE BINARY" for column in table.columns)
        query = (
            f"SELECT total(n - 1) FROM (SELECT count(*) AS n FROM temp.sdetl_alike AS a"
            f" JOIN {name} AS t ON {same} GROUP BY {everything})"
        )
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.execute("DROP TABLE temp.sdetl_alike")


def _exists(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> bool:
    present = {name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))}
    return bool(columns) and set(columns) <= present


@contextmanager
def _parent_keys(connection: sqlite3.Connection, relation: Relation) -> Iterator[str]:
    """A temporary table of the parent's keys in canonical form, indexed."""
    columns = [quote(column) for column in relation.parent_columns]
    names = ", ".join(f"k{number}" for number in range(len(columns)))
    not_null = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    connection.execute("DROP TABLE IF EXISTS temp.sdetl_parent_keys")
    connection.execute(f"CREATE TEMP TABLE sdetl_parent_keys ({names}, PRIMARY KEY ({names})) WITHOUT ROWID")
    try:
        connection.execute(
            f"INSERT OR IGNORE INTO temp.sdetl_parent_keys SELECT {', '.join(_canonical(c) for c in columns)}"
            f" FROM {quote(relation.parent)} WHERE {not_null}"
        )
        yield "temp.sdetl_parent_keys"
    finally:
        connection.execute("DROP TABLE temp.sdetl_parent_keys")


def _canonical(column: str) -> str:
    """SQL for a value that equals its like in another storage class: whole numbers, however stored, are integers."""
    return (
        f"CASE typeof({column}) WHEN 'integer' THEN {column}"
        f" WHEN 'real' THEN CASE WHEN {column} = CAST({column} AS INTEGER) THEN CAST({column} AS INTEGER)"
        f" ELSE {column} END"
        f" WHEN 'text' THEN CASE WHEN CAST(CAST({column} AS INTEGER) AS TEXT) = {column} COLLATE BINARY"
        f" THEN CAST({column} AS INTEGER) ELSE {column} END"
        f" ELSE {column} END"
    )


def _canonical_value(value: object) -> object:
    """The same in Python."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and is_plain_bigint(value) else value


def _forms(value: object) -> list[object]:
    """How a canonical value may be stored in the parent.  What no parameter can carry is left out."""
    if isinstance(value, int):
        return [value, str(value)] if abs(value) < 2**63 else [float(value)]
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        return []
    return [value]


def _spread(connection: sqlite3.Connection, table: str, column: str) -> list[object]:
    """Values from all over the table, NULL and empty ones left out."""
    name, value = quote(table), quote(column)
    (rows,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    stride = max(1, rows // _OVERLAP_SAMPLE)
    numbered = f"SELECT {value} AS v, row_number() OVER () AS n FROM {name} WHERE {value} IS NOT NULL AND {value} <> ''"
    query = f"SELECT v FROM ({numbered}) WHERE n % {stride} = 0 LIMIT {_OVERLAP_SAMPLE}"
    return [v for (v,) in connection.execute(query)]
