"""Sessions over WebSockets through a running gateway: real clients, a real provider on loopback, records."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import openai
import pytest

from end_to_end.loopback import Loopback, loopback
from llmgate.host.surfaces.realtime import socket_routes
from llmgate.stages.auth.keys import hash_of
from llmgate.testing.upstream_sockets import FakeSocketUpstream, ReceivedSocket

SERVERS = ("hypercorn", "uvicorn")

PATH = "/v1/realtime?model=gpt-realtime"
USAGE = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {"cached_tokens": 4, "text_tokens": 5, "audio_tokens": 15},
    "output_token_details": {"text_tokens": 3, "audio_tokens": 7},
}
DONE = {"type": "response.done", "response": {"id": "resp_1", "status": "completed", "usage": USAGE}}


def settings(*upstreams: FakeSocketUpstream, **sections: Any) -> dict[str, Any]:
    """OpenAI, and Azure where there is a second; a router ``main`` over both."""
    names = ("openai", "azure")[: len(upstreams)]
    return {
        "providers": {name: {"base-url": one.base_url} for name, one in zip(names, upstreams, strict=True)},
        "routers": {
            "main": {
                "load-balance": {"chat": {"strategy": "priority", "providers": list(names)}},
                "model-mappings": {"gpt-realtime": ["azure/my-realtime"]},
            }
        },
        **sections,
    }


def keys(**owners: Any) -> list[dict[str, Any]]:
    """Static keys: each owner's key is ``sk-OWNER``."""
    entries = [{"name": name, "hash": hash_of(f"sk-{name}"), **more} for name, more in owners.items()]
    return [{"use": "static-keys", "keys": entries}]


def connect(gateway: Loopback, path: str = PATH, **options: Any) -> Any:
    return gateway.client.ws_connect(f"http://127.0.0.1:{gateway.port}{path}", **options)


async def refused(gateway: Loopback, path: str = PATH, **options: Any) -> aiohttp.WSServerHandshakeError:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await connect(gateway, path, **options)
    return caught.value


async def test_messages_pass_both_ways_untouched_and_the_close_goes_up():
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        async with connect(gateway, PATH + "&x=%20y") as socket:
            for text in ("", "héllo \U0001f600", '{"type": "session.update",  "session": {"model" : "other"}}'):
                await socket.send_str(text)
                assert (await socket.receive_str()) == text
            blob = bytes(range(256)) * 5000
            await socket.send_bytes(blob)
            assert (await socket.receive_bytes()) == blob
            assert socket._response.headers["llmgate-model"] == "gpt-realtime"
            await socket.close(code=4001, message=b"enough")
        (record,) = await gateway.recorded()
    (seen,) = upstream.sockets
    assert seen.path == "/v1/realtime?model=gpt-realtime&x=%20y"
    assert seen.headers["authorization"] == "Bearer secret-of-openai"
    assert "sec-websocket-extensions" not in seen.headers
    assert (seen.close_code, seen.close_reason) == (4001, "enough")
    assert (record.outcome, record.status, record.operation) == ("ok", 101, "realtime")
    assert record.metadata == {"session.closed-by": "client", "session.close-code": "4001"}


async def test_a_session_ends_with_the_key_that_opened_it():
    quick = {"sessions": {"recheck": "50ms"}}
    async with (
        FakeSocketUpstream() as upstream,
        loopback(settings(upstream, auth=keys(a={}, b={}), **quick)) as gateway,
    ):
        opened = [await connect(gateway, headers={"authorization": f"Bearer sk-{name}"}) for name in "ab"]
        for socket in opened:
            await socket.send_str("x")
            assert (await socket.receive_str()) == "x"
        await gateway.pipeline.reload(settings(upstream, auth=keys(b={}), **quick))
        lost, kept = opened
        end = await lost.receive()
        assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        assert end.extra == "the key of this session is no longer good"
        await kept.send_str("still here")
        assert (await kept.receive_str()) == "still here"
        (record,) = await gateway.recorded()
        assert record.metadata == {"session.closed-by": "gateway", "session.close-code": "1008"}
        await kept.close()
        await lost.close()
        await gateway.recorded(2)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 4999])
