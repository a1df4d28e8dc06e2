"""What every secret store promises, kept for secrets in a double of Secret Manager."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import llmgate_google.identity
import pytest
from llmgate_google.config import GoogleSecretsConfig
from llmgate_google.store import GoogleSecrets
from secret_manager_double import SecretManagerDouble, playing_google

from llmgate.spec import Secret, SecretCaching, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance import SecretConformance
from llmgate.wire.transport import AiohttpTransport


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretManagerDouble]:
    with playing_google() as double:

        def ask(_: float) -> Secret:
            return Secret(double.token()[1]["access_token"], bearer=True, lifetime=3600.0)

        monkeypatch.setattr(llmgate_google.identity, "_ask", ask)
        yield double


class TestGoogleSecrets(SecretConformance):
    stage_class = GoogleSecrets
    path = "canary"
    notices_within = 60.0
    multiline = True

    @pytest.fixture(autouse=True)
    async def _google(self, google: SecretManagerDouble) -> AsyncIterator[None]:
        self.google = google
        self.transport = AiohttpTransport()
        yield
        await self.transport.aclose()

    def make_config(self) -> GoogleSecretsConfig:
        url = self.google.url if hasattr(self, "google") else "http://127.0.0.1:1"
        return GoogleSecretsConfig(project="p", endpoint=url, timeout=20, cache=SecretCaching(pause=1, timeout=40))

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        return attrs.evolve(super().make_context(directory, clock), transport=self.transport)

    def plant(self, context: StageContext, path: str, value: str) -> None:  # noqa: ARG002 - the kit's signature
        self.google.put(path, value)

    def uproot(self, context: StageContext, path: str) -> None:  # noqa: ARG002 - the kit's signature
        self.google.put(path, None)

    def cut(self, context: StageContext) -> None:  # noqa: ARG002 - the kit's signature
        self.google.refusal = (503, "UNAVAILABLE")
