"""Tools, and the shape of the answer.

Source: Ollama, docs/api.md, and api/types.go: ``Tool``, ``Format``. There is no choice of tools: the model is free.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from llmgate.formats.fields import ShapeError, as_object, as_text, merged, optional, rest
from llmgate.spec import InvalidRequestError, OutputFormat, ToolDefinition

__all__ = ["decode_format", "decode_tool", "encode_format", "encode_tools"]

_KNOWN: Final = frozenset({"name", "description", "parameters"})
_JSON: Final = "json"


def decode_tool(value: Any, path: str) -> ToolDefinition:
    """A tool; fields without a canonical place are kept in ``extra``, those of the function below its name."""
    source = as_object(value, path)
    function = as_object(source.get("function"), f"{path}.function")
    extra = rest(source, frozenset({"type", "function"}))
    inside = rest(function, _KNOWN)
    return ToolDefinition(
        name=as_text(function.get("name"), f"{path}.function.name"),
        description=optional(function, "description", as_text, f"{path}.function"),
        parameters=optional(function, "parameters", as_object, f"{path}.function"),
        extra={**extra, "function": inside} if inside else extra,
    )


def encode_tools(tools: Iterable[ToolDefinition], *, own: bool = True) -> list[dict[str, Any]]:
    """The ``tools`` array.

    Raises:
        InvalidRequestError: a tool is another format's own kind.
    """
    return [_encode_tool(tool, own=own) for tool in tools]


def decode_format(value: Any) -> OutputFormat | None:
    """The shape of the answer: ``"json"``, or a schema; None for none.

    Raises:
        ShapeError: it is neither.
    """
    if value is None or value == "":
        return None
    if value == _JSON:
        return OutputFormat("json")
    if not isinstance(value, dict):
        raise ShapeError("format", '"json" or a JSON schema')
    return OutputFormat("json_schema", schema=value)


def encode_format(output: OutputFormat) -> Any:
    """The ``format``; None for plain text, which has none."""
    if output.type == "text":
        return None
    return _JSON if output.schema is None else output.schema


def _encode_tool(tool: ToolDefinition, *, own: bool) -> dict[str, Any]:
    if not own and "type" in tool.extra:
        raise InvalidRequestError(
            f"tool {tool.name!r} is built into another vendor's models: leave it out or choose one of those",
            param="tools",
            code="unsupported_tool",
        )
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None or not own:
        function["parameters"] = tool.parameters if own and tool.parameters is not None else _schema(tool.parameters)
    value = {"type": "function", "function": function}
    return merged(value, tool.extra) if own else value


def _schema(parameters: Any) -> dict[str, Any]:
    """The schema of the arguments, with the two members that the server's own type demands."""
    return {"type": "object", "properties": {}, **(parameters or {})}