async def test_the_providers_close_comes_down(code):
    async def player(socket: ReceivedSocket) -> None:
        await socket.send({"type": "session.created", "session": {"model": "gpt-realtime-2026"}})
        await socket.close(code, "so long")

    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        upstream.play(player)
        async with connect(gateway, autoclose=False) as socket:
            assert json.loads(await socket.receive_str())["type"] == "session.created"
            message = await socket.receive()
            assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, code, "so long")
        (record,) = await gateway.recorded()
    assert record.response_model == "gpt-realtime-2026"
    assert record.metadata == {"session.closed-by": "provider", "session.close-code": str(code)}


async def test_usage_is_summed_over_the_session_and_audio_is_not_decoded():
    async def player(socket: ReceivedSocket) -> None:
        await socket.send('{"type":"response.output_audio.delta","delta":not even JSON}')
        await socket.send(DONE)
        await socket.send(DONE)
        await socket.close()

    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        upstream.play(player)
        async with connect(gateway) as socket:
            came = [message async for message in socket]
        (record,) = await gateway.recorded()
    assert len(came) == 3
    usage = record.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read) == (40, 20, 8)
    assert (usage.audio_input, usage.audio_output) == (30, 14)
    assert record.attempts[0].usage == usage
    assert record.response_id == "resp_1"


@pytest.mark.parametrize("answer", [429, 503, 401])
async def test_the_next_provider_is_asked_until_a_handshake_succeeds(answer: int):
    async with FakeSocketUpstream() as one, FakeSocketUpstream() as two:
        one.refuse(answer, {"error": {"message": "no"}}, {"retry-after": "60"})
        async with loopback(settings(one, two)) as gateway:
            async with connect(gateway, "/router/main/v1/realtime?model=gpt-realtime") as socket:
                await socket.send_str("hello")
                assert await socket.receive_str() == "hello"
            (record,) = await gateway.recorded()
    assert [attempt.status for attempt in record.attempts] == [answer, 101]
    assert [seen.path for seen in two.sockets] == ["/v1/realtime?model=my-realtime"]
    assert two.sockets[0].headers["api-key"] == "secret-of-azure"
    assert record.provider_name == "azure"


async def test_a_provider_that_refused_for_its_limit_is_left_alone_while_it_asked_to_be():
    async with FakeSocketUpstream() as one, FakeSocketUpstream() as two:
        one.refuse(429, {"error": {"message": "no"}}, {"retry-after": "60"})
        async with loopback(settings(one, two)) as gateway:
            for _ in range(3):
                async with connect(gateway, "/router/main/v1/realtime?model=gpt-realtime") as socket:
                    await socket.send_str("hello")
                    assert await socket.receive_str() == "hello"
            records = await gateway.recorded(3)
    assert [[attempt.status for attempt in record.attempts] for record in records] == [[429, 101], [101], [101]]


async def test_a_refusal_by_every_provider_is_a_plain_answer():
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        upstream.refuse(400, {"error": {"message": "no such model", "type": "invalid_request_error"}})
        assert (await refused(gateway)).status == 400
        upstream.refuse(302, None, {"location": f"{upstream.url}/elsewhere"})
        assert (await refused(gateway)).status == 502
        upstream.refuse(200, {})
        assert (await refused(gateway)).status == 502
        records = await gateway.recorded(3)
    assert len(upstream.sockets) == 3, "a redirect was followed"
    assert [record.outcome for record in records] == ["error"] * 3


async def test_a_provider_that_is_not_there_is_a_502():
    async with FakeSocketUpstream() as upstream:
        config = settings(upstream)
    async with loopback(config) as gateway:
        assert (await refused(gateway)).status == 502
        (record,) = await gateway.recorded()
    assert record.error_code == "provider_unreachable"


async def test_a_provider_that_breaks_off_is_an_internal_error_for_the_client():
    async def player(socket: ReceivedSocket) -> None:
        await socket.send("one")
        await socket.receive()
        socket.reset()

    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        upstream.play(player)
        async with connect(gateway, autoclose=False) as socket:
            assert await socket.receive_str() == "one"
            await socket.send_str("two")
            message = await socket.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011)
        (record,) = await gateway.recorded()
    assert (record.outcome, record.error_code) == ("incomplete", "provider_connection_lost")


