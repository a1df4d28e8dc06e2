"""A request that a stage has sent again in the background: an exchange of its own, bounded, ended with the pipeline."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import Credentials, ExchangeView, GatewayRequest, Interceptor, Principal, RateLimitError, hookimpl
from scripted import MESSAGES, Bench, OpenBench, bench, completion, failure, streamed

__all__ = ["bench"]

ASK: dict[str, Any] = {"model": "alpha/m", "messages": MESSAGES}


class Again(Interceptor[Any]):
    """Has everything sent again that does not come from itself."""

    name = "again"
    repeats = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.begun: list[bool] = []
        self.over = 0
        self.seen: list[dict[str, Any]] = []
        self.refuses = False

    async def before_request(self, exchange: ExchangeView, request: GatewayRequest) -> None:
        notes = exchange.notes(self.name)
        self.seen.append({"repeat": notes.get("of"), "may": exchange.can_repeat, "said": dict(exchange.controls)})
        if notes.get("of") is not None and self.refuses:
            raise RateLimitError("not this one")

        async def done() -> None:
            self.over += 1

        self.begun.append(exchange.repeat(self.name, {"of": exchange.id}, done))


class AgainPlugin:
    """Registers it."""

    @hookimpl
    def llmgate_register_interceptors(self) -> type[Again]:
        return Again


SETTINGS: dict[str, Any] = {"interceptors": [{"use": "again"}], "plugins": (AgainPlugin(),)}


def stage_of(b: Bench) -> Again:
    (stage,) = [one.stage for one in b.pipeline.snapshot.placed if isinstance(one.stage, Again)]
    return stage


async def settled(b: Bench) -> None:
    async with asyncio.timeout(10):
        while b.pipeline._tasks:
            await asyncio.sleep(0)


async def test_it_goes_the_whole_way_once_with_what_the_caller_said(bench: OpenBench) -> None:
    who = Principal("ann", "keys")
    said = {"llmgate-tags": "", "helicone-user-id": "u"}
    async with bench(completion("a"), completion("b"), **SETTINGS) as b:
        await b.pipeline.complete(**ASK, credentials=Credentials(headers=said), principal=who, metadata={"k": "v"})
        await settled(b)
        stage = stage_of(b)
        assert (stage.begun, stage.over) == ([True, False], 1)
        first, again = stage.seen
        assert (first["may"], again["may"], again["said"]) == (True, False, said)
        original, repeat = await b.records()
        assert again["repeat"] == original.id
    assert (repeat.principal, repeat.user, repeat.metadata["k"]) == ("ann", "u", "v")
    assert (repeat.status, len(repeat.attempts)) == (200, 1)
    assert b.bodies[0] == b.bodies[1]


async def test_streams_and_carried_answers_pass_by_to_their_end(bench: OpenBench) -> None:
    async with bench(streamed("a"), streamed("b", "c"), **SETTINGS) as b:
        async with b.pipeline.stream(**ASK) as chunks:
            async for _ in chunks:
                pass
        await settled(b)
        assert [record.outcome for record in await b.records()] == ["ok", "ok"]
    moderation = completion(results=[])
    async with bench(moderation, moderation, **SETTINGS) as b:
        await b.pipeline.moderate(model="alpha/m", input="x")
        await settled(b)
        assert [record.outcome for record in await b.records()] == ["ok", "ok"]


async def test_one_that_is_refused_or_fails_is_over_all_the_same(bench: OpenBench) -> None:
    async with bench(completion("a"), **SETTINGS) as b:
        stage_of(b).refuses = True
        await b.pipeline.complete(**ASK)
        await settled(b)
        assert stage_of(b).over == 1
        assert [record.status for record in await b.records()] == [200, 429]
    async with bench(completion("a"), failure(400), **SETTINGS) as b:
        await b.pipeline.complete(**ASK)
        await settled(b)
        assert stage_of(b).over == 1
        assert [record.status for record in await b.records()] == [200, 400]


@pytest.mark.parametrize("most", [0, 1])
async def test_no_more_than_so_many_run_at_once(bench: OpenBench, most: int) -> None:
    answers = [completion("a") for _ in range(8)]
    async with bench(*answers, stream={"max-drains": most}, **SETTINGS) as b:
        await asyncio.gather(*(b.pipeline.complete(**ASK) for _ in range(4)))
        await settled(b)
        assert stage_of(b).begun.count(True) == stage_of(b).over >= most
        assert b.pipeline.repeats.drains.refused == 4 - stage_of(b).over


async def test_where_nobody_repeats_nothing_is_kept_for_it(bench: OpenBench) -> None:
    async with bench(completion("a"), completion("b")) as b, b.pipeline.exchange() as frame:
        body = b'{"model":"alpha/m","messages":[{"role":"user","content":"x"}]}'
        await frame.send(read_request(get_format("openai-chat"), body))
        assert frame.exchange.repeater is None
        assert not frame.view.repeat("any", {}, asyncio.sleep)  # type: ignore[arg-type]


async def test_a_pipeline_that_closes_begins_none(bench: OpenBench) -> None:
    async with bench(completion("a"), completion("b"), **SETTINGS) as b:
        frame = b.pipeline.exchange()
        frame.exchange.request = read_request(
            get_format("openai-chat"), b'{"model":"alpha/m","messages":[{"role":"user","content":"x"}]}'
        )
        b.pipeline.ready = False
        assert not b.pipeline.repeats.begin(frame, "send", "again", {}, lambda: asyncio.sleep(0))
        b.pipeline.ready = True
