"""Messages: one text each, with pictures, thoughts and calls beside it.

Source: Ollama, docs/api.md and api/types.go, ``Message``. Calls had no ids before version 0.13, and results named their
tool only: ids are then made of the place in the conversation, and results belong to the calls of their name in order.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.formats.fields import ShapeError, as_list, as_object, as_text, optional, rest
from llmgate.spec import (
    Blob,
    InvalidRequestError,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    Unknown,
)

from .parts import FORMAT, decode_media, tool_input

__all__ = ["decode_calls", "decode_messages", "encode_call", "encode_messages", "encode_turn"]

_ROLES: Final = frozenset({Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL})
_KNOWN: Final = frozenset({"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"})
_BETWEEN: Final = "\n"
"""What stands between texts of one message, which has room for one."""


def decode_messages(values: Sequence[Any]) -> tuple[Message, ...]:
    """The conversation.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    open_calls: list[ToolCall] = []
    messages = []
    for index, value in enumerate(values):
        message = _decode_message(value, index, open_calls)
        open_calls += [part for part in message.parts if isinstance(part, ToolCall)]
        messages.append(message)
    return tuple(messages)


def decode_calls(value: Any, path: str, ids: str) -> list[ToolCall]:
    """The calls of a message.

    Args:
        value: Its ``tool_calls``.
        path: Where they stand.
        ids: What the ids of calls begin with that have none.
    """
    return [_decode_call(call, f"{path}[{i}]", f"{ids}_{i}") for i, call in enumerate(as_list(value, path))]


def encode_messages(messages: Iterable[Message], *, own: bool = True) -> list[dict[str, Any]]:
    """Messages in this format, oldest first; every tool result is a message.

    Args:
        messages: The conversation.
        own: Whether what is in ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: a part has no counterpart in this format.
    """
    names: dict[str, str] = {}
    written: list[dict[str, Any]] = []
    for message in messages:
        names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
        results = [part for part in message.parts if isinstance(part, ToolCallResponse)]
        written += [_encode_result(message, part, names, own=own) for part in results]
        others = [part for part in message.parts if not isinstance(part, ToolCallResponse)]
        if others or not results:
            role = Role.SYSTEM if message.role is Role.DEVELOPER else message.role
            turn = {"role": role.value, **encode_turn(others)}
            written.append({**message.extra, **turn} if own else turn)
    return written


def encode_turn(parts: Sequence[Part]) -> dict[str, Any]:
    """The members of a message that say what is said.

    Raises:
        InvalidRequestError: a part has no counterpart in this format.
    """
    texts = [text for part in parts if (text := _text(part)) is not None]
    value: dict[str, Any] = {"content": _BETWEEN.join(texts)}
    thoughts = [part.text for part in parts if isinstance(part, Reasoning)]
    if thoughts:
        value["thinking"] = "".join(thoughts)
    images = [part.data for part in parts if isinstance(part, Blob) and _text(part) is None]
    if images:
        value["images"] = images
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if calls:
        value["tool_calls"] = [encode_call(call, index) for index, call in enumerate(calls)]
    return value


def encode_call(call: ToolCall, index: int) -> dict[str, Any]:
    """A call as an element of ``tool_calls``."""
    function = {"index": index, "name": call.name, "arguments": tool_input(call.arguments)}
    return {"id": call.id, "function": function}


def _decode_message(value: Any, index: int, open_calls: list[ToolCall]) -> Message:
    path = f"messages[{index}]"
    source = as_object(value, path)
    role = as_text(source.get("role"), f"{path}.role").lower()
    if role not in _ROLES:
        raise ShapeError(f"{path}.role", f"one of {', '.join(sorted(_ROLES))}")
    text = optional(source, "content", as_text, path)
    images = [
        as_text(one, f"{path}.images[{i}]") for i, one in enumerate(optional(source, "images", as_list, path) or ())
    ]
    said: list[Part] = [] if text is None or (not text and _says_more(source)) else [Text(text)]
    said += [decode_media(one) for one in images]
    extra = rest(source, _KNOWN)
    if role == Role.TOOL:
        call_id, more = _call_of(source, path, open_calls)
        return Message(Role.TOOL, (ToolCallResponse(call_id, tuple(said), extra=more),), extra=extra)
    thinking = optional(source, "thinking", as_text, path)
    calls = source.get("tool_calls")
    parts: list[Part] = [Reasoning(thinking)] if thinking else []
    parts += said
    parts += [] if calls is None else decode_calls(calls, f"{path}.tool_calls", f"call_{index}")
    return Message(Role(role), tuple(parts), extra=extra)


def _says_more(source: Mapping[str, Any]) -> bool:
    """Whether a message without text says something else, so that the text is only its room."""
    return any(source.get(name) for name in ("images", "thinking", "tool_calls"))


def _call_of(source: Mapping[str, Any], path: str, open_calls: list[ToolCall]) -> tuple[str, dict[str, Any]]:
    """The id of the call that a result belongs to, and the tool's name where no call tells it."""
    call_id = optional(source, "tool_call_id", as_text, path) or ""
    name = optional(source, "tool_name", as_text, path) or ""
    found = next((one for one in open_calls if (one.id == call_id if call_id else name in ("", one.name))), None)
    if found is not None:
        open_calls.remove(found)
        if name in ("", found.name):
            return call_id or found.id, {}
    return call_id or f"call_of_{name}", {"tool_name": name} if name else {}


def _decode_call(value: Any, path: str, otherwise: str) -> ToolCall:
    source = as_object(value, path)
    function = as_object(source.get("function"), f"{path}.function")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):  # the format's own are an object; some clients write OpenAI's text
        arguments = dumps({} if arguments is None else as_object(arguments, f"{path}.function.arguments")).decode()
    return ToolCall(
        id=optional(source, "id", as_text, path) or otherwise,
        name=as_text(function.get("name"), f"{path}.function.name"),
        arguments=arguments,
    )


def _encode_result(
    message: Message, result: ToolCallResponse, names: Mapping[str, str], *, own: bool
) -> dict[str, Any]:
    turn = encode_turn(result.content)
    if result.is_error:  # the format has no field for it
        turn["content"] = f"Error: {turn['content']}" if turn["content"] else "Error"
    name = (result.extra.get("tool_name") if own else None) or names.get(result.id)
    named = {"tool_name": name} if name else {}
    value = {"role": Role.TOOL.value, **turn, **named, "tool_call_id": result.id}
    return {**message.extra, **value} if own and message.role is Role.TOOL else value


def _text(part: Part) -> str | None:
    """What a part says as text; None for what has a place of its own.

    Raises:
        InvalidRequestError: it has no place at all.
    """
    match part:
        case Text(text=text) | Refusal(text=text):
            return text
        case Reasoning() | ToolCall():
            return None
        case Blob(modality="document", media_type="text/plain"):
            return _plain(part.data)
        case Blob(modality="image" | "audio"):
            return None
        case _:
            kind = f"a part of {part.format}" if isinstance(part, Unknown) else getattr(part, "modality", "a part")
            raise InvalidRequestError(
                f"messages hold {kind}, which {FORMAT} has no place for: leave it out or choose another model",
                param="messages",
                code="unsupported_content",
            )


def _plain(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidRequestError(
            "a document of type text/plain is not base64 of UTF-8 text", param="messages", code="unsupported_content"
        ) from None
