"""What was asked and answered, as OpenTelemetry's conventions write it: messages made of parts, in JSON texts.

Source: https://github.com/open-telemetry/semantic-conventions-genai, ``model/gen-ai/gen-ai-input-messages.json``,
``gen-ai-output-messages.json`` and ``gen-ai-system-instructions.json`` as of 2026-10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats import FORMATS, get_format
from llmgate.spec import (
    ASSEMBLED,
    Blob,
    ChatChoice,
    Content,
    FileRef,
    FinishReason,
    Format,
    Message,
    Operation,
    Part,
    Reasoning,
    RecordContent,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    Uri,
)

from .attributes import INPUT_MESSAGES, OUTPUT_MESSAGES, REQUEST_BODY, RESPONSE_BODY, SYSTEM_INSTRUCTIONS

__all__ = ["content_attributes"]

_APART: Final = frozenset(
    {
        "anthropic-messages",
        "bedrock-anthropic",
        "bedrock-converse",
        "gemini-generate-content",
        "openai-responses",
    }
)
"""Formats whose requests have a place for instructions beside the conversation."""
_ENDS: Final[Mapping[str, str]] = {FinishReason.STOP_SEQUENCE: "stop", FinishReason.TOOL_CALLS: "tool_call"}
"""Ends of answers that the conventions call otherwise."""


def content_attributes(content: RecordContent | None) -> Mapping[str, str]:
    """What a span says of a record's content; nothing where the record keeps none.

    What cannot be read as a conversation, since its end is missing or it is in no known format of chats, is told as the
    text that is kept of it.
    """
    if content is None:
        return {}
    return {
        **_told(content.request, _asked, REQUEST_BODY),
        **_told(content.response, _answered, RESPONSE_BODY),
    }


def _told(kept: Content | None, read: Callable[[Content], dict[str, Any] | None], plain: str) -> dict[str, str]:
    if kept is None or not kept.text:
        return {}
    try:
        found = None if kept.truncated else read(kept)
        if found is not None:
            return {name: dumps(value).decode() for name, value in found.items()}
    except Exception:  # noqa: BLE001, S110 - a text that secrets were taken out of may be odd in any way
        pass
    return {plain: kept.text}


def _asked(kept: Content) -> dict[str, Any] | None:
    known = _chats(kept)
    if known is None or kept.text is None:
        return None
    messages = list(known.decode_request(kept.text.encode()).messages)
    instructions: list[Mapping[str, Any]] = []
    while kept.format in _APART and messages and messages[0].role is Role.SYSTEM:
        instructions += _parts(messages.pop(0).parts)
    found: dict[str, Any] = {INPUT_MESSAGES: [_message(one) for one in messages]}
    return {SYSTEM_INSTRUCTIONS: instructions, **found} if instructions else found


def _answered(kept: Content) -> dict[str, Any] | None:
    if kept.text is None:
        return None
    if kept.format == ASSEMBLED:
        return {OUTPUT_MESSAGES: [_assembled(one) for one in loads(kept.text.encode())["choices"]]}
    known = _chats(kept)
    choices = () if known is None else known.decode_response(kept.text.encode()).choices
    return {OUTPUT_MESSAGES: [_choice(one) for one in choices]} if choices else None


def _chats(kept: Content) -> Format | None:
    """The wire format of a chat; None for what is none."""
    found = get_format(kept.format) if kept.format in FORMATS else None
    return found if found is not None and found.operation is Operation.CHAT else None


def _choice(choice: ChatChoice) -> Mapping[str, Any]:
    return {**_message(choice.message), **_end(choice.finish_reason)}


def _assembled(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """One answer of a stream that was put together; see ``llmgate.pipeline.capturing``."""
    said = choice["message"]
    parts: list[Part] = []
    if said.get("reasoning"):
        parts.append(Reasoning(said["reasoning"]))
    if said.get("content"):
        parts.append(Text(said["content"]))
    if said.get("refusal"):
        parts.append(Refusal(said["refusal"]))
    parts += [ToolCall(one["id"] or "", one["name"] or "", one["arguments"]) for one in said.get("tool_calls", ())]
    return {"role": said["role"], "parts": _parts(parts), **_end(choice.get("finish_reason"))}


def _end(reason: str | None) -> Mapping[str, str]:
    return {} if reason is None else {"finish_reason": _ENDS.get(reason, str(reason))}


def _message(message: Message) -> Mapping[str, Any]:
    said: dict[str, Any] = {"role": message.role.value, "parts": _parts(message.parts)}
    return {**said, "name": message.name} if message.name else said


def _parts(parts: Sequence[Part]) -> list[Mapping[str, Any]]:
    return [{name: value for name, value in _members(part) if value is not None} for part in parts]


def _members(part: Part) -> Iterator[tuple[str, Any]]:
    """The members of a part; None for one that is not there."""
    match part:
        case Text(text):
            yield from (("type", "text"), ("content", text))
        case Reasoning(text):
            yield from (("type", "reasoning"), ("content", text))
        case Refusal(text):
            yield from (("type", "refusal"), ("content", text))
        case ToolCall(called, name, arguments):
            yield from (("type", "tool_call"), ("id", called or None), ("name", name), ("arguments", _value(arguments)))
        case ToolCallResponse(called, content):
            yield from (("type", "tool_call_response"), ("id", called or None), ("response", _response(content)))
        case Blob(modality, media_type, data):
            yield from (("type", "blob"), ("modality", modality), ("mime_type", media_type), ("content", data))
        case Uri(modality, uri, media_type):
            yield from (("type", "uri"), ("modality", modality), ("mime_type", media_type), ("uri", uri))
        case FileRef(modality, file_id):
            yield from (("type", "file"), ("modality", modality), ("file_id", file_id))
        case _:
            yield from (("type", "unknown"), ("format", part.format), ("content", part.value))


def _response(content: Sequence[Part]) -> Any:
    """What a tool has answered: a text, or its parts where there is more."""
    if all(isinstance(one, Text) for one in content):
        return "".join(one.text for one in content if isinstance(one, Text))
    return _parts(content)


def _value(arguments: str) -> Any:
    """The arguments of a call as the object that they are; the text where the model has written something else."""
    try:
        return loads(arguments.encode())
    except (JSONError, ValueError):
        return arguments
