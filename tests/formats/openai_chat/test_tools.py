from __future__ import annotations

import pytest

from llmgate.formats.fields import ShapeError
from llmgate.formats.openai_chat.tools import (
    decode_output_format,
    decode_tool,
    decode_tool_choice,
    encode_output_format,
    encode_tool_choice,
    encode_tools,
)
from llmgate.spec import InvalidRequestError, OutputFormat, ToolChoice, ToolDefinition

OTHER = {"type": "web_search", "web_search": {"name": "sql"}}


def test_a_function_keeps_fields_nobody_knows():
    wire = {"type": "function", "function": {"name": "f", "strict": True, "x": 1}, "cache_control": {}}
    tool = decode_tool(wire, "t")
    assert tool == ToolDefinition("f", strict=True, extra={"cache_control": {}, "function": {"x": 1}})
    assert encode_tools([tool]) == [wire]


def test_a_function_may_be_flat():
    inside = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False, "x": 1}
    tool = decode_tool({"type": "function", **inside}, "t")
    assert tool == ToolDefinition("f", "d", {"type": "object"}, strict=False, extra={"function": {"x": 1}})
    assert encode_tools([tool]) == [{"type": "function", "function": inside}]
    for wire in (
        {"type": "function"},
        {"type": "function", "name": 1},
        {"type": "function", "name": "f", "function": 1},
    ):
        with pytest.raises(ShapeError, match=r"t\.function must be an object"):
            decode_tool(wire, "t")


def test_a_tool_of_another_kind_is_for_this_format_only():
    tool = decode_tool(OTHER, "t")
    assert tool.name == "sql"
    assert encode_tools([tool]) == [OTHER]
    with pytest.raises(InvalidRequestError, match="sql"):
        encode_tools([tool], own=False)


@pytest.mark.parametrize(
    ("wire", "choice"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", "f")),
    ],
)
def test_choices_both_ways(wire, choice):
    assert decode_tool_choice(wire) == choice
    assert encode_tool_choice(choice) == wire


@pytest.mark.parametrize("wire", ["any", 1, {"type": "allowed_tools"}, {"type": "function", "function": {"name": 1}}])
def test_other_choices_are_left_to_the_vendor(wire):
    assert decode_tool_choice(wire) is None


def test_output_formats():
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "x": 1}}
    output, more = decode_output_format(schema, "r")
    assert output == OutputFormat("json_schema", schema={"type": "object"}, name="n")
    assert more == {"json_schema": {"x": 1}}
    assert decode_output_format({"type": "json_object"}, "r") == (OutputFormat("json"), {})
    assert decode_output_format({"type": "grammar", "g": 1}, "r") == (None, {"type": "grammar", "g": 1})
    assert encode_output_format(OutputFormat("json_schema", schema={}))["json_schema"]["name"] == "answer"
    with pytest.raises(ShapeError, match="json_schema must be an object"):
        decode_output_format({"type": "json_schema"}, "r")
