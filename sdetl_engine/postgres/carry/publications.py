"""Publications: what they publish of a schema, and how its tables identify rows to subscribers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.carry.changes import Changes, Target, catalogued

_FILTERS_AND_SCHEMAS = 150_000
"""The server version from which publications have column lists, row filters and whole schemas."""
_IDENTITIES = {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """One table, or with an empty name the whole schema, in one publication.  No ``columns`` means all."""

    publication: str
    schema: str
    table: str = ""
    columns: tuple[str, ...] = ()
    row_filter: str | None = None

    def __str__(self) -> str:
        return f"publication {self.publication} of {self.schema}" + (f".{self.table}" if self.table else "")


def read_published(connection: psycopg.Connection[Any], schema: str) -> frozenset[Published]:
    """Everything of a schema that was put into a publication by name."""
    has_filters = connection.info.server_version >= _FILTERS_AND_SCHEMAS
    columns = (
        "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = r.prrelid AND attnum = ANY(r.prattrs::int2[])"
        " ORDER BY attnum), pg_get_expr(r.prqual, r.prrelid)"
        if has_filters
        else "'{}'::text[], NULL"
    )
    query = (
        f"SELECT p.pubname, c.relname, {columns} FROM pg_publication_rel r"
        " JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s"
    )
    if has_filters:
        query += (
            " UNION ALL SELECT p.pubname, '', '{}'::text[], NULL FROM pg_publication_namespace s"
            " JOIN pg_publication p ON p.oid = s.pnpubid JOIN pg_namespace n ON n.oid = s.pnnspid"
            " WHERE n.nspname = %(schema)s"
        )
    rows = connection.execute(catalogued(query), {"schema": schema}).fetchall()
    return frozenset(Published(name, schema, table, tuple(listed), where) for name, table, listed, where in rows)


def publish(changes: Changes, wanted: frozenset[Published], actual: frozenset[Published]) -> None:
    """Make what publications have of the schema just that."""
    for entry in sorted(actual - wanted, key=str):
        withdraw(changes, entry)
    for entry in sorted(wanted - actual, key=str):
        _alter(changes, entry, "ADD", _detailed(entry))


def withdraw(changes: Changes, entry: Published) -> None:
    """Take a table or a schema out of a publication."""
    _alter(changes, entry, "DROP", _named(entry))


def _alter(changes: Changes, entry: Published, word: str, what: sql.Composable) -> None:
    changes.run(sql.SQL("ALTER PUBLICATION {} {} {}").format(sql.Identifier(entry.publication), catalogued(word), what))


def _named(entry: Published) -> sql.Composed:
    if not entry.table:
        return sql.SQL("TABLES IN SCHEMA {}").format(sql.Identifier(entry.schema))
    return sql.SQL("TABLE {}").format(sql.Identifier(entry.schema, entry.table))


def _detailed(entry: Published) -> sql.Composed:
    listed = sql.SQL(", ").join(map(sql.Identifier, entry.columns))
    columns = sql.SQL(" ({})").format(listed) if entry.columns else sql.SQL("")
    where = sql.SQL(" WHERE ({})").format(catalogued(entry.row_filter)) if entry.row_filter else sql.SQL("")
    return sql.Composed([_named(entry), columns, where])


Identities = Mapping[Target, str]


def read_identities(connection: psycopg.Connection[Any], relations: Sequence[int]) -> Identities:
    """How each table identifies its rows to subscribers: DEFAULT, NOTHING, FULL, or the name of an index."""
    rows = connection.execute(
        """
        SELECT n.nspname, c.relname, c.relreplident::text,
               (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident LIMIT 1)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = ANY(%s::oid[]) AND c.relkind IN ('r', 'p')
        """,
        [list(relations)],
    ).fetchall()
    indexes = dict(
        connection.execute(
            "SELECT oid, relname FROM pg_class WHERE oid = ANY(%s::oid[])", [[r[3] for r in rows if r[3]]]
        ).fetchall()
    )
    return {
        Target("TABLE", schema, name): _IDENTITIES.get(kind) or f"INDEX {indexes.get(index, '')}"
        for schema, name, kind, index in rows
    }


def write_identities(changes: Changes, wanted: Identities, actual: Identities) -> None:
    """Make every table identify its rows that way."""
    for target, how in wanted.items():
        if actual.get(target) != how:
            word, _, index = how.partition(" ")
            spelled = sql.SQL("USING INDEX {}").format(sql.Identifier(index)) if index else catalogued(word)
            changes.run(sql.SQL("ALTER {} REPLICA IDENTITY {}").format(target.sql, spelled))
