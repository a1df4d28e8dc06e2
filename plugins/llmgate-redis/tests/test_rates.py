"""Rates on their way into a script, and decisions on their way out."""

from __future__ import annotations

import math

import pytest
from llmgate_redis.rates import decision_of, rate_arguments

from llmgate.spec import Rate, RateDecision


@pytest.mark.parametrize(
    ("rate", "cost"),
    [
        (Rate(-1, 1), 1),
        (Rate(math.nan, 1), 1),
        (Rate(math.inf, 1), 1),
        (Rate(1, 0), 1),
        (Rate(1, math.inf), 1),
        (Rate(1, 1), math.nan),
        (Rate(1, 1), math.inf),
        (Rate(1, 1), -1),
        (Rate(1, 1, ends_in=0), 1),
        (Rate(1, 1, ends_in=math.inf), 1),
    ],
    ids=str,
)
def test_numbers_that_mean_nothing_are_refused(rate: Rate, cost: float) -> None:
    with pytest.raises(ValueError, match=r"a rate needs|a window needs|finite|refund"):
        rate_arguments(rate, cost)


def test_a_refund_may_be_negative() -> None:
    assert rate_arguments(Rate(10, 2), -3, negative=True) == (10.0, 2.0, -3.0, "")
    assert rate_arguments(Rate(10, 2, ends_in=5), 1) == (10.0, 2.0, 1.0, 5.0)


def test_decisions_are_read() -> None:
    assert decision_of(b"0 7 inf 1.5") == RateDecision(False, 7, math.inf, 1.5)
    assert decision_of(b"1 90071992547409930 0 0") == RateDecision(True, 90071992547409930, 0, 0)
