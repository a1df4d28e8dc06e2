"""Streams as the service's documentation and botocore's model show them, the padding of real ones included."""

from __future__ import annotations

import json
from typing import Any

from llmgate.codecs.eventstream import encode_message

__all__ = ["ANSWER", "REASONED", "TEXT", "TOOLS", "event", "exception", "stream"]


def event(kind: str, value: dict[str, Any]) -> bytes:
    """An event with the padding ``p`` that the service adds against guesses by length."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode_message(headers, json.dumps({**value, "p": "abcdefghij"}, ensure_ascii=False).encode())


def exception(kind: str, message: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode_message(headers, json.dumps({"message": message}).encode())


def stream(*events: tuple[str, dict[str, Any]]) -> bytes:
    return b"".join(event(kind, value) for kind, value in events)


def delta(index: int, value: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "contentBlockDelta", {"delta": value, "contentBlockIndex": index}


def stop(index: int) -> tuple[str, dict[str, Any]]:
    return "contentBlockStop", {"contentBlockIndex": index}


def tool(index: int, call_id: str, name: str) -> tuple[str, dict[str, Any]]:
    return "contentBlockStart", {"start": {"toolUse": {"toolUseId": call_id, "name": name}}, "contentBlockIndex": index}


START = ("messageStart", {"role": "assistant"})
METADATA = (
    "metadata",
    {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, "metrics": {"latencyMs": 731}},
)
CACHED = (
    "metadata",
    {
        "usage": {
            "inputTokens": 10,
            "outputTokens": 5,
            "totalTokens": 1115,
            "cacheReadInputTokens": 1000,
            "cacheWriteInputTokens": 100,
        },
        "metrics": {"latencyMs": 731},
    },
)

TEXT = stream(
    START,
    delta(0, {"text": "Grüße"}),
    delta(0, {"text": " 🌍\r\n 日本"}),
    stop(0),
    ("messageStop", {"stopReason": "end_turn"}),
    METADATA,
)
TOOLS = stream(
    START,
    delta(0, {"text": "I look."}),
    stop(0),
    tool(1, "tooluse_a", "weather"),
    delta(1, {"toolUse": {"input": ""}}),
    delta(1, {"toolUse": {"input": '{"city":'}}),
    delta(1, {"toolUse": {"input": '"Paris"}'}}),
    stop(1),
    tool(2, "tooluse_b", "now"),
    stop(2),
    ("messageStop", {"stopReason": "tool_use"}),
    CACHED,
)
REASONED = stream(
    START,
    delta(0, {"reasoningContent": {"text": "Let me "}}),
    delta(0, {"reasoningContent": {"text": "see."}}),
    delta(0, {"reasoningContent": {"signature": "EqQBCg=="}}),
    stop(0),
    delta(1, {"reasoningContent": {"redactedContent": "aGVs"}}),
    delta(1, {"reasoningContent": {"redactedContent": "bG8="}}),
    stop(1),
    delta(2, {"text": "4"}),
    stop(2),
    ("messageStop", {"stopReason": "end_turn"}),
    METADATA,
)

ANSWER: dict[str, Any] = {
    "metrics": {"latencyMs": 1275},
    "output": {
        "message": {
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "EqQBCg=="}}},
                {"reasoningContent": {"redactedContent": "aGVsbG8="}},
                {"text": "Hello"},
                {"toolUse": {"toolUseId": "tooluse_a", "name": "weather", "input": {"city": "Paris"}}},
            ],
            "role": "assistant",
        }
    },
    "stopReason": "tool_use",
    "usage": {
        "inputTokens": 30,
        "outputTokens": 628,
        "totalTokens": 1758,
        "cacheReadInputTokens": 1000,
        "cacheWriteInputTokens": 100,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 60}, {"ttl": "5m", "inputTokens": 40}],
    },
    "serviceTier": {"type": "default"},
    "trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:us-east-1::foundation-model/a.b"}},
}
