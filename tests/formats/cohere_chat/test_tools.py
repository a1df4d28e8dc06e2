from __future__ import annotations

import pytest

from llmgate.formats.cohere_chat.tools import (
    decode_response_format,
    decode_tool,
    decode_tool_choice,
    encode_response_format,
    encode_tool_choice,
    encode_tools,
)
from llmgate.spec import InvalidRequestError, OutputFormat, ToolChoice, ToolDefinition

TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "x": 1},
    "y": 2,
}


def test_a_tool_and_back():
    tool = decode_tool(TOOL, "tools[0]", strict=True)
    assert (tool.name, tool.description, tool.parameters, tool.strict) == ("f", "d", {"type": "object"}, True)
    assert encode_tools([tool]) == [TOOL]
    assert encode_tools([ToolDefinition("f")], own=False) == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    ]


def test_tools_of_other_kinds():
    other = {"type": "web", "x": 1}
    assert encode_tools([decode_tool(other, "tools[0]", strict=None)]) == [other]
    with pytest.raises(InvalidRequestError):
        encode_tools([decode_tool(other, "tools[0]", strict=None)], own=False)


@pytest.mark.parametrize(
    ("choice", "word"),
    [
        (ToolChoice("required"), "REQUIRED"),
        (ToolChoice("none"), "NONE"),
        (ToolChoice("auto"), None),
        (ToolChoice("named", "f"), "REQUIRED"),
        (None, None),
    ],
)
def test_choices(choice, word):
    assert encode_tool_choice(choice) == word
    if choice is not None and word is not None and choice.mode != "named":
        assert decode_tool_choice(word) == choice
    assert decode_tool_choice("SOME") is None


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ({"type": "text"}, OutputFormat("text")),
        ({"type": "json_object"}, OutputFormat("json")),
        ({"type": "json_object", "json_schema": {"a": 1}}, OutputFormat("json_schema", schema={"a": 1})),
    ],
)
def test_the_shape_of_the_answer(value, output):
    assert decode_response_format(value) == (output, {})
    assert encode_response_format(output) == value


def test_the_older_name_of_a_schema_and_unknown_shapes():
    output, more = decode_response_format({"type": "json_object", "schema": {"a": 1}, "x": 2})
    assert (output, more) == (OutputFormat("json_schema", schema={"a": 1}), {"x": 2})
    assert decode_response_format({"type": "xml"}) == (None, {"type": "xml"})
