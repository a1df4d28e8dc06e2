"""What every auth provider promises, kept for tokens of an issuer on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import attrs
import pytest
from identity_provider import IdentityProvider, another_key, part, sign
from llmgate_oidc import Oidc, OidcConfig
from llmgate_oidc.config import IssuerConfig

from llmgate.spec import Credentials, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance import AuthConformance
from llmgate.wire.transport import AiohttpTransport

NOW = FakeClock().now()


class TestOidc(AuthConformance):
    stage_class = Oidc

    @pytest.fixture(autouse=True)
    async def _server(self, issuer: IdentityProvider) -> AsyncIterator[None]:
        self.issuer = issuer
        self.transport = AiohttpTransport()
        yield
        await self.transport.aclose()

    @property
    def valid(self) -> Sequence[Credentials]:  # type: ignore[override]
        token = self.issuer.token(NOW)
        return [Credentials(tokens={place: token}) for place in ("authorization", "x-api-key", "helicone-auth")]

    @property
    def bad(self) -> Sequence[Credentials]:  # type: ignore[override]
        claims, key = self.issuer.claims(NOW), self.issuer.keys[0]
        forged = sign({"alg": "RS256", "kid": "k1"}, claims, another_key("k1"), "RS256")
        tokens = [
            forged,
            self.issuer.token(NOW, exp=int(NOW) - 3600),
            self.issuer.token(NOW, aud="somebody-else"),
            f"{part({'alg': 'none'})}.{part(claims)}.",
            sign({"alg": "RS256", "kid": "gone"}, claims, key, "RS256"),
        ]
        return [Credentials.of(token) for token in tokens]

    @property
    def strangers(self) -> Sequence[Credentials]:  # type: ignore[override]
        other = self.issuer.token(NOW, iss="https://login.example.com")
        return [Credentials(), Credentials.of("sk-lg-abc"), Credentials.of(other), Credentials.of("a.b.c")]

    def make_config(self) -> OidcConfig:
        url = self.issuer.url if hasattr(self, "issuer") else "http://127.0.0.1:1"
        return OidcConfig(issuers=[IssuerConfig(issuer=url, audiences=["llmgate"])])

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        return attrs.evolve(super().make_context(directory, clock), transport=self.transport)
