"""A provider of embeddings whose vectors are real: words that two texts share bring them together."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from llmgate.spec import ProviderRequest, ProviderResponse, ProviderTimeoutError

__all__ = ["SIZE", "Embeddings", "embedding"]

SIZE = 96


def embedding(text: str) -> list[float]:
    """Letters in threes, each hashed to a direction."""
    vector = [0.0] * SIZE
    plain = " ".join(re.findall(r"\w+", text.lower()))
    for start in range(max(1, len(plain) - 2)):
        digest = hashlib.sha256(plain[start : start + 3].encode()).digest()
        vector[digest[0] % SIZE] += 1 if digest[1] % 2 else -1
    return vector if any(vector) else [1.0] + [0.0] * (SIZE - 1)


class Embeddings:
    """A transport that answers for ``/embeddings`` and remembers what it was asked.

    Attributes:
        broken: What it does in place of answering: ``status``, ``junk``, ``empty``, ``late`` or nothing.
    """

    def __init__(self) -> None:
        self.requests: list[ProviderRequest] = []
        self.broken = ""

    @property
    def texts(self) -> list[str]:
        return [json.loads(one.body or b"{}")["input"] for one in self.requests]

    async def send(self, request: ProviderRequest) -> ProviderResponse:
        self.requests.append(request)
        asked: dict[str, Any] = json.loads(request.body or b"{}")
        body: Any = {"data": [{"embedding": embedding(asked["input"])}]}
        match self.broken:
            case "late":
                raise ProviderTimeoutError("embeddings do not answer")
            case "junk":
                return ProviderResponse(200, {}, b"<html>")
            case "empty":
                body = {"data": [{"embedding": [0.0, 0.0]}]}
            case "status":
                return ProviderResponse(401, {}, b"{}")
        return ProviderResponse(200, {}, json.dumps(body).encode())

    async def open_stream(self, request: ProviderRequest) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing is open."""
