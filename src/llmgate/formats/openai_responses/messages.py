"""The conversation: instructions and a list of items, to canonical messages and back.

Source: OpenAI API reference, "Create a model response", ``instructions`` and ``input``. What a model says in one turn
is several items here (reasoning, messages, calls) and one message in the canonical types, in the same order. Where an
item of the turn began is kept in the ``extra`` of its first part (``item``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.cache_marks import breakpoint_of
from llmgate.formats.custom_tools import CUSTOM
from llmgate.formats.fields import ShapeError, as_list, as_object, as_text, optional, rest
from llmgate.spec import Message, Part, Reasoning, Role, Text, ToolCall, ToolCallResponse, Unknown

from .calls import CALLS, OUTPUTS, decode_call, decode_output, encode_call, legal_id
from .parts import FORMAT, decode_content, encode_content, encode_part
from .reasoning import decode_reasoning, encode_reasoning

__all__ = ["INSTRUCTIONS", "decode_conversation", "decode_items", "encode_conversation"]

INSTRUCTIONS: Final = {"place": "instructions"}
"""``extra`` of the system message that came as ``instructions``."""

_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM, "developer": Role.DEVELOPER}
_SYSTEM: Final = frozenset({Role.SYSTEM, Role.DEVELOPER})
_GAP: Final = "\n\n"
"""What stands between system messages that become one text."""

_MESSAGE: Final = frozenset({"type", "role", "content"})
_TURN: Final = frozenset({"mcp_list_tools", "program", "program_output", "tool_search_output", "web_search_call"})


def decode_conversation(instructions: Any, given: Any) -> tuple[Message, ...]:
    """The conversation.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    messages: list[Message] = []
    if instructions is not None:
        messages.append(Message(Role.SYSTEM, (Text(as_text(instructions, "instructions")),), extra=dict(INSTRUCTIONS)))
    if isinstance(given, str):
        messages.append(Message(Role.USER, (Text(given),)))
    elif given is not None:
        messages += decode_items(as_list(given, "input"), "input")
    return tuple(messages)


def decode_items(items: Sequence[Any], path: str) -> Iterable[Message]:
    """Items as messages, those of one turn of the model's together."""
    turn: list[Part] = []
    for index, one in enumerate(items):
        place = f"{path}[{index}]"
        source = as_object(one, place)
        said = _turn_parts(source, place)
        if said is not None:
            turn += said
            continue
        if turn:
            yield Message(Role.ASSISTANT, tuple(turn))
            turn = []
        yield _message(source, place)
    if turn:
        yield Message(Role.ASSISTANT, tuple(turn))


def _turn_parts(source: dict[str, Any], path: str) -> Sequence[Part] | None:
    """What an item adds to the model's turn; None for one that is no part of it."""
    kind = _kind(source, path)
    if kind in CALLS:
        return (decode_call(source, path),)
    if kind == "reasoning":
        return (decode_reasoning(source),)
    if kind == "message":
        return _assistant_parts(source, path) if source.get("role") == "assistant" else None
    if kind in OUTPUTS and (source.get("call_id") is not None or source.get("id") is not None):
        return None
    if kind in _TURN or kind.endswith("_call"):
        return (Unknown(FORMAT, source),)
    return None


def _kind(source: dict[str, Any], path: str) -> str:
    """The kind of an item; one that names a role only is a message, one that names an id only refers to another."""
    kind = optional(source, "type", as_text, path)
    if kind is not None:
        return kind
    if "role" in source:
        return "message"
    if "id" in source:
        return "item_reference"
    raise ShapeError(f"{path}.type", "a string")


def _assistant_parts(source: dict[str, Any], path: str) -> Sequence[Part]:
    parts = decode_content(source.get("content"), f"{path}.content")
    head = parts[0] if parts else None
    if isinstance(head, Text):
        more = rest(source, _MESSAGE)
        parts = (attrs.evolve(head, extra={**head.extra, "item": more}), *parts[1:])
    return parts


def _message(source: dict[str, Any], path: str) -> Message:
    kind = _kind(source, path)
    if kind in OUTPUTS:
        return Message(Role.TOOL, (decode_output(source, path),))
    if kind != "message":
        return Message(Role.USER, (Unknown(FORMAT, source),))
    role = as_text(source.get("role"), f"{path}.role")
    if role not in _ROLES:
        raise ShapeError(f"{path}.role", f"one of {', '.join(_ROLES)}")
    content = decode_content(source.get("content"), f"{path}.content")
    return Message(_ROLES[role], content, extra=rest(source, _MESSAGE))


