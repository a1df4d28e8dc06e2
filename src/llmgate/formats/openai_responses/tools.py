"""Tools, tool choice and the shape of the answer.

Source: OpenAI API reference, "Create a model response", ``tools``, ``tool_choice``, ``text``. Three kinds of tools are
run by the caller: functions, custom tools (whose input is free text) and the local shell. Models of other vendors know
functions only, so that the other two are functions in the canonical types, and ``own`` in a tool's ``extra`` keeps what
the caller wrote; a ``Toolbox`` turns calls of them back. Tools of a namespace are named ``namespace__tool``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.custom_tools import CUSTOM, INPUT, grammar_text
from llmgate.formats.fields import ShapeError, as_boolean, as_list, as_object, as_text, merged, optional, rest
from llmgate.spec import InvalidRequestError, OutputFormat, ToolChoice, ToolDefinition

__all__ = [
    "decode_output_format",
    "decode_tool_choice",
    "decode_tools",
    "encode_output_format",
    "encode_tool_choice",
    "encode_tools",
    "joined",
    "parted",
]

_MODES: Final = frozenset({"auto", "none", "required"})
_FUNCTION: Final = frozenset({"type", "name", "description", "parameters", "strict"})
_OUTPUT_TYPES: Final = {"text": "text", "json_object": "json", "json_schema": "json_schema"}
_SHELL: Final = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
        "working_directory": {"type": "string"},
        "timeout_ms": {"type": "integer"},
    },
    "required": ["command"],
    "additionalProperties": False,
}
_SHELL_TEXT: Final = "Run a command in the user's shell and see what it prints."


def joined(namespace: str, name: str) -> str:
    """The name of a tool of a namespace."""
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


def parted(namespace: str, name: str) -> str:
    """The name of a tool within its namespace; the reverse of ``joined``."""
    return name.removeprefix(joined(namespace, ""))


def decode_tools(value: Any, path: str) -> tuple[ToolDefinition, ...]:
    """The tools, those of namespaces one by one.

    A tool that OpenAI runs (``web_search``, ``file_search``, ``mcp``) is kept whole in ``extra``, whose ``type`` tells;
    only this format can write it.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    tools: list[ToolDefinition] = []
    for index, one in enumerate(as_list(value, path)):
        source, place = as_object(one, f"{path}[{index}]"), f"{path}[{index}]"
        if source.get("type") == "namespace":
            tools += _decode_namespace(source, place)
        else:
            tools.append(_decode_tool(source, place))
    return tuple(tools)


def _decode_namespace(source: dict[str, Any], path: str) -> Iterable[ToolDefinition]:
    name = as_text(source.get("name"), f"{path}.name")
    whole = rest(source, frozenset({"type", "tools"}))
    for index, one in enumerate(as_list(source.get("tools"), f"{path}.tools")):
        tool = _decode_tool(as_object(one, f"{path}.tools[{index}]"), f"{path}.tools[{index}]")
        yield attrs.evolve(tool, name=joined(name, tool.name), extra={**tool.extra, "namespace": whole})


def _decode_tool(source: dict[str, Any], path: str) -> ToolDefinition:
    kind = as_text(source.get("type"), f"{path}.type")
    if kind == "custom":
        name = as_text(source.get("name"), f"{path}.name")
        text = optional(source, "description", as_text, path)
        return ToolDefinition(name, grammar_text(text, source.get("format")), INPUT, extra={"own": source})
    if kind == "local_shell":
        return ToolDefinition(kind, _SHELL_TEXT, _SHELL, extra={"own": source})
    if kind != "function":
        named = source.get("name")
        return ToolDefinition(named if isinstance(named, str) else kind, extra=source)
    return ToolDefinition(
        name=as_text(source.get("name"), f"{path}.name"),
        description=optional(source, "description", as_text, path),
        parameters=optional(source, "parameters", as_object, path),
        strict=optional(source, "strict", as_boolean, path),
        extra=rest(source, _FUNCTION),
    )


