"""Places in a store that others share are renewed for as long as they are held, and no longer."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.spec import Place
from llmgate.stages.interceptors.rate_limit.places import Keeper
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock

PLACE = Place("k", "me", 1, 30.0)


class Store(Memory):
    broken = False

    async def lease(self, key, holder, *, limit, ttl):
        if self.broken:
            raise ConnectionError
        return await super().lease(key, holder, limit=limit, ttl=ttl)


@pytest.fixture
async def kept():
    clock, store = FakeClock(), Store(MemoryConfig())
    store._clock = clock
    keeper = Keeper(store, clock, 30.0, 0.5)
    yield clock, store, keeper
    await keeper.aclose()


async def started(keeper, place=PLACE):
    keeper.keep(place)
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_place_outlives_its_time(kept):
    clock, store, keeper = kept
    assert await store.lease("k", "me", limit=1, ttl=30)
    await started(keeper)
    for _ in range(12):
        await clock.advance(10)
        assert not await store.lease("k", "other", limit=1, ttl=30)
    assert keeper.forget(PLACE)
    await store.release("k", "me")
    await clock.advance(10)
    assert await store.lease("k", "other", limit=1, ttl=30)
    assert len(keeper) == 0


async def test_a_store_that_has_lost_it_gets_it_again(kept):
    clock, store, keeper = kept
    await started(keeper)
    await clock.advance(10)
    assert not await store.lease("k", "other", limit=1, ttl=30)


async def test_a_store_that_fails_is_asked_again(kept):
    clock, store, keeper = kept
    await started(keeper)
    store.broken = True
    await clock.advance(10)
    store.broken = False
    await clock.advance(10)
    assert not await store.lease("k", "other", limit=1, ttl=30)
    assert keeper.forget(PLACE)


async def test_nothing_runs_while_nothing_is_held(kept):
    clock, _, keeper = kept
    await started(keeper)
    assert not keeper.forget(PLACE), "it has not been renewed"
    await clock.advance(10)
    assert clock.sleeping == 0
    await started(keeper)
    assert clock.sleeping == 1


async def test_closing_stops_it(kept):
    clock, _, keeper = kept
    await started(keeper)
    await keeper.aclose()
    await keeper.aclose()
    assert (len(keeper), clock.sleeping) == (0, 0)
