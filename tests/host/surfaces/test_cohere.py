"""Cohere's addresses over real sockets: shapes and errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from host.stand_ins import StandInPipeline, Stream, serving
from llmgate.spec import GatewayResponse, ModelNotFoundError, Outcome, ProviderError

ADDRESSES = ["/v2/chat", "/router/mine/v2/chat", "/as/cohere/v2/chat"]
ASKED = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
BODY = json.dumps(ASKED).encode()
ANSWER = b'{"id":"i","finish_reason":"COMPLETE","message":{"role":"assistant"}}'


async def answered(frame, request) -> GatewayResponse:
    frame.served_by("echo", "echo-1", request_id="up-1")
    return GatewayResponse(request.format, ANSWER, Outcome())


@pytest.mark.parametrize("address", ADDRESSES)
async def test_chat_is_served_at_every_address(address):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(address, BODY)
        assert (reply.status, reply.body) == (200, ANSWER)
        frame = served.pipeline.frames[0]
        assert (frame.request.format, frame.request.body) == ("cohere-chat", BODY)
        assert frame.request.router == ("mine" if "mine" in address else None)
        assert frame.exchange.surface == "cohere"


@pytest.mark.parametrize("address", ADDRESSES)
async def test_errors_are_in_coheres_shape(address):
    async def fail(frame, request):
        raise ModelNotFoundError("no such model")

    async with serving(StandInPipeline(fail)) as served:
        for body, status in ((BODY, 404), (b"{", 400)):
            reply = await served.ask(address, body)
            assert (reply.status, json.loads(reply.body).keys()) == (status, {"message"})


async def test_a_stream_that_breaks_ends_with_an_end_that_failed():
    async def start(frame, request) -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            yield b'event: content-delta\ndata: {"type":"content-delta"}\n\n'
            raise ProviderError("broke")

        return Stream(pieces())

    async with serving(StandInPipeline(stream=start)) as served:
        reply = await served.ask("/v2/chat", json.dumps({**ASKED, "stream": True}).encode())
        assert reply.headers["content-type"] == "text/event-stream"
        last = reply.body.split(b"\n\n")[-2]
        assert last.startswith(b"event: message-end\n")
        assert json.loads(last.partition(b"data: ")[2])["delta"] == {"finish_reason": "ERROR", "error": "broke"}
