"""What a translation for this format reports, adjusts and refuses."""

from __future__ import annotations

import json

import pytest

from llmgate.catalogue import facts_of
from llmgate.formats import get_format
from llmgate.spec import InvalidRequestError

MESSAGES, CHAT = get_format("anthropic-messages"), get_format("openai-chat")
FILE = {"type": "image", "source": {"type": "file", "file_id": "f"}}


def request(model: str = "m", **fields):
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "q"}], **fields}
    return MESSAGES.decode_request(json.dumps(body).encode())


def said(role: str, *blocks) -> dict:
    return {"messages": [{"role": role, "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("model", "fields", "found"),
    [
        ("m", {"temperature": 0.5, "stop_sequences": ["a"], "metadata": {"user_id": "u"}}, {}),
        ("m", {"top_k": 3}, {"top_k": "report"}),
        ("m", {"stop_sequences": list("abcde")}, {"stop_sequences": "adjust"}),
        ("m", {"service_tier": "standard_only"}, {"service_tier": "report"}),
        ("m", {"service_tier": "auto"}, {}),
        (
            "m",
            {"container": "c", "context_management": {"edits": [1]}},
            {"container": "report", "context_management": "report"},
        ),
        ("m", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, {}),
        ("m", {"output_config": {"effort": "high", "more": 1}}, {"output_config": "report"}),
        (
            "m",
            said("user", {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
            {"cache_control": "report"},
        ),
        (
            "m",
            said("assistant", {"type": "thinking", "thinking": "a", "signature": "s"}),
            {"messages.thinking": "report"},
        ),
        ("m", said("assistant", {"type": "server_tool_use", "id": "s"}), {"messages.content": "report"}),
        ("m", said("user", {"type": "container_upload", "file_id": "x"}), {"messages[0]": "refuse"}),
        ("m", said("user", FILE), {"messages[0]": "refuse"}),
        ("m", {"tools": [{"type": "bash_20250124", "name": "bash"}]}, {"tools": "refuse"}),
        ("m", {"tool_choice": {"type": "future"}}, {"tool_choice": "refuse"}),
        ("gpt-4o", {"thinking": {"type": "adaptive"}}, {"reasoning_effort": "report"}),
        ("gpt-4o", {"thinking": {"type": "disabled"}}, {}),
        ("gpt-5", {"thinking": {"type": "disabled"}}, {"reasoning_effort": "adjust"}),
        ("gpt-5", {"temperature": 0.5, "stop_sequences": ["a"]}, {"temperature": "report", "stop_sequences": "report"}),
        (
            "gpt-5.6",
            {"thinking": {"type": "adaptive"}, "tools": [{"name": "f", "input_schema": {}}]},
            {"reasoning_effort": "adjust"},
        ),
    ],
)
def test_what_is_lost(model, fields, found):
    assert {one.param: one.kind for one in CHAT.unsupported(request(model, **fields), facts_of(model))} == found
    if "refuse" in found.values():
        with pytest.raises(InvalidRequestError) as failure:
            CHAT.encode_request(request(model, **fields), facts_of(model))
        assert failure.value.param in found


def test_nothing_is_lost_of_a_request_in_this_format():
    own = CHAT.decode_request(b'{"model":"gpt-5","messages":[],"top_k":3,"temperature":0.5,"reasoning_effort":"none"}')
    assert CHAT.unsupported(own) == ()
    assert json.loads(CHAT.encode_request(own))["top_k"] == 3


def test_a_turn_of_which_nothing_remains_is_left_out():
    value = json.loads(CHAT.encode_request(request(**said("assistant", {"type": "redacted_thinking", "data": "x"}))))
    assert value["messages"] == []
