"""The store itself: each kind of state in a table of its own, all under one bound."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Hashable
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

from llmgate.spec import Clock, GatewayError, Rate, RateDecision, StageContext, StateStore, SystemClock

from .channels import Channels
from .expiring import ExpiringTable
from .gcra import Spent, check_rate, decide, reset_after

__all__ = ["Memory", "MemoryConfig", "StateFullError"]


class StateFullError(GatewayError):
    """The store holds as many limits, counters and leases as it may, and none of them has ended (503)."""

    status_code = 503
    default_code = "state_store_full"


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name.replace('_', '-')} must be above 0, not {value}")


@attrs.frozen
class MemoryConfig:
    """The config of ``memory``.

    Args:
        max_entries: Upper bound of what is kept, all kinds together.
        max_size: Bytes that values (``put``) and their keys may take; then those used longest ago go.
        once_ttl: Seconds for which a word given as ``once`` is remembered.
        subscriber_queue: Messages that may wait for one subscriber.
    """

    max_entries: int = attrs.field(default=1_000_000, validator=_positive)
    max_size: int = attrs.field(default=256 * 1024 * 1024, validator=_positive)
    once_ttl: float = attrs.field(default=3600.0, validator=_positive)
    subscriber_queue: int = attrs.field(default=1024, validator=_positive)


@attrs.define(eq=False)
class _Counter:
    """A counter and the monotonic time at which it is gone."""

    value: int
    ends: float


@attrs.define(eq=False)
class _Lease:
    """Who holds a place until when, and when the last of them is gone."""

    holders: dict[str, float]
    ends: float


class Memory(StateStore[MemoryConfig]):
    """Keeps state in this process, for as long as it is open.

    When ``max-entries`` or ``max-size`` is reached, what has ended goes first, then the values (``put``) used longest
    ago; a value above ``max-size`` is not kept. Counters,
    rates, leases and ``once`` words are never given up before their time, since that would grant what has been refused:
    a new one is refused with ``StateFullError`` instead. A rate that has come back in full has ended.

    Atomic because nothing in it awaits: it belongs to one event loop.
    """

    name = "memory"
    config_class = MemoryConfig

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__(config)
        self._clock: Clock = SystemClock()
        self._counters: ExpiringTable[_Counter] = ExpiringTable()
        self._rates: ExpiringTable[Spent] = ExpiringTable()
        self._leases: ExpiringTable[_Lease] = ExpiringTable()
        self._values: ExpiringTable[bytes] = ExpiringTable(_weight)
        self._once: ExpiringTable[Any] = ExpiringTable()
        self._channels = Channels(config.subscriber_queue)

    async def open(self, context: StageContext) -> None:
        """Take the time from the context's clock."""
        self._clock = context.clock
        self._channels = Channels(self.config.subscriber_queue)

    async def aclose(self) -> None:
        """Forget everything and end every subscription."""
        for table in self._tables:
            table.clear()
        self._channels.close()

    def __len__(self) -> int:
        """How many entries are kept, all kinds together."""
        return sum(len(table) for table in self._tables)

    async def add(self, key: str, amount: int = 1, *, ttl: float | None = None, once: str | None = None) -> int:
        """Add to a counter and return it."""
        now = self._now()
        counter = self._counters.get(key, now)
        mark = ("add", key, once)
        if once is not None and self._once.get(mark, now) is not None:
            return 0 if counter is None else counter.value
        self._make_room((counter is None) + (once is not None))
        if counter is None:
            counter = _Counter(0, _end(now, ttl))
        counter.value += amount
        self._counters.put(key, counter, counter.ends)
        if once is not None:
            self._once.put(mark, True, now + self.config.once_ttl)
        return counter.value

    async def counter(self, key: str) -> int:
        """The counter's value."""
        counter = self._counters.get(key, self._now())
        return 0 if counter is None else counter.value

    async def acquire(self, key: str, rate: Rate, cost: float = 1, *, once: str | None = None) -> RateDecision:
        """Spend units of a rate if they are there."""
        _check_cost(rate, cost)
        now = self._now()
        mark = ("acquire", key, once)
        if once is not None:
            first: RateDecision | None = self._once.get(mark, now)
            if first is not None:
                return first
        known = self._rates.get(key, now)
        self._make_room((known is None) + (once is not None))
        decision, after = decide(_left(known, now, rate), rate, cost)
        if decision.allowed:
            self._keep_rate(key, after, rate)
        if once is not None:
            self._once.put(mark, decision, now + self.config.once_ttl)
        return decision

    async def peek(self, key: str, rate: Rate, cost: float = 1) -> RateDecision:
        """What ``acquire`` would say."""
        _check_cost(rate, cost)
        now = self._now()
        return decide(_left(self._rates.get(key, now), now, rate), rate, cost)[0]

    async def refund(self, key: str, rate: Rate, cost: float) -> None:
        """Give units back, or spend more than there are."""
        check_rate(rate, cost)
        now = self._now()
        known = self._rates.get(key, now)
        spent = _left(known, now, rate)
        self._make_room(known is None and cost < 0)
        self._keep_rate(key, Spent(max(0.0, spent.units - cost), now), rate)

    async def lease(self, key: str, holder: str, *, limit: int, ttl: float) -> bool:
        """Take or renew a place."""
        if not ttl > 0:
            raise ValueError(f"a lease needs a positive number of seconds, not {ttl}")
        now = self._now()
        lease = self._leases.get(key, now)
        if lease is None:
            if limit < 1:
                return False
            self._make_room(1)
            lease = _Lease({}, now)
        elif lease.holders.get(holder, now) <= now and len(lease.holders) >= limit:
            lease.holders = {name: until for name, until in lease.holders.items() if until > now}
            if len(lease.holders) >= limit:
                return False
        lease.holders[holder] = now + ttl
        lease.ends = max(lease.ends, now + ttl)
        self._leases.put(key, lease, lease.ends)
        return True

    async def release(self, key: str, holder: str) -> None:
        """Give a place back."""
        lease = self._leases.get(key, self._now())
        if lease is not None and lease.holders.pop(holder, None) is not None and not lease.holders:
            self._leases.pop(key)

    async def put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Keep a value; where counters, rates and leases fill the store, it may be gone at once."""
        now = self._now()
        self._values.pop(key)
        weight = _weight(key, value)
        if (ttl is not None and ttl <= 0) or weight > self.config.max_size:
            return
        if self._values.weight + weight > self.config.max_size:
            self._values.sweep(now, most=None)
        while self._values.weight + weight > self.config.max_size:
            self._values.pop_oldest()
        try:
            self._make_room(1)
        except StateFullError:
            return
        self._values.put(key, value, _end(now, ttl))

    async def get(self, key: str) -> bytes | None:
        """A value kept."""
        return self._values.get(key, self._now())

    async def delete(self, key: str) -> None:
        """Forget a value."""
        self._values.pop(key)

    async def publish(self, channel: str, message: bytes) -> None:
        """Send a message to whoever subscribes now."""
        self._channels.publish(channel, message)

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Messages published from the moment the context is entered."""
        return self._channels.subscribe(channel)

    @property
    def _tables(self) -> tuple[ExpiringTable[Any], ...]:
        return self._counters, self._rates, self._leases, self._values, self._once

    def _now(self) -> float:
        """The time; every look at it sweeps a few of the entries that have ended."""
        now = self._clock.monotonic()
        for table in self._tables:
            table.sweep(now)
        return now

    def _make_room(self, wanted: int) -> None:
        """See to it that ``wanted`` more entries fit.

        Raises:
            StateFullError: they do not.
        """
        if not wanted or len(self) + wanted <= self.config.max_entries:
            return
        now = self._clock.monotonic()
        for table in self._tables:
            table.sweep(now, most=None)
        while len(self._values) and len(self) + wanted > self.config.max_entries:
            self._values.pop_oldest()
        if len(self) + wanted > self.config.max_entries:
            raise StateFullError(
                f"the state store is full: {self.config.max_entries} limits, counters and leases are running; "
                "raise max-entries, or use a shared store"
            )

    def _keep_rate(self, key: str, spent: Spent, rate: Rate) -> None:
        if spent.units > 0:
            self._rates.put(key, spent, spent.at + reset_after(spent, rate))
        else:
            self._rates.pop(key)


def _weight(key: Hashable, value: bytes) -> int:
    return len(str(key)) + len(value)


def _left(known: Spent | None, now: float, rate: Rate) -> Spent:
    return Spent(0.0, now) if known is None else known.left_at(now, rate)


def _check_cost(rate: Rate, cost: float) -> None:
    check_rate(rate, cost)
    if cost < 0:
        raise ValueError(f"a cost of {cost} would give units back: use refund")


def _end(now: float, ttl: float | None) -> float:
    return math.inf if ttl is None else now + ttl
