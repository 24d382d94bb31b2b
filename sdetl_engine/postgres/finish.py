"""What follows the data: primary keys, uniques, indexes, foreign keys, CHECKs, defaults, identities, ANALYZE.

In this order: foreign keys point at what is unique, and what the data breaks is counted with the indexes in place.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.errors import TargetError
from sdetl_engine.events import Reporter
from sdetl_engine.postgres.attempt import attempt, reason, wanted
from sdetl_engine.postgres.plan import (
    CheckPlan,
    ForeignKeyPlan,
    IndexPlan,
    NotMigrated,
    TablePlan,
    UniquePlan,
    VersionPlan,
)
from sdetl_engine.wording import counted, inflected


@dataclasses.dataclass(frozen=True, slots=True)
class BuildResult:
    """What was built after the data.  ``invalid``: foreign keys that are NOT VALID, each with its orphaned rows."""

    indexes: int
    """Indexes that stand behind no constraint."""
    constraints: int
    """Primary keys, unique constraints, foreign keys and CHECKs."""
    invalid: tuple[tuple[str, int], ...]
    not_migrated: tuple[NotMigrated, ...]


def finish(connection: psycopg.Connection[Any], schema: str, plan: VersionPlan, reporter: Reporter) -> BuildResult:
    """Build what the plan wants, in the connection's transaction; what PostgreSQL refuses is listed.

    A key that rows repeat is listed with their number.  Raises TargetError, Cancelled.
    """
    return _Finisher(connection, schema, plan, reporter).run()


class _Finisher:
    """One finishing of one version; gathers what was built and what was refused."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str, plan: VersionPlan, reporter: Reporter) -> None:
        self._connection = connection
        self._schema = schema
        self._plan = plan
        self._reporter = reporter
        self._indexes = 0
        self._constraints = 0
        self._invalid: list[tuple[str, int]] = []
        self._missed: list[NotMigrated] = []

    def run(self) -> BuildResult:
        steps = self._steps()
        with self._reporter.interrupting(self._connection.cancel_safe):
            for number, (what, step) in enumerate(steps):
                self._reporter.progress(what, number, len(steps), "objects")
                self._reporter.check()
                try:
                    step()
                except TargetError:
                    # A statement that was cancelled because somebody asked to stop is no failure.
                    self._reporter.check()
                    raise
        self._reporter.progress("indexes and keys", len(steps), len(steps), "objects")
        return BuildResult(self._indexes, self._constraints, tuple(self._invalid), tuple(self._missed))

    def _steps(self) -> list[tuple[str, Callable[[], None]]]:
        plan, keyed = self._plan, [t for t in self._plan.tables if t.primary_key]
        return [
            *((f"primary key of {t.name}", functools.partial(self._primary_key, t)) for t in keyed),
            *((f"unique {u.name}", functools.partial(self._unique, u)) for u in plan.uniques),
            *((f"index {i.name}", functools.partial(self._index, i)) for i in plan.indexes),
            # Statistics before foreign keys: their checks are joins.
            *((f"analyze {t.name}", functools.partial(self._analyze, t)) for t in plan.tables),
            *((f"foreign key {k.name}", functools.partial(self._foreign_key, k)) for k in plan.foreign_keys),
            *((f"check {c.name}", functools.partial(self._check, c)) for c in plan.checks),
            *((f"defaults of {t.name}", functools.partial(self._defaults, t)) for t in plan.tables),
            *((f"identity of {t.name}", functools.partial(self._identity, t)) for t in plan.tables),
        ]

    def _name(self, table: str) -> sql.Identifier:
        return sql.Identifier(self._schema, table)

    def _add(self, table: str, constraint: str, definition: sql.Composable, what: str) -> psycopg.Error | None:
        statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
            self._name(table), sql.Identifier(constraint), definition
        )
        refused = attempt(self._connection, statement, f"adding {what} {constraint} to {table}")
        self._constraints += refused is None
        return refused

    def _miss(self, kind: str, name: str, table: str, why: str) -> None:
        self._missed.append(NotMigrated(kind, name, table, why))

    def _primary_key(self, table: TablePlan) -> None:
        definition = sql.SQL("PRIMARY KEY ({})").format(_listed(table.primary_key))
        refused = self._add(table.name, table.primary_key_name, definition, "primary key")
        if refused is not None:
            why = self._why_not_unique(refused, table.name, table.primary_key)
            self._miss("primary key", ", ".join(table.primary_key), table.name, why)

    def _unique(self, unique: UniquePlan) -> None:
        definition = sql.SQL("UNIQUE ({})").format(_listed(unique.columns))
        refused = self._add(unique.table, unique.name, definition, "unique constraint")
        if refused is not None:
            why = self._why_not_unique(refused, unique.table, unique.columns)
            self._miss("unique constraint", unique.name, unique.table, why)

    def _why_not_unique(self, refused: psycopg.Error, table: str, columns: Sequence[str]) -> str:
        if not isinstance(refused, psycopg.errors.UniqueViolation):
            return reason(refused)
        repeated = self._count(
            sql.SQL(
                "SELECT COALESCE(sum(n - 1), 0) FROM "
                "(SELECT count(*) AS n FROM {} WHERE {} GROUP BY {} HAVING count(*) > 1) AS repeated"
            ).format(self._name(table), _none_null(columns), _listed(columns))
        )
        return f"{counted(repeated, 'row')} {inflected(repeated, 'repeats', 'repeat')} the value of another"

    def _index(self, index: IndexPlan) -> None:
        statement = sql.SQL("CREATE {} {} ON {} {}").format(
            sql.SQL("UNIQUE INDEX" if index.unique else "INDEX"),
            sql.Identifier(index.name),
            self._name(index.table),
            trusted(index.definition),
        )
        refused = attempt(self._connection, statement, f"building index {index.name}")
        self._indexes += refused is None
        if refused is not None:
            self._miss("index", index.name, index.table, reason(refused))

    def _analyze(self, table: TablePlan) -> None:
        with wanted(f"analyzing {table.name}"):
            self._connection.execute(sql.SQL("ANALYZE {}").format(self._name(table.name)))

    def _foreign_key(self, key: ForeignKeyPlan) -> None:
        definition = _reference(self._schema, key)
        refused = self._add(key.table, key.name, definition, "foreign key") if not key.orphans else None
        if not key.orphans and refused is None:
            return
        if refused is not None and not isinstance(refused, psycopg.errors.ForeignKeyViolation):
            self._miss("foreign key", key.name, key.table, reason(refused))
            return
        refused = self._add(key.table, key.name, definition + sql.SQL(" NOT VALID"), "foreign key")
        if refused is not None:
            self._miss("foreign key", key.name, key.table, reason(refused))
            return
        self._validate_foreign_key(key)

    def _validate_foreign_key(self, key: ForeignKeyPlan) -> None:
        """Count the orphans in what was loaded; where cleaning left none, the key is valid after all."""
        orphans = self._count(_orphans(self._schema, key))
        statement = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(
            self._name(key.table), sql.Identifier(key.name)
        )
        doing = f"validating foreign key {key.name}"
        if orphans or attempt(self._connection, statement, doing) is not None:
            self._invalid.append((key.name, orphans))

    def _check(self, check: CheckPlan) -> None:
        definition = sql.SQL("CHECK ({})").format(trusted(check.expression))
        refused = self._add(check.table, check.name, definition, "check")
        if refused is None:
            return
        if isinstance(refused, psycopg.errors.CheckViolation):
            broken = self._count(
                sql.SQL("SELECT count(*) FROM {} WHERE NOT ({})").format(
                    self._name(check.table), trusted(check.expression)
                )
            )
            refused = self._add(check.table, check.name, definition + sql.SQL(" NOT VALID"), "check")
            if refused is None:
                why = f"NOT VALID: {counted(broken, 'row')} {inflected(broken, 'breaks', 'break')} it; new rows are checked"
                self._miss("check", check.name, check.table, why)
                return
        self._miss("check", check.name, check.table, reason(refused))

    def _defaults(self, table: TablePlan) -> None:
        for column in table.columns:
            if column.default_sql is None:
                continue
            statement = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}").format(
                self._name(table.name), sql.Identifier(column.name), trusted(column.default_sql)
            )
            refused = attempt(self._connection, statement, f"setting the default of {table.name}.{column.name}")
            if refused is not None:
                self._miss("default", column.name, table.name, reason(refused))

    def _identity(self, table: TablePlan) -> None:
        """The next id is one more than the highest that is, or ever was where AUTOINCREMENT has kept count."""
        for column in table.columns:
            if not column.identity:
                continue
            query = sql.SQL("SELECT max({}) FROM {}").format(sql.Identifier(column.name), self._name(table.name))
            highest = max(self._count(query), table.source.sequence or 0)
            if highest < 1:
                continue
            with wanted(f"continuing the identity of {table.name}"):
                self._connection.execute(
                    "SELECT setval(pg_get_serial_sequence(%s, %s), %s)",
                    [self._name(table.name).as_string(self._connection), column.name, highest],
                )

    def _count(self, query: sql.Composed) -> int:
        with wanted("counting rows"):
            row = self._connection.execute(query).fetchone()
        return int(row[0] or 0) if row is not None else 0