@pytest.mark.parametrize("path", [PATH, "/v1/responses"])
async def test_a_client_that_does_not_wait_for_the_handshake_ends_it(path):
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        upstream.before_answer = asyncio.Event()
        raw = await gateway.raw(handshake(gateway, path))
        if path != PATH:
            await raw.read_until(b"\r\n\r\n")
            await raw.send(frame(1, b'{"type":"response.create","model":"gpt-5.5"}'))
        async with asyncio.timeout(5):
            while not upstream.sockets:
                await asyncio.sleep(0.01)
        raw.fin()
        (record,) = await gateway.recorded()
    assert (record.outcome, record.status) == ("cancelled", 499)


async def test_a_client_that_breaks_off_takes_the_provider_along():
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        socket = await connect(gateway)
        await socket.send_str("one")
        await socket.receive_str()
        transport = socket._response.connection.transport
        assert transport is not None
        transport.abort()
        (record,) = await gateway.recorded()
        async with asyncio.timeout(5):
            await upstream.sockets[0].ended.wait()
        await socket.close()
    assert (record.outcome, record.status) == ("cancelled", 499)
    assert upstream.sockets[0].close_code == 1001


@pytest.mark.parametrize("path", sorted(socket_routes()))
async def test_every_address_needs_a_key_once_keys_are_configured(path):
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream, auth=keys(ann={}))) as gateway:
        path = path.format(router="main")
        for headers in (
            {},
            {"authorization": "Bearer sk-nobody"},
            {"sec-websocket-protocol": "openai-insecure-api-key.x"},
        ):
            error = await refused(gateway, f"{path}?model=gpt-realtime", headers=headers)
            assert error.status == 401
            assert error.headers is not None
            assert error.headers["content-type"] == "application/json"
    assert upstream.sockets == []


async def test_a_browsers_key_is_taken_from_the_subprotocols_and_goes_no_further():
    offered = ("realtime", "openai-insecure-api-key.sk-ann", "openai-project.p", "openai-beta.realtime-v1")
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream, auth=keys(ann={}))) as gateway:
        async with connect(gateway, protocols=offered) as socket:
            assert socket.protocol == "realtime"
        (record,) = await gateway.recorded()
    assert record.principal == "ann"
    assert "sk-ann" not in str(upstream.sockets[0].headers)
    assert upstream.sockets[0].headers["sec-websocket-protocol"] == "realtime,openai-beta.realtime-v1"


async def test_a_page_of_another_site_is_kept_out_while_nobody_logs_in():
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        assert (await refused(gateway, origin="https://evil.example")).status == 403
        assert (await refused(gateway, headers={"host": "evil.example"})).status == 403
        async with connect(gateway, origin=f"http://127.0.0.1:{gateway.port}") as socket:
            await socket.send_str("x")
            assert await socket.receive_str() == "x"
    assert len(upstream.sockets) == 1


async def test_a_caller_restricted_by_model_cannot_change_it():
    config = {"auth": keys(ann={"models": ["openai/gpt-realtime", "whisper-*"]})}
    headers = {"authorization": "Bearer sk-ann"}
    other = {"type": "session.update", "session": {"model": "gpt-realtime-large"}}
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream, **config)) as gateway:
        assert (await refused(gateway, "/v1/realtime?model=gpt-realtime-large", headers=headers)).status == 403
        assert (await refused(gateway, "/openai/v1/realtime?call_id=c", headers=headers)).status == 403
        assert (await refused(gateway, PATH + "&call_id=c", headers=headers)).status == 403
        async with connect(gateway, headers=headers) as socket:
            hidden = json.dumps(other).replace('"model"', '"mod\\u0065l"')
            for event in (json.dumps(other), hidden, '{"model": 1, "model": 2}'):
                await socket.send_str(event)
                answer = json.loads(await socket.receive_str())
                assert answer["type"] == "error"
            await socket.send_bytes(json.dumps(other).encode())
            assert json.loads(await socket.receive_str())["error"]["code"] == "model_not_allowed"
            side = {"session": {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}}
            await socket.send_str(json.dumps(side))
            assert json.loads(await socket.receive_str())["error"]["code"] == "model_not_allowed"
            for model in ("gpt-realtime", "openai/gpt-realtime"):
                fine = {"type": "session.update", "session": {"model": "gpt-realtime"}}
                await socket.send_str(json.dumps(fine))
                assert json.loads(await socket.receive_str()) == fine, model
            side["session"]["audio"]["input"]["transcription"]["model"] = "whisper-1"
            await socket.send_str(json.dumps(side))
            assert json.loads(await socket.receive_str()) == side
    assert len(upstream.sockets) == 1
    assert len(upstream.sockets[0].messages) == 3


