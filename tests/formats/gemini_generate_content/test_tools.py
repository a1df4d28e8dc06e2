from __future__ import annotations

import pytest
from google.genai import types

from llmgate.formats.fields import ShapeError
from llmgate.formats.gemini_generate_content.tools import (
    decode_tool_choice,
    decode_tools,
    encode_tool_choice,
    encode_tools,
)
from llmgate.spec import InvalidRequestError, ToolChoice, ToolDefinition

OLDER = {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}


def test_both_notations_of_parameters_are_read():
    older, newer, bare = decode_tools(
        [
            {"function_declarations": [OLDER]},
            {"functionDeclarations": [{"name": "g", "parametersJsonSchema": {"type": "object"}}, {"name": "h"}]},
        ]
    )
    assert older.parameters == {"type": "object", "properties": {"a": {"type": "string"}}}
    assert (newer.name, newer.parameters) == ("g", {"type": "object"})
    assert bare.parameters is None
    assert encode_tools([older, newer, bare])[0]["functionDeclarations"][0] == OLDER


def test_what_was_changed_is_written_in_the_newer_notation():
    (tool,) = decode_tools({"functionDeclarations": OLDER})
    changed = ToolDefinition("f", parameters={"type": "object"}, extra=tool.extra)
    assert encode_tools([changed]) == [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}
    ]


def test_googles_own_tools_survive_and_go_nowhere_else():
    (tool,) = decode_tools([{"google_search": {}}])
    assert (tool.name, tool.extra["type"]) == ("googleSearch", "googleSearch")
    assert encode_tools([tool]) == [{"googleSearch": {}}]
    with pytest.raises(InvalidRequestError):
        encode_tools([tool], own=False)


def test_functions_of_other_formats_stand_in_one_element():
    tools = [
        ToolDefinition("f", "d", {"type": "object", "additionalProperties": False}, strict=True, extra={"x": 1}),
        ToolDefinition("now", parameters={}),
    ]
    written = encode_tools(tools, own=False)
    schema = {"type": "object", "additionalProperties": False}
    assert written == [
        {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": schema}, {"name": "now"}]}
    ]
    types.Tool.model_validate(written[0])


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "any"}, ToolChoice("required")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "ANY", "allowed_function_names": ["f"]}, ToolChoice("named", "f")),
        ({}, ToolChoice("auto")),
    ],
)
def test_choices_are_read(config, choice):
    assert decode_tool_choice({"function_calling_config": config}) == (choice, {}, None)
    written = encode_tool_choice(choice)["functionCallingConfig"]
    types.FunctionCallingConfig.model_validate(written)
    assert decode_tool_choice({"functionCallingConfig": written})[0] == choice


def test_a_choice_of_a_few_is_said_as_openai_says_it_too():
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}}
    choice, kept, few = decode_tool_choice(config)
    assert (choice, kept) == (None, config)
    assert few["allowed_tools"]["mode"] == "required"
    assert [one["function"]["name"] for one in few["allowed_tools"]["tools"]] == ["f", "g"]


def test_other_modes_and_settings_are_kept():
    assert decode_tool_choice({"functionCallingConfig": {"mode": "VALIDATED"}})[0] is None
    assert decode_tool_choice({"retrievalConfig": {"a": 1}}) == (None, {"retrievalConfig": {"a": 1}}, None)
    with pytest.raises(ShapeError, match="allowedFunctionNames"):
        decode_tool_choice({"functionCallingConfig": {"allowedFunctionNames": [1]}})
