"""What an operator has agreed that the values of a column mean, beyond what the values say themselves.

A number is no date unasked, two digits are no year, and a clock time without an offset is no instant: each becomes one
by agreement only.  Pure: the standard library, with its database of time zones.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from sdetl_engine.values.dates import MAX_LENGTH, DateReading, read_date


class NumberUnit(enum.StrEnum):
    """What a number that stands for a date counts."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    MICROSECONDS = "microseconds"
    NANOSECONDS = "nanoseconds"
    """Since 1970-01-01 00:00:00 UTC, these four."""
    JULIAN_DAYS = "julian-days"
    """Days since noon of 24 November 4714 BC, UTC, as SQLite's ``julianday()`` has them: to the millisecond."""
    DIGITS = "digits"
    """Nothing: its digits are ``YYYYMMDD`` or ``YYYYMMDDHHMMSS``, without a zone."""


Form = Literal["instant", "clock", "day"]


@dataclasses.dataclass(frozen=True, slots=True)
class Agreement:
    """``numbers``: what numbers count.  ``century``: the first of the hundred years that two digits stand for.
    ``zone``: the IANA name of the zone in which times without an offset were written.

    ``rolls``: 24:00 is the midnight that follows, and second 60 the second that follows.

    ``form``: what a date that was a number is written as: an instant with its offset, the time of a clock that shows
    UTC, or the day (which then must begin at midnight).
    """

    numbers: NumberUnit | None = None
    century: int | None = None
    zone: str | None = None
    rolls: bool = False
    form: Form = "instant"

    def __bool__(self) -> bool:
        """True when anything was agreed."""
        return self.numbers is not None or self.century is not None or self.zone is not None or self.rolls

    @property
    def code(self) -> str:
        """The agreement as one text, for :meth:`parse`."""
        return (
            f"{self.numbers or ''}|{self.century or ''}|{self.zone or ''}|{'rolls' if self.rolls else ''}|{self.form}"
        )

    @classmethod
    @functools.lru_cache(maxsize=256)
    def parse(cls, code: str) -> Agreement:
        """The agreement of that :attr:`code`."""
        numbers, century, zone, rolls, form = code.split("|")
        return cls(
            NumberUnit(numbers) if numbers else None,
            int(century) if century else None,
            zone or None,
            bool(rolls),
            "day" if form == "day" else "clock" if form == "clock" else "instant",
        )

    def read(self, value: str | float, day_first: bool | None) -> DateReading | None:
        """The date that a text or a number stands for; None when it stands for none.

        The shape of the reading is never one of ``values.dates.ISO_SHAPES`` where the agreement was needed.
        """
        reading = self._read(value, day_first)
        if reading is None or self.zone is None or reading.offset_minutes is not None:
            return reading
        return _in_zone(reading, self.zone)

    def _read(self, value: str | float, day_first: bool | None) -> DateReading | None:
        if not isinstance(value, str):
            return None if self.numbers is None else _of_number(Decimal(repr(value)), self.numbers, self.form)
        if self.numbers is not None and _PLAIN_NUMBER.fullmatch(value):
            return _of_number(Decimal(value), self.numbers, self.form)
        reading = self._of_text(value, day_first)
        return (
            _rolled(value, lambda text: self._of_text(text, day_first)) if reading is None and self.rolls else reading
        )

    def _of_text(self, text: str, day_first: bool | None) -> DateReading | None:
        reading = read_date(text, day_first)
        if reading is None and self.century is not None:
            return _of_two_digits(text, self.century, day_first)
        return reading

    def iso(self, value: str | float, day_first: bool | None) -> str | None:
        """What the value is rewritten to, as ``values.dates.to_iso`` has it for texts alone; None where it is left."""
        clock = plain_clock(value) if self.zone is not None and self.numbers is None else None
        if clock is not None and self.zone is not None:
            offset = min(zone_offsets(clock, self.zone))
            if not offset.microseconds and not offset.seconds % 60 and 1 < clock.year < 9999:
                return f"{clock.isoformat(' ')}{_offset_text(offset)}"
        reading = self.read(value, day_first)
        if reading is None or (reading.order == "either" and day_first is None):
            return None
        return value if isinstance(value, str) and reading.is_iso else reading.iso()


