"""Names: those of the source, exactly, unless PostgreSQL cannot hold them.

PostgreSQL holds any text of 1 to 63 bytes without NUL, except the names of its system columns for a column
(https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS,
https://www.postgresql.org/docs/current/ddl-system-columns.html).  A longer one would be cut without an error,
and two names could become one.  A name that cannot stay gets a prefix of itself with a short hash behind, the
same in every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from psycopg import sql

LIMIT = 63
"""Bytes of a PostgreSQL name (NAMEDATALEN - 1)."""
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
_HASH_CHARACTERS = 8


def quoted(*parts: str) -> str:
    """An identifier as SQL text, qualified when there are several parts."""
    return sql.Identifier(*parts).as_string(None)


def can_hold(name: str, *, forbidden: Collection[str] = ()) -> bool:
    """True when PostgreSQL can hold the name as it is."""
    return bool(name) and "\0" not in name and len(name.encode()) <= LIMIT and name not in forbidden


class NameSpace:
    """The names that one schema (or one table, for its columns) has given away so far."""

    def __init__(self, *, forbidden: Collection[str] = ()) -> None:
        self._forbidden = frozenset(forbidden)
        self._taken: set[str] = set()

    def take(self, wanted: str) -> str:
        """``wanted`` itself when it can be held and is free, else a name made from it that is."""
        name, attempt = wanted, 0
        while not can_hold(name, forbidden=self._forbidden) or name in self._taken:
            name = _made_from(wanted, attempt)
            attempt += 1
        self._taken.add(name)
        return name

    def take_all(self, names: Iterable[str]) -> dict[str, str]:
        """Source name to PostgreSQL name, injective.  Names that can be held go first and keep themselves."""
        listed = list(names)
        holdable = [n for n in listed if can_hold(n, forbidden=self._forbidden)]
        held = {n: self.take(n) for n in holdable}
        return {n: held[n] if n in held else self.take(n) for n in listed}


def column_names(names: Iterable[str]) -> dict[str, str]:
    """The columns of one table: source name to PostgreSQL name."""
    return NameSpace(forbidden=SYSTEM_COLUMNS).take_all(names)


def _made_from(name: str, attempt: int) -> str:
    salted = name if attempt == 0 else f"{name}\0{attempt}"
    digest = hashlib.sha256(salted.encode()).hexdigest()[:_HASH_CHARACTERS]
    prefix = name.replace("\0", "") or "unnamed"
    cut = prefix.encode()[: LIMIT - 1 - _HASH_CHARACTERS].decode(errors="ignore")
    return f"{cut}_{digest}"
