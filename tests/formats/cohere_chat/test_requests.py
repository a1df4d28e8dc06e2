from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from llmgate.catalogue import facts_of
from llmgate.formats import get_format
from llmgate.formats.cohere_chat.requests import decode_request, encode_request, patch_request, peek
from llmgate.spec import InvalidRequestError
from llmgate.testing.corpus import chat_corpus
from llmgate.testing.golden import assert_golden

CHAT = get_format("openai-chat")
GOLDEN = Path(__file__).parents[2] / "golden" / "cohere_chat"
LEFT_OUT = frozenset({"full", "media"})
"""What this format refuses."""

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("name", [name for name in chat_corpus() if name not in LEFT_OUT])
def test_the_corpus_of_chat_matches_its_golden_file(name, update_golden):
    """Both ways: what chat asks, written for this format, and that written for chat again."""
    asked = CHAT.decode_request(chat_corpus()[name])
    there = encode_request(asked, facts_of(asked.model))
    back = CHAT.encode_request(decode_request(there), facts_of(asked.model))
    text = json.dumps({"there": json.loads(there), "back": json.loads(back)}, indent=2, ensure_ascii=False) + "\n"
    assert_golden(GOLDEN / f"{name}.json", text, update=update_golden)


def body(**fields) -> bytes:
    return json.dumps({"model": "command-a-03-2025", "messages": MESSAGES, **fields}).encode()


FULL = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
        {
            "role": "assistant",
            "tool_plan": "I will look.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "document", "document": {"id": "d", "data": {"a": "cat"}}}],
        },
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
    "strict_tools": True,
    "tool_choice": "REQUIRED",
    "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
    "max_tokens": 99,
    "temperature": 0.3,
    "p": 0.5,
    "k": 7,
    "seed": 3,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "stop_sequences": ["END"],
    "thinking": {"type": "enabled", "token_budget": 50},
    "citation_options": {"mode": "FAST"},
    "safety_mode": "STRICT",
    "priority": 3,
    "logprobs": True,
    "documents": ["a"],
    "stream": True,
}  # fmt: skip


def test_every_field_and_back():
    request = decode_request(body(**FULL))
    assert (request.top_p, request.top_k, request.reasoning_effort) == (0.5, 7, "minimal")
    assert request.extra.keys() == {"thinking", "citation_options", "safety_mode", "priority", "logprobs", "documents"}
    assert json.loads(encode_request(request)) == json.loads(body(**FULL))
    changed = json.loads(encode_request(attrs.evolve(request, reasoning_effort="low")))
    assert changed["thinking"] == {"type": "enabled", "token_budget": 1}


def test_what_goes_to_a_provider_of_chat():
    given = {name: one for name, one in FULL.items() if name not in ("documents", "logprobs")}
    request = decode_request(body(**given))
    chat = get_format("openai-chat")
    assert {one.param: one.kind for one in chat.unsupported(request)} == {
        "top_k": "report",
        "citation_options": "report",
        "safety_mode": "report",
        "priority": "report",
    }
    sent = json.loads(chat.encode_request(request))
    assert sent["messages"][2]["content"] == "I will look."
    assert sent["messages"][3] == {"role": "tool", "tool_call_id": "c1", "content": '{"a":"cat"}'}
    assert sent["tools"][0]["function"]["strict"] is True
    assert (sent["tool_choice"], sent["stop"], sent["top_p"]) == ("required", ["END"], 0.5)
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize("name", ["documents", "logprobs"])
def test_what_would_change_the_meaning_is_refused_elsewhere(name):
    for other in ("openai-chat", "anthropic-messages"):
        with pytest.raises(InvalidRequestError) as refused:
            get_format(other).encode_request(decode_request(body(**{name: FULL[name]})))
        assert refused.value.param == name


def test_what_comes_from_a_client_of_chat():
    given = {
        "model": "command-a-03-2025",
        "messages": [{"role": "developer", "content": "Be brief."}, *MESSAGES],
        "max_completion_tokens": 5000,
        "top_p": 0.5,
        "stop": "END",
        "reasoning_effort": "medium",
        "tools": [{"type": "function", "function": {"name": name}} for name in ("f", "g")],
        "tool_choice": {"type": "function", "function": {"name": "g"}},
        "response_format": {"type": "json_object"},
        "safety_mode": "NONE",
    }
    request = get_format("openai-chat").decode_request(json.dumps(given).encode())
    assert json.loads(encode_request(request)) == {
        "model": "command-a-03-2025",
        "messages": [{"role": "system", "content": "Be brief."}, *MESSAGES],
        "max_tokens": 5000,
        "p": 0.5,
        "tools": [{"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}],
        "tool_choice": "REQUIRED",
        "response_format": {"type": "json_object"},
        "stop_sequences": ["END"],
        "thinking": {"type": "enabled", "token_budget": 2048},
        "safety_mode": "NONE",
    }
    assert get_format("cohere-chat").unsupported(request) == ()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 3}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"strict_tools": 1}, "strict_tools"),
        ({"p": "x"}, "p"),
        ({"stop_sequences": [3]}, "stop_sequences[0]"),
        ({"response_format": {}}, "response_format.type"),
    ],
)
def test_what_is_wrong_is_named(fields, param):
    with pytest.raises(InvalidRequestError) as refused:
        decode_request(body(**fields))
    assert refused.value.param == param


def test_an_edit_replaces_its_own_member_and_no_other_byte():
    given = b'{ "model":"m", "messages":[],  "x":1.0, "p":1}'
    assert patch_request(given, {"user": "u", "include_usage": True}) is given
    assert patch_request(given, {"model": "n"}) == given.replace(b'"m"', b'"n"')
    assert patch_request(given, {"top_p": 0.5}) == given.replace(b'"p":1', b'"p":0.5')
    assert json.loads(patch_request(given, {"reasoning_effort": "none"}))["thinking"] == {"type": "disabled"}
    assert patch_request(given, {"reasoning_effort": None}) == given
    with pytest.raises(TypeError):
        patch_request(given, {"extra": {}})


def test_words_that_nobody_knows_stay():
    request = decode_request(body(tool_choice="SOME", strict_tools=True, response_format={"type": "xml"}))
    value = json.loads(encode_request(request))
    assert (value["tool_choice"], value["strict_tools"], value["response_format"]) == ("SOME", True, {"type": "xml"})
    assert peek(body()).stream is False
