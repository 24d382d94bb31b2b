"""Typed pieces of PostgreSQL SQL, and how two of them compare or combine as SQLite would have it.

A :class:`Term` knows its type, so that ``active = 1`` becomes ``active = true`` and a date is compared with a date.
Where the databases mean different things by the same words the difference is written out, or the answer is
:class:`Untranslatable`.  SQLite's rules: https://www.sqlite.org/datatype3.html#comparison_expressions
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import uuid
from collections.abc import Sequence

from psycopg import sql

from sdetl_engine.values.types import DATE_KINDS, Kind

NUMBERS = frozenset({Kind.INTEGER, Kind.DOUBLE, Kind.NUMERIC})
EQUALITY = frozenset({"=", "<>", "IS NOT DISTINCT FROM", "IS DISTINCT FROM"})
_SMALLEST_BIGINT, _LARGEST_BIGINT = -(2**63), 2**63 - 1
_CANONICAL_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "true", "y", "yes"), True),
    **dict.fromkeys(("0", "f", "false", "n", "no"), False),
}
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(Z|[+-]\d\d:\d\d)?)?", re.ASCII | re.IGNORECASE
)
_CLOCK = re.compile(r"\d\d:\d\d:\d\d(?:\.\d{1,6})?", re.ASCII)


class Untranslatable(Exception):
    """There is no safe equivalent.  The text says why, after "not translated:", and quotes no value."""


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """A piece of SQL.  ``kind`` is its type (None for NULL), ``constant`` the value of a literal.

    ``collation`` is SQLite's, of a column or of COLLATE; None for other expressions, which take the other side's.
    ``always_real``: SQLite holds a REAL there, never an integer, so that a division is no integer division.
    """

    sql: str
    kind: Kind | None
    constant: str | int | float | None = None
    collation: str | None = None
    collation_explicit: bool = False
    always_real: bool = False


NULL = Term("NULL", None)


def text_term(text: str) -> Term:
    """A text literal.  Raises Untranslatable for what PostgreSQL's text cannot hold."""
    return Term(text_literal(text), Kind.TEXT, text)


def text_literal(text: str) -> str:
    """A text literal as SQL.  Raises Untranslatable for what PostgreSQL's text cannot hold."""
    if "\0" in text:
        raise Untranslatable("it holds a NUL character")
    return sql.Literal(text).as_string(None).strip()


def number_term(text: str) -> Term:
    """A numeric literal as SQLite reads it: a 64-bit integer, else double precision.  Raises Untranslatable."""
    if re.fullmatch(r"-?\d{1,19}", text, re.ASCII) and _SMALLEST_BIGINT <= int(text) <= _LARGEST_BIGINT:
        whole = int(text)
        # The smallest bigint has no positive twin: -9223372036854775808 alone would be out of range.
        return Term(f"('{whole}'::bigint)" if whole < 0 else str(whole), Kind.INTEGER, whole)
    try:
        real = float(text)
    except ValueError:
        raise Untranslatable("it holds a number that could not be read") from None
    if real in (float("inf"), float("-inf")):
        raise Untranslatable("it holds a number outside the range of double precision")
    return Term(f"('{real!r}'::double precision)", Kind.DOUBLE, real, always_real=True)


def boolean_of(constant: str | float) -> bool | None:
    """What a constant means in a boolean column, or None."""
    return _BOOLEANS.get(str(constant).lower())


def moment(text: str, kind: Kind) -> str | None:
    """An ISO date or time as a typed literal; None when it is not one, or the type cannot hold it unchanged."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    day, clock, offset = match[1], match[2], match[3]
    try:
        datetime.datetime.fromisoformat(f"{day} {clock or '00:00'}")
    except ValueError:
        return None
    if kind is Kind.DATE:
        return f"'{day}'::date" if clock is None else None
    if kind is Kind.TIMESTAMP:
        return f"'{day} {clock or '00:00:00'}'::timestamp" if offset is None else None
    zone = "+00" if offset in (None, "Z", "z") else offset
    return f"'{day} {clock or '00:00:00'}{zone}'::timestamptz"


def clock(text: str) -> str | None:
    """A time of day as a typed literal, or None."""
    try:
        datetime.time.fromisoformat(text)
    except ValueError:
        return None
    return f"'{text}'::time" if _CLOCK.fullmatch(text) else None


def as_number(term: Term) -> Term:
    """A truth value as SQLite's 0 or 1; numbers stay.  Raises Untranslatable."""
    if term.kind is Kind.BOOLEAN:
        return Term(f"({term.sql})::int::bigint", Kind.INTEGER)
    if term.kind in NUMBERS or term.kind is None:
        return term
    raise Untranslatable(f"it calculates with {term.kind}")


