"""Bytes that are no text: decoded by the rule that was stated, in the order in which several were."""

from __future__ import annotations

import pytest

from sdetl_engine.values.decoding import check_rule, decoded


@pytest.mark.parametrize(
    ("raw", "rules", "text"),
    [
        (b"caf\xe9", ["cp1252"], "café"),
        (b"caf\xe9", ["escape"], "caf\\xe9"),
        (b"a\0b", ["strip-nul"], "ab"),
        (b"a\0b", ["escape"], "a\\x00b"),
        (b"a\0\xe9", ["cp1252", "strip-nul"], "aé"),
        (b"a\0\xe9", ["strip-nul", "cp1252"], "aé"),
        (b"\x81", ["cp1252", "escape"], "\\x81"),
        (b"a\0\x00\xd8", ["escape"], "a\\x00\\x00\\xd8"),
    ],
)
def test_a_stated_rule_makes_text_of_bytes(raw: bytes, rules: list[str], text: str) -> None:
    assert decoded(raw, rules) == text
    assert decoded(text.encode(), rules) is None


@pytest.mark.parametrize(
    ("raw", "rules"),
    [(b"plain", ["escape"]), ("ü".encode(), ["cp1252"]), (b"\x81", ["cp1252"]), (b"a\0b", ["cp1252"])],
)
def test_what_is_right_or_beyond_the_rule_is_left(raw: bytes, rules: list[str]) -> None:
    assert decoded(raw, rules) is None


def test_a_lone_surrogate_of_a_utf_16_file_is_escaped() -> None:
    assert decoded(b"a\0\x00\xd8", ["cp1252", "escape"], "utf-16-le") == "a\\x00\\xd8"


@pytest.mark.parametrize("rule", ["latin-1", "CP1252", "koi8-r", "mac-roman", "shift_jis", "escape", "strip-nul"])
def test_encodings_and_rules_are_known(rule: str) -> None:
    assert check_rule(rule) == rule


@pytest.mark.parametrize("rule", ["cp9999", "rot13", "unicode_escape", "base64", "idna", "", "a\0"])
def test_what_is_no_encoding_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match="no rule to decode by"):
        check_rule(rule)
