"""Who is left out is probed, by one process for all; and what one learns the others hear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.pipeline.checkup import Checkup
from llmgate.pipeline.health_watch import CHANNEL
from llmgate.spec import NoDeploymentError, ProviderError, StateStore, hookimpl
from llmgate.stages.state.memory import Memory
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport, json_answer
from scripted import CONFIG, ENVIRONMENT, MESSAGES, CollectingPlugin, OpenBench, completion, failure


def judged(**health: Any) -> dict[str, Any]:
    return {"discover": {"monitor": {"health": {"grace-period": {"min-requests": 3}, **health}}}}


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def ask(pipeline: Pipeline, times: int = 1) -> None:
    for _ in range(times):
        await pipeline.complete(model="alpha/m", messages=MESSAGES)


async def fail(pipeline: Pipeline, times: int = 3) -> None:
    for _ in range(times):
        with pytest.raises(ProviderError):
            await ask(pipeline)


async def one_of(pipeline: Pipeline) -> Checkup:
    return next(one for one in await pipeline.health() if one.id == "alpha/m")


async def test_who_is_left_out_is_probed_until_it_answers(bench: OpenBench) -> None:
    answers = [*[failure(500)] * 3, failure(503), json_answer({"data": []}), completion()]
    async with bench(*answers, **judged(interval="1m", **{"probe-interval": "10s"})) as b:
        await fail(b.pipeline)
        await settle()
        await b.clock.advance(11)
        await settle()
        assert [url.rpartition("/")[2] for url in b.urls[3:]] == ["models"]
        assert (await one_of(b.pipeline)).probe is False
        with pytest.raises(NoDeploymentError):
            await ask(b.pipeline)
        await b.clock.advance(11)
        await settle()
        checkup = await one_of(b.pipeline)
        assert (checkup.probe, checkup.state) == (True, "half-open"), "long before the minute is over"
        await ask(b.pipeline)
        assert (await one_of(b.pipeline)).state == "closed"
        for _ in range(5):
            await b.clock.advance(11)
            await settle()
        assert len(b.urls) == 6, "and nobody is probed any more"


async def test_who_limits_the_gateway_is_not_probed_nor_anybody_where_that_is_off(bench: OpenBench) -> None:
    async with bench(failure(429, **{"retry-after": "200"}), **judged()) as b:
        await fail(b.pipeline, 1)
        await settle()
        assert b.clock.sleeping == 0, "nobody waits for anything"
        await b.clock.advance(30)
        await settle()
        assert len(b.urls) == 1
    async with bench(*[failure(500)] * 3, **judged(**{"probe-interval": 0})) as b:
        await fail(b.pipeline)
        await settle()
        await b.clock.advance(30)
        await settle()
        assert len(b.urls) == 3


async def test_a_probe_that_is_misled_keeps_nobody_out(bench: OpenBench) -> None:
    """A server without a list of models that answers 500 for it would else never be back."""
    answers = [*[failure(500)] * 3, failure(500), completion()]
    async with bench(*answers, **judged(interval="15s")) as b:
        await fail(b.pipeline)
        await settle()
        await b.clock.advance(11)
        await settle()
        await b.clock.advance(5)
        await ask(b.pipeline)


async def test_a_reload_goes_on_probing(bench: OpenBench) -> None:
    settings = judged(interval="1m")
    async with bench(*[failure(500)] * 3, json_answer({}), **settings) as b:
        await fail(b.pipeline)
        await settle()
        for minutes in range(1, 7):
            await b.clock.advance(2)
            await b.pipeline.reload({**CONFIG, **settings, "timeouts": {"total": f"{minutes}m"}})
        await settle()
        assert (await one_of(b.pipeline)).probe is True


async def test_a_reload_that_judges_otherwise_begins_anew(bench: OpenBench) -> None:
    async with bench(*[failure(500)] * 6, json_answer({}), **judged(interval="1m")) as b:
        await fail(b.pipeline)
        await b.pipeline.reload({**CONFIG, **judged(interval="2m")})
        await fail(b.pipeline)
        await settle()
        await b.clock.advance(11)
        await settle()
        assert (await one_of(b.pipeline)).probe is True
        assert len(b.urls) == 7, "the old one probes no more"


class SharedStore(Memory):
    """Memory that several pipelines see: all of them use the first that was opened."""

    name = "shared-memory"
    shared = True
    broken = False
    first: StateStore[Any] | None = None

    async def open(self, context: Any) -> None:
        await super().open(context)
        if type(self).first is None:
            type(self).first = self

    async def publish(self, channel: str, message: bytes) -> None:
        if type(self).broken:
            raise ConnectionError("gone")
        await Memory.publish(self.first, channel, message)  # type: ignore[arg-type]

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return Memory.subscribe(self.first, channel)  # type: ignore[arg-type]

    async def lease(self, key: str, holder: str, *, limit: int, ttl: float) -> bool:
        return await Memory.lease(self.first, key, holder, limit=limit, ttl=ttl)  # type: ignore[arg-type]


class SharedPlugin:
    @hookimpl
    def llmgate_register_state_stores(self) -> type[SharedStore]:
        return SharedStore


@asynccontextmanager
async def fleet(count: int, transport: ScriptedTransport, clock: FakeClock, **health: Any) -> AsyncIterator[Any]:
    """Pipelines that share a store."""
    SharedStore.first, SharedStore.broken = None, False
    config = {**CONFIG, **judged(state="shared", **health), "state": {"shared": {"use": "shared-memory"}}}
    pipelines = [
        Pipeline.from_config(
            config,
            environment=ENVIRONMENT,
            plugins=[CollectingPlugin(), SharedPlugin()],
            transport=transport,
            clock=clock,
        )
        for _ in range(count)
    ]
    for pipeline in pipelines:
        await pipeline.open()
    await settle()
    try:
        yield pipelines
    finally:
        for pipeline in reversed(pipelines):
            await pipeline.aclose()


async def test_what_one_process_finds_dead_no_other_asks_and_one_of_them_probes_for_all() -> None:
    transport, clock = ScriptedTransport([failure(500)] * 3 + [json_answer({})] + [completion()] * 4), FakeClock()
    async with fleet(4, transport, clock, interval="1m") as pipelines:
        await fail(pipelines[0])
        await settle()
        for other in pipelines[1:]:
            with pytest.raises(NoDeploymentError):
                await ask(other)
            assert (await one_of(other)).reason.startswith("3 of its last 3 requests failed")
        assert len(transport.requests) == 3
        await clock.advance(12)
        await settle()
        assert len(transport.requests) == 4, "one probe for all four"
        assert {(await one_of(one)).state for one in pipelines} == {"half-open"}, "and all know what came of it"
        await ask(pipelines[2])
        await settle()
        assert {(await one_of(one)).state for one in pipelines} == {"closed"}
        for one in pipelines[:2]:
            await ask(one)


async def test_a_limit_is_shared_too() -> None:
    transport, clock = ScriptedTransport([failure(429, **{"retry-after": "30"}), completion()]), FakeClock()
    async with fleet(2, transport, clock) as (one, two):
        await fail(one, 1)
        await settle()
        answer = await two.complete(router="main", model="m", messages=MESSAGES)
        assert answer.text == "hi"
        assert transport.requests[-1].url.startswith("https://beta.test/"), "the other one is asked at once"


async def test_without_the_store_each_goes_on_by_itself() -> None:
    transport, clock = ScriptedTransport([failure(500)] * 6), FakeClock()
    async with fleet(2, transport, clock) as (one, two):
        SharedStore.broken = True
        await fail(one)
        await settle()
        await fail(two)
        assert (await one_of(two)).state == "open"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"from": "x", "instance": "y"}',
        b'{"from": "x", "instance": "y", "out": 1}',
        b"[" * 100_000,
        json.dumps({"from": "x", "instance": "y", "out": {"until": -1, "trial": "a", "share": 7, "why": 1}}).encode(),
    ],
)
async def test_nonsense_from_the_store_is_passed_over(message: bytes) -> None:
    transport, clock = ScriptedTransport([failure(500)] * 3), FakeClock()
    async with fleet(2, transport, clock) as (one, two):
        assert SharedStore.first is not None
        await SharedStore.first.publish(CHANNEL, message)
        await fail(one)
        await settle()
        with pytest.raises(NoDeploymentError):
            await ask(two)
