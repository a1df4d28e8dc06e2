"""Tools and which of them the model may call.

Source: Gemini API reference, "Tool", "FunctionDeclaration", "ToolConfig".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmgate.formats.fields import as_list, as_text, optional, rest
from llmgate.spec import InvalidRequestError, ToolChoice, ToolDefinition

from .keys import as_camel, as_items
from .schemas import json_schema

__all__ = ["decode_tool_choice", "decode_tools", "encode_tool_choice", "encode_tools"]

_DECLARED: Final = "functionDeclarations"
_SCHEMA: Final = "parametersJsonSchema"
_OLDER: Final = "parameters"
_KNOWN: Final = frozenset({"name", "description", _SCHEMA, _OLDER})
_CALLING: Final = "functionCallingConfig"
_MODES: Final = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
_WORDS: Final = {"auto": "AUTO", "required": "ANY", "named": "ANY", "none": "NONE"}


def decode_tools(value: Any) -> tuple[ToolDefinition, ...]:
    """The tools; one that Google runs itself (``googleSearch``) is kept whole in ``extra``, whose ``type`` tells.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    tools: list[ToolDefinition] = []
    for one, path in as_items(value, "tools"):
        source = as_camel(one, path)
        for declared, place in as_items(source.get(_DECLARED), f"{path}.{_DECLARED}"):
            tools.append(_decode_declaration(declared, place))
        tools += [
            ToolDefinition(name, extra={"type": name, name: source[name]}) for name in source if name != _DECLARED
        ]
    return tuple(tools)


def encode_tools(tools: Iterable[ToolDefinition], *, own: bool = True) -> list[dict[str, Any]]:
    """The ``tools`` array: all functions in one element, as the models want them.

    Raises:
        InvalidRequestError: a tool is another format's own kind.
    """
    functions: list[dict[str, Any]] = []
    written: list[dict[str, Any]] = []
    for tool in tools:
        kind = tool.extra.get("type")
        if kind is None:
            if not functions:
                written.append({_DECLARED: functions})
            functions.append(_encode_declaration(tool, own=own))
        elif own:
            written.append(rest(tool.extra, frozenset({"type"})))
        else:
            raise InvalidRequestError(
                f"tool {tool.name!r} is built into another vendor's models: leave it out or choose one of those",
                param="tools",
                code="unsupported_tool",
            )
    return written


def decode_tool_choice(value: Any) -> tuple[ToolChoice | None, dict[str, Any], dict[str, Any] | None]:
    """The choice, what of ``toolConfig`` has no canonical counterpart, and a choice of a few in OpenAI's shape.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    source = as_camel(value, "toolConfig")
    if source.get(_CALLING) is None:
        return None, source, None
    calling = as_camel(source[_CALLING], f"toolConfig.{_CALLING}")
    mode = (optional(calling, "mode", as_text, f"toolConfig.{_CALLING}") or "AUTO").upper()
    names = optional(calling, "allowedFunctionNames", as_list, f"toolConfig.{_CALLING}") or []
    allowed = [as_text(one, f"toolConfig.{_CALLING}.allowedFunctionNames") for one in names]
    beside = rest(source, frozenset({_CALLING}))
    more = rest(calling, frozenset({"mode", "allowedFunctionNames"}))
    kept = {**beside, _CALLING: more} if more else beside
    if mode == "ANY" and len(allowed) == 1:
        return ToolChoice("named", allowed[0]), kept, None
    if mode in _MODES and not allowed:
        return ToolChoice(_MODES[mode]), kept, None
    few = _few(mode, allowed) if allowed else None
    return None, source, few


def encode_tool_choice(choice: ToolChoice) -> dict[str, Any]:
    """The ``functionCallingConfig``."""
    value: dict[str, Any] = {"mode": _WORDS.get(choice.mode, "AUTO")}
    if choice.mode == "named":
        value["allowedFunctionNames"] = [choice.name]
    return {_CALLING: value}


def _few(mode: str, names: Iterable[str]) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required" if mode == "ANY" else "auto", "tools": tools},
    }


def _decode_declaration(value: Any, path: str) -> ToolDefinition:
    source = as_camel(value, path)
    extra = rest(source, _KNOWN)
    schema, older = source.get(_SCHEMA), source.get(_OLDER)
    if isinstance(older, Mapping) and schema is None:
        extra[_OLDER] = older
        schema = json_schema(older)
    elif schema is not None and not isinstance(schema, Mapping):  # the API takes any value here
        extra[_SCHEMA] = schema
    return ToolDefinition(
        name=as_text(source.get("name"), f"{path}.name"),
        description=optional(source, "description", as_text, path),
        parameters=dict(schema) if isinstance(schema, Mapping) else None,
        extra=extra,
    )


def _encode_declaration(tool: ToolDefinition, *, own: bool) -> dict[str, Any]:
    value: dict[str, Any] = {"name": tool.name}
    if tool.description:
        value["description"] = tool.description
    older = tool.extra.get(_OLDER) if own else None
    if older is not None and json_schema(older) == tool.parameters:
        value[_OLDER] = older
    elif tool.parameters is not None and (own or tool.parameters):
        value[_SCHEMA] = tool.parameters
    return {**rest(tool.extra, frozenset({_OLDER})), **value} if own else value
