"""JSON schemas for structured answers, narrowed to what this format takes.

Source: Anthropic documentation, "Structured outputs", "JSON Schema limitations": closed objects only, no ``oneOf``, no
limits of numbers, lengths and arrays but ``minItems`` of 0 or 1. A limit that cannot be enforced is told to the model
in the description instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.codecs.jsons import dumps

__all__ = ["is_closed", "narrowed"]

_KEPT: Final = frozenset(
    {"$ref", "$id", "$schema", "type", "title", "description", "enum", "const", "default", "required", "nullable"}
)
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_NAMED: Final = ("properties", "$defs", "definitions")
_CHOICES: Final = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}


def is_closed(schema: Any) -> bool:
    """Whether every object of a schema says which members it has; one with members of any name cannot be closed."""
    if not isinstance(schema, dict):
        return True
    more = schema.get("additionalProperties")
    if isinstance(more, dict) or "patternProperties" in schema:
        return False
    if schema.get("type") == "object" and not schema.get("properties") and more is not False:
        return False
    return all(is_closed(inner) for inner in _inside(schema))


def narrowed(schema: Any) -> Any:
    """The schema with closed objects, and without what this format does not take."""
    if not isinstance(schema, dict):
        return schema
    value: dict[str, Any] = {}
    unsaid: dict[str, Any] = {}
    for name, inner in schema.items():
        if name in _KEPT:
            value[name] = inner
        elif name in _NAMED and isinstance(inner, dict):
            value[name] = {key: narrowed(one) for key, one in inner.items()}
        elif name in _CHOICES and isinstance(inner, list):
            value[_CHOICES[name]] = [narrowed(one) for one in inner]
        elif name == "items":
            value[name] = narrowed(inner)
        elif (name == "format" and inner in _FORMATS) or (name == "minItems" and inner in (0, 1)):
            value[name] = inner
        elif name != "additionalProperties":
            unsaid[name] = inner
    if value.get("type") == "object" or "properties" in value:
        value["additionalProperties"] = False
    if unsaid:
        value["description"] = _told(value.get("description"), unsaid)
    return value


def _told(description: Any, unsaid: Mapping[str, Any]) -> str:
    limits = ", ".join(f"{name}: {dumps(value).decode()}" for name, value in unsaid.items())
    return f"{description}\n\n{{{limits}}}" if isinstance(description, str) and description else f"{{{limits}}}"


def _inside(schema: Mapping[str, Any]) -> list[Any]:
    inside: list[Any] = [schema.get("items")]
    for name in _NAMED:
        named = schema.get(name)
        inside += named.values() if isinstance(named, dict) else ()
    for name in _CHOICES:
        choices = schema.get(name)
        inside += choices if isinstance(choices, list) else ()
    return inside
