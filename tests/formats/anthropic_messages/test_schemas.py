from __future__ import annotations

import pytest

from llmgate.formats.anthropic_messages.schemas import is_closed, narrowed


def test_objects_are_closed_and_limits_told():
    schema = {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 1, "maximum": 9, "description": "Years"},
            "mail": {"type": "string", "format": "email", "maxLength": 5},
            "odd": {"type": "string", "format": "odd"},
            "list": {"type": "array", "items": {"$ref": "#/$defs/one"}, "minItems": 1, "maxItems": 3},
            "either": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"a": {"type": "null"}}}]},
        },
        "required": ["age"],
        "$defs": {"one": {"type": "object", "properties": {"b": {"const": 1}}, "additionalProperties": True}},
    }
    assert narrowed(schema) == {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "description": "Years\n\n{minimum: 1, maximum: 9}"},
            "mail": {"type": "string", "format": "email", "description": "{maxLength: 5}"},
            "odd": {"type": "string", "description": '{format: "odd"}'},
            "list": {"type": "array", "items": {"$ref": "#/$defs/one"}, "minItems": 1, "description": "{maxItems: 3}"},
            "either": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False},
                ]
            },
        },
        "required": ["age"],
        "$defs": {"one": {"type": "object", "properties": {"b": {"const": 1}}, "additionalProperties": False}},
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}}, True),
        ({"type": "object", "additionalProperties": False}, True),
        ({"type": "object"}, False),
        ({"type": "object", "additionalProperties": {"type": "string"}}, False),
        ({"type": "array", "items": {"type": "object"}}, False),
        ({"anyOf": [{"type": "null"}, {"type": "object", "patternProperties": {}}]}, False),
        ({"properties": {"a": {"properties": {"b": {"type": "object"}}}}}, False),
        (True, True),
    ],
)
def test_what_can_be_closed(schema, closed):
    assert is_closed(schema) is closed
