"""Connections: clean when they are used again, gone at once when they are given up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmgate.spec import ProviderRequest, ProviderTimeoutError, Timeouts
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


async def test_a_restarted_upstream_is_reached_without_an_error(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    await transport.send(ask())
    await upstream.refuse()
    await upstream.accept()
    for _ in range(3):
        assert (await transport.send(ask())).status == 200


@contextlib.contextmanager
def threaded(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server in a thread, so that it acts while the test's event loop is busy; gives its origin."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join(10)


@pytest.mark.parametrize("parting", [b"", POISON], ids=["closed", "poisoned"])
async def test_what_came_while_the_loop_was_busy_is_found_before_the_connection_is_used(
    transport: AiohttpTransport, ask: Ask, parting: bytes
) -> None:
    answered, parted = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        peer.recv(65_536)
        peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        answered.wait(5)
        peer.sendall(parting)
        if not parting:
            peer.close()
        parted.set()
        with contextlib.suppress(TimeoutError), listener.accept()[0] as again:
            again.recv(65_536)
            again.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")
        peer.close()

    with threaded(serve) as origin:
        assert (await transport.send(ask(url=origin, origin=origin))).body == b"{}"
        answered.set()
        assert parted.wait(5)  # blocks the event loop on purpose: it cannot have read what the server has done
        assert (await transport.send(ask(url=origin, origin=origin))).body == b"fine"


def client_socket(transport: AiohttpTransport) -> Any:
    """The socket of the one connection in use."""
    connector: Any = transport._pools["fake#1"].session.connector
    [handler] = connector._acquired
    sock = handler.transport.get_extra_info("socket")
    assert sock.fileno() != -1
    return sock


async def test_leaving_a_tls_stream_closes_the_socket_without_waiting_for_a_good_bye(
    ask: Ask, certificate: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    checked = threading.Event()

    def serve(listener: socket.socket) -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as peer:
            peer.recv(65_536)
            peer.sendall(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
            checked.wait(5)  # thinks, and neither reads nor says good-bye

    transport = AiohttpTransport(tls=ssl.create_default_context(cafile=str(certificate)))
    with threaded(serve) as plain:
        origin = plain.replace("http", "https")
        stream = await transport.open_stream(ask(url=f"{origin}/v1", origin=origin))
        assert await anext(stream) == b"data: 1\n\n"
        sock = client_socket(transport)
        await stream.aclose()
        await asyncio.sleep(0.05)
        closed = sock.fileno() == -1
        checked.set()
        assert closed
    await transport.aclose()


async def test_cancelling_an_upload_that_is_not_taken_closes_the_socket(transport: AiohttpTransport, ask: Ask) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        task = asyncio.create_task(transport.send(ask(url=origin, origin=origin, body=b"x" * 30_000_000)))
        peer, _ = await loop.sock_accept(listener)
        with peer:
            await asyncio.sleep(0.1)  # the kernel's buffers are full now, and nobody reads
            sock = client_socket(transport)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.01)
            assert sock.fileno() == -1


async def test_each_answer_has_its_own_patience_on_a_connection_that_is_used_again(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    calm, brisk, hasty = (Timeouts(connect=5, first_byte=30, idle=seconds) for seconds in (30.0, 1.0, 0.1))
    for timeouts in (calm, brisk):
        assert (await transport.send(ask(timeouts=timeouts))).status == 200
    await asyncio.sleep(1.2)  # while nobody waits for anything, silence is no fault
    assert (await transport.send(ask(timeouts=calm))).status == 200
    upstream.stream(["one"], end="hang")
    stream = await transport.open_stream(ask(stream=True, timeouts=hasty))
    with pytest.raises(ProviderTimeoutError) as caught:
        async with asyncio.timeout(20):
            async for _ in stream:
                pass
    assert caught.value.code == "provider_idle_timeout"
    assert upstream.accepted == 1
