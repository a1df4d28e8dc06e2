"""Rates on their way into a script, and decisions on their way out."""

from __future__ import annotations

import math

from llmgate.spec import Rate, RateDecision

__all__ = ["decision_of", "rate_arguments"]


def rate_arguments(rate: Rate, cost: float, *, negative: bool = False) -> tuple[float, float, float]:
    """Capacity, period and cost, once it is sure that they mean something.

    Args:
        rate: The rate.
        cost: The units.
        negative: Whether the units may be fewer than none.

    Raises:
        ValueError: the capacity, the period or the cost is not a finite number, or not positive where it must be.
    """
    if not (math.isfinite(rate.capacity) and math.isfinite(rate.period) and rate.capacity >= 0 and rate.period > 0):
        raise ValueError(f"a rate needs a capacity of at least 0 and a period above 0, not {rate}")
    if not math.isfinite(cost):
        raise ValueError(f"a cost must be a finite number, not {cost}")
    if cost < 0 and not negative:
        raise ValueError(f"a cost of {cost} would give units back: use refund")
    return float(rate.capacity), float(rate.period), float(cost)


def decision_of(answer: bytes) -> RateDecision:
    """What a script has decided: whether, what is left, when again, when everything is back."""
    allowed, remaining, retry_after, reset_after = answer.split()
    return RateDecision(
        allowed=allowed == b"1",
        remaining=int(remaining),
        retry_after=float(retry_after),
        reset_after=float(reset_after),
    )