def as_text(term: Term, what: str) -> Term:
    """The value as SQLite would write it in a text; ``what`` wants that.  Raises Untranslatable."""
    if term.kind is Kind.TEXT:
        return term
    if term.kind is Kind.INTEGER:
        return Term(f"({term.sql})::text", Kind.TEXT)
    raise Untranslatable(f"it uses {what} on {term.kind or 'NULL'}")


def as_truth(term: Term) -> str:
    """A number as a truth value: anything but 0 is true."""
    if term.kind is Kind.BOOLEAN:
        return term.sql
    if term.kind is None:
        return "NULL::boolean"
    if term.kind in NUMBERS:
        return f"({term.sql} <> 0)"
    raise Untranslatable(f"it takes {term.kind} for a truth value")


def compare(operator: str, left: Term, right: Term) -> Term:
    """Two terms compared.  Raises Untranslatable when the types have no common order."""
    a, b = _comparable(operator, left, right)
    return Term(f"({a} {operator} {b})", Kind.BOOLEAN)


def is_in(term: Term, members: Sequence[Term]) -> Term:
    """``term IN (members)``."""
    pairs = [_comparable("=", term, dataclasses.replace(m, collation=None)) for m in members]
    if not pairs:
        return Term("false", Kind.BOOLEAN)
    if len({a for a, _ in pairs}) == 1:
        return Term(f"({pairs[0][0]} IN ({', '.join(b for _, b in pairs)}))", Kind.BOOLEAN)
    return Term("(" + " OR ".join(f"{a} = {b}" for a, b in pairs) + ")", Kind.BOOLEAN)


def arithmetic(operator: str, left: Term, right: Term) -> Term:
    """``+ - * / %`` as SQLite calculates: 64-bit integers or double precision, and NULL for a division by zero."""
    left, right = as_number(left), as_number(right)
    kinds = {left.kind, right.kind}
    if Kind.NUMERIC in kinds:
        raise Untranslatable("it calculates with numeric, which is exact in PostgreSQL and is not in SQLite")
    if None in kinds:
        return NULL
    real = left.always_real or right.always_real
    if kinds == {Kind.INTEGER}:
        divisor = f"NULLIF({right.sql}, 0)" if operator in "/%" else right.sql
        return Term(f"({left.sql} {operator} {divisor})", Kind.INTEGER)
    if operator == "%" or (operator == "/" and not real):
        raise Untranslatable("it divides numbers that SQLite may hold as integers or not")
    divisor = f"NULLIF({right.sql}, 0)" if operator == "/" else right.sql
    return Term(f"({left.sql} {operator} {divisor})", Kind.DOUBLE, always_real=real)


def common(terms: Sequence[Term]) -> tuple[list[str], Kind | None]:
    """The terms as values of one type, as the branches of COALESCE and CASE have to be.  Raises Untranslatable."""
    kinds = {t.kind for t in terms if t.kind is not None and t.constant is None} or {
        t.kind for t in terms if t.kind is not None
    }
    if not kinds:
        return [t.sql for t in terms], None
    if len(kinds) > 1 and not kinds <= NUMBERS:
        raise Untranslatable("its branches have different types: " + ", ".join(sorted(k.value for k in kinds)))
    kind = kinds.pop() if len(kinds) == 1 else Kind.DOUBLE
    return [_as_kind(t, kind) for t in terms], kind


def collated(term: Term, collation: str) -> str:
    """A text as SQLite's collation sees it, for comparison.  NOCASE folds A-Z only."""
    if collation == "NOCASE":
        return lower_ascii(term.sql)
    if collation == "RTRIM":
        return f"rtrim({term.sql}, ' ')"
    if collation == "BINARY":
        return term.sql
    raise Untranslatable(f"it uses the collation {collation}, which only the application has")