NOTHING_AGREED = Agreement()
_PLAIN_LENGTH = len("YYYY-MM-DD HH:MM:SS")


ClockChange = Literal["", "skipped", "twice"]


def clock_changes(value: str, agreement: Agreement, day_first: bool | None) -> ClockChange:
    """Whether the clocks of the agreed zone never showed that time, or showed it twice."""
    if agreement.zone is None:
        return ""
    reading = dataclasses.replace(agreement, zone=None).read(value, day_first)
    if reading is None or reading.offset_minutes is not None:
        return ""
    return clock_change(_clock(reading), agreement.zone)


def clock_change(clock: datetime, zone: str) -> ClockChange:
    """The same of a time that is known."""
    early, late = zone_offsets(clock, zone)
    return "" if early == late else "skipped" if early < late else "twice"


def plain_clock(value: object) -> datetime | None:
    """The time that a text of the commonest shape, ``YYYY-MM-DD HH:MM:SS``, names; None for any other value."""
    if not isinstance(value, str) or len(value) != _PLAIN_LENGTH or value[10] != " " or value[7] != "-":
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


# Numbers

_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,25}(?:\.[0-9]{1,12})?")
_DIGITS = re.compile(r"[0-9]{8}(?:[0-9]{6})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {
    NumberUnit.SECONDS: 1,
    NumberUnit.MILLISECONDS: 1_000,
    NumberUnit.MICROSECONDS: 1_000_000,
    NumberUnit.NANOSECONDS: 1_000_000_000,
}
_JULIAN_EPOCH = Decimal("2440587.5")


def _of_number(number: Decimal, unit: NumberUnit, form: Form) -> DateReading | None:
    """The date of a number; a finer fraction than microseconds is cut off, as it is in texts."""
    if not number.is_finite():
        return None
    if unit is NumberUnit.DIGITS:
        return _of_digits(number)
    if unit is NumberUnit.JULIAN_DAYS:
        milliseconds = ((number - _JULIAN_EPOCH) * 86_400_000).to_integral_value()
        microseconds = int(milliseconds) * 1000
    else:
        microseconds = int((number * 1_000_000 / _PER_SECOND[unit]).to_integral_value("ROUND_FLOOR"))
    try:
        moment = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None
    is_day = form == "day"
    if is_day and moment.time() != _EPOCH.time():
        return None
    shape = f"{unit}{'.F' if moment.microsecond else ''}{'' if unit is NumberUnit.JULIAN_DAYS else ' since 1970'}"
    return _reading_of(moment, shape, has_time=not is_day, offset=0 if form == "instant" else None)


def _of_digits(number: Decimal) -> DateReading | None:
    text = str(number)
    text = text.removesuffix(".0")
    reading = read_date(text, None) if _DIGITS.fullmatch(text) else None
    return None if reading is None else dataclasses.replace(reading, shape=f"number {reading.shape}")


def _reading_of(moment: datetime, shape: str, *, has_time: bool = True, offset: int | None = None) -> DateReading:
    return DateReading(
        shape=shape,
        year=moment.year,
        month=moment.month,
        day=moment.day,
        hour=moment.hour,
        minute=moment.minute,
        second=moment.second,
        microsecond=moment.microsecond,
        has_time=has_time,
        offset_minutes=offset,
    )


# Two digits for a year

