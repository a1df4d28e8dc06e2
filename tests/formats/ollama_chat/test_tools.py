from __future__ import annotations

import pytest

from llmgate.formats.fields import ShapeError
from llmgate.formats.ollama_chat.tools import decode_format, decode_tool, encode_format, encode_tools
from llmgate.spec import InvalidRequestError, OutputFormat, ToolDefinition

TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "x": 1},
    "y": 2,
}


def test_a_tool_and_back():
    tool = decode_tool(TOOL, "tools[0]")
    assert (tool.name, tool.description, tool.parameters) == ("f", "d", {"type": "object"})
    assert encode_tools([tool]) == [TOOL]
    assert encode_tools([tool], own=False) == [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}},
        }
    ]


def test_another_vendors_tool_is_refused():
    with pytest.raises(InvalidRequestError):
        encode_tools([ToolDefinition("web", extra={"type": "web_search"})], own=False)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (None, None),
        ("", None),
        ("json", OutputFormat("json")),
        ({"type": "object"}, OutputFormat("json_schema", schema={"type": "object"})),
    ],
)
def test_the_shape_of_the_answer(value, output):
    assert decode_format(value) == output
    if output is not None:
        assert encode_format(output) == value


def test_plain_text_has_no_format_and_nothing_else_is_one():
    assert encode_format(OutputFormat("text")) is None
    with pytest.raises(ShapeError):
        decode_format("xml")
