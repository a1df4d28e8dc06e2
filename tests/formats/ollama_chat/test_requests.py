from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from llmgate.catalogue import facts_of
from llmgate.formats import get_format
from llmgate.formats.ollama_chat.requests import decode_request, encode_request, patch_request, peek
from llmgate.spec import (
    ChatRequest,
    InvalidRequestError,
    Message,
    OutputFormat,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
)
from llmgate.testing.corpus import chat_corpus
from llmgate.testing.golden import assert_golden

CHAT = get_format("openai-chat")
GOLDEN = Path(__file__).parents[2] / "golden" / "ollama_chat"
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
    return json.dumps({"model": "llama3.2", "messages": MESSAGES, **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "stream"),
    [
        ({}, True),
        ({"stream": None}, True),
        ({"stream": True}, True),
        ({"stream": False}, False),
        ({"messages": []}, False),
    ],
)
def test_a_request_is_for_a_stream_unless_it_says_otherwise(fields, stream):
    head = peek(body(**fields))
    assert (head.stream, head.include_usage) == (stream, stream)
    assert json.loads(encode_request(decode_request(body(**fields))))["stream"] is stream


def test_loading_a_model_is_answered_whole():
    assert peek(b'{"model":"m","keep_alive":"5m"}').stream is False
    assert decode_request(b'{"model":"m"}').messages == ()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"stream": 1}, "stream"),
        ({"messages": {}}, "messages"),
        ({"messages": [{"role": "king", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "images": [1]}]}, "messages[0].images[0]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        ({"options": []}, "options"),
        ({"options": {"num_predict": "9"}}, "options.num_predict"),
        ({"options": {"stop": [1]}}, "options.stop[0]"),
        ({"format": "xml"}, "format"),
        ({"tools": [{}]}, "tools[0].function"),
    ],
)
def test_what_is_wrong_is_named(fields, param):
    with pytest.raises(InvalidRequestError) as refused:
        decode_request(body(**fields))
    assert refused.value.param == param


def test_options_are_canonical_fields_or_kept_by_their_own_names():
    options = {"num_predict": 9, "num_ctx": 8192, "temperature": 0.5, "stop": "END", "mirostat": 2}
    request = decode_request(body(options=options, keep_alive="5m"))
    assert (request.max_output_tokens, request.temperature, request.stop_sequences) == (9, 0.5, ("END",))
    assert request.extra == {"keep_alive": "5m", "options.num_ctx": 8192, "options.mirostat": 2}
    assert json.loads(encode_request(request))["options"] == {**options, "stop": ["END"]}
    lost = {one.param for one in get_format("openai-chat").unsupported(request)}
    assert lost == {"keep_alive", "options.num_ctx", "options.mirostat"}


def test_a_limit_below_zero_means_none_and_stays_what_it_was():
    request = decode_request(body(options={"num_predict": -2}))
    assert request.max_output_tokens is None
    assert json.loads(encode_request(request))["options"] == {"num_predict": -2}


@pytest.mark.parametrize(("think", "effort"), [(True, "medium"), (False, "none"), ("max", "max"), ("x", None)])
def test_thinking_is_an_effort_and_written_as_it_came(think, effort):
    request = decode_request(body(think=think))
    assert request.reasoning_effort == effort
    assert json.loads(encode_request(request))["think"] == think
    changed = attrs.evolve(request, reasoning_effort="low")
    assert json.loads(encode_request(changed))["think"] == "low"


def test_an_edit_replaces_its_own_member_and_no_other_byte():
    given = b'{ "model":"m", "messages":[],  "options":{"num_ctx":1, "temperature":1}, "x":1.0}'
    assert patch_request(given, {"user": "u", "include_usage": True, "tool_choice": None}) is given
    assert patch_request(given, {"model": "n"}) == given.replace(b'"m"', b'"n"')
    assert patch_request(given, {"temperature": 0}) == given.replace(
        b'{"num_ctx":1, "temperature":1}', b'{"num_ctx":1,"temperature":0}'
    )
    assert patch_request(given, {"temperature": None}) == given.replace(
        b'{"num_ctx":1, "temperature":1}', b'{"num_ctx":1}'
    )
    assert json.loads(patch_request(given, {"stop_sequences": ("a",)}))["options"]["stop"] == ["a"]
    assert json.loads(patch_request(given, {"reasoning_effort": "none"}))["think"] is False
    assert "tools" not in json.loads(patch_request(given, {"tools": ()}))
    assert json.loads(patch_request(given, {"messages": None}))["messages"] == []
    assert json.loads(patch_request(given, {"output_format": OutputFormat("json")}))["format"] == "json"
    with pytest.raises(TypeError):
        patch_request(given, {"extra": {}})


