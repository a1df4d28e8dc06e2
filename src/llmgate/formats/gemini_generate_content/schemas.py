"""Schemas as this format's older fields write them, made into JSON Schema.

Source: Gemini API reference, "Schema": a subset of OpenAPI 3.0 with types in capitals, ``nullable``, and whole numbers
as strings. ``parametersJsonSchema`` and ``responseJsonSchema`` take JSON Schema as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .keys import camel

__all__ = ["json_schema"]

_TYPES: Final = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_COUNTS: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"})
_UNKNOWN_TO_JSON_SCHEMA: Final = frozenset({"nullable", "propertyOrdering", "example"})
_NUMBERS: Final = frozenset({"float", "double", "int32", "int64", "enum"})


def json_schema(schema: Any) -> Any:
    """The JSON Schema that says the same; what is no schema comes back as it is."""
    if not isinstance(schema, Mapping):
        return schema
    source = {camel(name): value for name, value in schema.items()}
    written = {name: _member(name, value) for name, value in source.items() if name not in _UNKNOWN_TO_JSON_SCHEMA}
    if written.get("format") in _NUMBERS:
        del written["format"]
    if written.get("type") == "TYPE_UNSPECIFIED":
        del written["type"]
    if source.get("nullable") is True:
        _make_nullable(written)
    return written


def _member(name: str, value: Any) -> Any:
    if name == "type" and isinstance(value, str):
        return value.lower() if value.upper() in _TYPES else value
    if name in _COUNTS and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if name in ("items", "additionalProperties"):
        return json_schema(value)
    if name in ("properties", "$defs", "defs") and isinstance(value, Mapping):
        return {key: json_schema(one) for key, one in value.items()}
    if name in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [json_schema(one) for one in value]
    return value


def _make_nullable(written: dict[str, Any]) -> None:
    kind = written.get("type")
    if isinstance(kind, str) and kind != "null":
        written["type"] = [kind, "null"]
        if isinstance(written.get("enum"), list) and None not in written["enum"]:
            written["enum"] = [*written["enum"], None]
    elif isinstance(written.get("anyOf"), list):
        written["anyOf"] = [*written["anyOf"], {"type": "null"}]
