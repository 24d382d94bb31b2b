"""Asking a run of rows about many columns at once.

One SELECT of aggregates per chunk answers nearly everything: SQLite computes it in C, without Python's lock.  Which
aggregates a column is asked for is a guess (:class:`Mode`); every answer can tell that the guess was wrong, and that
column is then asked the long way.  The result never depends on the guess.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from sdetl_engine.sqlite.fits import decimals_sql
from sdetl_engine.sqlite.tally import LONGEST_SHOWN, MOST_KEPT, SEPARATOR, is_plain_word, is_well_formed
from sdetl_engine.values.types import DATE_KINDS, Kind

JOINED_BYTES = 1000
"""Longer texts are not joined with others; they are fetched one by one, so that a chunk stays small in memory."""
COLUMNS_AT_ONCE = 100
"""SQLite's limit is 2000 result columns; a column is asked for up to 19."""
_PIECE_LENGTH = 1_000_000
"""Characters of texts that are looked at together."""
_UNJOINED = "\x1e"
_EXACT_IN_DOUBLE = 2**53


class Mode(enum.Enum):
    """What a column is expected to hold."""

    NUMBERS = "numbers"
    TEXTS = "texts"
    WORDS = "words"
    """The same few short texts again and again."""
    DATES = "dates"
    MIXED = "mixed"


@dataclasses.dataclass(frozen=True, slots=True)
class FastShape:
    """A shape of dates that SQL can prove.  ``rewritten`` gives back the value only if it is a date of that shape."""

    rewritten: str
    limit: str
    """``strftime`` format in which a moment sorts among texts of the shape."""


FAST_SHAPES: Mapping[str, FastShape] = {
    "YYYY-MM-DD HH:MM:SS": FastShape("datetime({v}, '+0 days')", "%Y-%m-%d %H:%M:%S"),
    "YYYY-MM-DD": FastShape("date({v}, '+0 days')", "%Y-%m-%d"),
    "YYYY-MM-DD HH:MM": FastShape("strftime('%Y-%m-%d %H:%M', {v}, '+0 days')", "%Y-%m-%d %H:%M"),
    "YYYY-MM-DDTHH:MM:SS": FastShape("strftime('%Y-%m-%dT%H:%M:%S', {v}, '+0 days')", "%Y-%m-%dT%H:%M:%S"),
    "YYYY-MM-DDTHH:MM:SSZ": FastShape("strftime('%Y-%m-%dT%H:%M:%SZ', {v}, '+0 days')", "%Y-%m-%dT%H:%M:%SZ"),
}
"""A modifier makes SQLite compute the day instead of echoing it: 30 February and 24:00 come back as something else."""


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """One column, and how it is asked.  ``value`` is SQL: NULL for what is a declared mark."""

    name: str
    column: str
    value: str
    kind: Kind
    mode: Mode
    shape: str = "YYYY-MM-DD HH:MM:SS"
    key: str = "c"
    """A word that is this column's own: the prefix of its parameters."""
    known_smallest: str = "~"
    known_largest: str = ""
    """Dates of the expected shape that were seen already: only smaller and larger ones are asked for."""

    @property
    def may_be_date(self) -> bool:
        """True when every text is to be read as a date."""
        return self.kind in DATE_KINDS

    @property
    def iso(self) -> str:
        """SQL that is 1 for a text that is a date of the expected shape, else 0 or NULL."""
        rewritten = FAST_SHAPES[self.shape].rewritten.format(v=self.value)
        return (
            f"({rewritten} = {self.value} COLLATE BINARY AND {self.value} >= '0001' AND typeof({self.value}) = 'text')"
        )


