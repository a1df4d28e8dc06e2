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

__all__ = ["Account", "Charge", "Counted"]

_AT_ONCE: Final = "concurrent"


@attrs.define(eq=False)
class Counted:
    """One limit as this process keeps it.

    Args:
        id: What its keys begin with, unique in the configuration.
        name: What refusals call it.
        config: What was written.
        capacity: How much this process grants.
        lease: Seconds for which a place is held at most.
    """

    id: str
    name: str
    config: LimitConfig
    capacity: float
    lease: float = 60.0
    unit: Unit = attrs.field(init=False)
    """What it counts."""
    by: tuple[str, ...] = attrs.field(init=False)
    """What is counted apart."""
    prefix: str = attrs.field(init=False)
    """What its keys begin with in the store."""
    at_once: bool = attrs.field(init=False)
    """Whether it counts what is under way rather than what is used up."""
    _window: CalendarWindow = attrs.field(default=CalendarWindow(0, 0), init=False)
    _rate: Rate | None = attrs.field(default=None, init=False)
    _policy: str | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.unit, self.at_once = UNITS[self.config.unit], self.config.unit == _AT_ONCE
        self.by, self.prefix = tuple(self.config.by), f"rate-limit:{self.id}"
        if self.config.refill_frequency is not None:
            self._rate = Rate(self.capacity, self.config.refill_frequency)

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
        if self._rate is not None:
            return Units(key, self._rate, cost)
        if self.config.window is None:
            return Place(key, holder, int(self.capacity), self.lease)
        window, now = self._window, clock.now()
        if not window.start <= now < window.end:
            window = self._window = window_at(self.config.window, self.config.time_zone, now)
        rate = Rate(self.capacity, window.end - window.start, ends_in=window.end - now)
        return Units(f"{key}:{window.id}", rate, cost)


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
            left = [(one, one.cost - one.limit.unit.used(ended, one.cost)) for one in own]
            await counting.give_back([(one, units) for one, units in left if units])


def _by_counting(charges: Sequence[Charge]) -> Iterable[tuple[Counting, Sequence[Charge]]]:
    if not charges:
        return ()
    first = charges[0].counting
    if all(one.counting is first for one in charges):
        return ((first, charges),)
    found: dict[int, tuple[Counting, list[Charge]]] = {}
    for one in reversed(charges):
        found.setdefault(id(one.counting), (one.counting, []))[1].append(one)
    return tuple(found.values())
