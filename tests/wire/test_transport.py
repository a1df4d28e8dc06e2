"""The transport against a real server on loopback, and its plain mapping by aioresponses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aioresponses import CallbackResult, aioresponses

from llmgate.spec import (
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    ProviderRequest,
)
from llmgate.testing.upstream import FakeUpstream, chat_events
from llmgate.wire.egress import PUBLIC_TARGETS
from llmgate.wire.transport import AiohttpTransport

Ask = Callable[..., ProviderRequest]


def mocked_request(**fields: Any) -> ProviderRequest:
    settings: dict[str, Any] = {
        "method": "POST",
        "url": "https://api.example.com/v1/chat/completions",
        "headers": {"authorization": "Bearer s3cret"},
        "body": b"{}",
        "provider_name": "example",
        "origin": "https://api.example.com",
    }
    return ProviderRequest(**{**settings, **fields})


def assert_says_nothing_of(error: ProviderError, *secrets: str) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    for secret in secrets:
        assert secret not in str(error)
        assert secret not in repr(error)


# --- plain mapping ---------------------------------------------------------------------------------------------------


async def test_an_answer_is_status_headers_and_body(mocked: aioresponses, transport: AiohttpTransport) -> None:
    mocked.post("https://api.example.com/v1/chat/completions", status=201, body=b"{}", headers={"X-Request-ID": "r1"})
    response = await transport.send(mocked_request())
    assert (response.status, response.body) == (201, b"{}")
    assert response.headers == {"content-type": "application/json", "x-request-id": "r1"}


async def test_what_is_sent_names_llmgate_and_asks_for_no_compression(
    mocked: aioresponses, transport: AiohttpTransport
) -> None:
    sent: dict[str, Any] = {}

    def answer(url: object, **kwargs: Any) -> CallbackResult:
        sent.update(kwargs)
        return CallbackResult(status=200)

    mocked.post("https://api.example.com/v1/chat/completions", callback=answer)
    await transport.send(mocked_request(headers={"authorization": "Bearer s3cret", "accept-encoding": "br"}))
    assert sent["headers"]["user-agent"].startswith("llmgate/")
    assert sent["headers"]["accept-encoding"] == "identity"
    assert sent["allow_redirects"] is False


async def test_an_unexpected_exception_is_a_connection_error_without_its_text(
    mocked: aioresponses, transport: AiohttpTransport
) -> None:
    mocked.post("https://api.example.com/v1/chat/completions", exception=RuntimeError("https://u:key@internal/"))
    with pytest.raises(ProviderConnectionError) as caught:
        await transport.send(mocked_request())
    assert_says_nothing_of(caught.value, "internal", "key@")


# --- what goes over the wire -----------------------------------------------------------------------------------------


async def test_the_bytes_sent_are_the_bytes_given(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.answer(json={})
    await transport.send(ask("/v1/a%2Fb%7Ec//d?q=%20+&r=%3d", headers={"user-agent": "sdk/1"}, body=b'{"\xc3\xa9": 1}'))
    [request] = upstream.requests
    assert request.path == "/v1/a%2Fb%7Ec//d?q=%20+&r=%3d"
    assert request.body == b'{"\xc3\xa9": 1}'
    assert request.headers == {
        "host": upstream.url.removeprefix("http://"),
        "accept": "*/*",
        "user-agent": "sdk/1",
        "authorization": "Bearer s3cret",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "content-length": "9",
    }


async def test_nothing_is_added_that_was_not_asked_for(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.answer(json={})
    given = ask()
    await transport.send(ProviderRequest(given.method, given.url, {}, b"x", origin=given.origin))
    assert "content-type" not in upstream.requests[0].headers
    assert "aiohttp" not in upstream.requests[0].raw_head.decode().lower()


async def test_a_large_body_arrives_whole(transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask) -> None:
    body = bytes(range(256)) * 4096 * 5
    upstream.answer(json={})
    await transport.send(ask(body=body))
    assert upstream.requests[0].body == body


async def test_a_get_has_no_body(transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask) -> None:
    response = await transport.send(ask("/v1/models", body=None))
    assert [row["id"] for row in json.loads(response.body)["data"]] == list(upstream.models)
    assert "content-length" not in upstream.requests[0].headers


async def test_response_headers_are_lower_case_and_repeats_are_joined(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.raw(
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-Latin: \xe9\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
        end="keep",
    )
    response = await transport.send(ask())
    assert response.headers["x-a"] == "1, 2"
    assert response.headers["x-latin"] == "é"
    upstream.answer(json={})
    await transport.send(ask())
    assert "cookie" not in upstream.requests[1].headers


# --- safety ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_never_followed(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, status: int
) -> None:
    async with FakeUpstream() as evil:
        upstream.redirect(f"{evil.url}/steal", status)
        response = await transport.send(ask())
        assert response.status == status
        assert response.headers["location"].endswith("/steal")
        assert evil.accepted == 0
    assert len(upstream.requests) == 1


async def test_an_address_outside_the_origin_is_refused_before_anything_is_sent(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    async with FakeUpstream() as evil:
        with pytest.raises(ProviderConnectionError, match="provider fake") as caught:
            await transport.send(ask(url=f"{evil.url}/v1/chat/completions"))
        assert evil.accepted == 0
    assert caught.value.code == "provider_address_refused"
    assert not caught.value.retryable
    assert upstream.accepted == 0


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\x00b", "a\x7fb", "sk-\u2028", "\ud800"])
async def test_a_header_that_http_cannot_carry_is_never_sent(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, value: str
) -> None:
    with pytest.raises(ProviderProtocolError, match="authorization") as caught:
        await transport.send(ask(headers={"authorization": value}))
    assert not caught.value.retryable
    assert_says_nothing_of(caught.value, value)
    assert upstream.accepted == 0


async def test_forbidden_addresses_are_refused_at_the_socket_literal_or_resolved(
    upstream: FakeUpstream, ask: Ask
) -> None:
    transport = AiohttpTransport(egress=PUBLIC_TARGETS)
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"):
        origin = f"http://{host}:{upstream.port}"
        with pytest.raises(ProviderConnectionError) as caught:
            await transport.send(ask(url=f"{origin}/v1", origin=origin))
        assert_says_nothing_of(caught.value, host, str(upstream.port))
    await transport.aclose()
    assert upstream.accepted == 0


async def test_metadata_addresses_are_refused_by_default(transport: AiohttpTransport, ask: Ask) -> None:
    for host in ("169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "100.100.100.200", "168.63.129.16"):
        with pytest.raises(ProviderConnectionError, match="never called") as caught:
            await transport.send(ask(url=f"http://{host}/latest", origin=f"http://{host}"))
        assert caught.value.code == "provider_address_refused"


async def test_environment_proxies_play_no_part(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeUpstream() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await transport.send(ask())
        assert proxy.accepted == 0
    assert len(upstream.requests) == 1


async def test_pools_share_no_connections(transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask) -> None:
    await transport.send(ask(pool="fake#1"))
    await transport.send(ask(pool="fake#2"))
    await transport.send(ask(pool="fake#1"))
    assert [request.connection for request in upstream.requests] == [0, 1, 0]


# --- leaving ---------------------------------------------------------------------------------------------------------


async def test_cancelling_before_the_head_closes_the_upstream(
    transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask
) -> None:
    upstream.hang()
    task = asyncio.create_task(transport.send(ask()))
    await upstream.received(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.closed(1, timeout=10)
    assert upstream.disconnects == 1


async def test_many_at_once(transport: AiohttpTransport, upstream: FakeUpstream, ask: Ask) -> None:
    answers = await asyncio.gather(*(transport.send(ask()) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len(upstream.requests) == 50


# --- life ------------------------------------------------------------------------------------------------------------


async def test_pools_are_bounded_and_the_longest_unused_goes_first(upstream: FakeUpstream, ask: Ask) -> None:
    transport = AiohttpTransport(max_pools=2)
    for pool in ("a", "b", "a", "c"):
        await transport.send(ask(pool=pool))
    await upstream.closed(1)  # b's
    assert [request.connection for request in upstream.requests] == [0, 1, 0, 2]
    await transport.send(ask(pool="a"))
    assert upstream.requests[-1].connection == 0
    await transport.aclose()
    await upstream.closed(3)


async def test_a_pool_with_a_stream_on_its_way_is_not_closed_for_another(upstream: FakeUpstream, ask: Ask) -> None:
    transport = AiohttpTransport(max_pools=1)
    upstream.stream(chat_events("a b c"), delay=0.02)
    stream = await transport.open_stream(ask(pool="a"))
    await transport.send(ask(pool="b"))
    assert (await stream.read()).endswith(b"data: [DONE]\n\n")
    await transport.aclose()


async def test_closing_is_idempotent_and_final(upstream: FakeUpstream, ask: Ask) -> None:
    transport = AiohttpTransport()
    await transport.send(ask())
    await transport.aclose()
    await transport.aclose()
    await upstream.closed(1)
    with pytest.raises(ProviderConnectionError, match="closed"):
        await transport.send(ask())


async def test_closing_ends_what_is_on_its_way(upstream: FakeUpstream, ask: Ask) -> None:
    transport = AiohttpTransport()
    upstream.hang()
    task = asyncio.create_task(transport.send(ask()))
    await upstream.received(1)
    await transport.aclose()
    with pytest.raises(ProviderConnectionError):
        await task


# --- authorities -----------------------------------------------------------------------------------------------------


async def test_a_request_may_be_checked_against_authorities_of_its_own(
    transport: AiohttpTransport, ask: Ask, certificate: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        trusted = ask(url=f"{origin}/v1", origin=origin, authorities=certificate.read_text())
        assert (await transport.send(trusted)).body == b"ok"
        for untrusted in (None, "no certificate at all"):
            with pytest.raises(ProviderConnectionError) as refused:
                await transport.send(ask(url=f"{origin}/v1", origin=origin, authorities=untrusted))
            assert refused.value.code == "provider_tls_error"
