"""What numbers and texts of numbers need to be held exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdetl_engine.values.numbers import decimals_of


@pytest.mark.parametrize(
    ("number", "decimals"),
    [(7, 0), (7.0, 0), (-0.0, 0), (2.5, 1), (0.1 + 0.2, 17), (1e300, 0), (1.5e-7, 8), (1e16, 0), (12.05, 2)],
)
def test_digits_behind_the_point_are_those_of_the_shortest_text(number: float, decimals: int) -> None:
    assert decimals_of(number) == decimals


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_what_is_not_finite_has_no_digits(number: float) -> None:
    assert decimals_of(number) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_that_many_digits_are_needed_and_enough(number: float) -> None:
    decimals = decimals_of(number)
    assert decimals is not None
    assert _is_whole(Decimal(repr(number)).scaleb(decimals))
    assert decimals == 0 or not _is_whole(Decimal(repr(number)).scaleb(decimals - 1))


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()
