"""Streams in the shape in which the vendor sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1790000000,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "model": "gpt-x",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": None,
    "future": {"kept": True},
}
USAGE = {
    "input_tokens": 15,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 7},
    "total_tokens": 35,
}
REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "m é \u2028"}],
    "encrypted_content": "gAAAA==",
}
TEXT = 'Hello wörld 👩‍👩‍👧 \u2028\u2029 "error" \\ \r\n {"type":"error"}'
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}],
    "phase": "commentary",
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Zü"}',
}
NOW = {**CALL, "id": "fc_2", "call_id": "call_2", "name": "now", "arguments": "{}"}
PATCH = {
    "id": "ctc_1",
    "type": "custom_tool_call",
    "status": "completed",
    "call_id": "call_3",
    "name": "apply_patch",
    "input": "*** Begin Patch\n",
}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}
OUTPUT = [REASONING, SEARCH, MESSAGE, CALL, NOW, PATCH]


def numbered(events: Iterable[tuple[str, dict[str, Any]]]) -> list[bytes]:
    """Events on the wire."""
    written = []
    for number, (kind, fields) in enumerate(events):
        data = json.dumps({"type": kind, "sequence_number": number, **fields}, ensure_ascii=False)
        written.append(f"event: {kind}\ndata: {data}\n\n".encode())
    return written


def start() -> list[tuple[str, dict[str, Any]]]:
    return [("response.created", {"response": RESPONSE}), ("response.in_progress", {"response": RESPONSE})]


def reasoning(index: int) -> list[tuple[str, dict[str, Any]]]:
    place = {"item_id": "rs_1", "output_index": index}
    added = {**REASONING, "summary": [], "encrypted_content": "gAAA"}
    events = [("response.output_item.added", {"output_index": index, "item": added})]
    for number, part in enumerate(REASONING["summary"]):
        here = {**place, "summary_index": number}
        events += [
            ("response.reasoning_summary_part.added", {**here, "part": {**part, "text": ""}}),
            ("response.reasoning_summary_text.delta", {**here, "delta": part["text"][:1]}),
            ("response.reasoning_summary_text.delta", {**here, "delta": part["text"][1:]}),
            ("response.reasoning_summary_text.done", {**here, "text": part["text"]}),
            ("response.reasoning_summary_part.done", {**here, "part": part}),
        ]
    return [*events, ("response.output_item.done", {"output_index": index, "item": REASONING})]


def search(index: int) -> list[tuple[str, dict[str, Any]]]:
    place = {"item_id": "ws_1", "output_index": index}
    return [
        ("response.output_item.added", {"output_index": index, "item": {**SEARCH, "status": "in_progress"}}),
        ("response.web_search_call.searching", place),
        ("response.output_item.done", {"output_index": index, "item": SEARCH}),
    ]


def text(index: int, *pieces: str) -> list[tuple[str, dict[str, Any]]]:
    whole = "".join(pieces)
    part = {"type": "output_text", "text": whole, "annotations": [], "logprobs": []}
    item = {**MESSAGE, "content": [part]}
    place = {"item_id": "msg_1", "output_index": index, "content_index": 0}
    return [
        (
            "response.output_item.added",
            {"output_index": index, "item": {**item, "content": [], "status": "in_progress"}},
        ),
        ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
        *[("response.output_text.delta", {**place, "delta": piece, "logprobs": []}) for piece in pieces],
        ("response.output_text.done", {**place, "text": whole, "logprobs": []}),
        ("response.content_part.done", {**place, "part": part}),
        ("response.output_item.done", {"output_index": index, "item": item}),
    ]


def call(index: int, item: dict[str, Any], *pieces: str) -> list[tuple[str, dict[str, Any]]]:
    place = {"item_id": item["id"], "output_index": index}
    empty = {**item, "arguments": "", "status": "in_progress"}
    return [
        ("response.output_item.added", {"output_index": index, "item": empty}),
        *[("response.function_call_arguments.delta", {**place, "delta": piece}) for piece in pieces],
        ("response.function_call_arguments.done", {**place, "arguments": item["arguments"]}),
        ("response.output_item.done", {"output_index": index, "item": item}),
    ]


def patch(index: int) -> list[tuple[str, dict[str, Any]]]:
    place = {"item_id": "ctc_1", "output_index": index}
    return [
        ("response.output_item.added", {"output_index": index, "item": {**PATCH, "input": ""}}),
        ("response.custom_tool_call_input.delta", {**place, "delta": PATCH["input"]}),
        ("response.custom_tool_call_input.done", {**place, "input": PATCH["input"]}),
        ("response.output_item.done", {"output_index": index, "item": PATCH}),
    ]


def end(status: str = "completed", **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    response = {**RESPONSE, "status": status, "usage": USAGE, "output": OUTPUT, **fields}
    return [(f"response.{status}", {"response": response})]


EVENTS = [
    *start(),
    *reasoning(0),
    *search(1),
    *text(2, "Hel", "lo wörld 👩‍👩‍👧 \u2028\u2029", ' "error" \\ \r\n {"type":"error"}'),
    *call(3, CALL, '{"city": "', 'Zü"}'),
    ("response.future_event", {"more": [1]}),
    *call(4, NOW),
    *patch(5),
    *end(),
]
FRAMES = numbered(EVENTS)
ANSWER, STOP = b"".join(FRAMES[:-1]), FRAMES[-1]
WHOLE = ANSWER + STOP
