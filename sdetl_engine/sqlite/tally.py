"""Counting what texts are, many at a time.

A :class:`TextTally` takes the texts of one column, chunk by chunk, and a :class:`DateTally` those that may be dates.
Few different texts are counted by value and looked at once each at the end; many are screened as a whole, in C,
and looked at one by one only where a screen shows something.  Texts that are not valid UTF-8 arrive decoded with
``surrogateescape``.  Pure: no I/O.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sdetl_engine.values.dates import DateReading, read_date
from sdetl_engine.values.missing import WELL_KNOWN_MARKS

SEPARATOR = "\x1f"
MOST_COUNTED = 2000
"""Different texts that are counted by value; a column with more is screened."""
FEW = 12
LONGEST_FEW = 200
LONGEST_SHOWN = 200
TRUTH_PAIRS = ("true false", "t f", "yes no", "y n", "0 1")

_PAIR_OF = {word: pair for pair in TRUTH_PAIRS for word in pair.split()}
_MARKS = frozenset(WELL_KNOWN_MARKS)
_BLANK = " \t\r\n"
_CONTROL_BYTES = bytes(c for c in range(32) if c not in b"\t\n\r\x1f") + b"\x7f"
_NO_CONTROL_BYTES = bytes(c for c in range(256) if c not in _CONTROL_BYTES)
_C1_BYTES = re.compile(rb"\xc2[\x80-\x9f]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DIGITS = re.compile(r"[+-]?[0-9]+")


def is_well_formed(text: str) -> bool:
    """False when the text stands for bytes that are not valid UTF-8."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def _bytes_of(text: str) -> int:
    """The length in UTF-8; what was not well-formed counts the bytes it stands for."""
    if text.isascii():
        return len(text)
    escaped = sum("\udc80" <= c <= "\udcff" for c in text)
    return len(text.encode("utf-8", "surrogatepass")) - 2 * escaped


def cut(text: str) -> str:
    """At most 200 characters, and nothing that JSON or a UTF-8 file could not hold."""
    shown = text[:LONGEST_SHOWN]
    return shown if is_well_formed(shown) else shown.encode("utf-8", "backslashreplace").decode()