async def test_a_mapped_model_is_called_as_the_provider_calls_it():
    async with (
        FakeSocketUpstream() as upstream,
        loopback(settings(upstream)) as gateway,
        connect(gateway, "/ai/realtime?model=openai%2Fgpt-realtime") as socket,
    ):
        await socket.send_str('{"type":"session.update", "session":{"model":"openai/gpt-realtime","speed":1.0}}')
        answer = await socket.receive_str()
    assert answer == '{"type":"session.update", "session":{"model":"gpt-realtime","speed":1.0}}'
    assert upstream.sockets[0].path == "/v1/realtime?model=gpt-realtime"


async def test_without_a_model_the_address_is_refused_but_for_the_direct_relay():
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        for query in ("", "?model=", "?model=a&model=b"):
            assert (await refused(gateway, f"/v1/realtime{query}")).status in {400, 404}
        async with connect(gateway, "/openai/v1/realtime?intent=transcription&key=stolen") as socket:
            await socket.send_str("x")
            assert await socket.receive_str() == "x"
    assert [seen.path for seen in upstream.sockets] == ["/v1/realtime?intent=transcription"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models", 200),
        ("/health", 200),
        ("/v1/chat/completions", 405),
        ("/v1/nothing", 404),
        ("/openai/v1/files", 403),
        ("/openai/v1/audio/speech", 403),
        ("/anthropic/v1/realtime", 404),
    ],
)
async def test_elsewhere_the_wish_for_a_websocket_is_not_heard(path, status):
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        assert (await refused(gateway, path)).status == status
    assert upstream.sockets == []


async def test_the_direct_relay_opens_what_the_row_lists():
    path = "ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    async with FakeSocketUpstream() as upstream:
        config = {"providers": {"gemini": {"base-url": f"{upstream.url}/v1beta/openai"}}}
        async with loopback(config) as gateway:
            async with connect(gateway, f"/gemini/{path}?key=mine") as socket:
                await socket.send_str('{"setup":{"model":"models/gemini-live"}}')
                assert await socket.receive_str() == '{"setup":{"model":"models/gemini-live"}}'
                await socket.send_bytes(b'{"usageMetadata":{"promptTokenCount":3,"responseTokenCount":4}}')
                await socket.receive_bytes()
            assert (await refused(gateway, "/gemini/ws/other")).status == 403
            records = await gateway.recorded(2)
    assert upstream.sockets[0].path == f"/{path}"
    assert upstream.sockets[0].headers["x-goog-api-key"] == "secret-of-gemini"
    assert (records[0].surface, records[0].operation) == ("relay", "relay")
    assert records[0].usage is not None
    assert records[0].usage.total_tokens == 7


async def test_the_responses_api_names_its_model_in_the_first_event():
    async def player(socket: ReceivedSocket) -> None:
        for _ in range(2):
            asked = json.loads(str(await socket.receive()))
            usage = {"input_tokens": 5, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}
            answer = {"id": "resp_9", "model": asked["model"], "usage": usage}
            await socket.send({"type": "response.created", "response": {**answer, "usage": None}})
            await socket.send({"type": "response.completed", "response": answer})

    create = {"type": "response.create", "model": "openai/gpt-5.5", "input": []}
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        upstream.play(player)
        async with connect(gateway, "/v1/responses") as socket:
            await socket.send_str('{"type":"response.create"}')
            assert json.loads(await socket.receive_str())["error"]["param"] == "model"
            for _ in range(2):
                await socket.send_str(json.dumps(create))
                assert json.loads(await socket.receive_str())["type"] == "response.created"
                assert json.loads(await socket.receive_str())["type"] == "response.completed"
                await socket.send_str(json.dumps({**create, "model": "gpt-5.4"}))
                refusal = json.loads(await socket.receive_str())
                assert (refusal["type"], refusal["status"]) == ("error", 400)
                assert refusal["error"]["code"] == "session_model_fixed"
        (record,) = await gateway.recorded()
    (seen,) = upstream.sockets
    assert seen.path == "/v1/responses"
    assert [json.loads(str(message))["model"] for message in seen.messages] == ["gpt-5.5", "gpt-5.5"]
    assert (record.operation, record.request_model, record.response_model) == (
        "responses_session",
        "openai/gpt-5.5",
        "gpt-5.5",
    )
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.reasoning) == (10, 2)


