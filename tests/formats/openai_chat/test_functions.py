from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format, read_request
from llmgate.formats.openai_chat.functions import asks_with_functions, with_tools
from llmgate.spec import (
    Message,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    ToolChoice,
    ToolDefinition,
)

FORMAT = get_format("openai-chat")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
CALL = {"name": "weather", "arguments": '{"city":"Oslo"}'}
BODY = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": None, "function_call": CALL},
        {"role": "function", "name": "weather", "content": "rain"},
        {"role": "assistant", "content": "and", "function_call": {**CALL, "x": 1}},
        {"role": "function", "name": "weather", "content": "sun", "y": 2},
        {"role": "function", "name": "unasked", "content": ""},
    ],
    "functions": [{"name": "weather", "description": "d", "parameters": CITY, "z": 3}, {"name": "now"}],
    "function_call": {"name": "weather"},
    "temperature": 1,
}


def dumped(value):
    return json.dumps(value).encode()


def test_a_request_is_read_as_one_with_tools():
    request = FORMAT.decode_request(dumped(BODY))
    assert [(tool.name, tool.description, tool.parameters) for tool in request.tools] == [
        ("weather", "d", CITY),
        ("now", None, None),
    ]
    assert request.tool_choice == ToolChoice("named", "weather")
    assert request.extra == {}
    calls = [part for one in request.messages for part in one.parts if isinstance(part, ToolCall)]
    results = [part for one in request.messages for part in one.parts if isinstance(part, ToolCallResponse)]
    assert [(one.id, one.name, one.arguments) for one in calls] == [
        ("call_1", "weather", CALL["arguments"]),
        ("call_3", "weather", CALL["arguments"]),
    ]
    assert [one.id for one in results] == ["call_1", "call_3", "call_of_unasked"]
    assert [one.role for one in request.messages[1:3]] == [Role.ASSISTANT, Role.TOOL]


@pytest.mark.parametrize("choice", [None, "auto", "none", {"name": "weather"}])
def test_it_is_written_as_it_came(choice):
    body = {name: one for name, one in BODY.items() if name != "function_call"}
    body |= {} if choice is None else {"function_call": choice}
    assert json.loads(FORMAT.encode_request(FORMAT.decode_request(dumped(body)))) == body


@pytest.mark.parametrize("choice", ["required", {"name": "a", "b": 1}, 7])
def test_a_choice_that_nobody_knows_is_kept(choice):
    request = FORMAT.decode_request(dumped({**BODY, "function_call": choice}))
    assert request.tool_choice is None
    assert request.extra["function_call"] == choice
    refused = get_format("anthropic-messages").unsupported(request)
    assert [(one.param, one.kind) for one in refused if one.kind == "refuse"] == [("function_call", "refuse")]


def test_the_turns_of_a_request_without_functions_are_read_too():
    body = {name: one for name, one in BODY.items() if not name.startswith("function")}
    request = FORMAT.decode_request(dumped(body))
    assert json.loads(FORMAT.encode_request(request)) == body


def test_functions_beside_tools_are_left_as_they_are():
    source = {**BODY, "messages": [], "tools": [{"type": "function", "function": {"name": "f"}}]}
    assert with_tools(source) is source
    assert not asks_with_functions(read_request(FORMAT, dumped(source)))
    assert with_tools({"messages": [], "functions": []}) == {"messages": [], "functions": []}


def test_edits_are_written_in_the_words_of_the_caller():
    said = Message(Role.USER, (Text("new"),))
    request = FORMAT.decode_request(dumped(BODY))
    edits = {"messages": (*request.messages[:3], said)}
    assert json.loads(FORMAT.patch_request(dumped(BODY), edits)) == {
        **BODY,
        "messages": [*BODY["messages"][:3], {"role": "user", "content": "new"}],
    }
    tools = (request.tools[0], ToolDefinition("more", parameters=CITY))
    patched = json.loads(FORMAT.patch_request(dumped(BODY), {"tools": tools, "tool_choice": ToolChoice("auto")}))
    functions = [BODY["functions"][0], {"name": "more", "parameters": CITY}]
    assert patched == {**BODY, "functions": functions, "function_call": "auto"}
    gone = json.loads(FORMAT.patch_request(dumped(BODY), {"tools": (), "tool_choice": None}))
    assert gone == {name: one for name, one in BODY.items() if not name.startswith("function")}


def test_who_names_functions_is_answered_so():
    assert asks_with_functions(read_request(FORMAT, dumped(BODY)))
    assert FORMAT.answering(read_request(FORMAT, dumped(BODY))) is not FORMAT
    for body in ({"model": "m", "messages": []}, {"model": "m", "messages": [], "x": '"functions"'}):
        assert FORMAT.answering(read_request(FORMAT, dumped(body))) is FORMAT
    assert not asks_with_functions(read_request(FORMAT, dumped({**BODY, "functions": []})))


ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": None, "function_call": CALL, "refusal": None},
         "finish_reason": "function_call"}
    ],
}  # fmt: skip


def test_an_answer_is_read_and_written_as_it_came():
    answer = FORMAT.decode_response(dumped(ANSWER))
    assert answer.tool_calls[0].id == "call_c_0"
    assert answer.finish_reason == "tool_calls"
    assert json.loads(FORMAT.encode_response(answer)) == ANSWER


def test_a_stream_that_stages_have_changed_speaks_as_it_came():
    pieces = [{"name": "weather", "arguments": ""}, {"arguments": '{"city":'}, {"arguments": '"Oslo"}'}]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": 0, "delta": {"function_call": one}, "finish_reason": None} for one in pieces]
    choices[0]["delta"]["role"] = "assistant"
    choices.append({"index": 0, "delta": {}, "finish_reason": "function_call"})
    reader, encoder = FORMAT.stream_reader(), FORMAT.stream_encoder()
    for choice in choices:
        (chunk,) = reader.decode(b"data: " + dumped({**head, "choices": [choice]}) + b"\n\n")
        written = encoder.encode(chunk).removeprefix(b"data: ")
        assert json.loads(written)["choices"] == [choice]
    reader.decode(b"data: [DONE]\n\n")
    assert reader.outcome.finish_reason == "tool_calls"
