"""Counting what texts are, many at a time.

A :class:`TextTally` takes the texts of one column, chunk by chunk, and a :class:`DateTally` those that may be dates.
Few different texts are looked at once each; many are screened as a whole, in C, and taken apart only where a screen
shows something.  Texts that are not valid UTF-8 arrive decoded with
``surrogateescape``.  Pure: no I/O.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sdetl_engine.values.dates import DateReading, read_date
from sdetl_engine.values.missing import LONGEST_MARK, WELL_KNOWN_MARKS

SEPARATOR = "\x1f"
MOST_KEPT = 2000
"""Different texts that are kept and looked at one by one; the texts of a column with more are screened."""
FEW = 12
MOST_KEPT_LENGTH = 2_000_000
"""Characters of all of them together."""
LONGEST_FEW = 200
LONGEST_SHOWN = 200
TRUTH_PAIRS = ("true false", "t f", "yes no", "y n", "0 1")

_PAIR_OF = {word: pair for pair in TRUTH_PAIRS for word in pair.split()}
_MARKS = frozenset(WELL_KNOWN_MARKS)
# Both begin with the separator, of which there are fewer than blanks.
_BEGINS_BLANK = re.compile("\x1f(?=[ \\t\\r\\n])")
_ENDS_BLANK = re.compile("\x1f(?<=[ \\t\\r\\n]\x1f)")
_CONTROL_BYTES = bytes(c for c in range(32) if c not in b"\t\n\r\x1f") + b"\x7f"
_NO_CONTROL_BYTES = bytes(c for c in range(256) if c not in _CONTROL_BYTES)
_C1_BYTES = re.compile(rb"\xc2[\x80-\x9f]")
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DIGITS = re.compile(r"[+-]?[0-9]+")
_EMPTY = re.compile(r"\x1f(?=\x1f)")
_ONLY_ZERO = re.compile(r"\x1f0(?=\x1f)")
_STARTS_WITH_DIGIT = re.compile(r"\x1f[0-9+-]")
_FIRST_OF_MARKS = re.escape("".join(sorted({mark[0] for mark in WELL_KNOWN_MARKS})))
_MARK_LIKE = re.compile(f"\x1f([{_FIRST_OF_MARKS}][^\x1f]{{0,{LONGEST_MARK - 1}}})(?=\x1f)")
_PLAIN_WORD = re.compile(r"[A-Za-z](?:[ -~]*[!-~])?")
_LONGEST_TRUTH = 5


def is_well_formed(text: str) -> bool:
    """False when the text stands for bytes that are not valid UTF-8."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def _bytes_of(text: str) -> int:
    """The length in UTF-8; what was not well-formed counts the bytes it stands for."""
    if text.isascii():
        return len(text)
    escaped = sum("\udc80" <= c <= "\udcff" for c in text)
    return len(text.encode("utf-8", "surrogatepass")) - 2 * escaped


def _is_zero_led(text: str) -> bool:
    """Digits that would lose their first zero as a number."""
    return text[:1] == "0" and len(text) > 1 and text.isascii() and text.isdigit()


def cut(text: str) -> str:
    """At most 200 characters, and nothing that JSON or a UTF-8 file could not hold."""
    shown = text[:LONGEST_SHOWN]
    return shown if is_well_formed(shown) else shown.encode("utf-8", "backslashreplace").decode()


def is_plain_word(text: str) -> bool:
    """True for a text about which nothing is to be counted but its length."""
    return _PLAIN_WORD.fullmatch(text) is not None and text not in _MARKS


