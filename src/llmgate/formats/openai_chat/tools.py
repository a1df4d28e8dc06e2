"""Tools, tool choice and the shape of the answer.

Source: OpenAI API reference, "Create chat completion", ``tools``, ``tool_choice``, ``response_format``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from llmgate.formats.custom_tools import CUSTOM, custom_tool
from llmgate.formats.fields import as_boolean, as_object, as_text, merged, optional, rest
from llmgate.spec import InvalidRequestError, OutputFormat, ToolChoice, ToolDefinition

from . import blocks

__all__ = [
    "decode_output_format",
    "decode_tool",
    "decode_tool_choice",
    "encode_output_format",
    "encode_tool_choice",
    "encode_tools",
]

_MODES: Final = frozenset({"auto", "none", "required"})
_OUTPUT_TYPES: Final = {"text": "text", "json_object": "json", "json_schema": "json_schema"}


def decode_tool(value: Any, path: str) -> ToolDefinition:
    """A tool.

    A tool of another type than ``function`` and ``custom`` (a vendor's own) is kept whole in ``extra``, whose ``type``
    tells; only this format can write it. A function in the flat shape of Responses or in Anthropic's, as Cursor mixes
    them in, is one too.
    """
    source = as_object(value, path)
    if blocks.is_tool(source):
        return blocks.decode_tool(source, path)
    kind = as_text(source.get("type", "function"), f"{path}.type")
    if kind == CUSTOM:
        return custom_tool(source, path)
    if kind != "function":
        inner = source.get(kind)
        name = inner.get("name") if isinstance(inner, dict) else None
        return ToolDefinition(name if isinstance(name, str) else kind, extra=source)
    if "function" not in source and isinstance(source.get("name"), str):
        source = {"type": kind, "function": rest(source, frozenset({"type"}))}
    function = as_object(source.get("function"), f"{path}.function")
    extra = rest(source, frozenset({"type", "function"}))
    inside = rest(function, frozenset({"name", "description", "parameters", "strict"}))
    return ToolDefinition(
        name=as_text(function.get("name"), f"{path}.function.name"),
        description=optional(function, "description", as_text, f"{path}.function"),
        parameters=optional(function, "parameters", as_object, f"{path}.function"),
        strict=optional(function, "strict", as_boolean, f"{path}.function"),
        extra={**extra, "function": inside} if inside else extra,
    )


def encode_tools(tools: Iterable[ToolDefinition], *, own: bool = True) -> list[dict[str, Any]]:
    """The ``tools`` array.

    Args:
        tools: What the model may call.
        own: Whether what is in ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: a tool is another format's own kind.
    """
    return [_encode_tool(tool, own=own) for tool in tools]


def _encode_tool(tool: ToolDefinition, *, own: bool) -> dict[str, Any]:
    if own and "own" in tool.extra:
        return dict(tool.extra["own"])
    if "type" in tool.extra:
        if own:
            return dict(tool.extra)
        raise InvalidRequestError(
            f"tool {tool.name!r} is built into another vendor's models: leave it out or choose one of those",
            param="tools",
            code="unsupported_tool",
        )
    given = {"description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
    function = {"name": tool.name, **{name: one for name, one in given.items() if one is not None}}
    value = {"type": "function", "function": function}
    return merged(value, tool.extra) if own else value


def decode_tool_choice(value: Any) -> ToolChoice | None:
    """The choice; None for a kind that the canonical types do not have (``allowed_tools``)."""
    if isinstance(value, str) and value in _MODES:
        return ToolChoice(value)
    if isinstance(value, dict) and value.keys() == {"type", "function"} and value["type"] == "function":
        function = value["function"]
        if isinstance(function, dict) and function.keys() == {"name"} and isinstance(function["name"], str):
            return ToolChoice("named", function["name"])
    match value:
        case {"type": "custom", "custom": {"name": str(name), **more}, **others} if not (more or others):
            return ToolChoice("named", name)
    match value:  # as Anthropic has it
        case {"type": "tool", "name": str(name), **more} if not more:
            return ToolChoice("named", name)
        case {"type": "auto" | "any" | "none" as mode, **more} if not more:
            return ToolChoice("required" if mode == "any" else mode)
    return None


def encode_tool_choice(choice: ToolChoice, tools: Iterable[ToolDefinition] = ()) -> Any:
    """The ``tool_choice``.

    Args:
        choice: The choice.
        tools: The tools of a request in this format, which tell whether the one chosen is a custom one.
    """
    if choice.mode == "named" and any(tool.name == choice.name and CUSTOM in tool.extra for tool in tools):
        return {"type": CUSTOM, CUSTOM: {"name": choice.name}}
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def decode_output_format(value: Any, path: str) -> tuple[OutputFormat | None, dict[str, Any]]:
    """The shape of the answer, and what of the field has no canonical counterpart (all of an unknown type)."""
    source = as_object(value, path)
    kind = as_text(source.get("type"), f"{path}.type")
    if kind not in _OUTPUT_TYPES:
        return None, source
    if kind != "json_schema":  # some vendors take a schema beside json_object
        schema = optional(source, "schema", as_object, path)
        return OutputFormat(_OUTPUT_TYPES[kind], schema=schema), rest(source, frozenset({"type", "schema"}))
    inner = as_object(source.get(kind), f"{path}.{kind}")
    more = rest(source, frozenset({"type", kind}))
    inside = rest(inner, frozenset({"name", "description", "schema", "strict"}))
    return OutputFormat(
        type=kind,
        schema=optional(inner, "schema", as_object, f"{path}.{kind}"),
        name=optional(inner, "name", as_text, f"{path}.{kind}"),
        strict=optional(inner, "strict", as_boolean, f"{path}.{kind}"),
        description=optional(inner, "description", as_text, f"{path}.{kind}"),
    ), {**more, kind: inside} if inside else more


def encode_output_format(output: OutputFormat) -> dict[str, Any]:
    """The ``response_format``; a schema without a name gets one, since the format demands it."""
    if output.type != "json_schema":
        value: dict[str, Any] = {"type": "json_object" if output.type == "json" else output.type}
        return value if output.schema is None else {**value, "schema": output.schema}
    given = {"description": output.description, "schema": output.schema, "strict": output.strict}
    known = {name: one for name, one in given.items() if one is not None}
    return {"type": "json_schema", "json_schema": {"name": output.name or "answer", **known}}
