"""The bytes that every target carries: one request, its whole answer, and its stream, all built once."""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = [
    "ANSWER",
    "EVENTS",
    "FLOOD_MODEL",
    "KEY",
    "MODEL",
    "PACED_MODEL",
    "PATH",
    "STREAM",
    "USAGE_EVENT",
    "request_body",
    "request_bytes",
    "timed_event",
]

PATH: Final = "/v1/chat/completions"
MODEL: Final = "bench-model"
PACED_MODEL: Final = "bench-paced"
"""A model that sends ``max_tokens`` events, one every ``seed`` milliseconds, each telling when it was sent."""
FLOOD_MODEL: Final = "bench-flood"
"""A model that never ends and sends as fast as it is let."""
KEY: Final = "sk-llmgate-benchmark-0123456789abcdef0123456789abcdef"
"""The client's and the upstream's key; only ever sent over loopback."""

EVENTS: Final = 53
"""Events of one stream: the role, 50 pieces of text, the end, and the terminal marker."""

_QUESTION: Final = "Explain in two sentences why a benchmark should compare ratios in one run, not figures of two runs."
_TEXT: Final = " and so the answer grows by a few more words"
_USAGE: Final = {"prompt_tokens": 24, "completion_tokens": 50, "total_tokens": 74}


def request_body(*, model: str, stream: bool, **more: Any) -> bytes:
    """A chat request of about 320 bytes; ``more`` are further fields of it."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a careful assistant. Answer briefly and say what you do not know."},
            {"role": "user", "content": _QUESTION},
        ],
        "temperature": 0.2,
        "max_tokens": 256,
        **more,
    }
    if stream:
        body["stream"] = True
    return json.dumps(body).encode()


def request_bytes(*, port: int, model: str, stream: bool, **more: Any) -> bytes:
    """The whole HTTP request, as a client library would write it."""
    body = request_body(model=model, stream=stream, **more)
    head = (
        f"POST {PATH} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Accept: application/json\r\n"
        "User-Agent: llmgate-benchmark\r\n"
        "Content-Type: application/json\r\n"
        f"Authorization: Bearer {KEY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _answer() -> bytes:
    message = {"role": "assistant", "content": "Two runs see two machines." + _TEXT * 3, "refusal": None}
    answer = {
        "id": "chatcmpl-benchmark0000000000000000",
        "object": "chat.completion",
        "created": 1760000000,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _USAGE,
        "system_fingerprint": "fp_benchmark",
    }
    return json.dumps(answer).encode()


def _event(choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {
        "id": "chatcmpl-benchmark0000000000000000",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": MODEL,
        "choices": choices,
        **more,
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _delta(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    return _event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])


def timed_event(now: float) -> bytes:
    """An event that tells when it was sent: seconds of the monotonic clock, which all processes share."""
    return _delta({"content": f"{now:.6f}"})


ANSWER: Final = _answer()
STREAM: Final = (
    _delta({"role": "assistant", "content": ""}),
    *(_delta({"content": _TEXT}) for _ in range(EVENTS - 3)),
    _delta({}, "stop"),
    b"data: [DONE]\n\n",
)
USAGE_EVENT: Final = _event([], usage=_USAGE)
"""What comes before the terminal marker when the request asks for usage, as OpenAI documents ``include_usage``."""