@dataclasses.dataclass(slots=True)
class Answer:
    """What one column holds in one chunk.  ``texts``: joined by the separator, or one by one; without proved dates."""

    nonnull: int
    present: int
    was_surprise: bool = False
    """The column held something else than its mode expects."""
    integers: int = 0
    reals: int = 0
    blobs: int = 0
    smallest_integer: int | None = None
    largest_integer: int | None = None
    smallest_real: float | None = None
    largest_real: float | None = None
    whole_reals: int = 0
    infinities: int = 0
    most_decimals: int | None = None
    """Asked for where the kind is numeric."""
    inexact_integers: int = 0
    """Integers that a double cannot hold."""
    truths: int = 0
    """Integers 0 and 1."""
    blob_shortest: int | None = None
    blob_longest: int | None = None
    blob_length: int = 0
    smallest_text: str | None = None
    largest_text: str | None = None
    shortest: int | None = None
    longest: int | None = None
    joined: bytes | None = None
    each: list[str] | None = None
    pieces: Iterator[list[str]] | None = None
    """Some texts at a time, where some are long; of a column that may hold dates they come as ``each``."""
    piece_length: int = 0
    """Characters of the pieces that were taken."""
    words: list[str] | None = None
    """Every different plain text, of which there are ``plain`` with ``plain_length`` characters."""
    plain: int = 0
    plain_length: int = 0
    odd: dict[str, int] = dataclasses.field(default_factory=dict)
    """Texts about which there is more to count, with how often they are there."""
    shape: str = ""
    """The shape that SQL has proved ``iso`` texts to have."""
    iso: int = 0
    iso_smallest: str | None = None
    iso_largest: str | None = None
    iso_future: int = 0

    @property
    def carried(self) -> int:
        """Bytes or characters of text that came along."""
        return len(self.joined or b"") + sum(map(len, self.each or ())) + self.piece_length

    def unproved(self) -> list[str]:
        """The texts that came along, one by one."""
        if self.each is not None:
            return self.each
        return [] if self.joined is None else self.joined.decode("utf-8", "surrogateescape").split(SEPARATOR)


Row = Sequence[object]