def test_a_conversation_with_tools_of_an_older_client():
    """Calls without ids, results that name their tool only."""
    calls = [{"function": {"name": name, "arguments": {"n": 1}}} for name in ("a", "b", "a")]
    turns = [
        *MESSAGES,
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "B", "tool_name": "b"},
        {"role": "tool", "content": "A1", "tool_name": "a"},
        {"role": "tool", "content": "A2"},
        {"role": "assistant", "content": "", "tool_calls": calls[:1]},
        {"role": "tool", "content": "A3", "tool_name": "a"},
    ]
    request = decode_request(body(messages=turns))
    called = [part.id for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    answered = [part.id for message in request.messages for part in message.parts if isinstance(part, ToolCallResponse)]
    assert len(set(called)) == 4
    assert answered == [called[1], called[0], called[2], called[3]]
    sent = json.loads(get_format("openai-chat").encode_request(request))["messages"]
    assert [turn.get("tool_call_id") for turn in sent if turn["role"] == "tool"] == answered
    assert json.loads(get_format("anthropic-messages").encode_request(request))["messages"]


def test_what_comes_from_a_client_of_chat():
    """Everything with a counterpart arrives at it."""
    given = {
        "model": "llama3.2",
        "stream": False,
        "max_completion_tokens": 99,
        "temperature": 0.1,
        "top_p": 0.2,
        "seed": 3,
        "stop": "END",
        "frequency_penalty": 0.3,
        "presence_penalty": 0.4,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": {"name": "f", "description": "d"}}],
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What"},
                    {"type": "text", "text": "is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ],
    }  # fmt: skip
    request = get_format("openai-chat").decode_request(json.dumps(given).encode())
    assert json.loads(encode_request(request)) == {
        "model": "llama3.2",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What\nis this?", "images": ["iVBORw0KGgo="]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c1", "function": {"index": 0, "name": "f", "arguments": {}}}],
            },
            {"role": "tool", "content": "a cat", "tool_name": "f", "tool_call_id": "c1"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}},
            }
        ],
        "format": {"type": "object"},
        "options": {
            "num_predict": 99,
            "temperature": 0.1,
            "top_p": 0.2,
            "seed": 3,
            "frequency_penalty": 0.3,
            "presence_penalty": 0.4,
            "stop": ["END"],
        },
        "think": "low",
        "stream": False,
    }


def test_thoughts_travel_over_turns():
    messages = (Message(Role.USER, (Text("a"),)), Message(Role.ASSISTANT, (Reasoning("hm"), Text("b"))))
    for name in ("", "openai-chat"):
        sent = json.loads(encode_request(ChatRequest("m", messages, extra_format=name)))["messages"]
        assert sent[1] == {"role": "assistant", "content": "b", "thinking": "hm"}


def test_own_fields_of_other_clients_are_carried():
    given = {
        "model": "m",
        "messages": MESSAGES,
        "temperature": 1,
        "options": {"num_ctx": 9},
        "keep_alive": "1m",
        "think": True,
    }
    request = get_format("openai-chat").decode_request(json.dumps(given).encode())
    value = json.loads(encode_request(request))
    assert value["options"] == {"temperature": 1, "num_ctx": 9}
    assert (value["keep_alive"], value["think"]) == ("1m", True)
    assert get_format("ollama-chat").unsupported(request) == ()


def test_an_edit_may_be_a_schema_that_demands_nothing_or_no_thought():
    body = b'{"model":"m","messages":[]}'
    edits = {"output_format": OutputFormat("json_schema", schema={}), "reasoning_effort": "none", "tools": ()}
    assert json.loads(patch_request(body, edits)) == {"model": "m", "messages": [], "format": {}, "think": False}
