"""What the settings agree about columns, and the facts that follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sdetl_engine.errors import UsageError
from sdetl_engine.events import Reporter
from sdetl_engine.profiling.facts import ColumnFacts, TableFacts
from sdetl_engine.settings import Settings
from sdetl_engine.sqlite.agreed import measure_dates, measure_decoded
from sdetl_engine.values.agreement import NOTHING_AGREED, Agreement, Form, NumberUnit
from sdetl_engine.values.missing import markers_for, matches
from sdetl_engine.values.schema import Schema, Table
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

Agreements = Mapping[tuple[str, str], Agreement]
_FORMS: Mapping[Kind | None, Form] = {Kind.TIMESTAMP: "clock", Kind.DATE: "day"}


def as_agreed(
    path: Path, schema: Schema, tables: Sequence[TableFacts], settings: Settings, reporter: Reporter
) -> tuple[tuple[TableFacts, ...], Agreements]:
    """The facts as they are by what the settings agree to, and what that is, by table and column.

    Raises UsageError where something was agreed that cannot be carried out, Cancelled.
    """
    agreements: dict[tuple[str, str], Agreement] = {}
    found = []
    for facts in tables:
        table = schema.table(facts.table)
        measuring = _Measuring(path, table, settings, reporter)
        columns = []
        for column in facts.columns:
            measured, agreement = measuring.measure(column)
            columns.append(measured)
            if agreement:
                agreements[facts.table, column.column] = agreement
        found.append(dataclasses.replace(facts, columns=tuple(columns)))
    return tuple(found), agreements


@dataclasses.dataclass(frozen=True, slots=True)
class _Measuring:
    """One table, and the settings that agree to something about its columns."""

    path: Path
    table: Table
    settings: Settings
    reporter: Reporter

    def measure(self, facts: ColumnFacts) -> tuple[ColumnFacts, Agreement]:
        """The column as it is agreed to be, and what holds for it."""
        rules = self._stated(self.settings.clean.decode, facts)
        if rules and facts.with_nul + facts.invalid_utf8:
            facts = measure_decoded(self.path, self.table, facts, rules, self.reporter)
        override = self.settings.load.types.get(f"{self.table.name}.{facts.column}")
        kind = TargetType.parse(override).kind if override is not None else None
        if kind is not None and kind not in DATE_KINDS:
            return facts, NOTHING_AGREED
        agreement = self._without_zone(facts, kind)
        if agreement:
            facts = self._as_dates(facts, agreement)
        zones = self._stated(self.settings.clean.time_zones, facts)
        # A zone says nothing of days, nothing of keys, and nothing where the times are to stay those of a clock.
        if zones and kind in (None, Kind.TIMESTAMPTZ) and _has_times(facts) and not self.table.is_in_key(facts.column):
            agreement = dataclasses.replace(agreement, zone=zones[-1])
            facts = self._as_dates(facts, agreement)
        return facts, agreement

    def _stated(self, texts: Sequence[str], facts: ColumnFacts) -> tuple[str, ...]:
        return markers_for(texts, self.table.name, facts.column)

    def _without_zone(self, facts: ColumnFacts, kind: Kind | None) -> Agreement:
        clean = self.settings.clean
        impossible = self._why_impossible(facts.column)
        if impossible is not None:
            self._refuse_named(facts.column, impossible)
            return NOTHING_AGREED
        units, years = (self._stated(texts, facts) for texts in (clean.numbers_as_dates, clean.two_digit_years))
        return Agreement(
            NumberUnit(units[-1]) if units else None,
            int(years[-1]) if years else None,
            rolls=matches(clean.roll_over, self.table.name, facts.column) and _is_rest_unread(facts),
            form=_FORMS.get(kind, "instant"),
        )

    def _as_dates(self, facts: ColumnFacts, agreement: Agreement) -> ColumnFacts:
        return measure_dates(
            self.path,
            self.table,
            facts,
            agreement,
            marks=self._stated(self.settings.clean.null_markers, facts),
            evidence_rows=self.settings.profile.evidence_rows,
            now=datetime.now(UTC),
            reporter=self.reporter,
        )

    def _why_impossible(self, column: str) -> str | None:
        if self.table.is_in_key(column):
            return "is part of a key, and keys stay as they are"
        return "stands in a STRICT table, whose column may not take the date" if self.table.strict else None

    def _refuse_named(self, column: str, why: str) -> None:
        """Raises UsageError when the column itself was named; a pattern does not mean it."""
        clean, name = self.settings.clean, f"{self.table.name}.{column}"
        for setting in ("numbers_as_dates", "two_digit_years"):
            if any(text.startswith(f"{name}=") for text in getattr(clean, setting)):
                raise UsageError(
                    f"clean.{setting}: {name} {why}",
                    next_step="take it out of the setting; a view can compute the date in PostgreSQL",
                )


def _is_rest_unread(facts: ColumnFacts) -> bool:
    """True for a column of dates with some that are none."""
    return facts.dates is not None and facts.dates.unreadable > 0


def _has_times(facts: ColumnFacts) -> bool:
    """True when some dates have a time and no offset."""
    dates = facts.dates
    return dates is not None and dates.date_only + dates.with_offset < dates.iso + dates.convertible