def lower_ascii(text: str) -> str:
    """Lower case of A-Z and nothing else, as SQLite's lower() and NOCASE have it."""
    return f'lower({text} COLLATE "C")'


def _comparable(operator: str, left: Term, right: Term) -> tuple[str, str]:
    """Both sides as SQL of types that PostgreSQL compares as SQLite compared the values."""
    if left.kind is None or right.kind is None:
        return left.sql, right.sql
    if left.kind is Kind.TEXT and right.kind is Kind.TEXT:
        return _compared_texts(operator, left, right)
    if Kind.BOOLEAN in (left.kind, right.kind):
        return _compared_booleans(operator, left, right)
    if {left.kind, right.kind} <= NUMBERS:
        return left.sql, right.sql
    if right.kind is Kind.TEXT and isinstance(right.constant, str):
        return left.sql, _constant_for(operator, left, right.constant)
    if left.kind is Kind.TEXT and isinstance(left.constant, str):
        return _constant_for(_mirrored(operator), right, left.constant), right.sql
    if left.kind is right.kind and left.kind not in (Kind.JSON, Kind.JSONB):
        return left.sql, right.sql
    raise Untranslatable(f"it compares {left.kind} with {right.kind}")


def _compared_texts(operator: str, left: Term, right: Term) -> tuple[str, str]:
    collation = _collation_of(left, right)
    a, b = collated(left, collation), collated(right, collation)
    if operator in EQUALITY:
        return a, b
    # SQLite orders texts by their bytes; the database's collation orders them otherwise.
    return f'{a} COLLATE "C"', f'{b} COLLATE "C"'


def _collation_of(left: Term, right: Term) -> str:
    """https://www.sqlite.org/datatype3.html#assigning_collating_sequences_from_sql"""
    for term in (left, right):
        if term.collation_explicit and term.collation is not None:
            return term.collation
    return left.collation or right.collation or "BINARY"


def _compared_booleans(operator: str, left: Term, right: Term) -> tuple[str, str]:
    if left.kind is right.kind:
        return left.sql, right.sql
    if left.kind is Kind.BOOLEAN and right.constant is not None:
        return left.sql, _boolean_constant(operator, right)
    if right.kind is Kind.BOOLEAN and left.constant is not None:
        return _boolean_constant(operator, left), right.sql
    return as_number(left).sql, as_number(right).sql


def _boolean_constant(operator: str, term: Term) -> str:
    meaning = boolean_of(term.constant) if term.constant is not None else None
    if meaning is None or operator not in EQUALITY:
        raise Untranslatable("it compares boolean with something that is no truth value")
    return "true" if meaning else "false"


def _constant_for(operator: str, other: Term, text: str) -> str:
    """A text constant as a constant of the other side's type, where the comparison means the same."""
    literal: str | None = None
    if other.kind in DATE_KINDS:
        literal = moment(text, other.kind)
        if literal and other.kind is not Kind.DATE and len(text) <= len("2020-01-31") and operator not in (">=", "<"):
            # As texts, any moment of a day is greater than the day's name; as timestamps midnight equals it.
            literal = None
    elif other.kind is Kind.TIME:
        literal = clock(text)
    elif other.kind is Kind.INTEGER and operator in EQUALITY and _CANONICAL_INTEGER.fullmatch(text):
        literal = number_term(text).sql
    elif other.kind is Kind.UUID and operator in EQUALITY:
        literal = _uuid(text)
    if literal is None:
        raise Untranslatable(f"it compares {other.kind} with a text")
    return literal


def _uuid(text: str) -> str | None:
    try:
        return f"'{uuid.UUID(text)}'::uuid"
    except ValueError:
        return None


def _mirrored(operator: str) -> str:
    return {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(operator, operator)


def _as_kind(term: Term, kind: Kind) -> str:
    if term.kind in (None, kind) or (term.kind in NUMBERS and kind in NUMBERS):
        return term.sql
    if kind is Kind.BOOLEAN:
        return _boolean_constant("=", term)
    if isinstance(term.constant, str):
        return _constant_for("=", Term("", kind), term.constant)
    raise Untranslatable(f"its branches have different types: {term.kind} and {kind}")
