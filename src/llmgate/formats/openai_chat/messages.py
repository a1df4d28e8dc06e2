"""Chat messages: one canonical ``Message`` is one or more messages of this format.

Source: OpenAI API reference, "Create chat completion", ``messages``. Reasoning has no field there; compatible vendors
use ``reasoning_content`` (DeepSeek, Kimi, Qwen) or ``reasoning`` (OpenRouter, Groq, vLLM), and ``thinking_blocks``
carries signed reasoning, as LiteLLM's clients know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.formats.cache_marks import breakpoint_of
from llmgate.formats.citations import joined, spread
from llmgate.formats.custom_tools import CUSTOM, custom_call, free_text
from llmgate.formats.fields import ShapeError, as_list, as_object, as_text, optional, rest
from llmgate.formats.thought_signatures import signature_in, signed
from llmgate.spec import Message, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolCallResponse, Unknown

from .citations import decode_annotations, encode_annotations
from .parts import FORMAT, decode_part, encode_part

__all__ = ["decode_content", "decode_message", "decode_reasoning", "encode_messages", "encode_reasoning", "encode_turn"]

_ROLES: Final = frozenset(role.value for role in Role)
_KNOWN: Final = frozenset({"role", "content", "name", "tool_calls", "refusal"})
_REASONING_FIELDS: Final = ("reasoning_content", "reasoning")
_ATTACHED: Final = "The tool results above include:"


def decode_message(value: Any, path: str) -> Message:
    """A message.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    source = as_object(value, path)
    role = as_text(source.get("role"), f"{path}.role")
    if role not in _ROLES:
        raise ShapeError(f"{path}.role", f"one of {', '.join(Role)}")
    name = optional(source, "name", as_text, path)
    content: Sequence[Part] = decode_content(source.get("content"), f"{path}.content")
    if role == Role.TOOL:
        call_id = as_text(source.get("tool_call_id"), f"{path}.tool_call_id")
        extra = rest(source, _KNOWN | {"tool_call_id"})
        return Message(Role.TOOL, (ToolCallResponse(call_id, content),), name=name, extra=extra)
    reasoning, used = decode_reasoning(source)
    if source.get("annotations"):
        content, used = _cited(content, source["annotations"], used)
    parts: list[Part] = [*reasoning, *content]
    refusal = optional(source, "refusal", as_text, path)
    if refusal is not None:
        parts.append(Refusal(refusal))
    calls = optional(source, "tool_calls", as_list, path) or ()
    parts += [_decode_call(call, f"{path}.tool_calls[{index}]") for index, call in enumerate(calls)]
    return Message(Role(role), tuple(parts), name=name, extra=rest(source, _KNOWN | used))


def _cited(content: Sequence[Part], annotations: Any, used: frozenset[str]) -> tuple[Sequence[Part], frozenset[str]]:
    """The parts with the sources behind them, and the fields that have been used: those that say no more than that."""
    text, _ = joined(content)
    found = decode_annotations(annotations, text)
    same = any(isinstance(one, Text) for one in content) and encode_annotations(found, len(text)) == annotations
    return spread(content, found), used | {"annotations"} if same else used


def decode_content(value: Any, path: str) -> tuple[Part, ...]:
    """The parts of a ``content``: null, a string or an array."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        raise ShapeError(path, "a string or an array of parts")
    return tuple(decode_part(part, f"{path}[{index}]") for index, part in enumerate(value))


def decode_reasoning(source: Mapping[str, Any]) -> tuple[Sequence[Reasoning], frozenset[str]]:
    """The reasoning in a message or a delta, and the names of the fields that it was taken from."""
    blocks = source.get("thinking_blocks")
    if isinstance(blocks, list) and blocks:
        parts = [_decode_block(block) for block in blocks]
        if None not in parts:
            # The plain field beside signed blocks repeats their text.
            return [part for part in parts if part is not None], frozenset({"thinking_blocks", *_REASONING_FIELDS})
    for name in _REASONING_FIELDS:
        text = source.get(name)
        if isinstance(text, str) and text:
            extra = {} if name == _REASONING_FIELDS[0] else {"field": name}
            return [Reasoning(text, extra=extra)], frozenset(
                one for one in _REASONING_FIELDS if source.get(one) == text
            )
    return (), frozenset(name for name in _REASONING_FIELDS if source.get(name) in (None, ""))


def encode_messages(messages: Iterable[Message], *, own: bool = True) -> list[dict[str, Any]]:
    """Messages in this format, oldest first.

    Tool results become ``tool`` messages before the rest of their turn. Those are text here, so that media in them
    follows as a user message.

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
            attached += [encode_part(part, own=own) for part in result.content if not _stays_in_result(part)]
        others = [part for part in message.parts if not isinstance(part, ToolCallResponse)]
        if others or not results:
            _flush(attached, written)
            written.append(encode_turn(message, others, own=own, sign=own))
    _flush(attached, written)
    return written


def encode_turn(message: Message, parts: Sequence[Part], *, own: bool = True, sign: bool = True) -> dict[str, Any]:
    """A message that is not a tool's.

    Args:
        message: The message.
        parts: Those of its parts that belong into it.
        own: Whether what is in ``extra`` belongs to this format and may be written.
        sign: Whether signatures of reasoning may be written.
    """
    refusals = [part for part in parts if isinstance(part, Refusal)]
    reasoning = [part for part in parts if isinstance(part, Reasoning) and part.extra.get("field") != "content"]
    calls = [part for part in parts if _is_call(part)]
    elsewhere = {id(part) for part in (*reasoning, *calls, *(refusals if len(refusals) == 1 else ()))}
    content = [part for part in parts if id(part) not in elsewhere]
    value: dict[str, Any] = {"role": message.role.value, "content": _encode_content(content, message.role, own=own)}
    if message.name is not None:
        value["name"] = message.name
    if reasoning:
        value |= encode_reasoning(reasoning, sign=sign)
    if len(refusals) == 1:
        value["refusal"] = refusals[0].text
    if calls:
        value["tool_calls"] = [_encode_call(call, own=own, sign=sign) for call in calls]
    return {**message.extra, **value} if own and message.extra else value


