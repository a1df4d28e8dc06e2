"""Streams in the shape in which the vendor sends them."""

from __future__ import annotations

import json
from typing import Any


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


def start(**usage: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    counts = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1, **usage}
    return event("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": counts})


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    pieces = [event("content_block_start", index=index, content_block=content)]
    pieces += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    return b"".join([*pieces, event("content_block_stop", index=index)])


def text(index: int, *pieces: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, *[{"type": "text_delta", "text": piece} for piece in pieces])


def thought(index: int, *pieces: str, signature: str = "c2ln+/==") -> bytes:
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    signed = {"type": "signature_delta", "signature": signature}
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas, signed)


def call(index: int, call_id: str, name: str, *pieces: str) -> bytes:
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block(index, {"type": "tool_use", "id": call_id, "name": name, "input": {}}, *deltas)


def end(reason: str = "end_turn", **usage: Any) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return event("message_delta", delta=delta, usage={"output_tokens": 20, **usage})


PING = event("ping")
STOP = event("message_stop")
ANSWER = (
    start()
    + PING
    + thought(0, "Hm", "m \u2028 é")
    + text(1, "Hel", "lo wörld 👩‍👩‍👧 \u2028\u2029", ' "error" \\ \r\n {"type":"error"}')
    + call(2, "toolu_1", "now")
    + event("future_event", more=[1])
    + call(3, "toolu_2", "weather", "", '{"city": "', 'Zü"}')
    + block(
        4, {"type": "server_tool_use", "id": "srv", "name": "s", "input": {}}, {"type": "future_delta", "text": "x"}
    )
    + end("tool_use")
)
