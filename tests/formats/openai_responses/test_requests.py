"""Requests: what each form of an item becomes, what other formats make of them, and edits in the bytes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from llmgate.catalogue import facts_of
from llmgate.formats import get_format
from llmgate.formats.sealing import sealed
from llmgate.spec import (
    ChatRequest,
    FileRef,
    InvalidRequestError,
    Message,
    ModelFacts,
    OutputFormat,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    ToolChoice,
    ToolDefinition,
    Unknown,
    Uri,
)
from llmgate.testing.corpus import chat_corpus
from llmgate.testing.golden import assert_golden

GOLDEN = Path(__file__).parents[2] / "golden" / "openai_responses"

FORMAT, CHAT, ANTHROPIC = (get_format(name) for name in ("openai-responses", "openai-chat", "anthropic-messages"))


def read(*items, **fields):
    return FORMAT.decode_request(json.dumps({"model": "m", "input": list(items), **fields}).encode())


def into(wire_format, request, facts=None):
    arguments = () if facts is None else (facts,)
    return json.loads(wire_format.encode_request(request, *arguments))


def lost(wire_format, request):
    return {one.param: one.kind for one in wire_format.unsupported(request)}


@pytest.mark.parametrize("name", [name for name in chat_corpus() if name not in ("full", "media")])
def test_the_corpus_of_chat_matches_its_golden_file(name, update_golden):
    """Both ways: what chat asks, written for this format, and that written for chat again."""
    asked = CHAT.decode_request(chat_corpus()[name])
    there = FORMAT.encode_request(asked, facts_of(asked.model))
    back = CHAT.encode_request(FORMAT.decode_request(there), facts_of(asked.model))
    text = json.dumps({"there": json.loads(there), "back": json.loads(back)}, indent=2, ensure_ascii=False) + "\n"
    assert_golden(GOLDEN / f"{name}.json", text, update=update_golden)


@pytest.mark.parametrize(
    ("item", "role", "text"),
    [
        ({"role": "user", "content": "a"}, Role.USER, "a"),
        ({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}, Role.USER, "a"),
        ({"type": "message", "role": "developer", "content": "a"}, Role.DEVELOPER, "a"),
        ({"role": "system", "content": "a", "id": "msg_1"}, Role.SYSTEM, "a"),
        ({"role": "assistant", "content": "a"}, Role.ASSISTANT, "a"),
        ({"role": "assistant", "content": [{"type": "output_text", "text": "a"}]}, Role.ASSISTANT, "a"),
    ],
)
def test_messages_in_all_their_forms(item, role, text):
    (message,) = read(item).messages
    assert (message.role, message.text) == (role, text)


def test_a_string_is_the_users_and_instructions_are_the_systems():
    request = FORMAT.decode_request(b'{"model":"m","instructions":"Be brief.","input":"hi"}')
    assert [(one.role, one.text) for one in request.messages] == [(Role.SYSTEM, "Be brief."), (Role.USER, "hi")]
    assert into(FORMAT, request)["instructions"] == "Be brief."


def test_the_items_of_a_turn_are_one_message():
    turn = (
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "message", "role": "assistant", "content": "I look.", "phase": "commentary"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "id": "fc_1"},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": '{"a":1}'},
    )
    results = (
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
    )
    request = read({"role": "user", "content": "go"}, *turn, *results)
    _, said, first, second = request.messages
    assert [type(part) for part in said.parts] == [Reasoning, Text, ToolCall, ToolCall]
    assert (first.parts[0].id, second.parts[0].content) == ("c1", (Text("two"),))
    assert into(FORMAT, request)["input"][1:5] == list(turn)
    chat = into(CHAT, request)["messages"]
    assert [one["role"] for one in chat] == ["user", "assistant", "tool", "tool"]
    assert chat[1]["content"] == "I look."
    assert [one["id"] for one in chat[1]["tool_calls"]] == ["c1", "c2"]
    claude = into(ANTHROPIC, request)["messages"]
    assert [one["role"] for one in claude] == ["user", "assistant", "user"]
    assert [one["type"] for one in claude[2]["content"]] == ["tool_result", "tool_result"]


def test_media_are_carried():
    request = read(
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "https://h/a.png", "detail": "high"},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
                {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"},
                {"type": "input_file", "file_url": "https://h/a.pdf"},
            ],
        }
    )
    picture, inline, file, address = request.messages[0].parts
    assert (picture.uri, inline.media_type, file.modality, address) == (
        "https://h/a.png",
        "image/png",
        "document",
        Uri("document", "https://h/a.pdf"),
    )
    shown, _, named, _ = into(CHAT, request)["messages"][0]["content"]
    assert shown["image_url"] == {"url": "https://h/a.png", "detail": "high"}
    assert named["file"]["filename"] == "a.pdf"
    blocks = into(ANTHROPIC, request)["messages"][0]["content"]
    assert [block["type"] for block in blocks] == ["image", "image", "document", "document"]
    assert blocks[2]["title"] == "a.pdf"


def test_files_that_openai_keeps_are_refused_elsewhere():
    request = read({"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]})
    assert request.messages[0].parts == (FileRef("document", "file_1"),)
    assert lost(ANTHROPIC, request) == {"messages[0]": "refuse"}


SIGNED = Reasoning("Hm \u2028", "c2ln+/==")


def test_reasoning_of_another_vendors_comes_back_to_the_letter():
    item = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "other"}]}
    redacted = Reasoning("", extra={"type": "redacted_thinking", "data": "x=="})
    request = read(
        {"role": "user", "content": "go"},
        {**item, "encrypted_content": sealed(SIGNED)},
        {**item, "encrypted_content": sealed(redacted)},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "on"},
    )
    blocks = into(ANTHROPIC, request)["messages"][1]["content"]
    assert blocks[:2] == [
        {"type": "thinking", "thinking": "Hm \u2028", "signature": "c2ln+/=="},
        {"type": "redacted_thinking", "data": "x=="},
    ]
    # and a model of this format never sees it
    assert [one["type"] for one in into(FORMAT, request)["input"]] == ["message"] * 3
    assert "messages.thinking" in lost(CHAT, request)


@pytest.mark.parametrize("damage", [lambda seal: seal[:-4], lambda seal: seal.replace("llmgate.1", "llmgate.2")])
def test_a_damaged_seal_is_sent_to_nobody(damage):
    item = {"type": "reasoning", "summary": [], "encrypted_content": damage(sealed(SIGNED))}
    request = read({"role": "user", "content": "go"}, item, {"role": "assistant", "content": "done"})
    assert b"llmgate" not in ANTHROPIC.encode_request(request)
    assert b"llmgate" not in CHAT.encode_request(request)
    assert b"llmgate" not in FORMAT.encode_request(request)


def test_reasoning_that_openai_has_encrypted_goes_back_to_openai_only():
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA=="}
    request = read({"role": "user", "content": "go"}, item, {"role": "assistant", "content": "done"})
    assert into(FORMAT, request)["input"][1] == item
    assert lost(ANTHROPIC, request)["messages.reasoning"] == "report"
    for other in (ANTHROPIC, CHAT):
        assert b"gAAA" not in other.encode_request(request)
    # by way of a client of Anthropic's format, whose place for it is the signature of a thought
    thought = {"type": "thinking", "thinking": "", "signature": "openai-responses:rs_1:gAAA=="}
    turns = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "done"}]},
    ]
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": turns}).encode()
    assert into(FORMAT, ANTHROPIC.decode_request(body))["input"][1] == item
    assert b"gAAA" not in ANTHROPIC.encode_request(ANTHROPIC.decode_request(body))


def test_tools_of_every_kind_that_the_caller_runs_are_functions_elsewhere():
    request = read(
        {"role": "user", "content": "go"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"},
        {"type": "local_shell_call", "id": "l", "call_id": "c2", "status": "completed",
         "action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"type": "function_call", "call_id": "c3", "name": "t", "namespace": "mcp__a__", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        {"type": "local_shell_call_output", "id": "c2", "output": "a.txt"},
        {"type": "function_call_output", "call_id": "c3", "output": "t"},
        tools=[
            {"type": "custom", "name": "apply_patch", "description": "Edit.",
             "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
            {"type": "local_shell"},
            {"type": "namespace", "name": "mcp__a__", "description": "A", "tools": [
                {"type": "function", "name": "t", "parameters": {"type": "object", "properties": {}}}]},
            {"type": "web_search"},
        ],
        tool_choice={"type": "custom", "name": "apply_patch"},
    )  # fmt: skip
    chat = into(CHAT, request)
    patch, shell, tool = (one["function"] for one in chat["tools"])
    assert (patch["name"], shell["name"], tool["name"]) == ("apply_patch", "local_shell", "mcp__a__t")
    assert patch["parameters"]["required"] == ["input"]
    assert patch["description"] == "Edit.\n\nThe input must match this lark grammar:\nstart: x"
    assert [one["function"]["arguments"] for one in chat["messages"][1]["tool_calls"]] == [
        '{"input":"*** Begin"}',
        '{"command":["ls"],"env":{}}',
        "{}",
    ]
    assert chat["tool_choice"] == {"type": "function", "function": {"name": "apply_patch"}}
    assert [one["tool_call_id"] for one in chat["messages"][2:]] == ["c1", "c2", "c3"]
    assert lost(CHAT, request) == {"tools.web_search": "report"}
    whole = into(FORMAT, request)
    assert [one["type"] for one in whole["tools"]] == ["custom", "local_shell", "namespace", "web_search"]
    assert whole["tool_choice"] == {"type": "custom", "name": "apply_patch"}
    assert whole["input"][3]["namespace"] == "mcp__a__"
    assert whole["input"][5] == {"type": "local_shell_call_output", "id": "c2", "output": "a.txt"}


@pytest.mark.parametrize(
    "tool", [{"type": "web_search"}, {"type": "mcp", "server_label": "a"}, {"type": "file_search"}]
)
def test_tools_that_openai_runs_are_refused_elsewhere(tool):
    for other in (CHAT, ANTHROPIC):
        with pytest.raises(InvalidRequestError, match="built into another vendor's models"):
            other.encode_request(read({"role": "user", "content": "go"}, tools=[tool]))


def test_a_choice_of_a_few_tools():
    tools = [{"type": "function", "name": name, "parameters": {}} for name in ("a", "b")]
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]}
    request = read({"role": "user", "content": "go"}, tools=tools, tool_choice=choice)
    assert into(FORMAT, request)["tool_choice"] == choice
    chat = into(CHAT, request)
    assert ([one["function"]["name"] for one in chat["tools"]], chat["tool_choice"]) == (["b"], "required")
    claude = into(ANTHROPIC, request)
    assert ([one["name"] for one in claude["tools"]], claude["tool_choice"]) == (["b"], {"type": "any"})
    nested = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "b"}}]},
    }
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "go"}],
        "tools": [{"type": "function", "function": {"name": name}} for name in ("a", "b")],
        "tool_choice": nested,
    }
    came = into(FORMAT, CHAT.decode_request(json.dumps(body).encode()))
    assert came["tool_choice"] == {**choice, "mode": "auto"}
    assert len(came["tools"]) == 2


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
    ],
)
def test_what_only_openai_can_do_is_refused_elsewhere(fields, param):
    request = read({"role": "user", "content": "go"}, **fields)
    for other in (CHAT, ANTHROPIC):
        assert lost(other, request) == {param: "refuse"}
    assert into(FORMAT, request)[param] == fields[param]


@pytest.mark.parametrize("fields", [{"top_logprobs": 3}, {"include": ["message.output_text.logprobs"]}])
def test_probabilities_are_refused_where_there_is_no_place_for_them(fields):
    request = read({"role": "user", "content": "go"}, **fields)
    assert lost(ANTHROPIC, request) == {next(iter(fields)): "refuse"}
    assert lost(CHAT, request) == {}
    assert into(CHAT, request)["logprobs"] is True


def test_what_says_nothing_is_no_loss_and_the_rest_is_named():
    quiet = {"store": False, "background": False, "truncation": "disabled", "include": ["reasoning.encrypted_content"]}
    assert lost(CHAT, read({"role": "user", "content": "go"}, **quiet, reasoning={"summary": "auto"})) == {}
    named = {"store": True, "truncation": "auto", "max_tool_calls": 3, "include": ["web_search_call.results"]}
    assert lost(CHAT, read({"role": "user", "content": "go"}, **named)) == dict.fromkeys(named, "report")


def test_history_of_openais_own_tools_is_left_out_and_references_are_refused():
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    request = read({"role": "user", "content": "go"}, search, {"role": "assistant", "content": "found"})
    assert lost(CHAT, request) == {"messages.content": "report"}
    assert into(CHAT, request)["messages"][1] == {"role": "assistant", "content": "found"}
    for item in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        refused = read({"role": "user", "content": "go"}, item)
        assert refused.messages[1].parts == (Unknown(FORMAT.name, item),)
        assert lost(ANTHROPIC, refused) == {"messages[1]": "refuse"}


def test_the_shape_of_the_answer_effort_and_what_both_formats_of_openai_have():
    request = read(
        {"role": "user", "content": "go"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
        reasoning={"effort": "low", "summary": "auto"},
        prompt_cache_key="k",
        safety_identifier="s",
        max_output_tokens=99,
    )
    assert request.output_format == OutputFormat("json_schema", {"type": "object"}, "n", strict=True)
    chat = into(CHAT, request)
    assert chat["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert (chat["reasoning_effort"], chat["prompt_cache_key"], chat["safety_identifier"]) == ("low", "k", "s")
    assert chat["max_completion_tokens"] == 99
    assert lost(CHAT, request) == {}


CONVERSATION = ChatRequest(
    "m",
    (
        Message(Role.SYSTEM, (Text("One."),)),
        Message(Role.DEVELOPER, (Text("Two."),)),
        Message(Role.USER, (Text("go"),), name="Ann"),
        Message(Role.ASSISTANT, (SIGNED, Text("I look."), ToolCall("c1", "f", ""))),
        Message(Role.USER, (Text("and?"), ToolCallResponse("c1", (Text("no"),), is_error=True))),
    ),
    tools=(ToolDefinition("f"), ToolDefinition("g", strict=True)),
    tool_choice=ToolChoice("named", "f"),
    max_output_tokens=5,
    temperature=0.5,
    stop_sequences=("END",),
    reasoning_effort="max",
    extra={"verbosity": "low", "prompt_cache_key": "k", "seed_more": 1},
    extra_format="openai-chat",
)


def test_a_request_of_another_format():
    facts = ModelFacts(efforts=("low", "high"), reasons=True, sampling=False)
    sent = into(FORMAT, CONVERSATION, facts)
    assert sent["instructions"] == "One.\n\nTwo."
    assert sent["input"] == [
        {"type": "message", "role": "user", "content": "go"},
        {"type": "message", "role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Error: no"},
        {"type": "message", "role": "user", "content": "and?"},
    ]
    assert [tool["strict"] for tool in sent["tools"]] == [False, True]
    assert sent["tools"][0]["parameters"] == {"type": "object", "properties": {}}
    assert sent["tool_choice"] == {"type": "function", "name": "f"}
    assert (sent["max_output_tokens"], sent["reasoning"], sent["text"]) == (
        16,
        {"effort": "high"},
        {"verbosity": "low"},
    )
    assert (sent["store"], sent["include"], sent["prompt_cache_key"]) == (False, ["reasoning.encrypted_content"], "k")
    assert "temperature" not in sent
    found = {one.param: one.kind for one in FORMAT.unsupported(CONVERSATION, facts)}
    assert found == {
        **dict.fromkeys(
            ["messages.name", "messages.reasoning", "stop_sequences", "temperature", "seed_more"], "report"
        ),
        **dict.fromkeys(["max_output_tokens", "reasoning_effort"], "adjust"),
    }


BODY = (
    b'{ "model" : "a", "input":"hi", "future": [1],"tools":[{"type":"function","name":"f","async":true}], '
    b'"stream":true}'
)


def test_edits_change_their_own_span_only():
    assert FORMAT.patch_request(BODY, {}) is BODY
    assert FORMAT.patch_request(BODY, {"include_usage": True, "seed": 1}) is BODY
    assert FORMAT.patch_request(BODY, {"model": "b"}) == BODY.replace(b'"a"', b'"b"')
    assert FORMAT.peek(BODY).patch({"model": "b"}, ModelFacts()) == BODY.replace(b'"a"', b'"b"')
    added = json.loads(FORMAT.patch_request(BODY, {"max_output_tokens": 5, "reasoning_effort": "low", "stream": None}))
    assert (added["max_output_tokens"], added["reasoning"], "stream" in added) == (5, {"effort": "low"}, False)
    messages = (Message(Role.USER, (Text("bye"),)),)
    changed = json.loads(FORMAT.patch_request(BODY, {"messages": messages, "tools": None, "metadata": {"a": "b"}}))
    assert changed["input"] == [{"type": "message", "role": "user", "content": "bye"}]
    assert (changed["future"], "tools" in changed, changed["metadata"]) == ([1], False, {"a": "b"})
    with pytest.raises(TypeError, match="colour"):
        FORMAT.patch_request(BODY, {"colour": 1})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"input":"hi"}', "model"),
        (b'{"model":"m","input":1}', "input"),
        (b'{"model":"m","input":"hi","stream":1}', "stream"),
        (b'{"model":"m","input":"hi","user":1}', "user"),
        (b'{"model":"m","input":[1]}', "input[0]"),
        (b'{"model":"m","input":[{}]}', "input[0].type"),
        (b'{"model":"m","input":[{"role":"king","content":"a"}]}', "input[0].role"),
        (b'{"model":"m","input":[{"type":"function_call","name":"f"}]}', "input[0].call_id"),
        (b'{"model":"m","input":"a","tools":[{"type":"function"}]}', "tools[0].name"),
        (b'{"model":"m","input":"a","text":{"format":{"type":"json_schema","name":"n"}}}', "text.format.schema"),
    ],
)
def test_what_is_wrong_is_named(body, param):
    with pytest.raises(InvalidRequestError) as refused:
        FORMAT.decode_request(body)
    assert refused.value.param == param


def test_what_binds_a_request_to_its_provider_is_seen():
    assert FORMAT.peek(b'{"model":"m","input":"a"}').bound_by is None
    assert FORMAT.peek(b'{"model":"m","input":"a","previous_response_id":null}').bound_by is None
    for name in ("previous_response_id", "conversation"):
        assert FORMAT.peek(b'{"model":"m","input":"a","%s":"x"}' % name.encode()).bound_by == name


def test_a_long_conversation_is_translated_quickly():
    turn = (
        {"role": "user", "content": "go " * 50},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed(SIGNED)},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "one " * 50},
        {"role": "assistant", "content": "done " * 20},
    )
    body = json.dumps({"model": "m", "input": list(turn) * 10}).encode()
    began = time.process_time()
    for _ in range(10):
        ANTHROPIC.encode_request(FORMAT.decode_request(body))
    assert (time.process_time() - began) / 10 < 0.1  # about 1 ms by itself


def test_ids_of_calls_that_are_too_long_are_replaced_alike():
    long = "call_" + "x" * 80
    messages = (
        Message(Role.ASSISTANT, (ToolCall(long, "f", "{}"), ToolCall("short", "f", "{}"))),
        Message(Role.TOOL, (ToolCallResponse(long, (Text("a"),)),)),
    )
    call, other, output = into(FORMAT, ChatRequest("m", messages, extra_format="openai-chat"))["input"]
    assert call["call_id"] == output["call_id"] != long
    assert (len(call["call_id"]) <= 64, other["call_id"]) == (True, "short")
