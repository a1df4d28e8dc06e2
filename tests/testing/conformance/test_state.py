"""The kit tells state stores that would overspend, lose or mix up from those that do not."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import asynccontextmanager

import pytest

from llmgate.stages.state.memory import Memory
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance.state import StateConformance


class ChecksThenSpends(Memory):
    """The classic: the check and the spending are two steps."""

    async def acquire(self, key, rate, cost=1, *, once=None):
        decision = await self.peek(key, rate, cost)
        await asyncio.sleep(0)
        if decision.allowed:
            await self.refund(key, rate, -cost)
        return decision


class LosesAdditions(Memory):
    async def add(self, key, amount=1, *, ttl=None, once=None):
        before = await self.counter(key)
        await asyncio.sleep(0)
        return await super().add(key, before + amount - await self.counter(key), ttl=ttl)


class IgnoresOnce(Memory):
    async def add(self, key, amount=1, *, ttl=None, once=None):
        return await super().add(key, amount, ttl=ttl)

    async def acquire(self, key, rate, cost=1, *, once=None):
        return await super().acquire(key, rate, cost)


class ProlongsCounters(Memory):
    async def add(self, key, amount=1, *, ttl=None, once=None):
        value = await self.counter(key) + amount
        self._counters.pop(key)
        return await super().add(key, value, ttl=ttl)


class PeekSpends(Memory):
    async def peek(self, key, rate, cost=1):
        return await self.acquire(key, rate, cost)


class ClampsDebt(Memory):
    async def refund(self, key, rate, cost):
        await super().refund(key, rate, max(0, cost))


class ImmortalLeases(Memory):
    async def lease(self, key, holder, *, limit, ttl):
        return await super().lease(key, holder, limit=limit, ttl=1e9)


class ImmortalValues(Memory):
    async def put(self, key, value, *, ttl=None):
        await super().put(key, value)


class OneNamespace(Memory):
    async def delete(self, key):
        await super().delete(key)
        self._counters.pop(key)


class LooseKeys(Memory):
    async def add(self, key, amount=1, *, ttl=None, once=None):
        return await super().add(key.strip(), amount, ttl=ttl, once=once)

    async def counter(self, key):
        return await super().counter(key.strip())


class RemembersThePast(Memory):
    @asynccontextmanager
    async def subscribe(self, channel):
        async with super().subscribe(channel) as messages:
            await self.publish(channel, b"too early")
            yield messages


class KeepsTheOldest(Memory):
    async def publish(self, channel, message):
        if int(message) < 1000:
            await super().publish(channel, message)


ALL = sorted(name for name in vars(StateConformance) if name.startswith("test_") and name.count("shared") == 0)


async def run(stage_class, test, tmp_path):
    subject = type("Kit", (StateConformance,), {"stage_class": stage_class})()
    clock = FakeClock()
    method = getattr(subject, test)
    extra = {"clock": clock} if "clock" in inspect.signature(method).parameters else {}
    async with asyncio.timeout(20):
        await method(subject.make_context(tmp_path, clock), **extra)


def test_a_store_says_whether_it_is_shared():
    subject = type("Kit", (StateConformance,), {"stage_class": type("S", (Memory,), {"shared": "yes"})})()
    with pytest.raises(AssertionError):
        subject.test_says_whether_it_is_shared()


@pytest.mark.parametrize("test", ALL)
async def test_a_sound_store_passes(test, tmp_path):
    await run(Memory, test, tmp_path)


@pytest.mark.parametrize(
    ("stage_class", "test"),
    [
        (ChecksThenSpends, "test_a_rate_grants_its_capacity_and_no_more"),
        (LosesAdditions, "test_no_addition_is_lost"),
        (IgnoresOnce, "test_once_counts_once"),
        (IgnoresOnce, "test_once_is_granted_once"),
        (ProlongsCounters, "test_counters_end"),
        (PeekSpends, "test_a_peek_spends_nothing"),
        (ClampsDebt, "test_a_negative_refund_spends"),
        (ImmortalLeases, "test_leases_end"),
        (ImmortalValues, "test_values_are_kept_for_their_time"),
        (OneNamespace, "test_kinds_of_state_do_not_mix"),
        (LooseKeys, "test_awkward_keys_are_keys"),
        (RemembersThePast, "test_subscribers_hear_what_is_published_from_then_on"),
    ],
)
async def test_a_fault_is_found(stage_class, test, tmp_path):
    with pytest.raises(AssertionError):
        await run(stage_class, test, tmp_path)


async def test_a_store_that_keeps_the_oldest_messages_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(asyncio, "wait_for", lambda awaitable, seconds: _soon(awaitable))
    with pytest.raises(TimeoutError):
        await run(KeepsTheOldest, "test_a_slow_subscriber_holds_nobody_up", tmp_path)


async def _soon(awaitable):
    async with asyncio.timeout(0.2):
        return await awaitable
