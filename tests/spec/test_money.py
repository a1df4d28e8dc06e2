"""Money is integers, and rounded half to even."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from llmgate.spec import nano_usd, usd


@pytest.mark.parametrize(
    ("pico", "nano"), [(0, 0), (499, 0), (500, 0), (501, 1), (1499, 1), (1500, 2), (2500, 2), (2501, 3), (3500, 4)]
)
def test_half_is_rounded_to_even(pico: int, nano: int) -> None:
    assert nano_usd(pico) == nano


def test_what_is_finer_than_a_rate_still_counts() -> None:
    assert nano_usd(Fraction(1001, 2)) == 1
    assert nano_usd(Fraction(500)) == 0


@given(st.integers(min_value=0, max_value=10**24))
def test_rounding_is_that_of_decimals(pico: int) -> None:
    assert nano_usd(pico) == int((Decimal(pico) / 1000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


@given(st.integers(min_value=0, max_value=10**18))
def test_an_amount_is_written_without_loss(nano: int) -> None:
    assert Decimal(usd(nano)) * 10**9 == nano
    assert len(usd(nano).partition(".")[2]) == 9
