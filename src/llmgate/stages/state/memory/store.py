"""The store itself: each kind of state in a table of its own, all under one bound."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeAlias

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
from .expiring import EndingTable, ExpiringTable
from .gcra import MOST_SLACK, TOLERANCE, Bucket, check_rate, judge, time_back
from .leases import Lease, judge_place

__all__ = ["Memory", "MemoryConfig", "StateFullError"]


_LINGER: Final = 1.0
"""Seconds for which what has ended of rates and leases keeps its entry: most are there again for the next request."""
_MOST_SOUND: Final = 1000
"""Rates that are known to be sound."""


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


_Found: TypeAlias = "tuple[Claim, Bucket | Lease | None, float, float]"
"""A claim, what is known of its key, the units that will have been spent of a rate, and when they are back."""


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
        self._rates: EndingTable[Bucket] = EndingTable(linger=_LINGER)
        self._sound: dict[int, Rate] = {}
        self._leases: EndingTable[Lease] = EndingTable(linger=_LINGER)
        self._room = 0
        self._values: ExpiringTable[bytes] = ExpiringTable(_weight)
        self._once: ExpiringTable[Any] = ExpiringTable()
        self._channels = Channels(config.subscriber_queue)
        self._tables: tuple[EndingTable[Any], ...] = (
            self._counters, self._rates, self._leases, self._values, self._once
        )  # fmt: skip
        self._turns: Iterator[EndingTable[Any]] = itertools.cycle(self._tables)

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
        return sum([len(table.entries) for table in self._tables])

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
        self._check(rate, cost)
        now = self._now()
        bucket = self._rates.entries.get(key)
        return judge(0.0 if bucket is None else bucket.left(now, rate), rate, cost)

    async def refund(self, key: str, rate: Rate, cost: float) -> None:
        """Give units back, or spend more than there are."""
        self._refund(key, rate, cost, self._now())

    def _refund(self, key: str, rate: Rate, cost: float, now: float) -> None:
        if id(rate) not in self._sound or not -math.inf < cost < math.inf:
            self._check(rate, abs(cost))
        bucket = self._rates.entries.get(key)
        if bucket is None or bucket.expires <= now:
            if cost < 0:
                self._make_room(bucket is None)
                self._spend(key, bucket, -cost, time_back(-cost, rate), now)
            return
        units = bucket.left(now, rate) - cost
        if units > 0.0:
            self._spend(key, bucket, units, time_back(units, rate), now)
        else:
            self._rates.pop(key)

    def _spend(self, key: str, bucket: Bucket | None, units: float, reset: float, now: float) -> None:
        """Write down what has been spent by now, which is more than nothing, and in how many seconds it is back."""
        expires = now + reset
        if bucket is None:
            self._rates.keep(key, Bucket(expires, units, now))
            return
        bucket.expires, bucket.units, bucket.at = expires, units, now
        if expires + _LINGER < bucket.scheduled:
            self._rates.keep(key, bucket)

    def _seat(self, place: Place, lease: Lease | None, now: float) -> None:
        """Write down who has got a place."""
        if lease is not None:
            lease.take(place, now)
            return
        lease = Lease(now, {})
        lease.take(place, now)
        self._leases.keep(place.key, lease)

    async def lease(self, key: str, holder: str, *, limit: int, ttl: float) -> bool:
        """Take or renew a place."""
        return (await self.claim((Place(key, holder, limit, ttl),)))[0].allowed

    async def release(self, key: str, holder: str) -> None:
        """Give a place back."""
        self._release(key, holder, self._now())

    def _release(self, key: str, holder: str, now: float) -> None:
        lease = self._leases.entries.get(key)
        if lease is not None and lease.holders.pop(holder, None) is not None and not lease.holders:
            lease.expires = now
            if now + _LINGER < lease.scheduled:
                self._leases.keep(key, lease)

    async def claim(self, claims: Sequence[Claim], *, once: str | None = None) -> Sequence[RateDecision]:
        """Take all of several claims, or nothing."""
        now = self._now()
        if once is not None:
            first: Sequence[RateDecision] | None = self._once.get(_claim_mark(claims, once), now)
            if first is not None:
                return first
        decisions, found, new = self._judged(claims, now)
        if new or once is not None:
            self._make_room(new + (once is not None))
        for one, entry, cost, reset in found:
            if isinstance(one, Place):
                self._seat(one, entry, now)  # type: ignore[arg-type]  # it comes from the table of such claims
            elif cost > 0.0:
                self._spend(one.key, entry, cost, reset, now)  # type: ignore[arg-type]
        if once is not None:
            self._once.put(_claim_mark(claims, once), decisions, now + self.config.once_ttl)
        return decisions

    async def give_back(self, claims: Sequence[Claim], *, once: str | None = None) -> None:
        """Give back what has been claimed."""
        now = self._clock.monotonic()  # what was claimed has been swept for then
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
        # Nothing is swept for a key that is not there: a look adds nothing.
        return self._values.get(key, self._now()) if key in self._values.entries else None

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
        now, table = self._clock.monotonic(), next(self._turns)
        if table.schedule and table.schedule[0][0] <= now:
            table.sweep(now)
        return now

    def _make_room(self, wanted: int) -> None:
        """See to it that ``wanted`` more entries fit; nothing is counted while there is room from the last time.

        Raises:
            StateFullError: they do not.
        """
        if wanted <= self._room:
            self._room -= wanted
            return
        self._room = 0
        if len(self) + wanted <= self.config.max_entries:
            self._room = self.config.max_entries - len(self) - wanted
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

    def _check(self, rate: Rate, cost: float) -> None:
        """Refuse numbers that mean nothing; a rate that has been looked at is not looked at again."""
        check_rate(rate, cost)
        if cost < 0:
            raise ValueError(f"a cost of {cost} would give units back: use refund")
        if rate.ends_in is None:  # one of a window is another one each time
            if len(self._sound) >= _MOST_SOUND:
                self._sound.clear()
            self._sound[id(rate)] = rate

    def _judged(self, claims: Sequence[Claim], now: float) -> tuple[list[RateDecision], list[_Found], int]:
        """The decisions on claims; where all are granted what each is to write and where, and how many keys are new."""
        decisions: list[RateDecision] = []
        found: list[_Found] = []
        buckets, sound, new = self._rates.entries, self._sound, 0
        for one in claims:
            entry: Bucket | Lease | None
            if isinstance(one, Units):
                rate, cost = one.rate, one.cost
                if id(rate) not in sound or cost < 0.0:
                    self._check(rate, cost)
                entry = buckets.get(one.key)
                left = 0.0 if entry is None or entry.expires <= now else entry.left(now, rate)
                after, capacity = left + cost, rate.capacity
                if 0.0 < after <= capacity and rate.ends_in is None:
                    # What ``judge`` says of the usual case, without the way there.
                    units = int(capacity - after + min(capacity * TOLERANCE, MOST_SLACK))
                    decision = RateDecision(True, units, 0.0, after * rate.period / capacity)
                else:
                    decision = judge(left, rate, cost)
                cost = after
            else:
                cost, entry = 0.0, self._leases.entries.get(one.key)
                decision = judge_place(entry, one, now)
            decisions.append(decision)
            if not decision.allowed:
                if isinstance(one, Units):  # no cost that is no number was granted
                    self._check(one.rate, one.cost)
                decisions[:-1] = [self._untaken(earlier, now) for earlier in claims[: len(found)]]
                return decisions, [], 0
            found.append((one, entry, cost, decision.reset_after))
            if entry is None:
                new += 1
        return decisions, found, new

    def _untaken(self, claim: Claim, now: float) -> RateDecision:
        """What there is of a claim that could have been granted and is not, since another one is refused."""
        if isinstance(claim, Units):
            bucket = self._rates.entries.get(claim.key)
            return judge(0.0 if bucket is None else bucket.left(now, claim.rate), claim.rate, 0.0)
        return judge_place(self._leases.entries.get(claim.key), claim, now, taken=False)


def _weight(key: Hashable, value: bytes) -> int:
    return len(str(key)) + len(value)


def _claim_mark(claims: Sequence[Claim], once: str) -> tuple[str, ...]:
    return ("claim", *(one.key for one in claims), once)


def _end(now: float, ttl: float | None) -> float:
    return math.inf if ttl is None else now + ttl
