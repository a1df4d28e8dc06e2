"""Content parts of two other formats that Cursor mixes into chat messages: Anthropic's blocks and Responses' parts.

With a model whose name begins with ``claude-`` its agent writes calls, results and tools as Anthropic has them.
Sources: issues in automazeio/vibeproxy (411), router-for-me/CLIProxyAPI (3804) and Soju06/codex-lb (833).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmgate.codecs.jsons import dumps
from llmgate.formats.fields import ShapeError, as_boolean, as_object, as_text, optional, rest
from llmgate.spec import Blob, Part, Text, ToolCall, ToolCallResponse, ToolDefinition, Unknown, Uri

__all__ = ["decode_call", "decode_image", "decode_result", "decode_said", "decode_tool", "is_tool"]


def decode_call(source: dict[str, Any], kind: str, path: str) -> Part:  # noqa: ARG001 - the signature of all decoders
    """A ``tool_use`` block."""
    given = source.get("input")
    return ToolCall(
        id=as_text(source.get("id"), f"{path}.id"),
        name=as_text(source.get("name"), f"{path}.name"),
        arguments=dumps({} if given is None else as_object(given, f"{path}.input")).decode(),
    )


def decode_result(source: dict[str, Any], kind: str, path: str) -> Part:  # noqa: ARG001 - see above
    """A ``tool_result`` block."""
    return ToolCallResponse(
        id=as_text(source.get("tool_use_id"), f"{path}.tool_use_id"),
        content=_content(source.get("content"), f"{path}.content"),
        is_error=optional(source, "is_error", as_boolean, path) or False,
    )


def decode_image(source: dict[str, Any], kind: str, path: str) -> Part:
    """An ``image`` block."""
    match source.get("source"):
        case {"type": "base64", "media_type": str(media_type), "data": str(data)}:
            return Blob(kind, media_type, data)
        case {"type": "url", "url": str(url)}:
            return Uri(kind, url)
        case _:
            raise ShapeError(f"{path}.source", "a picture in base64 or behind an address")


def decode_said(source: dict[str, Any], kind: str, path: str) -> Part:  # noqa: ARG001 - see above
    """An ``input_text`` or ``output_text`` part."""
    return Text(as_text(source.get("text"), f"{path}.text"))


def is_tool(source: Mapping[str, Any]) -> bool:
    """Whether a tool is written as Anthropic has it."""
    return "input_schema" in source and "function" not in source and source.get("type", "custom") == "custom"


def decode_tool(source: Mapping[str, Any], path: str) -> ToolDefinition:
    """A tool as Anthropic has it."""
    mark = source.get("cache_control")
    return ToolDefinition(
        name=as_text(source.get("name"), f"{path}.name"),
        description=optional(source, "description", as_text, path),
        parameters=as_object(source.get("input_schema"), f"{path}.input_schema"),
        strict=optional(source, "strict", as_boolean, path),
        extra={"cache_control": mark} if isinstance(mark, dict) else {},
    )


def _content(value: Any, path: str) -> tuple[Part, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        raise ShapeError(path, "a string or an array of blocks")
    return tuple(_block(block, f"{path}[{index}]") for index, block in enumerate(value))


def _block(value: Any, path: str) -> Part:
    source = as_object(value, path)
    match source.get("type"):
        case "text":
            return Text(as_text(source.get("text"), f"{path}.text"), extra=rest(source, frozenset({"type", "text"})))
        case "image":
            return decode_image(source, "image", path)
        case _:
            return Unknown("anthropic-messages", source)
