"""What a SQLite database declares, as plain data.

Read by ``sqlite.schema``, looked at by ``profiling``, carried over by ``postgres.ddl.design``.  Names are exactly as
they stand in the file.  Standard library only.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One column.  ``declared`` is the type as written (``""`` when there is none)."""

    name: str
    declared: str
    not_null: bool = False
    default: str | None = None
    """The default as an SQL expression in SQLite's dialect, or None."""
    key_position: int = 0
    """1-based place in the primary key; 0 when not part of it."""
    generated: str | None = None
    """``"stored"`` or ``"virtual"`` for a generated column, else None."""
    generation: str | None = None
    """The generating expression, when it could be read."""
    collation: str = "BINARY"


@dataclasses.dataclass(frozen=True, slots=True)
class IndexTerm:
    """One term of an index: a column, or an expression (then ``column`` is None)."""

    column: str | None
    expression: str | None = None
    descending: bool = False
    collation: str = "BINARY"


@dataclasses.dataclass(frozen=True, slots=True)
class Index:
    """An index that the source declares.  ``origin``: ``c`` CREATE INDEX, ``u`` UNIQUE constraint, ``pk``."""

    name: str
    terms: tuple[IndexTerm, ...]
    unique: bool = False
    origin: str = "c"
    where: str | None = None
    """The predicate of a partial index, in SQLite's dialect."""


@dataclasses.dataclass(frozen=True, slots=True)
class ForeignKey:
    """A declared foreign key, its target resolved to real columns (implicit ones to the parent's key)."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferrable: bool = False
    initially_deferred: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """One ordinary table."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    """Column names in key order; empty when there is none."""
    rowid_alias: str | None = None
    """The INTEGER PRIMARY KEY column, when there is one."""
    has_rowid: bool = True
    strict: bool = False
    autoincrement: bool = False
    sequence: int | None = None
    """The high-water mark in ``sqlite_sequence``, when there is one."""
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[str, ...] = ()
    """CHECK expressions in SQLite's dialect, those of columns included."""
    sql: str = ""

    def column(self, name: str) -> Column:
        """The column of that exact name.  Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def is_in_unique_key(self, name: str) -> bool:
        """True for a column of the primary key or of a unique index."""
        return name in self.primary_key or any(
            term.column == name for index in self.indexes if index.unique for term in index.terms
        )

    def is_in_key(self, name: str) -> bool:
        """The same, or a column of a foreign key."""
        return self.is_in_unique_key(name) or any(name in key.columns for key in self.foreign_keys)


@dataclasses.dataclass(frozen=True, slots=True)
class SchemaObject:
    """Something that is not an ordinary table: ``kind`` is ``view``, ``trigger``, ``virtual`` or ``shadow``."""

    kind: str
    name: str
    sql: str
    table: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Schema:
    """Everything that one SQLite file declares."""

    tables: tuple[Table, ...]
    others: tuple[SchemaObject, ...] = ()
    encoding: str = "UTF-8"

    def table(self, name: str) -> Table:
        """The table of that exact name.  Raises KeyError."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)


@dataclasses.dataclass(frozen=True, slots=True)
class Relation:
    """Rows of ``child`` point at rows of ``parent``.  ``origin``: ``declared``, ``plan`` or ``inferred``."""

    child: str
    child_columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    origin: str

    def __str__(self) -> str:
        return f"{self.child}.{', '.join(self.child_columns)} -> {self.parent}.{', '.join(self.parent_columns)}"