class Chunks:
    """Asks chunks of one table over one connection.  ``within`` is SQL over ``:low`` and ``:high``."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        table: str,
        within: str,
        codec: str,
        marks: Mapping[str, str],
        limit: datetime,
    ) -> None:
        self._connection = connection
        self._source = f"FROM {table} WHERE {within}"
        self._codec = codec
        self._marks = marks
        self._limit = limit
        connection.text_factory = _lenient

    def ask(self, questions: Sequence[Question], low: int, high: int) -> list[Answer]:
        """The answers about rows ``low`` to ``high``, in the order of the questions."""
        answers: list[Answer] = []
        for start in range(0, len(questions), COLUMNS_AT_ONCE):
            group = questions[start : start + COLUMNS_AT_ONCE]
            terms = [_TERMS[question.mode](question, self._codec) for question in group]
            extremes = {f"{q.key}_smallest": q.known_smallest for q in group if q.may_be_date}
            extremes |= {f"{q.key}_largest": min(q.known_largest, self._future(q)) for q in group if q.may_be_date}
            row = self._one([t for ts in terms for t in ts], low, high, **extremes)
            position = 0
            for question, asked in zip(group, terms, strict=True):
                part = row[position : position + len(asked)]
                position += len(asked)
                answers.append(self._read(question, part, low, high))
        return answers

    def numbers(self, question: Question, most: int, low: int, high: int) -> set[int | float]:
        """Different numbers of the column in the chunk, ``most`` + 1 at most."""
        sql = f"SELECT DISTINCT {question.value} {self._source} AND typeof({question.value}) IN ('integer', 'real')"
        rows = self._connection.execute(f"{sql} LIMIT {most + 1}", self._parameters(low, high))
        return {value for (value,) in rows}

    def _read(self, question: Question, row: Row, low: int, high: int) -> Answer:
        answer = _READERS[question.mode](question, row)
        if answer is None:
            answer = _read_mixed(question, self._one(_mixed_terms(question, self._codec), low, high))
            answer.was_surprise = True
        answer.shape = question.shape
        self._complete_texts(question, answer, low, high)
        if question.may_be_date and answer.iso:
            self._complete_dates(question, answer, low, high)
        return answer

    def _complete_texts(self, question: Question, answer: Answer, low: int, high: int) -> None:
        """Fetch one by one the texts that could not be joined without doubt; count the dates that need no reading."""
        texts = answer.present - answer.integers - answer.reals - answer.blobs
        if answer.words is not None:
            self._count_odd(question, answer, low, high)
            return
        joined = answer.joined
        count = joined.count(SEPARATOR.encode()) + 1 if joined is not None else 0
        is_whole = joined is None or _UNJOINED.encode() not in joined
        if question.may_be_date and is_whole and self._codec == "utf-8":
            answer.iso = texts - count
        elif count != texts or not is_whole or self._codec != "utf-8":
            answer.joined = None
            if question.may_be_date:
                answer.each = list(self._fetch(question, low, high))
                answer.iso = texts - len(answer.each)
            else:
                answer.pieces = self._pieces(answer, self._fetch(question, low, high))

    def _count_odd(self, question: Question, answer: Answer, low: int, high: int) -> None:
        """Count how often those words are there about which there is more to say than their length."""
        words = answer.words or []
        odd = [word for word in words if not is_plain_word(word)]
        if odd:
            value = question.value
            query = (
                f"SELECT {value} COLLATE BINARY, count(*) {self._source} AND typeof({value}) = 'text'"
                f" AND {value} COLLATE BINARY IN (SELECT value FROM json_each(:odd)) GROUP BY 1"
            )
            rows = self._connection.execute(query, {**self._parameters(low, high), "odd": json.dumps(odd)})
            answer.odd = dict(rows.fetchall())
        answer.words = [word for word in words if word not in answer.odd]
        answer.plain = answer.present - sum(answer.odd.values())
        answer.plain_length -= sum(len(word) * times for word, times in answer.odd.items())

    @staticmethod
    def _pieces(answer: Answer, texts: Iterator[str]) -> Iterator[list[str]]:
        piece: list[str] = []
        length = 0
        for text in texts:
            piece.append(text)
            length += len(text)
            if length > _PIECE_LENGTH:
                answer.piece_length += length
                yield piece
                piece, length = [], 0
        answer.piece_length += length
        if piece:
            yield piece

    def _fetch(self, question: Question, low: int, high: int) -> Iterator[str]:
        value = question.value
        sql = f"SELECT CAST({value} AS BLOB) {self._source} AND typeof({value}) = 'text'"
        if question.may_be_date:
            sql += f" AND NOT ifnull({question.iso}, 0)"
        rows = self._connection.execute(sql, self._parameters(low, high))
        return (_decode(raw, self._codec) for (raw,) in rows)

    def _complete_dates(self, question: Question, answer: Answer, low: int, high: int) -> None:
        """Ask again where texts that only look like the expected shape, or lie ahead, blur the first answer."""
        limit = self._future(question)
        is_blurred = answer.was_surprise or any(text[4:5] == "-" for text in answer.unproved())
        if is_blurred or question.mode is Mode.MIXED or (answer.iso_largest or "") > limit:
            value, iso = question.value, question.iso
            terms = [f"{function}(CASE WHEN {iso} THEN {value} END)" for function in ("min", "max")]
            terms.append(f"total({iso} AND {value} > :limit)")
            row = self._one(terms, low, high, limit=limit)
            answer.iso_smallest, answer.iso_largest = _text(row[0]), _text(row[1])
            answer.iso_future = _count(row[2])

    def _future(self, question: Question) -> str:
        """What dates of the question's shape sort behind when they lie in the future."""
        return self._limit.strftime(FAST_SHAPES[question.shape].limit)

    def _one(self, terms: Sequence[str], low: int, high: int, **more: str) -> Row:
        sql = f"SELECT {', '.join(terms)} {self._source}"
        row: Row = self._connection.execute(sql, {**self._parameters(low, high), **more}).fetchone()
        return row

    def _parameters(self, low: int, high: int) -> dict[str, int | str]:
        return {"low": low, "high": high, **self._marks}


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _decode(raw: bytes, codec: str) -> str:
    return raw.decode(codec, "surrogateescape" if codec == "utf-8" else "surrogatepass")


def _presence_terms(question: Question) -> list[str]:
    """How many values there are, and how many of them are no declared marks: the same, without marks."""
    has_marks = question.value != f"(+{question.column})"
    return [f"count({question.column})" if has_marks else "NULL", f"count({question.value})"]


