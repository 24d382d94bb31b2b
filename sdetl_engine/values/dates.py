"""Reading dates as people and programs write them, strictly.

One text is one :class:`DateReading` or nothing.  A reading names the *shape* of the text by a stable code
(``YYYY-MM-DD HH:MM:SS``, ``D/M/YYYY H:MM``), so that a column can be described by counting shapes.  ``D/M/YYYY``
also stands for month-first dates: which of the two numbers is the day is a property of a column, not of a text.

Read are ISO 8601 calendar dates (RFC 3339 and SQLite's spelling of them), numeric dates with ``/``, ``-`` or ``.``,
compact digits, and month names in seven languages, each with an optional time of 24 or 12 hours.  Not read, on purpose:
two-digit years, words (``now``, ``today``, ``epoch``, ``infinity``), numbers of seconds or days.  The calendar is the
proleptic Gregorian one of years 0001 to 9999; ``24:00:00`` and second 60 do not exist.
"""

from __future__ import annotations

import calendar
import dataclasses
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

MAX_LENGTH = 64
"""No accepted shape is longer; longer texts are refused before any pattern looks at them."""

Order = Literal["day", "month", "either", "fixed"]


@dataclasses.dataclass(frozen=True, slots=True)
class DateReading:
    """One text, read.  ``order`` says what the text proves about day and month.

    ``day``: only day first is possible (the first number is over 12); ``month``: only month first; ``either``: both
    are, with different results; ``fixed``: nothing to decide (ISO, month names, year first, or both numbers equal).
    ``offset_minutes`` is the distance from UTC that the text names, None when it names none.
    """

    shape: str
    year: int
    month: int
    day: int
    hour: int = 0
    minute: int = 0
    second: int = 0
    microsecond: int = 0
    has_time: bool = False
    offset_minutes: int | None = None
    order: Order = "fixed"

    @property
    def is_iso(self) -> bool:
        """True when the text already is as sdetl would write it; SQLite's own date functions read these, too."""
        return self.shape in ISO_SHAPES

    @property
    def has_fraction(self) -> bool:
        """True when the text names fractions of a second."""
        return ".F" in self.shape

    @property
    def moment(self) -> datetime:
        """The instant; a text without an offset counts as UTC."""
        zone = UTC if self.offset_minutes is None else timezone(timedelta(minutes=self.offset_minutes))
        return datetime(
            self.year, self.month, self.day, self.hour, self.minute, self.second, self.microsecond, tzinfo=zone
        ).astimezone(UTC)

    def iso(self) -> str:
        """``YYYY-MM-DD``, or ``YYYY-MM-DD HH:MM:SS[.ffffff][+HH:MM]`` when there is a time."""
        date = f"{self.year:04d}-{self.month:02d}-{self.day:02d}"
        if not self.has_time:
            return date
        fraction = f".{self.microsecond:06d}" if self.microsecond else ""
        time = f"{self.hour:02d}:{self.minute:02d}:{self.second:02d}{fraction}"
        return f"{date} {time}{_offset_text(self.offset_minutes)}"


ISO_SHAPES = frozenset(
    {"YYYY-MM-DD"}
    | {
        f"YYYY-MM-DD{separator}{time}{offset}"
        for separator in " T"
        for time in ("HH:MM", "HH:MM:SS", "HH:MM:SS.F")
        for offset in ("", "Z", "+HH:MM")
    }
)
"""Shapes that stay as they are: SQLite's and PostgreSQL's common ground, at most six digits of fraction."""


def read_date(text: str, day_first: bool | None = None) -> DateReading | None:
    """Read one text; None when it is no date of an accepted shape, or names a day or time that does not exist.

    ``day_first`` is what is known about the column.  When it is known, a text that contradicts it is unreadable; when
    it is None, a text that allows both is read day first and its ``order`` says ``either``.
    Digits of a second's fraction beyond the sixth are cut off, not rounded.
    """
    if not 8 <= len(text) <= MAX_LENGTH:
        return None
    iso = _ISO.fullmatch(text)
    if iso is not None:
        return _read_iso(iso)
    bare = text.translate(_SPACES).strip(" \t\r\n")
    reading = _read_other(bare, day_first)
    if reading is None or bare == text:
        return reading
    return dataclasses.replace(reading, shape=f"padded {reading.shape}")


def to_iso(text: str, day_first: bool | None) -> str | None:
    """The text in canonical ISO form; None when it is unreadable or day and month cannot be told apart.

    A text in one of :data:`ISO_SHAPES` comes back unchanged, and so does every result of this function.
    """
    reading = read_date(text, day_first)
    if reading is None or (reading.order == "either" and day_first is None):
        return None
    return text if reading.is_iso else reading.iso()


