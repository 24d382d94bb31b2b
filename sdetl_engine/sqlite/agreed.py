"""Measuring again those columns about which the operator has agreed more than their values say."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sdetl_engine.events import Reporter
from sdetl_engine.profiling.facts import ColumnFacts, DateFacts, Witness
from sdetl_engine.sqlite.fits import fits_sql, register_functions, text_codec
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.sqlite.sample import rowid_name
from sdetl_engine.sqlite.tally import DateTally, cut
from sdetl_engine.values.agreement import Agreement, NumberUnit, clock_change, clock_changes, plain_clock
from sdetl_engine.values.decoding import decoded
from sdetl_engine.values.schema import Table
from sdetl_engine.values.types import Kind

_FETCH = 10_000
_COUNTED = {
    NumberUnit.SECONDS: 1,
    NumberUnit.MILLISECONDS: 10**3,
    NumberUnit.MICROSECONDS: 10**6,
    NumberUnit.NANOSECONDS: 10**9,
}
_LAST_SECOND = 9_000_000_000
_Value = str | int | float
_QUESTIONS = ("day_first", "month_first", "unreadable", "convertible")


def measure_dates(
    path: Path,
    table: Table,
    facts: ColumnFacts,
    agreement: Agreement,
    *,
    marks: Sequence[str],
    evidence_rows: int,
    now: datetime,
    reporter: Reporter,
) -> ColumnFacts:
    """The facts of a column with every value read as it was agreed.  Raises Cancelled."""
    tally = DateTally(None, now)
    clocks: collections.Counter[str] = collections.Counter()
    witnesses: dict[str, list[Witness]] = {name: [] for name in _QUESTIONS}
    plain = _Plain(agreement, now)
    with _opened(path, reporter) as connection:
        for rowid, value in _values(connection, table, facts.column, marks, reporter):
            if plain.add(value):
                continue
            reading = agreement.read(value, None)
            tally.add_reading(reading)
            if isinstance(value, str):
                clocks[clock_changes(value, agreement, None)] += 1
            order = {"day": ("day_first",), "month": ("month_first",)}.get(reading.order, ()) if reading else ()
            shown = ("unreadable",) if reading is None else order if reading.is_iso else (*order, "convertible")
            for name in shown:
                if len(witnesses[name]) < evidence_rows:
                    witnesses[name].append(Witness(rowid, cut(str(value))))
    plain.finish(tally, clocks)
    dates = DateFacts(
        shapes=dict((+tally.shapes).most_common()),
        iso=tally.iso,
        convertible=tally.convertible,
        unreadable=tally.unreadable,
        day_first_only=tally.day_first_only,
        month_first_only=tally.month_first_only,
        either=tally.either,
        with_offset=tally.with_offset,
        date_only=tally.date_only,
        fractional=tally.fractional,
        future=tally.future,
        skipped=clocks["skipped"],
        twice=clocks["twice"],
        earliest=tally.earliest,
        latest=tally.latest,
        day_first_witnesses=tuple(witnesses["day_first"]),
        month_first_witnesses=tuple(witnesses["month_first"]),
        unreadable_witnesses=tuple(witnesses["unreadable"]),
        convertible_witnesses=tuple(witnesses["convertible"]),
    )
    return dataclasses.replace(
        facts,
        dates=dates,
        proposed=Kind.TIMESTAMPTZ if dates.with_offset else Kind.TIMESTAMP,
        misfits=dates.unreadable + facts.blobs,
        misfit_witnesses=dates.unreadable_witnesses,
    )


class _Plain:
    """The commonest values, counted without reading each of them: whole numbers of one unit, and plain clock times."""

    def __init__(self, agreement: Agreement, now: datetime) -> None:
        self._agreement = agreement
        self._zone = agreement.zone if agreement.numbers is None else None
        self._takes_numbers = agreement.numbers in _COUNTED and agreement.form != "day" and agreement.zone is None
        self._parts = _COUNTED.get(agreement.numbers, 1) if agreement.numbers is not None else 1
        limit = now.astimezone(UTC) + timedelta(days=1)
        self._limit, self._limit_text = int(limit.timestamp()) * self._parts, f"{limit:%Y-%m-%d %H:%M:%S}"
        self._clocks: collections.Counter[str] = collections.Counter()
        self._count = self._future = self._fractional = 0
        self._low: _Value | None = None
        self._high: _Value | None = None

    def add(self, value: _Value) -> bool:
        """Count the value; False when it has to be read."""
        if self._takes_numbers and type(value) is int and 0 <= value <= _LAST_SECOND * self._parts:
            self._future += value > self._limit
            self._fractional += value % self._parts != 0
        elif self._zone is not None and (clock := plain_clock(value)) is not None and 1 < clock.year < 9999:
            self._clocks[clock_change(clock, self._zone)] += 1
            # Not by their offsets: whether a date is a day ahead is told to the operator, and decides nothing.
            self._future += str(value) > self._limit_text
        else:
            return False
        self._count += 1
        self._low = value if self._low is None else min(self._low, value)
        self._high = value if self._high is None else max(self._high, value)
        return True

    def finish(self, tally: DateTally, clocks: collections.Counter[str]) -> None:
        """Add everything to the others."""
        if self._low is None or self._high is None:
            return
        clocks.update(self._clocks)
        for value in (self._low, self._high):
            reading = self._agreement.read(value, None)
            assert reading is not None
            tally.add_reading(reading, 0)
            # Of whole seconds and of others; the tally tells them apart in values that it reads itself.
            shape, has_offset = reading.shape.replace(".F", ""), reading.offset_minutes is not None
        tally.add_convertible(shape, self._count, has_offset=has_offset, future=self._future)
        tally.fractional += self._fractional


def measure_decoded(
    path: Path, table: Table, facts: ColumnFacts, rules: Sequence[str], reporter: Reporter
) -> ColumnFacts:
    """The facts of a column whose texts that PostgreSQL cannot hold are decoded by rules.  Raises Cancelled."""
    term = f"(+{quote(facts.column)})"
    helped = with_nul = 0
    with _opened(path, reporter) as connection:
        register_functions(connection)
        codec = text_codec(connection)
        query = (
            f"SELECT CAST({term} AS BLOB) FROM {quote(table.name)} NOT INDEXED"
            f" WHERE typeof({term}) = 'text' AND NOT {fits_sql(Kind.TEXT, term)}"
        )
        for (raw,) in connection.execute(query):
            if decoded(raw, rules, codec) is not None:
                helped += 1
                with_nul += "\0" in raw.decode(codec, "replace")
    return dataclasses.replace(
        facts,
        decoded=helped,
        with_nul=max(0, facts.with_nul - with_nul),
        invalid_utf8=max(0, facts.invalid_utf8 - (helped - with_nul)),
        misfits=facts.misfits - helped if facts.proposed is Kind.TEXT else facts.misfits,
    )


@contextlib.contextmanager
def _opened(path: Path, reporter: Reporter) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(open_readonly(path)) as connection, reporter.interrupting(connection.interrupt):
        yield connection


def _values(
    connection: sqlite3.Connection, table: Table, column: str, marks: Sequence[str], reporter: Reporter
) -> Iterator[tuple[int | None, _Value]]:
    """Every text and number that means something, with its rowid; texts that are none in the file's encoding as they
    can be shown."""
    codec, term = text_codec(connection), f"(+{quote(column)})"
    missing = {"", *marks}
    cursor = connection.execute(
        f"SELECT {rowid_name(table) or 'NULL'}, typeof({term}) = 'text',"
        f" CASE typeof({term}) WHEN 'text' THEN CAST({term} AS BLOB) ELSE {term} END FROM {quote(table.name)} NOT INDEXED"
        f" WHERE typeof({term}) IN ('text', 'integer', 'real')"
    )
    done = 0
    while rows := cursor.fetchmany(_FETCH):
        reporter.progress(f"read {table.name}.{column} as agreed", done, None)
        reporter.check()
        done += len(rows)
        for rowid, is_text, value in rows:
            known = value.decode(codec, "backslashreplace") if is_text else value
            if known not in missing:
                yield rowid, known
