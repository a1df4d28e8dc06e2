"""Lines in the shape in which the server sends them (docs/api.md of ollama/ollama)."""

from __future__ import annotations

import json
from typing import Any

TIME = "2026-11-20T10:00:00.123456789Z"
SECONDS = 1795168800


def line(message: dict[str, Any] | None = None, *, done: bool = False, **more: Any) -> bytes:
    said = {"role": "assistant", "content": "", **(message or {})}
    value = {"model": "llama3.2", "created_at": TIME, "message": said, "done": done, **more}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def text(*pieces: str) -> bytes:
    return b"".join(line({"content": piece}) for piece in pieces)


def call(name: str, arguments: dict[str, Any], index: int = 0, **more: Any) -> dict[str, Any]:
    return {**more, "function": {"index": index, "name": name, "arguments": arguments}}


def end(reason: str = "stop", message: dict[str, Any] | None = None, **more: Any) -> bytes:
    counts = {"total_duration": 9, "load_duration": 1, "prompt_eval_count": 26, "eval_count": 7, "eval_duration": 5}
    return line(message, done=True, done_reason=reason, **{**counts, **more})


CALLS = line({"tool_calls": [call("weather", {"city": "Zü"}, id="call_abc"), call("now", {}, 1, id="call_def")]})
ANSWER = (
    line({"thinking": "Hm"})
    + line({"thinking": "m \u2028 é"})
    + text("Hel", 'lo "done" wörld 👩‍👩‍👧', '"done":true')
    + CALLS
)
