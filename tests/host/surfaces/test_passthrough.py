"""The direct relay over real sockets: where requests go, what goes up, what comes down, and who is kept out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from host.stand_ins import (
    ANSWER,
    CHAT,
    DONE,
    STREAM,
    RelayAnswer,
    StandInPipeline,
    event,
    provider,
    serving,
    until,
)
from llmgate.config.model import ServerConfig, StreamConfig
from llmgate.host.app import create_app
from llmgate.host.surfaces.passthrough import METHODS
from llmgate.spec import Operation, ProviderAuthenticationError, ProviderConnectionError, ProviderProtocolError

PROVIDERS = [provider(name) for name in ("openai", "groq", "gemini", "anthropic", "vertex", "perplexity")]
RESPONSES = json.dumps({"model": "gpt-5", "input": "hello"}).encode()


def relaying(**options) -> StandInPipeline:
    return StandInPipeline(**{"providers": PROVIDERS, **options})


def answering(status: int = 200, *steps, headers=None):
    """An answer of the given pieces; an exception is raised, None waits for ever."""

    async def start(frame, request) -> RelayAnswer:
        async def pieces() -> AsyncIterator[bytes]:
            for step in steps:
                if isinstance(step, BaseException):
                    raise step
                if step is None:
                    await asyncio.Event().wait()
                else:
                    yield step

        frame.served_by("openai", request.model, request_id="up-7")
        return RelayAnswer(status, {"content-type": "application/json", **(headers or {})}, pieces())

    return start


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/openai/v1/chat/completions", "openai"),
        ("/openai/chat/completions", "openai"),
        ("/openai/v1/chat/completions/", "openai"),
        ("/groq/openai/v1/chat/completions", "groq"),
        ("/groq/v1/chat/completions", "groq"),
        ("/gemini/chat/completions", "gemini"),
        ("/google/v1beta/openai/chat/completions", "gemini"),
        ("/claude/v1/chat/completions", "anthropic"),
    ],
)
async def test_a_chat_address_of_a_provider_is_chat_with_that_provider_alone(path, name):
    async with serving(relaying()) as served:
        reply = await served.ask(path, CHAT)
        streamed = await served.ask(path, STREAM)
        frames = served.pipeline.frames
    assert (reply.status, reply.body) == (200, ANSWER)
    assert streamed.body == event("one") + event("two") + event("three") + DONE
    for frame, body in zip(frames, (CHAT, STREAM), strict=True):
        assert frame.exchange.operation is Operation.CHAT
        assert frame.exchange.surface == "relay"
        assert (frame.request.model, frame.request.body, frame.request.router) == (f"{name}/echo", body, None)


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("gpt-5,anthropic/claude-opus-4-1", "openai/gpt-5,openai/anthropic/claude-opus-4-1"),
        ("gpt-5,!openai", "openai/gpt-5"),
        ("!openai", "openai/"),
    ],
)
async def test_a_chain_of_models_leads_nowhere_else(model, asked):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    async with serving(relaying()) as served:
        await served.ask("/openai/v1/chat/completions", body)
        (frame,) = served.pipeline.frames
    assert frame.request.model == asked


@pytest.mark.parametrize(
    ("path", "body", "operation"),
    [
        ("/openai/v1/embeddings", {"model": "e", "input": "x"}, Operation.EMBEDDINGS),
        ("/openai/v1/completions", {"model": "c", "prompt": "x"}, Operation.TEXT_COMPLETION),
    ],
)
async def test_the_other_formats_of_a_row_are_their_operations(path, body, operation):
    async with serving(relaying()) as served:
        await served.ask(path, json.dumps(body).encode())
        request = served.pipeline.frames[0].request
    assert request.operation is operation
    assert request.model == f"openai/{body['model']}"


async def test_a_bad_body_at_a_known_address_is_a_400_before_anything_is_sent():
    async with serving(relaying()) as served:
        reply = await served.ask("/openai/v1/chat/completions", b'{"model":"a","model":"b","messages":[]}')
        assert (reply.status, reply.error["code"]) == (400, "invalid_json")
        assert served.pipeline.frames[0].request is None


@pytest.mark.parametrize("method", [method for method in METHODS if method != "HEAD"])
async def test_every_method_is_relayed_with_its_body_query_and_status(method):
    allowed = [provider("openai", passthrough=True)]
    relay = answering(207, b"a", b"b", headers={"content-type": "audio/mpeg", "openai-version": "1"})
    async with serving(relaying(relay=relay, providers=allowed)) as served:
        body = None if method == "GET" else RESPONSES
        reply = await served.ask("/openai/v1/files/f-1?limit=2&key=mine&after=x", body, method=method)
        frame = served.pipeline.frames[0]
    assert (reply.status, reply.body, reply.headers["content-type"]) == (207, b"ab", "audio/mpeg")
    assert reply.headers["openai-version"] == "1"
    assert reply.headers["helicone-provider"] == "openai"
    assert reply.headers["helicone-provider-req-id"] == "up-7"
    assert reply.headers["helicone-id"] == frame.id
    assert frame.exchange.operation is Operation.RELAY
    assert frame.relayed_to == "openai"
    assert (frame.request.relay.method, frame.request.relay.path) == (method, "/v1/files/f-1?limit=2&after=x")
    assert frame.request.body == (body or b"")
    assert frame.request.format == ""
    assert frame.failure is None


async def test_head_is_relayed_and_has_no_body():
    async with serving(relaying(relay=answering())) as served:
        raw = await served.raw(b"HEAD /openai/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert served.pipeline.frames[0].request.relay.method == "HEAD"
    assert raw.startswith(b"HTTP/1.1 200")
    assert raw.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_by_its_status(status):
    async with serving(relaying(relay=answering(status))) as served:
        raw = await served.raw(b"GET /openai/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 %d" % status)
    assert raw.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "LOCK"])
async def test_other_methods_are_not_relayed(method):
    async with serving(relaying()) as served:
        reply = await served.ask("/openai/v1/models", method=method)
        assert (reply.status, reply.headers["allow"]) == (405, ", ".join(METHODS))
        assert not served.pipeline.frames


@pytest.mark.parametrize(
    "path", ["/mistral/v1/models", "/nobody/v1/models", "/openai", "/openai/", "/OpenAI/v1/models"]
)
async def test_a_provider_that_is_not_configured_is_a_404(path):
    async with serving(relaying()) as served:
        reply = await served.ask(path)
        assert (reply.status, reply.error["code"]) == (404, "not_found")
        assert not served.pipeline.frames


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/openai/v1/files"),
        ("DELETE", "/openai/v1/models/ft:mine"),
        ("GET", "/openai/v1/organization/users"),
        ("GET", "/openai/v1/chat/completions"),
        ("PUT", "/openai/v1/chat/completions"),
        ("POST", "/anthropic/v1/messages/batches"),
    ],
)
async def test_a_path_that_is_no_inference_needs_the_operators_word(method, path):
    body = CHAT if method in {"POST", "PUT"} else None
    async with serving(relaying()) as served:
        reply = await served.ask(path, body, method=method)
        assert reply.status == 403
        assert reply.error.get("code", "path_not_allowed") == "path_not_allowed", "Anthropic's errors have no code"
        assert "passthrough: all" in reply.error["message"]
        assert served.pipeline.frames[0].request is None
    every = [provider(path.split("/")[1], passthrough=True)]
    async with serving(relaying(providers=every)) as served:
        assert (await served.ask(path, body, method=method)).status == 200


async def test_nobody_learns_what_is_allowed_without_a_credential():
    async with serving(relaying(keys=["sk"])) as served:
        for path in ("/openai/v1/files", "/openai/v1/models", "/openai/v1/responses"):
            assert (await served.ask(path)).status == 401
        assert (await served.ask("/openai/v1/models", authorization="Bearer sk")).status == 200
        assert all(frame.left == 1 for frame in served.pipeline.frames)


@pytest.mark.parametrize(
    ("path", "body", "options", "model"),
    [
        ("/openai/v1/videos", RESPONSES, {}, "gpt-5"),
        ("/openai/v1/videos", b'{"input":"x"}', {}, ""),
        ("/openai/v1/videos", b'{"model":"a","model":"b"}', {}, ""),
        ("/openai/v1/videos", b'{"model":5}', {}, ""),
        ("/openai/v1/videos", b"{not json", {}, ""),
        ("/openai/v1/videos", b'{"model":"' + b"m" * 300_000 + b'"}', {}, "m" * 300_000),
        ("/openai/v1/audio/transcriptions", RESPONSES, {"content_type": "text/plain", "authorization": "x"}, ""),
        ("/gemini/v1beta/models/gemini-x:generateContent", b'{"contents":[]}', {}, "gemini-x"),
        ("/gemini/v1beta/models/gemini-x:generateContent", b'{"model":"gemini-x"}', {}, "gemini-x"),
        ("/gemini/v1beta/models/gemini-x:generateContent", b'{"model":"gemini-cheap"}', {}, ""),
    ],
)
async def test_the_model_is_read_where_it_can_be_and_never_guessed(path, body, options, model):
    async with serving(relaying()) as served:
        await served.ask(path, body, **options)
        assert served.pipeline.frames[0].request.model == model
        assert served.pipeline.frames[0].request.body == body


async def test_any_body_is_relayed_byte_for_byte():
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n\x00\xff\xfe\r\n--b--\r\n'
    async with serving(relaying()) as served:
        reply = await served.ask(
            "/openai/v1/audio/transcriptions",
            body,
            content_type='multipart/form-data; boundary="b"',
            authorization="Bearer x",
        )
        request = served.pipeline.frames[0].request
    assert reply.status == 200
    assert request.body == body
    assert request.headers == {"content-type": 'multipart/form-data; boundary="b"'}


async def test_only_listed_headers_go_up():
    async with serving(relaying()) as served:
        await served.ask(
            "/openai/v1/videos",
            RESPONSES,
            accept="text/event-stream",
            openai_beta="x=1",
            anthropic_version="2023-06-01",
            anthropic_beta="y",
            **dict.fromkeys(
                [
                    "authorization", "x_api_key", "api_key", "x_goog_api_key", "helicone_auth", "cookie", "forwarded",
                    "x_forwarded_for", "x_forwarded_host", "proxy_authorization", "openai_organization", "te",
                    "openai_project", "x_goog_user_project", "host_override", "x_http_method_override", "user_agent",
                    "x_request_id", "origin_agent", "x_portkey_custom_host", "x_base_url",
                ],
                "secret",
            ),
        )  # fmt: skip
        headers = served.pipeline.frames[0].request.headers
    assert headers == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "openai-beta": "x=1",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "y",
    }


async def test_what_the_connection_header_names_does_not_go_up():
    async with serving(relaying()) as served:
        await served.ask("/openai/v1/videos", RESPONSES, connection="close, OpenAI-Beta", openai_beta="x")
        assert "openai-beta" not in served.pipeline.frames[0].request.headers


async def test_what_must_not_come_down_does_not():
    headers = {
        "set-cookie": "a=b",
        "server": "evil",
        "connection": "x-secret",
        "transfer-encoding": "gzip",
        "content-length": "1",
        "content-encoding": "gzip",
        "x-request-id": "theirs",
        "cache-control": "public",
        "www-author": "x\r\nset-cookie: c=d",
        "content-security-policy": "none",
        "bad name": "x",
    }
    async with serving(relaying(relay=answering(200, b"<html>", headers=headers))) as served:
        raw = await served.raw(b"GET /openai/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    lines = raw.lower().partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert not [line for line in lines if line.startswith((b"set-cookie", b"server", b"content-encoding", b"bad"))]
    assert b"cache-control: no-store" in lines
    assert b"content-security-policy: sandbox" in lines
    assert b"x-content-type-options: nosniff" in lines
    assert b"transfer-encoding: chunked" in lines
    assert b"content-length: 1" not in lines
    assert not [line for line in lines if line.startswith(b"x-request-id: theirs")]


async def test_an_answer_that_breaks_off_is_never_shown_as_whole():
    broken = answering(200, b"first", ProviderConnectionError("it broke off", provider_name="openai"))
    async with serving(relaying(relay=broken)) as served:
        raw = await served.raw(b"GET /openai/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        frame = served.pipeline.frames[0]
    assert raw.endswith(b"5\r\nfirst\r\n"), "no last chunk, and nothing said inside a format that is not ours"
    assert isinstance(frame.failure, ProviderConnectionError)
    assert frame.left == 1


async def test_a_crash_in_the_middle_tells_nothing(caplog):
    async with serving(relaying(relay=answering(200, b"first", RuntimeError("secret detail")))) as served:
        raw = await served.raw(b"GET /openai/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert raw.endswith(b"5\r\nfirst\r\n")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ProviderAuthenticationError("refused", upstream_status=401), 502, "provider_authentication_failed"),
        (ProviderProtocolError("a redirect", upstream_status=302), 502, "provider_protocol_error"),
        (ProviderConnectionError("away"), 502, "provider_unreachable"),
    ],
)
async def test_an_answer_that_cannot_be_had_is_our_own_error(error, status, code):
    async def fail(frame, request):
        raise error

    async with serving(relaying(relay=fail)) as served:
        reply = await served.ask("/openai/v1/models")
    assert (reply.status, reply.error["code"]) == (status, code)


async def test_a_client_that_leaves_stops_the_relay():
    async with (
        serving(relaying(relay=answering(200, b"first", None))) as served,
        served.connection() as (reader, writer),
    ):
        writer.write(b"GET /openai/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"first")
        writer.close()
        frame = served.pipeline.frames[0]
        await asyncio.wait_for(frame.settled.wait(), 1)
        await until(lambda: not served.app.state.desk.calls)
    assert frame.abandoned
    assert isinstance(frame.failure, asyncio.CancelledError)


async def test_a_client_that_does_not_read_is_cut():
    async def fire_hose(frame, request) -> RelayAnswer:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536

        return RelayAnswer(200, {}, pieces())

    pipeline = relaying(relay=fire_hose, server=ServerConfig(send_timeout=0.3))
    async with serving(pipeline) as served, served.connection(limit=1024) as (_, writer):
        writer.write(b"GET /openai/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: served.pipeline.frames)
        await asyncio.wait_for(served.pipeline.frames[0].settled.wait(), 5)


async def test_a_silent_answer_gets_no_heartbeat():
    timing = StreamConfig(commit_after=0.05, heartbeat=0.05)
    pipeline = relaying(relay=answering(200, b"first", None), stream_config=timing)
    async with serving(pipeline) as served, served.connection() as (reader, writer):
        writer.write(b"GET /openai/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"first\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)


async def test_a_body_over_the_limit_is_a_413():
    async with serving(relaying(server=ServerConfig(max_body_bytes=10))) as served:
        assert (await served.ask("/openai/v1/videos", RESPONSES)).status == 413
        assert served.pipeline.frames[0].request is None


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", ""]
)
async def test_without_login_a_page_of_another_site_can_send_nothing(kind):
    path = "/openai/v1/audio/transcriptions"
    async with serving(relaying()) as served:
        for proof in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}, {}):
            reply = await served.ask(path, b"x", content_type=kind or "none", **proof)
            assert (reply.status, reply.error["code"]) == (403, "cross_site")
        assert (await served.ask(path, b"x", content_type=kind or "none", host="evil.example")).status == 403
        assert (await served.ask("/openai/v1/models", origin="https://evil.example")).status == 403
        assert not served.pipeline.frames
        for proof in ({"authorization": "Bearer none"}, {"x_api_key": "k"}, {"origin": "http://localhost:3000"}):
            assert (await served.ask(path, b"x", content_type=kind or "none", **proof)).status == 200
    async with serving(relaying(keys=["sk"])) as served:
        reply = await served.ask(path, b"x", content_type=kind or "none", authorization="Bearer sk")
        assert reply.status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/openai/http://evil.example/x", "/openai//evil.example/x", "/openai/../v1/models", "/openai/v1/../../admin",
        "/openai/v1/%2e%2e/x", "/openai/v1/%2E%2E%2fx", "/openai/v1%2fmodels", "/openai%2fv1/models",
        "/openai/v1/a%5cb", "/openai/v1\\models", "/openai/v1/models;x", "/openai/v1/..;/admin", "/openai/v1/%3b",
        "/openai/v1/a%00",
        "/openai/v1/a%0d%0aHost:x", "/openai/v1/a%252e", "/openai/v1/models/a%2fb", "/openai/v1/%ff", "/openai/v1/a%23",
        "/openai/v1/models?a=b\\c", "/openai/./v1/models", "//evil.example/v1/models", "http://evil.example/openai/v1/models",
        "/openai/v1/a|b", "/openai/v1/<a>", "/openai/v1/models/a%2f..%2fb",
    ],
)  # fmt: skip
async def test_a_target_that_can_be_read_in_two_ways_reaches_nobody(target):
    async with serving(relaying(providers=[provider("openai", passthrough=True)])) as served:
        reply = await served.ask(target)
        assert reply.status in {400, 404}
        assert all(frame.request is None for frame in served.pipeline.frames)


async def test_the_relay_works_where_the_application_is_mounted():
    from host.test_app import call

    pipeline = relaying()
    outer = Starlette(routes=[Mount("/llm", create_app(pipeline, owns_pipeline=False))])
    async with pipeline:
        assert await call(outer, "/llm/openai/v1/chat/completions") == (200, ANSWER)
        assert await call(outer, "/llm/openai/v1/models", body=b"") == (200, b'{"relayed":true}')
    assert pipeline.frames[1].request.relay.path == "/v1/models"
