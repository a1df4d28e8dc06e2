from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.host.cursor import CursorRewriter, is_cursors, read_cursors
from llmgate.spec import GatewayChunk, InvalidRequestError, ProviderError

PATCH = "*** Begin Patch\n"
CUSTOM = {"type": "custom", "name": "ApplyPatch"}


def read(**fields: Any) -> dict[str, Any]:
    body, _ = read_cursors(json.dumps({"model": "m", "input": "hi", **fields}).encode())
    value: dict[str, Any] = json.loads(body)
    return value


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input": "x"}, True),
        ({"input": []}, True),
        ({"input": "x", "messages": None}, True),
        ({"input": "x", "messages": []}, False),
        ({"input": {}}, False),
        ({"prompt": "x"}, False),
    ],
)
def test_what_cursor_sends_is_told_by_its_input(fields, expected):
    assert is_cursors(json.dumps({"model": "m", **fields}).encode()) is expected


def test_a_body_without_anything_of_chat_completions_stays_as_it_is():
    body = b'{"model":"m", "input":"hi","tools":[{"type":"function","name":"f"}], "x" : 1}'
    assert read_cursors(body)[0] is body


def test_fields_of_chat_completions_become_those_of_responses():
    assert read(max_tokens=5, reasoning_effort="low", stream_options={"include_usage": True}, messages=None) == {
        "model": "m",
        "input": "hi",
        "max_output_tokens": 5,
        "reasoning": {"effort": "low"},
    }
    assert read(max_completion_tokens=6, max_tokens=5)["max_output_tokens"] == 6
    assert read(max_output_tokens=7, max_tokens=5)["max_output_tokens"] == 7
    assert read(reasoning={"summary": "auto"}, reasoning_effort="low")["reasoning"] == {"summary": "auto"}


def test_tools_of_chat_completions_are_made_flat():
    nested = {"type": "function", "function": {"name": "f", "parameters": {}}, "cache": 1}
    value = read(tools=[nested, "odd", CUSTOM], tool_choice={"type": "function", "function": {"name": "f"}})
    assert value["tools"] == [{"type": "function", "name": "f", "parameters": {}, "cache": 1}, "odd", CUSTOM]
    assert value["tool_choice"] == {"type": "function", "name": "f"}


def test_calls_of_custom_tools_that_come_back_as_functions_are_restored():
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "ApplyPatch", "arguments": PATCH}
    output = {"type": "function_call_output", "call_id": "c", "output": "done"}
    other = {"type": "function_call", "call_id": "d", "name": "f", "arguments": "{}"}
    items = [call, output, other, {**output, "call_id": "d"}, "odd"]
    restored = read(input=items, tools=[CUSTOM])["input"]
    assert restored[0] == {"type": "custom_tool_call", "input": PATCH, "call_id": "c", "name": "ApplyPatch"}
    assert restored[1] == {"type": "custom_tool_call_output", "call_id": "c", "output": "done"}
    assert restored[2:] == items[2:]
    assert read(input=items)["input"] == items
    json_ones = [{**call, "arguments": json.dumps({"input": PATCH})}]
    assert read(input=json_ones, tools=[CUSTOM])["input"][0]["input"] == PATCH


def test_what_is_no_json_is_refused():
    with pytest.raises(InvalidRequestError):
        is_cursors(b"{")


def test_an_error_ends_the_stream_as_chat_completions_have_it():
    rewriter = CursorRewriter()
    rewriter.encode(GatewayChunk(created=5))
    assert json.loads(rewriter.error(ProviderError("broken")).removeprefix(b"data: "))["error"]["message"] == "broken"
    assert rewriter.end() == b""