_NOT_MORE_DIGITS = r"(?![0-9:])"
_SHORT_YEARS = (
    re.compile(rf"(\s*[0-9]{{1,2}}([/.-])[0-9]{{1,2}}\2)([0-9]{{2}}){_NOT_MORE_DIGITS}"),
    re.compile(
        rf"(\s*(?:[A-Za-z]{{3,9}}(?:, ?| ))?[0-9]{{1,2}}(?:st|nd|rd|th|er|º|\.)?( de |[ /-])[^\W\d_]{{3,10}}\.?"
        rf"(?: del? |, |[ /-]))([0-9]{{2}}){_NOT_MORE_DIGITS}"
    ),
    re.compile(
        rf"(\s*(?:[A-Za-z]{{3,9}}(?:, ?| ))?[^\W\d_]{{3,10}}\.?[ /-][0-9]{{1,2}}(?:st|nd|rd|th)?(, ?|[ /-]))"
        rf"([0-9]{{2}}){_NOT_MORE_DIGITS}"
    ),
)


def has_short_year(text: str) -> bool:
    """True for what would be a date if it were known to which century its two digits belong."""
    return read_date(text) is None and _of_two_digits(text, 2000, None) is not None


def _of_two_digits(text: str, century: int, day_first: bool | None) -> DateReading | None:
    """A date that ends in two digits for the year, as it would be read with all four."""
    if len(text) > MAX_LENGTH:
        return None
    for pattern in _SHORT_YEARS:
        match = pattern.match(text)
        if match is not None:
            digits = int(match[3])
            year = century - century % 100 + digits
            year += 100 if year < century else 0
            reading = read_date(f"{match[1]}{year:04d}{text[match.end() :]}", day_first)
            if reading is not None:
                return dataclasses.replace(reading, shape=reading.shape.replace("YYYY", "YY"))
    return None


# Times past the end of a day or minute

_MIDNIGHT = re.compile(r"(?<![0-9:])24(:00(?::00(?:[.,]0{1,12})?)?)(?![0-9:])")
_LEAP_SECOND = re.compile(r"(?<=[0-9]:[0-9]{2}:)60(?![0-9:])")


def _rolled(text: str, read: Callable[[str], DateReading | None]) -> DateReading | None:
    """24:00 as the midnight that follows, and second 60 as the second that follows."""
    for pattern, instead, further in (
        (_MIDNIGHT, r"00\1", timedelta(days=1)),
        (_LEAP_SECOND, "59", timedelta(seconds=1)),
    ):
        known, count = pattern.subn(instead, text, count=1)
        reading = read(known) if count and len(text) <= MAX_LENGTH else None
        if reading is not None:
            try:
                moment = _clock(reading) + further
            except OverflowError:
                return None
            shown = _reading_of(moment, f"{reading.shape} rolled", offset=reading.offset_minutes)
            return dataclasses.replace(shown, order=reading.order)
    return None


# Zones


@functools.lru_cache(maxsize=32)
def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """The zone of that IANA name.  Raises ValueError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; zones are called like Europe/Berlin") from None


def _clock(reading: DateReading) -> datetime:
    """What the clocks show, without a zone."""
    return dataclasses.replace(reading, offset_minutes=None).moment.replace(tzinfo=None)


def _offset_text(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def zone_offsets(clock: datetime, zone: str) -> tuple[timedelta, timedelta]:
    """The offset as it was before a change of the clocks around that time, and the one after it."""
    place = zone_of(zone)
    early, late = (clock.replace(tzinfo=place, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return early, late


def _in_zone(reading: DateReading, zone: str) -> DateReading:
    """The instant of a clock time: where the clocks skipped it or showed it twice, by standard time, as PostgreSQL
    has it.  The ends of the calendar, which their zone would push out of it, are taken as UTC."""
    clock = _clock(reading)
    shape = f"{reading.shape} local"
    offset = min(zone_offsets(clock, zone))
    try:
        instant = (clock - offset).replace(tzinfo=UTC)
    except OverflowError:
        instant, offset = clock.replace(tzinfo=UTC), timedelta()
    minutes, rest = divmod(int(offset.total_seconds()), 60)
    if rest or not 1 < instant.year < 9999:
        # Before there were zones, towns had their own time, to the second.
        return dataclasses.replace(_reading_of(instant, shape, offset=0), order=reading.order)
    return dataclasses.replace(reading, shape=shape, has_time=True, offset_minutes=minutes)
