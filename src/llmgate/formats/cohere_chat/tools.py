"""Tools, tool choice and the shape of the answer.

Source: Cohere API reference, "Chat (v2)", ``tools``, ``strict_tools``, ``tool_choice``, ``response_format``. Strictness
is one switch for all tools.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attrs

from llmgate.formats.fields import as_object, as_text, merged, optional, rest
from llmgate.spec import InvalidRequestError, OutputFormat, ToolChoice, ToolDefinition

__all__ = [
    "decode_response_format",
    "decode_tool",
    "decode_tool_choice",
    "encode_response_format",
    "encode_tool_choice",
    "encode_tools",
]

_KNOWN: Final = frozenset({"name", "description", "parameters"})
_MODES: Final = {"REQUIRED": "required", "NONE": "none"}
_CHOICES: Final = {mode: word for word, mode in _MODES.items()}
_SCHEMAS: Final = ("json_schema", "schema")
"""Both names under which a schema is taken; the second one is the older."""


def decode_tool(value: Any, path: str, *, strict: bool | None) -> ToolDefinition:
    """A tool; one of another type than ``function`` is kept whole in ``extra``, and only this format can write it."""
    source = as_object(value, path)
    kind = as_text(source.get("type", "function"), f"{path}.type")
    if kind != "function":
        return ToolDefinition(kind, extra=source)
    function = as_object(source.get("function"), f"{path}.function")
    extra = rest(source, frozenset({"type", "function"}))
    inside = rest(function, _KNOWN)
    return ToolDefinition(
        name=as_text(function.get("name"), f"{path}.function.name"),
        description=optional(function, "description", as_text, f"{path}.function"),
        parameters=optional(function, "parameters", as_object, f"{path}.function"),
        strict=strict,
        extra={**extra, "function": inside} if inside else extra,
    )


def encode_tools(tools: Iterable[ToolDefinition], *, own: bool = True) -> list[dict[str, Any]]:
    """The ``tools`` array.

    Raises:
        InvalidRequestError: a tool is another format's own kind.
    """
    return [_encode_tool(tool, own=own) for tool in tools]


def decode_tool_choice(value: Any) -> ToolChoice | None:
    """The choice; None for a word that the canonical types do not have."""
    return ToolChoice(_MODES[value]) if isinstance(value, str) and value in _MODES else None


def encode_tool_choice(choice: ToolChoice | None) -> str | None:
    """The ``tool_choice``; None where the model is free. One tool alone is demanded by declaring no other."""
    if choice is None:
        return None
    return "REQUIRED" if choice.mode == "named" else _CHOICES.get(choice.mode)


def decode_response_format(value: Any) -> tuple[OutputFormat | None, dict[str, Any]]:
    """The shape of the answer, and what of the field has no canonical counterpart (all of an unknown type)."""
    source = as_object(value, "response_format")
    kind = as_text(source.get("type"), "response_format.type")
    if kind == "text":
        return OutputFormat("text"), rest(source, frozenset({"type"}))
    if kind != "json_object":
        return None, source
    for name in _SCHEMAS:
        schema = optional(source, name, as_object, "response_format")
        if schema is not None:
            return OutputFormat("json_schema", schema=schema), rest(source, frozenset({"type", name}))
    return OutputFormat("json"), rest(source, frozenset({"type", *_SCHEMAS}))


def encode_response_format(output: OutputFormat) -> dict[str, Any]:
    """The ``response_format``."""
    if output.type == "text":
        return {"type": "text"}
    schema = {} if output.schema is None else {"json_schema": output.schema}
    return {"type": "json_object", **schema}


def _encode_tool(tool: ToolDefinition, *, own: bool) -> dict[str, Any]:
    if "type" in tool.extra:
        if own:
            return dict(tool.extra)
        raise InvalidRequestError(
            f"tool {tool.name!r} is built into another vendor's models: leave it out or choose one of those",
            param="tools",
            code="unsupported_tool",
        )
    given = attrs.asdict(tool, filter=lambda field, one: field.name in _KNOWN and one is not None, recurse=False)
    if not own:
        given["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    value = {"type": "function", "function": given}
    return merged(value, tool.extra) if own else value