def encode_tools(tools: Sequence[ToolDefinition], *, own: bool = True) -> list[dict[str, Any]]:
    """The ``tools`` array.

    Args:
        tools: What the model may call.
        own: Whether what is in ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: a tool is another format's own kind.
    """
    written: list[dict[str, Any]] = []
    for tool in tools:
        space = tool.extra.get("namespace") if own else None
        if not isinstance(space, dict):
            written.append(_encode_tool(tool, tool.name, own=own))
            continue
        if not (written and written[-1]["type"] == "namespace" and written[-1]["name"] == space["name"]):
            written.append({"type": "namespace", **space, "tools": []})
        written[-1]["tools"].append(_encode_tool(tool, parted(space["name"], tool.name), own=own))
    return written


def _encode_tool(tool: ToolDefinition, name: str, *, own: bool) -> dict[str, Any]:
    if own and "own" in tool.extra:
        return dict(tool.extra["own"])
    if not own and isinstance(tool.extra.get(CUSTOM), dict):
        return dict(tool.extra[CUSTOM])
    if "type" in tool.extra:
        if own:
            return rest(tool.extra, frozenset({"namespace"}))
        raise InvalidRequestError(
            f"tool {tool.name!r} is built into another vendor's models: leave it out or choose one of those",
            param="tools",
            code="unsupported_tool",
        )
    value: dict[str, Any] = {"type": "function", "name": name}
    if tool.description is not None:
        value["description"] = tool.description
    if own:
        value |= {} if tool.parameters is None else {"parameters": tool.parameters}
        value |= {} if tool.strict is None else {"strict": tool.strict}
        return merged(value, rest(tool.extra, frozenset({"namespace"})))
    # Here a function is strict unless it says otherwise; elsewhere it is the reverse.
    return {**value, "parameters": tool.parameters or {"type": "object", "properties": {}}, "strict": bool(tool.strict)}


def decode_tool_choice(value: Any) -> ToolChoice | None:
    """The choice; None for a kind that the canonical types do not have (``allowed_tools``, a built-in tool)."""
    if isinstance(value, str) and value in _MODES:
        return ToolChoice(value)
    match value:
        case {"type": "function" | "custom", "name": str(name), **more} if not more:
            return ToolChoice("named", name)
        case _:
            return None


def encode_tool_choice(choice: ToolChoice, tools: Sequence[ToolDefinition], *, own: bool = True) -> Any:
    """The ``tool_choice``.

    Args:
        choice: The choice.
        tools: The tools, which tell whether the one chosen is a custom one.
        own: Whether they came in this format.
    """
    if choice.mode != "named":
        return choice.mode
    mark = "own" if own else CUSTOM
    custom = any(tool.name == choice.name and mark in tool.extra for tool in tools)
    return {"type": "custom" if custom else "function", "name": choice.name}


def decode_output_format(value: Any, path: str) -> tuple[OutputFormat | None, dict[str, Any]]:
    """The shape of the answer, and what of the field has no canonical counterpart (all of an unknown type)."""
    source = as_object(value, path)
    kind = as_text(source.get("type"), f"{path}.type")
    if kind not in _OUTPUT_TYPES:
        return None, source
    if kind != "json_schema":
        return OutputFormat(_OUTPUT_TYPES[kind]), rest(source, frozenset({"type"}))
    if source.get("schema") is None:
        raise ShapeError(f"{path}.schema", "an object")
    return OutputFormat(
        type=kind,
        schema=as_object(source["schema"], f"{path}.schema"),
        name=optional(source, "name", as_text, path),
        strict=optional(source, "strict", as_boolean, path),
        description=optional(source, "description", as_text, path),
    ), rest(source, frozenset({"type", "name", "strict", "schema", "description"}))


def encode_output_format(output: OutputFormat) -> dict[str, Any]:
    """The ``text.format``; a schema without a name gets one, since the format demands it."""
    if output.type != "json_schema":
        return {"type": "json_object" if output.type == "json" else output.type}
    given = {"description": output.description, "schema": output.schema or {}, "strict": output.strict}
    known = {name: one for name, one in given.items() if one is not None}
    return {"type": "json_schema", "name": output.name or "answer", **known}
