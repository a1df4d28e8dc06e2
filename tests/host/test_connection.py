"""The transport side, over real sockets: hostile framing, deadlines, back-pressure, departures."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings, strategies as st

import servers
from host.stand_ins import ANSWER, CHAT, StandInPipeline, serving, until
from llmgate.config.model import ServerConfig
from llmgate.host import connection, parser
from llmgate.host.connection import Listener
from llmgate.host.server import settings_of, uvicorn_for

SERVERS = ("hypercorn", "uvicorn")

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def listening(app, **limits):
    """A bare ASGI application behind a listener."""
    settings = servers.chosen(ServerConfig(**limits))
    listener = Listener(app, settings_of(settings), stall_timeout=0.3, uvicorn=uvicorn_for(app, settings))
    server = await asyncio.get_running_loop().create_server(listener.connect, "127.0.0.1", 0)
    try:
        yield listener, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        listener.stop()
        await listener.finish()


@asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"

HOSTILE = {
    "both lengths": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "both lengths, other order": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "different lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + SMUGGLED,
    "signed length": POST + b"Content-Length: +4\r\n\r\nabcd" + SMUGGLED,
    "negative length": POST + b"Content-Length: -4\r\n\r\nabcd" + SMUGGLED,
    "hex length": POST + b"Content-Length: 0x4\r\n\r\nabcd" + SMUGGLED,
    "bare line feeds": b"GET /health HTTP/1.1\nHost: localhost\n\n",
    "one bare line feed": b"GET /health HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    "bare carriage return": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
    "folded header": HEALTH + b"X: a\r\n b\r\n\r\n",
    "folded with a tab": HEALTH + b"X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n",
    "space before the colon": HEALTH + b"X : a\r\n\r\n",
    "nul in a header": HEALTH + b"X: a\0b\r\n\r\n",
    "underscore": HEALTH + b"X_Forwarded_For: 1\r\n\r\n",
    "content_length": POST + b"Content_Length: 4\r\n\r\nabcd",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": HEALTH + b"Host: localhost\r\n\r\n",
    "strange host": b"GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "strange coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked on 1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" + SMUGGLED,
    "chunk too long": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + SMUGGLED,
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/0.9": b"GET /health\r\n\r\n",
    "http/3.0": b"GET /health HTTP/3.0\r\nHost: localhost\r\n\r\n",
    "lower-case method": b"get /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "absolute form": b"GET http://evil/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "connect": b"CONNECT evil:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "non-ascii path": b"GET /caf\xe9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "huge header": HEALTH + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    "many headers": HEALTH + b"".join(b"X-%d: 1\r\n" % n for n in range(101)) + b"\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "garbage": b"\0\1\2\3\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_framing_is_refused_once_and_the_connection_closed(name):
    async with serving(StandInPipeline()) as served:
        answer = await served.raw(HOSTILE[name])
        assert answer[:10] in {b"HTTP/1.1 4", b"HTTP/1.1 5"}
        assert answer[9:12] in {b"400", b"431", b"501", b"505"}
        assert len(re.findall(rb"HTTP/1\.1 \d", answer)) == 1, "no second answer: nothing was smuggled"
        assert b'"error"' in answer
        assert not any(frame.request for frame in served.pipeline.frames)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_a_request_may_come_in_any_pieces(size):
    wire = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(CHAT) + CHAT
    async with serving(StandInPipeline()) as served, served.connection() as (reader, writer):
        for start in range(0, len(wire), size):
            writer.write(wire[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.read(-1)).endswith(ANSWER)


@pytest.mark.parametrize(
    "headers",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        (
            b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
        ),
        b"Upgrade: TLS/1.0\r\n",
    ],
)
async def test_an_upgrade_is_ignored_and_the_request_served_as_http_1(headers):
    async with serving(StandInPipeline()) as served, served.connection() as (reader, writer):
        writer.write(HEALTH + headers + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(len(b'{"status":"ok"}'))
        writer.write(HEALTH + b"Connection: close\r\n\r\n")
        assert (await reader.read(-1)).startswith(b"HTTP/1.1 200")


async def test_a_slow_head_and_an_idle_connection_are_closed(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    async with serving(StandInPipeline(server=ServerConfig(keep_alive_timeout=0.4))) as served:
        assert await served.raw(b"") == b""
        async with served.connection() as (reader, writer):
            writer.write(HEALTH)
            assert await asyncio.wait_for(reader.read(-1), 3) == b""
        async with served.connection() as (reader, writer):
            writer.write(HEALTH + b"\r\n")
            await reader.readuntil(b"}")
            assert await asyncio.wait_for(reader.read(-1), 3) == b""


async def test_a_trickled_head_does_not_outlive_its_deadline(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    async with serving(StandInPipeline()) as served, served.connection() as (reader, writer):
        closed = asyncio.create_task(reader.read(-1))
        for byte in HEALTH * 20:
            if closed.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        assert await asyncio.wait_for(closed, 1) == b""


async def test_a_running_request_has_no_idle_deadline(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)

    async def slow(scope, receive, send):
        await asyncio.sleep(0.5)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with listening(slow, keep_alive_timeout=0.1) as (_, port), connected(port) as (reader, writer):
        writer.write(HEALTH + b"\r\n")
        assert (await reader.read(-1)).endswith(b"ok")


async def test_a_connection_carries_so_many_requests_and_no_more():
    async with serving(StandInPipeline(server=ServerConfig(max_requests_per_connection=3))) as served:
        answer = await served.raw((HEALTH + b"\r\n") * 6)
    assert answer.count(b"HTTP/1.1 200") in {3, 4}
    assert answer.count(b"connection: close") == 1


async def test_an_early_refusal_of_a_large_upload_reaches_the_client():
    async with serving(StandInPipeline(keys=["sk"])) as served, served.connection() as (reader, writer):
        writer.write(POST + b"Content-Length: 50000000\r\n\r\n")
        writer.write(b"x" * 5_000_000)
        answer = await asyncio.wait_for(reader.read(-1), 5)
        assert answer.startswith(b"HTTP/1.1 401")


async def test_an_application_that_reads_nothing_holds_little_of_a_body():
    release = asyncio.Event()

    async def lazy(scope, receive, send):
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with listening(lazy) as (_, port), connected(port) as (reader, writer):
        writer.write(POST + b"Content-Length: 100000000\r\n\r\n")
        sent = 0
        while sent < 90_000_000:
            writer.write(b"x" * 1_000_000)
            sent += 1_000_000
            try:
                await asyncio.wait_for(writer.drain(), 0.3)
            except TimeoutError:
                break
        assert sent < 30_000_000, "the kernel's buffers and ours, no more"
        release.set()
        assert b"ok" in await asyncio.wait_for(reader.readuntil(b"ok"), 5)


async def test_a_departure_is_not_stuck_behind_an_unread_body():
    seen = asyncio.Event()

    async def watches(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            await asyncio.sleep(0.01)
        seen.set()

    async with listening(watches) as (_, port), connected(port) as (_, writer):
        writer.write(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 200_000)
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.wait_for(seen.wait(), 2)


async def test_a_half_closing_client_still_gets_the_answer_of_an_application_that_does_not_look():
    async def plain(scope, receive, send):
        await asyncio.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with listening(plain) as (listener, port), connected(port) as (reader, writer):
        writer.write(HEALTH + b"\r\n")
        writer.write_eof()
        assert (await asyncio.wait_for(reader.read(-1), 2)).endswith(b"ok")
        await until(lambda: not listener.connections)


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system's kernel cannot be told")
async def test_a_client_that_reads_nothing_has_little_of_an_endless_answer_held_for_it():
    taken, over = 0, False

    async def endless(scope, receive, send):
        nonlocal taken
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not over:
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            taken += 10_000

    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        reader.setblocking(False)
        async with listening(endless) as (_, port):
            await asyncio.get_running_loop().sock_connect(reader, ("127.0.0.1", port))
            reader.send(HEALTH + b"\r\n")
            await until(lambda: taken)
            before = -1
            while taken != before:
                before = taken
                await asyncio.sleep(0.3)
            assert taken <= connection.KERNEL_AHEAD + 2 * connection.WRITE_AHEAD + 128 * 1024
            over = True


async def test_a_peer_that_never_reads_is_cut_after_the_answer():
    async def big(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        for _ in range(4):
            await asyncio.wait({asyncio.ensure_future(send_quietly(send, b"x" * 4_000_000))}, timeout=0.1)

    async def send_quietly(send, data):
        await send({"type": "http.response.body", "body": data, "more_body": True})

    async with listening(big) as (listener, port), connected(port) as (_, writer):
        writer.transport.pause_reading()
        writer.write(HEALTH + b"\r\n")
        await until(lambda: listener.connections)
        await until(lambda: not listener.connections, 5)


async def test_an_application_that_fails_is_logged_and_cuts_no_neighbour(caplog):
    async def fails(scope, receive, send):
        raise RuntimeError("oops")

    async with listening(fails) as (_, port):
        for _ in range(2):
            async with connected(port) as (reader, writer):
                writer.write(HEALTH + b"\r\n")
                assert (await asyncio.wait_for(reader.read(-1), 2)).startswith(b"HTTP/1.1 500")
    assert caplog.text.count("the application failed") == 2


async def test_expect_continue_is_answered():
    async with serving(StandInPipeline()) as served, served.connection() as (reader, writer):
        writer.write(POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(CHAT))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(CHAT)
        assert (await reader.read(-1)).endswith(ANSWER)


@settings(max_examples=300)
@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"\t", b"a", b"a: b"]), max_size=12).map(b"".join))
def test_a_head_is_loose_where_any_of_its_line_ends_is_no_crlf_or_a_line_goes_on(head):
    loose = re.search(rb"(?<!\r)\n|\n[ \t]|\r(?!\n)", head) is not None
    assert parser._is_loose(head) is loose
