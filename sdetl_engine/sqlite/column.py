"""Adding up what the chunks of one column answered, until its facts are complete."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sdetl_engine.profiling.facts import ColumnFacts, DateFacts, Witness
from sdetl_engine.sqlite.chunk import FAST_SHAPES, Answer, Mode, Question
from sdetl_engine.sqlite.fits import spelling_judge, text_judge
from sdetl_engine.sqlite.tally import FEW, LONGEST_FEW, TRUTH_PAIRS, DateTally, TextTally, cut
from sdetl_engine.values.dates import read_date
from sdetl_engine.values.types import Kind

MOST_SURPRISES = 6
"""Wrong guesses about one column before it is always asked the long way."""
_MOST_WORDS = 64
_WORD_REPEATS = 2


@dataclasses.dataclass(slots=True)
class Hits:
    """Where something was seen: the first chunks that hold enough of it."""

    wanted: int
    places: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)

    def add(self, low: int, high: int, count: int) -> None:
        """Remember a chunk, and forget those that the wanted number does not reach."""
        if not count or not self.wanted:
            return
        self.places.append((low, high, count))
        self.places.sort()
        reached = 0
        for position, (_, _, seen) in enumerate(self.places, start=1):
            reached += seen
            if reached >= self.wanted:
                del self.places[position:]
                break


DATE_WITNESSES = ("day_first", "month_first", "unreadable", "convertible")


class ColumnScan:
    """One column on its way through the table.  Not to be used by two threads at once."""

    def __init__(self, question: Question, *, day_first: bool | None, now: datetime, evidence_rows: int) -> None:
        self.question = question
        self.texts = TextTally(text_judge(question.kind), spelling_judge(question.kind))
        self.dates = DateTally(day_first, now) if question.may_be_date else None
        self.numbers: set[int | float] | None = set()
        self.hits = {name: Hits(evidence_rows) for name in ("misfit", *DATE_WITNESSES)}
        self.rows = self.nulls = self.marked = 0
        self._sum = Answer(nonnull=0, present=0)
        self._number_misfits = self._surprises = 0

    def wants_numbers(self, answer: Answer) -> bool:
        """True while the few different numbers of the column are still being collected, and there may be new ones."""
        if self.numbers is None or not (answer.integers or answer.reals):
            return False
        low, high = answer.smallest_integer, answer.largest_integer
        if answer.reals or low is None or high is None or high - low >= FEW:
            return True
        return not self.numbers.issuperset(range(low, high + 1))

    def add(self, answer: Answer, numbers: set[int | float], rows: int, low: int, high: int) -> None:
        """Take in one chunk of ``rows`` rows between two rowids."""
        self.rows += rows
        self.nulls += rows - answer.nonnull
        self.marked += answer.nonnull - answer.present
        self._add_numbers(answer, numbers)
        before = self.texts.misfits
        rest = self._add_texts(answer)
        if self.dates is not None:
            self._add_dates(self.dates, answer, rest, low, high)
        else:
            misfits = self._misfit_numbers(answer)
            self._number_misfits += misfits
            self.hits["misfit"].add(low, high, misfits + self.texts.misfits - before)
        self._learn(answer)

    def _add_numbers(self, answer: Answer, numbers: set[int | float]) -> None:
        total = self._sum
        for name in _SUMMED:
            setattr(total, name, getattr(total, name) + getattr(answer, name))
        for name, widest in _EXTREMES.items():
            found = [v for v in (getattr(total, name), getattr(answer, name)) if v is not None]
            setattr(total, name, widest(found) if found else None)
        if self.numbers is not None:
            self.numbers |= numbers
            if len(self.numbers) > FEW:
                self.numbers = None

    def _add_texts(self, answer: Answer) -> collections.Counter[str]:
        """Count the texts, and give back those that may be dates but were not proved to be."""
        rest: collections.Counter[str] = collections.Counter()
        if self.dates is not None:
            rest = collections.Counter(answer.unproved())
            self.texts.add_each(rest)
        elif answer.words is not None:
            self.texts.add_words(answer.words, answer.plain, answer.plain_length)
            self.texts.add_each(answer.odd)
        elif answer.joined is not None:
            self.texts.add_joined(answer.joined, answer.shortest, answer.longest)
        elif answer.pieces is not None:
            for piece in answer.pieces:
                self.texts.add(piece)
        # The codes of the shapes that SQL can prove are as long as the dates they stand for.
        self.texts.add_uniform(answer.iso, len(answer.shape))
        if self.dates is None and answer.words:
            self._widen_texts([*answer.words, *answer.odd])
        return rest

    def _add_dates(self, dates: DateTally, answer: Answer, rest: collections.Counter[str], low: int, high: int) -> None:
        before = _ordered(dates)
        extremes = [text for text in (answer.iso_smallest, answer.iso_largest) if text is not None]
        dates.add_uniform(answer.shape, answer.iso, extremes, answer.iso_future)
        dates.add_each(rest)
        after = _ordered(dates)
        for name, old, new in zip(DATE_WITNESSES, before, after, strict=True):
            self.hits[name].add(low, high, new - old)
        others = answer.integers + answer.reals + answer.blobs
        self.hits["misfit"].add(low, high, others + after[2] - before[2])
        if rest or extremes:
            self._widen_texts([*rest, *extremes])

    def _widen_texts(self, texts: Sequence[str]) -> None:
        total = self._sum
        total.smallest_text = min([*texts, *([] if total.smallest_text is None else [total.smallest_text])])
        total.largest_text = max([*texts, *([] if total.largest_text is None else [total.largest_text])])

    def _misfit_numbers(self, answer: Answer) -> int:
        """Numbers and BLOBs that the proposed kind cannot hold exactly."""
        match self.question.kind:
            case Kind.INTEGER:
                return answer.reals - answer.whole_reals + answer.blobs
            case Kind.DOUBLE:
                return answer.inexact_integers + answer.blobs
            case Kind.NUMERIC:
                return answer.infinities + answer.blobs
            case Kind.TEXT:
                return answer.blobs
            case Kind.BYTES:
                return 0
            case Kind.BOOLEAN:
                return answer.integers - answer.truths + answer.reals + answer.blobs
            case _:
                return answer.integers + answer.reals + answer.blobs

    def _learn(self, answer: Answer) -> None:
        """Guess better next time."""
        self._surprises += answer.was_surprise
        if self.dates is not None:
            mode = Mode.DATES if self._surprises <= MOST_SURPRISES else Mode.MIXED
            shape = self._usual_shape(self.dates) if answer.iso == 0 else self.question.shape
            self.question = dataclasses.replace(self._widened(answer, shape), mode=mode)
        elif self.question.kind is not Kind.BOOLEAN and answer.present and self._surprises <= MOST_SURPRISES:
            self.question = dataclasses.replace(self.question, mode=self._best_mode(answer))

    def _widened(self, answer: Answer, shape: str) -> Question:
        """The question with the dates that are known by now; those of another shape are no measure."""
        question = self.question
        if shape != question.shape:
            return dataclasses.replace(question, shape=shape, known_smallest="~", known_largest="")
        smallest = min(question.known_smallest, answer.iso_smallest or "~")
        largest = max(question.known_largest, answer.iso_largest or "")
        return dataclasses.replace(question, known_smallest=smallest, known_largest=largest)

    def _best_mode(self, answer: Answer) -> Mode:
        """The mode that would have been right for what this chunk held."""
        numbers = answer.integers + answer.reals
        is_one_class = not (answer.integers and answer.reals) and not answer.infinities and not answer.inexact_integers
        if not answer.blobs and numbers == answer.present and is_one_class:
            return Mode.NUMBERS
        if answer.blobs or numbers:
            return Mode.MIXED
        return Mode.WORDS if self._are_words() else Mode.TEXTS

    def _usual_shape(self, dates: DateTally) -> str:
        """The shape that most dates are found to have, of those that SQL can prove."""
        known = [(count, shape) for shape, count in dates.shapes.items() if shape in FAST_SHAPES]
        return max(known)[1] if known else self.question.shape

    def _are_words(self) -> bool:
        """True when the same few short texts come again and again."""
        texts = self.texts
        return (
            texts.distinct is not None
            and len(texts.distinct) <= _MOST_WORDS
            and len(texts.distinct) * _WORD_REPEATS <= texts.texts
            and (texts.longest or 0) <= LONGEST_FEW
            and not (texts.judges_each or texts.with_nul or texts.invalid_utf8)
        )

    @property
    def misfits(self) -> int:
        """Values that the proposed kind cannot hold exactly, not even after a cleaning rule."""
        answer = self._sum
        if self.dates is not None:
            return self.dates.unreadable + answer.integers + answer.reals + answer.blobs
        if self.question.kind is Kind.BOOLEAN:
            return self._sum.present - self.texts.empties - self.truth_pair[1]
        return self._number_misfits + self.texts.misfits

    @property
    def truth_pair(self) -> tuple[str, int]:
        """The known pair that most values belong to, and how many do."""
        counts = collections.Counter({pair: self.texts.truths[pair] for pair in TRUTH_PAIRS})
        counts["0 1"] += self._sum.truths
        return max(counts.items(), key=lambda item: item[1])

    @property
    def present(self) -> int:
        """Values that are neither NULL nor a declared mark."""
        return self._sum.present

    def date_count(self, name: str) -> int:
        """How many texts are what one of :data:`DATE_WITNESSES` names."""
        assert self.dates is not None
        return dict(zip(DATE_WITNESSES, _ordered(self.dates), strict=True))[name]

    def known_distinct(self) -> int | None:
        """How many different values there are, when they all were kept."""
        texts = self.texts.distinct
        if texts is None or self.numbers is None or self._sum.blobs or (self.dates is not None and self.dates.iso):
            return None
        return len(texts) + len(self.numbers)

    def few_values(self) -> tuple[str, ...] | None:
        """All different values as text, when they are few and short."""
        count = self.known_distinct()
        texts = self.texts.distinct
        if count is None or count > FEW or texts is None or self.numbers is None:
            return None
        if any(len(text) > LONGEST_FEW for text in texts):
            return None
        return tuple(dict.fromkeys([*(str(n) for n in sorted(self.numbers)), *map(cut, sorted(texts))]))

    def facts(
        self, table: str, *, distinct: int, distinct_is_exact: bool, witnesses: Mapping[str, tuple[Witness, ...]]
    ) -> ColumnFacts:
        """Everything, once every chunk is in and ``texts.finish`` was called."""
        texts, total = self.texts, self._sum
        lengths = [n for n in (texts.shortest, total.blob_shortest) if n is not None]
        longest = [n for n in (texts.longest, total.blob_longest) if n is not None]
        return ColumnFacts(
            table=table,
            column=self.question.name,
            rows=self.rows,
            nulls=self.nulls,
            marked=self.marked,
            integers=total.integers,
            reals=total.reals,
            texts=texts.texts,
            blobs=total.blobs,
            empties=texts.empties,
            blanks=texts.blanks,
            smallest_integer=total.smallest_integer,
            largest_integer=total.largest_integer,
            smallest_real=total.smallest_real,
            largest_real=total.largest_real,
            whole_reals=total.whole_reals,
            infinities=total.infinities,
            most_decimals=total.most_decimals,
            smallest_text=None if total.smallest_text is None else cut(total.smallest_text),
            largest_text=None if total.largest_text is None else cut(total.largest_text),
            shortest=min(lengths, default=None),
            longest=max(longest, default=None),
            total_length=texts.total_length + total.blob_length,
            largest_bytes=max(texts.largest_bytes, total.blob_longest or 0),
            distinct=distinct,
            distinct_is_exact=distinct_is_exact,
            few_values=self.few_values(),
            with_nul=texts.with_nul,
            invalid_utf8=texts.invalid_utf8,
            with_controls=texts.with_controls,
            leading_zeros=texts.leading_zeros,
            digit_texts=texts.digit_texts,
            padded=texts.padded,
            missing_marks=dict(texts.marks.most_common()),
            proposed=self.question.kind,
            misfits=self.misfits,
            respelt=self.texts.respelt,
            misfit_witnesses=witnesses.get("misfit", ()),
            dates=self._date_facts(self.dates, witnesses) if self.dates is not None else None,
        )

    def _date_facts(self, dates: DateTally, witnesses: Mapping[str, tuple[Witness, ...]]) -> DateFacts:
        return DateFacts(
            shapes=dict(dates.shapes.most_common()),
            iso=dates.iso,
            convertible=dates.convertible,
            unreadable=dates.unreadable,
            day_first_only=dates.day_first_only,
            month_first_only=dates.month_first_only,
            either=dates.either,
            with_offset=dates.with_offset,
            date_only=dates.date_only,
            fractional=dates.fractional,
            numeric=self._sum.integers + self._sum.reals,
            future=dates.future,
            earliest=dates.earliest,
            latest=dates.latest,
            day_first_witnesses=witnesses.get("day_first", ()),
            month_first_witnesses=witnesses.get("month_first", ()),
            unreadable_witnesses=witnesses.get("unreadable", ()),
            convertible_witnesses=witnesses.get("convertible", ()),
        )

    def date_questions_of(self, text: str) -> tuple[str, ...]:
        """Which date witnesses one text is."""
        assert self.dates is not None
        reading = read_date(text, self.dates.day_first)
        if reading is None:
            return ("unreadable",)
        order = {"day": ("day_first",), "month": ("month_first",)}.get(reading.order, ())
        return order if reading.is_iso else (*order, "convertible")


_SUMMED = (
    *("nonnull", "present", "integers", "reals", "blobs", "whole_reals", "infinities", "inexact_integers", "truths"),
    "blob_length",
)
_EXTREMES: dict[str, Callable[..., object]] = {
    "smallest_integer": min,
    "largest_integer": max,
    "smallest_real": min,
    "largest_real": max,
    "most_decimals": max,
    "blob_shortest": min,
    "blob_longest": max,
    "smallest_text": min,
    "largest_text": max,
}


def _ordered(dates: DateTally) -> tuple[int, int, int, int]:
    """The counts behind :data:`DATE_WITNESSES`, in that order."""
    return dates.day_first_only, dates.month_first_only, dates.unreadable, dates.convertible
