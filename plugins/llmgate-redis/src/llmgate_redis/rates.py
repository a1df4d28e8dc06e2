"""Rates and claims on their way into a script, and decisions on their way out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmgate.spec import Claim, Rate, RateDecision, Units

from .keys import milliseconds

__all__ = ["claim_arguments", "decision_of", "decisions_of", "rate_arguments"]


def rate_arguments(rate: Rate, cost: float, *, negative: bool = False) -> tuple[str | float, ...]:
    """Capacity, period, cost and end, once it is sure that they mean something; without an end it is ``""``.

    Args:
        rate: The rate.
        cost: The units.
        negative: Whether the units may be fewer than none.

    Raises:
        ValueError: the capacity, the period, the end or the cost is not a finite number, or not positive where it must
            be.
    """
    if not (math.isfinite(rate.capacity) and math.isfinite(rate.period) and rate.capacity >= 0 and rate.period > 0):
        raise ValueError(f"a rate needs a capacity of at least 0 and a period above 0, not {rate}")
    if rate.ends_in is not None and not 0 < rate.ends_in < math.inf:
        raise ValueError(f"a window needs an end that is still to come, not {rate.ends_in} s from now")
    if not math.isfinite(cost):
        raise ValueError(f"a cost must be a finite number, not {cost}")
    if cost < 0 and not negative:
        raise ValueError(f"a cost of {cost} would give units back: use refund")
    return float(rate.capacity), float(rate.period), float(cost), "" if rate.ends_in is None else float(rate.ends_in)


def claim_arguments(claims: Sequence[Claim], once_ttl: int, *, negative: bool = False) -> tuple[str | float, ...]:
    """How many claims there are, the milliseconds for which a word is remembered, and five arguments for each claim.

    Args:
        claims: The claims.
        once_ttl: Those milliseconds.
        negative: Whether units may be fewer than none.

    Raises:
        ValueError: a claim means nothing.
    """
    found: list[str | float] = [len(claims), once_ttl]
    for one in claims:
        if isinstance(one, Units):
            found += ["units", *rate_arguments(one.rate, one.cost, negative=negative)]
        elif not one.ttl > 0:
            raise ValueError(f"a lease needs a positive number of seconds, not {one.ttl}")
        else:
            found += ["place", one.holder, one.limit, milliseconds(one.ttl) * 1000, ""]
    return tuple(found)


def decision_of(answer: bytes) -> RateDecision:
    """What a script has decided: whether, what is left, when again, when everything is back."""
    allowed, remaining, retry_after, reset_after = answer.split()
    return RateDecision(
        allowed=allowed == b"1",
        remaining=int(remaining),
        retry_after=float(retry_after),
        reset_after=float(reset_after),
    )


def decisions_of(answer: bytes) -> list[RateDecision]:
    """What has been decided of several claims."""
    return [decision_of(one) for one in answer.split(b"|")]
