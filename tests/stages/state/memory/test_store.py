"""``memory``: its bound, its ends, and what it will not forget."""

from __future__ import annotations

import pytest

from llmgate.spec import Place, Rate, StageContext
from llmgate.stages.state.memory import Memory, MemoryConfig, StateFullError
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport

TEN = Rate(capacity=10, period=10)


@pytest.fixture
def clock():
    return FakeClock()


async def opened(clock, **config):
    def nothing(_):
        raise AssertionError

    store = Memory(MemoryConfig(**config))
    await store.open(
        StageContext(id="state.memory", clock=clock, transport=ScriptedTransport(), fetch_secret=nothing, state=nothing)
    )
    return store


async def test_values_make_room_the_one_used_longest_ago_first(clock):
    store = await opened(clock, max_entries=3)
    for key in "abc":
        await store.put(key, key.encode())
    await store.get("a")
    await store.put("d", b"d")
    assert [await store.get(key) for key in "abcd"] == [b"a", None, b"c", b"d"]
    await store.add("counter")
    assert await store.counter("counter") == 1
    assert len(store) == 3


async def test_what_has_ended_goes_before_any_value_that_lives(clock):
    store = await opened(clock, max_entries=3)
    await store.put("lives", b"1")
    await store.put("ends", b"1", ttl=5)
    await store.lease("ends", "h", limit=1, ttl=5)
    clock.advance(6)
    await store.put("new", b"1")
    assert await store.get("lives") == b"1"


async def test_a_limit_is_never_given_up_before_its_time(clock):
    """Forgetting one would grant what has been refused: the store refuses new ones instead, until one has ended."""
    store = await opened(clock, max_entries=2)
    await store.acquire("spent", TEN, 10)
    await store.add("counter", ttl=60)
    for attempt in (
        store.acquire("new", TEN, 1),
        store.add("new"),
        store.lease("new", "h", limit=1, ttl=5),
        store.refund("new", TEN, -1),
    ):
        with pytest.raises(StateFullError, match="raise max-entries") as caught:
            await attempt
        assert caught.value.http_status == 503
    assert not (await store.acquire("spent", TEN, 1)).allowed
    assert await store.add("counter") == 2
    clock.advance(10)
    assert (await store.acquire("new", TEN, 1)).allowed, "the spent rate has come back in full, and has ended"


async def test_what_has_ended_a_moment_ago_makes_room(clock):
    store = await opened(clock, max_entries=2)
    await store.acquire("back in a second", TEN, 1)
    await store.lease("given back", "h", limit=1, ttl=60)
    with pytest.raises(StateFullError):
        await store.acquire("new", TEN, 10)
    await store.release("given back", "h")
    assert (await store.acquire("new", TEN, 10)).allowed
    with pytest.raises(StateFullError):
        await store.acquire("newer", TEN, 10)
    clock.advance(1)
    assert (await store.acquire("newer", TEN, 10)).allowed
    with pytest.raises(StateFullError):
        await store.lease("given back", "h", limit=1, ttl=60)
    assert not (await store.acquire("new", TEN, 10)).allowed
    assert len(store) == 2


async def test_a_place_given_back_is_as_good_as_new(clock):
    store = await opened(clock)
    for ttl in (60, float("inf")):
        for _ in range(3):
            assert await store.lease("a", "one", limit=1, ttl=ttl)
            assert not await store.lease("a", "two", limit=1, ttl=ttl)
            await store.release("a", "one")
            clock.advance(0.4)
    assert await store.lease("a", "late", limit=2, ttl=5)
    clock.advance(5)
    (decision,) = await store.claim((Place("a", "two", 2, 60),))
    assert (decision.allowed, decision.remaining) == (True, 1), "whose time is over has no place"
    clock.advance(70)
    await store.counter("x")
    for _ in range(5):
        await store.peek("x", TEN)
    assert len(store) == 0


async def test_a_value_for_which_there_is_no_room_is_not_kept_and_the_old_one_neither(clock):
    store = await opened(clock, max_entries=1)
    await store.put("a", b"old")
    await store.add("counter")
    await store.put("a", b"new")
    assert await store.get("a") is None


async def test_rates_that_have_come_back_take_no_room(clock):
    store = await opened(clock)
    for number in range(1000):
        await store.acquire(f"caller-{number}", TEN, 1)
    clock.advance(2)
    for _ in range(1000):
        await store.peek("x", TEN)
    assert len(store) == 0


async def test_a_refund_in_full_takes_no_room(clock):
    store = await opened(clock)
    await store.acquire("a", TEN, 5)
    await store.refund("a", TEN, 5)
    assert len(store) == 0


async def test_a_word_is_remembered_for_its_time(clock):
    store = await opened(clock, once_ttl=100)
    await store.add("a", once="x")
    clock.advance(99)
    assert await store.add("a", once="x") == 1
    clock.advance(1)
    assert await store.add("a", once="x") == 2


async def test_a_rate_may_change_while_it_is_spent(clock):
    """A reload that doubles the capacity leaves what was spent spent."""
    store = await opened(clock)
    await store.acquire("a", TEN, 10)
    doubled = Rate(capacity=20, period=10)
    assert (await store.peek("a", doubled, 10)).allowed
    assert not (await store.peek("a", doubled, 11)).allowed


@pytest.mark.parametrize("method", ["acquire", "peek"])
async def test_a_negative_cost_is_refused_with_the_remedy(clock, method):
    store = await opened(clock)
    with pytest.raises(ValueError, match="use refund"):
        await getattr(store, method)("a", TEN, -1)


async def test_a_lease_needs_a_time(clock):
    store = await opened(clock)
    with pytest.raises(ValueError, match="positive number of seconds"):
        await store.lease("a", "h", limit=1, ttl=0)


async def test_a_value_without_time_is_not_kept(clock):
    store = await opened(clock)
    await store.put("a", b"1")
    await store.put("a", b"2", ttl=0)
    assert await store.get("a") is None


async def test_closing_forgets_everything_and_ends_subscriptions(clock):
    store = await opened(clock)
    await store.add("a")
    async with store.subscribe("c") as messages:
        await store.aclose()
        assert [message async for message in messages] == []
    assert len(store) == 0


@pytest.mark.parametrize("field", ["max_entries", "once_ttl", "subscriber_queue"])
def test_bounds_are_positive(field):
    with pytest.raises(ValueError, match=f"{field.replace('_', '-')} must be above 0, not 0"):
        MemoryConfig(**{field: 0})


async def test_values_are_bounded_by_their_bytes_and_the_one_used_longest_ago_goes(clock):
    store = await opened(clock, max_size=30)
    await store.put("a", b"1" * 9)
    await store.put("b", b"2" * 9)
    await store.put("c", b"3" * 9)
    assert await store.get("a") == b"1" * 9
    await store.put("d", b"4" * 9)
    assert [await store.get(key) is not None for key in "abcd"] == [True, False, True, True]
    await store.put("a", b"5" * 5)
    assert await store.get("c") is not None


async def test_a_value_larger_than_the_store_is_not_kept_and_drives_none_out(clock):
    store = await opened(clock, max_size=30)
    await store.put("a", b"1" * 9)
    await store.put("b", b"2" * 30)
    assert await store.get("b") is None
    assert await store.get("a") == b"1" * 9


async def test_bytes_whose_time_is_over_make_room_first(clock):
    store = await opened(clock, max_size=30)
    await store.put("lasting", b"1" * 9)
    await store.put("a", b"2" * 9, ttl=5)
    clock.advance(6)
    await store.put("b", b"3" * 9)
    assert await store.get("lasting") == b"1" * 9
