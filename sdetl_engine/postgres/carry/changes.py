"""Changes to the catalogue, made in the caller's transaction and written down as SQL that can be shown and repeated."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql


class Changes:
    """Executes statements over one connection and keeps their text, in order."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.statements: list[str] = []

    def run(self, statement: sql.Composable) -> None:
        """Execute and keep.  Raises what PostgreSQL raises; a refused statement is not kept."""
        self.connection.execute(sql.Composed([statement]))
        self.statements.append(statement.as_string(self.connection))

    def note(self, statement: sql.Composable) -> None:
        """Keep a statement whose effect was had in another way."""
        self.statements.append(statement.as_string(self.connection))

    def run_at_once(self, statements: Sequence[sql.Composed]) -> None:
        """Execute several in one message to the server, so that nothing comes between them; all or none."""
        if statements:
            self.connection.execute(sql.SQL("; ").join(statements))
            self.statements += [statement.as_string(self.connection) for statement in statements]


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Target:
    """One object of the catalogue.  ``kind`` as GRANT and COMMENT spell it: SCHEMA, TABLE, SEQUENCE, ROUTINE, ...

    ``name`` is the object's, for a routine with its argument types: ``label(integer)``; ``column`` of a table.
    """

    kind: str
    schema: str
    name: str = ""
    column: str = ""

    def __str__(self) -> str:
        spelled = ".".join(part for part in (self.schema, self.name, self.column) if part)
        return f"{'column' if self.column else self.kind.lower()} {spelled}"

    @property
    def sql(self) -> sql.Composed:
        """The kind and the qualified name of the object, without the column."""
        if self.kind == "SCHEMA":
            name: sql.Composable = sql.Identifier(self.schema)
        elif self.kind == "ROUTINE":
            name = sql.SQL("{}.{}").format(sql.Identifier(self.schema), catalogued(self.name))
        else:
            name = sql.Identifier(self.schema, self.name)
        return sql.SQL("{} {}").format(catalogued(self.kind), name)


def catalogued(text: str) -> sql.SQL:
    """SQL text that PostgreSQL's own catalogue has given: a keyword, a definition, a quoted name."""
    return sql.SQL(text)


@contextlib.contextmanager
def qualified_names(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Inside the block PostgreSQL writes definitions with every name qualified."""
    row = connection.execute("SELECT current_setting('search_path')").fetchone()
    connection.execute("SET LOCAL search_path = ''")
    yield
    connection.execute("SELECT set_config('search_path', %s, true)", list(row or ()))


def role_sql(name: str | None) -> sql.Composable:
    """A role, or PUBLIC for None."""
    return sql.SQL("PUBLIC") if name is None else sql.Identifier(name)
