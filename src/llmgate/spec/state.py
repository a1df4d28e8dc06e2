"""The kind that keeps shared state: counters, rates, leases, values, messages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

import attrs

from .stage import ConfigT, Stage

__all__ = ["Claim", "Place", "Rate", "RateDecision", "StateStore", "Units"]

_REMEMBERED: Final = 3600.0
"""Seconds for which the word of a give-back is remembered where a store has no own way."""


@attrs.frozen
class Rate:
    """A rate limit for the generic cell rate algorithm, or for a window that ends at a given time.

    Args:
        capacity: How many units may be spent at once.
        period: Seconds in which the whole capacity comes back.
        ends_in: Seconds from now after which all of it is there again at once, and until which nothing comes back: a
            window of the calendar, which has a key of its own. None where units come back evenly.
    """

    capacity: float
    period: float
    ends_in: float | None = None


@attrs.define(unsafe_hash=True)  # as ``Units``
class RateDecision:
    """What a rate limit says.

    Args:
        allowed: Whether the units were granted.
        remaining: Whole units left after the decision.
        retry_after: Seconds until the same request could be granted; 0 when it was; infinity when it never can be.
        reset_after: Seconds until the full capacity is back.
    """

    allowed: bool
    remaining: int
    retry_after: float
    reset_after: float


@attrs.define(unsafe_hash=True)  # each request makes some, and frozen ones take three times as long to make
class Units:
    """Units of a rate that are asked for, as ``acquire`` does, or given back, as ``refund`` does; not to be changed.

    Args:
        key: The rate's key.
        rate: The rate.
        cost: How many.
    """

    key: str
    rate: Rate
    cost: float = 1


@attrs.define(unsafe_hash=True)  # as ``Units``
class Place:
    """A place that is asked for, as ``lease`` does, or given back, as ``release`` does.

    A decision on it is refused while all places are taken; ``retry_after`` is then a second, as one may come free at
    any time. How many are left, a store that does not count them tells as 0.

    Args:
        key: The key of the places.
        holder: Who holds it.
        limit: How many there are.
        ttl: Seconds for which it is held at most.
    """

    key: str
    holder: str
    limit: int
    ttl: float


Claim: TypeAlias = Units | Place
"""What ``StateStore.claim`` can be asked for."""


class StateStore(Stage[ConfigT]):
    """State shared by everything that uses the same store. Each method is one round trip and atomic."""

    shared: bool = False
    """Whether several processes see the same state."""

    instant: bool = False
    """Whether no method ever waits for anything, so that nobody need bound the time of a call."""

    @abstractmethod
    async def add(self, key: str, amount: int = 1, *, ttl: float | None = None, once: str | None = None) -> int:
        """Add to a counter and return it; ``once`` makes a repeat with the same word change nothing.

        Args:
            key: The counter.
            amount: What to add; may be negative.
            ttl: Seconds after which the counter is gone, counted from its creation; None for never.
            once: An id, such as the exchange's, under which this addition is made at most once.
        """

    @abstractmethod
    async def counter(self, key: str) -> int:
        """The counter's value, 0 when there is none."""

    @abstractmethod
    async def acquire(self, key: str, rate: Rate, cost: float = 1, *, once: str | None = None) -> RateDecision:
        """Spend ``cost`` units of a rate if they are there; ``once`` makes a repeat return the first decision."""

    @abstractmethod
    async def peek(self, key: str, rate: Rate, cost: float = 1) -> RateDecision:
        """What ``acquire`` would say, without spending."""

    @abstractmethod
    async def refund(self, key: str, rate: Rate, cost: float) -> None:
        """Give units back; a negative cost spends more, below nothing if need be (a settled estimate was too low)."""

    @abstractmethod
    async def lease(self, key: str, holder: str, *, limit: int, ttl: float) -> bool:
        """Take one of ``limit`` places for at most ``ttl`` seconds; the same holder asking again renews its place."""

    @abstractmethod
    async def release(self, key: str, holder: str) -> None:
        """Give a place back; nothing happens when the holder has none."""

    async def claim(self, claims: Sequence[Claim], *, once: str | None = None) -> Sequence[RateDecision]:
        """Take all of several claims, each under a key of its own, or nothing where one of them is refused.

        A store does it in one step. What stands here does it in several, for stores that cannot: others may then see
        for a moment what is given back at the end.

        Args:
            claims: What is asked for.
            once: An id under which it is decided at most once; a repeat gets the first decisions.

        Returns:
            A decision for each claim. Where one is refused it is the last of them, and those before it say what there
            is, as nothing has been taken.
        """
        decisions: list[RateDecision] = []
        for index, one in enumerate(claims):
            decision = await self._claim_one(one, once)
            decisions.append(decision)
            if not decision.allowed:
                taken = claims[:index]
                await self.give_back(taken)
                decisions[:-1] = [
                    await self.peek(one.key, one.rate, 0) if isinstance(one, Units) else known
                    for one, known in zip(taken, decisions, strict=False)
                ]
                break
        return decisions

    async def _claim_one(self, claim: Claim, once: str | None) -> RateDecision:
        if isinstance(claim, Units):
            return await self.acquire(claim.key, claim.rate, claim.cost, once=once)
        taken = await self.lease(claim.key, claim.holder, limit=claim.limit, ttl=claim.ttl)
        return RateDecision(taken, 0, 0.0 if taken else 1.0, 1.0)

    async def give_back(self, claims: Sequence[Claim], *, once: str | None = None) -> None:
        """Give back what has been claimed; a negative cost takes more, as in ``refund``. One step, as ``claim``.

        Args:
            claims: What is given back.
            once: An id under which it is given back at most once: a call whose end nobody knows may be repeated.
        """
        if once is not None and await self.add(f"given-back:{once}", ttl=_REMEMBERED) > 1:
            return
        for one in claims:
            if isinstance(one, Units):
                await self.refund(one.key, one.rate, one.cost)
            else:
                await self.release(one.key, one.holder)

    @abstractmethod
    async def put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Keep a value for ``ttl`` seconds, None for as long as the store lives."""

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """A value kept, None when there is none or its time is over."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Forget a value."""

    @abstractmethod
    async def publish(self, channel: str, message: bytes) -> None:
        """Send a message to whoever subscribes now."""

    @abstractmethod
    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Messages published from the moment the context is entered; a slow subscriber loses the oldest."""
