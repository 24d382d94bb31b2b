"""What has been measured of a column, as plain data.

``sqlite.sample`` and ``sqlite.scan`` measure; the rest of this package judges.  Everything here is JSON-able
by pydantic's TypeAdapter, so that a run can be resumed.  Cell values (``smallest_text`` ...) stay in the run's
folder; they are never logged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sdetl_engine.values.agreement import NOTHING_AGREED, Agreement
from sdetl_engine.values.types import Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Witness:
    """One row that shows something: ``rowid`` (None in WITHOUT ROWID tables) and the value, cut to 200 characters."""

    rowid: int | None
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class SampleVerdict:
    """What a random sample says about a column.

    ``observed`` is the kind that most non-missing values read as and ``confidence`` (0..1) the share that do.
    ``missing_marks`` counts values that are usually a sign for "missing" (``?``, ``N/A``, ``-`` ...).
    """

    rows: int
    missing: int
    observed: Kind | None
    confidence: float
    kinds: Mapping[Kind, int]
    missing_marks: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class DateFacts:
    """Every non-missing value of a column that may hold dates, sorted by how it is written.

    ``shapes``: count by shape code of ``values.dates`` (``YYYY-MM-DD HH:MM:SS``, ``D/M/YYYY H:MM`` ...).
    For the shapes whose day and month can be confused: ``day_first_only`` values prove day first (first number
    over 12), ``month_first_only`` prove month first, ``either`` prove nothing.  ``unreadable`` values fit no
    accepted shape, or name a day that does not exist.  ``with_offset`` counts ``Z`` and ``+05:30``.
    ``date_only`` counts values without a time.  ``fractional`` counts those with fractions of a second.
    ``numeric`` counts INTEGER and REAL storage (a number is not a date unasked); it is 0 where numbers were agreed to
    be dates, which then count as those.
    """

    shapes: Mapping[str, int]
    iso: int
    convertible: int
    unreadable: int
    day_first_only: int = 0
    month_first_only: int = 0
    either: int = 0
    with_offset: int = 0
    date_only: int = 0
    fractional: int = 0
    numeric: int = 0
    future: int = 0
    """Values more than a day past the moment of profiling."""
    skipped: int = 0
    """Times that the clocks of the agreed zone never showed."""
    twice: int = 0
    """Times that they showed twice."""
    earliest: str | None = None
    latest: str | None = None
    day_first_witnesses: tuple[Witness, ...] = ()
    month_first_witnesses: tuple[Witness, ...] = ()
    unreadable_witnesses: tuple[Witness, ...] = ()
    convertible_witnesses: tuple[Witness, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnFacts:
    """Every value of one column, counted.  Exact, except ``distinct`` when ``distinct_is_exact`` is False.

    Declared missing marks (the run's ``clean.null_markers`` that apply to the column) count in ``marked`` and
    nowhere else: not as texts, not as misfits.  ``''`` counts in ``empties`` and in ``texts``.
    ``misfits`` are non-missing values (not NULL, not ``''`` where the kind is not text, not marked) that
    ``proposed`` cannot hold exactly, not even after a cleaning rule.
    """

    table: str
    column: str
    rows: int
    nulls: int
    marked: int = 0
    integers: int = 0
    reals: int = 0
    texts: int = 0
    blobs: int = 0
    empties: int = 0
    blanks: int = 0
    """Texts of white space only, not empty."""
    smallest_integer: int | None = None
    largest_integer: int | None = None
    smallest_real: float | None = None
    largest_real: float | None = None
    whole_reals: int = 0
    """REAL values without a fraction."""
    infinities: int = 0
    most_decimals: int | None = None
    """Most digits behind the point that any finite number needs, as its shortest text has them; None when
    ``proposed`` is not numeric, or there is no number."""
    smallest_text: str | None = None
    largest_text: str | None = None
    """Cut to 200 characters."""
    shortest: int | None = None
    longest: int | None = None
    """Lengths of texts (characters) or blobs (bytes)."""
    total_length: int = 0
    largest_bytes: int = 0
    distinct: int = 0
    distinct_is_exact: bool = True
    few_values: tuple[str, ...] | None = None
    """All distinct non-NULL values as text, when there are at most 12 and none is long; else None."""
    with_nul: int = 0
    """Texts with a NUL character inside."""
    invalid_utf8: int = 0
    decoded: int = 0
    """Texts of one of those two kinds that a stated rule makes right; they are not counted there any more."""
    with_controls: int = 0
    """Texts with control characters other than TAB, LF, CR."""
    leading_zeros: int = 0
    """Texts of digits that begin with a zero and are longer than one."""
    digit_texts: int = 0
    """Texts that are an integer in plain digits, sign allowed."""
    padded: int = 0
    """Texts that begin or end with white space."""
    missing_marks: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Well-known marks for "missing" that are not declared so, with their exact counts."""
    proposed: Kind = Kind.TEXT
    misfits: int = 0
    respelt: int = 0
    """Texts that ``proposed`` can hold and that PostgreSQL would write otherwise: UUIDs in upper case."""
    misfit_witnesses: tuple[Witness, ...] = ()
    dates: DateFacts | None = None

    @property
    def missing(self) -> int:
        """NULLs and declared marks (``''`` is missing only where the kind is not text)."""
        empties = self.empties if self.proposed is not Kind.TEXT else 0
        return self.nulls + self.marked + empties

    @property
    def present(self) -> int:
        """Values that are there."""
        return self.rows - self.missing


@dataclasses.dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key or relation, checked over every row."""

    table: str
    columns: tuple[str, ...]
    kind: str
    """``primary``, ``unique`` or ``relation``."""
    rows: int
    null_rows: int = 0
    duplicate_rows: int = 0
    """Rows beyond the first of each value (for a key)."""
    colliding_rows: int = 0
    """Further rows whose values the source keeps apart and the types of the target do not: 1 and '1' as text."""
    orphan_rows: int = 0
    """Rows whose parent is not there (for a relation)."""
    parent: str | None = None
    parent_columns: tuple[str, ...] = ()
    origin: str = "declared"


@dataclasses.dataclass(frozen=True, slots=True)
class TableFacts:
    """One table, measured."""

    table: str
    rows: int
    columns: tuple[ColumnFacts, ...]
    duplicate_rows: int = 0
    """Rows equal to an earlier one in every column."""
    keys: tuple[KeyFacts, ...] = ()

    def column(self, name: str) -> ColumnFacts:
        """Facts of the column of that exact name.  Raises KeyError."""
        for column in self.columns:
            if column.column == name:
                return column
        raise KeyError(name)


@dataclasses.dataclass(frozen=True, slots=True)
class TypeVerdict:
    """What a column is declared as, seems to be, and will be in PostgreSQL."""

    table: str
    column: str
    declared: str
    declared_kind: Kind | None
    """What the declaration asks for by SQLite's affinity rules and common usage; None when it asks for nothing."""
    observed: Kind | None
    confidence: float
    chosen: str
    """The PostgreSQL type, as ``TargetType.parse`` reads it."""
    reason: str
    """Why, in one plain sentence."""
    mismatched: bool = False
    """True when under the confidence share of non-missing values can be read as the declared type."""
    corrupt_dates: int = 0
    day_first: bool | None = None
    """How D/M against M/D was settled; None when nothing had to be."""
    left_out: bool = False
    agreement: Agreement = NOTHING_AGREED
    """What the operator has agreed about the column's dates."""
