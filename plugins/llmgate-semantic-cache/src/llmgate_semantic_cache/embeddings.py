"""Embeddings, asked of a provider by the gateway's own transport; who fails is left alone for a while."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from array import array
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from llmgate.codecs import jsons
from llmgate.spec import GatewayError, ProviderRequest, StageContext, Timeouts

if TYPE_CHECKING:
    from .config import SemanticCacheConfig

__all__ = ["Embedder"]

log = logging.getLogger("llmgate.semantic_cache")

_MOST: Final = 4 * 1024 * 1024
"""Bytes of an answer."""


class Embedder:
    """Asks for embeddings.

    Args:
        config: The configuration.
        context: What the stage was opened with.
    """

    def __init__(self, config: SemanticCacheConfig, context: StageContext) -> None:
        self._config = config
        self._context = context
        self._address = config.base_url.rstrip("/") + "/embeddings"
        parts = urlsplit(config.base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._blind_until = -math.inf
        self._failed = False

    async def embed(self, text: str) -> array[float] | None:
        """The embedding of a text, its squares adding up to 1; None where nobody gives one in time."""
        clock = self._context.clock
        if clock.monotonic() < self._blind_until:
            return None
        try:
            async with asyncio.timeout(self._config.timeout):
                vector = await self._asked(text)
        except (GatewayError, TimeoutError, ValueError) as failure:
            self._blind_until = clock.monotonic() + self._config.pause
            if not self._failed:
                what = "takes too long" if isinstance(failure, TimeoutError) else str(failure)
                log.warning("%s: no embeddings: %s; nothing is found or kept meanwhile", self._context.id, what)
            self._failed = True
            return None
        if self._failed:
            self._failed = False
            log.info("%s: embeddings are made again", self._context.id)
        return vector

    async def _asked(self, text: str) -> array[float]:
        config = self._config
        headers = {"content-type": "application/json", "accept": "application/json"}
        if config.api_key is not None:
            secret = await self._context.fetch_secret(config.api_key)
            headers["authorization"] = f"Bearer {secret.reveal()}"
        body: dict[str, Any] = {"model": config.model, "input": text, "encoding_format": "float"}
        if config.dimensions:
            body["dimensions"] = config.dimensions
        answer = await self._context.transport.send(
            ProviderRequest(
                method="POST",
                url=self._address,
                headers=headers,
                body=json.dumps(body).encode(),
                provider_name=self._context.id,
                origin=self._origin,
                pool=self._context.id,
                timeouts=Timeouts(total=config.timeout),
                max_body_bytes=_MOST,
            )
        )
        if answer.status != 200:
            raise ValueError(f"{self._origin} answers {answer.status}")
        return _vector(answer.body)


def _vector(body: bytes) -> array[float]:
    """The embedding in an answer, made as long as 1.

    Raises:
        ValueError: there is none.
    """
    try:
        numbers = jsons.loads(body)["data"][0]["embedding"]
        vector = array("f", numbers)
    except (KeyError, IndexError, TypeError, OverflowError) as wrong:
        raise ValueError("the answer holds no embedding") from wrong
    length = math.sqrt(math.fsum(one * one for one in vector))
    if not (0 < length < math.inf):
        raise ValueError("the embedding has no direction")
    return array("f", (one / length for one in vector))