async def test_where_no_provider_takes_the_first_event_it_is_answered_and_the_socket_closed():
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        upstream.refuse(503, {"error": {"message": "busy"}})
        async with connect(gateway, "/v1/responses", autoclose=False) as socket:
            await socket.send_str('{"type":"response.create","model":"gpt-5.5"}')
            event = json.loads(await socket.receive_str())
            assert (event["type"], event["status"]) == ("error", 503)
            message = await socket.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011)
        (record,) = await gateway.recorded()
    assert record.outcome == "error"


@pytest.mark.parametrize(("limits", "words"), [({"idle": 0.2}, "nobody"), ({"total": 0.2}, "lasted")])
async def test_a_session_has_its_time(limits, words):
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream, sessions=limits)) as gateway:
        async with connect(gateway, autoclose=False) as socket:
            message = await socket.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            assert words in message.extra
        (record,) = await gateway.recorded()
        async with asyncio.timeout(5):
            await upstream.sockets[0].ended.wait()
    assert record.metadata["session.closed-by"] == "gateway"
    assert upstream.sockets[0].close_code == 1001


async def test_a_silent_session_outlives_the_timeouts_of_requests_and_pings_keep_it():
    waits = {"first-byte": 0.6, "idle": 0.6, "total": 0.9}
    async with (
        FakeSocketUpstream() as upstream,
        loopback(settings(upstream, timeouts=waits, sessions={"heartbeat": 0.4})) as gateway,
        connect(gateway) as socket,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.2):
                await socket.receive()
        await socket.send_str("still here")
        assert await socket.receive_str() == "still here"


async def test_a_client_that_answers_no_ping_is_gone():
    async with (
        FakeSocketUpstream() as upstream,
        loopback(settings(upstream, sessions={"heartbeat": 0.4})) as gateway,
        connect(gateway, autoping=False) as socket,
    ):
        (record,) = await gateway.recorded()
        await socket.close()
    assert record.outcome == "cancelled"


async def test_a_provider_that_answers_no_ping_is_given_up():
    async def player(socket: ReceivedSocket) -> None:
        socket.web._autoping = False
        await socket.receive()

    async with FakeSocketUpstream() as upstream:
        upstream.play(player)
        async with loopback(settings(upstream, sessions={"heartbeat": 0.4})) as gateway:
            async with connect(gateway, autoclose=False) as socket:
                message = await socket.receive()
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011)
            (record,) = await gateway.recorded()
    assert record.error_code == "provider_idle_timeout"


@pytest.mark.parametrize("from_provider", [False, True])
async def test_a_message_too_large_ends_the_session(from_provider):
    async def player(socket: ReceivedSocket) -> None:
        await socket.send("x" * 2000)
        await socket.receive()

    async with FakeSocketUpstream() as upstream:
        if from_provider:
            upstream.play(player)
        async with loopback(settings(upstream, sessions={"max-message-bytes": 1000})) as gateway:
            async with connect(gateway, autoclose=False) as socket:
                if not from_provider:
                    await socket.send_str("x" * 1000)
                    assert len(await socket.receive_str()) == 1000
                    await socket.send_str("x" * 1001)
                message = await socket.receive()
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011 if from_provider else 1009)
            await gateway.recorded()


async def test_a_slow_client_slows_the_provider_down():
    sent = 0

    async def player(socket: ReceivedSocket) -> None:
        nonlocal sent
        piece = "x" * 65536
        for _ in range(2000):
            await socket.send(piece)
            sent += len(piece)

    async with FakeSocketUpstream() as upstream:
        upstream.play(player)
        async with loopback(settings(upstream), send_buffer=65536) as gateway:
            raw = await gateway.raw(handshake(gateway), receive_buffer=65536)
            before = -1
            while sent > before or not sent:  # until the provider cannot send any more
                before = sent
                await asyncio.sleep(0.2)
            assert sent < 32 * 1024 * 1024
            raw.rst()
            (record,) = await gateway.recorded()
    assert record.outcome == "cancelled"


