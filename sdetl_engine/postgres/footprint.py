"""What a serving schema is at one moment, so that something that must not touch it can prove that it did not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import psycopg

from sdetl_engine.events import Reporter
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.content import TableContent, differences, schema_content


@dataclasses.dataclass(frozen=True, slots=True)
class Footprint:
    """The schema's OID (None: there is none), the OIDs of what is in it, its content, and its versions."""

    schema: str
    oid: int | None
    relations: Mapping[str, int]
    content: Mapping[str, TableContent]
    versions: tuple[tuple[str, str], ...]
    """(version, status), as the registry has them."""


def footprint(connection: psycopg.Connection[Any], schema: str, reporter: Reporter) -> Footprint:
    """Look at the schema, and read all of it.  Raises psycopg.Error, Cancelled."""
    row = connection.execute("SELECT oid::bigint FROM pg_namespace WHERE nspname = %s", [schema]).fetchone()
    relations = connection.execute(
        "SELECT relname::text, oid::bigint FROM pg_class WHERE relnamespace = %s AND relkind IN ('r', 'p', 'v', 'm', 'S')",
        [row[0] if row else 0],
    ).fetchall()
    versions = registry.all_versions(connection, schema) if registry.exists(connection) else []
    return Footprint(
        schema,
        row[0] if row else None,
        dict(relations),
        schema_content(connection, schema, reporter),
        tuple((v.version, v.status) for v in versions),
    )


def changes(before: Footprint, after: Footprint) -> tuple[str, ...]:
    """What is different, one sentence each; empty when nothing is."""
    said = []
    if before.oid != after.oid:
        said.append(f"schema {before.schema} is another object than before")
    if before.versions != after.versions:
        said.append(f"the versions of {before.schema} are others than before")
    moved = sorted(
        n for n in {*before.relations, *after.relations} if before.relations.get(n) != after.relations.get(n)
    )
    said += [f"{before.schema}.{name} is another object than before" for name in moved]
    return (*said, *differences(before.content, after.content))
