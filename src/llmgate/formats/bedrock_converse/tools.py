"""Tools and tool choice: ``toolConfig``.

Source: Amazon Bedrock API reference, ``ToolConfiguration``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.fields import as_boolean, as_list, as_object, as_text, optional, rest
from llmgate.formats.inner_losses import CACHE_MARK
from llmgate.spec import InvalidRequestError, ToolChoice, ToolDefinition

from .parts import cache_mark, cache_point

__all__ = ["decode_tool_config", "encode_tool_config"]

_SPEC: Final = frozenset({"name", "description", "inputSchema", "strict"})
_MODES: Final = {"auto": "auto", "any": "required"}
_KINDS: Final = {mode: kind for kind, mode in _MODES.items()}


def decode_tool_config(value: Any) -> tuple[tuple[ToolDefinition, ...], ToolChoice | None, dict[str, Any]]:
    """The tools, the choice, and what of the field has no canonical counterpart.

    Raises:
        ShapeError: naming what is wrong.
    """
    if value is None:
        return (), None, {}
    source = as_object(value, "toolConfig")
    tools: list[ToolDefinition] = []
    for index, one in enumerate(optional(source, "tools", as_list, "toolConfig") or ()):
        path = f"toolConfig.tools[{index}]"
        tool = as_object(one, path)
        mark = cache_mark(tool)
        if mark is not None and tools and CACHE_MARK not in tools[-1].extra:
            tools[-1] = attrs.evolve(tools[-1], extra={**tools[-1].extra, CACHE_MARK: mark})
        else:
            tools.append(_decode_tool(tool, path))
    more = rest(source, frozenset({"tools", "toolChoice"}))
    choice = _decode_choice(source.get("toolChoice"))
    if choice is None and source.get("toolChoice") is not None:
        more["toolChoice"] = source["toolChoice"]
    return tuple(tools), choice, more


def encode_tool_config(
    tools: Sequence[ToolDefinition], choice: ToolChoice | None, *, own: bool = True
) -> dict[str, Any] | None:
    """The ``toolConfig``; None without tools, since the format has none then.

    Raises:
        InvalidRequestError: a tool is another format's own kind.
    """
    if not tools:
        return None
    written: list[dict[str, Any]] = []
    for tool in tools:
        written.append(_encode_tool(tool, own=own))
        point = cache_point(tool.extra)
        if point is not None:
            written.append(point)
    value: dict[str, Any] = {"tools": written}
    if choice is not None and choice.mode == "named":
        value["toolChoice"] = {"tool": {"name": choice.name}}
    elif choice is not None and choice.mode in _KINDS:
        value["toolChoice"] = {_KINDS[choice.mode]: {}}
    return value


def _decode_tool(source: dict[str, Any], path: str) -> ToolDefinition:
    """A tool; one that the service itself runs, and what nobody knows, is kept whole in ``extra``."""
    spec = source.get("toolSpec")
    if len(source) != 1 or spec is None:
        system = source.get("systemTool")
        name = system.get("name") if isinstance(system, dict) else None
        return ToolDefinition(
            name if isinstance(name, str) else next(iter(source), ""), extra={"type": "bedrock", **source}
        )
    spec = as_object(spec, f"{path}.toolSpec")
    schema = optional(spec, "inputSchema", as_object, f"{path}.toolSpec") or {}
    return ToolDefinition(
        name=as_text(spec.get("name"), f"{path}.toolSpec.name"),
        description=optional(spec, "description", as_text, f"{path}.toolSpec"),
        parameters=optional(schema, "json", as_object, f"{path}.toolSpec.inputSchema"),
        strict=optional(spec, "strict", as_boolean, f"{path}.toolSpec"),
        extra=rest(spec, _SPEC),
    )


def _decode_choice(value: Any) -> ToolChoice | None:
    match value:
        case {"tool": {"name": str(name)}}:
            return ToolChoice("named", name)
        case Mapping() if len(value) == 1 and (mode := _MODES.get(next(iter(value)))) is not None:
            return ToolChoice(mode)
        case _:
            return None


def _encode_tool(tool: ToolDefinition, *, own: bool) -> dict[str, Any]:
    if "type" in tool.extra:
        if own:
            return rest(tool.extra, frozenset({"type", CACHE_MARK}))
        raise InvalidRequestError(
            f"tool {tool.name!r} is built into another vendor's models: leave it out or choose one of those",
            param="tools",
            code="unsupported_tool",
        )
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": tool.parameters if own and tool.parameters is not None else _schema(tool.parameters)}
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return {"toolSpec": {**(rest(tool.extra, _SPEC | {CACHE_MARK}) if own else {}), **spec}}


def _schema(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """The schema of the input: an object in any case, since this format takes nothing else."""
    schema = dict(parameters or {})
    if schema.get("type") is None and not schema.keys() & {"anyOf", "oneOf", "allOf", "$ref"}:
        schema["type"] = "object"
        schema.setdefault("properties", {})
    return schema
