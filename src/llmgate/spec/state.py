"""The kind that keeps shared state: counters, rates, leases, values, messages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import attrs

from .stage import ConfigT, Stage

__all__ = ["Rate", "RateDecision", "StateStore"]


@attrs.frozen
class Rate:
    """A rate limit for the generic cell rate algorithm.

    Args:
        capacity: How many units may be spent at once.
        period: Seconds in which the whole capacity comes back.
    """

    capacity: float
    period: float


@attrs.frozen
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


class StateStore(Stage[ConfigT]):
    """State shared by everything that uses the same store. Each method is one round trip and atomic."""

    shared: bool = False
    """Whether several processes see the same state."""

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