_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " "})
_OFFSET = r"(?P<offset>[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)"
_TIME = (
    r"(?:(?P<gap>,? {1,2}|[Tt])(?P<hour>[0-9]{1,2})"
    r"(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,12}))?)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
    rf"(?: ?{_OFFSET})?)?"
)
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:([ T])([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_YEAR_FIRST = re.compile(r"(?P<year>[0-9]{4})(?P<sign>[/.-])(?P<first>[0-9]{1,2})(?P=sign)(?P<last>[0-9]{1,2})" + _TIME)
_YEAR_LAST = re.compile(r"(?P<first>[0-9]{1,2})(?P<sign>[/.-])(?P<last>[0-9]{1,2})(?P=sign)(?P<year>[0-9]{4})" + _TIME)
_COMPACT = re.compile(
    r"([1-9][0-9]{3})([0-9]{2})([0-9]{2})(?:(T?)([0-9]{2})([0-9]{2})([0-9]{2})(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_WEEKDAY = r"(?:(?P<weekday>[A-Za-z]{3,9})(?:, ?| ))?"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th|er|º|\.)?"
_MONTH = r"(?P<month>[^\W\d_]{3,10})\.?"
_YEAR = r"(?P<year>[0-9]{4})"
_NAMED = (
    ("D MON YYYY", re.compile(rf"{_WEEKDAY}{_DAY}(?: de |[ /-]){_MONTH}(?: del? |, |[ /-]){_YEAR}{_TIME}")),
    ("MON D YYYY", re.compile(rf"{_WEEKDAY}{_MONTH}[ /-]{_DAY}(?:, ?|[ /-]){_YEAR}{_TIME}")),
    ("YYYY MON D", re.compile(rf"{_YEAR}[ /-]{_MONTH}[ /-]{_DAY}{_TIME}")),
)


def _read_iso(match: re.Match[str]) -> DateReading | None:
    year, month, day, separator, hour, minute, second, fraction, offset = match.groups()
    shape = "YYYY-MM-DD"
    if separator:
        shape += f"{separator}HH:MM" + (":SS" if second else "") + (".F" if fraction else "")
        shape += "Z" if offset == "Z" else "+HH:MM" if offset else ""
    return _checked(
        DateReading(
            shape=shape,
            year=int(year),
            month=int(month),
            day=int(day),
            hour=int(hour or 0),
            minute=int(minute or 0),
            second=int(second or 0),
            microsecond=int((fraction or "0").ljust(6, "0")),
            has_time=bool(separator),
            offset_minutes=_offset_minutes(offset),
        )
    )


def _read_other(text: str, day_first: bool | None) -> DateReading | None:
    year_first = _YEAR_FIRST.fullmatch(text) or _ISO.fullmatch(text)
    if year_first is not None:
        return _read_year_first(year_first)
    year_last = _YEAR_LAST.fullmatch(text)
    if year_last is not None:
        return _read_year_last(year_last, day_first)
    compact = _COMPACT.fullmatch(text)
    if compact is not None:
        return _read_compact(compact)
    return _read_named(text)


def _read_year_first(match: re.Match[str]) -> DateReading | None:
    if match.re is _ISO:
        return _read_iso(match)
    sign, month, day = match["sign"], match["first"], match["last"]
    is_iso_date = sign == "-" and len(month) == len(day) == 2
    shape = "YYYY-MM-DD" if is_iso_date else f"YYYY{sign}M{sign}D"
    return _with_time(DateReading(shape, int(match["year"]), int(month), int(day)), match)


def _read_year_last(match: re.Match[str], day_first: bool | None) -> DateReading | None:
    sign, first, last = match["sign"], int(match["first"]), int(match["last"])
    order: Order = "fixed" if first == last else "day" if first > 12 else "month" if last > 12 else "either"
    reads_day_first = order != "month" if day_first is None else day_first
    day, month = (first, last) if reads_day_first else (last, first)
    return _with_time(DateReading(f"D{sign}M{sign}YYYY", int(match["year"]), month, day, order=order), match)


def _read_compact(match: re.Match[str]) -> DateReading | None:
    year, month, day, separator, hour, minute, second, offset = match.groups()
    has_time = hour is not None
    shape = "YYYYMMDD" + (f"{separator}HHMMSS" if has_time else "")
    shape += "Z" if offset == "Z" else "+HHMM" if offset else ""
    return _checked(
        DateReading(
            shape=shape,
            year=int(year),
            month=int(month),
            day=int(day),
            hour=int(hour or 0),
            minute=int(minute or 0),
            second=int(second or 0),
            has_time=has_time,
            offset_minutes=_offset_minutes(offset),
        )
    )


def _read_named(text: str) -> DateReading | None:
    for shape, pattern in _NAMED:
        match = pattern.fullmatch(text)
        month = _MONTHS.get(match["month"].casefold()) if match else None
        if match is None or month is None:
            continue
        reading = _with_time(DateReading(shape, int(match["year"]), month, int(match["day"])), match)
        return reading if reading is not None and _weekday_agrees(reading, match) else None
    return None


def _weekday_agrees(reading: DateReading, match: re.Match[str]) -> bool:
    """A weekday that belongs to another date makes the text contradict itself; an unknown word is no weekday."""
    word = match.groupdict().get("weekday")
    if word is None:
        return True
    return _WEEKDAYS.get(word.casefold()) == calendar.weekday(reading.year, reading.month, reading.day)


def _with_time(date: DateReading, match: re.Match[str]) -> DateReading | None:
    """The date with the time that stands behind it in the text, both checked."""
    if match["hour"] is None:
        return _checked(date)
    hour = _hour_of_day(int(match["hour"]), match["half"])
    if hour is None or (match["minute"] is None and match["half"] is None):
        return None
    return _checked(
        dataclasses.replace(
            date,
            shape=date.shape + _time_shape(match, date.shape == "YYYY-MM-DD"),
            hour=hour,
            minute=int(match["minute"] or 0),
            second=int(match["second"] or 0),
            microsecond=int((match["fraction"] or "0")[:6].ljust(6, "0")),
            has_time=True,
            offset_minutes=_offset_minutes(match["offset"]),
        )
    )


def _time_shape(match: re.Match[str], after_iso_date: bool) -> str:
    """The code of the time: one for one- and two-digit hours, except after an ISO date, where two are the norm."""
    gap: str = match["gap"]
    is_plain = after_iso_date and len(match["hour"]) == 2 and match["half"] is None
    shape = gap + ("HH" if is_plain else "H") + (":MM" if match["minute"] else "") + (":SS" if match["second"] else "")
    if match["fraction"]:
        shape += ".F" if len(match["fraction"]) <= 6 and _has_point(match) else ".F*"
    shape += " AM" if match["half"] else ""
    offset = match["offset"]
    if offset is None:
        return shape
    # The gap before an offset and its spelling are what ISO_SHAPES leaves out, so the code tells them apart.
    before = " " if match.string[match.start("offset") - 1] == " " else ""
    spelling = offset if offset.isalpha() else {6: "+HH:MM", 5: "+HHMM", 3: "+HH"}[len(offset)]
    return shape + before + spelling


def _has_point(match: re.Match[str]) -> bool:
    return match.string[match.start("fraction") - 1] == "."


def _hour_of_day(hour: int, half: str | None) -> int | None:
    """Hour 0 to 23; of a 12-hour clock only 1 to 12 exist, and 12 AM is midnight."""
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        return None
    return hour % 12 + (12 if half in "Pp" else 0)


def _offset_minutes(offset: str | None) -> int | None:
    if offset is None:
        return None
    if offset.isalpha():
        return 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > _MAX_OFFSET_HOURS or minutes > 59:
        return _NO_OFFSET
    return (hours * 60 + minutes) * (-1 if offset[0] == "-" else 1)


_MAX_OFFSET_HOURS = 14  # the furthest zone on Earth, and SQLite's limit
_NO_OFFSET = 24 * 60


def _offset_text(minutes: int | None) -> str:
    if minutes is None:
        return ""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def _checked(reading: DateReading) -> DateReading | None:
    """The reading if its day, time and offset exist, and its instant lies in the years that databases agree on."""
    if not (1 <= reading.month <= 12 and 1 <= reading.day <= 31 and 1 <= reading.year <= 9999):
        return None
    if reading.day > 28 and reading.day > calendar.monthrange(reading.year, reading.month)[1]:
        return None
    if reading.hour > 23 or reading.minute > 59 or reading.second > 59 or reading.offset_minutes == _NO_OFFSET:
        return None
    if reading.offset_minutes and not 1 < reading.year < 9999:
        try:
            _ = reading.moment
        except OverflowError:
            return None
    return reading


_MONTH_NAMES = (
    # English, French, German, Spanish, Portuguese, Italian, Dutch: full names and common abbreviations
    "january jan janvier janv januar jänner jän jaenner jaen enero ene janeiro gennaio gen januari",
    "february feb février févr fév fevrier fevr fev februar febrero fevereiro febbraio februari",
    "march mar mars märz mär maerz marz mrz marzo março marco maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maio maggio mag mei",
    "june jun juin juni junio junho giugno giu",
    "july jul juillet juil juli julio julho luglio lug",
    "august aug août aout aoû agosto ago augustus",
    "september sep sept septembre septiembre setiembre setembro settembre set sett",
    "october oct octobre oktober okt octubre outubro out ottobre ott",
    "november nov novembre noviembre novembro",
    "december dec décembre déc decembre dezember dez diciembre dic dezembro dicembre",
)
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, start=1) for name in names.split()}
_WEEKDAYS = {
    name[:length].casefold(): number
    for number, name in enumerate(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"))
    for length in (3, len(name))
}