def encode_reasoning(parts: Sequence[Reasoning], *, sign: bool = True) -> dict[str, Any]:
    """The fields of a message or a delta that carry its reasoning."""
    text = "".join(part.text for part in parts)
    name = parts[0].extra.get("field")
    plain = {name if name in _REASONING_FIELDS else _REASONING_FIELDS[0]: text}
    if not sign or all(part.signature is None and not part.extra.keys() - {"field"} for part in parts):
        return plain if text else {}
    blocks = [_encode_block(part) for part in parts]
    return {**plain, "thinking_blocks": blocks} if text else {"thinking_blocks": blocks}


def _decode_block(block: Any) -> Reasoning | None:
    if not isinstance(block, dict):
        return None
    if block.get("type") == "redacted_thinking":
        return Reasoning("", extra=block)
    text, signature = block.get("thinking"), block.get("signature")
    if block.get("type") != "thinking" or not isinstance(text, str) or not isinstance(signature, str | None):
        return None
    return Reasoning(text, signature, extra=rest(block, frozenset({"type", "thinking", "signature"})))


def _encode_block(part: Reasoning) -> dict[str, Any]:
    if _is_block(part):
        return dict(part.extra)
    extra = rest(part.extra, frozenset({"field"}))
    signature = {} if part.signature is None else {"signature": part.signature}
    return {"type": "thinking", "thinking": part.text, **signature, **extra}


def _is_block(part: Reasoning) -> bool:
    return part.extra.get("type") == "redacted_thinking"


def _is_call(part: Part) -> bool:
    return isinstance(part, ToolCall) or (isinstance(part, Unknown) and _call_inside(part) is not None)


def _call_inside(part: Unknown) -> dict[str, Any] | None:
    """The tool call that an unknown part wraps: one of a kind that the canonical types do not have."""
    value = part.value
    if part.format == FORMAT and isinstance(value, dict) and value.keys() == {"tool_call"}:
        call: dict[str, Any] = value["tool_call"]
        return call
    return None


def _decode_call(value: Any, path: str) -> ToolCall | Unknown:
    source = as_object(value, path)
    if source.get("type", "function") not in ("function", None):
        return custom_call(source) or Unknown(FORMAT, {"tool_call": source})
    function = as_object(source.get("function"), f"{path}.function")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):  # some servers write the object itself
        arguments = "" if arguments is None else dumps(arguments).decode()
    extra = rest(source, frozenset({"id", "type", "function", "index"}))
    inner = rest(function, frozenset({"name", "arguments"}))
    return ToolCall(
        id=optional(source, "id", as_text, path) or "",
        name=as_text(function.get("name"), f"{path}.function.name"),
        arguments=arguments,
        extra={**extra, "function": inner} if inner else extra,
    )


def _encode_call(part: Part, *, own: bool, sign: bool) -> dict[str, Any]:
    if isinstance(part, Unknown):
        return dict(_call_inside(part) or {})
    assert isinstance(part, ToolCall)
    given = part.extra.get("own") if own and part.extra.get(CUSTOM) else None
    if isinstance(given, dict):
        return {**given, "id": part.id, CUSTOM: {"name": part.name, "input": free_text(part.arguments)}}
    inner = part.extra.get("function", {}) if own else {}
    value = {
        "id": part.id,
        "type": "function",
        "function": {**inner, "name": part.name, "arguments": part.arguments},
    }
    if own:
        return {**part.extra, **value}
    return {**value, **signed(signature_in(part.extra))} if sign else value


def _encode_content(parts: Sequence[Part], role: Role, *, own: bool) -> Any:
    if len(parts) == 1 and isinstance(parts[0], Text) and not (own and parts[0].extra) and not breakpoint_of(parts[0]):
        return parts[0].text
    if not parts and role is Role.ASSISTANT:
        return None
    return [encode_part(part, own=own) for part in parts]


def _stays_in_result(part: Part) -> bool:
    return isinstance(part, Text | Unknown)


def _encode_result(message: Message, result: ToolCallResponse, *, own: bool) -> dict[str, Any]:
    parts: list[Part] = [part for part in result.content if _stays_in_result(part)]
    if result.is_error:  # the format has no field for it
        head = parts[0] if parts else None
        if isinstance(head, Text):
            parts[0] = Text(f"Error: {head.text}", extra=head.extra)
        else:
            parts.insert(0, Text("Error"))
    value: dict[str, Any] = {
        "role": Role.TOOL.value,
        "tool_call_id": result.id,
        "content": _encode_content(parts, Role.TOOL, own=own) if parts else "",
    }
    if message.name is not None:
        value["name"] = message.name
    return {**message.extra, **value} if own and message.role is Role.TOOL else value


def _flush(attached: list[dict[str, Any]], written: list[dict[str, Any]]) -> None:
    if attached:
        written.append({"role": Role.USER.value, "content": [{"type": "text", "text": _ATTACHED}, *attached]})
        attached.clear()
