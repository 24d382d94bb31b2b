"""A version's schema in PostgreSQL: made from its plan, finished after the data, and read back.

Everything runs in the caller's transaction.  What PostgreSQL may refuse without harm to the data (indexes, foreign
keys, CHECKs, defaults) is tried in a savepoint and listed when it is refused; schemas, tables and primary keys
must succeed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.errors import TargetError
from sdetl_engine.postgres.attempt import wanted
from sdetl_engine.postgres.carry import dependents
from sdetl_engine.postgres.finish import BuildResult, finish, trusted
from sdetl_engine.postgres.names import NameSpace
from sdetl_engine.postgres.plan import ColumnPlan, TablePlan, VersionPlan
from sdetl_engine.values.types import Kind, TargetType

__all__ = [
    "BuildResult",
    "ConstraintCounts",
    "catalogue_name",
    "compare_types",
    "create_tables",
    "create_version_schema",
    "drop_schema_if_ours",
    "finish",
    "is_ours",
    "mark_schema",
    "read_columns",
    "read_constraints",
    "schema_exists",
]

_MARK = "sdetl version, run "
_MARKS = (_MARK, "sdetl quarantine of ")
_SPELLED_OUT = {
    Kind.TIMESTAMP: "timestamp without time zone",
    Kind.TIMESTAMPTZ: "timestamp with time zone",
    Kind.TIME: "time without time zone",
}
_IDENTITY_ON_PARTITIONED = 170_000
"""The server version from which a partitioned table may have an identity column."""


def schema_exists(connection: psycopg.Connection[Any], schema: str) -> bool:
    """True when the database has a schema of that exact name."""
    row = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone()
    return row is not None


def create_version_schema(connection: psycopg.Connection[Any], schema: str, *, run_id: str) -> None:
    """Create the schema and mark it as the run's.  Raises TargetError when the name is taken: nothing is adopted."""
    if schema_exists(connection, schema):
        raise TargetError(
            f"there is already a schema {schema} in the target",
            next_step="rename or drop it if it is yours, then start a new run",
            kind="name-taken",
        )
    name = sql.Identifier(schema)
    with wanted(f"creating schema {schema}"):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        mark_schema(connection, schema, run_id=run_id)


def mark_schema(connection: psycopg.Connection[Any], schema: str, *, run_id: str) -> None:
    """Mark a schema as sdetl's, made by that run: only what bears the mark is ever dropped."""
    connection.execute(
        sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(_MARK + run_id))
    )


def made_by(connection: psycopg.Connection[Any], schema: str) -> str | None:
    """The run that made the schema, by its mark; None when it bears none."""
    row = connection.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", [schema]
    ).fetchone()
    mark = str(row[0] or "") if row is not None else ""
    return mark.removeprefix(_MARK) if mark.startswith(_MARK) else None


def is_ours(connection: psycopg.Connection[Any], schema: str) -> bool:
    """True when there is such a schema and it bears sdetl's mark."""
    row = connection.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", [schema]
    ).fetchone()
    return row is not None and (row[0] or "").startswith(_MARKS)


