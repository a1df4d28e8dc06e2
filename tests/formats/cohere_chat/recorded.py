"""Events in the shape in which the vendor documents them (docs.cohere.com, "Streaming" v2)."""

from __future__ import annotations

import json
from typing import Any


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


def part(kind: str, message: dict[str, Any] | None = None, index: int | None = None, **more: Any) -> bytes:
    place = {} if index is None else {"index": index}
    return event(kind, **place, **({} if message is None else {"delta": {"message": message}}), **more)


def start(response_id: str = "29f14a5a") -> bytes:
    said = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    return part("message-start", said, id=response_id)


def content(index: int, kind: str, *pieces: str) -> bytes:
    begun = part("content-start", {"content": {"type": kind, kind: ""}}, index)
    deltas = [part("content-delta", {"content": {kind: piece}}, index) for piece in pieces]
    return b"".join([begun, *deltas, part("content-end", index=index)])


def plan(*pieces: str) -> bytes:
    return b"".join(part("tool-plan-delta", {"tool_plan": piece}) for piece in pieces)


def call(index: int, call_id: str, name: str, *pieces: str) -> bytes:
    begun = {"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    deltas = [part("tool-call-delta", {"tool_calls": {"function": {"arguments": piece}}}, index) for piece in pieces]
    return b"".join(
        [part("tool-call-start", {"tool_calls": begun}, index), *deltas, part("tool-call-end", index=index)]
    )


USAGE = {
    "billed_units": {"input_tokens": 20.0, "output_tokens": 33},
    "tokens": {"input_tokens": 231, "output_tokens": 41.0},
}


def end(reason: str = "COMPLETE", **more: Any) -> bytes:
    return event("message-end", delta={"finish_reason": reason, "usage": USAGE, **more})


CITED = part(
    "citation-start",
    {"citations": {"start": 0, "end": 5, "text": "Hello", "sources": [{"type": "document", "id": "d"}]}},
    0,
) + part("citation-end", index=0)
ANSWER = (
    start()
    + content(0, "thinking", "Hm", "m \u2028 é")
    + content(1, "text", "Hel", "lo wörld 👩‍👩‍👧", ' "message-end" {"error":1}')
    + CITED
    + plan("I will ", "look.")
    + call(0, "weather_x1", "weather", "", '{"city": "', 'Zü"}')
    + call(1, "now_x2", "now")
    + event("future-event", more=[1])
)
