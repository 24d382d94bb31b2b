"""ISO dates in SQL: which texts already are ISO, and what the common numeric shapes become.

`values.dates.to_iso` is the rule; it costs some twenty microseconds a text.  The terms here agree with it for the
shapes that real columns are full of, at the cost of SQLite's own code, and hand everything else to it.
"""

from __future__ import annotations

import dataclasses
import functools
import sqlite3
from collections.abc import Callable

from sdetl_engine.values import dates
from sdetl_engine.values.agreement import Agreement, NumberUnit

FUNCTION = "sdetl_iso"
"""The name under which `register` makes `values.dates.to_iso` known to a connection."""

AGREED = "sdetl_agreed_iso"
"""The name of the rule for columns about which more was agreed: `values.agreement.Agreement.iso`."""

_D = "[0-9]"
_DATE_LENGTH = 10
_CACHED_TEXTS = 32_768
_PARTS_OF_SECOND = {
    NumberUnit.SECONDS: 1,
    NumberUnit.MILLISECONDS: 10**3,
    NumberUnit.MICROSECONDS: 10**6,
    NumberUnit.NANOSECONDS: 10**9,
}
_LAST_SECOND = 9_000_000_000
"""In the year 2255: in nanoseconds it still is a 64-bit integer."""
_LONG_MONTHS = "'01','03','05','07','08','10','12'"


def register(connection: sqlite3.Connection) -> None:
    """Make the rule for rare shapes known to the connection.

    It is given the bytes of a text, because a text in the file need not be valid in the file's encoding.
    """
    encoding = str(connection.execute("PRAGMA encoding").fetchone()[0]).replace("UTF-16", "utf-16-")

    @functools.lru_cache(maxsize=_CACHED_TEXTS)
    def read(raw: bytes, day_first: int | None) -> str | None:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            return None
        return dates.to_iso(text, None if day_first is None else bool(day_first))

    def bounded(raw: bytes, day_first: int | None) -> str | None:
        return read(raw, day_first) if len(raw) <= 4 * dates.MAX_LENGTH else None

    connection.create_function(FUNCTION, 2, bounded, deterministic=True)
    connection.create_function(AGREED, 3, _agreed_rule(encoding), deterministic=True)


def _agreed_rule(encoding: str) -> Callable[[bytes | float, int | None, str], str | None]:
    @functools.lru_cache(maxsize=_CACHED_TEXTS)
    def read(value: bytes | float, day_first: int | None, code: str) -> str | None:
        known: str | float
        if isinstance(value, bytes):
            if len(value) > 4 * dates.MAX_LENGTH:
                return None
            try:
                known = value.decode(encoding)
            except UnicodeDecodeError:
                return None
        else:
            known = value
        return Agreement.parse(code).iso(known, None if day_first is None else bool(day_first))

    return read


def never_changes(term: str) -> str:
    """A condition on a TEXT term, true for shapes that ``to_iso`` leaves as they are, or refuses.

    Made for columns that are full of ``YYYY-MM-DD HH:MM:SS``: it looks at no more digits of it than tell it from
    texts like ``2024-01-2  9:05:00``, which ``to_iso`` does change.
    """
    return f"({term} GLOB '????-?{_D}-?{_D}[ T]{_D}{_D}:??:??' OR {is_iso(term)})"


def has_offset(term: str) -> str:
    """A condition on a TEXT term, true for the commonest ISO shape with an offset."""
    return f"({term} GLOB '????-??-??[ T]??:??:??[+-]??:??' AND julianday({term}) IS NOT NULL)"


def is_iso(term: str) -> str:
    """A condition on a TEXT term, true for the shapes that ``to_iso`` gives and accepts (a day may still not exist).

    The question marks need not say that they are digits: SQLite's own date parser, asked last, accepts nothing else
    in their places.  It does accept blanks after the seconds, so fractions are spelled out.
    """
    plain = f"{term} GLOB '????-??-??[ T]??:??:??'"
    by_length = " ".join(
        f"WHEN {length} THEN " + " OR ".join(f"{term} GLOB '{pattern}'" for pattern in patterns)
        for length, patterns in _iso_patterns().items()
    )
    return f"(({plain} OR CASE length({term}) {by_length} ELSE 0 END) AND julianday({term}) IS NOT NULL)"


def to_iso(term: str, day_first: bool | None, agreement: Agreement | None = None) -> str:
    """What ``values.dates.to_iso`` gives for a TEXT term, as a term; NULL for what it cannot read.

    With an agreement, what that gives; the term may then be a number, too.
    """
    if agreement:
        value = f"CASE typeof({term}) WHEN 'text' THEN CAST({term} AS BLOB) ELSE {term} END"
        fast = _number_to_iso(term, agreement)
        code = agreement.code.replace("'", "''")
        slow = f"{AGREED}({value}, {_order(day_first)}, '{code}')"
        return f"CASE WHEN {fast[0]} THEN {fast[1]} ELSE {slow} END" if fast else slow
    slow = f"{FUNCTION}(CAST({term} AS BLOB), {_order(day_first)})"
    if day_first is None:
        return slow
    return f"coalesce({_numeric_to_iso(term, day_first)}, {slow})"


