"""Texts that PostgreSQL cannot hold, as a stated rule decodes them, in SQL: `values.decoding` is the rule."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from sdetl_engine.sqlite.fits import text_codec
from sdetl_engine.values.decoding import decoded

FUNCTION = "sdetl_decoded"
_BETWEEN = "|"


def register(connection: sqlite3.Connection) -> None:
    """Make the rule known to the connection.  It is given the bytes of a text."""
    codec = text_codec(connection)

    def rule(raw: bytes, rules: str) -> str | None:
        return decoded(raw, rules.split(_BETWEEN), codec)

    connection.create_function(FUNCTION, 2, rule, deterministic=True)


def decoded_sql(term: str, rules: Sequence[str]) -> str:
    """A term: what the rules make of the text of ``term``, or its value as it is where they make nothing of it."""
    # As many bytes as characters, all of them ASCII: most texts need no second look.
    plain = f"(length(CAST({term} AS BLOB)) = length({term}) AND {term} NOT GLOB '*[^\x01-\x7f]*')"
    return (
        f"CASE WHEN typeof({term}) <> 'text' OR {plain} THEN {term}"
        f" ELSE coalesce({FUNCTION}(CAST({term} AS BLOB), '{_BETWEEN.join(rules)}'), {term}) END"
    )
