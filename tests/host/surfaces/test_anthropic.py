"""Messages over real sockets: addresses, shapes, headers, heartbeats, counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from host.stand_ins import StandInPipeline, Stream, serving
from llmgate.config.model import StreamConfig
from llmgate.spec import (
    GatewayResponse,
    ModelNotFoundError,
    NoDeploymentError,
    Operation,
    Outcome,
    ProviderError,
    RateLimitError,
)

MOUNTS = ["/v1", "/ai", "/ai/v1", "/router/mine", "/router/mine/v1", "/as/anthropic", "/as/anthropic/v1"]
ASKED = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
BODY = json.dumps(ASKED).encode()
STREAMED = json.dumps({**ASKED, "stream": True}).encode()
ANSWER = b'{"id":"msg_1","type":"message","role":"assistant","content":[]}'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


async def answered(frame, request) -> GatewayResponse:
    frame.served_by("echo", "echo-1", request_id="up-1")
    frame.exchange.attempts[-1].dropped_params = ("top_k", "cache_control")
    return GatewayResponse(request.format, ANSWER, Outcome(), headers={"anthropic-ratelimit-requests-limit": "9"})


def failing(error: BaseException):
    async def fail(frame, request):
        raise error

    return fail


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("rest", ["", "?beta=true", "/"])
async def test_messages_are_served_at_every_address(mount, rest):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(f"{mount}/messages{rest}", BODY)
        assert (reply.status, reply.body) == (200, ANSWER)
        request = served.pipeline.frames[0].request
        assert (request.format, request.body) == ("anthropic-messages", BODY)
        assert request.router == ("mine" if "mine" in mount else None)
        assert served.pipeline.frames[0].exchange.surface == "anthropic"


async def test_headers_up_and_down():
    async with serving(StandInPipeline(answered)) as served:
        sent = {"anthropic-version": "2023-06-01", "anthropic-new": "1", "x-api-key": "k", "cookie": "c"}
        reply = await served.ask("/v1/messages", BODY, **sent)
        assert served.pipeline.frames[0].request.headers == {"anthropic-version": "2023-06-01", "anthropic-new": "1"}
        assert served.pipeline.frames[0].credentials.tokens == {"x-api-key": "k"}
        assert reply.headers["request-id"] == reply.headers["x-request-id"]
        assert reply.headers["llmgate-dropped-params"] == "top_k, cache_control"
        assert reply.headers["anthropic-ratelimit-requests-limit"] == "9"


async def test_a_silent_stream_gets_pings():
    async def start(frame, request) -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            await asyncio.sleep(0.2)
            yield STOP

        return Stream(pieces())

    timing = StreamConfig(commit_after=0.02, heartbeat=0.05)
    async with serving(StandInPipeline(stream=start, stream_config=timing)) as served:
        reply = await served.ask("/v1/messages", STREAMED)
        assert reply.headers["content-type"] == "text/event-stream"
        assert reply.body.startswith(b'event: ping\ndata: {"type":"ping"}\n\n')
        assert reply.body.endswith(STOP)


async def test_a_stream_that_breaks_ends_with_an_error_event():
    async def start(frame, request) -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"event: ping\ndata: {}\n\n"
            raise ProviderError("broke")

        return Stream(pieces())

    async with serving(StandInPipeline(stream=start)) as served:
        reply = await served.ask("/v1/messages", STREAMED)
        last = reply.body.split(b"\n\n")[-2]
        assert last.startswith(b"event: error\n")
        value = json.loads(last.partition(b"data: ")[2])
        assert value["error"] == {"type": "api_error", "message": "broke"}
        assert value["request_id"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ModelNotFoundError("x"), 404, "not_found_error"),
        (RateLimitError("x", retry_after=3), 429, "rate_limit_error"),
        (NoDeploymentError("x"), 503, "overloaded_error"),
        (ProviderError("x", upstream_status=503), 529, "overloaded_error"),
        (RuntimeError("secret"), 500, "api_error"),
    ],
)
async def test_errors_are_in_anthropics_shape(error, status, kind):
    async with serving(StandInPipeline(failing(error))) as served:
        reply = await served.ask("/v1/messages", BODY)
        value = json.loads(reply.body)
        assert (reply.status, value["type"], value["error"]["type"]) == (status, "error", kind)
        assert value["request_id"] == reply.headers["request-id"]
        assert b"secret" not in reply.body


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/messages", b"{", {}, 400),
        ("/v1/messages", BODY, {"content-type": "text/plain"}, 415),
        ("/v1/messages/count_tokens", b"{}", {}, 400),
        ("/v1/nowhere", BODY, {"anthropic-version": "2023-06-01"}, 404),
        ("/as/anthropic/v1/nowhere", BODY, {}, 404),
    ],
)
async def test_what_the_gateway_refuses_itself_too(path, body, headers, status):
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask(path, body, **headers)
        assert reply.status == status
        assert json.loads(reply.body)["type"] == "error"


async def test_a_wrong_method_too():
    async with serving(StandInPipeline(answered)) as served:
        reply = await served.ask("/v1/messages", method="GET")
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
        assert json.loads(reply.body)["type"] == "error"


@pytest.mark.parametrize("mount", MOUNTS)
async def test_tokens_are_counted_or_estimated(mount):
    async def counted(frame, request) -> GatewayResponse:
        assert request.operation is Operation.COUNT_TOKENS
        return GatewayResponse(request.format, b'{"input_tokens":17}', Outcome())

    async with serving(StandInPipeline(counted)) as served:
        reply = await served.ask(f"{mount}/messages/count_tokens?beta=true", BODY)
        assert json.loads(reply.body) == {"input_tokens": 17}
        served.pipeline.counts_nothing = True
        large = {**ASKED, "messages": [{"role": "user", "content": "word " * 100_000}]}
        for body, least in ((BODY, 1), (json.dumps(large).encode(), 100_000)):
            reply = await served.ask(f"{mount}/messages/count_tokens", body)
            assert json.loads(reply.body)["input_tokens"] >= least


@pytest.mark.parametrize(
    ("path", "headers", "anthropic"),
    [
        ("/v1/models", {}, False),
        ("/v1/models?limit=1000", {"anthropic-version": "2023-06-01"}, True),
        ("/as/anthropic/v1/models", {}, True),
        ("/as/anthropic/models", {}, True),
    ],
)
async def test_models_are_listed_in_the_shape_of_who_asks(path, headers, anthropic):
    async with serving(StandInPipeline()) as served:
        value = json.loads((await served.ask(path, method="GET", **headers)).body)
        assert ("first_id" in value) is anthropic
        one = path.partition("?")[0] + "/openai/gpt-4o"
        entry = json.loads((await served.ask(one, method="GET", **headers)).body)
        assert entry["id"] == "openai/gpt-4o"
        assert ("display_name" in entry) is anthropic


async def test_a_client_of_anthropics_that_asks_for_chat_gets_chat():
    async with serving(StandInPipeline()) as served:
        await served.ask("/v1/chat/completions", BODY, anthropic_version="2023-06-01")
        assert served.pipeline.frames[0].request.format == "openai-chat"
