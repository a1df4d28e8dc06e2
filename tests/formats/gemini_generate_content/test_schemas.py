from __future__ import annotations

import pytest

from llmgate.formats.gemini_generate_content.schemas import json_schema

OPENAPI = {
    "type": "OBJECT",
    "properties": {
        "type": {"type": "STRING", "nullable": True, "enum": ["a"], "format": "enum"},
        "min_items": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int64"}, "min_items": "1"},
        "either": {"any_of": [{"type": "NUMBER"}, {"type": "TYPE_UNSPECIFIED"}], "nullable": True},
    },
    "required": ["type"],
    "propertyOrdering": ["type", "min_items"],
}


def test_a_schema_of_googles_is_said_in_json_schema():
    assert json_schema(OPENAPI) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["a", None]},
            "min_items": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            "either": {"anyOf": [{"type": "number"}, {}, {"type": "null"}]},
        },
        "required": ["type"],
    }


def test_json_schema_stays_as_it_is():
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"type": ["string", "null"]}},
    }
    assert json_schema(schema) == schema


@pytest.mark.parametrize("value", [None, True, "x", [], 1])
def test_what_is_no_schema_stays_as_it_is(value):
    assert json_schema(value) is value