class TextTally:
    """Everything that is counted about the texts of one column.

    ``fits`` says of one text whether the proposed kind can hold it; None when every one without NUL is fine.
    ``spells`` says of one that fits whether the kind writes it back as it is; None when it always does.
    """

    def __init__(self, fits: Callable[[str], bool] | None = None, spells: Callable[[str], bool] | None = None) -> None:
        self.texts = self.empties = self.blanks = self.padded = 0
        self.with_nul = self.invalid_utf8 = self.with_controls = 0
        self.leading_zeros = self.digit_texts = 0
        self.total_length = self.largest_bytes = self.misfits = self.respelt = 0
        self.shortest: int | None = None
        self.longest: int | None = None
        self.marks: collections.Counter[str] = collections.Counter()
        self.truths: collections.Counter[str] = collections.Counter()
        self.distinct: set[str] | None = set()
        """Every different text seen, or None when there were too many to keep, or too long ones."""
        self._kept_length = 0
        self._fits, self._spells = fits, spells

    @property
    def judges_each(self) -> bool:
        """True when every different text must be looked at."""
        return self._fits is not None

    def add_joined(self, joined: bytes, shortest: int | None = None, longest: int | None = None) -> None:
        """Count texts that stand between separators; the caller has made sure that none holds the separator.

        ``shortest`` and ``longest`` are their lengths in characters, where they are known already.
        """
        if self.distinct is None and self._fits is None and self._is_plain(joined):
            self._screen(joined, shortest, longest)
        else:
            self.add_each(collections.Counter(joined.decode("utf-8", "surrogateescape").split(SEPARATOR)))

    def add(self, values: Sequence[str]) -> None:
        """Count texts that could not be joined without doubt."""
        joined = SEPARATOR.join(values).encode("utf-8", "surrogatepass")
        if self.distinct is None and self._fits is None and joined.count(b"\x1f") == len(values) - 1:
            self.add_joined(joined)
        else:
            self.add_each(collections.Counter(values))

    def add_words(self, words: Iterable[str], plain: int, plain_length: int) -> None:
        """Count ``plain`` texts of ``plain_length`` characters in all, which are among ``words``, all of them plain."""
        for word in words:
            self._measure(len(word), len(word), 0, _bytes_of(word))
        self.texts += plain
        self.total_length += plain_length
        self._keep(words)

    def add_uniform(self, count: int, length: int) -> None:
        """Count texts that are known to be dates of one ASCII shape, all of that length."""
        if count:
            self._measure(length, length, length * count, length)
            self.texts += count

    def add_each(self, counts: Mapping[str, int]) -> None:
        """Look at every different text once, and count it as often as it was there."""
        for text, times in counts.items():
            self._look_at(text, times)
        self._keep(counts)

    def _keep(self, texts: Iterable[str]) -> None:
        if self.distinct is not None:
            new = [text for text in texts if text not in self.distinct]
            self._kept_length += sum(map(len, new))
            self.distinct.update(new)
            if len(self.distinct) > MOST_KEPT or self._kept_length > MOST_KEPT_LENGTH:
                self.distinct = None

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

    def _screen(self, joined: bytes, shortest: int | None, longest: int | None) -> None:
        """Count plain texts by what C can do with all of them at once."""
        text = joined.decode("utf-8")
        wrapped = f"{SEPARATOR}{text}{SEPARATOR}"
        count = text.count(SEPARATOR) + 1
        is_ascii = joined.isascii()
        has_space = _BEGINS_BLANK.search(wrapped) is not None or _ENDS_BLANK.search(wrapped) is not None
        values: Sequence[str] = ()
        if has_space or shortest is None or longest is None or not is_ascii:
            values = text.split(SEPARATOR)
            shortest, longest = min(map(len, values)), max(map(len, values))
        largest_bytes = longest if is_ascii else max(map(len, joined.split(SEPARATOR.encode())))
        self._measure(shortest, longest, len(text) - count + 1, largest_bytes)
        empties = len(_EMPTY.findall(wrapped)) if shortest == 0 else 0
        self.texts += count
        self.empties += empties
        if has_space or not is_ascii:
            self.padded += sum(v != v.strip() for v in values)
            self.blanks += sum(map(str.isspace, values))
        self._screen_digits(joined, wrapped, count - empties)
        if shortest <= LONGEST_MARK:
            self.marks.update(word for word in _MARK_LIKE.findall(wrapped) if word in _MARKS)

    def _screen_digits(self, joined: bytes, wrapped: str, present: int) -> None:
        """Count whole numbers among ``present`` texts that are not empty, and those that begin with a zero too many."""
        if _STARTS_WITH_DIGIT.search(wrapped) is None:
            return
        if joined.replace(SEPARATOR.encode(), b"").isdigit():
            self.digit_texts += present
            self.leading_zeros += wrapped.count(f"{SEPARATOR}0") - len(_ONLY_ZERO.findall(wrapped))
            return
        values = wrapped.split(SEPARATOR)
        self.digit_texts += sum(_DIGITS.fullmatch(v) is not None for v in values)
        self.leading_zeros += sum(map(_is_zero_led, values)) if f"{SEPARATOR}0" in wrapped else 0

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
        self.with_controls += times * (CONTROLS.search(text) is not None)
        self.digit_texts += times * (_DIGITS.fullmatch(text) is not None)
        self.leading_zeros += times * _is_zero_led(text)
        if text in _MARKS:
            self.marks[text] += times
        if len(text) <= _LONGEST_TRUTH:
            self.truths[_PAIR_OF.get(text.casefold(), "")] += times
        is_fit = is_valid and not has_nul and (self._fits is None or text == "" or self._fits(text))
        self.misfits += times * (not is_fit)
        if self._spells is not None and is_fit and text:
            self.respelt += times * (not self._spells(text))

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

    def add_uniform(self, shape: str, count: int, extremes: Sequence[str], future: int) -> None:
        """Count texts that SQL has proved to be ISO of one shape.

        ``extremes``: the smallest and largest of them, unless others were before; ``future`` of them lie ahead.
        """
        if count:
            self.shapes[shape] += count
        self.iso += count
        self.date_only += count if len(shape) == len("YYYY-MM-DD") else 0
        self.with_offset += count if shape.endswith("Z") else 0
        moments = [reading.moment for reading in map(read_date, extremes) if reading is not None]
        for span in (self._day_span, self._month_span):
            span.future += future
            for moment in moments:
                span.add(moment, 0, self.limit)

    def add_convertible(self, shape: str, count: int, *, has_offset: bool, future: int) -> None:
        """Count values of one shape that are rewritten to dates with times; ``future`` of them lie ahead.

        Their extremes are added as readings.
        """
        self.shapes[shape] += count
        self.convertible += count
        self.with_offset += count * has_offset
        for span in (self._day_span, self._month_span):
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
        self.add_reading(read_date(text, self.day_first), times)

    def add_reading(self, reading: DateReading | None, times: int = 1) -> None:
        """Count what a value was read as; None is no date."""
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