def _order(day_first: bool | None) -> str:
    return "NULL" if day_first is None else str(int(day_first))


@functools.cache
def _iso_patterns() -> dict[int, list[str]]:
    """GLOB patterns of the ISO shapes except the plain one, by the length of the text."""
    patterns: dict[int, list[str]] = {_DATE_LENGTH: ["????-??-??"]}
    zones = {"": 0, "Z": 1, "[+-]??:??": 6}
    times = {"??:??": 5, "??:??:??": 8, **{"??:??:??." + _D * n: 9 + n for n in range(1, 7)}}
    for time, time_length in times.items():
        for zone, zone_length in zones.items():
            length = _DATE_LENGTH + 1 + time_length + zone_length
            patterns.setdefault(length, []).append(f"????-??-??[ T]{time}{zone}")
    return patterns


def _number_to_iso(term: str, agreement: Agreement) -> tuple[str, str] | None:
    """For an integer that counts parts of a second since 1970: when SQLite can write the date, and how it does."""
    parts = _PARTS_OF_SECOND.get(agreement.numbers) if agreement.numbers is not None else None
    if parts is None or agreement.form == "day":
        return None
    micro = {1: "0", 10**3: f"{term} % 1000 * 1000", 10**6: f"{term} % 1000000"}.get(parts, f"{term} / 1000 % 1000000")
    fraction = f" || CASE WHEN {micro} THEN printf('.%06d', {micro}) ELSE '' END" if parts > 1 else ""
    zone = " || '+00:00'" if agreement.form == "instant" else ""
    when = f"typeof({term}) = 'integer' AND {term} BETWEEN 0 AND {_LAST_SECOND * parts}"
    return when, f"datetime({term} / {parts}, 'unixepoch'){fraction}{zone}"


def _numeric_to_iso(term: str, day_first: bool) -> str:
    """``D/M/YYYY[ H:MM[:SS]]`` with one or two digits and ``/``, ``.`` or ``-``; NULL for anything else.

    GLOB and substr() stop at a NUL character; such a text is left to the rule, which sees all of it.
    """
    branches = []
    for sign in "/.-":
        for first_length in (1, 2):
            for second_length in (1, 2):
                date = f"{_D * first_length}{sign}{_D * second_length}{sign}{_D * 4}"
                first = _Part(term, 1, first_length)
                second = _Part(term, first_length + 2, second_length)
                day, month = (first, second) if day_first else (second, first)
                value = _assembled(term, day, month, date, first_length + second_length + 3)
                branches.append(f"WHEN {term} GLOB '{date}*' THEN {value}")
    return f"CASE WHEN instr({term}, char(0)) THEN NULL {' '.join(branches)} END"


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """Digits of a text: ``length`` of them, 1 or 2, from the 1-based place ``start`` on."""

    term: str
    start: int
    length: int

    def after(self, prefix: str) -> str:
        """The two digits they stand for, behind some constant text.  Few concatenations: they are what costs."""
        bare = f"substr({self.term},{self.start},{self.length})"
        constant = prefix if self.length == 2 else prefix + "0"
        return f"'{constant}' || {bare}" if constant else bare


def _assembled(term: str, day: _Part, month: _Part, date: str, year_at: int) -> str:
    """The ISO text of a term of the shape ``date`` and perhaps a time; NULL when only the rule can tell."""
    iso_date = f"substr({term},{year_at},4) || {month.after('-')} || {day.after('-')}"
    by_length = []
    time_at = year_at + 4
    for hour_length in (1, 2):
        for seconds in ("", f":[0-5]{_D}"):
            hours = [_D] if hour_length == 1 else [f"[01]{_D}", "2[0-3]"]
            shapes = " OR ".join(f"{term} GLOB '{date} {hour}:[0-5]{_D}{seconds}'" for hour in hours)
            clock = f"' 0' || substr({term},{time_at + 1})" if hour_length == 1 else f"substr({term},{time_at})"
            length = time_at + hour_length + (6 if seconds else 3)
            tail = "" if seconds else " || ':00'"
            by_length.append(f"WHEN {length} THEN CASE WHEN {shapes} THEN {iso_date} || {clock}{tail} END")
    return (
        f"CASE WHEN {_exists(term, day, month, year_at)} THEN"
        f" CASE length({term}) WHEN {time_at - 1} THEN {iso_date} {' '.join(by_length)} END END"
    )


def _exists(term: str, day: _Part, month: _Part, year_at: int) -> str:
    """The condition that there is such a day; 29 February, which needs the calendar, is left to the rule."""
    return (
        f"{month.after('')} BETWEEN '01' AND '12' AND substr({term},{year_at},4) <> '0000' AND"
        f" ({day.after('')} BETWEEN '01' AND '28' OR ({day.after('')} IN ('29','30') AND {month.after('')} <> '02')"
        f" OR ({day.after('')} = '31' AND {month.after('')} IN ({_LONG_MONTHS})))"
    )
