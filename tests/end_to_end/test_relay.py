"""The direct relay against real sockets on both sides: credentials, native APIs, streams, rights, records."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
from typing import Any

import anthropic
import openai
import pytest
from yarl import URL

from end_to_end.loopback import Loopback, loopback
from llmgate.testing.upstream import FakeUpstream, ReceivedRequest, UpstreamConnection

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
ANTHROPIC_EVENTS = [
    ("message_start", {"message": {**MESSAGE, "content": [], "stop_reason": None}}),
    ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "hello"}}),
    ("content_block_stop", {"index": 0}),
    ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}}),
    ("message_stop", {}),
]


def sse(name: str, fields: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def settings(upstream: FakeUpstream, *names: str, **more: Any) -> dict[str, Any]:
    return {"providers": {name: {"base-url": upstream.url, **more} for name in names}}


async def ask(one: Loopback, method: str, path: str, **options: Any) -> tuple[int, dict[str, str], bytes]:
    url = URL(f"http://127.0.0.1:{one.port}{path}", encoded=True)
    async with one.client.request(method, url, **options) as response:
        return response.status, {name.lower(): text for name, text in response.headers.items()}, await response.read()


async def test_the_anthropic_sdk_works_at_the_providers_address() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "anthropic")) as one:
        async with anthropic.AsyncAnthropic(
            base_url=f"http://127.0.0.1:{one.port}/anthropic", api_key="placeholder", max_retries=0
        ) as client:
            upstream.answer(json=MESSAGE)
            ask_for: dict[str, Any] = {
                "model": "claude-x",
                "max_tokens": 9,
                "messages": [{"role": "user", "content": "x"}],
            }
            answer = await client.messages.create(**ask_for, extra_headers={"anthropic-beta": "some-beta"})
            assert answer.content[0].text == "hello"
            upstream.raw(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                + b"".join(sse(name, fields) for name, fields in ANTHROPIC_EVENTS)
            )
            async with client.messages.stream(**ask_for) as stream:
                assert await stream.get_final_text() == "hello"
            upstream.answer(json={"input_tokens": 3})
            assert (
                await client.messages.count_tokens(model="claude-x", messages=ask_for["messages"])
            ).input_tokens == 3
        first = upstream.requests[0]
        assert [request.path for request in upstream.requests] == [
            "/v1/messages",
            "/v1/messages",
            "/v1/messages/count_tokens",
        ]
        assert first.headers["x-api-key"] == "secret-of-anthropic"
        assert "authorization" not in first.headers
        assert first.headers["anthropic-version"]
        assert first.headers["anthropic-beta"] == "some-beta"
        assert b"placeholder" not in first.raw_head
        records = await one.recorded(3)
    assert all(record.request_model and record.request_model.endswith("claude-x") for record in records)
    assert {(record.outcome, record.provider_name) for record in records} == {("ok", "anthropic")}


async def test_geminis_native_api_takes_its_own_credential_header_and_no_key_in_the_query() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "gemini")) as one:
        upstream.answer(json={"candidates": []})
        status, _, body = await ask(
            one, "POST", "/gemini/v1beta/models/gemini-x:generateContent?alt=sse&key=mine", json={"contents": []}
        )
        assert (status, json.loads(body)) == (200, {"candidates": []})
        native = upstream.requests[0]
        assert native.path == "/v1beta/models/gemini-x:generateContent?alt=sse"
        assert native.headers["x-goog-api-key"] == "secret-of-gemini"
        assert "authorization" not in native.headers
        await ask(
            one, "POST", "/google/chat/completions", json={"model": "g", "messages": [{"role": "user", "content": "x"}]}
        )
        compatible = upstream.requests[1]
        assert compatible.path == "/v1beta/openai/chat/completions"
        assert compatible.headers["authorization"] == "Bearer secret-of-gemini"
        assert "x-goog-api-key" not in compatible.headers
        assert (await one.recorded(2))[0].request_model == "gemini-x"


async def test_the_openai_sdk_uploads_audio_and_reads_responses() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{one.port}/openai/v1", api_key="x") as client:
            upstream.answer(json={"text": "hello"})
            said = await client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"\x00\xff" * 5000))
            assert said.text == "hello"
            upstream.answer(body=b"\x00audio\xff", headers={"content-type": "audio/mpeg"})
            speech = await client.audio.speech.create(model="tts-1", voice="alloy", input="x")
            assert speech.content == b"\x00audio\xff"
        received = upstream.requests[0]
        assert received.path == "/v1/audio/transcriptions"
        assert received.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert b"\x00\xff" * 5000 in received.body
        assert int(received.headers["content-length"]) == len(received.body)


async def test_a_method_a_body_and_a_status_pass_both_ways() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai", passthrough="all")) as one:
        for method in ("PUT", "PATCH", "DELETE", "POST"):
            upstream.answer(418, body=b"\x00teapot", headers={"content-type": "application/x-tea", "set-cookie": "a=b"})
            status, headers, body = await ask(one, method, "/openai/v1/files/f%20x?a=%2F&b", data=b"\x01\x02")
            assert (status, body, headers["content-type"]) == (418, b"\x00teapot", "application/x-tea")
            assert "set-cookie" not in headers
            received = upstream.requests[-1]
            assert (received.method, received.path, received.body) == (method, "/v1/files/f%20x?a=%2F&b", b"\x01\x02")
        upstream.answer(200, body=b"", headers={"content-length": "12"})
        status, _, body = await ask(one, "HEAD", "/openai/v1/models")
        assert (status, body) == (200, b"")
        assert upstream.requests[-1].method == "HEAD"


async def test_an_error_of_the_provider_is_its_answer() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        upstream.answer(
            429, json={"error": {"message": "slow"}}, headers={"retry-after": "7", "x-ratelimit-limit-requests": "1"}
        )
        status, headers, body = await ask(one, "POST", "/openai/v1/videos", json={"model": "m", "input": "x"})
        assert (status, json.loads(body)) == (429, {"error": {"message": "slow"}})
        assert (headers["retry-after"], headers["x-ratelimit-limit-requests"]) == ("7", "1")
        assert len(upstream.requests) == 1, "a relay is never repeated"


@pytest.mark.parametrize("refusal", [401, 403])
async def test_a_refused_credential_is_the_operators_affair(refusal: int) -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        upstream.answer(refusal, json={"error": {"message": "wrong key secret-of-***"}}, times=3)
        reply = await one.post({"model": "m", "input": "x"}, "/openai/v1/videos")
        assert (reply.status, reply.error["code"]) == (502, "provider_authentication_failed")
        assert b"secret-of" not in reply.body


async def test_a_redirect_is_not_followed() -> None:
    async with FakeUpstream() as upstream, FakeUpstream() as evil, loopback(settings(upstream, "openai")) as one:
        upstream.redirect(f"{evil.url}/v1/responses", 307)
        reply = await one.post({"model": "m", "input": "x"}, "/openai/v1/videos")
        assert (reply.status, reply.error["code"]) == (502, "provider_protocol_error")
        assert "location" not in reply.headers
        assert not evil.accepted


async def test_an_answer_comes_down_as_it_comes() -> None:
    gate = asyncio.Event()

    async def slowly(request: ReceivedRequest, connection: UpstreamConnection) -> None:
        await connection.write_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        await connection.write_chunk(b"event: a\ndata: 1\n\n")
        await gate.wait()
        await connection.write_chunk(b"event: b\ndata: 2\n\n")
        await connection.write(b"0\r\n\r\n")

    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        upstream.script(slowly)
        url = f"http://127.0.0.1:{one.port}/openai/v1/videos"
        async with one.client.post(url, json={"model": "m", "input": "x", "stream": True}) as response:
            assert response.headers["content-type"] == "text/event-stream"
            assert await asyncio.wait_for(response.content.readany(), 5) == b"event: a\ndata: 1\n\n"
            gate.set()
            assert await asyncio.wait_for(response.content.read(), 5) == b"event: b\ndata: 2\n\n"


async def test_a_client_that_leaves_closes_the_provider() -> None:
    async def endless(request: ReceivedRequest, connection: UpstreamConnection) -> None:
        await connection.write_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        await connection.write_chunk(b"data: 1\n\n")
        await connection.hang()

    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        upstream.script(endless)
        body = b'{"model":"m","input":"x","stream":true}'
        client = await one.raw(
            b"POST /openai/v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        await client.read_until(b"data: 1")
        client.fin()
        await upstream.closed(1, timeout=10)
        (record,) = await one.recorded()
    assert (record.operation, record.outcome, record.status) == ("relay", "cancelled", 499)


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_a_provider_that_breaks_off_is_never_shown_as_finished(end: Any) -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        upstream.raw(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 99\r\n\r\nhalf", end=end)
        reply = await one.post({"model": "m", "input": "x"}, "/openai/v1/audio/speech")
        assert not reply.whole or reply.status == 502
        assert b"error" not in reply.body or reply.status == 502
        (record,) = await one.recorded()
    assert record.outcome == "incomplete"


async def test_a_provider_that_is_away_is_a_502() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        await upstream.refuse()
        reply = await one.post({"model": "m", "input": "x"}, "/openai/v1/videos")
        assert (reply.status, reply.error["code"]) == (502, "provider_unreachable")
        assert str(upstream.port) not in reply.error["message"]


KEY = "sk-cheap-0123456789abcdef"


@pytest.fixture
def restricted() -> dict[str, Any]:
    """A gateway with one key, which may call one model."""
    key = {
        "name": "cheap",
        "hash": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}",
        "models": ["openai/gpt-cheap"],
    }
    return {"auth": [{"use": "static-keys", "keys": [key]}]}


async def test_who_may_call_some_models_only_cannot_hide_the_name_of_another(restricted: dict[str, Any]) -> None:
    async with FakeUpstream() as upstream:
        settled = {**settings(upstream, "openai", "gemini", passthrough="all"), **restricted}
        async with loopback(settled) as one:
            key = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
            upstream.answer(json={"ok": True}, times=2)
            for method, path, body in [
                ("POST", "/openai/v1/videos", b'{"model":"gpt-cheap","input":"x"}'),
                ("GET", "/openai/v1/models/gpt-cheap", b""),
            ]:
                assert (await ask(one, method, path, data=body, headers=key))[0] == 200
            for method, path, body, more in [
                ("POST", "/openai/v1/videos", b'{"model":"gpt-dear","input":"x"}', {}),
                ("POST", "/openai/v1/videos", b'{"input":"x"}', {}),
                ("POST", "/openai/v1/videos", b'{"model":"gpt-cheap","model":"gpt-dear"}', {}),
                ("POST", "/openai/v1/videos", b'{"model":"gpt-cheap","\\u006dodel":"gpt-dear"}', {}),
                ("POST", "/openai/v1/videos", b'\xef\xbb\xbf{"model":"gpt-cheap"}', {}),
                ("POST", "/openai/v1/videos", b'{"model":"gpt-cheap"}', {"content-type": "text/plain"}),
                ("POST", "/openai/v1/chat/completions", b'{"model":"gpt-dear","messages":[]}', {}),
                ("POST", "/openai/v1/chat/completions", b'{"model":"gpt-cheap"}', {"content-type": "text/plain"}),
                (
                    "POST",
                    "/openai/v1/audio/transcriptions",
                    b"--b--",
                    {"content-type": "multipart/form-data; boundary=b"},
                ),
                ("GET", "/openai/v1/models", b"", {}),
                ("GET", "/openai/v1/files", b"", {}),
                ("POST", "/gemini/v1beta/models/gpt-dear:generateContent", b'{"model":"gpt-cheap"}', {}),
                ("POST", "/gemini/v1beta/models/gpt-cheap:generateContent", b"{}", {}),
                ("POST", "/gemini/v1beta/models/gpt-cheap/models/gpt-dear:x", b"{}", {}),
            ]:
                status, _, answer = await ask(one, method, path, data=body, headers={**key, **more})
                assert status in {400, 403}, (path, body, status, answer)
            assert len(upstream.requests) == 2


async def test_authentication_comes_before_everything(restricted: dict[str, Any]) -> None:
    async with FakeUpstream() as upstream, loopback({**settings(upstream, "openai"), **restricted}) as one:
        for path in ("/openai/v1/videos", "/openai/v1/files", "/openai/v1/chat/completions"):
            reply = await one.post({"model": "m"}, path)
            assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
        assert not upstream.accepted
        assert len(await one.recorded(3)) == 3


async def test_a_large_body_and_a_large_answer_pass() -> None:
    big = b"x" * 3_000_000
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        upstream.answer(body=big, headers={"content-type": "application/octet-stream"})
        status, _, body = await ask(
            one, "POST", "/openai/v1/audio/transcriptions", data=io.BytesIO(big), headers={"authorization": "Bearer x"}
        )
        assert (status, body) == (200, big)
        assert upstream.requests[0].body == big


async def test_the_passthrough_setting_opens_everything_else() -> None:
    async with FakeUpstream() as upstream:
        async with loopback(settings(upstream, "openai")) as one:
            status, _, body = await ask(one, "GET", "/openai/v1/files")
            assert status == 403
            assert json.loads(body)["error"]["code"] == "path_not_allowed"
            assert not upstream.accepted
        async with loopback(settings(upstream, "openai", passthrough="all")) as one:
            upstream.answer(json={"data": []})
            assert (await ask(one, "GET", "/openai/v1/files"))[0] == 200


async def test_a_compressed_body_is_relayed_decompressed() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        upstream.answer(json={"ok": 1})
        plain = b'{"model":"m","input":"x"}'
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        status, _, _ = await ask(one, "POST", "/openai/v1/videos", data=gzip.compress(plain), headers=headers)
        assert status == 200
        assert upstream.requests[0].body == plain
        assert "content-encoding" not in upstream.requests[0].headers


async def test_the_echo_provider_has_no_api_of_its_own_to_relay() -> None:
    async with loopback({"providers": {"echo": {}}}) as one:
        assert (
            await one.post(
                {"model": "echo", "messages": [{"role": "user", "content": "x"}]}, "/echo/v1/chat/completions"
            )
        ).status == 200
        assert (await one.post({"model": "echo"}, "/echo/v1/responses")).status == 403
    async with loopback({"providers": {"echo": {"passthrough": "all"}}}) as one:
        reply = await one.post({"model": "echo"}, "/echo/v1/responses")
        assert 400 <= reply.status < 500
