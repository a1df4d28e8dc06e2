"""What every state store promises."""

from __future__ import annotations

import asyncio
import math
from typing import ClassVar, Final

import pytest

from llmgate.spec import Place, Rate, StageContext, Units
from llmgate.testing.clock import FakeClock

from .base import StageConformance

__all__ = ["StateConformance"]

_TEN: Final = Rate(capacity=10, period=10)


class StateConformance(StageConformance):
    """State stores.

    A store that takes its time from somewhere else than the context's clock overrides ``pass_time`` to wait.

    Attributes:
        close: By how many seconds the times in a decision may differ from the kit's.
    """

    kind = "state"
    close: ClassVar[float] = 1e-6

    async def pass_time(self, clock: FakeClock, seconds: float) -> None:
        """Let time pass for the store."""
        await clock.advance(seconds)

    def test_says_whether_it_is_shared(self) -> None:
        """``shared`` tells whether several processes see the same state."""
        assert isinstance(self.make_stage().shared, bool)

    @pytest.mark.asyncio
    async def test_counters_count(self, context: StageContext) -> None:
        """A counter begins at 0 and may go below."""
        async with self.opened(context) as store:
            assert await store.counter("a") == 0
            assert await store.add("a") == 1
            assert await store.add("a", 41) == 42
            assert await store.add("a", -50) == -8
            assert await store.counter("a") == -8
            assert await store.counter("b") == 0
            assert await store.add("big", 2**60) == 2**60

    @pytest.mark.asyncio
    async def test_counters_end(self, context: StageContext, clock: FakeClock) -> None:
        """The time of a counter runs from its creation; adding does not prolong it."""
        async with self.opened(context) as store:
            await store.add("a", 5, ttl=10)
            await self.pass_time(clock, 9)
            assert await store.add("a", 1, ttl=10) == 6
            await self.pass_time(clock, 2)
            assert await store.counter("a") == 0
            assert await store.add("a", 1, ttl=10) == 1

    @pytest.mark.asyncio
    async def test_once_counts_once(self, context: StageContext) -> None:
        """A repeat under the same word changes nothing; the word belongs to its key."""
        async with self.opened(context) as store:
            assert await store.add("a", 5, once="x") == 5
            assert await store.add("a", 5, once="x") == 5
            assert await store.add("a", 5, once="y") == 10
            assert await store.add("b", 5, once="x") == 5
            together = await asyncio.gather(*(store.add("c", 1, once="z") for _ in range(20)))
            assert set(together) == {1}

    @pytest.mark.asyncio
    async def test_no_addition_is_lost(self, context: StageContext) -> None:
        """A hundred at once add up."""
        async with self.opened(context) as store:
            counts = await asyncio.gather(*(store.add("a") for _ in range(100)))
            assert sorted(counts) == list(range(1, 101))

    @pytest.mark.asyncio
    async def test_a_rate_grants_its_capacity_and_no_more(self, context: StageContext) -> None:
        """Of forty who ask at once, ten get something."""
        async with self.opened(context) as store:
            decisions = await asyncio.gather(*(store.acquire("a", _TEN) for _ in range(40)))
            assert sum(decision.allowed for decision in decisions) == 10
            granted = sorted(decision.remaining for decision in decisions if decision.allowed)
            assert granted == list(range(10))

    @pytest.mark.asyncio
    async def test_a_large_rate_is_counted_to_the_unit(self, context: StageContext) -> None:
        """However much there is, what is left is told exactly, and not one unit too many is granted."""
        large = Rate(capacity=10**12, period=1e15)
        async with self.opened(context) as store:
            assert (await store.acquire("a", large)).remaining == 10**12 - 1
            assert (await store.claim([Units("a", large, 1)]))[0].remaining == 10**12 - 2
            assert not (await store.acquire("a", large, 10**12 - 1)).allowed
            assert (await store.acquire("a", large, 10**12 - 2)).remaining == 0
            assert not (await store.acquire("a", large)).allowed

    @pytest.mark.asyncio
    async def test_a_rate_comes_back_evenly(self, context: StageContext, clock: FakeClock) -> None:
        """Who waits ``retry_after`` is granted; who waits less is not."""
        async with self.opened(context) as store:
            await store.acquire("a", _TEN, 10)
            refused = await store.acquire("a", _TEN, 3)
            assert not refused.allowed
            assert refused.remaining == 0
            assert refused.retry_after == pytest.approx(3, abs=self.close)
            assert refused.reset_after == pytest.approx(10, abs=self.close)
            await self.pass_time(clock, 2)
            assert not (await store.acquire("a", _TEN, 3)).allowed
            await self.pass_time(clock, 1)
            granted = await store.acquire("a", _TEN, 3)
            assert (granted.allowed, granted.retry_after) == (True, 0)
            await self.pass_time(clock, 30)
            assert (await store.peek("a", _TEN, 10)).allowed

    @pytest.mark.asyncio
    async def test_a_peek_spends_nothing(self, context: StageContext) -> None:
        """``peek`` says what ``acquire`` would, however often."""
        async with self.opened(context) as store:
            await store.acquire("a", _TEN, 4)
            peeked = [await store.peek("a", _TEN, 6) for _ in range(3)]
            taken = await store.acquire("a", _TEN, 6)
            assert all(decision.allowed for decision in peeked)
            assert [decision.remaining for decision in peeked] == [taken.remaining] * 3 == [0] * 3

    @pytest.mark.asyncio
    async def test_more_than_the_capacity_is_never_granted(self, context: StageContext) -> None:
        """Waiting would not help, and the answer says so; nothing is spent."""
        async with self.opened(context) as store:
            refused = await store.acquire("a", _TEN, 11)
            assert not refused.allowed
            assert refused.retry_after == math.inf
            assert (await store.acquire("a", _TEN, 10)).allowed
            assert not (await store.acquire("none", Rate(capacity=0, period=1))).allowed

    @pytest.mark.asyncio
    async def test_a_refund_gives_back(self, context: StageContext) -> None:
        """Units come back at once, and never above the capacity."""
        async with self.opened(context) as store:
            await store.acquire("a", _TEN, 10)
            await store.refund("a", _TEN, 4)
            assert (await store.peek("a", _TEN, 0)).remaining == 4
            await store.refund("a", _TEN, 100)
            assert (await store.peek("a", _TEN, 0)).remaining == 10
            await store.refund("new", _TEN, 100)
            assert not (await store.peek("new", _TEN, 11)).allowed

    @pytest.mark.asyncio
    async def test_a_negative_refund_spends(self, context: StageContext, clock: FakeClock) -> None:
        """An estimate that was too low is settled below nothing, and has to come back first."""
        async with self.opened(context) as store:
            await store.acquire("a", _TEN, 5)
            await store.refund("a", _TEN, -15)
            refused = await store.acquire("a", _TEN, 1)
            assert not refused.allowed
            assert refused.remaining == 0
            assert refused.retry_after == pytest.approx(11, abs=self.close)
            await self.pass_time(clock, 12)
            assert (await store.acquire("a", _TEN, 1)).allowed

    @pytest.mark.asyncio
    async def test_once_is_granted_once(self, context: StageContext) -> None:
        """A repeat under the same word gets the first decision and spends nothing."""
        async with self.opened(context) as store:
            first = await store.acquire("a", _TEN, 6, once="x")
            assert await store.acquire("a", _TEN, 6, once="x") == first
            assert (await store.peek("a", _TEN, 0)).remaining == 4
            refused = await store.acquire("a", _TEN, 6, once="y")
            assert not refused.allowed
            await store.refund("a", _TEN, 10)
            assert not (await store.acquire("a", _TEN, 6, once="y")).allowed

    @pytest.mark.asyncio
    async def test_leases_are_limited(self, context: StageContext) -> None:
        """There are as many places as there are; a holder renews its own and gives it back."""
        async with self.opened(context) as store:
            taken = await asyncio.gather(*(store.lease("a", f"h{n}", limit=3, ttl=10) for n in range(10)))
            assert sum(taken) == 3
            holders = [f"h{n}" for n, mine in enumerate(taken) if mine]
            assert await store.lease("a", holders[0], limit=3, ttl=10)
            assert not await store.lease("a", "another", limit=3, ttl=10)
            await store.release("a", holders[0])
            await store.release("a", holders[0])
            await store.release("a", "nobody")
            assert await store.lease("a", "another", limit=3, ttl=10)
            assert not await store.lease("a", "one-more", limit=3, ttl=10)
            assert not await store.lease("none", "x", limit=0, ttl=10)

    @pytest.mark.asyncio
    async def test_leases_end(self, context: StageContext, clock: FakeClock) -> None:
        """The place of a holder that is gone comes free; renewing keeps it."""
        async with self.opened(context) as store:
            await store.lease("a", "dies", limit=2, ttl=10)
            await store.lease("a", "lives", limit=2, ttl=10)
            await self.pass_time(clock, 8)
            assert await store.lease("a", "lives", limit=2, ttl=10)
            await self.pass_time(clock, 3)
            assert await store.lease("a", "new", limit=2, ttl=10)
            assert not await store.lease("a", "too-many", limit=2, ttl=10)

    @pytest.mark.asyncio
    async def test_a_window_comes_back_at_its_end(self, context: StageContext, clock: FakeClock) -> None:
        """Of a window nothing comes back before its end, and then all; whole units are counted exactly."""

        def window(ends_in: float) -> Rate:
            return Rate(capacity=10**15, period=10, ends_in=ends_in)

        async with self.opened(context) as store:
            assert (await store.acquire("a", window(10), 10**15 - 1)).remaining == 1
            await self.pass_time(clock, 4)
            refused = await store.acquire("a", window(6), 2)
            assert not refused.allowed
            assert refused.retry_after == refused.reset_after == 6
            assert (await store.acquire("a", window(6), 1)).remaining == 0
            await store.refund("a", window(6), 5)
            assert (await store.peek("a", window(6), 5)).allowed
            assert not (await store.peek("a", window(6), 6)).allowed
            await self.pass_time(clock, 7)
            assert (await store.acquire("a", window(10), 10**15)).allowed

    @pytest.mark.asyncio
    async def test_claims_are_granted_together_or_not_at_all(self, context: StageContext) -> None:
        """Where one of several is refused nothing is taken of any, whichever it is and however many ask at once."""
        async with self.opened(context) as store:
            await store.acquire("few", _TEN, 6)

            async def ask(number: int) -> bool:
                claims = (Units("many", Rate(100, 1e6), 7), Units("few", _TEN), Place("place", f"h{number}", 3, 60))
                return all(one.allowed for one in await store.claim(claims))

            assert sum(await asyncio.gather(*(ask(number) for number in range(20)))) == 3
            assert (await store.peek("many", Rate(100, 1e6), 0)).remaining == 79
            assert (await store.peek("few", _TEN, 0)).remaining == 1
            refused = await store.claim((Units("many", Rate(100, 1e6), 7), Units("few", _TEN, 2), Units("c", _TEN)))
            assert [one.allowed for one in refused] == [True, False]
            assert refused[0].remaining == 79

    @pytest.mark.asyncio
    async def test_claims_are_given_back_together(self, context: StageContext) -> None:
        """Units and places come back; giving back a place twice gives nobody else's."""
        async with self.opened(context) as store:
            claims = (Units("a", _TEN, 4), Place("p", "one", 2, 60))
            units, place = await store.claim(claims)
            assert (units.remaining, place.allowed) == (6, True)
            await store.claim((Place("p", "two", 2, 60),))
            await store.give_back((Units("a", _TEN, 3), Place("p", "one", 2, 60)))
            await store.give_back((Units("a", _TEN, -2), Place("p", "one", 2, 60)))
            assert (await store.peek("a", _TEN, 0)).remaining == 7
            for _ in range(3):
                await store.give_back((Units("a", _TEN, 1),), once="x")
            await store.give_back((Units("a", _TEN, 1),), once="y")
            assert (await store.peek("a", _TEN, 0)).remaining == 9, "once for each word"
            assert await store.lease("p", "three", limit=2, ttl=60)
            assert not await store.lease("p", "four", limit=2, ttl=60)

    @pytest.mark.asyncio
    async def test_claims_are_decided_once(self, context: StageContext) -> None:
        """A repeat under the same word gets the first decisions and takes nothing."""
        async with self.opened(context) as store:
            claims = (Units("a", _TEN, 4), Units("b", _TEN, 5))
            first = await store.claim(claims, once="x")
            assert await store.claim(claims, once="x") == first
            assert (await store.peek("a", _TEN, 0)).remaining == 6

    @pytest.mark.asyncio
    async def test_values_are_kept_for_their_time(self, context: StageContext, clock: FakeClock) -> None:
        """A value comes back byte for byte until its time is over."""
        value = bytes(range(256)) * 100
        async with self.opened(context) as store:
            assert await store.get("a") is None
            await store.put("a", value, ttl=10)
            await store.put("b", b"")
            assert await store.get("a") == value
            assert await store.get("b") == b""
            await self.pass_time(clock, 11)
            assert await store.get("a") is None
            assert await store.get("b") == b""
            await store.put("b", b"other", ttl=10)
            assert await store.get("b") == b"other"
            await store.delete("b")
            await store.delete("b")
            assert await store.get("b") is None

    @pytest.mark.asyncio
    async def test_kinds_of_state_do_not_mix(self, context: StageContext) -> None:
        """One key names a counter, a rate, a lease and a value, each for itself."""
        async with self.opened(context) as store:
            await store.add("k", 7, once="w")
            await store.acquire("k", _TEN, 3, once="w")
            await store.lease("k", "h", limit=1, ttl=10)
            await store.put("k", b"v")
            await store.delete("k")
            assert await store.counter("k") == 7
            assert (await store.peek("k", _TEN, 0)).remaining == 7
            assert not await store.lease("k", "other", limit=1, ttl=10)

    @pytest.mark.asyncio
    async def test_awkward_keys_are_keys(self, context: StageContext) -> None:
        """Keys may hold any text."""
        keys = ["", " ", "a:b", "a{b}", "ключ", "\U0001f511", "x" * 500, "a\nb", "a\x00b"]
        async with self.opened(context) as store:
            for number, key in enumerate(keys):
                await store.put(key, str(number).encode())
                await store.add(key, number)
            assert [await store.get(key) for key in keys] == [str(number).encode() for number in range(len(keys))]
            assert [await store.counter(key) for key in keys] == list(range(len(keys)))

    @pytest.mark.asyncio
    async def test_subscribers_hear_what_is_published_from_then_on(self, context: StageContext) -> None:
        """Everybody who listens hears everything once, in order; nobody hears another channel or the past."""
        async with self.opened(context) as store:
            await store.publish("a", b"too early")
            async with store.subscribe("a") as one, store.subscribe("a") as two:
                await store.publish("b", b"elsewhere")
                for number in range(5):
                    await store.publish("a", b"%d" % number)
                for messages in (one, two):
                    heard = [await asyncio.wait_for(anext(messages), 5) for _ in range(5)]
                    assert heard == [b"0", b"1", b"2", b"3", b"4"]
            await store.publish("a", b"nobody listens")

    @pytest.mark.asyncio
    async def test_a_slow_subscriber_holds_nobody_up(self, context: StageContext) -> None:
        """Its queue is bounded: publishing goes on, and what it hears in the end is the newest."""
        async with self.opened(context) as store, store.subscribe("a") as slow:
            for number in range(20_000):
                await store.publish("a", b"%d" % number)
            heard = b""
            while heard != b"19999":
                heard = await asyncio.wait_for(anext(slow), 30)
