"""kmock's emulator of a cluster, whose API asks for a token as a real one does."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import kmock
import pytest

from llmgate.wire.transport import AiohttpTransport

SECRETS = kmock.resource("", "v1", "secrets")
"""The resource, as kmock names it."""


@attrs.define(eq=False)
class ClusterDouble:
    """The emulator, and the pod's service account.

    Args:
        emulator: Keeps the objects and tells of their changes.
        url: Its address.
        account: The directory of the service account.
    """

    emulator: Any
    url: str
    account: Path
    version: int = 0

    def put(self, name: str, namespace: str = "prod", **data: str | bytes) -> dict[str, Any]:
        """What the API is sent for a secret; the keys' dashes are underscores."""
        self.version += 1
        encoded = {
            key.replace("_", "-"): base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
            for key, value in data.items()
        }
        metadata = {"name": name, "namespace": namespace, "resourceVersion": str(self.version)}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}

    async def create(self, name: str, namespace: str = "prod", **data: str | bytes) -> None:
        """Create a secret as somebody else would."""
        await self._call("post", f"/api/v1/namespaces/{namespace}/secrets", self.put(name, namespace, **data))

    async def change(self, name: str, namespace: str = "prod", **data: str | bytes) -> None:
        """Change a secret."""
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        await self._call("patch", path, self.put(name, namespace, **data))

    async def delete(self, name: str, namespace: str = "prod") -> None:
        """Delete a secret."""
        await self._call("delete", f"/api/v1/namespaces/{namespace}/secrets/{name}", None)

    async def _call(self, method: str, path: str, body: Any) -> None:
        async with getattr(self.emulator, method)(path, json=body) as answer:
            assert answer.status in (200, 201), await answer.text()

    def plant(self, name: str, **data: str | bytes) -> None:
        """Put a secret in its place without telling anybody."""
        with contextlib.suppress(KeyError):
            del self.emulator.objects[SECRETS, "prod", name]
        self.emulator.objects[SECRETS, "prod", name] = self.put(name, **data)

    def uproot(self, name: str) -> None:
        """Take a secret away without telling anybody."""
        del self.emulator.objects[SECRETS, "prod", name]


class Recorded(AiohttpTransport):
    """The gateway's transport, which remembers what it was asked, and can be made to reach nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []
        self.elsewhere = False

    async def open_stream(self, request: Any) -> Any:
        self.asked.append(request)
        if self.elsewhere:
            nowhere = "http://127.0.0.1:1"
            request = attrs.evolve(request, url=f"{nowhere}/", origin=nowhere)
        return await super().open_stream(request)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ClusterDouble]:
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("token-canary-1\n")
    (account / "namespace").write_text("prod")
    async with kmock.KubernetesEmulator() as emulator, kmock.Server(emulator) as server:
        yield ClusterDouble(emulator, str(server.url).rstrip("/"), account)
