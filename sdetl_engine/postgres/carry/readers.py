"""Trying what readers can do, as the readers: each role that was granted reading reads what it was granted."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.carry.belongings import Belongings
from sdetl_engine.postgres.carry.bound import read_bound
from sdetl_engine.postgres.carry.grants import Rights


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What one role was granted to read: the columns of each relation, all of them where none is listed."""

    role: str
    relations: Mapping[tuple[str, str], tuple[str, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Tried:
    """What came of one role's reading.  ``error`` is None when all could be read; ``is_known`` is False when this
    session may not act as that role, and nothing was tried."""

    role: str
    relations: int
    error: str | None = None
    is_known: bool = True


def readings(rights: Iterable[Rights]) -> tuple[Reading, ...]:
    """Who was granted SELECT on what."""
    found: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(dict)
    for target, right in ((t, r) for some in rights for t, held in some.items() for r in held):
        if right.privilege == "SELECT" and right.grantee is not None and target.kind == "TABLE":
            columns = found[right.grantee].setdefault((target.schema, target.name), [])
            columns.append(target.column)
    return tuple(
        Reading(role, {name: tuple(sorted(c)) if all(c) else () for name, c in relations.items()})
        for role, relations in sorted(found.items())
    )


def try_all(connection: psycopg.Connection[Any], schema: str) -> tuple[Tried, ...]:
    """Every role reads a row of everything that it was granted in the schema, and of what is bound to its tables."""
    bound = read_bound(connection, schema)
    rights = [Belongings.read(connection, schema).rights, *(b.rights for b in bound)]
    return tuple(try_reading(connection, reading, rows=1) for reading in readings(rights))


def try_reading(connection: psycopg.Connection[Any], reading: Reading, *, rows: int) -> Tried:
    """Read as the role, ``rows`` rows of everything (0 proves the rights without reading), in a savepoint."""
    usage = _usable(connection, reading)
    if usage is None:
        return Tried(reading.role, len(reading.relations), is_known=False)
    parts = [
        sql.SQL("SELECT 1 FROM (SELECT {} FROM {} LIMIT {}) AS tried").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)) if columns else sql.SQL("*"),
            sql.Identifier(*name),
            sql.Literal(rows),
        )
        for name, columns in reading.relations.items()
        if name[0] in usage
    ]
    if not parts:
        return Tried(reading.role, 0)
    error = None
    connection.execute("SAVEPOINT sdetl_reader")
    try:
        # Our sessions refuse to be filtered in silence; readers are filtered, and that is right.
        connection.execute("SET LOCAL row_security = on")
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(reading.role)))
        connection.execute(sql.SQL(" UNION ALL ").join(parts))
    except (psycopg.OperationalError, psycopg.errors.LockNotAvailable):
        raise
    except psycopg.Error as refused:
        # Data exceptions quote values; what a view computes is not the switch's to judge.
        error = refused.diag.message_primary if not (refused.sqlstate or "").startswith("22") else None
    connection.execute("ROLLBACK TO SAVEPOINT sdetl_reader")
    return Tried(reading.role, len(parts), error)


def may_become(connection: psycopg.Connection[Any], role: str) -> bool:
    """True when this session may take the role on with SET ROLE."""
    option = "SET" if connection.info.server_version >= 160_000 else "MEMBER"
    row = connection.execute("SELECT pg_has_role(current_user, %s, %s)", [role, option]).fetchone()
    return bool(row and row[0])


def _usable(connection: psycopg.Connection[Any], reading: Reading) -> set[str] | None:
    """The schemas that the role may use; None when this session may not act as the role."""
    schemas = sorted({schema for schema, _ in reading.relations})
    if not may_become(connection, reading.role):
        return None
    row = connection.execute(
        "SELECT ARRAY(SELECT s FROM unnest(%s::text[]) s WHERE has_schema_privilege(%s, s, 'USAGE'))",
        [schemas, reading.role],
    ).fetchone()
    assert row is not None
    return set(row[0])
