"""Auth providers that are opened at an issuer on loopback, with the gateway's own transport and a clock in hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from identity_provider import IdentityProvider
from llmgate_oidc import Oidc, OidcConfig
from llmgate_oidc.config import IssuerConfig

from llmgate.spec import AuthenticationError, Credentials, Principal, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.wire.transport import AiohttpTransport

TIMING = ("max_token_bytes", "max_cached", "cache_for", "refresh", "stale", "cooldown", "timeout")


class Opener:
    """Opens auth providers, and closes them."""

    def __init__(self, issuer: IdentityProvider, directory: Path) -> None:
        self.issuer = issuer
        self.directory = directory
        self.clock = FakeClock()
        self.transport = AiohttpTransport()
        self.stages: list[Oidc] = []

    async def __call__(self, *others: IssuerConfig, **config: Any) -> Oidc:
        timing = {name: config.pop(name) for name in TIMING if name in config}
        one = IssuerConfig(**{"issuer": self.issuer.url, "audiences": ["llmgate"], **config})
        stage = Oidc(OidcConfig(issuers=[one, *others], **timing))
        nothing: Any = None
        context = StageContext("auth[0]", self.clock, self.transport, nothing, nothing, {}, self.directory)
        self.stages.append(stage)
        await stage.open(context)
        return stage

    def token(self, **more: Any) -> str:
        """A token of the issuer's, made now."""
        return self.issuer.token(self.clock.now(), **more)

    async def aclose(self) -> None:
        for stage in self.stages:
            await stage.aclose()
        await self.transport.aclose()


async def ask(stage: Oidc, token: str, place: str = "authorization") -> Principal | None:
    """Whose a token is."""
    return await stage.authenticate(Credentials(tokens={place: token}))


async def reason(stage: Oidc, token: str) -> str:
    """Why a token is refused."""
    with pytest.raises(AuthenticationError) as caught:
        await ask(stage, token)
    assert caught.value.message == AuthenticationError().message
    assert token not in caught.value.reason
    return caught.value.reason
