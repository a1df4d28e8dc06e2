"""The bytes that every target carries: one request, its whole answer, and its stream, all built once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = [
    "ANSWER",
    "ANTHROPIC_ANSWER",
    "ANTHROPIC_STREAM",
    "EVENTS",
    "FLOOD_MODEL",
    "KEY",
    "MODEL",
    "NUMBER",
    "PACED_MODEL",
    "PATH",
    "STREAM",
    "TEXT",
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

CRLF: Final = "\r\n"
NUMBER: Final = b"000000000000"
"""Where this stands in a request the load writes another number each time, so that no two requests are equal."""

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
        "user": NUMBER.decode(),
        **more,
    }
    if stream:
        body["stream"] = True
    return json.dumps(body).encode()


def request_bytes(
    *, port: int, model: str, stream: bool, path: str = PATH, headers: Mapping[str, str] | None = None, **more: Any
) -> bytes:
    """The whole HTTP request, as a client library would write it; a cache is told not to keep the answer."""
    body = request_body(model=model, stream=stream, **more)
    head = (
        f"POST {path} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Accept: application/json\r\n"
        "User-Agent: llmgate-benchmark\r\n"
        "Content-Type: application/json\r\n"
        "Helicone-Cache-Save: false\r\n"
        f"{''.join(f'{name}: {value}' + CRLF for name, value in (headers or {}).items())}"
        f"Authorization: Bearer {KEY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


TEXT: Final = "Two runs see two machines." + _TEXT * 3


def _answer() -> bytes:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
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


def _anthropic_answer() -> bytes:
    answer = {
        "id": "msg_benchmark0000000000000000",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 24, "output_tokens": 50},
    }
    return json.dumps(answer).encode()


def _anthropic_event(name: str, **fields: Any) -> bytes:
    data = json.dumps({"type": name, **fields}, separators=(",", ":"))
    return f"event: {name}\ndata: {data}\n\n".encode()


def _anthropic_stream() -> tuple[bytes, ...]:
    begun = {**json.loads(_anthropic_answer()), "content": [], "stop_reason": None}
    delta = {"type": "text_delta", "text": _TEXT}
    return (
        _anthropic_event("message_start", message=begun),
        _anthropic_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(_anthropic_event("content_block_delta", index=0, delta=delta) for _ in range(EVENTS - 3)),
        _anthropic_event("content_block_stop", index=0),
        _anthropic_event(
            "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 50}
        ),
        _anthropic_event("message_stop"),
    )


ANTHROPIC_ANSWER: Final = _anthropic_answer()
"""The same answer as Anthropic's Messages API gives it; read as OpenAI's, its stream is ``EVENTS`` events again."""
ANTHROPIC_STREAM: Final = _anthropic_stream()
