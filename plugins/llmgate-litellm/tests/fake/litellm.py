"""A litellm of the same signature: it notes how it was imported and called, and answers as it is told by the model."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from typing import Any

IMPORTED_WITH = dict(os.environ)
CALLS: list[dict[str, Any]] = []
CLOSED: list[str] = []
HANGING = threading.Event()

callbacks: list[Any] = ["a default of the library's"]
success_callback: list[Any] = ["langfuse"]
failure_callback: list[Any] = []
num_retries: int | None = 3
fallbacks: list[Any] | None = ["gpt-4o"]
drop_params = True


class _Failure(Exception):  # noqa: N818 - not a name of the library's
    status_code = 500

    def __init__(self, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.litellm_response_headers = headers


class RateLimitError(_Failure):
    status_code = 429


class AuthenticationError(_Failure):
    status_code = 401


class UnsupportedParamsError(_Failure):
    status_code = 400


class Timeout(_Failure):
    status_code = 408


class APIConnectionError(_Failure):
    pass


class MidStreamFallbackError(_Failure):
    status_code = 503
    original_exception: Exception | None = None


class _Model:
    """What pydantic's models do that matters here."""

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value

    def model_dump(self, *, mode: str, exclude_none: bool) -> dict[str, Any]:
        assert mode == "json"
        assert exclude_none
        return self._value


class CustomStreamWrapper:
    """A stream: words of an answer, then usage; ``cut`` in the model's name breaks it, ``hang`` stops it."""

    def __init__(self, model: str) -> None:
        self._chunks = self._make(model)

    def __aiter__(self) -> AsyncIterator[_Model]:
        return self._chunks

    async def aclose(self) -> None:
        CLOSED.append("stream")

    async def _make(self, model: str) -> AsyncIterator[_Model]:
        head = {"id": "chatcmpl-1", "created": 1, "model": model, "object": "chat.completion.chunk"}
        for delta in ({"role": "assistant", "content": ""}, {"content": "Häl"}):
            yield _Model({**head, "choices": [{"index": 0, "delta": delta}]})
        if "hang" in model:
            await asyncio.Event().wait()
        if "cut" in model:
            failure = MidStreamFallbackError("wrapped")
            failure.original_exception = RateLimitError("the vendor of sk-secret is busy")
            raise failure
        if "gone" in model:
            raise APIConnectionError("gone")
        yield _Model({**head, "choices": [{"index": 0, "delta": {"content": "lo"}}]})
        yield _Model({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        yield _Model({**head, "choices": [{"index": 0, "delta": {}}], "usage": usage})


async def acompletion(model: str, messages: list[Any], **kwargs: Any) -> Any:
    CALLS.append({"model": model, "messages": messages, **kwargs})
    headers = {"retry-after": "7", "set-cookie": "no"}
    match model.rpartition("/")[2]:
        case "limited":
            raise RateLimitError("slow down, sk-secret and aws-secret", headers)
        case "refused":
            raise AuthenticationError("invalid api key sk-secret")
        case "unsupported":
            raise UnsupportedParamsError("top_k is not supported")
        case "late":
            raise Timeout("late")
        case "hang":
            if not kwargs.get("stream"):
                await _hang()
        case "away":
            raise APIConnectionError("away")
        case "bug":
            raise AttributeError("a bug of the library's with sk-secret")
    if kwargs.get("stream"):
        return CustomStreamWrapper(model)
    message = {"role": "assistant", "content": "Hällo"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}
    return _Model({**head, "choices": choices, "usage": usage})


async def _hang() -> None:
    HANGING.set()
    try:
        await asyncio.Event().wait()
    finally:
        CLOSED.append("call")


async def aembedding(*args: Any, **kwargs: Any) -> Any:
    assert not args
    CALLS.append(kwargs)
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    return _Model({"object": "list", "model": kwargs["model"], "data": data, "usage": usage})


async def close_litellm_async_clients() -> None:
    CLOSED.append("clients")
