"""Bodies as they come: pieces, ends, cuts, silence, bounds, back pressure, and leaving in the middle."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from llmgate.codecs.sse import EventSplitter
from llmgate.spec import (
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    ProviderRequest,
    ProviderStream,
    ProviderTimeoutError,
    Timeouts,
)
from llmgate.testing.upstream import FakeUpstream, chat_events
from llmgate.wire.transport import AiohttpTransport

Ask = Callable[..., ProviderRequest]


async def drained(stream: ProviderStream) -> tuple[bytes, ProviderError | None]:
    """Everything that came, and the error at the end."""
    pieces: list[bytes] = []
    try:
        async for piece in stream:
            assert piece
            pieces.append(piece)
    except ProviderError as error:
        return b"".join(pieces), error
    return b"".join(pieces), None


def frames(text: str) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in chat_events(text))


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_a_stream_comes_in_the_pieces_in_which_it_is_sent(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    go_on = asyncio.Event()

    async def behave(request: Any, connection: Any) -> None:
        await connection.write_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        await connection.write_chunk(b"data: 1\n\n")
        await go_on.wait()
        await connection.write_chunk(b"data: 2\n\n")
        await connection.write(b"0\r\n\r\n")

    upstream.script(behave)
    stream = await transport.open_stream(ask(stream=True))
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream"
    assert await anext(stream) == b"data: 1\n\n"  # before the second is even sent
    go_on.set()
    assert await anext(stream) == b"data: 2\n\n"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("split", [None, 1, 3, 1000])
async def test_however_it_is_cut_the_stream_is_the_same(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, split: int | None
) -> None:
    upstream.stream(chat_events("Grüße 🌍 日本"), split=split)
    stream = await transport.open_stream(ask(stream=True))
    body, error = await drained(stream)
    assert error is None
    splitter = EventSplitter()
    assert len(splitter.feed(body)) == 6
    assert not splitter.pending
    assert "🌍" in body.decode("unicode_escape") or b"\xf0\x9f\x8c\x8d" in body


async def test_the_connection_of_a_finished_stream_is_used_again(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    for _ in range(3):
        await drained(await transport.open_stream(ask(stream=True)))
    assert upstream.accepted == 1


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_a_stream_that_breaks_gives_what_came_and_then_says_so(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, end: Any
) -> None:
    upstream.stream(chat_events("hello wide world"), end=end)
    body, error = await drained(await transport.open_stream(ask(stream=True)))
    assert body == frames("hello wide world")
    assert isinstance(error, ProviderConnectionError)
    assert (error.code, error.retryable) == ("provider_connection_lost", True)
    assert error.__context__ is None


async def test_what_came_before_a_stream_broke_reaches_a_slow_reader_too(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream(chat_events("hello wide world"), end="cut")
    stream = await transport.open_stream(ask(stream=True))
    await upstream._until(lambda: not upstream.open_connections, 5, "the cut")
    await asyncio.sleep(0.05)  # the cut has been noticed; nothing has been read yet
    body, error = await drained(stream)
    assert body == frames("hello wide world")
    assert isinstance(error, ProviderConnectionError)
    with pytest.raises(ProviderConnectionError):  # and a broken stream stays broken
        await anext(stream)


async def test_broken_chunk_framing_in_the_middle_is_an_error_and_no_endless_wait(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    async def behave(request: Any, connection: Any) -> None:
        await connection.write_head(200, {"transfer-encoding": "chunked"})
        await connection.write_chunk(b"data: 1\n\n")
        await asyncio.sleep(0.02)
        await connection.write(b"xyz\r\ndata")
        await connection.hang()

    upstream.script(behave)
    async with asyncio.timeout(3):
        body, error = await drained(await transport.open_stream(ask(stream=True)))
    assert body == b"data: 1\n\n"
    assert isinstance(error, ProviderProtocolError)
    await upstream.closed(1)


async def test_an_error_event_inside_a_200_is_passed_on_as_it_came(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.error_event(chat_events("hi")[:2])
    body, error = await drained(await transport.open_stream(ask(stream=True)))
    assert error is None
    assert b"overloaded" in body
    assert b"[DONE]" not in body


async def test_silence_in_the_middle_ends_the_stream_after_the_idle_timeout(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream(["one"], end="hang")
    stream = await transport.open_stream(ask(stream=True, timeouts=Timeouts(connect=2, first_byte=30, idle=0.1)))
    async with asyncio.timeout(5):
        body, error = await drained(stream)
    assert body == b"data: one\n\n"
    assert isinstance(error, ProviderTimeoutError)
    assert (error.code, error.retryable) == ("provider_idle_timeout", True)
    await upstream.closed(1)


async def test_a_slow_but_steady_stream_outlives_its_idle_timeout(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream([str(number) for number in range(10)], delay=0.1)
    stream = await transport.open_stream(ask(stream=True, timeouts=Timeouts(connect=2, first_byte=0.6, idle=0.5)))
    body, error = await drained(stream)
    assert error is None
    assert body.endswith(b"data: 9\n\ndata: [DONE]\n\n")


async def test_a_reader_that_rests_is_no_silence_of_the_provider(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    total = 8_000_000  # in one write with the head, so that reading is paused from the start
    upstream.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total + b"x" * total, end="keep")
    stream = await transport.open_stream(ask(timeouts=Timeouts(connect=2, first_byte=5, idle=0.2)))
    await asyncio.sleep(0.5)
    body, error = await drained(stream)
    assert error is None
    assert len(body) == total


async def test_a_reader_that_rests_stops_the_provider(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    sent = 0

    async def flood(request: Any, connection: Any) -> None:
        nonlocal sent
        await connection.write_head(200, {})
        for _ in range(2_000):
            await connection.write(b"x" * 65_536)
            sent += 65_536

    upstream.script(flood)
    stream = await transport.open_stream(ask())
    await asyncio.sleep(0.3)
    held = sent
    await asyncio.sleep(0.3)
    assert sent == held  # nothing moves while nobody reads …
    assert sent < 32_000_000  # … and what has moved sits in the kernel's buffers, a few megabytes a side
    await stream.aclose()
    await upstream.closed(1)


async def test_a_reader_that_rests_finds_no_more_than_the_buffer_is_for(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    """An event loop reads 256 KiB at once by itself, and all of it would wait in memory for a reader who rests."""
    total = 8_000_000
    upstream.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total + b"x" * total, end="keep")
    stream = await transport.open_stream(ask())
    sizes = []
    async for piece in stream:
        sizes.append(len(piece))
        await asyncio.sleep(0)
    assert sum(sizes) == total
    assert max(sizes) <= 128 * 1024


async def test_a_wait_that_is_cancelled_can_be_taken_up_again(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream(["one", "two"], delay=0.2)
    stream = await transport.open_stream(ask(stream=True))
    got = b""
    while b"[DONE]" not in got:
        try:
            got += await asyncio.wait_for(anext(stream), 0.03)
        except TimeoutError:
            continue
    assert got == b"data: one\n\ndata: two\n\ndata: [DONE]\n\n"


# --- leaving ---------------------------------------------------------------------------------------------------------


async def test_closing_in_the_middle_closes_the_upstream_at_once(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream(["one"], end="hang")
    stream = await transport.open_stream(ask(stream=True))
    assert await anext(stream) == b"data: one\n\n"
    await stream.aclose()
    await stream.aclose()
    await upstream.closed(1, timeout=10)
    assert upstream.disconnects == 1
    with pytest.raises(ProviderConnectionError, match="closed before its end"):
        await anext(stream)


async def test_closing_works_in_a_task_that_is_being_cancelled(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream(["one"], end="hang")

    async def relay() -> None:
        stream = await transport.open_stream(ask(stream=True))
        try:
            async for _ in stream:
                pass
        finally:
            await stream.aclose()

    task = asyncio.create_task(relay())
    await upstream.received(1)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.closed(1, timeout=10)


async def test_closing_from_another_task_wakes_the_reader(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream(["one"], end="hang")
    stream = await transport.open_stream(ask(stream=True))
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await stream.aclose()
    with pytest.raises(ProviderConnectionError, match="closed before its end"):
        await waiting


async def test_cancelling_a_whole_answer_in_the_middle_closes_the_upstream(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.cut(b"x" * 1000, after=10, end="hang")
    task = asyncio.create_task(transport.send(ask()))
    await upstream.received(1)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.closed(1, timeout=10)


async def test_a_stream_that_is_dropped_unclosed_gives_its_connection_up(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream(["one"], end="hang")
    stream = await transport.open_stream(ask(stream=True))
    await anext(stream)
    del stream
    await upstream.closed(1)


# --- whole answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_a_body_cut_short_is_an_error(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, end: Any
) -> None:
    upstream.cut(b'{"id": 1}', after=5, end=end)
    with pytest.raises(ProviderConnectionError, match="in the middle"):
        await transport.send(ask())


async def test_an_empty_answer_is_an_answer(transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask) -> None:
    upstream.answer(204, headers={"content-length": "0", "content-encoding": "gzip"})
    response = await transport.send(ask())
    assert (response.status, response.body) == (204, b"")


async def test_an_error_page_comes_as_it_is(transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask) -> None:
    upstream.html(502)
    response = await transport.send(ask())
    assert response.status == 502
    assert response.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize("announced", [True, False])
async def test_an_answer_over_the_bound_is_refused(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, announced: bool
) -> None:
    if announced:
        upstream.answer(body=b"x" * 1001)
    else:
        upstream.stream([b"x" * 1001], end="eof")
    with pytest.raises(ProviderProtocolError, match="longer than 1000 bytes") as caught:
        await transport.send(ask(max_body_bytes=1000))
    assert not caught.value.retryable
    upstream.answer(body=b"x" * 1000)
    assert len((await transport.send(ask(max_body_bytes=1000))).body) == 1000


async def test_an_answer_that_has_no_end_is_left_at_the_bound(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream([b"x" * 600, b"x" * 600], end="hang")
    with pytest.raises(ProviderProtocolError, match="longer than 1000 bytes"):
        await transport.send(ask(max_body_bytes=1000))
    await upstream.closed(1)


async def test_a_stream_may_be_longer_than_a_whole_answer(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.stream([b"x" * 1001], end="eof")
    body, error = await drained(await transport.open_stream(ask(max_body_bytes=1000)))
    assert (len(body), error) == (1001, None)


# --- compression -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [None, 1])
async def test_an_answer_compressed_unasked_is_inflated(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, split: int | None
) -> None:
    packed = gzip.compress(b'{"id": 1}')
    upstream.answer(body=packed, headers={"content-encoding": "gzip"}, split=split)
    response = await transport.send(ask())
    assert response.body == b'{"id": 1}'
    assert "content-encoding" not in response.headers
    assert "content-length" not in response.headers
    assert (await transport.send(ask())).status == 200
    assert upstream.accepted == 1


async def test_a_compressed_stream_comes_as_it_is_flushed(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    async def behave(request: Any, connection: Any) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        await connection.write_head(200, {"content-encoding": "gzip", "transfer-encoding": "chunked"})
        await connection.write_chunk(packer.compress(b"data: 1\n\n") + packer.flush(zlib.Z_SYNC_FLUSH))
        await connection.hang()

    upstream.script(behave)
    stream = await transport.open_stream(ask(stream=True))
    async with asyncio.timeout(3):
        assert await anext(stream) == b"data: 1\n\n"
    await stream.aclose()


@pytest.mark.parametrize("keep", [1, 15, -9, -1])
async def test_truncated_gzip_is_an_error_and_no_short_success(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, keep: int
) -> None:
    upstream.gzip(b'{"choices": [{"message": {"content": "' + b"word " * 500 + b'"}}]}', keep=keep)
    with pytest.raises(ProviderProtocolError, match="cut off"):
        await transport.send(ask())


async def test_damaged_gzip_is_an_error(transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask) -> None:
    upstream.gzip(bytes(range(256)) * 20, corrupt=True)
    with pytest.raises(ProviderProtocolError, match="compressed answer"):
        await transport.send(ask())


@pytest.mark.parametrize("whole", [True, False])
async def test_a_gzip_bomb_is_stopped_long_before_it_has_gone_off(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, whole: bool
) -> None:
    upstream.gzip_bomb(64 * 1024 * 1024)
    if whole:
        with pytest.raises(ProviderProtocolError, match="100 times its size") as caught:
            await transport.send(ask())
        error: ProviderError | None = caught.value
    else:
        body, error = await drained(await transport.open_stream(ask()))
        assert len(body) < 16 * 1024 * 1024
    assert error is not None
    assert "100 times" in str(error)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
async def test_an_encoding_that_is_not_read_is_named(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, encoding: str
) -> None:
    upstream.answer(body=b"abc", headers={"content-encoding": encoding})
    with pytest.raises(ProviderProtocolError, match=encoding) as caught:
        await transport.send(ask())
    assert caught.value.upstream_status == 200
    assert caught.value.__context__ is None


async def test_an_error_in_an_encoding_that_is_not_read_keeps_its_status(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.answer(429, body=b"abc", headers={"content-encoding": "br", "retry-after": "7"})
    response = await transport.send(ask())
    assert (response.status, response.body, response.headers["retry-after"]) == (429, b"", "7")
    assert "content-encoding" not in response.headers
