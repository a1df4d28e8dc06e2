"""Custom tools of OpenAI's formats, whose input is free text, as models see them that know functions only.

Such a tool is a function with one text as its argument in the canonical types. What its caller wrote is in ``extra``,
as ``own`` in the words of his format and as ``custom`` in those of Responses; chat completions have one more object.
Source: OpenAI API reference, "Create chat completion" and "Create a model response", ``tools``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, dumps, loads, top
from llmgate.formats.fields import as_object, as_text, optional, rest
from llmgate.spec import GatewayRequest, Message, ToolCall, ToolCallResponse, ToolDefinition

__all__ = [
    "CUSTOM",
    "INPUT",
    "custom_call",
    "custom_names",
    "custom_tool",
    "free_text",
    "grammar_text",
    "shown_call",
    "with_custom_results",
]

CUSTOM: Final = "custom"
"""The kind of such tools and calls, and the mark of what belongs to them."""

INPUT: Final = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input of the tool, as plain text."}},
    "required": ["input"],
    "additionalProperties": False,
}
"""The arguments of the function that a custom tool is for models of other vendors."""


def free_text(arguments: str) -> str:
    """The input of a custom tool, of the arguments of the function that it was for the model."""
    try:
        value = loads(arguments.encode("utf-8", "replace"))
    except JSONError:
        return arguments
    match value:
        case {"input": str(text), **more} if not more:
            return text
        case str(text):
            return text
        case {**more} if not more:
            return ""
        case _:
            return arguments


def grammar_text(text: str | None, shape: Any) -> str | None:
    """What a model that knows functions only is told of a custom tool: its grammar too.

    Args:
        text: The tool's description.
        shape: The format of its input, as Responses have it.
    """
    match shape:
        case {"type": "grammar", "definition": str(definition), "syntax": str(syntax)}:
            told = f"The input must match this {syntax} grammar:\n{definition}"
            return f"{text}\n\n{told}" if text else told
        case _:
            return text


def custom_tool(source: dict[str, Any], path: str) -> ToolDefinition:
    """A custom tool of chat completions.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    inner = as_object(source.get(CUSTOM), f"{path}.custom")
    name = as_text(inner.get("name"), f"{path}.custom.name")
    text = optional(inner, "description", as_text, f"{path}.custom")
    flat: dict[str, Any] = {"type": CUSTOM, **inner}
    match inner.get("format"):
        case {"type": "grammar", "grammar": {**grammar}}:
            flat["format"] = {"type": "grammar", **grammar}
    return ToolDefinition(name, grammar_text(text, flat.get("format")), INPUT, extra={"own": source, CUSTOM: flat})


def custom_call(source: dict[str, Any]) -> ToolCall | None:
    """A call of a custom tool in chat completions; None for anything else."""
    match source:
        case {"type": "custom", "id": str(call_id), "custom": {"name": str(name), "input": str(given)}}:
            return ToolCall(call_id, name, dumps({"input": given}).decode(), extra={"own": source, CUSTOM: True})
        case _:
            return None


def with_custom_results(messages: Sequence[Message]) -> Sequence[Message]:
    """Messages in which results of custom tools say that they are; the very same where there are none."""
    called = {
        part.id for one in messages for part in one.parts if isinstance(part, ToolCall) and part.extra.get(CUSTOM)
    }
    if not called:
        return messages
    return tuple(_marked(message, called) for message in messages)


def _marked(message: Message, called: Collection[str]) -> Message:
    parts = tuple(
        attrs.evolve(part, extra={**part.extra, CUSTOM: True})
        if isinstance(part, ToolCallResponse) and part.id in called
        else part
        for part in message.parts
    )
    return message if parts == message.parts else attrs.evolve(message, parts=parts)


def custom_names(request: GatewayRequest) -> frozenset[str]:
    """The names of the custom tools that a request in chat completions has."""
    if request.upload is not None or b'"custom"' not in request.body:
        return frozenset()
    try:
        tools = top(request.body).get("tools")
    except JSONError:
        return frozenset()
    return frozenset(_names(tools if isinstance(tools, list) else ()))


def _names(tools: Iterable[Any]) -> Iterable[str]:
    for tool in tools:
        match tool:
            case {"type": "custom", "custom": {"name": str(name)}}:
                yield name


def shown_call(call: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """A whole call as chat completions have it: one of a custom tool as such, any other as it is."""
    function = call.get("function")
    if not isinstance(function, dict) or function.get("name") not in names:
        return dict(call)
    given = free_text(function.get("arguments") or "")
    inner = {"name": function["name"], "input": given}
    return {**rest(call, frozenset({"function"})), "type": CUSTOM, CUSTOM: inner}
