"""Events as Gemini sends them: from the vendor's documentation, with what its library's types name."""

from __future__ import annotations

import json
from typing import Any

HEAD = {"modelVersion": "gemini-3-flash-preview", "responseId": "r-1"}


def event(*parts: dict[str, Any], finish: str | None = None, usage: dict[str, int] | None = None, **more: Any) -> bytes:
    """One event with one candidate."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    counts = {"usageMetadata": usage or {"promptTokenCount": 9, "totalTokenCount": 9}}
    value = {"candidates": [candidate], **counts, **HEAD, **more}
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"


USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 21}
THOUGHT = event({"text": "**Weighing**", "thought": True})
HELLO = event({"text": "Hel"})
WORLD = event({"text": "lo wörld \u2028"})
CALL = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}, "id": "fc1"}, "thoughtSignature": "CisB+/4pZw=="}
SECOND = {"functionCall": {"name": "weather", "args": {"city": "Rome"}}}
TEXT = [THOUGHT, HELLO, WORLD, event({"text": "", "thoughtSignature": "c2ln"}, finish="STOP", usage=USAGE)]
CALLS = [event(CALL), event(SECOND), event({"text": ""}, finish="STOP", usage=USAGE)]
BLOCKED = (
    b'data: {"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}\n\n'
)
ERROR = b'data: {"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}\n\n'
