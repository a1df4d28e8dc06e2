"""Answers that are read on when the caller has left; with clients on sockets in end_to_end/test_drains.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate.pipeline.draining import Drains
from llmgate.spec import (
    Aspect,
    GatewayChunk,
    Interceptor,
    ProviderConnectionError,
    Record,
    Usage,
    hookimpl,
)
from llmgate.testing.transport import Answer, ScriptedAnswer, stream_answer
from scripted import DONE, MESSAGES, ROLE, USAGE, Bench, OpenBench, completion, delta

DRAIN = {"global": {"on-disconnect": "drain"}}
SEEN = Usage(input_tokens=3, output_tokens=2)


def waiting(gate: asyncio.Event, *rest: Any) -> ScriptedAnswer:
    """A stream that says one word, and the rest when the gate opens."""
    return stream_answer(ROLE, delta("one"), gate, *rest)


async def leave_after_one_word(b: Bench) -> None:
    async with b.pipeline.stream(router="main", model="m", messages=MESSAGES) as chunks:
        async for chunk in chunks:
            if chunk.text:
                break


async def settled(b: Bench) -> Record:
    (record,) = await b.records()
    return record


async def test_a_stream_left_behind_is_read_to_its_end(bench: OpenBench) -> None:
    gate = asyncio.Event()
    async with bench(waiting(gate, delta(" two"), delta(finish="stop"), USAGE, DONE), **DRAIN) as b:
        await leave_after_one_word(b)
        assert b.pipeline.drains.running == 1, "and the caller does not wait for it"
        gate.set()
        record = await settled(b)
        assert (record.outcome, record.status, record.error_code) == ("disconnected", 499, None)
        assert record.usage == SEEN
        assert record.finish_reason == "stop"
        assert [(one.abandoned, one.error_code) for one in record.attempts] == [(False, None)]
        assert b.transport.streams[0].finished
        assert (b.pipeline.drains.running, b.pipeline.drains.completed) == (0, 1)


async def test_unless_asked_for_it_is_cancelled(bench: OpenBench) -> None:
    async with bench(waiting(asyncio.Event(), USAGE, DONE)) as b:
        await leave_after_one_word(b)
        record = await settled(b)
        assert (record.outcome, record.usage) == ("cancelled", None)
        assert [one.abandoned for one in record.attempts] == [True]
        assert not b.transport.streams[0].finished


@pytest.mark.parametrize(
    ("scope", "read"), [("router", True), ("global", True), ("router says no", False), ("unified-api", False)]
)
async def test_each_scope_may_say_it(bench: OpenBench, scope: str, read: bool) -> None:
    balance = {"load-balance": {"chat": {"strategy": "priority", "providers": ["alpha"]}}}
    config: dict[str, Any] = {
        "router": {"routers": {"main": {**balance, "on-disconnect": "drain"}}},
        "global": DRAIN,
        "router says no": {**DRAIN, "routers": {"main": {**balance, "on-disconnect": "cancel"}}},
        "unified-api": {"unified-api": {"on-disconnect": "drain"}},
    }[scope]
    gate = asyncio.Event()
    async with bench(waiting(gate, USAGE, DONE), **config) as b:
        await leave_after_one_word(b)
        gate.set()
        assert (await settled(b)).outcome == ("disconnected" if read else "cancelled")


async def given_up(b: Bench, make: Any) -> None:
    task = asyncio.create_task(make)
    while not b.urls:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def gated(gate: asyncio.Event, answer: Any) -> Answer:
    """A whole answer that comes when the gate opens."""
    return ScriptedAnswer(answer.status, answer.headers, (gate, answer.body))


async def test_a_whole_answer_is_waited_for(bench: OpenBench) -> None:
    gate = asyncio.Event()
    async with bench(gated(gate, completion()), **DRAIN) as b:
        await given_up(b, b.pipeline.complete(router="main", model="m", messages=MESSAGES))
        gate.set()
        record = await settled(b)
        assert (record.outcome, record.status, record.usage) == ("disconnected", 499, SEEN)


async def test_a_stream_that_has_not_begun_is_read_as_well(bench: OpenBench) -> None:
    gate = asyncio.Event()
    async with bench(stream_answer(ROLE, gate, delta("one"), USAGE, DONE), **DRAIN) as b:
        await given_up(b, leave_after_one_word(b))
        gate.set()
        record = await settled(b)
        assert (record.outcome, record.usage) == ("disconnected", SEEN)


async def test_nobody_else_is_asked_for_a_caller_who_has_left(bench: OpenBench) -> None:
    gate = asyncio.Event()
    lost = ProviderConnectionError("gone", provider_name="alpha", retryable=True)
    async with bench(stream_answer(ROLE, gate, lost), **DRAIN) as b:
        await given_up(b, leave_after_one_word(b))
        gate.set()
        record = await settled(b)
        assert (record.outcome, record.error_code) == ("cancelled", None)
        assert [one.error_code for one in record.attempts] == ["provider_unreachable"]
        assert len(b.urls) == 1


async def test_a_provider_that_fails_meanwhile_is_in_the_account(bench: OpenBench) -> None:
    gate = asyncio.Event()
    lost = ProviderConnectionError("gone", provider_name="alpha", retryable=True)
    async with bench(waiting(gate, delta(" two"), lost), **DRAIN) as b:
        await leave_after_one_word(b)
        gate.set()
        record = await settled(b)
        assert (record.outcome, record.error_code) == ("cancelled", None)
        assert [one.error_code for one in record.attempts] == ["provider_unreachable"]
        assert b.pipeline.drains.cut == 1


@pytest.mark.parametrize("reads", [False, True], ids=["relayed", "decoded"])
async def test_no_more_is_read_than_is_allowed(bench: OpenBench, reads: bool) -> None:
    words = [delta("word") for _ in range(1000)]
    plugins, interceptors = ((Watching(),), [{"use": "watching"}]) if reads else ((), [])
    config = {**DRAIN, "stream": {"drain-bytes": 1000}, "interceptors": interceptors}
    async with bench(stream_answer(ROLE, delta("one"), *words, USAGE, DONE), plugins=plugins, **config) as b:
        await leave_after_one_word(b)
        assert (await settled(b)).outcome == "cancelled"
        left = sum(1 for _ in b.transport.streams[0]._pieces)
        assert left > 900


async def test_no_longer_is_read_than_is_allowed(bench: OpenBench) -> None:
    async with bench(waiting(asyncio.Event()), **DRAIN, stream={"drain-timeout": "50ms"}) as b:
        await leave_after_one_word(b)
        assert (await settled(b)).outcome == "cancelled"
        assert b.transport.streams[0].closed


async def test_no_more_are_read_at_once_than_are_allowed(bench: OpenBench) -> None:
    gate = asyncio.Event()
    answers = [waiting(gate, USAGE, DONE) for _ in range(3)]
    async with bench(*answers, **DRAIN, stream={"max-drains": 2}) as b:
        for _ in range(3):
            await leave_after_one_word(b)
        assert (b.pipeline.drains.running, b.pipeline.drains.refused) == (2, 1)
        gate.set()
        assert [record.outcome for record in await b.records()] == ["cancelled", "disconnected", "disconnected"]


class Watching:
    """Registers an interceptor that keeps what it sees of a stream, and of its end."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.settled: list[Usage | None] = []

    @hookimpl
    def llmgate_register_interceptors(self) -> Any:
        outer = self

        class Watcher(Interceptor[Any]):
            name = "watching"
            reads = frozenset({Aspect.STREAM})

            def on_chunk(self, exchange: Any, chunk: GatewayChunk) -> GatewayChunk | None:
                outer.texts.append(chunk.text)
                return chunk

            async def on_settle(self, exchange: Any) -> None:
                outer.settled.append(exchange.outcome.usage)

        return Watcher


