"""Chat and models over real sockets: addresses, headers, errors, streams, departures."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from host.stand_ins import ANSWER, CHAT, DONE, STREAM, StandInPipeline, Stream, event, serving, unchunk, until
from llmgate.config.model import ServerConfig, StreamConfig
from llmgate.host.surfaces import openai
from llmgate.spec import (
    GatewayError,
    GatewayResponse,
    InvalidRequestError,
    ModelNotFoundError,
    NoDeploymentError,
    Operation,
    Outcome,
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderTimeoutError,
    RateLimitError,
)

PREFIXES = ["/v1", "/ai", "/ai/v1", "/router/mine", "/router/mine/v1", "/as/openai", "/as/openai/v1"]
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def request(body: bytes) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def failing(error: BaseException):
    async def fail(frame, request):
        raise error

    return fail


async def forever(frame, request):
    await asyncio.Event().wait()


def streaming(*steps):
    """A stream of the given pieces; a float waits, an exception is raised, None waits for ever."""

    async def start(frame, request) -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            for step in steps:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif step is None:
                    await asyncio.Event().wait()
                else:
                    yield step

        frame.served_by("echo", "echo-1")
        return Stream(pieces())

    return start


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_chat_is_served_at_every_address(prefix, slash):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask(f"{prefix}/chat/completions{slash}", CHAT)
        assert (reply.status, reply.body) == (200, ANSWER)
        assert served.pipeline.frames[0].request.router == ("mine" if "mine" in prefix else None)
        assert served.pipeline.frames[0].request.body == CHAT


EMBED = json.dumps({"model": "text-embedding-3-small", "input": ["a", "b"]}).encode()
COMPLETE = json.dumps({"model": "davinci", "prompt": "Once"}).encode()
COMPLETE_STREAM = json.dumps({"model": "davinci", "prompt": "Once", "stream": True}).encode()


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("path", "body", "operation", "wire_format"),
    [
        ("embeddings", EMBED, Operation.EMBEDDINGS, "openai-embeddings"),
        ("completions", COMPLETE, Operation.TEXT_COMPLETION, "openai-completions"),
    ],
)
async def test_embeddings_and_completions_are_served_at_every_address(prefix, path, body, operation, wire_format):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask(f"{prefix}/{path}", body)
        frame = served.pipeline.frames[0]
        assert (await served.ask(f"{prefix}/{path}")).status == 405
    assert (reply.status, reply.body) == (200, ANSWER)
    assert frame.exchange.operation is frame.request.operation is operation
    assert (frame.request.format, frame.request.body) == (wire_format, body)
    assert frame.request.router == ("mine" if "mine" in prefix else None)


async def test_a_text_completion_is_streamed():
    async with serving(StandInPipeline()) as served:
        reply = await served.ask("/v1/completions", COMPLETE_STREAM)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.body == event("one") + event("two") + event("three") + DONE


async def test_a_text_completion_that_breaks_off_ends_with_an_error_event():
    stream = streaming(event("one"), ProviderConnectionError("echo broke off", provider_name="echo"))
    async with serving(StandInPipeline(stream=stream)) as served:
        reply = await served.ask("/v1/completions", COMPLETE_STREAM)
    assert b"echo broke off" in reply.body
    assert b"[DONE]" not in reply.body


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("embeddings", b'{"input":"x"}', "model"),
        ("embeddings", b'{"model":"e"}', "input"),
        ("embeddings", b'{"model":"e","input":5}', "input"),
        ("completions", b'{"model":"c"}', "prompt"),
        ("completions", b'{"model":"c","prompt":"x","stream":"yes"}', "stream"),
        ("completions", b'{"prompt":"x"}', "model"),
    ],
)
async def test_a_bad_field_is_named(path, body, param):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask(f"/v1/{path}", body)
    assert (reply.status, reply.error["param"], reply.error["type"]) == (400, param, "invalid_request_error")


@pytest.mark.parametrize("path", ["embeddings", "completions"])
async def test_the_other_operations_take_json_only(path):
    async with serving(StandInPipeline()) as served:
        assert (await served.ask(f"/v1/{path}", EMBED, content_type="text/plain")).status == 415


async def test_who_may_not_see_the_list_may_not_see_one_of_it():
    async with serving(StandInPipeline(keys=["sk"])) as served:
        for path in ("/v1/models", "/v1/models/openai/gpt-4o", "/v1/models/none"):
            assert (await served.ask(path)).status == 401
        missing = await served.ask("/v1/models/none", authorization="Bearer sk")
    assert set(missing.error) == {"message", "type", "param", "code"}
    assert (missing.status, missing.error["param"]) == (404, "model")


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_models_are_listed_and_described_at_every_address(prefix):
    async with serving(StandInPipeline()) as served:
        listed = await served.ask(f"{prefix}/models")
        assert listed.json["object"] == "list"
        assert listed.json["data"][1] == {"id": "openai/gpt-4o", "object": "model", "created": 0, "owned_by": "openai"}
        for written in ("openai/gpt-4o", "openai%2Fgpt-4o"):
            one = await served.ask(f"{prefix}/models/{written}")
            assert one.json["id"] == "openai/gpt-4o"
        bare = await served.ask(f"{prefix}/models/gpt-4o")
        assert bare.status == (200 if "router" in prefix else 404)
        missing = await served.ask(f"{prefix}/models/gpt-99")
        assert (missing.status, missing.error["code"]) == (404, "model_not_found")
        head = await served.ask(f"{prefix}/models", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["content-length"]) == len(listed.body)


async def test_an_answer_says_who_served_it():
    async with serving(StandInPipeline()) as served:
        reply = await served.ask("/v1/chat/completions", CHAT)
    assert reply.headers["helicone-id"] == reply.headers["x-request-id"] == served.pipeline.frames[0].id
    assert reply.headers["helicone-provider"] == "echo"
    assert reply.headers["helicone-provider-req-id"] == "up-1"
    assert reply.headers["llmgate-model"] == "echo-1"
    assert "llmgate-attempts" not in reply.headers
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-type"] == "application/json"
    assert "server" not in reply.headers
    assert not [name for name in reply.headers if name.startswith("access-control")]


async def test_provider_headers_can_be_switched_off_and_repeats_are_counted():
    async def answer(frame, request):
        frame.served_by("openai", "gpt-4o")
        frame.served_by("echo", "echo-1", request_id="up-2")
        return GatewayResponse(request.format, ANSWER, Outcome(), headers={"openai-version": "1", "set-cookie": "a=b"})

    async with serving(StandInPipeline(answer, provider_header=False, provider_request_id_header=False)) as served:
        reply = await served.ask("/v1/chat/completions", CHAT)
    assert reply.headers["llmgate-attempts"] == "2"
    assert reply.headers["openai-version"] == "1"
    assert not {"helicone-provider", "helicone-provider-req-id", "set-cookie"} & reply.headers.keys()


@pytest.mark.parametrize(("given", "echoed"), [("abc-1_2", True), ("x" * 129, False), ("a b", False), ("a;b", False)])
async def test_a_clients_request_id_is_echoed_where_it_is_plain(given, echoed):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask("/v1/chat/completions", CHAT, x_request_id=given)
        frame = served.pipeline.frames[0]
    assert reply.headers["x-request-id"] == (given if echoed else frame.id)
    assert reply.headers["helicone-id"] == frame.id
    assert frame.exchange.client_request_id == (given if echoed else None)


@pytest.mark.parametrize("header", ["authorization", "x_api_key", "api_key", "x_goog_api_key", "helicone_auth"])
async def test_a_key_is_taken_wherever_clients_put_it(header):
    async with serving(StandInPipeline(keys=["sk-1"])) as served:
        reply = await served.ask("/v1/chat/completions", CHAT, **{header: "Bearer sk-1"})
        assert reply.status == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Missing authorization header"),
        ({"authorization": "Bearer wrong"}, "Invalid credentials"),
        ({"x_api_key": "wrong"}, "Invalid credentials"),
        ({"authorization": "Basic c2stMTo="}, "Missing authorization header"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/validate-router-config"])
async def test_a_caller_without_a_good_key_gets_openais_401(path, headers, message):
    async with serving(StandInPipeline(keys=["sk-1"])) as served:
        body = None if path.endswith("models") else CHAT
        reply = await served.ask(path, body, **headers)
    assert reply.status == 401
    assert reply.error == {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    assert reply.headers["www-authenticate"] == "Bearer"
    assert served.pipeline.frames[0].left == 1


async def test_a_401_comes_before_the_body_is_read():
    async with serving(StandInPipeline(keys=["sk-1"])) as served:
        answer = await served.raw(POST + b"Content-Length: 60000000\r\n\r\nx")
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (ModelNotFoundError("no such model"), 404, {}),
        (InvalidRequestError("bad", param="messages"), 400, {}),
        (RateLimitError("slow down", retry_after=0.2), 429, {"retry-after": "1"}),
        (NoDeploymentError("nothing left"), 503, {"x-should-retry": "false"}),
        (NoDeploymentError("all open", retry_after=2.1), 503, {"retry-after": "3"}),
        (ProviderConnectionError("openai is not reachable", retryable=True), 502, {"x-should-retry": "false"}),
        (ProviderTimeoutError("openai is silent", retryable=True, retry_after=7), 504, {"retry-after": "7"}),
        (ProviderRateLimitError("limited", upstream_status=429, retryable=True), 429, {"x-should-retry": "false"}),
        (ProviderAuthenticationError("openai refuses the key", upstream_status=401), 502, {}),
        (ProviderProtocolError("garbage", upstream_status=200), 502, {"x-should-retry": "false"}),
        (ProviderError("bad request", upstream_status=422), 422, {}),
    ],
)
async def test_an_error_has_its_status_and_says_whether_to_try_again(error, status, headers):
    async with serving(StandInPipeline(failing(error), failing(error))) as served:
        for body in (CHAT, STREAM):
            reply = await served.ask("/v1/chat/completions", body)
            assert reply.status == status
            assert reply.error["message"] == error.message
            found = {name: reply.headers[name] for name in ("retry-after", "x-should-retry") if name in reply.headers}
            assert found == headers
            assert served.pipeline.frames[-1].failure is error


async def test_an_upstreams_own_error_body_reaches_the_client_untouched():
    theirs = (
        b'{"error": {"message": "context too long",  "type": "x", "param": null, "code": "context_length_exceeded"}}'
    )
    error = ProviderError(
        "openai refused",
        upstream_status=400,
        body=theirs,
        headers={"x-ratelimit-limit-requests": "5", "retry-after": "9"},
    )
    async with serving(StandInPipeline(failing(error))) as served:
        reply = await served.ask("/v1/chat/completions", CHAT)
    assert (reply.status, reply.body) == (400, theirs)
    assert reply.headers["x-ratelimit-limit-requests"] == "5"


@pytest.mark.parametrize("error", [RuntimeError("postgres://user:pw@internal/db"), KeyError("x"), GatewayError("odd")])
async def test_what_nobody_expected_is_a_500_that_tells_nothing(error, caplog):
    async with serving(StandInPipeline(failing(error), failing(error))) as served:
        for body in (CHAT, STREAM):
            reply = await served.ask("/v1/chat/completions", body)
            assert reply.status == 500
            assert reply.error["code"] == "internal_error"
            assert b"postgres" not in reply.body
            assert b"Traceback" not in reply.body
    if not isinstance(error, GatewayError):
        assert reply.headers["x-request-id"] in reply.error["message"]
        assert "failed unexpectedly" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff",
        b"{}",
        b'{"model": 1}',
        b'{"model": "a", "model": "b"}',
        b"[" * 100000,
        b'{"model": "a", "x": NaN}',
        b'{"model": "a", "x": ' + b"9" * 6000 + b"}",
        "{}".encode("utf-16"),
    ],
)
async def test_a_body_that_is_no_request_is_a_400(body):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask("/v1/chat/completions", body)
    assert reply.status == 400
    assert reply.error["message"]
    assert served.pipeline.frames[0].left == 1


@pytest.mark.parametrize("declared", ["none", "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_not_declared_json_is_a_415_with_the_remedy(declared):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask("/v1/chat/completions", CHAT, content_type=declared)
    assert reply.status == 415
    assert "Content-Type: application/json" in reply.error["message"]


async def test_a_body_over_the_limit_is_a_413_and_the_connection_closes():
    async with serving(StandInPipeline(server=ServerConfig(max_body_bytes=100_000))) as served:
        declared = await served.raw(POST + b"Content-Length: 100001\r\n\r\n")
        assert declared.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in declared
        chunk = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"
        chunked = await served.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 40)
        assert chunked.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in chunked
        assert [frame.left for frame in served.pipeline.frames] == [1, 1]


async def test_a_chunked_body_within_the_limit_is_served():
    async with serving(StandInPipeline()) as served:
        wire = b"".join(b"1\r\n%c\r\n" % byte for byte in CHAT) + b"0\r\n\r\n"
        answer = await served.raw(POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
    assert answer.endswith(ANSWER)
    assert served.pipeline.frames[0].request.body == CHAT


async def test_a_large_body_is_read_beside_the_loop():
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "x" * 600_000}]}).encode()
    async with serving(StandInPipeline()) as served:
        reply = await served.ask("/v1/chat/completions", body)
        assert reply.status == 200
        assert served.pipeline.frames[0].request.body == body


async def test_a_stream_is_relayed_whole():
    async with serving(StandInPipeline()) as served:
        reply = await served.ask("/v1/chat/completions", STREAM)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["llmgate-model"] == "echo-1"
    assert reply.body == event("one") + event("two") + event("three") + DONE
    assert served.pipeline.frames[0].failure is None


async def test_a_failure_after_content_is_an_error_event_and_no_terminal_marker():
    stream = streaming(event("one"), ProviderConnectionError("echo broke off", provider_name="echo"))
    async with serving(StandInPipeline(stream=stream)) as served:
        reply = await served.ask("/v1/chat/completions", STREAM)
    assert reply.status == 200
    _, second = reply.body.rstrip(b"\n").split(b"\n\n")
    assert json.loads(second.removeprefix(b"data: "))["error"]["message"] == "echo broke off"
    assert b"[DONE]" not in reply.body


async def test_a_crash_after_content_is_an_error_event_that_tells_nothing(caplog):
    async with serving(StandInPipeline(stream=streaming(event("one"), RuntimeError("secret detail")))) as served:
        reply = await served.ask("/v1/chat/completions", STREAM)
    assert b"secret detail" not in reply.body
    assert b"internal_error" in reply.body
    assert b"[DONE]" not in reply.body


async def test_a_silent_start_is_committed_and_a_late_failure_becomes_an_event():
    async def late(frame, request):
        await asyncio.sleep(0.15)
        raise NoDeploymentError("nothing could serve it")

    timing = StreamConfig(commit_after=0.03, heartbeat=0.03)
    async with serving(StandInPipeline(stream=late, stream_config=timing)) as served:
        reply = await served.ask("/v1/chat/completions", STREAM)
    assert reply.status == 200
    assert reply.body.startswith(b":")
    assert b"nothing could serve it" in reply.body
    assert b"[DONE]" not in reply.body


async def test_a_silent_stream_gets_heartbeats_between_events():
    timing = StreamConfig(commit_after=0.05, heartbeat=0.05)
    stream = streaming(event("one"), 0.3, event("two"), DONE)
    async with serving(StandInPipeline(stream=stream, stream_config=timing)) as served:
        reply = await served.ask("/v1/chat/completions", STREAM)
    between = reply.body.removeprefix(event("one")).removesuffix(event("two") + DONE)
    assert between.count(b"\n\n") >= 2
    assert all(line.startswith(b":") for line in between.split(b"\n") if line)


def leave(writer: asyncio.StreamWriter, how: str) -> None:
    if how == "reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif how == "half-close":
        writer.write_eof()
    else:
        if how == "stray":
            writer.write(b"\r\n")
        elif how == "pipelined":
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        writer.close()


HOWS = ["close", "reset", "half-close", "stray", "pipelined"]


@pytest.mark.parametrize(
    ("moment", "how"),
    [(moment, how) for moment in ("before the head", "in the stream", "whole") for how in HOWS]
    + [("in the body", how) for how in HOWS[:3]],
)
async def test_a_client_that_leaves_stops_the_work_and_is_settled_once(how, moment):
    stream = streaming(event("one"), None) if moment == "in the stream" else forever
    async with serving(StandInPipeline(forever, stream)) as served, served.connection() as (reader, writer):
        sent = request(CHAT if moment == "whole" else STREAM)
        writer.write(sent[:-10] if moment == "in the body" else sent)
        await until(lambda: served.pipeline.frames)
        frame = served.pipeline.frames[0]
        if moment == "in the stream":
            await reader.readuntil(b"one")
        elif moment != "in the body":
            await until(lambda: frame.request is not None)
        await asyncio.sleep(0.02)
        leave(writer, how)
        await asyncio.wait_for(frame.settled.wait(), 1)
        await until(lambda: not served.app.state.desk.calls)
        assert frame.left == 1
        assert frame.abandoned
        assert isinstance(frame.failure, asyncio.CancelledError)


async def test_a_client_that_leaves_after_its_answer_is_no_cancellation():
    async with serving(StandInPipeline()) as served:
        for _ in range(20):
            await served.ask("/v1/chat/completions", STREAM)
        await until(lambda: not served.app.state.desk.calls)
    assert all(frame.left == 1 and frame.failure is None and not frame.abandoned for frame in served.pipeline.frames)


async def test_a_client_that_does_not_read_is_cut_and_its_memory_is_bounded():
    produced = 0

    async def fire_hose(frame, request) -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            nonlocal produced
            while True:
                produced += 65536
                yield b"data: " + b"x" * 65528 + b"\n\n"

        return Stream(pieces())

    pipeline = StandInPipeline(stream=fire_hose, server=ServerConfig(send_timeout=0.3))
    async with serving(pipeline) as served, served.connection(limit=1024) as (_, writer):
        writer.write(request(STREAM))
        await until(lambda: served.pipeline.frames)
        await asyncio.wait_for(served.pipeline.frames[0].settled.wait(), 5)
        assert served.pipeline.frames[0].abandoned
        assert produced < 16 * 1024 * 1024, "the kernel's buffers and ours, no more"


async def test_many_requests_share_a_connection():
    async with serving(StandInPipeline()) as served, served.connection() as (reader, writer):
        for _ in range(5):
            writer.write(request(CHAT))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(len(ANSWER)) == ANSWER
            writer.write(request(STREAM))
            await reader.readuntil(b"\r\n\r\n")
            assert unchunk(await reader.readuntil(b"0\r\n\r\n")).endswith(DONE)


async def test_pipelined_requests_are_answered_in_order():
    async with serving(StandInPipeline()) as served:
        last = request(STREAM).replace(b"Host", b"Connection: close\r\nHost", 1)
        answer = await served.raw(request(CHAT) * 3 + last)
    assert answer.count(b"HTTP/1.1 200") == 4
    assert answer.count(ANSWER) == 3


def test_every_address_is_in_the_table():
    paths = {route.path for route in openai.routes()}
    for prefix in ("/v1", "/ai", "/ai/v1", "/router/{router}", "/router/{router}/v1"):
        for path in ("chat/completions", "completions", "embeddings", "models", "models/{model:path}"):
            assert f"{prefix}/{path}" in paths


async def test_a_client_that_does_not_read_an_error_is_cut_as_well():
    error = ProviderError("big", upstream_status=400, body=b'"' + b"x" * 30_000_000 + b'"')
    pipeline = StandInPipeline(failing(error), server=ServerConfig(send_timeout=0.3))
    async with serving(pipeline) as served, served.connection(limit=1024) as (_, writer):
        writer.write(request(CHAT))
        await until(lambda: served.app.state.desk.calls)
        await until(lambda: not served.app.state.desk.calls)
    assert pipeline.frames[0].left == 1


async def test_a_failure_just_as_the_stream_is_committed_is_one_clean_answer():
    for delay in (0.018, 0.019, 0.02, 0.021, 0.022):

        async def late(frame, request, delay=delay):
            await asyncio.sleep(delay)
            raise NoDeploymentError("nothing could serve it")

        timing = StreamConfig(commit_after=0.02, heartbeat=0.02)
        async with serving(StandInPipeline(stream=late, stream_config=timing)) as served:
            reply = await served.ask("/v1/chat/completions", STREAM)
        if reply.status == 503:
            assert reply.error["code"] == "no_deployment"
        else:
            assert reply.headers["content-type"].startswith("text/event-stream")
            assert reply.body.startswith(b":")
        assert b"nothing could serve it" in reply.body
