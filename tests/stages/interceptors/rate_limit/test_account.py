"""The charges of one exchange are given back together, and settled once."""

from __future__ import annotations

import pytest

from llmgate.spec import Outcome, Place, Rate, Usage
from llmgate.stages.interceptors.rate_limit.account import Account, Charge, Counted
from llmgate.stages.interceptors.rate_limit.config import LimitConfig, RateLimitConfig
from llmgate.stages.interceptors.rate_limit.counting import Counting
from llmgate.stages.interceptors.rate_limit.units import Ended
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.samples import sample_attempt

RATE = Rate(100, 1e9)
NOVEMBER = 1_700_000_000.0


@pytest.fixture
def store():
    return Memory(MemoryConfig())


async def charged(store, key, cost, unit="requests"):
    counting = Counting(store, store, FakeClock(), RateLimitConfig(), "limits")
    limit = Counted(key, key, LimitConfig(100, None if unit == "concurrent" else 1e9, unit=unit), 100)
    charge = Charge(counting, limit, limit.claim(key, cost, "me", FakeClock(now=NOVEMBER)))
    assert await counting.decide([charge], "once")
    assert charge.decision.allowed
    return charge


async def left(store, key):
    return (await store.peek(key, RATE, 0)).remaining


async def test_release_gives_everything_back_once(store):
    account = Account([await charged(store, "a", 30), await charged(store, "b", 1)])
    await account.release()
    await account.release()
    assert [await left(store, key) for key in "ab"] == [100, 100]


async def test_settling_puts_what_was_used_in_the_place_of_the_estimate(store):
    account = Account([await charged(store, "a", 1), await charged(store, "b", 30, "tokens")])
    served = Ended([sample_attempt(outcome=Outcome(usage=Usage(input_tokens=40, output_tokens=10)))])
    await account.settle(served)
    await account.settle(served)
    assert [await left(store, key) for key in "ab"] == [99, 50]


async def test_a_place_comes_free_when_its_request_is_over(store):
    account = Account([await charged(store, "a", 1, "concurrent")])
    assert not await store.lease("a", "other", limit=1, ttl=9)
    await account.settle(Ended([sample_attempt()]))
    assert await store.lease("a", "other", limit=1, ttl=9)


def test_a_window_has_a_key_for_each_part_of_the_calendar():
    limit = Counted("a", "a", LimitConfig(5, window="month"), 5)
    one = limit.claim("k", 2, "h", FakeClock(now=NOVEMBER))
    assert one.key == "k:1698796800", "the first of November 2023"
    assert one.rate == Rate(5, 30 * 86400, ends_in=1701388800 - NOVEMBER)
    assert limit.period == 30 * 86400
    assert limit.claim("k", 2, "h", FakeClock(now=1701388800)).key == "k:1701388800", "the first of December"
    assert limit.claim("k", 2, "h", FakeClock(now=NOVEMBER)).key == one.key, "a clock that is put back"


def test_places_are_held_under_the_name_of_the_exchange():
    limit = Counted("a", "a", LimitConfig(5, unit="concurrent"), 5, lease=7)
    assert limit.claim("k", 1, "me", FakeClock(now=NOVEMBER)) == Place("k", "me", 5, 7)
    assert limit.period is None
