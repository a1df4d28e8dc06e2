"""What the fake upstream says when it is asked as Gemini: contents echoed, whole or streamed, counts and vectors."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .upstream_chat import answer_json, event_bytes
from .upstream_connection import ReceivedRequest, UpstreamConnection

__all__ = ["answer_gemini", "gemini_answer", "gemini_error", "gemini_events", "is_gemini"]

_METHOD: Final = re.compile(r"/models/(?P<model>[^/?]+):(?P<method>\w+)(?:\?(?P<query>.*))?$")


def gemini_answer(
    *parts: Mapping[str, Any],
    model: str = "gemini-3-flash-preview",
    identifier: str = "resp-fake",
    finish: str | None = "STOP",
    usage: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """A whole answer, or one event of a stream.

    Args:
        parts: What the model says.
        model: The model that says it.
        identifier: The id of the answer.
        finish: Why it ended; None where it goes on.
        usage: Token counts; None for none.
    """
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    value: dict[str, Any] = {"candidates": [candidate], "modelVersion": model, "responseId": identifier}
    return value if usage is None else {**value, "usageMetadata": dict(usage)}


def gemini_events(
    *parts: Mapping[str, Any],
    model: str = "gemini-3-flash-preview",
    identifier: str = "resp-fake",
    usage: Mapping[str, int] | None = None,
) -> list[dict[str, Any]]:
    """The events of a stream: one for each part, and one for the end; the arguments are those of ``gemini_answer``."""
    events = [gemini_answer(part, model=model, identifier=identifier, finish=None) for part in parts]
    return [*events, gemini_answer({"text": ""}, model=model, identifier=identifier, usage=usage)]


def gemini_error(code: int, message: str, status: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    """An error body of Google's shape."""
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def is_gemini(request: ReceivedRequest) -> bool:
    """Whether a request is for a method of Gemini's API."""
    return request.method == "POST" and _METHOD.search(request.path) is not None


async def answer_gemini(
    request: ReceivedRequest, connection: UpstreamConnection, identifier: str, request_id: str
) -> None:
    """Echo the last text of the user's, count tokens, or give vectors; with ``alt=sse`` as a stream."""
    found = _METHOD.search(request.path)
    assert found is not None, "only Gemini's methods come here"
    try:
        asked = request.json()
        value = _answer(found["method"], found["model"], asked, identifier)
    except (ValueError, KeyError, TypeError, IndexError):
        await answer_json(connection, 400, gemini_error(400, "the body is no request", "INVALID_ARGUMENT"), request_id)
        return
    if not isinstance(value, list):
        await answer_json(connection, 200, value, request_id)
        return
    if "alt=sse" not in (found["query"] or ""):
        await answer_json(connection, 200, value, request_id)
        return
    head = {"content-type": "text/event-stream", "transfer-encoding": "chunked", "x-request-id": request_id}
    await connection.write_head(200, head)
    for event in value:
        await connection.write_chunk(event_bytes(event))
    await connection.write(b"0\r\n\r\n")


def _answer(method: str, model: str, asked: Mapping[str, Any], identifier: str) -> Any:
    if method == "countTokens":
        return {"totalTokens": len(jsonlib.dumps(asked)) // 4}
    if method == "embedContent":
        return {"embedding": {"values": [0.25, -0.5]}}
    if method == "batchEmbedContents":
        return {"embeddings": [{"values": [0.25, float(index)]} for index, _ in enumerate(asked["requests"])]}
    text = _last_text(asked["contents"])
    words = re.findall(r"\s*\S+|\s+$", text)
    prompt = len(jsonlib.dumps(asked["contents"])) // 4
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": len(words), "totalTokenCount": prompt + len(words)}
    if method == "generateContent":
        return gemini_answer({"text": text}, model=model, identifier=identifier, usage=usage)
    return gemini_events(*({"text": word} for word in words), model=model, identifier=identifier, usage=usage)


def _last_text(contents: Sequence[Mapping[str, Any]]) -> str:
    texts = [
        part["text"] for content in contents if content["role"] == "user" for part in content["parts"] if "text" in part
    ]
    return str(texts[-1])
