"""Custom tools of chat completions: relayed, to Responses as such, and to others as functions of one text."""

from __future__ import annotations

import json
from typing import Any

import openai.types.chat
import pytest

from llmgate.formats import get_format, read_request
from llmgate.formats.custom_tools import (
    INPUT,
    custom_call,
    custom_names,
    custom_tool,
    free_text,
    grammar_text,
    shown_call,
    with_custom_results,
)
from llmgate.formats.fields import ShapeError
from llmgate.spec import (
    ChatChoice,
    ChatResponse,
    ChoiceDelta,
    FinishReason,
    GatewayChunk,
    Message,
    Role,
    Text,
    ToolCall,
    ToolCallDelta,
)

CHAT = get_format("openai-chat")
GRAMMAR = {"definition": "start: /x+/", "syntax": "lark"}
TOOL = {
    "type": "custom",
    "custom": {"name": "edit", "description": "Edit.", "format": {"type": "grammar", "grammar": GRAMMAR}},
}
FLAT = {"type": "custom", "name": "edit", "description": "Edit.", "format": {"type": "grammar", **GRAMMAR}}
CALL = {"id": "call_1", "type": "custom", "custom": {"name": "edit", "input": 'x\n"é"'}}
FUNCTION = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
BODY = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ],
    "tools": [TOOL, FUNCTION],
    "tool_choice": {"type": "custom", "custom": {"name": "edit"}},
}
REQUEST = json.dumps(BODY).encode()
OTHERS = ["anthropic-messages", "gemini-generate-content", "bedrock-converse", "cohere-chat", "ollama-chat"]


def written(provider: str, **more: Any) -> dict[str, Any]:
    request = CHAT.decode_request(json.dumps({**BODY, **more}).encode())
    return json.loads(get_format(provider).encode_request(request))


def test_a_request_of_its_own_survives():
    assert json.loads(CHAT.encode_request(CHAT.decode_request(REQUEST))) == BODY


def test_responses_have_them_too():
    body = written("openai-responses")
    assert body["tools"][0] == FLAT
    assert body["tools"][1]["type"] == "function"
    assert body["tool_choice"] == {"type": "custom", "name": "edit"}
    _, call, result = body["input"]
    assert call == {"type": "custom_tool_call", "call_id": "call_1", "name": "edit", "input": 'x\n"é"'}
    assert result == {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"}
    request = CHAT.decode_request(REQUEST)
    assert get_format("openai-responses").unsupported(request) == ()


@pytest.mark.parametrize("provider", OTHERS)
def test_for_others_they_are_functions_of_one_text(provider):
    request = CHAT.decode_request(REQUEST)
    found = {one.param: one.kind for one in get_format(provider).unsupported(request)}
    assert "refuse" not in found.values()
    text = json.dumps(written(provider))
    assert "start: /x+/" in text, "the grammar is told in words"
    assert "The whole input of the tool" in text
    assert "custom" not in text


def test_only_well_formed_ones_are_custom():
    assert custom_tool(TOOL, "t").parameters == INPUT
    assert custom_tool({"type": "custom", "custom": {"name": "a"}}, "t").description is None
    with pytest.raises(ShapeError, match=r"t\.custom\.name must be a string"):
        custom_tool({"type": "custom", "custom": {}}, "t")
    assert custom_call({"type": "custom", "id": "c", "custom": {"name": "a"}}) is None
    assert grammar_text(None, {"type": "grammar", "definition": "d", "syntax": "regex"}).startswith("The input must")
    assert grammar_text("t", {"type": "text"}) == "t"
    messages = (Message(Role.USER, (Text("x"),)),)
    assert with_custom_results(messages) is messages


@pytest.mark.parametrize(
    ("arguments", "text"),
    [('{"input":"a"}', "a"), ('"a"', "a"), ("{}", ""), ('{"x":1}', '{"x":1}'), ("not json", "not json")],
)
def test_the_input_of_a_call(arguments, text):
    assert free_text(arguments) == text
    call = {"id": "c", "type": "function", "function": {"name": "edit", "arguments": arguments}}
    assert shown_call(call, {"edit"}) == {"id": "c", "type": "custom", "custom": {"name": "edit", "input": text}}
    assert shown_call(call, {"other"}) == call


def test_names_are_those_of_custom_tools():
    assert custom_names(read_request(CHAT, REQUEST)) == {"edit"}
    assert custom_names(read_request(CHAT, b'{"model":"m","messages":[],"x":"custom"}')) == frozenset()
    assert CHAT.answering(read_request(CHAT, b'{"model":"m","messages":[]}')) is CHAT


@pytest.mark.parametrize("reason", [FinishReason.TOOL_CALLS, None])
def test_calls_come_back_as_they_were_asked_for(reason):
    answering = CHAT.answering(read_request(CHAT, REQUEST))
    calls = (ToolCall("c", "edit", '{"input":"a\\nb"}'), ToolCall("d", "now", "{}"))
    message = Message(Role.ASSISTANT, (Text("I edit."), *calls))
    response = ChatResponse(
        "i", "m", (ChatChoice(0, message, FinishReason.STOP),), created=1, extra_format="anthropic-messages"
    )
    body = answering.encode_response(response)
    said = openai.types.chat.ChatCompletion.model_validate_json(body).choices[0].message
    custom, function = said.tool_calls or ()
    assert isinstance(custom, openai.types.chat.ChatCompletionMessageCustomToolCall)
    assert (custom.id, custom.custom.name, custom.custom.input) == ("c", "edit", "a\nb")
    assert function.type == "function"

    encoder = answering.stream_encoder()
    pieces = [
        ToolCallDelta(0, "c", "edit"),
        ToolCallDelta(1, "d", "now", "{}"),
        ToolCallDelta(0, arguments='{"input":"a'),
        ToolCallDelta(0, arguments='\\nb"}'),
    ]
    chunks = [GatewayChunk((ChoiceDelta(tool_calls=(one,)),), id="i", model="m") for one in pieces]
    chunks += [GatewayChunk((ChoiceDelta(finish_reason=reason),)), GatewayChunk(final=True)]
    lines = b"".join(map(encoder.encode, chunks)).decode().split("\n\n")
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    told = [call for event in events for choice in event["choices"] for call in choice["delta"].get("tool_calls", ())]
    assert told == [
        {"index": 1, "id": "d", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        {"index": 0, "id": "c", "type": "custom", "custom": {"name": "edit", "input": "a\nb"}},
    ]
    assert lines[-2] == "data: [DONE]"
