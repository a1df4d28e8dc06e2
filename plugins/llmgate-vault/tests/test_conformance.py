"""What every secret store promises, kept for secrets in a real server, in KV of both versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from llmgate_vault.config import VaultConfig
from llmgate_vault.store import Vault

from llmgate.spec import SecretCaching, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance import SecretConformance
from llmgate.wire.transport import AiohttpTransport


class TestVault(SecretConformance):
    stage_class = Vault
    notices_within = 60.0
    multiline = True
    version = "2"

    @pytest.fixture(autouse=True)
    async def _server(self, bao: Any) -> AsyncIterator[None]:
        self.bao = bao
        self.mount = bao.mount("kv", version=self.version)
        self.transport = Cuttable()
        yield
        await self.transport.aclose()

    @property
    def secrets(self) -> dict[str, str]:  # type: ignore[override]
        return {"env:VAULT_TOKEN": self.bao.token(f"{self.mount}/*")}

    @property
    def path(self) -> str:  # type: ignore[override]
        return f"{self.mount}/canary"

    def make_config(self) -> VaultConfig:
        address = self.bao.address if hasattr(self, "bao") else "http://127.0.0.1:1"
        return VaultConfig(address=address, timeout=20, cache=SecretCaching(pause=1, timeout=40))

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        return attrs.evolve(super().make_context(directory, clock), transport=self.transport)

    def plant(self, context: StageContext, path: str, value: str) -> None:  # noqa: ARG002 - the kit's signature
        mount, _, name = path.partition("/")
        body = {"data": {"key": value}} if self.version == "2" else {"key": value}
        self.bao.call("POST", f"{mount}/data/{name}" if self.version == "2" else path, body)

    def uproot(self, context: StageContext, path: str) -> None:  # noqa: ARG002 - the kit's signature
        mount, _, name = path.partition("/")
        self.bao.call("DELETE", f"{mount}/data/{name}" if self.version == "2" else path)

    def cut(self, context: StageContext) -> None:  # noqa: ARG002 - the kit's signature
        self.transport.elsewhere = True


class TestVaultOfVersion1(TestVault):
    version = "1"


class Cuttable(AiohttpTransport):
    """The gateway's transport, which can be made to reach nobody."""

    elsewhere = False

    async def open_stream(self, request: Any) -> Any:
        if self.elsewhere:
            nowhere = "http://127.0.0.1:1"
            request = attrs.evolve(request, url=nowhere + "/", origin=nowhere)
        return await super().open_stream(request)