async def test_a_client_that_does_not_read_is_given_up():
    async def player(socket: ReceivedSocket) -> None:
        await socket.send("x" * 8_000_000)
        await socket.receive()

    async with FakeSocketUpstream() as upstream:
        upstream.play(player)
        config = settings(upstream, server={"send-timeout": "300ms"})
        async with loopback(config, send_buffer=65536) as gateway:
            await gateway.raw(handshake(gateway), receive_buffer=65536)
            (record,) = await gateway.recorded()
    assert record.outcome == "cancelled"


async def test_an_ended_session_leaves_no_task_behind():
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        async with connect(gateway) as socket:
            await socket.send_str("x")
            await socket.receive_str()
        await gateway.recorded()
        await settled(gateway)
        before = len(asyncio.all_tasks())
        for number in range(20):
            async with connect(gateway) as socket:
                await socket.send_str("x")
                await socket.receive_str()
            await gateway.recorded(number + 2)
        await settled(gateway)
        assert len(asyncio.all_tasks()) <= before
        assert not gateway.pipeline.snapshot.config.warnings


async def settled(gateway: Loopback) -> None:
    """Wait until connections that have been closed are gone."""
    for _ in range(5):
        await asyncio.sleep(0.02)


async def test_the_openai_sdk_holds_a_session():
    async def player(socket: ReceivedSocket) -> None:
        await socket.send({"type": "session.created", "event_id": "e1", "session": {"type": "realtime", "model": "m"}})
        event = json.loads(str(await socket.receive()))
        await socket.send({"type": "session.updated", "event_id": "e2", "session": event["session"]})
        await socket.send({**DONE, "event_id": "e3"})

    async with FakeSocketUpstream() as upstream, loopback(settings(upstream, auth=keys(ann={}))) as gateway:
        upstream.play(player)
        client = openai.AsyncOpenAI(api_key="sk-ann", base_url=f"http://127.0.0.1:{gateway.port}/v1")
        async with client.realtime.connect(model="gpt-realtime") as connection:
            assert (await connection.recv()).type == "session.created"
            await connection.session.update(session={"type": "realtime", "instructions": "be brief"})
            assert (await connection.recv()).type == "session.updated"
            assert (await connection.recv()).type == "response.done"
        (record,) = await gateway.recorded()
        await client.close()
    assert (record.principal, record.outcome) == ("ann", "ok")
    assert record.usage is not None
    assert record.usage.input_tokens == 20


async def test_the_openai_sdk_holds_a_connection_of_the_responses_api():
    async def player(socket: ReceivedSocket) -> None:
        while (event := await socket.receive()) is not None:
            answer = {"id": "resp_1", "object": "response", "model": json.loads(event)["model"], "output": []}
            usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
            await socket.send({"type": "response.completed", "response": {**answer, "usage": usage}})

    async with FakeSocketUpstream() as upstream, loopback(settings(upstream, auth=keys(ann={}))) as gateway:
        upstream.play(player)
        client = openai.AsyncOpenAI(api_key="sk-ann", base_url=f"http://127.0.0.1:{gateway.port}/router/main/v1")
        async with client.responses.connect() as connection:
            for _ in range(2):
                await connection.response.create(model="gpt-5.5", input="hello")
                assert (await connection.recv()).type == "response.completed"
        (record,) = await gateway.recorded()
        await client.close()
    assert (record.router, record.outcome, record.response_model) == ("main", "ok", "gpt-5.5")
    assert record.usage is not None
    assert record.usage.total_tokens == 14


def handshake(gateway: Loopback, path: str = PATH, **headers: str) -> bytes:
    """A handshake as it goes over the wire."""
    fields = {
        "Host": f"127.0.0.1:{gateway.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    lines = [f"{name}: {text}" for name, text in fields.items() if text]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_WebSocket_Key": ""}, 400),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
        ({"Sec_WebSocket_Key": "not base64!"}, 400),
        ({"Sec_WebSocket_Version": ""}, 426),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Connection": "keep-alive"}, 426),
        ({"Upgrade": "h2c"}, 426),
        ({"Content_Length": "3"}, 426),
    ],
)
async def test_a_handshake_that_is_none_is_answered_as_http(headers, status):
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        raw = await gateway.raw(handshake(gateway, **headers) + (b"abc" if "Content_Length" in headers else b""))
        head = await raw.read_until(b'"code"')
        assert head.startswith(b"HTTP/1.1 %d" % status)
        if status == 426:
            assert b"\r\nsec-websocket-version: 13\r\n" in head
    assert upstream.sockets == []