async def test_interceptors_see_every_chunk_once_and_settle_at_the_very_end(bench: OpenBench) -> None:
    """Also those that had come in one piece with the last one that the caller took."""
    watching, gate = Watching(), asyncio.Event()
    answer = stream_answer(ROLE, delta("one") + delta(" two") + delta(" three"), gate, delta(" four"), USAGE, DONE)
    async with bench(answer, plugins=(watching,), interceptors=[{"use": "watching"}], **DRAIN) as b:
        await leave_after_one_word(b)
        assert watching.settled == []
        gate.set()
        await settled(b)
        assert "".join(watching.texts) == "one two three four"
        assert watching.settled == [SEEN]


async def test_a_caller_who_stays_notices_nothing(bench: OpenBench) -> None:
    async with bench(completion(), stream_answer(ROLE, delta("one"), USAGE, DONE), **DRAIN) as b:
        assert (await b.pipeline.complete(router="main", model="m", messages=MESSAGES)).text == "hi"
        async with b.pipeline.stream(router="main", model="m", messages=MESSAGES) as chunks:
            assert "".join([chunk.text async for chunk in chunks]) == "one"
        assert [record.outcome for record in await b.records()] == ["ok", "ok"]
        assert b.pipeline.drains.completed == 0


async def test_closing_waits_for_what_is_being_read(bench: OpenBench) -> None:
    gate = asyncio.Event()
    async with bench(waiting(gate, USAGE, DONE), **DRAIN) as b:
        await leave_after_one_word(b)
        closing = asyncio.create_task(b.pipeline.aclose())
        await asyncio.sleep(0.01)
        assert not closing.done()
        gate.set()
        await closing
        assert (await b.records())[0].outcome == "disconnected"


async def test_a_shutdown_cuts_what_takes_too_long_and_settles_it(bench: OpenBench) -> None:
    async with bench(waiting(asyncio.Event()), **DRAIN) as b:
        await leave_after_one_word(b)
        assert await b.pipeline.drains.finish(0.0) == 1
        assert (await settled(b)).outcome == "cancelled"


async def test_none_is_begun_while_a_shutdown_waits() -> None:
    drains, gate = Drains(), asyncio.Event()

    async def read() -> bool:
        await gate.wait()
        return True

    assert drains.admit(10)
    reading = asyncio.create_task(drains.run(read, 60))
    finishing = asyncio.create_task(drains.finish(60))
    await asyncio.sleep(0.01)
    assert not drains.admit(10)
    gate.set()
    assert await reading
    assert await finishing == 0
    assert drains.admit(10)