class TextTally:
    """Everything that is counted about the texts of one column.

    ``fits`` says of one text whether the proposed kind can hold it; None when every one without NUL is fine.
    """

    def __init__(self, fits: Callable[[str], bool] | None = None) -> None:
        self.texts = self.empties = self.blanks = self.padded = 0
        self.with_nul = self.invalid_utf8 = self.with_controls = 0
        self.leading_zeros = self.digit_texts = 0
        self.total_length = self.largest_bytes = self.misfits = 0
        self.shortest: int | None = None
        self.longest: int | None = None
        self.marks: collections.Counter[str] = collections.Counter()
        self.truths: collections.Counter[str] = collections.Counter()
        self._fits = fits
        self._counts: collections.Counter[str] | None = collections.Counter()

    @property
    def distinct(self) -> tuple[str, ...] | None:
        """Every different text seen, or None when there were too many to keep."""
        return None if self._counts is None else tuple(self._counts)

    def add_joined(self, joined: bytes) -> None:
        """Count texts that stand between separators.  The caller has made sure that none holds the separator."""
        text = joined.decode("utf-8", "surrogateescape")
        values = text.split(SEPARATOR)
        if self._counts is not None:
            self._count(values)
        elif self._fits is not None or not self._is_plain(joined):
            self.add_each(collections.Counter(values))
        else:
            self._screen(values, f"{SEPARATOR}{text}{SEPARATOR}", joined)

    def add(self, values: Sequence[str]) -> None:
        """Count texts that could not be joined without doubt."""
        joined = SEPARATOR.join(values).encode("utf-8", "surrogatepass")
        if self._counts is None and self._fits is None and joined.count(b"\x1f") == len(values) - 1:
            self.add_joined(joined)
        else:
            self.add_counted(collections.Counter(values))

    def add_counted(self, counts: Mapping[str, int]) -> None:
        """Count texts that come with how often each was there."""
        if self._counts is not None:
            self._count(counts)
        else:
            self.add_each(counts)

    def add_uniform(self, count: int, length: int) -> None:
        """Count texts that are known to be dates of one ASCII shape, all of that length."""
        self._measure(length, length, length * count, length)
        self.texts += count

    def add_each(self, counts: Mapping[str, int]) -> None:
        """Look at every different text once, and count it as often as it was there."""
        for text, times in counts.items():
            self._look_at(text, times)

    def finish(self) -> None:
        """Look at the texts that were only counted by value so far."""
        if self._counts is not None:
            self.add_each(self._counts)

    def _count(self, values: Iterable[str] | Mapping[str, int]) -> None:
        assert self._counts is not None
        self._counts.update(values)
        if len(self._counts) > MOST_COUNTED:
            counts, self._counts = self._counts, None
            self.add_each(counts)

    @staticmethod
    def _is_plain(joined: bytes) -> bool:
        """Valid UTF-8 without control characters, NUL included."""
        if joined.translate(None, _NO_CONTROL_BYTES):
            return False
        if joined.isascii():
            return True
        try:
            joined.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return _C1_BYTES.search(joined) is None

    def _screen(self, values: Sequence[str], wrapped: str, joined: bytes) -> None:
        """Count plain texts by what C can do with all of them at once."""
        lengths = list(map(len, values))
        shortest, longest = min(lengths), max(lengths)
        largest_bytes = longest if joined.isascii() else max(len(v.encode("utf-8")) for v in values)
        self._measure(shortest, longest, sum(lengths), largest_bytes)
        self.texts += len(values)
        self.empties += values.count("") if shortest == 0 else 0
        if not joined.isascii() or any(f"{SEPARATOR}{b}" in wrapped or f"{b}{SEPARATOR}" in wrapped for b in _BLANK):
            self.padded += sum(v != v.strip() for v in values)
            self.blanks += sum(map(str.isspace, values))
        self._screen_digits(values, wrapped)
        found = _MARKS.intersection(values)
        if found:
            self.marks.update(v for v in values if v in found)

    def _screen_digits(self, values: Sequence[str], wrapped: str) -> None:
        if f"{SEPARATOR}-" in wrapped or f"{SEPARATOR}+" in wrapped or not wrapped.isascii():
            self.digit_texts += sum(_DIGITS.fullmatch(v) is not None for v in values)
        else:
            self.digit_texts += sum(map(str.isdigit, values))
        if f"{SEPARATOR}0" in wrapped:
            self.leading_zeros += sum(v[:1] == "0" and len(v) > 1 and v.isascii() and v.isdigit() for v in values)

    def _look_at(self, text: str, times: int) -> None:
        """Everything about one text."""
        is_valid, has_nul = is_well_formed(text), "\0" in text
        self._measure(len(text), len(text), len(text) * times, _bytes_of(text))
        self.texts += times
        self.empties += times * (text == "")
        self.blanks += times * text.isspace()
        self.padded += times * (text != text.strip())
        self.with_nul += times * has_nul
        self.invalid_utf8 += times * (not is_valid)
        self.with_controls += times * (_CONTROLS.search(text) is not None)
        self.digit_texts += times * (_DIGITS.fullmatch(text) is not None)
        self.leading_zeros += times * (text[:1] == "0" and len(text) > 1 and text.isascii() and text.isdigit())
        if text in _MARKS:
            self.marks[text] += times
        self.truths[_PAIR_OF.get(text.casefold(), "")] += times
        is_fit = is_valid and not has_nul and (self._fits is None or text == "" or self._fits(text))
        self.misfits += times * (not is_fit)

    def _measure(self, shortest: int, longest: int, total: int, largest_bytes: int) -> None:
        self.shortest = shortest if self.shortest is None else min(self.shortest, shortest)
        self.longest = longest if self.longest is None else max(self.longest, longest)
        self.total_length += total
        self.largest_bytes = max(self.largest_bytes, largest_bytes)


