"""What one exchange has been charged, by all the limits it has met, so that all of it can be given back together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from llmgate.spec import Claim, Clock, Place, Rate, RateDecision, Units

from .config import LimitConfig
from .units import UNITS, Ended, Unit
from .windows import CalendarWindow, window_at

if TYPE_CHECKING:
    from .counting import Counting

__all__ = ["Account", "Charge", "Counted", "Grant"]

_AT_ONCE: Final = "concurrent"
_STEP_BACK: Final = 3600.0
"""Seconds by which a clock may go back and the part of the calendar that it had reached still holds, unless that part
is shorter: what was used of the one before may be forgotten by now, and would be granted again. A store that processes
share remembers a part for as long after its end: for those whose clocks are behind it has not ended."""


@attrs.define(eq=False)
class Counted:
    """One limit as this process keeps it.

    Args:
        id: What its keys begin with, unique in the configuration.
        name: What refusals call it.
        config: What was written.
        capacity: How much this process grants.
        lease: Seconds for which a place is held at most.
        shared: Whether processes count together, whose clocks may differ.
    """

    id: str
    name: str
    config: LimitConfig
    capacity: float
    lease: float = 60.0
    shared: bool = False
    unit: Unit = attrs.field(init=False)
    """What it counts."""
    by: tuple[str, ...] = attrs.field(init=False)
    """What is counted apart."""
    prefix: str = attrs.field(init=False)
    """What its keys begin with in the store."""
    at_once: bool = attrs.field(init=False)
    """Whether it counts what is under way rather than what is used up."""
    places: int = attrs.field(init=False)
    """How many may be under way, where it counts these."""
    _window: CalendarWindow = attrs.field(default=CalendarWindow(0, 0), init=False)
    rate: Rate | None = attrs.field(default=None, init=False)
    """What it asks of the store; None where that depends on the time, or it is no rate."""
    always: float | None = attrs.field(default=None, init=False)
    """What every request is charged; None where that depends on it."""
    _policy: str | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.unit, self.at_once = UNITS[self.config.unit], self.config.unit == _AT_ONCE
        if self.unit.always is not None:
            self.always = min(self.unit.always, self.capacity)
        self.places = int(self.capacity)
        self.by, self.prefix = tuple(self.config.by), f"rate-limit:{self.id}"
        if self.config.refill_frequency is not None:
            self.rate = Rate(self.capacity, self.config.refill_frequency)

    @property
    def period(self) -> float | None:
        """The seconds that it is written for; None for one of what is under way."""
        if self.config.window is not None:
            return self._window.end - self._window.start
        return self.config.refill_frequency

    @property
    def policy(self) -> str:
        """It as an item of ``RateLimit-Policy``; requests at once are a unit of their own and have no window."""
        if self._policy is None or self.config.window is not None:
            quota = f'"{self.name}";q={self.capacity:.0f}'
            period = self.period
            self._policy = f'{quota};qu="concurrent-requests"' if period is None else f"{quota};w={math.ceil(period)}"
        return self._policy

    def claim(self, key: str, cost: float, holder: str, clock: Clock) -> Claim:
        """What is asked of the store.

        Args:
            key: Under which key; one of a window gets a key for each part of the calendar.
            cost: How many units.
            holder: Who holds a place.
            clock: Tells the time.
        """
        if self.rate is not None:
            return Units(key, self.rate, cost)
        if self.config.window is None:
            return Place(key, holder, self.places, self.lease)
        window, now = self._window, clock.now()
        if not window.start - min(window.end - window.start, _STEP_BACK) <= now < window.end:
            window = self._window = window_at(self.config.window, self.config.time_zone, now)
        rate = Rate(self.capacity, window.end - window.start, ends_in=window.end - now + self._remembered)
        return Units(f"{key}:{window.id}", rate, cost)

    def told(self, decision: RateDecision) -> RateDecision:
        """A decision of the store's as callers are to know it: by when the part of the calendar ends."""
        beyond = self._remembered
        if not beyond:
            return decision
        waits = max(0.0, decision.retry_after - beyond), max(0.0, decision.reset_after - beyond)
        return RateDecision(decision.allowed, decision.remaining, *waits)

    @property
    def _remembered(self) -> float:
        """Seconds for which the store remembers a part of the calendar that has ended."""
        if not self.shared or self.config.window is None:
            return 0.0
        return min(self._window.end - self._window.start, _STEP_BACK)


@attrs.define(eq=False)
class Charge:
    """What an exchange has been asked for by one limit.

    Args:
        counting: What counts it.
        limit: The limit.
        claim: What is asked of the store.
        decision: What the store said; None while it has not.
        share: Which share of this process has granted it, by number, while the store did not answer; None where the
            store has.
    """

    counting: Counting
    limit: Counted
    claim: Claim
    decision: RateDecision | None = None
    share: int | None = None

    @property
    def cost(self) -> float:
        """How many units it takes."""
        return self.claim.cost if isinstance(self.claim, Units) else 1.0


@attrs.define(eq=False)
class Grant:
    """What all limits of one instance have granted an exchange together, as long as nothing has to be told apart.

    Args:
        counting: What counts it.
        limits: The limits.
        claims: What was asked of the store for each.
        decisions: What the store has said to each.
    """

    counting: Counting
    limits: Sequence[Counted]
    claims: Sequence[Claim]
    decisions: Sequence[RateDecision]

    def charges(self) -> list[Charge]:
        """The same, one by one."""
        told = zip(self.limits, self.claims, self.decisions, strict=True)
        return [Charge(self.counting, limit, claim, decision) for limit, claim, decision in told]

    def left(self, ended: Ended) -> Sequence[Claim]:
        """What was granted beyond what was used; a negative number of units is what is missing."""
        claims: list[Claim] = []
        for limit, claim in zip(self.limits, self.claims, strict=True):
            if not isinstance(claim, Units):
                claims.append(claim)
                continue
            cost = claim.cost
            units = cost - limit.unit.used(ended, cost)
            if units:
                claims.append(claim if units == cost else Units(claim.key, claim.rate, units))
        return claims


@attrs.define(eq=False)
class Account:
    """The charges of one exchange, or of one of its attempts.

    Args:
        charges: Those that were granted, in order.
        asked: Those about which a decision is under way, and the word under which: whoever leaves now has not been let
            through.
    """

    charges: list[Charge] = attrs.field(factory=list)
    asked: tuple[list[Charge], str | None] | None = None

    async def release(self) -> None:
        """Give everything back: the request is not let through."""
        asked, self.asked = self.asked, None
        charges, self.charges = self.charges, []
        if asked is not None:
            wanted, once = asked
            charges += await wanted[0].counting.granted_meanwhile(wanted, once)
        for counting, own in _by_counting(charges):
            await counting.give_back([(one, one.cost) for one in own])

    async def settle(self, ended: Ended) -> None:
        """Put what was used in the place of what was estimated; give everything back where nothing was decided."""
        if self.asked is not None:
            await self.release()
            return
        charges, self.charges = self.charges, []
        for counting, own in _by_counting(charges):
            await counting.settle(own, ended)


def _by_counting(charges: Sequence[Charge]) -> Iterable[tuple[Counting, Sequence[Charge]]]:
    if not charges:
        return ()
    if charges[0].counting is charges[-1].counting:  # those of one instance stand together
        return ((charges[0].counting, charges),)
    found: dict[int, tuple[Counting, list[Charge]]] = {}
    for one in reversed(charges):
        found.setdefault(id(one.counting), (one.counting, []))[1].append(one)
    return tuple(found.values())
