"""What a role finds by bare names: each name resolved as the role, with the ``search_path`` that its new sessions get."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.postgres.carry.readers import may_become
from sdetl_engine.postgres.search_paths import Path, read_paths, spelled

_RESOLVED = """
    SELECT c.relname, f.nspname
    FROM pg_class c LEFT JOIN pg_class o ON o.oid = to_regclass(quote_ident(c.relname))::oid
         LEFT JOIN pg_namespace f ON f.oid = o.relnamespace
    WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
      AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))
    ORDER BY c.relname
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What one role finds.  ``path`` is None when there is no such role.

    ``tables``: of every table and view of the schema that it may read, the schema in which its bare name is found, None
    where it is not.  ``is_known`` is False when this session may not act as the role, and nothing was tried.
    """

    role: str
    path: Path | None
    tables: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    is_known: bool = True


def find_all(connection: psycopg.Connection[Any], roles: Sequence[str], schema: str) -> tuple[Found, ...]:
    """What each of those roles finds of the schema's tables."""
    paths = read_paths(connection, roles)
    return tuple(_find(connection, role, paths.get(role), schema) for role in roles)


def _find(connection: psycopg.Connection[Any], role: str, path: Path | None, schema: str) -> Found:
    if path is None or not may_become(connection, role):
        return Found(role, path, is_known=path is None)
    connection.execute("SAVEPOINT sdetl_role")
    # SET ROLE takes on the rights of a role and none of its settings.
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    connection.execute("SELECT set_config('search_path', %s, true)", [spelled(path)])
    tables = dict(connection.execute(_RESOLVED, [schema]).fetchall())
    connection.execute("ROLLBACK TO SAVEPOINT sdetl_role")
    return Found(role, path, tables)
