"""Messages of system, user, assistant and tools.

Source: Cohere API reference, "Chat (v2)", ``messages``. What an assistant says before it calls tools stands in
``tool_plan``, and so does the text that clients of other formats send beside calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.formats.fields import ShapeError, as_list, as_object, as_text, merged, optional, rest
from llmgate.spec import Message, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolCallResponse

from .citations import encode_citations, with_citations
from .parts import TOOL_PLAN, decode_content, encode_content, encode_part

__all__ = [
    "cited_fields",
    "decode_message",
    "decode_turn",
    "encode_calls",
    "encode_cited",
    "encode_messages",
    "plan_in",
]

_ROLES: Final = frozenset({Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL})
_KNOWN: Final = frozenset({"role", "content", "tool_calls", TOOL_PLAN})
_ATTACHED: Final = "The tool results above include:"
_NULL: Final = "null"
"""What some models write for the arguments of a tool that has none."""


def decode_message(value: Any, path: str) -> Message:
    """A message.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    source = as_object(value, path)
    role = as_text(source.get("role"), f"{path}.role").lower()
    if role not in _ROLES:
        raise ShapeError(f"{path}.role", f"one of {', '.join(sorted(_ROLES))}")
    if role == Role.TOOL:
        call_id = as_text(source.get("tool_call_id"), f"{path}.tool_call_id")
        content = decode_content(source.get("content"), f"{path}.content")
        extra = rest(source, _KNOWN | {"tool_call_id"})
        return Message(Role.TOOL, (ToolCallResponse(call_id, content),), extra=extra)
    parts = tuple(decode_turn(source, path))
    return Message(Role(role), parts, extra=rest(source, _KNOWN | cited_fields(source, parts)))


def decode_turn(source: dict[str, Any], path: str) -> list[Part]:
    """What a message says: its content, its plan and its calls.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    parts: list[Part] = list(decode_content(source.get("content"), f"{path}.content"))
    plan = optional(source, TOOL_PLAN, as_text, path)
    parts += [Text(plan, extra={"field": TOOL_PLAN})] if plan else []
    calls = optional(source, "tool_calls", as_list, path) or ()
    parts = list(with_citations(parts, source.get("citations")))
    return [*parts, *(_decode_call(call, f"{path}.tool_calls[{i}]", i) for i, call in enumerate(calls))]


def cited_fields(source: Mapping[str, Any], parts: Sequence[Part]) -> frozenset[str]:
    """The citations of a message, where they say no more than the sources behind its parts do."""
    given = source.get("citations")
    return frozenset({"citations"}) if given and given == encode_cited(parts, source.get("content")) else frozenset()


def encode_cited(parts: Sequence[Part], content: Any) -> list[dict[str, Any]]:
    """The citations of a message: the sources behind its texts, each in the block of the content that holds them."""
    blocks = content if isinstance(content, list) else []
    places = {one.get("text"): index for index, one in reversed(list(enumerate(blocks)))}
    written: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text) and part.citations:
            written += encode_citations(part.citations, part.text, places.get(part.text))
    return written


def encode_messages(messages: Iterable[Message], *, own: bool = True) -> list[dict[str, Any]]:
    """Messages in this format, oldest first.

    Tool results become ``tool`` messages before the rest of their turn. Those are text here, so that pictures in them
    follow as a user message.

    Args:
        messages: The conversation.
        own: Whether what is in ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: a part has no counterpart in this format.
    """
    written: list[dict[str, Any]] = []
    attached: list[dict[str, Any]] = []
    for message in messages:
        results = [part for part in message.parts if isinstance(part, ToolCallResponse)]
        for result in results:
            written.append(_encode_result(message, result, own=own))
            attached += [encode_part(part, own=own) for part in result.content if not _stays(part, own=own)]
        others = [part for part in message.parts if not isinstance(part, ToolCallResponse)]
        if others or not results:
            _flush(attached, written)
            written.append(_encode_turn(message, others, own=own))
    _flush(attached, written)
    return written


def plan_in(parts: Sequence[Part], *, own: bool) -> list[Part]:
    """The texts that belong into ``tool_plan``: those that came from there, or all beside calls of another format."""
    if own:
        return [part for part in parts if isinstance(part, Text) and part.extra.get("field") == TOOL_PLAN]
    calls = any(isinstance(part, ToolCall) for part in parts)
    return [part for part in parts if isinstance(part, Text | Refusal)] if calls else []


def encode_calls(calls: Sequence[ToolCall], *, own: bool = True) -> list[dict[str, Any]]:
    """The ``tool_calls`` of a message."""
    return [_encode_call(call, own=own) for call in calls]


def _encode_turn(message: Message, parts: Sequence[Part], *, own: bool) -> dict[str, Any]:
    role = Role.SYSTEM if message.role is Role.DEVELOPER else message.role
    plan = plan_in(parts, own=own)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    elsewhere = {id(part) for part in (*plan, *calls)}
    content = [part for part in parts if id(part) not in elsewhere]
    value: dict[str, Any] = {"role": role.value}
    if content or not (plan or calls):
        value["content"] = encode_content(content, own=own) if content else ""
    if plan:
        value[TOOL_PLAN] = "".join(part.text for part in plan if isinstance(part, Text | Refusal))
    if calls:
        value["tool_calls"] = encode_calls(calls, own=own)
    cited = encode_cited(content, value.get("content"))
    if cited and not (own and "citations" in message.extra):
        value["citations"] = cited
    return {**message.extra, **value} if own else value


def _stays(part: Part, *, own: bool) -> bool:
    """Whether a part of a tool's result may stand in it."""
    return isinstance(part, Text | Refusal | Reasoning) or encode_part(part, own=own)["type"] != "image_url"


def _encode_result(message: Message, result: ToolCallResponse, *, own: bool) -> dict[str, Any]:
    parts: list[Part] = [part for part in result.content if _stays(part, own=own)]
    if result.is_error:  # the format has no field for it
        head = parts[0] if parts else None
        if isinstance(head, Text):
            parts[0] = Text(f"Error: {head.text}")
        else:
            parts.insert(0, Text("Error"))
    value: dict[str, Any] = {
        "role": Role.TOOL.value,
        "tool_call_id": result.id,
        "content": encode_content(parts, own=own) if parts else "",
    }
    return {**message.extra, **value} if own and message.role is Role.TOOL else value


def _flush(attached: list[dict[str, Any]], written: list[dict[str, Any]]) -> None:
    if attached:
        written.append({"role": Role.USER.value, "content": [{"type": "text", "text": _ATTACHED}, *attached]})
        attached.clear()


def _decode_call(value: Any, path: str, index: int) -> ToolCall:
    source = as_object(value, path)
    function = as_object(source.get("function") or {}, f"{path}.function")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else dumps(arguments).decode()
    extra = rest(source, frozenset({"id", "type", "function"}))
    inside = rest(function, frozenset({"name", "arguments"}))
    return ToolCall(
        id=optional(source, "id", as_text, path) or f"call_{index}",
        name=optional(function, "name", as_text, f"{path}.function") or "",
        arguments="{}" if arguments.strip() == _NULL else arguments,
        extra={**extra, "function": inside} if inside else extra,
    )


def _encode_call(call: ToolCall, *, own: bool) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    value = {"id": call.id, "type": "function", "function": function}
    return merged(value, call.extra) if own else value
