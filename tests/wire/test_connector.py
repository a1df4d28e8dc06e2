"""Connections: clean when they are used again, gone at once when they are given up."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmgate.spec import (
    ProviderRequest,
)
from llmgate.testing.upstream import FakeUpstream
from llmgate.wire.transport import AiohttpTransport

Ask = Callable[..., ProviderRequest]


POISON = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"


@pytest.mark.parametrize("after", [None, 0.0, 0.05], ids=["with the answer", "at once", "while idle"])
async def test_bytes_pushed_on_an_idle_connection_reach_nobody(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, after: float | None
) -> None:
    for pool in ("tenant-a", "tenant-b", "tenant-a"):
        upstream.surplus(POISON, after=after)
        first = await transport.send(ask(pool="tenant-a"))
        assert first.status == 200
        await asyncio.sleep((after or 0) + 0.03)
        second = await transport.send(ask(pool=pool))
        assert b"poison" not in second.body
        assert b"hello wide world" in second.body


async def test_a_connection_closed_while_idle_is_not_used_even_if_the_loop_has_not_noticed(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    await transport.send(ask())
    await upstream.refuse()
    await upstream.accept()
    for _ in range(3):
        assert (await transport.send(ask())).status == 200


async def test_leaving_a_tls_stream_closes_the_socket_without_waiting_for_good_byes(
    ask: Ask, certificate: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    lost = asyncio.Event()

    class Endless(asyncio.Protocol):
        """Never reads, so that only the end of the socket, not a good-bye, can tell it that the client has left."""

        def connection_made(self, connection: Any) -> None:
            self.connection = connection

        def data_received(self, data: bytes) -> None:
            self.connection.write(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
            self.timer = asyncio.get_running_loop().call_later(0.01, self.say_more)

        def say_more(self) -> None:
            self.connection.write(b"data: more\n\n")
            self.timer = asyncio.get_running_loop().call_later(0.01, self.say_more)

        def connection_lost(self, exc: Exception | None) -> None:
            self.timer.cancel()
            lost.set()

    loop = asyncio.get_running_loop()
    transport = AiohttpTransport(tls=trusting)
    async with await loop.create_server(Endless, "127.0.0.1", 0, ssl=context) as server:
        origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        stream = await transport.open_stream(ask(url=f"{origin}/v1", origin=origin))
        assert (await anext(stream)).startswith(b"data: 1")
        await stream.aclose()
        await asyncio.wait_for(lost.wait(), 2)
    await transport.aclose()


async def test_cancelling_an_upload_that_is_not_taken_closes_the_upstream(
    transport: AiohttpTransport, ask: Ask
) -> None:
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        task = asyncio.create_task(transport.send(ask(url=origin, origin=origin, body=b"x" * 30_000_000)))
        peer, _ = await loop.sock_accept(listener)
        with peer:
            await asyncio.sleep(0.1)  # the kernel's buffers are full now; nobody reads
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(5):
                with pytest.raises(ConnectionResetError):
                    while await loop.sock_recv(peer, 1_000_000):
                        pass
                    raise ConnectionResetError  # an ordinary end will do as well
            closed.set()
    assert closed.is_set()
