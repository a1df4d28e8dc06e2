"""Whole answers: bytes to canonical and back, and what a relay needs to know of one.

Source: Cohere API reference, "Chat (v2)", the response. It does not name the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.fields import ShapeError, as_object, as_text, merged, optional, rest
from llmgate.formats.part_proofs import with_proved_ids
from llmgate.spec import (
    ChatChoice,
    ChatResponse,
    FinishReason,
    Message,
    Outcome,
    Part,
    ProviderProtocolError,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    Unknown,
)

from .errors import error_in, failure_in
from .messages import cited_fields, decode_turn, encode_calls, encode_cited, plan_in
from .parts import FORMAT, TOOL_PLAN, encode_part
from .usage import KNOWN as USAGE_KNOWN, decode_usage, encode_usage

__all__ = [
    "ENDS",
    "decode_finish",
    "decode_response",
    "encode_finish",
    "encode_response",
    "is_answer",
    "observe_response",
]

_KNOWN: Final = frozenset({"id", "finish_reason", "message", "usage"})
_MESSAGE_KNOWN: Final = frozenset({"role", "content", "tool_calls", TOOL_PLAN})
_REASONS: Final[Mapping[str, FinishReason]] = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP_SEQUENCE,
    "USER_CANCEL": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "ERROR_LIMIT": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
    "ERROR": FinishReason.ERROR,
    "TIMEOUT": FinishReason.ERROR,
}
ENDS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "COMPLETE",
    FinishReason.STOP_SEQUENCE: "STOP_SEQUENCE",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "TOOL_CALL",
    FinishReason.CONTENT_FILTER: "ERROR_TOXIC",
    FinishReason.ERROR: "ERROR",
}
"""The ends that the format has a word for: all."""


def decode_finish(value: Any) -> FinishReason | None:
    """Why an answer ended; a word that nobody knows is a normal end."""
    return _REASONS.get(value.upper(), FinishReason.STOP) if isinstance(value, str) and value else None


def encode_finish(reason: FinishReason | None, *, calls: bool) -> str:
    """The ``finish_reason``. One that calls tools has ended for them, whatever its server says, unless cut off."""
    if calls and reason is not FinishReason.LENGTH:
        return "TOOL_CALL"
    if reason is None or reason is FinishReason.TOOL_CALLS:  # there are no calls
        return "COMPLETE"
    return ENDS[reason]


def decode_response(body: bytes) -> ChatResponse:
    """The canonical response.

    Raises:
        ProviderProtocolError: the body is not an answer in this format.
    """
    source = _source(body)
    try:
        message = as_object(source.get("message"), "message")
        parts = decode_turn(message, "message")
        finish = optional(source, "finish_reason", as_text)
        reason = decode_finish(finish)
        usual = encode_finish(reason, calls=any(isinstance(part, ToolCall) for part in parts))
        usage = source.get("usage")
        counts = rest(usage, USAGE_KNOWN) if isinstance(usage, dict) else {}
        extra = rest(source, _KNOWN)
        return ChatResponse(
            id=optional(source, "id", as_text) or "",
            model="",
            choices=(
                ChatChoice(
                    0,
                    Message(
                        Role.ASSISTANT, tuple(parts), extra=rest(message, _MESSAGE_KNOWN | cited_fields(message, parts))
                    ),
                    reason,
                    extra={} if reason is None or finish == usual else {"finish_reason": finish},
                ),
            ),
            usage=decode_usage(usage),
            extra={**extra, "usage": counts} if counts else extra,
            extra_format=FORMAT,
        )
    except ShapeError as error:
        raise _not_an_answer(str(error)) from None


def encode_response(response: ChatResponse) -> bytes:
    """The response in this format: the first answer of it. A part that only another format knows is left out."""
    own = response.extra_format in ("", FORMAT)
    choice = response.first
    parts = _sayable(choice.message.parts if own else with_proved_ids(choice.message.parts), own=own)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    message = _encode_message(parts, calls, own=own)
    cited = encode_cited(parts, message.get("content"))
    if cited and not (own and "citations" in choice.message.extra):
        message["citations"] = cited
    finish = encode_finish(choice.finish_reason, calls=bool(calls))
    value: dict[str, Any] = {
        "id": response.id,
        "finish_reason": choice.extra.get("finish_reason", finish) if own else finish,
        "message": {**choice.message.extra, **message} if own else message,
    }
    if response.usage is not None:
        value["usage"] = encode_usage(response.usage)
        billed = response.extra.get("usage") if own else None
        value["usage"] |= billed if isinstance(billed, Mapping) else {}
    return dumps(merged(value, response.extra) if own else value)


def observe_response(body: bytes) -> Outcome:
    """What a relay needs to know of a whole answer.

    Raises:
        ProviderProtocolError: the body is neither an answer nor an error.
    """
    source = _source(body)
    error = error_in(source) or failure_in(source)
    if error is not None:
        return Outcome(error=error)
    message, response_id = source.get("message"), source.get("id")
    if not isinstance(message, dict):
        raise _not_an_answer("message must be an object")
    return Outcome(
        response_id=response_id if isinstance(response_id, str) else None,
        usage=decode_usage(source.get("usage")),
        finish_reason=decode_finish(source.get("finish_reason")),
        content=is_answer(message),
        complete=True,
    )


def is_answer(message: Any) -> bool:
    """Whether a message, or a piece of one, carries text, thought, a plan or a call."""
    if not isinstance(message, dict):
        return False
    content = message.get("content")
    blocks = content if isinstance(content, list) else [content]
    said = any(block.get("text") or block.get("thinking") if isinstance(block, dict) else block for block in blocks)
    return bool(said or message.get(TOOL_PLAN) or message.get("tool_calls"))


def _encode_message(parts: Sequence[Part], calls: Sequence[ToolCall], *, own: bool) -> dict[str, Any]:
    plan = plan_in(parts, own=True) if own else []
    elsewhere = {id(part) for part in (*plan, *calls)}
    message: dict[str, Any] = {"role": Role.ASSISTANT.value}
    content = [encode_part(part, own=own) for part in parts if id(part) not in elsewhere]
    if content:
        message["content"] = content
    if plan:
        message[TOOL_PLAN] = "".join(part.text for part in plan if isinstance(part, Text))
    if calls:
        message["tool_calls"] = encode_calls(calls, own=own)
    return message


def _sayable(parts: Sequence[Part], *, own: bool) -> list[Part]:
    """The parts of an answer that the format has, thoughts first."""
    if own:
        return [part for part in parts if isinstance(part, Text | Reasoning | Refusal | ToolCall) or _is_own(part)]
    said = [part for part in parts if isinstance(part, Reasoning | Text | Refusal) and part.text]
    thoughts = [part for part in said if isinstance(part, Reasoning)]
    texts = [part for part in said if not isinstance(part, Reasoning)]
    return [*thoughts, *texts, *(part for part in parts if isinstance(part, ToolCall))]


def _is_own(part: Part) -> bool:
    return isinstance(part, Unknown) and part.format == FORMAT


def _source(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body)
    except JSONError as error:
        raise _not_an_answer(str(error)) from None
    if not isinstance(value, dict):
        raise _not_an_answer("it is not a JSON object")
    return value


def _not_an_answer(reason: str) -> ProviderProtocolError:
    return ProviderProtocolError(f"the answer is not a chat answer of {FORMAT}: {reason}", retryable=True)