def drop_schema_if_ours(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Drop a schema that bears sdetl's mark, with all that is in it.  False when there is none of that name.

    Raises TargetError when it does not bear the mark, or when something that is not ours would go with it.
    """
    row = connection.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", [schema]
    ).fetchone()
    if row is None:
        return False
    if not (row[0] or "").startswith(_MARKS):
        raise TargetError(
            f"schema {schema} was not made by sdetl and is not dropped",
            next_step="rename or drop it yourself, or choose another name in the settings",
            kind="name-taken",
        )
    bound = [d.name for d in dependents(connection, schema)] + _strangers(connection, schema)
    if bound:
        raise TargetError(
            f"schema {schema} is not dropped: {bound[0]} is not sdetl's and would go with it"
            + (f" (and {len(bound) - 1} more)" if len(bound) > 1 else ""),
            next_step="drop or move that first",
            kind="name-taken",
        )
    with wanted(f"dropping schema {schema}"):
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    return True


def create_tables(connection: psycopg.Connection[Any], schema: str, plan: VersionPlan) -> None:
    """Create all tables, without keys and indexes.  Raises TargetError naming the table."""
    names = NameSpace()
    names.take_all([*(t.name for t in plan.tables), *(i.name for i in plan.indexes), *(u.name for u in plan.uniques)])
    for table in plan.tables:
        with wanted(f"creating table {table.name}"):
            _create_table(connection, schema, table, names)


def read_columns(connection: psycopg.Connection[Any], schema: str) -> dict[str, dict[str, str]]:
    """Tables (partitions are their parents') with their columns and types, as the catalogue has them."""
    rows = connection.execute(
        """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = %s
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
        ORDER BY c.relname, a.attnum
        """,
        [schema],
    ).fetchall()
    columns: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        columns.setdefault(table, {})
        if column is not None:
            columns[table][column] = kind
    return columns


def compare_types(plan: VersionPlan, actual: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Where the catalogue (``actual``, from ``read_columns``) differs from the plan, one sentence each."""
    differences = [f"table {t.name} is not there" for t in plan.tables if t.name not in actual]
    planned = {t.name: t for t in plan.tables}
    differences += [f"table {name} is not in the plan" for name in actual if name not in planned]
    for name, table in planned.items():
        if name in actual:
            differences += _compare_columns(table, actual[name])
    return tuple(differences)


@dataclasses.dataclass(frozen=True, slots=True)
class ConstraintCounts:
    """What the catalogue holds beside tables; constraints and indexes of partitions are not counted again."""

    primary_keys: int
    uniques: int
    foreign_keys: int
    checks: int
    not_valid: int
    indexes: int
    """Those that stand behind no constraint."""


def read_constraints(connection: psycopg.Connection[Any], schema: str) -> ConstraintCounts:
    """Count constraints and indexes of a schema."""
    row = connection.execute(
        """
        SELECT count(*) FILTER (WHERE contype = 'p'), count(*) FILTER (WHERE contype = 'u'),
               count(*) FILTER (WHERE contype = 'f'), count(*) FILTER (WHERE contype = 'c'),
               count(*) FILTER (WHERE NOT convalidated AND contype IN ('f', 'c')),
               (SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = %(schema)s AND NOT c.relispartition
                AND NOT EXISTS (SELECT FROM pg_constraint b
                                WHERE b.conindid = i.indexrelid AND b.contype IN ('p', 'u')))
        FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
        WHERE n.nspname = %(schema)s AND k.conparentid = 0 AND k.coninhcount = 0
        """,
        {"schema": schema},
    ).fetchone()
    assert row is not None
    return ConstraintCounts(*row)


def _strangers(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """Relations and functions in the schema that another role has put there."""
    rows = connection.execute(
        """
        SELECT format('%%I.%%I', n.nspname, o.name)
        FROM pg_namespace n
        JOIN (SELECT relnamespace AS space, relname AS name, relowner AS owner FROM pg_class
              UNION ALL SELECT pronamespace, proname, proowner FROM pg_proc) o ON o.space = n.oid
        WHERE n.nspname = %s AND o.owner <> n.nspowner
        ORDER BY 1
        """,
        [schema],
    ).fetchall()
    return [row[0] for row in rows]


def _create_table(connection: psycopg.Connection[Any], schema: str, table: TablePlan, names: NameSpace) -> None:
    name = sql.Identifier(schema, table.name)
    by_hand = table.partition is not None and connection.info.server_version < _IDENTITY_ON_PARTITIONED
    # Left to itself, PostgreSQL gives the sequence a name that a table or index of the source may have.
    sequences = {
        c.name: sql.Identifier(schema, names.take(f"{table.name}_{c.name}_seq")) for c in table.columns if c.identity
    }
    columns = sql.SQL(", ").join(_column(c, None if by_hand else sequences.get(c.name)) for c in table.columns)
    statement = sql.SQL("CREATE TABLE {} ({})").format(name, columns)
    if table.partition is not None:
        statement += sql.SQL(" PARTITION BY RANGE ({})").format(sql.Identifier(table.partition.column))
    connection.execute(statement)
    if by_hand:
        for column, sequence in sequences.items():
            _create_sequence(connection, name, sql.Identifier(column), sequence)


def _column(column: ColumnPlan, sequence: sql.Identifier | None) -> sql.Composable:
    parts: list[sql.Composable] = [sql.Identifier(column.name), trusted(column.target.sql)]
    if column.generated_sql is not None:
        parts += [sql.SQL("GENERATED ALWAYS AS ("), trusted(column.generated_sql), sql.SQL(") STORED")]
    if sequence is not None:
        parts.append(sql.SQL("GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME {})").format(sequence))
    if column.not_null:
        parts.append(sql.SQL("NOT NULL"))
    return sql.SQL(" ").join(parts)


def _create_sequence(
    connection: psycopg.Connection[Any], table: sql.Identifier, column: sql.Identifier, sequence: sql.Identifier
) -> None:
    """What an identity column is underneath, for servers that have none on partitioned tables."""
    connection.execute(sql.SQL("CREATE SEQUENCE {} OWNED BY {}.{}").format(sequence, table, column))
    connection.execute(
        sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT nextval({}::regclass)").format(
            table, column, sql.Literal(sequence.as_string(connection))
        )
    )


def _compare_columns(table: TablePlan, actual: Mapping[str, str]) -> list[str]:
    planned = {c.name: c.target for c in table.columns}
    differences = [f"{table.name}.{name} is not there" for name in planned if name not in actual]
    differences += [f"{table.name}.{name} is not in the plan" for name in actual if name not in planned]
    differences += [
        f"{table.name}.{name} is {actual[name]}, not {target}"
        for name, target in planned.items()
        if name in actual and actual[name] != catalogue_name(target)
    ]
    return differences


def catalogue_name(target: TargetType) -> str:
    """The type as ``format_type`` spells it."""
    return _SPELLED_OUT.get(target.kind, target.sql)
