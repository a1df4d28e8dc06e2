"""Bodies that go up as they come: bounded memory, byte-faithful, and what becomes of them when somebody breaks off."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from end_to_end.loopback import Loopback, loopback
from end_to_end.test_media import form
from llmgate.testing.upstream import FakeUpstream

PIECE = bytes(range(256)) * 256
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n"
ANSWER = b'{"text":"hello"}'
Behave = Callable[["Provider", asyncio.StreamReader, asyncio.StreamWriter, dict[str, str]], Awaitable[None]]


class Provider:
    """A provider that answers when it likes, and not only when it has read a request to its end."""

    def __init__(self, behave: Behave) -> None:
        self.behave = behave
        self.read = 0
        self.digest = hashlib.sha256()
        self.heads: list[dict[str, str]] = []
        self.gone = asyncio.Event()
        self.begun = asyncio.Event()
        self.proceed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        self.heads.append(headers)
        try:
            await self.behave(self, reader, writer, headers)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.gone.set()
            writer.close()

    async def take(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> None:
        """Read a body to its end, keeping none of it."""
        left = int(headers["content-length"]) if "content-length" in headers else None
        while left is None or left > 0:
            if left is None:
                size = int(await reader.readline(), 16)
                data = (await reader.readexactly(size + 2))[:-2]
                if not size:
                    return
            else:
                data = await reader.read(min(left, 65536))
                if not data:
                    raise ConnectionError
                left -= len(data)
            self.read += len(data)
            self.digest.update(data)
            self.begun.set()


async def answer_at_the_end(
    one: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]
) -> None:
    await one.take(reader, headers)
    writer.write(HEAD + ANSWER)
    await writer.drain()


@asynccontextmanager
async def between(behave: Behave, **server: Any) -> AsyncIterator[tuple[Provider, Loopback]]:
    """A gateway before a provider that behaves so."""
    provider = Provider(behave)
    listening = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    row = {"base-url": f"http://127.0.0.1:{port}/v1", "passthrough": "all"}
    try:
        async with loopback({"providers": {"openai": row}, "server": server}) as one:
            yield provider, one
    finally:
        listening.close()
        provider.proceed.set()


def transcript_head(size: int) -> tuple[bytes, bytes, bytes]:
    """The head of an upload, and the beginning and the end of a form around a file of so many bytes."""
    body, _ = form(("model", b"whisper-1"), ("file", b"@"))
    start, _, end = body.partition(b"@")
    return request_head("/v1/audio/transcriptions", len(start) + size + len(end)), start, end


def request_head(path: str, length: int | None, kind: str = "multipart/form-data; boundary=b0undary") -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer none\r\nContent-Type: {kind}\r\n"
        f"{framing}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/audio/transcriptions",
        "/openai/v1/audio/transcriptions",
        "/openai/v1/files",
        "/v1/files",
        "/v1/uploads/upload_1/parts",
    ],
)
async def test_64_mb_pass_through_a_few(path: str) -> None:
    count = 1024
    async with between(answer_at_the_end) as (provider, one):
        body, headers = form(("model", b"whisper-1"), ("file", b"@"))
        start, _, end = body.partition(b"@")
        digest = hashlib.sha256(start)

        async def pieces() -> AsyncIterator[bytes]:
            yield start
            for _ in range(count):
                digest.update(PIECE)
                yield PIECE
            yield end

        tracemalloc.start()
        try:
            url = f"http://127.0.0.1:{one.port}{path}"
            async with one.client.post(url, data=pieces(), headers=headers) as response:
                assert await response.read() == ANSWER
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        digest.update(end)
        assert provider.read == len(start) + count * len(PIECE) + len(end)
        assert provider.digest.digest() == digest.digest()
        assert provider.heads[0]["transfer-encoding"] == "chunked"
        assert peak < 8 * 1024 * 1024
        (record,) = await one.recorded()
    assert (record.outcome, record.status) == ("ok", 200)


async def test_a_provider_that_does_not_read_holds_up_the_client() -> None:
    async def wait(one: Provider, reader: Any, writer: Any, headers: dict[str, str]) -> None:
        one.begun.set()
        await one.proceed.wait()
        await answer_at_the_end(one, reader, writer, headers)

    size = 32 * 1024 * 1024
    async with between(wait) as (provider, one):
        head, start, end = transcript_head(size)
        client = await one.raw(head + start)
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(size // len(PIECE)):
                await client.send(PIECE)
                sent += len(PIECE)
            await client.send(end)

        sending = asyncio.create_task(send())
        await provider.begun.wait()
        seen = -1
        while seen != sent:  # until nothing moves any more
            seen = sent
            await asyncio.sleep(0.1)
        assert sent < size
        provider.proceed.set()
        await sending
        assert ANSWER in await client.read_until(ANSWER)
        assert provider.read == len(start) + size + len(end)


async def test_a_known_length_stays_known() -> None:
    async with between(answer_at_the_end) as (provider, one):
        head, start, end = transcript_head(3 * len(PIECE))
        client = await one.raw(head + start)
        for _ in range(3):
            await client.send(PIECE)
        await client.send(end)
        assert ANSWER in await client.read_until(ANSWER)
        assert int(provider.heads[0]["content-length"]) == provider.read
        assert "transfer-encoding" not in provider.heads[0]


@pytest.mark.parametrize("bang", [False, True])
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/openai/v1/files"])
async def test_a_client_that_leaves_in_the_middle_takes_the_provider_along(path: str, bang: bool) -> None:
    async with between(answer_at_the_end) as (provider, one):
        _, start, _ = transcript_head(0)
        client = await one.raw(request_head(path, 10**8) + start)
        for _ in range(8):
            await client.send(PIECE)
        await provider.begun.wait()
        (client.rst if bang else client.fin)()
        await asyncio.wait_for(provider.gone.wait(), 5)
        (record,) = await one.recorded()
    assert (record.outcome, record.status) == ("cancelled", 499)
    assert record.attempts[0].abandoned


@pytest.mark.parametrize("status", [413, 429])
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/openai/v1/files"])
async def test_an_early_answer_is_relayed_and_nothing_more_is_read(path: str, status: int) -> None:
    error = b'{"error":{"message":"too much"}}'

    async def refuse(one: Provider, reader: Any, writer: asyncio.StreamWriter, headers: dict[str, str]) -> None:
        await reader.readexactly(1000)
        head = f"HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {len(error)}\r\n\r\n"
        writer.write(head.encode() + error)
        await writer.drain()
        await one.proceed.wait()

    async with between(refuse) as (_, one):
        _, start, _ = transcript_head(0)
        client = await one.raw(request_head(path, 10**8) + start)
        for _ in range(8):
            await client.send(PIECE)
        answer = await client.read_until(error)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"connection: close" in answer
        assert error in answer
        (record,) = await one.recorded()
    assert record.attempts[0].status == status


async def test_a_body_that_has_begun_goes_to_nobody_else() -> None:
    async def reset(one: Provider, reader: Any, writer: asyncio.StreamWriter, headers: dict[str, str]) -> None:
        await reader.readexactly(400_000)
        writer.write(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}")

    async with FakeUpstream() as second, between(reset) as (_, one):
        router = {
            "providers": {
                "openai": {"base-url": str(one.pipeline.config.providers["openai"].base_url)},
                "two": {"base-url": second.base_url},
            },
            "routers": {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["openai", "two"]}}}},
        }
        async with loopback(router) as gateway:
            body, headers = form(("model", b"whisper-1"), ("file", PIECE * 16))
            reply = await gateway.post(body, "/router/main/audio/transcriptions", **headers)
            assert reply.status == 503
            assert "x-should-retry" not in reply.headers
            (record,) = await gateway.recorded()
    assert len(record.attempts) == 1
    assert second.requests == []


async def test_a_provider_that_is_away_is_replaced_before_the_body_has_begun() -> None:
    async with FakeUpstream() as second:
        router = {
            "providers": {"one": {"base-url": "http://127.0.0.1:1/v1"}, "two": {"base-url": second.base_url}},
            "routers": {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["one", "two"]}}}},
        }
        async with loopback(router) as gateway:
            second.answer(json={"text": "hello"})
            body, headers = form(("model", b"whisper-1"), ("file", PIECE * 16))
            reply = await gateway.post(body, "/router/main/audio/transcriptions", **headers)
    assert (reply.status, reply.headers["llmgate-attempts"]) == (200, "2")
    assert second.requests[0].body == body


async def test_a_model_behind_its_file_is_waited_for_up_to_a_bound() -> None:
    async with between(answer_at_the_end, **{"max-spool-bytes": 1_000_000}) as (provider, one):
        body, headers = form(("file", PIECE * 8), ("model", b"openai/whisper-1"))
        reply = await one.post(body, "/v1/audio/transcriptions", **headers)
        assert (reply.status, reply.body) == (200, ANSWER)
        wanted = body.replace(b"openai/whisper-1", b"whisper-1")
        assert provider.digest.digest() == hashlib.sha256(wanted).digest()
        body, headers = form(("file", PIECE * 16), ("model", b"whisper-1"))
        reply = await one.post(body, "/v1/audio/transcriptions", **headers)
        assert (reply.status, reply.error["code"], reply.error["param"]) == (413, "model_too_late", "model")
        assert "send it before the file" in reply.error["message"]
        assert len(provider.heads) == 1


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/openai/v1/files"])
async def test_an_upload_has_a_bound_whether_it_says_its_length_or_not(path: str) -> None:
    async with between(answer_at_the_end, **{"max-upload-bytes": 1_000_000}) as (provider, one):
        body, headers = form(("model", b"whisper-1"), ("file", PIECE * 16))
        reply = await one.post(body, path, **headers)
        assert (reply.status, reply.error["code"]) == (413, "request_too_large")
        assert provider.heads == []

        async def pieces() -> AsyncIterator[bytes]:
            yield body

        async with one.client.post(f"http://127.0.0.1:{one.port}{path}", data=pieces(), headers=headers) as response:
            assert response.status == 413
        records = await one.recorded(2)
    assert {record.error_code for record in records} == {"request_too_large"}


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/openai/v1/files"])
async def test_a_client_that_is_too_slow_is_told_so(path: str) -> None:
    async with between(answer_at_the_end, **{"body-timeout": "200ms", "body-rate": 1_000_000}) as (provider, one):
        _, start, _ = transcript_head(0)
        client = await one.raw(request_head(path, 10**8) + start + PIECE * 6)
        answer = await client.read_until(b"request_timeout")
        assert answer.startswith(b"HTTP/1.1 408 ")
        await asyncio.wait_for(provider.gone.wait(), 5)
        (record,) = await one.recorded()
    assert record.error_code == "request_timeout"


async def test_a_form_that_ends_too_early_is_the_clients_fault() -> None:
    async with between(answer_at_the_end) as (provider, one):
        body, headers = form(("model", b"whisper-1"), ("file", PIECE * 8))
        reply = await one.post(body[:-8], "/v1/audio/transcriptions", **headers)
        assert (reply.status, reply.error["code"]) == (400, "invalid_form")
        await asyncio.wait_for(provider.gone.wait(), 5)
