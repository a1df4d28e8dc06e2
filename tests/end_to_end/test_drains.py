"""``on-disconnect: drain`` over sockets: the client goes, the provider is read to its end, and the account is exact."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from end_to_end.loopback import MESSAGES, Loopback, loopback, request_bytes, settings_for
from llmgate.spec import Usage
from llmgate.testing.upstream import FakeUpstream, chat_events
from llmgate.testing.upstream_chat import chat_answer
from llmgate.testing.upstream_connection import ReceivedRequest, UpstreamConnection

SERVERS = ("hypercorn", "uvicorn")

CHAT: dict[str, Any] = {"model": "m", "messages": MESSAGES}
STREAM = {**CHAT, "stream": True}
WORDS = " ".join(f"w{number}" for number in range(50))
USAGE = {"prompt_tokens": 7, "completion_tokens": 50, "total_tokens": 57}
WAYS = ["fin", "rst", "half_close"]


class Gated:
    """Answers half, and the rest when the gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, request: ReceivedRequest, connection: UpstreamConnection) -> None:
        if not request.json().get("stream"):
            body = json.dumps({**chat_answer(WORDS), "usage": USAGE}).encode()
            head = {"content-type": "application/json", "content-length": str(len(body))}
            await connection.write_head(200, head)
            await connection.write(body[:40])
            await self.gate.wait()
            await connection.write(body[40:])
            return
        await connection.write_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        events = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in chat_events(WORDS)[:-1]]
        usage = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
        for event in events[:10]:
            await connection.write_chunk(event)
        await self.gate.wait()
        for event in (*events[10:], usage, b"data: [DONE]\n\n"):
            await connection.write_chunk(event)
        await connection.write(b"0\r\n\r\n")


@asynccontextmanager
async def opened(**sections: Any) -> AsyncIterator[tuple[Loopback, FakeUpstream, Gated]]:
    sections = {"global": {"on-disconnect": "drain"}, **sections}
    async with FakeUpstream() as one, loopback(settings_for(one, **sections)) as gateway:
        gated = Gated()
        one.script(gated, times=10)
        yield gateway, one, gated


async def leave(gateway: Loopback, one: FakeUpstream, way: str, *, streamed: bool) -> None:
    """Ask, wait for a word where there are words, and go."""
    client = await gateway.raw(request_bytes(STREAM if streamed else CHAT))
    await one.received(len(one.requests) or 1)
    if streamed:
        await client.read_until(b"w1")
    getattr(client, way)()


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("way", WAYS)
async def test_however_a_client_leaves_the_answer_is_read_to_its_end(way: str, streamed: bool) -> None:
    async with opened() as (gateway, one, gated):
        await leave(gateway, one, way, streamed=streamed)
        async with asyncio.timeout(5):
            while not gateway.pipeline.drains.running:
                await asyncio.sleep(0.01)
        assert gateway.records == []
        gated.gate.set()
        (record,) = await gateway.recorded()
        assert (record.outcome, record.status, record.error_code) == ("disconnected", 499, None)
        assert record.usage == Usage(input_tokens=7, output_tokens=50)
        await one.idle(timeout=10)
        assert gateway.pipeline.drains.completed == 1
        one._script.clear()
        assert (await gateway.post(CHAT)).status == 200


async def test_a_bound_ends_it_and_the_provider_is_let_go() -> None:
    async with opened(stream={"drain-timeout": "100ms"}) as (gateway, one, _):
        await leave(gateway, one, "fin", streamed=True)
        (record,) = await gateway.recorded()
        assert (record.outcome, record.usage) == ("cancelled", None)
        await one.idle(timeout=10)


async def test_a_shutdown_waits_for_it_and_no_longer_than_for_clients() -> None:
    async with opened(server={"shutdown-timeout": "200ms"}) as (gateway, one, _):
        await leave(gateway, one, "rst", streamed=True)
        async with asyncio.timeout(5):
            while not gateway.pipeline.drains.running:
                await asyncio.sleep(0.01)
    assert [record.outcome for record in gateway.records] == ["cancelled"]
    assert gateway.pipeline.drains.cut == 1


async def test_a_shutdown_lets_it_end() -> None:
    async with opened(server={"shutdown-timeout": "10s"}) as (gateway, one, gated):
        await leave(gateway, one, "rst", streamed=True)
        async with asyncio.timeout(5):
            while not gateway.pipeline.drains.running:
                await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.1, gated.gate.set)
    assert [record.outcome for record in gateway.records] == ["disconnected"]


async def test_a_request_that_a_shutdown_cuts_is_cancelled_and_not_read_on() -> None:
    async with opened(server={"shutdown-timeout": "100ms"}) as (gateway, one, _):
        asking = asyncio.create_task(gateway.post(CHAT))
        await one.received()
    assert (await asking).status == 503
    assert [(record.outcome, record.error_code) for record in gateway.records] == [("error", "gateway_closed")]
