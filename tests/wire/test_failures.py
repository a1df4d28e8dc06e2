"""Every fault before the head of an answer, and the error that it becomes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmgate.spec import (
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    ProviderRequest,
    ProviderTimeoutError,
    Timeouts,
)
from llmgate.testing.upstream import FakeUpstream
from llmgate.wire.transport import AiohttpTransport

NEVER_SENT = {"provider_unreachable", "provider_dns_error", "provider_tls_error", "provider_connect_timeout"}
Ask = Callable[..., ProviderRequest]


def assert_says_nothing_of(error: ProviderError, *secrets: str) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    for secret in secrets:
        assert secret not in str(error)
        assert secret not in repr(error)


async def failure_of(transport: AiohttpTransport, request: ProviderRequest) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await transport.send(request)
    error = caught.value
    assert error.provider_name == "fake"
    assert "fake" in str(error)
    assert_says_nothing_of(error, "127.0.0.1", "s3cret", request.url)
    assert error.lost is (error.code not in NEVER_SENT)
    return error


async def test_a_refused_connection(transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask) -> None:
    await upstream.refuse()
    error = await failure_of(transport, ask())
    assert isinstance(error, ProviderConnectionError)
    assert (error.code, error.http_status, error.retryable) == ("provider_unreachable", 502, True)
    assert "refused" in str(error)


async def test_a_name_that_does_not_resolve(
    transport: AiohttpTransport, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*args: object, **kwargs: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known: secret.internal")

    monkeypatch.setattr("aiohttp.connector.DefaultResolver.resolve", resolve)
    origin = "http://secret.internal"
    error = await failure_of(transport, ask(url=f"{origin}/v1", origin=origin))
    assert (type(error), error.code, error.retryable) == (ProviderConnectionError, "provider_dns_error", True)


async def test_a_peer_that_does_not_speak_tls(transport: AiohttpTransport, ask: Ask) -> None:
    async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as server:
        origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await failure_of(transport, ask(url=f"{origin}/v1", origin=origin))
    assert (type(error), error.code, error.retryable) == (ProviderConnectionError, "provider_tls_error", True)


async def test_a_certificate_that_is_not_trusted(transport: AiohttpTransport, ask: Ask, certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context) as server:
        origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await failure_of(transport, ask(url=f"{origin}/v1", origin=origin))
    assert (error.code, error.retryable) == ("provider_tls_error", True)
    assert "certificate verify failed" in str(error)


async def test_a_listener_that_does_not_take_the_connection(transport: AiohttpTransport, ask: Ask) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        origin = f"http://127.0.0.1:{full.getsockname()[1]}"
        request = ask(url=origin, origin=origin, timeouts=Timeouts(connect=0.2, first_byte=0.2, idle=5))
        error = await failure_of(transport, request)
    assert isinstance(error, ProviderTimeoutError)
    assert error.code in {"provider_connect_timeout", "provider_first_byte_timeout"}  # the latter where backlog is kind
    assert (error.http_status, error.retryable) == (504, True)


async def test_silence_instead_of_an_answer(transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask) -> None:
    upstream.hang()
    error = await failure_of(transport, ask(timeouts=Timeouts(connect=2, first_byte=0.1, idle=5)))
    assert (type(error), error.code) == (ProviderTimeoutError, "provider_first_byte_timeout")
    assert (error.http_status, error.retryable) == (504, True)
    await upstream.closed(1)


async def test_a_head_that_drips_does_not_hold_the_request_for_ever(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    async def drip(request: Any, connection: Any) -> None:
        await connection.write(b"HTTP/1.1 200 OK\r\n" + b"x-a: y\r\n" * 1000, split=8, delay=0.05)

    upstream.script(drip)
    error = await failure_of(transport, ask(timeouts=Timeouts(connect=0.2, first_byte=0.2, idle=5)))
    assert (type(error), error.code) == (ProviderTimeoutError, "provider_first_byte_timeout")
    await upstream.closed(1)


@pytest.mark.parametrize("fault", ["reset", "close", "half a head"])
async def test_a_connection_lost_before_the_answer(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, fault: str
) -> None:
    await transport.send(ask())  # the connection that is lost is one used before
    if fault == "reset":
        upstream.reset()
    else:
        upstream.raw(b"" if fault == "close" else b"HTTP/1.1 200 OK\r\nx-")
    error = await failure_of(transport, ask())
    assert (type(error), error.code, error.retryable) == (ProviderConnectionError, "provider_connection_lost", True)
    assert len(upstream.requests) == 2  # a POST is never sent again behind the pipeline's back


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
async def test_an_answer_that_is_not_http(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, garbage: bytes
) -> None:
    upstream.raw(garbage)
    error = await failure_of(transport, ask())
    assert (type(error), error.code, error.http_status) == (ProviderProtocolError, "provider_protocol_error", 502)


async def test_an_upgrade_nobody_asked_for_is_just_a_status(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", end="hang")
    assert (await transport.send(ask())).status == 101
    await upstream.closed(1)