def _number_terms(question: Question, _codec: str) -> list[str]:
    v = question.value
    return [
        *_presence_terms(question),
        *(f"min({v})", f"max({v})", f"total(typeof({v}) = 'integer')", f"total({v} = CAST({v} AS INTEGER))"),
        _decimals_term(question),
    ]


def _decimals_term(question: Question) -> str:
    return f"max({decimals_sql(question.value)})" if question.kind is Kind.NUMERIC else "NULL"


def _text_terms(question: Question, codec: str) -> list[str]:
    v = question.value
    return [*_presence_terms(question), f"min(length({v}))", f"max(length({v}))", *_joined_terms(v, codec)]


def _word_terms(question: Question, _codec: str) -> list[str]:
    v = question.value
    short = f"CASE WHEN typeof({v}) = 'text' AND length({v}) <= {JOINED_BYTES} THEN {v} END"
    return [
        *_presence_terms(question),
        f"total(typeof({v}) = 'text')",
        f"total(length({v}))",
        f"json_group_array(DISTINCT {short})",
    ]


def _joined_terms(v: str, codec: str) -> list[str]:
    return [
        # substr makes a text of anything: what is no text must come back as what it is, so that it is noticed.
        f"CASE typeof(min({v} COLLATE BINARY)) WHEN 'text' THEN substr(min({v} COLLATE BINARY), 1, {LONGEST_SHOWN}) END",
        f"CASE typeof(max({v} COLLATE BINARY)) WHEN 'text' THEN substr(max({v} COLLATE BINARY), 1, {LONGEST_SHOWN}) END",
        _joined(f"CASE WHEN length(CAST({v} AS BLOB)) <= {JOINED_BYTES} THEN {v} END", codec),
    ]


def _date_terms(question: Question, codec: str) -> list[str]:
    v = question.value
    # What looks ISO is asked second: few values are smaller or larger than all before.
    smaller = f"CASE WHEN {v} < :{question.key}_smallest AND {v} GLOB '????-*' THEN {v} END"
    larger = f"CASE WHEN {v} > :{question.key}_largest AND {v} GLOB '????-*' THEN {v} END"
    rest = (
        f"CASE WHEN {question.iso} OR {v} IS NULL THEN NULL"
        f" WHEN typeof({v}) = 'text' AND length(CAST({v} AS BLOB)) <= {JOINED_BYTES} AND instr({v}, char(31)) = 0"
        f" THEN {v} ELSE char(30) END"
    )
    return [*_presence_terms(question), f"min({smaller})", f"max({larger})", _joined(rest, codec)]


def _joined(term: str, codec: str) -> str:
    return f"CAST(group_concat({term}, char(31)) AS BLOB)" if codec == "utf-8" else "NULL"


def _mixed_terms(question: Question, codec: str) -> list[str]:
    v = question.value
    kind = f"typeof({v})"
    integer, real, blob, text = (f"CASE WHEN {kind} = '{k}' THEN {v} END" for k in ("integer", "real", "blob", "text"))
    rest = f"CASE WHEN {kind} = 'text' AND NOT ifnull({question.iso}, 0) THEN {v} END" if question.may_be_date else text
    return [
        *_presence_terms(question),
        *(f"total({kind} = '{k}')" for k in ("integer", "real", "blob")),
        *(f"min({integer})", f"max({integer})", f"min({real})", f"max({real})"),
        f"total({kind} = 'real' AND {v} = CAST({v} AS INTEGER))",
        f"total({kind} = 'real' AND {v} IN (9e999, -9e999))",
        _decimals_term(question),
        f"total({kind} = 'integer' AND {v} <> CAST({v} AS REAL))",
        f"total({kind} = 'integer' AND {v} IN (0, 1))",
        *(f"min(length({blob}))", f"max(length({blob}))", f"total(length({blob}))"),
        *_joined_terms(text, codec)[:2],
        _joined(_guarded(rest), codec),
    ]


