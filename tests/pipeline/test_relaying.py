from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate.spec import (
    GatewayRequest,
    GatewayTimeoutError,
    ModelNotFoundError,
    Operation,
    PermissionDeniedError,
    Principal,
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    RelayTarget,
)
from llmgate.testing.transport import stream_answer
from scripted import OpenBench, failure


def relayed(
    path: str = "/v1/things?x=1", *, method: str = "POST", body: bytes = b"{}", **fields: Any
) -> GatewayRequest:
    return GatewayRequest(Operation.RELAY, "", body, "", stream=False, relay=RelayTarget(method, path), **fields)


async def fetched(
    b: Any, request: GatewayRequest, provider: str = "alpha", **who: Any
) -> tuple[int, dict[str, str], bytes]:
    async with b.pipeline.exchange(**who) as x:
        answer = await x.relay(provider, request)
        return answer.status, dict(answer.headers), b"".join([piece async for piece in answer])


async def test_a_request_goes_to_its_provider_as_it_is_with_the_gateways_key(bench: OpenBench) -> None:
    headers = {"content-type": "text/odd", "set-cookie": "a=b", "x-ratelimit-limit": "5", "server": "secret"}
    async with bench(stream_answer(b"one", b"two", headers=headers, status=201)) as b:
        request = relayed(body=b"\x00raw", headers={"content-type": "application/x-thing"})
        status, got, body = await fetched(b, request)
        assert (status, body) == (201, b"onetwo")
        assert got == {"content-type": "text/odd", "x-ratelimit-limit": "5"}
        (sent,) = b.transport.requests
        assert (sent.method, sent.url, sent.body) == ("POST", "https://alpha.test/v1/things?x=1", b"\x00raw")
        assert sent.headers["authorization"] == "Bearer key-of-alpha"
        assert sent.headers["content-type"] == "application/x-thing"
        (record,) = await b.records()
        assert (record.operation, record.status, record.outcome, record.provider_name) == ("relay", 201, "ok", "alpha")


async def test_a_method_without_a_body_sends_none(bench: OpenBench) -> None:
    async with bench(stream_answer(b"")) as b:
        await fetched(b, relayed(method="GET", body=b""))
        assert b.transport.requests[0].body is None


@pytest.mark.parametrize("status", [400, 404, 429, 500])
async def test_an_error_answer_is_an_answer(bench: OpenBench, status: int) -> None:
    async with bench(failure(status, "the vendor's words")) as b:
        seen, _, body = await fetched(b, relayed())
        assert seen == status
        assert b"the vendor's words" in body
        (record,) = await b.records()
        assert (record.status, record.outcome) == (status, "error")


@pytest.mark.parametrize(
    "body", [b'{"error": {"message": "wrong: key-of-alpha"}}', b'{"a": "key\\u002dof-alpha"}', b"key-of-alpha"]
)
@pytest.mark.parametrize("status", [400, 404, 500])
async def test_an_error_that_quotes_the_gateways_key_is_withheld(bench: OpenBench, status: int, body: bytes) -> None:
    async with bench(stream_answer(body, headers={"content-type": "application/json"}, status=status)) as b:
        with pytest.raises(ProviderError) as raised:
            await fetched(b, relayed())
        assert raised.value.upstream_status == status
        assert raised.value.body is None
        assert "key-of-alpha" not in f"{raised.value} {raised.value!r} {raised.value.param} {raised.value.code}"
        (record,) = await b.records()
        assert "key-of-alpha" not in repr(record)


async def test_an_error_without_a_body_is_an_answer(bench: OpenBench) -> None:
    async with bench(stream_answer(status=404)) as b:
        assert (await fetched(b, relayed()))[::2] == (404, b"")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_gateway_credential_is_not_the_callers_business(bench: OpenBench, status: int) -> None:
    async with bench(failure(status, "bad key sk-abc")) as b:
        with pytest.raises(ProviderAuthenticationError) as caught:
            await fetched(b, relayed())
        assert "sk-abc" not in caught.value.message


async def test_a_redirect_is_not_followed_and_not_shown(bench: OpenBench) -> None:
    async with bench(stream_answer(status=302, headers={"location": "https://evil.test/"})) as b:
        with pytest.raises(ProviderProtocolError, match="redirect"):
            await fetched(b, relayed())
        assert len(b.urls) == 1


async def test_a_broken_connection_is_raised_and_recorded(bench: OpenBench) -> None:
    lost = ProviderConnectionError("lost", provider_name="alpha", retryable=True)
    async with bench(stream_answer(b"one", lost)) as b:
        with pytest.raises(ProviderConnectionError):
            await fetched(b, relayed())
        (record,) = await b.records()
        assert record.outcome == "incomplete"


async def test_the_deadline_ends_a_silent_answer(bench: OpenBench) -> None:
    async with bench(stream_answer(b"one", asyncio.Event())) as b:
        request = relayed(deadline=b.clock.monotonic() + 0.05)
        with pytest.raises(GatewayTimeoutError):
            await fetched(b, request)
        assert b.transport.streams[0].closed


async def test_leaving_early_closes_the_upstream(bench: OpenBench) -> None:
    async with bench(stream_answer(b"one", b"two")) as b:
        async with b.pipeline.exchange() as x:
            async for _ in await x.relay("alpha", relayed()):
                break
        assert b.transport.streams[0].closed
        (record,) = await b.records()
        assert record.outcome == "cancelled"


async def test_an_unknown_provider_is_not_found(bench: OpenBench) -> None:
    async with bench() as b:
        with pytest.raises(ModelNotFoundError, match="'gamma' is not configured"):
            await fetched(b, relayed(), "gamma")


async def test_who_is_restricted_by_model_needs_a_right_to_all_when_no_model_can_be_read(bench: OpenBench) -> None:
    async with bench(stream_answer(b""), stream_answer(b"")) as b:
        with pytest.raises(PermissionDeniedError):
            await fetched(b, relayed(), principal=Principal("p", models=["alpha/small", "small"]))
        await fetched(b, relayed(), principal=Principal("p", models=["alpha/*"]))
        assert len(b.urls) == 1
