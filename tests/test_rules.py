"""The catalogue of rules: complete, and true to what the gates raise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdetl_engine.findings import Choice, Severity
from sdetl_engine.rules import RULES, Rule
from sdetl_engine.settings import setting_keys

ENGINE = Path(__file__).parents[1] / "sdetl_engine"
CODES = re.compile(r'"((?:[A-Z]{2,}-)+[A-Z]{2,})"')
PREFIXES = tuple({code.partition("-")[0] + "-" for code in RULES})


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda r: r.code)
def test_every_rule_says_what_it_means_and_what_to_do(rule: Rule) -> None:
    assert RULES[rule.code] is rule
    assert rule.title
    assert rule.meaning.endswith(".")
    assert rule.advice.endswith(".")
    assert len(set(rule.choices)) == len(rule.choices) > 0


@pytest.mark.parametrize("rule", [r for r in RULES.values() if r.threshold], ids=lambda r: r.code)
def test_every_threshold_is_a_setting(rule: Rule) -> None:
    assert rule.threshold in setting_keys()


@pytest.mark.parametrize("rule", [r for r in RULES.values() if r.severity is Severity.HALT], ids=lambda r: r.code)
def test_a_halt_is_never_settled_by_accepting_it(rule: Rule) -> None:
    assert Choice.ACCEPT not in rule.choices
    assert rule.threshold is not None


def test_every_code_that_the_engine_raises_is_in_the_catalogue() -> None:
    texts = [p.read_text(encoding="utf-8") for p in ENGINE.rglob("*.py") if p.name != "rules.py"]
    raised = {code for text in texts for code in CODES.findall(text) if code.startswith(PREFIXES)}
    raised.discard("TKT-SLA")
    assert raised <= set(RULES)
    assert len(raised) > 20
