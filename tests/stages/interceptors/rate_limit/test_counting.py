"""The store as the limits use it: what follows when it does not answer, and how its counts are put right."""

from __future__ import annotations

import itertools

import pytest

from llmgate.spec import Rate
from llmgate.stages.interceptors.rate_limit.account import Charge, Counted
from llmgate.stages.interceptors.rate_limit.config import LimitConfig, RateLimitConfig
from llmgate.stages.interceptors.rate_limit.counting import Counting
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock

RATE = Rate(100, 1e9)


class Remote(Memory):
    """A store that others share, and that is there or not."""

    shared = True
    instant = False
    there = True
    calls = 0

    def _answer(self):
        self.calls += 1
        if not self.there:
            raise ConnectionError("refused")

    async def claim(self, claims, *, once=None):
        self._answer()
        return await super().claim(claims, once=once)

    async def give_back(self, claims, *, once=None):
        self._answer()
        await super().give_back(claims, once=once)

    async def left(self, key):
        return (await self.peek(key, RATE, 0)).remaining


class Bench:
    def __init__(self, **config):
        self.numbers = itertools.count()
        self.clock, self.remote, self.local = FakeClock(), Remote(MemoryConfig()), Memory(MemoryConfig())
        self.counting = Counting(self.remote, self.local, self.clock, RateLimitConfig(**config), "limits", processes=4)

    def charge(self, key="k", cost=1, unit="requests"):
        limit = Counted("a", "a", LimitConfig(100, None if unit == "concurrent" else 1e9, unit=unit), 100)
        return Charge(self.counting, limit, limit.claim(key, cost, f"h{next(self.numbers)}", FakeClock()))

    async def granted(self, charge):
        return await self.counting.decide([charge], None) and charge.decision.allowed


@pytest.fixture
async def bench():
    one = Bench(on_failure="local-share")
    yield one
    await one.counting.aclose()


async def test_without_the_store_this_process_grants_its_part(bench):
    bench.remote.there = False
    charges = [bench.charge() for _ in range(40)]
    assert sum([await bench.granted(one) for one in charges]) == 25, "a fourth of a hundred"
    assert bench.remote.calls == 1, "the store is left alone meanwhile"


async def test_what_was_granted_without_it_is_counted_when_it_is_back(bench):
    await bench.granted(bench.charge(cost=10))
    bench.remote.there = False
    used, unused = bench.charge(cost=5), bench.charge(cost=7)
    assert await bench.granted(used)
    assert await bench.granted(unused)
    await bench.counting.give_back([(unused, 7)])
    bench.remote.there = True
    bench.clock.advance(1)
    assert await bench.granted(bench.charge(cost=1))
    assert await bench.remote.left("k") == 100 - 10 - 5 - 1
    await bench.counting.give_back([(used, 2)])
    assert await bench.remote.left("k") == 100 - 10 - 3 - 1, "and what is settled later, by the store"


async def test_a_second_outage_begins_with_a_whole_part(bench):
    for _ in range(2):
        bench.remote.there = False
        assert sum([await bench.granted(bench.charge()) for _ in range(30)]) == 25
        bench.remote.there = True
        bench.clock.advance(1)
        await bench.granted(bench.charge("other"))
    assert await bench.remote.left("k") == 50


async def test_an_outage_is_worth_one_part_however_long_it_is(bench):
    bench.remote.there = False
    found = 0
    for _ in range(10):
        found += sum([await bench.granted(bench.charge()) for _ in range(30)])
        await bench.clock.advance(0)
        await bench.clock.advance(1)
    assert bench.remote.calls > 1, "the store has been tried again meanwhile"
    assert found == 25
    bench.remote.there = True
    await bench.clock.advance(1)
    await bench.clock.advance(1)
    assert await bench.remote.left("k") == 75


async def test_places_of_the_part_come_free(bench):
    bench.remote.there = False
    charges = [bench.charge(unit="concurrent") for _ in range(26)]
    assert [await bench.granted(one) for one in charges] == [True] * 25 + [False]
    await bench.counting.give_back([(charges[0], 1)])
    assert await bench.granted(bench.charge(unit="concurrent"))
    assert bench.counting.keeper is not None
    assert len(bench.counting.keeper) == 25


@pytest.mark.parametrize("policy", ["deny", "allow"])
async def test_units_that_could_not_be_given_back_are_given_back_later(policy):
    bench = Bench(on_failure=policy)
    charge = bench.charge(cost=30)
    await bench.granted(charge)
    bench.remote.there = False
    await bench.counting.give_back([(charge, 20)])
    assert not await bench.counting.decide([bench.charge()], None)
    bench.remote.there = True
    bench.clock.advance(1)
    assert await bench.granted(bench.charge(cost=1))
    assert await bench.remote.left("k") == 100 - 10 - 1
    await bench.counting.aclose()


async def test_a_place_that_could_not_be_given_back_is_given_back_though_nobody_asks() -> None:
    bench = Bench()
    held = [bench.charge(unit="concurrent") for _ in range(100)]
    for one in held:
        assert await bench.granted(one)
    bench.remote.there = False
    await bench.counting.give_back([(held[0], 1)])
    await bench.clock.advance(0)
    await bench.clock.advance(1)
    bench.remote.there = True
    assert not await bench.remote.lease("k", "other", limit=100, ttl=60)
    await bench.clock.advance(1)
    assert await bench.remote.lease("k", "other", limit=100, ttl=60)
    await bench.counting.aclose()


async def test_what_a_decision_that_came_too_late_has_granted_is_given_back() -> None:
    class Late(Remote):
        late = True

        async def claim(self, claims, *, once=None):
            decisions = await super().claim(claims, once=once)
            if self.late:
                raise TimeoutError
            return decisions

    bench = Bench()
    bench.remote.__class__ = Late
    one, place = bench.charge(cost=30), bench.charge("p", unit="concurrent")
    assert not await bench.counting.decide([one, place], "word")
    assert await bench.remote.left("k") == 70
    Late.late = False
    await bench.clock.advance(0)
    await bench.clock.advance(1)
    assert await bench.remote.left("k") == 100
    assert await bench.remote.lease("p", "other", limit=1, ttl=60)
    await bench.counting.aclose()


async def test_what_was_given_back_too_late_to_be_told_is_not_given_back_twice() -> None:
    class Late(Remote):
        late = True

        async def give_back(self, claims, *, once=None):
            await super().give_back(claims, once=once)
            if self.late:
                raise TimeoutError

    bench = Bench()
    bench.remote.__class__ = Late
    one, other = bench.charge(cost=30), bench.charge(cost=40)
    assert await bench.granted(one)
    assert await bench.granted(other)
    await bench.counting.give_back([(one, 30)])
    Late.late = False
    await bench.clock.advance(0)
    await bench.clock.advance(1)
    await bench.clock.advance(1)
    assert await bench.remote.left("k") == 60
    await bench.counting.aclose()


async def test_a_store_that_fails_while_it_is_told_is_told_again(bench):
    bench.remote.there = False
    await bench.granted(bench.charge(cost=5))

    class Flapping(Remote):
        async def give_back(self, claims, *, once=None):
            self.there = False
            await super().give_back(claims, once=once)

    bench.remote.__class__ = Flapping
    bench.remote.there = True
    bench.clock.advance(1)
    await bench.granted(bench.charge(cost=1))
    bench.remote.__class__ = Remote
    bench.remote.there = True
    bench.clock.advance(1)
    await bench.granted(bench.charge(cost=1))
    assert await bench.remote.left("k") == 100 - 5 - 2
