from __future__ import annotations

import pytest

from llmgate.formats.anthropic_messages.tools import (
    decode_tool,
    decode_tool_choice,
    encode_tool_choice,
    encode_tools,
)
from llmgate.spec import InvalidRequestError, ToolChoice, ToolDefinition

TOOLS = [
    {"name": "f", "input_schema": {"type": "object", "properties": {}}},
    {
        "name": "f",
        "description": "d",
        "input_schema": {"type": "object"},
        "strict": True,
        "defer_loading": True,
        "cache_control": {"type": "ephemeral"},
    },
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    {"type": "mcp_toolset", "mcp_server_name": "s"},
]


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_come_back_as_they_were(tool):
    assert encode_tools([decode_tool(tool, "x")]) == [tool]


def test_custom_is_what_a_tool_is_anyway():
    assert decode_tool({"type": "custom", **TOOLS[0]}, "x") == decode_tool(TOOLS[0], "x")


@pytest.mark.parametrize("parameters", [None, {}, {"properties": {"a": {}}}])
def test_a_schema_without_a_type_is_one_of_an_object(parameters):
    schema = encode_tools([ToolDefinition("f", parameters=parameters)], own=False)[0]["input_schema"]
    assert schema["type"] == "object"
    assert schema["properties"] == (parameters or {}).get("properties", {})


def test_tools_of_another_format_bring_their_cache_mark_and_nothing_else():
    mark = {"cache_control": {"type": "ephemeral"}}
    for extra in ({**mark, "x": 1}, {"function": {**mark, "x": 1}}):
        (tool,) = encode_tools([ToolDefinition("f", parameters={"type": "object"}, extra=extra)], own=False)
        assert tool == {"name": "f", "input_schema": {"type": "object"}, **mark}
    with pytest.raises(InvalidRequestError):
        encode_tools([ToolDefinition("f", extra={"type": "custom"})], own=False)


@pytest.mark.parametrize(
    ("value", "choice", "parallel", "more"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None, {}),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False, {}),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": False}, ToolChoice("named", "f"), True, {}),
        ({"type": "none"}, ToolChoice("none"), None, {}),
        ({"type": "auto", "x": 1}, ToolChoice("auto"), None, {"x": 1}),
        ({"type": "future"}, None, None, {"type": "future"}),
    ],
)
def test_choices(value, choice, parallel, more):
    assert decode_tool_choice(value) == (choice, parallel, more)
    if choice is not None:
        assert {**encode_tool_choice(choice, parallel=parallel), **more} == value


def test_one_call_at_a_time_needs_a_choice():
    single = {"type": "auto", "disable_parallel_tool_use": True}
    assert encode_tool_choice(None, parallel=False) == single
    assert encode_tool_choice(None, parallel=True) is None
    assert encode_tool_choice(ToolChoice("none"), parallel=False) == {"type": "none"}