MASK = b"\1\2\3\4"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True, rsv: int = 0) -> bytes:
    """A frame of a client."""
    size = len(payload)
    first = bytes([(0x80 if fin else 0) | rsv | opcode])
    flag = 0x80 if mask else 0
    if size < 126:
        head = bytes([flag | size])
    elif size < 65536:
        head = bytes([flag | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([flag | 127]) + size.to_bytes(8, "big")
    if mask:
        payload = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(payload))
    return first + head + (MASK if mask else b"") + payload


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(1, b"x", mask=False), 1002),
        (frame(1, b"\xff\xfe"), 1007),
        (frame(9, b"x" * 126), 1002),
        (frame(9, b"x", fin=False), 1002),
        (frame(3, b"x"), 1002),
        (frame(0, b"x"), 1002),
        (frame(1, b"x", fin=False) + frame(1, b"y"), 1002),
        (frame(1, b"x", rsv=0x40), 1002),
        (frame(8, b"\x03\xee"), 1002),
        (frame(8, b"\x03"), 1002),
        (b"\x82\xff" + (2**40).to_bytes(8, "big") + MASK + b"x" * 300_000, None),
    ],
    ids=[
        "unmasked",
        "not UTF-8",
        "long ping",
        "fragmented ping",
        "unknown opcode",
        "continuation of nothing",
        "two messages at once",
        "reserved bit",
        "close 1006",
        "half a close code",
        "a terabyte announced",
    ],
)
async def test_what_is_no_frame_closes_the_connection_with_its_code(bad, code):
    limits = {"max-message-bytes": 100_000}
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream, sessions=limits)) as gateway:
        raw = await gateway.raw(handshake(gateway))
        head = await raw.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        raw.received = b""
        await raw.send(bad)
        answer = await raw.read(4)
        assert answer[0] == 0x88
        assert int.from_bytes(answer[2:4], "big") == (code or 1009)
        (record,) = await gateway.recorded()
        async with asyncio.timeout(5):
            await upstream.sockets[0].ended.wait()
    assert record.outcome == "cancelled"
    assert upstream.sockets[0].messages == []


async def test_fragments_are_put_together_and_pings_between_them_answered():
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        raw = await gateway.raw(handshake(gateway) + frame(1, b"h\xc3", fin=False))
        await raw.read_until(b"\r\n\r\n")
        await raw.send(frame(9, b"p") + frame(0, b"\xa9", fin=False) + frame(0, b"!"))
        expected = b"\x8a\x01p" + b"\x81\x04h\xc3\xa9!"
        received = await raw.read_until(b"h\xc3\xa9!")
        assert sorted(received.partition(b"\r\n\r\n")[2]) == sorted(expected)
        raw.fin()
        await gateway.recorded()
    assert upstream.sockets[0].messages == ["hé!"]


async def test_a_flood_of_pings_is_answered_by_few_pongs():
    async with FakeSocketUpstream() as upstream, loopback(settings(upstream)) as gateway:
        raw = await gateway.raw(handshake(gateway))
        await raw.read_until(b"\r\n\r\n")
        raw.received = b""
        await raw.send(frame(9, b"p" * 100) * 5000 + frame(1, b"end"))
        received = await raw.read_until(b"\x81\x03end")
        assert len(received) < 5000 * 102 / 10
        raw.fin()
        await gateway.recorded()


async def test_a_shutdown_ends_sessions_with_service_restart_after_the_drain():
    config = {"server": {"shutdown-timeout": "100ms"}}
    async with FakeSocketUpstream() as upstream, aiohttp.ClientSession() as client:
        async with loopback(settings(upstream, **config)) as gateway:
            url = f"http://127.0.0.1:{gateway.port}{PATH}"
            socket = await client.ws_connect(url, autoclose=False)
            await socket.send_str("x")
            await socket.receive_str()
            closing = asyncio.create_task(socket.receive())
        message = await closing
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
        (record,) = gateway.records
        await socket.close()
    assert (record.outcome, record.error_code) == ("incomplete", "gateway_closed")
    assert upstream.sockets[0].close_code == 1001