def _guarded(term: str) -> str:
    return (
        f"CASE WHEN length(CAST({term} AS BLOB)) <= {JOINED_BYTES} AND instr({term}, char(31)) = 0 THEN {term}"
        f" WHEN ({term}) IS NOT NULL THEN char(30) END"
    )


def _read_numbers(question: Question, row: Row) -> Answer | None:
    _, _, smallest, largest, integers, whole, decimals = row
    answer = _present(row)
    answer.most_decimals = _integer(decimals)
    if not answer.present:
        return answer
    if isinstance(smallest, int) and isinstance(largest, int) and _count(integers) == answer.present:
        if question.kind is Kind.DOUBLE and max(abs(smallest), abs(largest)) > _EXACT_IN_DOUBLE:
            return None
        answer.integers, answer.smallest_integer, answer.largest_integer = answer.present, smallest, largest
        return answer
    if isinstance(smallest, float) and isinstance(largest, float) and not _count(integers):
        if max(abs(smallest), abs(largest)) == float("inf"):
            return None
        answer.reals, answer.smallest_real, answer.largest_real = answer.present, smallest, largest
        answer.whole_reals = _count(whole)
        return answer
    return None


def _read_texts(_question: Question, row: Row) -> Answer | None:
    _, _, shortest, longest, smallest, largest, joined = row
    answer = _present(row)
    if not answer.present:
        return answer
    if not (isinstance(smallest, str) and isinstance(largest, str)):
        return None
    answer.shortest, answer.longest = _integer(shortest), _integer(longest)
    answer.smallest_text, answer.largest_text, answer.joined = smallest, largest, _bytes(joined)
    return answer


def _read_words(_question: Question, row: Row) -> Answer | None:
    _, _, texts, length, listed = row
    answer = _present(row)
    words = [word for word in json.loads(_text(listed) or "[]") if word is not None]
    if _count(texts) != answer.present or not all("\0" not in word and is_well_formed(word) for word in words):
        return None
    if answer.present and (not words or len(words) > MOST_KEPT):
        return None
    answer.words, answer.plain_length = words, _count(length)
    return answer


def _present(row: Row) -> Answer:
    return Answer(_count(row[1] if row[0] is None else row[0]), _count(row[1]))


def _read_dates(_question: Question, row: Row) -> Answer | None:
    _, _, smallest, largest, joined = row
    answer = _present(row)
    answer.joined = _bytes(joined)
    if answer.joined is not None and _UNJOINED.encode() in answer.joined:
        return None
    answer.iso_smallest, answer.iso_largest = _text(smallest), _text(largest)
    return answer


def _read_mixed(_question: Question, row: Row) -> Answer:
    values = iter(row[2:])
    following: Callable[[], object] = lambda: next(values)  # noqa: E731 - fields are read in the order of the terms
    return Answer(
        nonnull=_present(row).nonnull,
        present=_present(row).present,
        integers=_count(following()),
        reals=_count(following()),
        blobs=_count(following()),
        smallest_integer=_integer(following()),
        largest_integer=_integer(following()),
        smallest_real=_real(following()),
        largest_real=_real(following()),
        whole_reals=_count(following()),
        infinities=_count(following()),
        most_decimals=_integer(following()),
        inexact_integers=_count(following()),
        truths=_count(following()),
        blob_shortest=_integer(following()),
        blob_longest=_integer(following()),
        blob_length=_count(following()),
        smallest_text=_text(following()),
        largest_text=_text(following()),
        joined=_bytes(following()),
    )


_TERMS: Mapping[Mode, Callable[[Question, str], list[str]]] = {
    Mode.NUMBERS: _number_terms,
    Mode.TEXTS: _text_terms,
    Mode.WORDS: _word_terms,
    Mode.DATES: _date_terms,
    Mode.MIXED: _mixed_terms,
}
_READERS: Mapping[Mode, Callable[[Question, Row], Answer | None]] = {
    Mode.NUMBERS: _read_numbers,
    Mode.TEXTS: _read_texts,
    Mode.WORDS: _read_words,
    Mode.DATES: _read_dates,
    Mode.MIXED: _read_mixed,
}


def _count(value: object) -> int:
    assert isinstance(value, (int, float))
    return int(value)


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _real(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None