def trusted(text: str) -> sql.SQL:
    """SQL text of the plan: written by sdetl from checked pieces, never copied from the source."""
    return sql.SQL(text)


def _listed(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _none_null(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(c)) for c in columns)


def _reference(schema: str, key: ForeignKeyPlan) -> sql.Composed:
    parts: list[sql.Composable] = [
        sql.SQL("FOREIGN KEY ({}) REFERENCES {} ({})").format(
            _listed(key.columns), sql.Identifier(schema, key.parent), _listed(key.parent_columns)
        ),
        sql.SQL("ON DELETE {} ON UPDATE {}").format(trusted(key.on_delete), trusted(key.on_update)),
    ]
    if key.deferrable:
        parts.append(trusted("DEFERRABLE INITIALLY " + ("DEFERRED" if key.initially_deferred else "IMMEDIATE")))
    return sql.SQL(" ").join(parts)


def _orphans(schema: str, key: ForeignKeyPlan) -> sql.Composed:
    equal = sql.SQL(" AND ").join(
        sql.SQL("p.{} = c.{}").format(sql.Identifier(its), sql.Identifier(mine))
        for mine, its in zip(key.columns, key.parent_columns, strict=True)
    )
    none_null = sql.SQL(" AND ").join(sql.SQL("c.{} IS NOT NULL").format(sql.Identifier(c)) for c in key.columns)
    return sql.SQL("SELECT count(*) FROM {} AS c WHERE {} AND NOT EXISTS (SELECT FROM {} AS p WHERE {})").format(
        sql.Identifier(schema, key.table), none_null, sql.Identifier(schema, key.parent), equal
    )
