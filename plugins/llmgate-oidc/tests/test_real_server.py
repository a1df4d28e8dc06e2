"""With a real OpenID provider, ``oidc-provider-mock``: its discovery, its keys, its ID tokens, its restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llmgate_oidc import Oidc, OidcConfig
from llmgate_oidc.config import IssuerConfig
from opener import ask, reason
from real_servers import RealIssuer, free_port, mock_program, running

from llmgate.spec import StageContext, SystemClock
from llmgate.wire.transport import AiohttpTransport


@pytest.fixture(scope="module")
def provider() -> Iterator[RealIssuer]:
    port = free_port()
    with running(mock_program(port), port) as issuer:
        yield issuer


@pytest.fixture
async def transport() -> Any:
    one = AiohttpTransport()
    yield one
    await one.aclose()


async def opened(issuer: RealIssuer, transport: AiohttpTransport, directory: Path, **config: Any) -> Oidc:
    stage = Oidc(OidcConfig([IssuerConfig(**{"issuer": issuer.url, "audiences": ["llmgate"], **config})]))
    nothing: Any = None
    await stage.open(StageContext("auth[0]", SystemClock(), transport, nothing, nothing, {}, directory))
    return stage


async def test_takes_the_tokens_of_those_who_log_in(
    provider: RealIssuer, transport: AiohttpTransport, tmp_path: Path
) -> None:
    tokens = provider.code_flow("jane@example.com", "llmgate")
    stage = await opened(provider, transport, tmp_path)
    try:
        principal = await ask(stage, tokens["id_token"])
        assert principal is not None
        assert (principal.id, principal.issuer) == ("jane@example.com", provider.url)
        assert await ask(stage, tokens["access_token"]) is None, "an opaque token is no JWT"
        other = provider.code_flow("jane@example.com", "another-client")
        assert "aud" in await reason(stage, other["id_token"])
    finally:
        await stage.aclose()


async def test_another_algorithm_than_the_providers_is_refused(
    provider: RealIssuer, transport: AiohttpTransport, tmp_path: Path
) -> None:
    stage = await opened(provider, transport, tmp_path, algorithms=["ES256", "EdDSA"])
    try:
        assert "algorithm" in await reason(stage, provider.code_flow("jane", "llmgate")["id_token"])
    finally:
        await stage.aclose()


async def test_a_provider_that_comes_back_with_another_key_is_understood_at_once(
    transport: AiohttpTransport, tmp_path: Path
) -> None:
    """Its one key has no name, so a new one is known by signatures that do not fit the old one."""
    port = free_port()
    with running(mock_program(port), port) as issuer:
        stage = await opened(issuer, transport, tmp_path)
        before = issuer.code_flow("jane", "llmgate")["id_token"]
        assert await ask(stage, before) is not None
    try:
        with running(mock_program(port), port) as issuer:
            began = time.monotonic()
            after = issuer.code_flow("john", "llmgate")["id_token"]
            principal = await ask(stage, after)
            assert principal is not None
            assert principal.id == "john"
            assert "signature" in await reason(stage, before)
            assert time.monotonic() - began < 10
    finally:
        await stage.aclose()