def encode_conversation(messages: Sequence[Message], *, own: bool = True) -> tuple[str | None, list[dict[str, Any]]]:
    """The ``instructions`` (None for none) and the ``input``.

    Args:
        messages: The conversation, oldest first.
        own: Whether it came in this format, and may be written as it is.

    Raises:
        InvalidRequestError: a part has no counterpart in this format.
    """
    leading = 0
    if own:
        leading = 1 if messages and messages[0].extra.get("place") == INSTRUCTIONS["place"] else 0
    else:
        while leading < len(messages) and _is_plain_system(messages[leading]):
            leading += 1
        leading = 0 if leading == len(messages) else leading  # something must be input
    texts = [part.text for message in messages[:leading] for part in message.parts if isinstance(part, Text)]
    items: list[dict[str, Any]] = []
    for message in messages[leading:]:
        items += _encode_message(message, own=own)
    return _GAP.join(texts) if texts else None, items


def _is_plain_system(message: Message) -> bool:
    return message.role in _SYSTEM and all(isinstance(one, Text) and not breakpoint_of(one) for one in message.parts)


def _encode_message(message: Message, *, own: bool) -> Iterable[dict[str, Any]]:
    for part in message.parts:
        if isinstance(part, ToolCallResponse):
            yield _encode_output(part, own=own)
    others = [part for part in message.parts if not isinstance(part, ToolCallResponse)]
    if message.role is Role.ASSISTANT:
        yield from _encode_turn(others, own=own)
    elif others and isinstance(others[0], Unknown) and _is_item(others[0]):
        yield dict(others[0].value)
    elif others or len(others) == len(message.parts):
        role = Role.USER if message.role is Role.TOOL else message.role
        value = {"type": "message", "role": role.value, "content": encode_content(others, role, own=own)}
        yield {**message.extra, **value} if own else value


def _is_item(part: Unknown) -> bool:
    return part.format == FORMAT and "part" not in part.value


def _encode_turn(parts: Sequence[Part], *, own: bool) -> Iterable[dict[str, Any]]:
    """The items of a turn; parts of one message item stand together."""
    open_parts: list[Part] = []
    for part in parts:
        if _begins_item(part, open_parts, own=own):
            yield from _message_item(open_parts, own=own)
            open_parts = []
        item = _item(part, own=own)
        if item is None:
            open_parts.append(part)
        elif item:
            yield item
    yield from _message_item(open_parts, own=own)


def _begins_item(part: Part, open_parts: Sequence[Part], *, own: bool) -> bool:
    if not open_parts:
        return False
    if isinstance(part, ToolCall | Reasoning) or (isinstance(part, Unknown) and _is_item(part)):
        return True
    return own and isinstance(part, Text) and "item" in part.extra


def _item(part: Part, *, own: bool) -> dict[str, Any] | None:
    """A part that is an item of its own: empty for reasoning of other formats' models, None for parts of a message."""
    match part:
        case ToolCall():
            return encode_call(part, own=own)
        case Reasoning():
            return encode_reasoning(part) or {}
        case Unknown() if _is_item(part):
            return dict(part.value)
        case _:
            return None


def _message_item(parts: Sequence[Part], *, own: bool) -> Iterable[dict[str, Any]]:
    if not parts:
        return
    head = parts[0]
    more = head.extra.get("item") if own and isinstance(head, Text) else None
    more = more if isinstance(more, dict) else {}
    content: Any = [encode_part(part, Role.ASSISTANT, own=own) for part in parts]
    if len(parts) == 1 and isinstance(head, Text) and not head.citations and "id" not in more:
        content = content if own and head.extra.keys() - {"item"} else head.text
    yield {**more, "type": "message", "role": Role.ASSISTANT.value, "content": content}


def _encode_output(part: ToolCallResponse, *, own: bool) -> dict[str, Any]:
    content = list(part.content)
    if part.is_error:  # the format has no field for it
        head = content[0] if content else None
        if isinstance(head, Text):
            content[0] = Text(f"Error: {head.text}", extra=head.extra)
        else:
            content.insert(0, Text("Error"))
    output = encode_content(content, Role.TOOL, own=own) if content else ""
    if not own and part.extra.get(CUSTOM):
        return {"type": "custom_tool_call_output", "call_id": legal_id(part.id), "output": output}
    extra = dict(part.extra) if own else {}
    source = extra.pop("own", {"type": "function_call_output", "name": "call_id"})
    call_id = part.id if own else legal_id(part.id)
    return {**extra, "type": source["type"], source["name"]: call_id, "output": output}
