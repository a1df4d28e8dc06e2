"""What the fake upstream says when it behaves: OpenAI chat completions, whole and as a stream of events."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .upstream_connection import ReceivedRequest, UpstreamConnection

__all__ = [
    "CREATED",
    "StreamEvent",
    "answer_chat",
    "answer_json",
    "chat_answer",
    "chat_events",
    "error_value",
    "event_bytes",
]

StreamEvent = Mapping[str, Any] | str | bytes
"""An event to stream: a mapping is sent as JSON ``data``, a string as ``data``, bytes as they are."""

CREATED: Final = 1_700_000_000


def chat_events(
    text: str, *, model: str = "gpt-4o-mini", identifier: str = "chatcmpl-fake", usage: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """The events of an OpenAI chat completion stream: the role, the text word by word, the finish reason.

    Args:
        text: What the model says.
        model: The model that says it.
        identifier: The id of the answer.
        usage: Token counts for a last event without choices; None for no such event.
    """
    base = {"id": identifier, "object": "chat.completion.chunk", "created": CREATED, "model": model}

    def event(delta: Mapping[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    events = [event({"role": "assistant", "content": ""})]
    events += [event({"content": word}) for word in _words(text)]
    events.append(event({}, "stop"))
    if usage is not None:
        events.append({**base, "choices": [], "usage": dict(usage)})
    return events


def chat_answer(
    text: str, *, model: str = "gpt-4o-mini", identifier: str = "chatcmpl-fake", usage: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """A whole OpenAI chat completion; the arguments are those of ``chat_events``."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    answer = {"id": identifier, "object": "chat.completion", "created": CREATED, "model": model, "choices": [choice]}
    return answer if usage is None else {**answer, "usage": dict(usage)}


def event_bytes(event: StreamEvent) -> bytes:
    """An event as it goes over the wire."""
    if isinstance(event, bytes):
        return event
    data = event if isinstance(event, str) else jsonlib.dumps(event, ensure_ascii=False)
    return b"data: " + data.encode() + b"\n\n"


def error_value(message: str, *, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """An error body of OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def answer_json(connection: UpstreamConnection, status: int, value: Any, request_id: str) -> None:
    """Send a whole JSON answer."""
    data = jsonlib.dumps(value).encode()
    head = {"content-type": "application/json", "content-length": str(len(data)), "x-request-id": request_id}
    await connection.write_head(status, head)
    await connection.write(data)


async def answer_chat(
    request: ReceivedRequest, connection: UpstreamConnection, identifier: str, request_id: str
) -> None:
    """Echo the last user message, as a stream when asked and with usage when asked."""
    try:
        asked = request.json()
        model, text, prompt = asked["model"], _last_user_text(asked["messages"]), jsonlib.dumps(asked["messages"])
    except (ValueError, KeyError, TypeError, IndexError):
        await answer_json(connection, 400, error_value("the body is not a chat completion request"), request_id)
        return
    counts = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(_words(text))}
    usage = {**counts, "total_tokens": sum(counts.values())}
    if not asked.get("stream"):
        answer = chat_answer(text, model=model, identifier=identifier, usage=usage)
        await answer_json(connection, 200, answer, request_id)
        return
    wanted = (asked.get("stream_options") or {}).get("include_usage")
    head = {"content-type": "text/event-stream", "transfer-encoding": "chunked", "x-request-id": request_id}
    await connection.write_head(200, head)
    for event in chat_events(text, model=model, identifier=identifier, usage=usage if wanted else None):
        await connection.write_chunk(event_bytes(event))
    await connection.write_chunk(b"data: [DONE]\n\n")
    await connection.write(b"0\r\n\r\n")


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def _last_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    content = [message["content"] for message in messages if message["role"] == "user"][-1]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
