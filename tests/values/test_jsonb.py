"""JSON as PostgreSQL's jsonb prints it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from sdetl_engine.values.jsonb import canonical

DOCUMENTS = [
    "1e3", "-0.0", "1.50", "-1E-7", "12345678901234567890123", "null", '"x"', "[]", "{}", ' { "b" : 1 , "a" : [ ] } ',
    '{"a": 1, "a": 2}', '{"bb": 1, "c": 2, "aa": 3}', '{"é": 1, "zz": 2}', '"tab\\t \\u0001 \\/ \\\\ \\" é \\u00e9 😀"',
    '"\\\\u0000123"', '["\\u007f", true, false, {"x": {"y": 1.0}}]',
]  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS)
def test_it_is_what_postgresql_prints(connection: psycopg.Connection[Any], document: str) -> None:
    row = connection.execute("SELECT %s::jsonb::text", [document]).fetchone()
    assert row is not None
    assert canonical(document) == row[0]


@pytest.mark.parametrize("document", ["", "{", "NaN", "[1,]", "'x'"])
def test_what_is_no_json_is_refused(document: str) -> None:
    with pytest.raises(ValueError):
        canonical(document)
