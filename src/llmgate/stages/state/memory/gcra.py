"""The generic cell rate algorithm as arithmetic: what is spent, and what that means for the next one who asks.

It is ITU-T I.371's algorithm seen as a leaking bucket: what has been spent comes back evenly, ``capacity`` units in
each ``period``. Kept in units rather than as a theoretical arrival time, so that whole units stay whole numbers.

Of a window that ends at a given time (``Rate.ends_in``) nothing comes back before its end; that is plain counting, and
exact for whole units.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from llmgate.spec import Rate, RateDecision

__all__ = ["Spent", "check_rate", "decide", "reset_after"]

_TOLERANCE: Final = 1e-9
"""The part of the capacity by which rounding may deceive; without it a caller who waits ``retry_after`` to the last bit
could be refused."""


@attrs.frozen
class Spent:
    """How much of a rate was spent at one moment.

    Args:
        units: What had been spent and had not come back.
        at: Monotonic seconds.
    """

    units: float
    at: float

    def left_at(self, now: float, rate: Rate) -> Spent:
        """The same at a later moment."""
        if rate.ends_in is not None:
            return self
        back = max(0.0, now - self.at) * rate.capacity / rate.period
        return Spent(max(0.0, self.units - back), max(now, self.at))


def check_rate(rate: Rate, cost: float) -> None:
    """Refuse numbers that mean nothing.

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


def decide(spent: Spent, rate: Rate, cost: float) -> tuple[RateDecision, Spent]:
    """Whether ``cost`` units can be spent now.

    Args:
        spent: What has been spent by now.
        rate: The rate.
        cost: The units asked for, not negative.

    Returns:
        The decision, and what will have been spent if it is carried out.
    """
    slack = rate.capacity * _TOLERANCE if rate.ends_in is None else 0.0
    allowed = spent.units + cost <= rate.capacity + slack
    after = Spent(spent.units + cost, spent.at) if allowed else spent
    if allowed:
        retry_after = 0.0
    elif cost > rate.capacity:
        retry_after = math.inf
    elif rate.ends_in is not None:
        retry_after = rate.ends_in
    else:
        retry_after = (spent.units + cost - rate.capacity) * rate.period / rate.capacity
    decision = RateDecision(
        allowed=allowed,
        remaining=max(0, math.floor(rate.capacity - after.units + slack)),
        retry_after=retry_after,
        reset_after=reset_after(after, rate),
    )
    return decision, after


def reset_after(spent: Spent, rate: Rate) -> float:
    """Seconds until everything spent is back; infinity when nothing ever comes back."""
    if spent.units <= 0:
        return 0.0
    if rate.ends_in is not None:
        return rate.ends_in
    return spent.units * rate.period / rate.capacity if rate.capacity > 0 else math.inf
