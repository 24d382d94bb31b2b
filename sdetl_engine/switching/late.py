"""Late writes: what was written to the live version since it was loaded, as callers see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from sdetl_engine.postgres.written import Mark
from sdetl_engine.wording import counted

_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class LateTable:
    """One table that is not as it was loaded.

    ``added``, ``changed`` and ``deleted`` rows are None where the table as loaded cannot be had; ``written`` (added or
    changed) and ``missing`` (deleted or changed) are then all that can be told.
    """

    table: str
    written: int
    missing: int
    added: int | None = None
    changed: int | None = None
    deleted: int | None = None
    note: str | None = None
    """What happened to the table itself: it is gone, or was made since."""

    @property
    def sentence(self) -> str:
        """What happened, for an operator."""
        if self.note is not None:
            return f"{self.table}: {self.note} ({counted(max(self.written, self.missing), 'row')})"
        if self.added is None:
            written, missing = counted(self.written, "row"), f"{self.missing:,}"
            return f"{self.table}: {written} added or changed, {missing} deleted or changed"
        return f"{self.table}: {self.added:,} added, {self.changed:,} changed, {self.deleted:,} deleted"


@dataclasses.dataclass(frozen=True, slots=True)
class LateWrites:
    """What was found, and where it was exported to.

    ``unknown`` says why nothing could be found out, and is None otherwise.  ``compared``: how the kinds of changes were
    told.  After a rollback these rows stay in ``version``, which is kept as a retired one.
    """

    version: str
    serving_schema: str
    live_since: datetime | None
    tables: tuple[LateTable, ...]
    checked_tables: int
    compared: str
    unknown: str | None = None
    sql_file: str | None = None
    csv_files: tuple[str, ...] = ()
    marks: Mapping[str, Mark] = dataclasses.field(default_factory=dict)
    """The tables as they were when this was found."""

    @property
    def rows(self) -> int:
        """Rows that were added, changed or deleted, as far as can be told."""
        return sum(
            t.written + t.missing if t.added is None else t.added + (t.changed or 0) + (t.deleted or 0)
            for t in self.tables
        )

    @property
    def summary(self) -> str:
        """The first tables and what happened to them, for an operator."""
        said = "; ".join(table.sentence for table in self.tables[:_MOST_NAMED])
        return said + (f"; and {counted(more, 'more table')}" if (more := len(self.tables) - _MOST_NAMED) > 0 else "")

    @property
    def found(self) -> bool:
        """True when a rollback would leave something behind, or nobody can tell whether it would."""
        return bool(self.tables) or self.unknown is not None
