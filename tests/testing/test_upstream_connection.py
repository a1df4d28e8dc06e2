"""A connection of the fake upstream, as a scripted behaviour uses it."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_connection import ReceivedRequest, UpstreamConnection

REQUEST = b"POST /x HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\nContent-Length: 2\r\n\r\n{}"


async def ask(upstream: FakeUpstream, data: bytes = REQUEST) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port, limit=1024)
    writer.write(data)
    return reader, writer


async def test_a_request_comes_as_it_was_sent() -> None:
    async with FakeUpstream() as upstream:
        _, writer = await ask(upstream)
        await upstream.received()
        (request,) = upstream.requests
        assert (request.method, request.path, request.body) == ("POST", "/x", b"{}")
        assert request.headers["x-two"] == "1, 2"
        assert request.raw_head + request.body == REQUEST
        assert request.json() == {}
        writer.close()


async def test_a_head_and_chunks_go_out_as_http_wants_them() -> None:
    async def behave(request: ReceivedRequest, connection: UpstreamConnection) -> None:
        await connection.write_head(200, {"transfer-encoding": "chunked"})
        await connection.write_chunk(b"abcde", split=2)
        connection.close()

    async with FakeUpstream() as upstream:
        upstream.script(behave)
        reader, writer = await ask(upstream)
        expected = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n1\r\ne\r\n"
        assert await reader.read(-1) == expected
        writer.close()


async def test_a_reset_is_one() -> None:
    async def behave(request: ReceivedRequest, connection: UpstreamConnection) -> None:
        connection.reset()

    async with FakeUpstream() as upstream:
        upstream.script(behave)
        reader, writer = await ask(upstream)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_limited_buffer_holds_a_writer_back_soon() -> None:
    written = 0

    async def behave(request: ReceivedRequest, connection: UpstreamConnection) -> None:
        nonlocal written
        connection.limit_buffer(16_384)
        while written < 8_000_000:
            await connection.write(b"x" * 4096)
            written += 4096
            await asyncio.sleep(0)

    async with FakeUpstream() as upstream:
        upstream.script(behave)
        _, writer = await ask(upstream)
        writer.transport.pause_reading()
        before = -1
        while written != before or not written:
            before = written
            await asyncio.sleep(0.1)
        assert written < 2_000_000
        writer.transport.abort()
