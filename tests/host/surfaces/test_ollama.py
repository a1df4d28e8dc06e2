"""Ollama's addresses over real sockets: shapes, signs of life, errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from host.stand_ins import StandInPipeline, Stream, serving
from llmgate.config.model import StreamConfig
from llmgate.spec import GatewayResponse, ModelNotFoundError, Outcome, ProviderError

MOUNTS = ["/api", "/router/mine/api", "/as/ollama/api"]
ASKED = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
WHOLE = json.dumps({**ASKED, "stream": False}).encode()
STREAMED = json.dumps(ASKED).encode()
ANSWER = b'{"model":"m","message":{"role":"assistant","content":"Hi"},"done":true}'


async def answered(frame, request) -> GatewayResponse:
    frame.served_by("echo", "echo-1", request_id="up-1")
    return GatewayResponse(request.format, ANSWER, Outcome())


@pytest.mark.parametrize("mount", MOUNTS)
async def test_chat_is_served_at_every_address(mount):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(f"{mount}/chat", WHOLE)
        assert (reply.status, reply.body) == (200, ANSWER)
        frame = served.pipeline.frames[0]
        assert (frame.request.format, frame.request.body) == ("ollama-chat", WHOLE)
        assert frame.request.router == ("mine" if "mine" in mount else None)
        assert frame.exchange.surface == "ollama"


async def test_a_silent_stream_gets_white_space():
    async def start(frame, request) -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            await asyncio.sleep(0.2)
            yield ANSWER + b"\n"

        return Stream(pieces())

    timing = StreamConfig(commit_after=0.02, heartbeat=0.05)
    async with serving(StandInPipeline(stream=start, stream_config=timing)) as served:
        reply = await served.ask("/api/chat", STREAMED)
        assert reply.headers["content-type"] == "application/x-ndjson"
        assert reply.body.startswith(b" ")
        assert reply.body.lstrip(b" ") == ANSWER + b"\n"
        assert json.loads(reply.body.splitlines()[0])["done"] is True


async def test_a_stream_that_breaks_ends_with_an_error_line():
    async def start(frame, request) -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            yield b'{"message":{"content":"a"},"done":false}\n'
            raise ProviderError("broke")

        return Stream(pieces())

    async with serving(StandInPipeline(stream=start)) as served:
        reply = await served.ask("/api/chat", STREAMED)
        assert reply.body.splitlines()[-1] == b'{"error":"broke"}'


@pytest.mark.parametrize("mount", MOUNTS)
async def test_errors_are_in_ollamas_shape_before_the_endpoint_too(mount):
    async def fail(frame, request):
        raise ModelNotFoundError("no such model")

    async with serving(StandInPipeline(fail)) as served:
        for path, body in ((f"{mount}/chat", WHOLE), (f"{mount}/chat", b"{"), (f"{mount}/nothing", WHOLE)):
            reply = await served.ask(path, body)
            value = json.loads(reply.body)
            assert value.keys() == {"error"}
            assert isinstance(value["error"], str)
            assert reply.status in (400, 404)
        got = await served.ask(f"{mount}/show", b"[]")
        assert (got.status, json.loads(got.body).keys()) == (400, {"error"})
        assert (await served.ask(f"{mount}/show", b"{}")).status == 400
