"""JSON documents as PostgreSQL's ``jsonb`` writes them out again, so that what is sent is what comes back.

The rules are those of https://www.postgresql.org/docs/current/datatype-json.html: keys by length, then by bytes; of
equal keys the last; numbers as ``numeric`` prints them; one blank after colon and comma.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal

# A document that jsonb can store holds no NUL, so that a string which begins with one can only be a number of ours.
_NUMBER = re.compile(r'"\\u0000([-0-9.]+)"')


def canonical(text: str) -> str:
    """The document as ``jsonb`` prints it.  Raises ValueError for what is no JSON (RFC 8259)."""
    document = json.loads(
        text, parse_int=_number, parse_float=_number, parse_constant=_refuse, object_pairs_hook=_members
    )
    return _NUMBER.sub(r"\1", json.dumps(document, ensure_ascii=False, separators=(", ", ": ")))


def _number(text: str) -> str:
    """The digits of the number without an exponent; PostgreSQL has no negative zero in a numeric."""
    number = Decimal(text)
    return "\0" + format(number if number else abs(number), "f")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return dict(sorted(dict(pairs).items(), key=lambda pair: (len(pair[0].encode()), pair[0].encode())))


def _refuse(name: str) -> None:
    raise ValueError(name)
