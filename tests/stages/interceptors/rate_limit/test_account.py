"""The charges of one exchange are given back together, and settled once."""

from __future__ import annotations

from llmgate.spec import Outcome, Rate, Usage
from llmgate.stages.interceptors.rate_limit.account import Account, Charge, Counted
from llmgate.stages.interceptors.rate_limit.config import LimitConfig
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.samples import sample_attempt, sample_exchange, sample_view

RATE = Rate(100, 1e9)


async def charged(store, key, cost, unit="requests"):
    charge = Charge(store, Counted(key, key, LimitConfig(100, 1e9, unit=unit), RATE), key, cost)
    assert (await charge.acquire("once")).allowed
    return charge


async def left(store, key):
    return (await store.peek(key, RATE, 0)).remaining


async def test_release_gives_everything_back_once():
    store = Memory(MemoryConfig())
    account = Account([await charged(store, "a", 30), await charged(store, "b", 1)])
    await account.release()
    await account.release()
    assert [await left(store, key) for key in "ab"] == [100, 100]


async def test_an_undecided_request_is_charged_nothing():
    store = Memory(MemoryConfig())
    await Account([await charged(store, "a", 30)], undecided=True).settle(sample_view())
    assert await left(store, "a") == 100


async def test_settling_puts_what_was_used_in_the_place_of_the_estimate():
    store = Memory(MemoryConfig())
    account = Account([await charged(store, "a", 1), await charged(store, "b", 30, "tokens")])
    exchange = sample_exchange()
    exchange.attempts.append(sample_attempt(outcome=Outcome(usage=Usage(input_tokens=40, output_tokens=10))))
    await account.settle(sample_view(exchange))
    await account.settle(sample_view(exchange))
    assert [await left(store, key) for key in "ab"] == [99, 50]


async def test_requests_that_were_let_through_need_no_settling():
    store = Memory(MemoryConfig())
    requests, tokens = await charged(store, "a", 1), await charged(store, "b", 9, "tokens")
    assert not Account().is_open
    assert not Account([requests]).is_open
    assert Account([requests], undecided=True).is_open
    assert Account([requests, tokens]).is_open
