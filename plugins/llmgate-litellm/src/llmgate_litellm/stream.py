"""A stream of litellm's as a stream of events in OpenAI's format."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.spec import GatewayError, ProviderError, ProviderTimeoutError

from .failures import error_event, raised

__all__ = ["BridgeStream", "as_json", "event_of"]

_DONE: Final = b"data: [DONE]\n\n"
_CLOSING: Final = 1.0
"""Seconds that closing a stream may take."""


def as_json(answer: Any) -> dict[str, Any]:
    """What litellm answers, as plain values; what it leaves unset is left out."""
    value: dict[str, Any] = answer.model_dump(mode="json", exclude_none=True)
    for choice in value.get("choices", ()):
        choice.setdefault("finish_reason", None)
        if isinstance(choice.get("message"), dict):
            choice["message"].setdefault("content", None)
    return value


def event_of(chunk: Any) -> bytes:
    """The event that a chunk of litellm's stands for."""
    value = as_json(chunk)
    choices = value.get("choices", ())
    if value.get("usage") and all(not one.get("delta") and one["finish_reason"] is None for one in choices):
        value["choices"] = []  # as OpenAI sends it: usage alone is no choice's
    return b"data: " + dumps(value) + b"\n\n"


class BridgeStream:
    """An answer whose body is still coming.

    The chunks are read by a task of their own, so that a read which is cancelled loses none, and at most so many ahead.

    Args:
        source: litellm's stream.
        provider: The provider, for messages.
        idle: Seconds between two chunks.
        chunks: How many are read ahead.
        secrets: What must not show.
    """

    status: int = 200
    headers: Mapping[str, str] = {"content-type": "text/event-stream"}

    def __init__(self, source: Any, provider: str, idle: float, chunks: int, secrets: Collection[str]) -> None:
        self._source = source
        self._provider = provider
        self._idle = idle
        self._secrets = secrets
        self._queue: asyncio.Queue[bytes | GatewayError | None] = asyncio.Queue(chunks)
        self._ended = False
        self._task = asyncio.create_task(self._pump(), name=f"litellm {provider}")

    def __aiter__(self) -> BridgeStream:
        """The events."""
        return self

    async def __anext__(self) -> bytes:
        """The next event."""
        if self._ended:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(self._idle):
                one = await self._queue.get()
        except TimeoutError:
            message = f"provider {self._provider} sent nothing for {self._idle:g} seconds"
            raise ProviderTimeoutError(message, provider_name=self._provider) from None
        if isinstance(one, bytes):
            return one
        self._ended = True
        if one is not None:
            raise one
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """All that is left."""
        return b"".join([event async for event in self])

    async def aclose(self) -> None:
        """Stop reading, and close the vendor's answer."""
        self._ended = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _pump(self) -> None:
        try:
            async for chunk in self._source:
                await self._queue.put(event_of(chunk))
            await self._queue.put(_DONE)
            await self._queue.put(None)
        except Exception as failure:  # noqa: BLE001 - whatever litellm raises ends the stream, and is told in it
            error = raised(failure, self._provider)
            if not isinstance(error, ProviderError):
                await self._queue.put(error_event(failure, self._secrets))
            await self._queue.put(error)
        finally:
            close = getattr(self._source, "aclose", None)
            if close is not None:
                with contextlib.suppress(Exception):  # it is given up, whatever it says to that
                    async with asyncio.timeout(_CLOSING):
                        await close()
