"""``rate-limit``, request by request."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import attrs
import pytest

from llmgate.spec import (
    Aspect,
    CallerLimit,
    ChatRequest,
    ConfigError,
    ExchangeView,
    InvalidRequestError,
    Outcome,
    Principal,
    ProviderError,
    Rate,
    RateLimitError,
    StageContext,
    Usage,
)
from llmgate.stages.interceptors.rate_limit import (
    LimitConfig,
    PerApiKeyConfig,
    RateLimit,
    RateLimitConfig,
    RateLimitUnknownError,
)
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.samples import sample_attempt, sample_deployment, sample_exchange, sample_request
from llmgate.testing.transport import ScriptedTransport

ANN, BOB = Principal("ann", "keys"), Principal("bob", "keys")


class Shared(Memory):
    shared = True
    instant = False


class Failing(Memory):
    """Fails, hangs or works, and counts how often it is asked."""

    mode = "works"
    asked = 0
    instant = False

    async def claim(self, claims, *, once=None):
        type(self).asked += 1
        if self.mode == "fails":
            raise ConnectionError("refused")
        if self.mode == "hangs":
            await asyncio.Event().wait()
        return await super().claim(claims, once=once)


class Bench:
    """Stages over one store and one clock."""

    def __init__(self, store=None):
        self.clock = FakeClock()
        self.store = Memory(MemoryConfig()) if store is None else store
        self.local = None

    async def stage(self, *limits, name="global.rate-limit", workers=1, **config):
        one = RateLimit(RateLimitConfig(limits=limits, **config))
        context = StageContext(
            id=name,
            clock=self.clock,
            transport=ScriptedTransport(),
            fetch_secret=None,
            state=lambda name: self.local if name == "memory" and self.local is not None else self.store,
            workers=workers,
        )
        await self.store.open(context)
        await one.open(context)
        return one

    async def ask(self, *stages, request=None, settle=True, **fields):
        """One exchange through the stages, as the chain takes it; gives the exchange back."""
        exchange = sample_exchange(request or sample_request(), **{"principal": ANN, **fields})
        view = ExchangeView(exchange)
        entered = 0
        try:
            for stage in stages:
                entered += 1
                assert await stage.before_request(view, exchange.request) is None
            if settle:
                exchange.attempts.append(sample_attempt())
        except (RateLimitError, RateLimitUnknownError) as error:
            exchange.error = error
        finally:
            if settle:
                for stage in reversed(stages[:entered]):
                    await stage.on_settle(view)
        return exchange

    async def granted(self, count, *stages, **fields):
        return sum([(await self.ask(*stages, **fields)).error is None for _ in range(count)])


@pytest.fixture
def bench():
    return Bench()


async def test_a_key_has_its_capacity_at_once_and_then_what_comes_back(bench):
    stage = await bench.stage(per_api_key=PerApiKeyConfig(3, 6.0))
    assert await bench.granted(10, stage) == 3
    assert await bench.granted(10, stage, principal=BOB) == 3, "another key has its own"
    bench.clock.advance(1.9)
    assert await bench.granted(5, stage) == 0
    bench.clock.advance(0.1)
    assert await bench.granted(5, stage) == 1
    bench.clock.advance(1000)
    assert await bench.granted(10, stage) == 3


async def test_a_hundred_at_once_get_exactly_the_capacity(bench):
    stage = await bench.stage(LimitConfig(10, 1e6))
    exchanges = await asyncio.gather(*(bench.ask(stage) for _ in range(100)))
    assert sum(one.error is None for one in exchanges) == 10


async def test_a_refusal_says_which_limit_and_when(bench):
    stage = await bench.stage(LimitConfig(2, 60.0, name="small"))
    await bench.granted(2, stage)
    exchange = await bench.ask(stage)
    error = exchange.error
    assert (error.http_status, error.code, error.retry_after) == (429, "rate_limit_exceeded", pytest.approx(30))
    assert error.message == "rate limit 'small' reached: 2 requests in 60 s; try again in 30 s"
    assert exchange.noted_metadata() == {"rate-limit.refused-by": "global.rate-limit (small)"}
    assert exchange.noted_headers()["x-ratelimit-after"] == "30"


async def test_who_keeps_asking_waits_no_longer_for_it(bench):
    stage = await bench.stage(LimitConfig(1, 10.0))
    await bench.ask(stage)
    for _ in range(50):
        await bench.ask(stage)
    bench.clock.advance(10)
    assert await bench.granted(1, stage) == 1


async def test_a_local_store_keeps_one_entry_a_key_however_many_ask(bench):
    stage = await bench.stage(LimitConfig(1000, 1e6))
    assert await bench.granted(500, stage) == 500
    assert len(bench.store) == 1


async def test_a_shared_store_is_told_which_exchange_asks():
    words = []

    class Listening(Shared):
        async def claim(self, claims, *, once=None):
            words.append((len(claims), once))
            return await super().claim(claims, once=once)

    bench = Bench(Listening(MemoryConfig()))
    exchange = await bench.ask(await bench.stage(LimitConfig(5, 1e6), LimitConfig(5, 1e6, by=())))
    assert words == [(2, exchange.id)], "in one step"


class TestSeveralLimits:
    async def test_nothing_is_spent_from_one_when_another_refuses(self, bench):
        stage = await bench.stage(LimitConfig(10, 1e6, by=()), LimitConfig(2, 1e6))
        assert await bench.granted(10, stage) == 2
        assert await bench.granted(10, stage, principal=BOB) == 2
        other = await bench.stage(LimitConfig(10, 1e6, by=()))
        assert await bench.granted(100, other) == 6, "four of ten have been spent"

    @pytest.mark.parametrize(("outer", "inner", "granted"), [(10, 2, 2), (2, 10, 2)])
    async def test_global_and_router_must_both_agree(self, bench, outer, inner, granted):
        shared = await bench.stage(LimitConfig(outer, 1e6))
        router = await bench.stage(LimitConfig(inner, 1e6), name="routers.a.rate-limit")
        assert await bench.granted(10, shared, router) == granted
        assert await bench.granted(20, shared) == outer - granted
        assert await bench.granted(20, router) == inner - granted

    async def test_what_a_router_refuses_is_back_before_the_answer(self, bench):
        shared = await bench.stage(LimitConfig(10, 1e6))
        router = await bench.stage(LimitConfig(1, 1e6), name="routers.a.rate-limit")
        await bench.granted(1, shared, router)
        await bench.ask(shared, router, settle=False)
        assert await bench.granted(20, shared) == 9

    async def test_routers_are_independent(self, bench):
        strict = await bench.stage(LimitConfig(1, 1e6), name="routers.a.rate-limit")
        lenient = await bench.stage(LimitConfig(5, 1e6), name="routers.b.rate-limit")
        assert (await bench.granted(9, strict), await bench.granted(9, lenient)) == (1, 5)

    async def test_a_limit_of_some_models_is_of_no_others(self, bench):
        stage = await bench.stage(LimitConfig(1, 1e6, models=("gpt-*",)))
        assert await bench.granted(5, stage, request=sample_request("claude")) == 5
        assert await bench.granted(5, stage, request=sample_request("gpt-4o")) == 1
        assert (await bench.ask(stage, request=sample_request("claude"))).noted_headers() == {}


class TestLeaving:
    @pytest.mark.parametrize("before", [True, False])
    async def test_who_leaves_before_the_decision_is_charged_nothing(self, before):
        """Whether the store had decided when its caller left, or had not."""

        class Slow(Shared):
            slow = True

            async def claim(self, claims, *, once=None):
                decisions = None if before else await super().claim(claims, once=once)
                if self.slow:
                    type(self).slow = False
                    await asyncio.Event().wait()
                return decisions or await super().claim(claims, once=once)

        bench = Bench(Slow(MemoryConfig()))
        stage = await bench.stage(LimitConfig(5, 1e6, by=()), LimitConfig(5, unit="concurrent", by=()))
        task = asyncio.create_task(bench.ask(stage))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert (await bench.store.peek("rate-limit:global.rate-limit.0", Rate(5, 1e6), 0)).remaining == 5
        places = [await bench.store.lease("rate-limit:global.rate-limit.1", f"{n}", limit=5, ttl=9) for n in range(5)]
        assert places == [True] * 5
        await stage.aclose()

    async def test_who_leaves_after_it_stays_charged(self, bench):
        stage = await bench.stage(LimitConfig(5, 1e6))
        await bench.granted(2, stage, disconnected=True)
        assert await bench.granted(9, stage) == 3

    async def test_settling_twice_changes_nothing(self, bench):
        stage = await bench.stage(LimitConfig(100, 1e6, unit="tokens"))
        exchange = await bench.ask(stage)
        await stage.on_settle(ExchangeView(exchange))
        assert not {"account", "grant"} & exchange.notes("rate-limit").keys()


class TestTokens:
    def request(self, output):
        return attrs.evolve(sample_request(max_output_tokens=output), body=b"x" * 40)

    async def answered(self, bench, stage, output, usage):
        exchange = await bench.ask(stage, request=self.request(output), settle=False)
        if exchange.error is None:
            exchange.attempts.append(sample_attempt(outcome=Outcome(usage=usage)))
        await stage.on_settle(ExchangeView(exchange))
        return exchange.error is None

    async def test_the_estimate_is_held_and_what_was_used_stays(self, bench):
        stage = await bench.stage(LimitConfig(100, 1e6, unit="tokens"))
        used = Usage(input_tokens=10, output_tokens=5)
        assert [await self.answered(bench, stage, 50, used) for _ in range(6)] == [True] * 3 + [False] * 3

    async def test_requests_at_once_hold_their_estimates(self, bench):
        stage = await bench.stage(LimitConfig(100, 1e6, unit="tokens"))
        found = [await bench.ask(stage, request=self.request(40), settle=False) for _ in range(4)]
        assert [one.error is None for one in found] == [True, True, False, False]

    async def test_more_than_was_estimated_is_paid_later(self, bench):
        stage = await bench.stage(LimitConfig(100, 100.0, unit="tokens"))
        assert await self.answered(bench, stage, 50, Usage(input_tokens=150, output_tokens=50))
        bench.clock.advance(150)
        assert not await self.answered(bench, stage, 50, Usage(input_tokens=1, output_tokens=1))
        bench.clock.advance(10)
        assert await self.answered(bench, stage, 50, Usage(input_tokens=1, output_tokens=1))

    async def test_one_that_may_take_more_than_the_capacity_takes_all_of_it(self, bench):
        stage = await bench.stage(LimitConfig(100, 1e6, unit="tokens"))
        assert await self.answered(bench, stage, 100_000, Usage(input_tokens=1, output_tokens=1))
        assert not await self.answered(bench, stage, 100_000, None)


class TestConcurrent:
    async def test_a_place_is_held_until_the_request_is_over(self, bench):
        stage = await bench.stage(LimitConfig(2, unit="concurrent"))
        held = [await bench.ask(stage, settle=False) for _ in range(3)]
        assert [one.error is None for one in held] == [True, True, False]
        refused = held[2].error
        assert refused.message == "rate limit 'concurrent-per-api-key' reached: 2 requests at once; try again in 1 s"
        assert refused.retry_after == 1.0
        await stage.on_settle(ExchangeView(held[0]))
        await stage.on_settle(ExchangeView(held[0]))
        assert (await bench.ask(stage, settle=False)).error is None
        assert (await bench.ask(stage, settle=False)).error is not None

    async def test_a_place_that_a_second_limit_takes_back_is_free(self, bench):
        stage = await bench.stage(LimitConfig(1, unit="concurrent"), LimitConfig(1, 1e6, by=()))
        await bench.ask(stage)
        assert (await bench.ask(stage)).error is not None
        other = await bench.stage(LimitConfig(1, unit="concurrent"))
        assert (await bench.ask(other)).error is None

    async def test_one_alone_in_its_process_is_held_for_as_long_as_it_takes(self, bench):
        stage = await bench.stage(LimitConfig(1, unit="concurrent"))
        await bench.ask(stage, settle=False)
        bench.clock.advance(1e6)
        assert (await bench.ask(stage)).error is not None

    async def test_a_dead_process_holds_its_place_for_a_lease_and_a_living_one_for_longer(self):
        bench = Bench(Shared(MemoryConfig()))
        dead, alive = [await bench.stage(LimitConfig(2, unit="concurrent"), lease=30.0) for _ in range(2)]
        await bench.ask(dead, settle=False)
        await bench.ask(alive, settle=False)
        await dead.aclose()
        await asyncio.sleep(0)
        for _ in range(10):
            await bench.clock.advance(10)
        assert (await bench.ask(alive, settle=False)).error is None
        assert (await bench.ask(alive, settle=False)).error is not None
        await alive.aclose()


class TestWindows:
    async def test_a_month_ends_where_the_calendar_says(self, bench):
        stage = await bench.stage(LimitConfig(3, window="month"))
        assert await bench.granted(5, stage) == 3
        error = (await bench.ask(stage)).error
        assert error.message.startswith("rate limit 'requests-per-api-key' reached: 3 requests a month; try again in")
        bench.clock.advance(error.retry_after - 1)
        assert await bench.granted(5, stage) == 0
        bench.clock.advance(1)
        assert await bench.granted(5, stage) == 3

    async def test_a_clock_that_is_put_back_over_the_end_grants_nothing_twice(self, bench):
        stage = await bench.stage(LimitConfig(3, window="month"))
        assert await bench.granted(5, stage) == 3
        bench.clock.advance((await bench.ask(stage)).error.retry_after)
        assert await bench.granted(2, stage) == 2
        bench.clock.shift_wall(-5)
        assert await bench.granted(5, stage) == 1
        bench.clock.advance(10)
        assert await bench.granted(5, stage) == 0

    async def test_one_that_was_far_ahead_is_put_right(self, bench):
        stage = await bench.stage(LimitConfig(3, window="month"))
        assert await bench.granted(5, stage) == 3
        bench.clock.shift_wall(-40 * 86400)
        assert await bench.granted(5, stage) == 3


class TestAttempts:
    async def attempt(self, stage, exchange, deployment, **fields):
        view = ExchangeView(exchange)
        attempt = sample_attempt(index=len(exchange.attempts), deployment=sample_deployment(deployment), **fields)
        allowed = await stage.before_attempt(view, attempt)
        if allowed:
            exchange.attempts.append(attempt)
            await stage.after_attempt(view, attempt)
        return allowed, attempt

    async def test_a_provider_at_its_limit_is_left_out(self, bench):
        stage = await bench.stage(LimitConfig(1, 1e6, by=("provider",)))
        assert not stage.skips
        exchange = sample_exchange(sample_request(), principal=ANN)
        assert (await self.attempt(stage, exchange, "a/m"))[0]
        allowed, attempt = await self.attempt(stage, exchange, "a/n")
        assert not allowed
        assert attempt.error.code == "rate_limit_exceeded"
        assert (await self.attempt(stage, exchange, "b/m"))[0]
        assert exchange.noted_metadata() == {"rate-limit.refused-by": "global.rate-limit (requests-per-provider)"}

    async def test_each_model_of_a_chain_has_its_own_limit(self, bench):
        stage = await bench.stage(LimitConfig(1, 1e6, models=("o3*",)))
        exchange = sample_exchange(sample_request("a/gpt-4o,a/o3"), principal=ANN)
        assert await stage.before_request(ExchangeView(exchange), exchange.request) is None
        assert [(await self.attempt(stage, exchange, "a/gpt-4o"))[0] for _ in range(3)] == [True] * 3
        assert [(await self.attempt(stage, exchange, "a/o3"))[0] for _ in range(3)] == [True, False, False]

    async def test_a_place_at_a_provider_is_free_after_its_attempt(self, bench):
        stage = await bench.stage(LimitConfig(1, unit="concurrent", by=("provider",)))
        exchange = sample_exchange(sample_request(), principal=ANN)
        assert [(await self.attempt(stage, exchange, "a/m"))[0] for _ in range(3)] == [True] * 3

    async def test_an_attempt_that_never_began_costs_nothing(self, bench):
        stage = await bench.stage(LimitConfig(1, 1e6, by=("provider",)))
        exchange = sample_exchange(sample_request(), principal=ANN)
        attempt = sample_attempt(deployment=sample_deployment("a/m"))
        assert await stage.before_attempt(ExchangeView(exchange), attempt)
        await stage.after_attempt(ExchangeView(exchange), attempt)
        assert (await self.attempt(stage, exchange, "a/m"))[0]

    async def test_limits_that_need_no_attempt_watch_none(self, bench):
        stage = await bench.stage(LimitConfig(1, 1e6))
        assert stage.skips == {"before_attempt", "after_attempt"}


class TestWaiting:
    async def test_a_request_waits_for_its_turn(self, bench):
        stage = await bench.stage(LimitConfig(1, 10.0), wait=60.0)
        await bench.ask(stage)
        waiting = [asyncio.create_task(bench.ask(stage)) for _ in range(2)]
        await bench.clock.advance(0)
        for _ in range(4):
            await bench.clock.advance(5)
        exchanges = await asyncio.gather(*waiting)
        assert [one.error for one in exchanges] == [None, None]
        assert [one.noted_metadata()["rate-limit.waited"] for one in exchanges] == ["10.000", "20.000"]

    async def test_nobody_passes_those_who_wait(self, bench):
        stage = await bench.stage(LimitConfig(1, 10.0), wait=60.0)
        await bench.ask(stage)
        first = asyncio.create_task(bench.ask(stage))
        await asyncio.sleep(0)
        second = asyncio.create_task(bench.ask(stage))
        await bench.clock.advance(0)
        await bench.clock.advance(10)
        assert (first.done(), second.done()) == (True, False)
        await bench.clock.advance(10)
        assert (await second).error is None

    async def test_who_would_wait_too_long_is_refused_at_once(self, bench):
        stage = await bench.stage(LimitConfig(1, 100.0), wait=60.0)
        await bench.ask(stage)
        refused = await bench.ask(stage)
        assert refused.error.retry_after == pytest.approx(100)
        assert bench.clock.sleeping == 0

    async def test_a_place_that_comes_free_goes_to_who_waits(self, bench):
        stage = await bench.stage(LimitConfig(1, unit="concurrent"), wait=60.0)
        holder = await bench.ask(stage, settle=False)
        waiting = asyncio.create_task(bench.ask(stage, settle=False))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        await stage.on_settle(ExchangeView(holder))
        assert (await waiting).error is None

    async def test_who_leaves_while_waiting_costs_nothing(self, bench):
        stage = await bench.stage(LimitConfig(1, 10.0), wait=60.0)
        await bench.ask(stage)
        waiting = asyncio.create_task(bench.ask(stage))
        for _ in range(5):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await bench.clock.advance(10)
        assert (await bench.ask(stage)).error is None


class TestTheStoreIsDown:
    @pytest.fixture
    def failing(self):
        class Own(Failing):
            pass

        return Bench(Own(MemoryConfig()))

    @pytest.mark.parametrize("mode", ["fails", "hangs"])
    async def test_requests_are_refused_and_the_log_says_it_once(self, failing, caplog, mode):
        stage = await failing.stage(LimitConfig(1, 1e6), timeout=0.01)
        type(failing.store).mode = mode
        for _ in range(5):
            error = (await failing.ask(stage)).error
            assert (error.http_status, error.code, error.retry_after) == (503, "rate_limit_unknown", 1.0)
        assert failing.store.asked == 1, "a store that is down is left alone for a while"
        failing.clock.advance(1)
        await failing.ask(stage)
        assert failing.store.asked == 2
        (line,) = [one.message for one in caplog.records if one.levelno == logging.ERROR]
        assert line.endswith("requests are refused")
        assert "'memory' fails" in line

    async def test_or_let_through_and_counted_again_when_it_is_back(self, failing, caplog):
        stage = await failing.stage(LimitConfig(1, 1e6), on_failure="allow")
        type(failing.store).mode = "fails"
        assert await failing.granted(5, stage) == 5
        type(failing.store).mode = "works"
        failing.clock.advance(1)
        assert await failing.granted(5, stage) == 1
        assert [one.message.rpartition(": ")[2] for one in caplog.records] == [
            "requests are let through uncounted",
            "state store 'memory' counts again",
        ]

    async def test_a_store_that_refuses_one_caller_is_asked_for_the_next(self):
        bench = Bench(Memory(MemoryConfig(max_entries=1)))
        stage = await bench.stage(LimitConfig(5, 1e6))
        assert (await bench.ask(stage)).error is None
        assert (await bench.ask(stage, principal=BOB)).error.code == "rate_limit_unknown"
        assert (await bench.ask(stage)).error is None

    def test_nobody_waits_longer_than_half_a_second(self):
        assert RateLimitConfig().timeout == 0.5
        (field,) = [one for one in attrs.fields(RateLimitConfig) if one.name == "timeout"]
        assert field.metadata["maximum"] == 0.5


class TestThePolicyHeader:
    HEADERS = {"client_headers": {"helicone-ratelimit-policy": "2;w=60;s=user", "helicone-user-id": "u"}}

    async def test_a_caller_limits_itself_by_user(self, bench):
        stage = await bench.stage(policy_header=True)
        assert await bench.granted(5, stage, **self.HEADERS) == 2
        other = {"client_headers": {**self.HEADERS["client_headers"], "helicone-user-id": "v"}}
        assert await bench.granted(5, stage, **other) == 2
        assert await bench.granted(5, stage, principal=BOB, **self.HEADERS) == 2
        assert await bench.granted(5, stage) == 5

    async def test_it_loosens_nothing(self, bench):
        stage = await bench.stage(LimitConfig(1, 1e6), policy_header=True)
        assert await bench.granted(5, stage, **self.HEADERS) == 1

    async def test_it_is_not_read_where_it_is_not_wanted(self, bench):
        stage = await bench.stage(LimitConfig(5, 1e6))
        assert await bench.granted(9, stage, **self.HEADERS) == 5

    async def test_one_that_cannot_be_read_is_refused(self, bench):
        stage = await bench.stage(policy_header=True)
        with pytest.raises(InvalidRequestError):
            await bench.ask(stage, client_headers={"helicone-ratelimit-policy": "many"})


class TestWorkers:
    async def test_each_grants_its_share_of_a_local_store(self, bench):
        stage = await bench.stage(LimitConfig(10, 1e6), workers=4)
        assert await bench.granted(10, stage) == 2

    async def test_a_shared_store_knows_the_whole(self):
        bench = Bench(Shared(MemoryConfig()))
        stage = await bench.stage(LimitConfig(10, 1e6), workers=4)
        again = await bench.stage(LimitConfig(10, 1e6), workers=4)
        assert await bench.granted(6, stage) + await bench.granted(9, again) == 10

    async def test_a_limit_that_cannot_be_divided_is_refused(self, bench):
        with pytest.raises(ConfigError, match="capacity: 3 cannot be divided among 4 workers"):
            await bench.stage(LimitConfig(3, 1e6), workers=4)

    def test_it_needs_a_store_that_all_see(self):
        assert RateLimit(RateLimitConfig()).strict_state


def never_decode(body: bytes) -> ChatRequest:
    raise AssertionError("nothing that is counted needs the body")


async def test_requests_are_counted_without_a_look_into_them(bench):
    stage = await bench.stage(LimitConfig(5, 1.0, by=("api-key", "ip", "model", "property:a")))
    assert stage.reads == {Aspect.META}
    await bench.ask(stage, request=sample_request(decode=never_decode))
    for limit in (LimitConfig(5, 1.0, by=("user",)), LimitConfig(5, 1.0, unit="tokens")):
        assert Aspect.REQUEST in (await bench.stage(limit)).reads


class TestOwnLimits:
    """Limits that callers have by themselves."""

    SMALL = Principal("small", "keys", limits=(CallerLimit(2, 60.0),))
    LARGE = Principal("large", "keys", limits=(CallerLimit(3, 60.0), CallerLimit(1, None, "concurrent")))

    async def test_each_caller_has_its_own_and_who_has_none_has_none(self, bench):
        stage = await bench.stage(own_limits=True)
        assert await bench.granted(5, stage, principal=self.SMALL) == 2
        assert await bench.granted(5, stage, principal=self.LARGE) == 3
        assert await bench.granted(5, stage, principal=attrs.evolve(self.SMALL, id="twin")) == 2
        assert await bench.granted(600, stage, principal=ANN) == 600
        bench.clock.advance(30)
        assert await bench.granted(5, stage, principal=self.SMALL) == 1

    async def test_they_stand_beside_those_of_everybody(self, bench):
        stage = await bench.stage(LimitConfig(1, 60.0), own_limits=True)
        assert await bench.granted(5, stage, principal=self.SMALL) == 1
        assert await bench.granted(5, stage, principal=ANN) == 1

    async def test_a_place_comes_back(self, bench):
        stage = await bench.stage(own_limits=True)
        held = await bench.ask(stage, principal=self.LARGE, settle=False)
        assert (await bench.ask(stage, principal=self.LARGE)).error is not None
        await stage.on_settle(ExchangeView(held))
        assert (await bench.ask(stage, principal=self.LARGE)).error is None

    async def test_where_they_are_not_asked_for_nothing_is_kept_and_nothing_costs(self, bench):
        stage = await bench.stage(LimitConfig(1000, 60.0))
        assert await bench.granted(5, stage, principal=self.SMALL) == 5
        assert Aspect.REQUEST not in stage.reads

    async def test_many_different_ones_stay_bounded(self, bench, monkeypatch):
        monkeypatch.setattr("llmgate.stages.interceptors.rate_limit.interceptor.MOST_OWN", 3)
        stage = await bench.stage(own_limits=True)
        for capacity in range(1, 20):
            principal = Principal(f"p{capacity}", "keys", limits=(CallerLimit(capacity, 60.0),))
            assert await bench.granted(capacity + 1, stage, principal=principal) == capacity
        assert len(stage._own) <= 3
        assert await bench.granted(1, stage, principal=Principal("p1", "keys", limits=(CallerLimit(1, 60.0),))) == 0


class Moody(Memory):
    """A store that fails when it is told to."""

    broken = False

    async def claim(self, claims, *, once=None):
        if self.broken:
            raise ConnectionError("refused")
        return await super().claim(claims, once=once)

    async def give_back(self, claims, *, once=None):
        if self.broken:
            raise ConnectionError("refused")
        await super().give_back(claims, once=once)


class TestGrants:
    """What is granted in one pass is what the ordinary way would have granted."""

    LIMITS = (
        LimitConfig(5, 1e6, name="r"),
        LimitConfig(1000, 1e6, unit="tokens", name="t"),
        LimitConfig(3, unit="concurrent", name="c"),
    )

    async def left(self, bench, name, capacity, index=0):
        rate = Rate(capacity, 1e6)
        keys = [key for key in bench.store._rates.entries if str(key).startswith(f"rate-limit:{name}.{index}")]
        return [(await bench.store.peek(str(key), rate, 0)).remaining for key in keys]

    @pytest.mark.parametrize("wait", [0.0, 0.01])  # who may wait goes the ordinary way
    async def test_one_that_another_instance_refuses_is_charged_by_none(self, bench, wait):
        first = await bench.stage(*self.LIMITS, wait=wait)
        second = await bench.stage(LimitConfig(2, 1e6, name="tight"), name="router.rate-limit", wait=wait)
        exchanges = [await bench.ask(first, second, request=sample_request(max_output_tokens=10)) for _ in range(4)]
        assert [one.error is None for one in exchanges] == [True, True, False, False]
        assert await self.left(bench, "global.rate-limit", 5) == [3], "the refused ones count nowhere"
        refused = exchanges[2].noted_headers()
        assert '"r";r=' in refused["ratelimit"], "what the first instance granted is told"
        assert '"tight";r=0' in refused["ratelimit"]
        assert exchanges[0].noted_headers()["ratelimit"].startswith('"r";r=4;t=')
        assert exchanges[0].noted_headers()["ratelimit"].endswith('"tight";r=1;t=500000')
        small = sample_request(max_output_tokens=10)
        assert await bench.granted(9, first, principal=BOB, request=small) == 5, "no place is left behind"

    async def test_what_both_ways_tell_is_the_same(self, bench):
        plain, waiting = Bench(), Bench()
        request = sample_request(max_output_tokens=10)
        for _ in range(7):
            told = []
            for one, wait in ((plain, 0.0), (waiting, 0.01)):
                if not hasattr(one, "limits"):
                    one.limits = await one.stage(*self.LIMITS, wait=wait)
                exchange = await one.ask(one.limits, request=request)
                told.append((dict(exchange.noted_headers()), exchange.error and exchange.error.message))
                assert exchange.notes("rate-limit")["verdicts"]["limit"]
                one.clock.advance(0.25)
            assert told[0] == told[1]

    async def test_a_store_that_fails_before_the_end_is_told_when_it_is_back(self):
        bench = Bench(Moody(MemoryConfig()))
        stage = await bench.stage(*self.LIMITS, on_failure="allow", pause=0)
        request = sample_request(max_output_tokens=10)
        exchange = await bench.ask(stage, request=request, settle=False)
        bench.store.broken = True
        exchange.error = ProviderError("down")
        await stage.on_settle(ExchangeView(exchange))
        assert await bench.granted(3, stage, request=request) == 3, "let through uncounted"
        bench.store.broken = False
        assert await bench.granted(9, stage, request=request) == 5, "what the first one held is given back"
        await stage.aclose()

    @pytest.mark.parametrize("mode", ["deny", "allow", "local-share"])
    async def test_what_another_store_has_granted_is_given_back_there(self, mode):
        bench = Bench(Moody(MemoryConfig()))
        bench.local = Memory(MemoryConfig())
        stage = await bench.stage(LimitConfig(2, unit="concurrent"), on_failure=mode, pause=0, state="other")
        held = await bench.ask(stage, settle=False)
        bench.store.broken = True
        meanwhile = await bench.ask(stage, settle=False)
        assert (meanwhile.error is None) is (mode != "deny")
        bench.store.broken = False
        assert await bench.granted(5, stage) == 5
        for one in (meanwhile, held):
            await stage.on_settle(ExchangeView(one))
        again = [await bench.ask(stage, settle=False) for _ in range(3)]
        assert [one.error is None for one in again] == [True, True, False]
        await stage.aclose()
