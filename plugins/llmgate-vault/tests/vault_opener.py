"""Stores that are opened at the real server, and what is there for them to find."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bao_server import Bao
from llmgate_vault.config import VaultConfig
from llmgate_vault.store import Vault

from llmgate.spec import Secret, SecretCaching, SecretNotFoundError, SecretRef, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.wire.transport import AiohttpTransport


class Opener:
    """Opens stores that reach the server, and closes them."""

    def __init__(self, bao: Bao, directory: Path) -> None:
        self.bao = bao
        self.directory = directory
        self.clock = FakeClock()
        self.transport = AiohttpTransport()
        self.secrets: dict[str, str] = {}
        self.stores: list[Vault] = []
        self.asked: list[str] = []
        send = self.transport.send

        async def watched(request: Any) -> Any:
            self.asked.append(f"{request.method} {request.url.partition('/v1/')[2]}")
            return await send(request)

        self.transport.send = watched  # type: ignore[method-assign]

    async def __call__(self, **config: Any) -> Vault:
        async def fetch_secret(ref: SecretRef) -> Secret:
            if str(ref) not in self.secrets:
                raise SecretNotFoundError(f"{ref} is not set")
            return Secret(self.secrets[str(ref)], ref=ref)

        no_state: Any = None
        context = StageContext("secrets.vault", self.clock, self.transport, fetch_secret, no_state, {}, self.directory)
        store = Vault(
            VaultConfig(**{"address": self.bao.address, "timeout": 20, "cache": SecretCaching(timeout=40), **config})
        )
        await store.open(context)
        self.stores.append(store)
        return store


@pytest.fixture
async def opened(bao: Bao, tmp_path: Path) -> AsyncIterator[Opener]:
    opener = Opener(bao, tmp_path)
    yield opener
    for store in opener.stores:
        await store.aclose()
    await opener.transport.aclose()


@pytest.fixture
def kv(bao: Bao) -> str:
    """A mount with a secret at ``openai``."""
    mount: str = bao.mount("kv", version="2")
    bao.call("POST", f"{mount}/data/openai", {"data": {"api_key": "sk-canary", "org": "o-1"}})
    return mount


def ref(path: str) -> SecretRef:
    return SecretRef("vault", path)
