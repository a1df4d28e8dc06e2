"""Each fault is the fault that its name says, at the moment that it was asked for."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib

import aiohttp
import pytest

from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_faults import FAULTS, STATUSES, TEXT, Phase

HEAD, CONTENT, MIDDLE, LAST = Phase
CASES = [
    (fault.name, phase, streamed)
    for fault in FAULTS.values()
    for streamed in (False, True)
    for phase in (fault.stream if streamed else fault.whole)
]

WITH_AN_END = {"mislabelled", "long-length", "short-length", "error-event"}
"""Faults whose body has a proper end all the same, or lies about it."""


async def received(upstream: FakeUpstream, *, streamed: bool, seconds: float = 0.4) -> tuple[bytes, bool]:
    """What a client gets within a moment, and whether the connection has been closed behind it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    body = json.dumps({"model": "m", "messages": [], "stream": streamed}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % len(body) + body)
    came = b""
    try:
        async with asyncio.timeout(seconds):
            while piece := await reader.read(65536):
                came += piece
    except TimeoutError:
        return came, False
    except ConnectionResetError:
        pass
    finally:
        writer.close()
    return came, True


def body_of(answer: bytes) -> bytes:
    """The body, chunks put together as far as they came."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return rest
    body = b""
    while rest[:1] not in {b"", b"0", b"s"}:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


@pytest.mark.parametrize(("name", "phase", "streamed"), CASES)
async def test_a_fault_comes_at_its_moment(name: str, phase: Phase, streamed: bool) -> None:
    """What came before it is a good answer; of a broken one the end is missing."""
    async with FakeUpstream() as upstream:
        upstream.fault(name, phase)
        answer, _ = await received(upstream, streamed=streamed)
        head, body = answer.partition(b"\r\n\r\n")[0], body_of(answer)
        if phase is HEAD:
            if name.startswith("status-"):
                assert head.startswith(f"HTTP/1.1 {name[7:]} ".encode())
            else:
                assert not head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type")
            return
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        if b"content-encoding: gzip" in head:
            body = zlib.decompressobj(31).decompress(body, 2000) if name != "broken-gzip" else b""
        if phase in {MIDDLE, LAST} and name != "broken-gzip":
            assert "Grüße".encode() in body or b"Gr\\u00fc\\u00dfe" in body or b'"object"' in body
        finished = body.endswith(b"data: [DONE]\n\n") if streamed else is_json(body)
        assert finished is (name in WITH_AN_END or (streamed and name == "garbage"))
        await upstream.idle()


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_comes_with_an_error_body(status: int) -> None:
    async with FakeUpstream() as upstream:
        upstream.fault(f"status-{status}")
        answer, _ = await received(upstream, streamed=True)
        if status >= 400:
            assert json.loads(body_of(answer))["error"]["code"] == f"vendor_{status}"
        else:
            assert b"location: http://127.0.0.1:9/" in answer


async def test_ends_are_told_apart() -> None:
    ends = {"hang": False, "bad-chunk": False, "fin": True, "rst": True, "early-end": True, "unmarked-end": True}
    for name, closed in ends.items():
        async with FakeUpstream() as upstream:
            upstream.fault(name, MIDDLE)
            answer, seen = await received(upstream, streamed=True)
            assert seen is closed, name
            assert answer.endswith(b"0\r\n\r\n") is (name == "early-end")


async def test_lengths_lie_in_both_directions() -> None:
    async with FakeUpstream() as upstream:
        upstream.fault("short-length", MIDDLE)
        upstream.fault("long-length", LAST)
        for sign in (-1, 1):
            answer, _ = await received(upstream, streamed=False)
            head, _, body = answer.partition(b"\r\n\r\n")
            promised = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            assert (promised - len(body)) * sign > 0
            assert json.loads(body)["choices"][0]["message"]["content"] == TEXT


async def test_a_bomb_is_a_thousand_times_larger_inside() -> None:
    async with FakeUpstream() as upstream:
        upstream.fault("gzip-bomb", CONTENT)
        answer, _ = await received(upstream, streamed=False, seconds=2)
        packed = body_of(answer)
        assert len(gzip.decompress(packed)) > 500 * len(packed)


async def test_a_fault_can_be_asked_for_several_times_and_the_default_follows() -> None:
    async with FakeUpstream() as upstream:
        upstream.fault("status-503", times=2)
        statuses = [(await received(upstream, streamed=False))[0].split()[1] for _ in range(3)]
        assert statuses == [b"503", b"503", b"400"]


async def test_connections_are_rejected_as_often_as_asked() -> None:
    async with FakeUpstream() as upstream:
        upstream.reject(2)
        assert [(await received(upstream, streamed=False)) for _ in range(2)] == [(b"", True)] * 2
        assert (await received(upstream, streamed=False))[0].startswith(b"HTTP/1.1 400 ")
        assert upstream.accepted == 3
        assert len(upstream.requests) == 1


async def test_who_expects_tls_is_answered_like_by_any_plain_server() -> None:
    async with FakeUpstream() as upstream:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_busy_and_idle_are_told_apart() -> None:
    async with FakeUpstream() as upstream:
        upstream.hang()
        asking = asyncio.create_task(received(upstream, streamed=True, seconds=0.2))
        await upstream.received()
        assert upstream.busy_connections == 1
        with pytest.raises(AssertionError, match="every answer to end"):
            await upstream.idle(timeout=0.01)
        await asking
        await upstream.idle()
        assert upstream.busy_connections == 0


async def test_a_request_without_a_body_gets_the_fault_too() -> None:
    """As a probe of a deployment that is left out sends it."""
    async with FakeUpstream() as upstream:
        upstream.fault("status-503")
        async with aiohttp.ClientSession() as client, client.get(f"{upstream.url}/models") as answer:
            assert answer.status == 503
