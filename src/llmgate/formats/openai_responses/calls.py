"""Calls of tools as items, to canonical calls and back.

Source: OpenAI API reference, "Create a model response", items ``function_call``, ``custom_tool_call``,
``local_shell_call`` and their outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.custom_tools import CUSTOM, free_text
from llmgate.formats.fields import as_object, as_text, optional, rest
from llmgate.spec import ToolCall, ToolCallResponse, ToolDefinition

from .parts import decode_content
from .tools import joined, parted

__all__ = ["CALLS", "OUTPUTS", "Toolbox", "decode_call", "decode_output", "encode_call", "legal_id"]

_LONGEST_ID: Final = 64

CALLS: Final = frozenset({"function_call", "custom_tool_call", "local_shell_call"})
"""Items that are calls of tools which the caller runs."""

OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output", "local_shell_call_output"})
"""Items that are what came of them."""


def decode_call(source: dict[str, Any], path: str) -> ToolCall:
    """A call. What its item has beside the canonical members is kept in ``extra``, below ``own`` if it is no function.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    kind = source["type"]
    call_id = as_text(source.get("call_id"), f"{path}.call_id")
    if kind == "local_shell_call":
        action = rest(as_object(source.get("action"), f"{path}.action"), frozenset({"type"}))
        return ToolCall(call_id, "local_shell", dumps(action).decode(), extra={"own": source})
    name, space = as_text(source.get("name"), f"{path}.name"), optional(source, "namespace", as_text, path)
    name = name if space is None else joined(space, name)
    if kind == "custom_tool_call":
        given = as_text(source.get("input"), f"{path}.input")
        return ToolCall(call_id, name, dumps({"input": given}).decode(), extra={"own": source})
    arguments = source.get("arguments")
    if not isinstance(arguments, str):  # some servers write the object itself
        arguments = "" if arguments is None else dumps(arguments).decode()
    return ToolCall(call_id, name, arguments, extra=rest(source, frozenset({"type", "call_id", "name", "arguments"})))


def encode_call(part: ToolCall, *, own: bool = True) -> dict[str, Any]:
    """A call as an item.

    Args:
        part: The call.
        own: Whether its ``extra`` belongs to this format and may be written.
    """
    source = part.extra.get("own") if own else None
    if isinstance(source, dict):
        return _own_call(part, source)
    if not own and part.extra.get(CUSTOM):
        given = {"name": part.name, "input": free_text(part.arguments)}
        return {"type": "custom_tool_call", "call_id": legal_id(part.id), **given}
    space = part.extra.get("namespace") if own else None
    name = parted(space, part.name) if isinstance(space, str) else part.name
    value = {"type": "function_call", "call_id": part.id, "name": name, "arguments": part.arguments}
    if own:
        return {**part.extra, **value}
    return {**value, "call_id": legal_id(part.id), "arguments": part.arguments or "{}"}


def legal_id(call_id: str) -> str:
    """An id of a call that this format takes: the same, or one made of it where it is longer than OpenAI allows."""
    if len(call_id) <= _LONGEST_ID:
        return call_id
    return f"call_{hashlib.sha256(call_id.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _own_call(part: ToolCall, source: Mapping[str, Any]) -> dict[str, Any]:
    if source["type"] == "custom_tool_call":
        return {**source, "call_id": part.id, "input": free_text(part.arguments)}
    return {**source, "call_id": part.id}


def decode_output(source: dict[str, Any], path: str) -> ToolCallResponse:
    """What came of a call."""
    name = "id" if source["type"] == "local_shell_call_output" and "call_id" not in source else "call_id"
    call_id = as_text(source.get(name), f"{path}.{name}")
    content = decode_content(source.get("output"), f"{path}.output")
    extra = rest(source, frozenset({"type", name, "output"}))
    if source["type"] != "function_call_output":
        extra["own"] = {"type": source["type"], "name": name}
    return ToolCallResponse(call_id, content, extra=extra)


class Toolbox:
    """The tools of one request, for writing calls of them in its caller's own kinds.

    Args:
        tools: The tools.
    """

    def __init__(self, tools: Iterable[ToolDefinition] = ()) -> None:
        self._special = {tool.name: tool for tool in tools if tool.extra.keys() & {"own", "namespace"}}

    def kind(self, name: str) -> str:
        """The kind of item that a call of a tool is."""
        tool = self._special.get(name)
        own = tool.extra.get("own") if tool is not None else None
        if not isinstance(own, dict):
            return "function_call"
        return "local_shell_call" if own["type"] == "local_shell" else "custom_tool_call"

    def item(self, call: ToolCall, item_id: str, status: str) -> dict[str, Any]:
        """A call as an item of an answer."""
        kind = self.kind(call.name)
        if kind == "local_shell_call":
            return {
                "type": kind,
                "id": item_id,
                "call_id": call.id,
                "status": status,
                "action": _action(call.arguments),
            }
        value: dict[str, Any] = {"type": kind, "id": item_id, "call_id": call.id, "status": status}
        tool = self._special.get(call.name)
        space = tool.extra.get("namespace") if tool is not None else None
        if isinstance(space, dict):
            value |= {"name": parted(space["name"], call.name), "namespace": space["name"]}
        else:
            value["name"] = call.name
        if kind == "custom_tool_call":
            return {**value, "input": free_text(call.arguments) if call.arguments else ""}
        return {**value, "arguments": call.arguments}


def _action(arguments: str) -> dict[str, Any]:
    """What the local shell is to do; a model that has not kept to the schema gets to hear so from the shell."""
    try:
        value = loads(arguments.encode("utf-8", "replace")) if arguments else {}
    except JSONError:
        value = {"command": [arguments]}
    value = value if isinstance(value, dict) else {"command": [arguments]}
    command = value.get("command")
    words = command if isinstance(command, list) else [] if command is None else [command]
    action: dict[str, Any] = {"type": "exec", "command": [str(word) for word in words], "env": {}}
    return {**action, **{name: value[name] for name in ("working_directory", "timeout_ms") if name in value}}
