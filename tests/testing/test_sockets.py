from __future__ import annotations

import asyncio

import pytest

from llmgate.spec import (
    ProviderConnectionError,
    ProviderRequest,
    ProviderResponse,
    SocketClose,
    SocketMessage,
    SocketOptions,
)
from llmgate.testing.sockets import ScriptedSocket
from llmgate.testing.transport import ScriptedTransport, json_answer, stream_answer

REQUEST = ProviderRequest(method="GET", url="https://provider.invalid/v1/realtime", headers={})


async def test_a_script_is_played_and_what_is_sent_kept():
    pause = asyncio.Event()
    socket = ScriptedSocket(
        "text", pause, b"binary", SocketMessage(b"x"), ProviderConnectionError("gone"), SocketClose(1001)
    )
    first = await socket.receive()
    assert isinstance(first, SocketMessage)
    assert (first.data, first.text) == (b"text", True)
    waiting = asyncio.ensure_future(socket.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    pause.set()
    second = await waiting
    assert isinstance(second, SocketMessage)
    assert (second.data, second.text) == (b"binary", False)
    await socket.receive()
    with pytest.raises(ProviderConnectionError):
        await socket.receive()
    assert await socket.receive() == SocketClose(1001)
    message = SocketMessage(b"m")
    await socket.send(message)
    await socket.close(SocketClose(1000))
    await socket.close(SocketClose(1001))
    assert (socket.sent, socket.ended) == ([message], SocketClose(1000))


async def test_at_the_end_of_its_script_it_is_silent():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ScriptedSocket().receive()


async def test_a_socket_can_refuse_to_take_anything():
    with pytest.raises(ProviderConnectionError):
        await ScriptedSocket(failure=ProviderConnectionError("gone")).send(SocketMessage(b""))


async def test_a_transport_hands_sockets_out_and_refusals():
    socket = ScriptedSocket()
    transport = ScriptedTransport([socket, json_answer({}, status=429), stream_answer(b"a", b"b", status=503), socket])
    assert await transport.open_socket(REQUEST, SocketOptions()) is socket
    refused = [await transport.open_socket(REQUEST, SocketOptions()) for _ in range(2)]
    assert [one.status for one in refused if isinstance(one, ProviderResponse)] == [429, 503]
    with pytest.raises(TypeError, match="asks for none"):
        await transport.send(REQUEST)
