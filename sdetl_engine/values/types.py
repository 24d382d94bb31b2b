"""The types a column can have in PostgreSQL, as sdetl thinks of them.

A :class:`TargetType` is what the plan file calls ``"numeric(10,2)"``.  Pure: standard library only.
"""

from __future__ import annotations

import dataclasses
import enum
import re


class Kind(enum.StrEnum):
    """What a value is meant to be.  The value of each member is its plain PostgreSQL type name."""

    INTEGER = "bigint"
    DOUBLE = "double precision"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    TIME = "time"
    TEXT = "text"
    BYTES = "bytea"
    JSON = "json"
    JSONB = "jsonb"
    UUID = "uuid"


DATE_KINDS = frozenset({Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ})

_ALIASES = {
    "int": Kind.INTEGER,
    "int8": Kind.INTEGER,
    "integer": Kind.INTEGER,
    "real": Kind.DOUBLE,
    "float": Kind.DOUBLE,
    "float8": Kind.DOUBLE,
    "double": Kind.DOUBLE,
    "decimal": Kind.NUMERIC,
    "bool": Kind.BOOLEAN,
    "timestamp without time zone": Kind.TIMESTAMP,
    "timestamp with time zone": Kind.TIMESTAMPTZ,
    "time without time zone": Kind.TIME,
    "varchar": Kind.TEXT,
    "character varying": Kind.TEXT,
    "blob": Kind.BYTES,
    **{kind.value: kind for kind in Kind},
}
_SPELLING = re.compile(r"\s*([a-z0-9 ]+?)\s*(?:\(\s*(\d{1,4})\s*(?:,\s*(\d{1,4})\s*)?\))?\s*", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class TargetType:
    """A PostgreSQL column type.  ``precision`` and ``scale`` only for ``numeric``."""

    kind: Kind
    precision: int | None = None
    scale: int | None = None

    @property
    def sql(self) -> str:
        """The type as it stands in CREATE TABLE.  Built from fixed words and integers only."""
        if self.kind is Kind.NUMERIC and self.precision is not None:
            return f"numeric({self.precision},{self.scale or 0})"
        return self.kind.value

    def __str__(self) -> str:
        return self.sql

    @classmethod
    def parse(cls, text: str) -> TargetType:
        """Read a type as an operator writes it in a plan (``bigint``, ``numeric(10,2)``, ``timestamptz``).

        Raises ValueError naming the types that are understood.
        """
        match = _SPELLING.fullmatch(text)
        kind = _ALIASES.get(" ".join(match[1].lower().split())) if match else None
        if match is None or kind is None:
            known = ", ".join(sorted(k.value for k in Kind))
            raise ValueError(f"unknown type {text!r}; understood are {known}")
        if kind is not Kind.NUMERIC or match[2] is None:
            return cls(kind)
        precision, scale = int(match[2]), int(match[3] or 0)
        if not 1 <= precision <= 1000 or scale > precision:
            raise ValueError(f"numeric({precision},{scale}) is not a possible type")
        return cls(kind, precision, scale)
