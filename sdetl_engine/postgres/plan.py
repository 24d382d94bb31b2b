"""What a version will hold, as plain data: decided by ``postgres.ddl.design``, shown to the operator, then built.

All names are those of the source, exactly, unless PostgreSQL cannot hold them; ``renamed`` then says so.
SQL texts in here are PostgreSQL's dialect and have been tried by PostgreSQL before they are relied on.
"""

from __future__ import annotations

import dataclasses
import enum

from sdetl_engine.profiling.facts import ColumnFacts
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import Kind, TargetType


class PartitionUnit(enum.StrEnum):
    """How wide one partition is."""

    MONTH = "month"
    YEAR = "year"


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionPlan:
    """A table split by ranges of a date column; rows without a date go to the default partition."""

    column: str
    unit: PartitionUnit


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column of the target.  ``source_name`` is its name in the (cleaned) SQLite file."""

    name: str
    source_name: str
    target: TargetType
    facts: ColumnFacts | None = None
    """Measured on the cleaned file; decides how values are shaped on their way."""
    not_null: bool = False
    default_sql: str | None = None
    identity: bool = False
    generated_sql: str | None = None
    """Expression of a STORED generated column: created by PostgreSQL, not loaded."""
    quarantine_misfits: bool = False
    """Values that the type cannot hold become NULL here and stand whole in the quarantine."""

    @property
    def is_loaded(self) -> bool:
        """False for columns that PostgreSQL computes."""
        return self.generated_sql is None


@dataclasses.dataclass(frozen=True, slots=True)
class TablePlan:
    """One table of the target.  ``source`` is the table as the SQLite file declares it."""

    name: str
    source: Table
    columns: tuple[ColumnPlan, ...]
    primary_key: tuple[str, ...] = ()
    primary_key_name: str = ""
    """The name of its constraint; empty when there is no key."""
    rows: int = 0
    """Rows in the file that is loaded."""
    partition: PartitionPlan | None = None

    @property
    def loaded_columns(self) -> tuple[ColumnPlan, ...]:
        """The columns that COPY fills, in order."""
        return tuple(c for c in self.columns if c.is_loaded)


@dataclasses.dataclass(frozen=True, slots=True)
class IndexPlan:
    """An index to be built after the data.  ``definition`` stands after ``ON table``: ``USING btree (...)``."""

    name: str
    table: str
    definition: str
    unique: bool = False
    origin: str = "source"
    """``source``, ``plan`` or ``suggested``."""


@dataclasses.dataclass(frozen=True, slots=True)
class ForeignKeyPlan:
    """A foreign key to be added after the data; NOT VALID when ``orphans`` rows break it."""

    name: str
    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferrable: bool = False
    initially_deferred: bool = False
    orphans: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class UniquePlan:
    """A unique constraint to be added after the data."""

    name: str
    table: str
    columns: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class CheckPlan:
    """A CHECK to be added after the data; NOT VALID when rows break it."""

    name: str
    table: str
    expression: str


@dataclasses.dataclass(frozen=True, slots=True)
class ViewPlan:
    """A view to be created after the tables.  ``sql`` names tables without a schema; ``kinds`` of its columns."""

    name: str
    source_name: str
    sql: str
    kinds: tuple[Kind | None, ...]
    definition: str = ""
    """What the source says, in SQLite's dialect."""


@dataclasses.dataclass(frozen=True, slots=True)
class NotMigrated:
    """Something that the source declares and the target does not get.  ``kind``: view, trigger, index, default ..."""

    kind: str
    name: str
    table: str | None
    reason: str
    definition: str = ""
    """What the source says, in SQLite's dialect, where the name does not say it all."""


@dataclasses.dataclass(frozen=True, slots=True)
class VersionPlan:
    """Everything that a version will hold."""

    tables: tuple[TablePlan, ...]
    indexes: tuple[IndexPlan, ...] = ()
    uniques: tuple[UniquePlan, ...] = ()
    foreign_keys: tuple[ForeignKeyPlan, ...] = ()
    checks: tuple[CheckPlan, ...] = ()
    views: tuple[ViewPlan, ...] = ()
    """In an order in which each reads only tables and views before it."""
    not_migrated: tuple[NotMigrated, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    """(name in the source, name in PostgreSQL) where they differ; columns as ``table.column``."""

    def table(self, name: str) -> TablePlan:
        """The table of that exact target name.  Raises KeyError."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)
