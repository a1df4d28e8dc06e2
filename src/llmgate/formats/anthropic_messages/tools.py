"""Tools and tool choice.

Source: Anthropic API reference, "Create a Message", ``tools`` and ``tool_choice``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from llmgate.formats.fields import as_boolean, as_object, as_text, optional, rest
from llmgate.spec import InvalidRequestError, ToolChoice, ToolDefinition

__all__ = ["decode_tool", "decode_tool_choice", "encode_tool_choice", "encode_tools"]

_KNOWN: Final = frozenset({"type", "name", "description", "input_schema", "strict"})
_MODES: Final = {"auto": "auto", "any": "required", "none": "none"}
_TYPES: Final = {mode: kind for kind, mode in _MODES.items()}
_SINGLE: Final = "disable_parallel_tool_use"


def decode_tool(value: Any, path: str) -> ToolDefinition:
    """A tool.

    One that the vendor defines (``web_search_20250305``, ``bash_20250124``, ``mcp_toolset``) is kept whole in
    ``extra``, whose ``type`` tells; only this format can write it.
    """
    source = as_object(value, path)
    kind = optional(source, "type", as_text, path)
    if kind not in (None, "custom"):
        name = source.get("name")
        return ToolDefinition(name if isinstance(name, str) else str(kind), extra=source)
    return ToolDefinition(
        name=as_text(source.get("name"), f"{path}.name"),
        description=optional(source, "description", as_text, path),
        parameters=optional(source, "input_schema", as_object, path),
        strict=optional(source, "strict", as_boolean, path),
        extra=rest(source, _KNOWN),
    )


def encode_tools(tools: Iterable[ToolDefinition], *, own: bool = True) -> list[dict[str, Any]]:
    """The ``tools`` array.

    Raises:
        InvalidRequestError: a tool is another format's own kind.
    """
    return [_encode_tool(tool, own=own) for tool in tools]


def decode_tool_choice(value: Any) -> tuple[ToolChoice | None, bool | None, dict[str, Any]]:
    """The choice, whether calls may be parallel, and what of the field has no canonical counterpart."""
    source = as_object(value, "tool_choice")
    kind = as_text(source.get("type"), "tool_choice.type")
    single = optional(source, _SINGLE, as_boolean, "tool_choice")
    parallel = None if single is None else not single
    if kind in _MODES:
        return ToolChoice(_MODES[kind]), parallel, rest(source, frozenset({"type", _SINGLE}))
    if kind == "tool":
        name = as_text(source.get("name"), "tool_choice.name")
        return ToolChoice("named", name), parallel, rest(source, frozenset({"type", "name", _SINGLE}))
    return None, None, source


def encode_tool_choice(choice: ToolChoice | None, *, parallel: bool | None) -> dict[str, Any] | None:
    """The ``tool_choice``; None where it says nothing."""
    if choice is None and parallel is not False:
        return None
    mode = "auto" if choice is None else choice.mode
    if choice is not None and mode == "named":
        value: dict[str, Any] = {"type": "tool", "name": choice.name}
    else:
        value = {"type": _TYPES.get(mode, "auto")}
    if parallel is not None and mode != "none":
        value[_SINGLE] = not parallel
    return value


def _encode_tool(tool: ToolDefinition, *, own: bool) -> dict[str, Any]:
    if "type" in tool.extra:
        if own:
            return dict(tool.extra)
        raise InvalidRequestError(
            f"tool {tool.name!r} is built into another vendor's models: leave it out or choose one of those",
            param="tools",
            code="unsupported_tool",
        )
    value: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        value["description"] = tool.description
    value["input_schema"] = tool.parameters if own and tool.parameters is not None else _schema(tool.parameters)
    if tool.strict is not None:
        value["strict"] = tool.strict
    return {**value, **rest(tool.extra, _KNOWN)} if own else {**value, **_marked(tool)}


def _schema(parameters: Any) -> dict[str, Any]:
    """The schema of the input: an object in any case, since this format takes nothing else."""
    schema = dict(parameters or {})
    if schema.get("type") is None and not schema.keys() & {"anyOf", "oneOf", "allOf", "$ref"}:
        schema["type"] = "object"
        schema.setdefault("properties", {})
    return schema


def _marked(tool: ToolDefinition) -> dict[str, Any]:
    """The cache mark that clients of other formats write beside or into the function."""
    inside = tool.extra.get("function")
    for place in (tool.extra, inside if isinstance(inside, dict) else {}):
        if isinstance(place.get("cache_control"), dict):
            return {"cache_control": place["cache_control"]}
    return {}
