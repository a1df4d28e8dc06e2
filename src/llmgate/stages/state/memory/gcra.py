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

from .expiring import Entry

__all__ = [
    "MOST_SLACK",
    "TOLERANCE",
    "Bucket",
    "Spent",
    "check_rate",
    "decide",
    "judge",
    "left_of",
    "reset_after",
    "time_back",
]

TOLERANCE: Final = 1e-9
"""The part of the capacity by which rounding may deceive; without it a caller who waits ``retry_after`` to the last bit
could be refused."""

MOST_SLACK: Final = 0.5
"""The units that this may come to: a whole one is never granted, or told to be left, that is not there."""


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
        return Spent(left_of(self.units, now - self.at, rate), max(now, self.at))


@attrs.define(eq=False)
class Bucket(Entry):
    """What has been spent of a rate at one moment, and when all of it has come back.

    Args:
        units: What had been spent and had not come back.
        at: Monotonic seconds.
    """

    units: float
    at: float

    def left(self, now: float, rate: Rate) -> float:
        """The units that have not come back."""
        return 0.0 if self.expires <= now else left_of(self.units, now - self.at, rate)


def left_of(units: float, seconds: float, rate: Rate) -> float:
    """What of units that were spent has not come back after so many seconds."""
    if rate.ends_in is not None or seconds <= 0.0:
        return units
    left = units - seconds * rate.capacity / rate.period
    return max(left, 0.0)


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
    decision = judge(spent.units, rate, cost)
    return decision, Spent(spent.units + cost, spent.at) if decision.allowed else spent


def judge(spent: float, rate: Rate, cost: float) -> RateDecision:
    """The decision of ``decide``.

    Args:
        spent: The units that have been spent by now.
        rate: The rate.
        cost: The units asked for, not negative.
    """
    capacity, ends_in, after, reset = rate.capacity, rate.ends_in, spent + cost, 0.0
    slack = min(capacity * TOLERANCE, MOST_SLACK) if ends_in is None else 0.0
    if after <= capacity + slack:
        if after > 0.0:
            reset = after * rate.period / capacity if ends_in is None else ends_in
        return RateDecision(True, int(capacity - after + slack), 0.0, reset)
    if cost > capacity:
        retry_after = math.inf
    elif ends_in is not None:
        retry_after = ends_in
    else:
        retry_after = (after - capacity) * rate.period / capacity
    left = capacity - spent + slack
    return RateDecision(False, math.floor(left) if left > 0 else 0, retry_after, time_back(spent, rate))


def reset_after(spent: Spent, rate: Rate) -> float:
    """Seconds until everything spent is back; infinity when nothing ever comes back."""
    return time_back(spent.units, rate)


def time_back(units: float, rate: Rate) -> float:
    """Seconds until units that are spent are back; infinity when nothing ever comes back."""
    if units <= 0:
        return 0.0
    if rate.ends_in is not None:
        return rate.ends_in
    return units * rate.period / rate.capacity if rate.capacity > 0 else math.inf
