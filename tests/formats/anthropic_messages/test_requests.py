"""Requests through bytes: what other formats ask becomes what this one says, and the other way round."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmgate.catalogue import facts_of
from llmgate.formats import get_format
from llmgate.spec import InvalidRequestError
from llmgate.testing.corpus import chat_corpus
from llmgate.testing.golden import assert_golden

MESSAGES, CHAT = get_format("anthropic-messages"), get_format("openai-chat")
GOLDEN = Path(__file__).parents[2] / "golden" / "anthropic_messages"
USER = [{"role": "user", "content": "q"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def from_chat(model: str = "claude-sonnet-4-5", **fields) -> dict:
    body = json.dumps({"model": model, "messages": USER, **fields}).encode()
    return json.loads(MESSAGES.encode_request(CHAT.decode_request(body), facts_of(model)))


def to_chat(model: str = "m", **fields) -> dict:
    body = json.dumps({"model": model, "max_tokens": 4096, "messages": USER, **fields}).encode()
    return json.loads(CHAT.encode_request(MESSAGES.decode_request(body), facts_of(model)))


@pytest.mark.parametrize("name", [name for name in chat_corpus() if name not in ("full", "media")])
def test_the_corpus_of_chat_matches_its_golden_file(name, update_golden):
    """Both ways: what chat asks, written for this format, and that written for chat again."""
    asked = CHAT.decode_request(chat_corpus()[name])
    there = MESSAGES.encode_request(asked, facts_of(asked.model))
    back = CHAT.encode_request(MESSAGES.decode_request(there), facts_of(asked.model))
    text = json.dumps({"there": json.loads(there), "back": json.loads(back)}, indent=2, ensure_ascii=False) + "\n"
    assert_golden(GOLDEN / f"{name}.json", text, update=update_golden)


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({}, {"max_tokens": 32000}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 10**6}, {"max_tokens": 64000}),
        ({"temperature": 1.5}, {"temperature": 1}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}),
        ({"top_p": 0.9, "top_k": 4}, {"top_p": 0.9, "top_k": 4}),
        ({"stop": ["a", " \n"]}, {"stop_sequences": ["a"]}),
        ({"stop": "a"}, {"stop_sequences": ["a"]}),
        ({"user": "u-1"}, {"metadata": {"user_id": "u-1"}}),
        ({"user": "ada@example.org"}, {}),
        ({"metadata": {"team": "blue"}}, {}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"service_tier": "flex"}, {}),
        ({"seed": 1, "presence_penalty": 1, "logit_bias": {"1": 2}, "store": True, "n": 1}, {}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
        ({"reasoning_effort": "high"}, {"thinking": {"type": "enabled", "budget_tokens": 4096}}),
        ({"thinking": {"type": "adaptive"}, "reasoning_effort": "low"}, {"thinking": {"type": "adaptive"}}),
        ({"context_management": {"edits": []}}, {"context_management": {"edits": []}}),
    ],
)
def test_parameters_of_chat(fields, written):
    value = from_chat(**fields)
    assert {"model": "claude-sonnet-4-5", "messages": USER, "max_tokens": 32000, **written} == value


@pytest.mark.parametrize(
    ("model", "fields", "written"),
    [
        ("claude-opus-5", {"temperature": 0.5, "top_p": 0.9, "top_k": 4}, {}),
        (
            "claude-opus-5",
            {"reasoning_effort": "xhigh"},
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "xhigh"}},
        ),
        ("claude-opus-5", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ("claude-opus-5-5", {"reasoning_effort": "none"}, {"output_config": {"effort": "low"}}),
        ("claude-sonnet-4-5", {"reasoning_effort": "high", "temperature": 0.3}, "thinking"),
    ],
)
def test_parameters_by_model(model, fields, written):
    value = from_chat(model, **fields)
    more = {name: one for name, one in value.items() if name not in ("model", "messages", "max_tokens")}
    assert (list(more) == ["thinking"]) if written == "thinking" else (more == written)


@pytest.mark.parametrize(
    ("choice", "model", "written", "names"),
    [
        ("auto", "claude-opus-5", {"type": "auto"}, ["f", "g"]),
        ("required", "claude-opus-5", {"type": "any"}, ["f", "g"]),
        ("none", "claude-opus-5", {"type": "none"}, ["f", "g"]),
        ({"type": "function", "function": {"name": "g"}}, "claude-opus-5", {"type": "tool", "name": "g"}, ["f", "g"]),
        ({"type": "function", "function": {"name": "g"}}, "claude-opus-5-5", {"type": "auto"}, ["g"]),
        ("required", "claude-opus-5-5", {"type": "auto"}, ["f", "g"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            "claude-opus-5",
            {"type": "any"},
            ["f"],
        ),
    ],
)
def test_tool_choices_of_chat(choice, model, written, names):
    tools = [TOOL, {"type": "function", "function": {"name": "g"}}]
    value = from_chat(model, tools=tools, tool_choice=choice)
    assert value["tool_choice"] == written
    assert [tool["name"] for tool in value["tools"]] == names


def test_a_choice_without_tools_is_left_out_and_one_call_at_a_time_is_said():
    assert "tool_choice" not in from_chat(tool_choice="none", parallel_tool_calls=False)
    single = {"type": "auto", "disable_parallel_tool_use": True}
    assert from_chat(tools=[TOOL], parallel_tool_calls=False)["tool_choice"] == single


def test_tools_that_only_the_history_knows_are_declared():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [*USER, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a", "content": "r"}]
    value = from_chat(messages=turns)
    assert value["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert value["tool_choice"] == {"type": "none"}


def test_a_forced_call_or_an_unsigned_one_goes_without_thought():
    assert "thinking" not in from_chat(tools=[TOOL], tool_choice="required", reasoning_effort="high")
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [*USER, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a", "content": "r"}]
    assert "thinking" not in from_chat(tools=[TOOL], messages=turns, reasoning_effort="high")
    signed = {"type": "thinking", "thinking": "hm", "signature": "s"}
    turns[1]["thinking_blocks"] = [signed]
    value = from_chat(tools=[TOOL], messages=turns, reasoning_effort="high")
    assert value["thinking"]["type"] == "enabled"
    assert value["messages"][1]["content"][0] == signed


def test_json_without_a_schema_is_asked_for_in_words():
    value = from_chat(response_format={"type": "json_object"}, messages=[{"role": "system", "content": "s"}, *USER])
    assert [block["text"] for block in value["system"]] == ["s", "Answer with one JSON object and nothing else."]
    assert "output_config" not in value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "choice_count"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {"x": 1}}, "web_search_options"),
        ({"tools": [{"type": "unheard-of", "name": "g"}]}, "tools"),
        ({"tool_choice": {"type": "unheard-of", "name": "g"}, "tools": [TOOL]}, "tool_choice"),
        ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}}, "output_format"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}
                ]
            },
            "messages[0]",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}
                ]
            },
            "messages[0]",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/bmp;base64,aGk="}}],
                    }
                ]
            },
            "messages[0]",
        ),
    ],
)
def test_what_cannot_be_left_out_is_refused(fields, param):
    with pytest.raises(InvalidRequestError) as failure:
        from_chat(**fields)
    assert (failure.value.param, failure.value.code) == (param, "unsupported_parameter")


def test_media_of_chat():
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,aGk=", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
        {"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}},
    ]
    assert from_chat(messages=[{"role": "user", "content": parts}])["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
            "title": "a.pdf",
        },
        {"cache_control": {"type": "ephemeral"}, "type": "text", "text": "q"},
    ]


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({"stop_sequences": list("abcde")}, {"stop": list("abcd")}),
        ({"top_k": 5, "temperature": 0.5}, {"temperature": 0.5}),
        ({"metadata": {"user_id": "u"}}, {"user": "u"}),
        ({"service_tier": "standard_only"}, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 3000}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "disabled"}}, {}),
        ({"container": "c", "context_management": {}, "betas": ["x"], "mcp_servers": [{}], "speed": "fast"}, {}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
    ],
)
def test_parameters_for_chat(fields, written):
    assert to_chat(**fields) == {"model": "m", "messages": USER, "max_completion_tokens": 4096, **written}


@pytest.mark.parametrize(
    ("model", "fields", "written"),
    [
        ("gpt-4o", {"thinking": {"type": "adaptive"}}, {}),
        ("gpt-4o", {"temperature": 0.5}, {"temperature": 0.5}),
        ("gpt-5", {"thinking": {"type": "disabled"}}, {"reasoning_effort": "minimal"}),
        ("gpt-5", {"temperature": 1, "stop_sequences": ["x"]}, {}),
        (
            "gpt-5.1",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            {"reasoning_effort": "high"},
        ),
        ("gpt-5.1", {"temperature": 0.5}, {"temperature": 0.5}),
        ("gpt-5.6", {"thinking": {"type": "adaptive"}, "tools": [{"name": "f", "input_schema": {}}]}, "none"),
    ],
)
def test_parameters_by_model_of_openais(model, fields, written):
    value = to_chat(model, **fields)
    if written == "none":
        assert value["reasoning_effort"] == "none"
    else:
        assert value == {"model": model, "messages": USER, "max_completion_tokens": 4096, **written}


def test_a_conversation_for_chat():
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "secret of claude", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "opaque"},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "text", "text": "t"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"b": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "then"},
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "broke"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                    ],
                },
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "doc"}},
                {
                    "type": "document",
                    "title": "t.pdf",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
                },
            ],
        },
        {"role": "system", "content": "note"},
    ]
    tool = {
        "name": "f",
        "input_schema": {"type": "object"},
        "cache_control": {"type": "ephemeral"},
        "defer_loading": True,
    }
    value = to_chat(system=[{"type": "text", "text": "s"}, {"type": "text", "text": "t"}], messages=turns, tools=[tool])
    system, first, second, third, picture, rest, note = value["messages"]
    assert system == {"role": "system", "content": [{"type": "text", "text": "s"}, {"type": "text", "text": "t"}]}
    assert first == {"role": "user", "content": [{"type": "text", "text": "q"}]} or first["content"] == "q"
    assert (second["content"], second["tool_calls"][0]["function"]) == ("t", {"name": "f", "arguments": '{"b":1}'})
    assert third == {"role": "tool", "tool_call_id": "a", "content": "Error: broke"}
    assert picture["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    assert rest["content"][1] == {"type": "text", "text": "doc"}
    assert rest["content"][2]["file"]["filename"] == "t.pdf"
    assert note == {"role": "system", "content": "note"}
    assert value["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert "secret of claude" not in json.dumps(value)
    assert "opaque" not in json.dumps(value)
    assert "cache_control" not in json.dumps(value)


def test_thoughts_of_servers_that_sign_nothing_go_back_to_them():
    turns = [*USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}]}]
    assert to_chat(messages=turns)["messages"][1]["reasoning_content"] == "hm"


@pytest.mark.parametrize(
    ("choice", "written", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}, None),
        ({"type": "none"}, "none", None),
    ],
)
def test_tool_choices_for_chat(choice, written, parallel):
    value = to_chat(tools=[{"name": "f", "input_schema": {}}], tool_choice=choice)
    assert (value["tool_choice"], value.get("parallel_tool_calls")) == (written, parallel)
    assert "tool_choice" not in to_chat(tool_choice=choice)


def test_structured_output_for_chat():
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    for fields in (
        {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        {"output_format": {"type": "json_schema", "schema": schema}},
    ):
        assert to_chat(**fields)["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"[]", None),
        (b"{", None),
        (b'{"messages":[]}', "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":[],"stream":1}', "stream"),
        (b'{"model":"m","messages":[],"model":"n"}', None),
    ],
)
def test_peek_refuses_what_is_no_request(body, param):
    with pytest.raises(InvalidRequestError) as failure:
        MESSAGES.peek(body)
    assert failure.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"system": 3}, "system"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"metadata": {"user_id": 3}}, "metadata.user_id"),
        ({"stop_sequences": [1]}, "stop_sequences[0]"),
    ],
)
def test_the_field_that_is_wrong_is_named(fields, param):
    with pytest.raises(InvalidRequestError) as failure:
        to_chat(**fields)
    assert failure.value.param == param


def test_what_thinking_says_beyond_an_effort_is_kept():
    body = {
        "model": "claude-opus-5",
        "max_tokens": 9,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "low", "x_more": 1},
        "messages": USER,
    }
    raw = json.dumps(body).encode()
    assert json.loads(MESSAGES.encode_request(MESSAGES.decode_request(raw))) == body
    changed = json.loads(MESSAGES.patch_request(raw, {"reasoning_effort": "high"}, facts_of("claude-opus-5")))
    assert changed["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert changed["output_config"] == {"effort": "high", "x_more": 1}
    gone = json.loads(MESSAGES.patch_request(raw, {"reasoning_effort": None}, facts_of("claude-opus-5")))
    assert "thinking" not in gone
    assert gone["output_config"] == {"x_more": 1}
