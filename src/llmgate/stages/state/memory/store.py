"""The store itself: each kind of state in a table of its own, all under one bound."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

from llmgate.spec import (
    Claim,
    Clock,
    GatewayError,
    Place,
    Rate,
    RateDecision,
    StageContext,
    StateStore,
    SystemClock,
    Units,
)

from .channels import Channels
from .expiring import ExpiringTable
from .gcra import Spent, check_rate, decide, reset_after
from .leases import Lease, judge_place

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
    instant = True

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__(config)
        self._clock: Clock = SystemClock()
        self._counters: ExpiringTable[_Counter] = ExpiringTable()
        self._rates: ExpiringTable[Spent] = ExpiringTable()
        self._leases: ExpiringTable[Lease] = ExpiringTable()
        self._values: ExpiringTable[bytes] = ExpiringTable(_weight)
        self._once: ExpiringTable[Any] = ExpiringTable()
        self._channels = Channels(config.subscriber_queue)
        self._tables: tuple[ExpiringTable[Any], ...] = (
            self._counters, self._rates, self._leases, self._values, self._once
        )  # fmt: skip
        self._turns: Iterator[ExpiringTable[Any]] = itertools.cycle(self._tables)

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
        return (await self.claim((Units(key, rate, cost),), once=once))[0]

    async def peek(self, key: str, rate: Rate, cost: float = 1) -> RateDecision:
        """What ``acquire`` would say."""
        _check_cost(rate, cost)
        now = self._now()
        return decide(_left(self._rates.get(key, now), now, rate), rate, cost)[0]

    async def refund(self, key: str, rate: Rate, cost: float) -> None:
        """Give units back, or spend more than there are."""
        self._refund(key, rate, cost, self._now())

    def _refund(self, key: str, rate: Rate, cost: float, now: float) -> None:
        check_rate(rate, cost)
        known = self._rates.get(key, now)
        spent = _left(known, now, rate)
        self._make_room(known is None and cost < 0)
        self._keep_rate(key, Spent(max(0.0, spent.units - cost), now), rate, now)

    async def lease(self, key: str, holder: str, *, limit: int, ttl: float) -> bool:
        """Take or renew a place."""
        return (await self.claim((Place(key, holder, limit, ttl),)))[0].allowed

    async def release(self, key: str, holder: str) -> None:
        """Give a place back."""
        self._release(key, holder, self._now())

    def _release(self, key: str, holder: str, now: float) -> None:
        lease = self._leases.get(key, now)
        if lease is not None and lease.holders.pop(holder, None) is not None and not lease.holders:
            self._leases.pop(key)

    async def claim(self, claims: Sequence[Claim], *, once: str | None = None) -> Sequence[RateDecision]:
        """Take all of several claims, or nothing."""
        now = self._now()
        mark = ("claim", *(one.key for one in claims), once) if once is not None else None
        if mark is not None:
            first: Sequence[RateDecision] | None = self._once.get(mark, now)
            if first is not None:
                return first
        decisions: list[RateDecision] = []
        spent: list[Spent | None] = []
        new = 0
        for one in claims:
            decision, after, is_new = self._judged(one, now)
            decisions.append(decision)
            if not decision.allowed:
                decisions[:-1] = [self._judged(earlier, now, taken=False)[0] for earlier in claims[: len(spent)]]
                spent, new = [], 0
                break
            spent.append(after)
            new += is_new
        self._make_room(new + (mark is not None))
        for one, after in zip(claims, spent, strict=False):
            self._take(one, after, now)
        if mark is not None:
            self._once.put(mark, decisions, now + self.config.once_ttl)
        return decisions

    async def give_back(self, claims: Sequence[Claim], *, once: str | None = None) -> None:
        """Give back what has been claimed."""
        now = self._now()
        if once is not None:
            mark = ("give-back", once)
            if self._once.get(mark, now) is not None:
                return
            self._make_room(1)
            self._once.put(mark, True, now + self.config.once_ttl)
        for one in claims:
            if isinstance(one, Units):
                self._refund(one.key, one.rate, one.cost, now)
            else:
                self._release(one.key, one.holder, now)

    async def put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Keep a value; where counters, rates and leases fill the store, it may be gone at once."""
        now = self._now()
        self._values.pop(key)
        weight = _weight(key, value)
        most = self.config.max_size
        if (ttl is not None and ttl <= 0) or weight > most:
            return
        if self._values.weight + weight > most:
            self._values.sweep(now, most=None)
        while self._values.weight + weight > most:
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

    def _now(self) -> float:
        """The time; every look at it sweeps a few of the entries that have ended, of one table after another."""
        now = self._clock.monotonic()
        next(self._turns).sweep(now)
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

    def _judged(self, claim: Claim, now: float, *, taken: bool = True) -> tuple[RateDecision, Spent | None, bool]:
        """The decision on a claim, what is then spent of a rate, and whether its key is new."""
        if isinstance(claim, Units):
            _check_cost(claim.rate, claim.cost)
            known = self._rates.get(claim.key, now)
            left = _left(known, now, claim.rate)
            return (*decide(left, claim.rate, claim.cost if taken else 0.0), known is None)
        lease = self._leases.get(claim.key, now)
        return judge_place(lease, claim, now, taken=taken), None, lease is None

    def _take(self, claim: Claim, spent: Spent | None, now: float) -> None:
        """Write down what has been granted."""
        if isinstance(claim, Units):
            assert spent is not None, "what is judged of a rate is what is spent of it"
            self._keep_rate(claim.key, spent, claim.rate, now)
            return
        lease = self._leases.get(claim.key, now) or Lease({}, now)
        lease.take(claim, now)
        self._leases.put(claim.key, lease, lease.ends)

    def _keep_rate(self, key: str, spent: Spent, rate: Rate, now: float) -> None:
        if spent.units > 0:
            self._rates.put(key, spent, now + reset_after(spent, rate))
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