@dataclasses.dataclass(slots=True)
class _Span:
    """Earliest and latest moment seen, and how many lie in the future, under one reading of day and month."""

    earliest: datetime | None = None
    latest: datetime | None = None
    future: int = 0

    def add(self, moment: datetime, times: int, limit: datetime) -> None:
        self.earliest = moment if self.earliest is None else min(self.earliest, moment)
        self.latest = moment if self.latest is None else max(self.latest, moment)
        self.future += times * (moment > limit)


class DateTally:
    """Everything that is counted about the dates of one column.  ``now`` is aware, ``day_first`` for ``read_date``."""

    def __init__(self, day_first: bool | None, now: datetime) -> None:
        self.shapes: collections.Counter[str] = collections.Counter()
        self.iso = self.convertible = self.unreadable = 0
        self.day_first_only = self.month_first_only = self.either = 0
        self.with_offset = self.date_only = self.fractional = 0
        self.limit = now.astimezone(UTC) + timedelta(days=1)
        self.day_first = day_first
        self._day_span, self._month_span = _Span(), _Span()

    def add_uniform(self, count: int, smallest: str, largest: str, future: int) -> None:
        """Count texts that SQL has proved to be ISO of one shape; ``future`` of them lie past the limit."""
        first, last = read_date(smallest), read_date(largest)
        assert first is not None
        assert last is not None
        self._count(first, count)
        for span in (self._day_span, self._month_span):
            span.add(first.moment, 0, self.limit)
            span.add(last.moment, 0, self.limit)
            span.future += future

    def add_each(self, counts: Mapping[str, int]) -> None:
        """Read every different text once.  The empty text is missing, not a date."""
        for text, times in counts.items():
            if text:
                self._add(text, times)

    @property
    def settled_day_first(self) -> bool:
        """How ``either`` texts are read for the span: day first unless only month first is proved."""
        if self.day_first is not None:
            return self.day_first
        return not (self.month_first_only and not self.day_first_only)

    @property
    def future(self) -> int:
        """Dates more than a day past ``now``."""
        return self._span.future

    @property
    def earliest(self) -> str | None:
        """The first date in ISO form, UTC where offsets are named."""
        return self._shown(self._span.earliest)

    @property
    def latest(self) -> str | None:
        """The last date in ISO form, UTC where offsets are named."""
        return self._shown(self._span.latest)

    @property
    def _span(self) -> _Span:
        return self._day_span if self.settled_day_first else self._month_span

    def _shown(self, moment: datetime | None) -> str | None:
        if moment is None:
            return None
        has_times = self.date_only < self.iso + self.convertible
        return moment.replace(tzinfo=None).isoformat(" ") if has_times else moment.date().isoformat()

    def _add(self, text: str, times: int) -> None:
        reading = read_date(text, self.day_first)
        if reading is None:
            self.unreadable += times
            return
        self._count(reading, times)
        moment = reading.moment
        self._day_span.add(moment, times, self.limit)
        if reading.order == "either" and self.day_first is None:
            moment = dataclasses.replace(reading, day=reading.month, month=reading.day).moment
        self._month_span.add(moment, times, self.limit)

    def _count(self, reading: DateReading, times: int) -> None:
        self.shapes[reading.shape] += times
        if reading.is_iso:
            self.iso += times
        else:
            self.convertible += times
        self.date_only += times * (not reading.has_time)
        self.with_offset += times * (reading.offset_minutes is not None)
        self.fractional += times * reading.has_fraction
        self.day_first_only += times * (reading.order == "day")
        self.month_first_only += times * (reading.order == "month")
        self.either += times * (reading.order == "either")
