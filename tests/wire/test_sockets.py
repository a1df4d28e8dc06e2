"""WebSockets out: the handshake, what refuses it, and how an open one ends."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from llmgate.spec import (
    NO_STATUS,
    ProviderConnectionError,
    ProviderProtocolError,
    ProviderRequest,
    ProviderResponse,
    ProviderTimeoutError,
    SocketClose,
    SocketMessage,
    SocketOptions,
    SocketTransport,
    Timeouts,
)
from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_sockets import FakeSocketUpstream, ReceivedSocket
from llmgate.wire.sockets import AiohttpSocket
from llmgate.wire.transport import AiohttpTransport

OPTIONS = SocketOptions(subprotocols=("realtime", "other"), max_message_bytes=1000, close_timeout=0.3)


def asking(upstream: FakeSocketUpstream | FakeUpstream, **changes) -> ProviderRequest:
    request = ProviderRequest(
        "GET",
        f"{upstream.url}/v1/realtime?model=m",
        {"authorization": "Bearer k"},
        provider_name="one",
        origin=upstream.url,
        pool="one:k",
        timeouts=Timeouts(connect=2, first_byte=1, idle=0.3),
    )
    return attrs.evolve(request, **changes)


async def opened(transport: AiohttpTransport, upstream: FakeSocketUpstream, **changes) -> AiohttpSocket:
    socket = await transport.open_socket(asking(upstream, **changes), OPTIONS)
    assert isinstance(socket, AiohttpSocket)
    return socket


async def test_messages_go_and_come_and_the_close_is_said(transport):
    assert isinstance(transport, SocketTransport)
    async with FakeSocketUpstream() as upstream:
        socket = await opened(transport, upstream)
        assert socket.subprotocol == "realtime"
        assert socket.headers["upgrade"] == "websocket"
        for message in (SocketMessage("é".encode()), SocketMessage(b"\xff", text=False)):
            await socket.send(message)
            came = await socket.receive()
            assert isinstance(came, SocketMessage)
            assert (came.data, came.text) == (message.data, message.text)
        await socket.close(SocketClose(4000, "done"))
        await socket.close(SocketClose(4001))
        await upstream.sockets[0].ended.wait()
    (seen,) = upstream.sockets
    assert (seen.path, seen.close_code, seen.close_reason) == ("/v1/realtime?model=m", 4000, "done")
    assert seen.headers["authorization"] == "Bearer k"
    assert "sec-websocket-extensions" not in seen.headers


@pytest.mark.parametrize("code", [NO_STATUS, 1006])
async def test_a_code_that_is_never_sent_becomes_a_normal_end(transport, code):
    async with FakeSocketUpstream() as upstream:
        socket = await opened(transport, upstream)
        await socket.close(SocketClose(code))
        await upstream.sockets[0].ended.wait()
    assert upstream.sockets[0].close_code == 1000


@pytest.mark.parametrize("status", [200, 302, 401, 429, 503])
async def test_any_other_answer_is_given_back_whole_and_no_redirect_followed(transport, status):
    async with FakeSocketUpstream() as upstream:
        upstream.refuse(status, {"error": "e" * 5000}, {"location": f"{upstream.url}/x", "Retry-After": "3"})
        answer = await transport.open_socket(asking(upstream), OPTIONS)
    assert isinstance(answer, ProviderResponse)
    assert (answer.status, len(answer.body), answer.headers["retry-after"]) == (status, 5013, "3")
    assert len(upstream.sockets) == 1


async def test_what_is_no_handshake_is_a_broken_answer(transport, upstream):
    upstream.answer(101, headers={"upgrade": "websocket", "connection": "upgrade", "sec-websocket-accept": "x"})
    with pytest.raises(ProviderProtocolError, match="handshake"):
        await transport.open_socket(asking(upstream), OPTIONS)


async def test_nobody_there_and_nobody_answering_are_told_apart(transport):
    async with FakeUpstream() as upstream:
        await upstream.refuse()
        with pytest.raises(ProviderConnectionError) as caught:
            await transport.open_socket(asking(upstream), OPTIONS)
        assert caught.value.code == "provider_unreachable"
    async with FakeSocketUpstream() as upstream:

        async def later(socket: ReceivedSocket) -> None:
            raise AssertionError("never reached")

        upstream.play(later)
        silent = asyncio.Event()
        upstream.before_answer = silent
        with pytest.raises(ProviderTimeoutError) as timeout:
            await transport.open_socket(asking(upstream, timeouts=Timeouts(first_byte=0.2)), OPTIONS)
        assert timeout.value.code == "provider_first_byte_timeout"


async def test_an_address_outside_the_origin_is_never_called(transport):
    async with FakeSocketUpstream() as upstream:
        with pytest.raises(ProviderConnectionError, match="origin"):
            await transport.open_socket(asking(upstream, origin="http://127.0.0.1:1"), OPTIONS)
    assert upstream.sockets == []


async def test_an_open_socket_outlives_the_timeouts_of_answers(transport):
    async def player(socket: ReceivedSocket) -> None:
        await asyncio.sleep(0.7)
        await socket.send("at last")

    async with FakeSocketUpstream() as upstream:
        upstream.play(player)
        socket = await opened(transport, upstream, timeouts=Timeouts(first_byte=0.4, idle=0.4))
        came = await socket.receive()
        assert isinstance(came, SocketMessage)
        assert came.data == b"at last"
        await socket.close(SocketClose(1000))


async def test_the_providers_close_is_given_back_and_answered(transport):
    async with FakeSocketUpstream() as upstream:
        upstream.play(lambda socket: socket.close(4100, "over"))
        socket = await opened(transport, upstream)
        assert await socket.receive() == SocketClose(4100, "over")
        with pytest.raises(ProviderConnectionError):
            await socket.send(SocketMessage(b"x"))


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (None, ProviderConnectionError, "closed the connection"),
        (b"\x81\x7e\x04\x00" + b"x" * 1024, ProviderProtocolError, "too large"),
        (b"\x83\x00", ProviderProtocolError, "framing"),
        (b"\xc1\x01x", ProviderProtocolError, "framing"),
    ],
    ids=["reset", "too large", "unknown opcode", "compressed unasked"],
)
async def test_a_session_that_breaks_says_how(transport, data, kind, words):
    async def player(socket: ReceivedSocket) -> None:
        if data is None:
            socket.reset()
        else:
            await socket.write(data)

    async with FakeSocketUpstream() as upstream:
        upstream.play(player)
        socket = await opened(transport, upstream)
        with pytest.raises(kind, match=words):
            await socket.receive()


async def test_a_provider_that_takes_nothing_is_not_waited_for_for_ever(transport):
    async def player(socket: ReceivedSocket) -> None:
        socket.pause()
        await asyncio.Event().wait()

    async with FakeSocketUpstream() as upstream:
        upstream.play(player)
        socket = await opened(transport, upstream)
        with pytest.raises(ProviderTimeoutError, match="took no bytes"):
            for _ in range(100):
                await socket.send(SocketMessage(b"x" * 1_000_000, text=False))
        await socket.close(SocketClose(1000))


async def test_a_pool_with_an_open_socket_is_in_use_until_it_is_closed(transport):
    async with FakeSocketUpstream() as upstream:
        socket = await opened(transport, upstream)
        assert transport._pools["one:k"].active == 1
        await socket.close(SocketClose(1000))
        upstream.refuse(500)
        await transport.open_socket(asking(upstream), OPTIONS)
        assert transport._pools["one:k"].active == 0
