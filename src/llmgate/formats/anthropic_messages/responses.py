"""Whole answers: bytes to canonical and back, and what a relay needs to know of one.

Source: Anthropic API reference, "Create a Message", the response; "Handling stop reasons".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.citations import cited_pieces
from llmgate.formats.fields import ShapeError, as_list, as_text, merged, optional, rest
from llmgate.formats.openai_chat.responses import native_end
from llmgate.formats.thought_signatures import marked_id
from llmgate.spec import (
    Blob,
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
    ToolCallResponse,
    Unknown,
    Uri,
)

from .errors import error_in
from .parts import FORMAT, decode_content, encode_block
from .usage import KNOWN as USAGE_KNOWN, decode_usage, encode_usage, service_tier

__all__ = [
    "ENDS",
    "decode_response",
    "decode_stop",
    "encode_response",
    "encode_stop",
    "is_answer",
    "observe_response",
]

_KNOWN: Final = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})

_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "pause_turn": FinishReason.STOP,
    "compaction": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
ENDS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "end_turn",
    FinishReason.STOP_SEQUENCE: "stop_sequence",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}
"""The ends that the format has a word for."""


def decode_stop(value: Any) -> FinishReason | None:
    """Why an answer ended; a word that nobody knows is a normal end."""
    return _REASONS.get(value, FinishReason.STOP) if isinstance(value, str) and value else None


def encode_stop(reason: FinishReason | None, *, calls: bool, refused: bool) -> str:
    """The ``stop_reason``. An answer that calls tools has ended for them, whatever its server says, unless cut off."""
    if calls and reason is not FinishReason.LENGTH:
        return "tool_use"
    if refused and reason in (None, FinishReason.STOP):
        return "refusal"
    if reason is FinishReason.TOOL_CALLS or reason is None:
        return "end_turn"  # there are no calls
    return ENDS.get(reason, "end_turn")


def decode_response(body: bytes) -> ChatResponse:
    """The canonical response.

    Raises:
        ProviderProtocolError: the body is not a message.
    """
    source = _source(body)
    try:
        stop = optional(source, "stop_reason", as_text)
        message = Message(Role.ASSISTANT, decode_content(as_list(source.get("content"), "content"), "content"))
        reason = decode_stop(stop)
        calls = any(isinstance(part, ToolCall) for part in message.parts)
        usual = encode_stop(reason, calls=calls, refused=False)
        more = {} if reason is None or stop == usual else {"stop_reason": stop, **native_end(stop, ENDS)}
        sequence = source.get("stop_sequence")
        sequence = sequence if isinstance(sequence, str) else None
        choice = ChatChoice(0, message, reason, extra=more, stop_sequence=sequence)
        usage = source.get("usage")
        counts = rest(usage, USAGE_KNOWN) if isinstance(usage, dict) else {}
        extra = rest(source, _KNOWN)
        return ChatResponse(
            id=optional(source, "id", as_text) or "",
            model=optional(source, "model", as_text) or "",
            choices=(choice,),
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
    parts = choice.message.parts
    stop = encode_stop(
        choice.finish_reason,
        calls=any(isinstance(part, ToolCall) for part in parts),
        refused=any(isinstance(part, Refusal) for part in parts),
    )
    value: dict[str, Any] = {
        "id": response.id,
        "type": "message",
        "role": "assistant",
        "model": response.model,
        "content": list(_written(parts, own=own)),
        "stop_reason": choice.extra.get("stop_reason", stop) if own else stop,
        "stop_sequence": choice.stop_sequence,
        "usage": encode_usage(response.usage),
    }
    return dumps(merged(value, response.extra) if own else value)


def observe_response(body: bytes) -> Outcome:
    """What a relay needs to know of a whole answer.

    Raises:
        ProviderProtocolError: the body is neither a message nor an error.
    """
    source = _source(body)
    error = error_in(source)
    if error is not None:
        return Outcome(error=error)
    content = source.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise _not_an_answer("content must be an array of blocks")
    model, response_id = source.get("model"), source.get("id")
    return Outcome(
        response_id=response_id if isinstance(response_id, str) else None,
        model=model if isinstance(model, str) else None,
        usage=decode_usage(source.get("usage")),
        finish_reason=decode_stop(source.get("stop_reason")),
        content=any(is_answer(block) for block in content),
        complete=True,
        service_tier=service_tier(source.get("usage")),
    )


def is_answer(block: Mapping[str, Any]) -> bool:
    """Whether a block carries something already: every kind does, but for text and thought that are still empty."""
    kind = block.get("type")
    return bool(block.get(kind)) if kind in ("text", "thinking") else isinstance(kind, str)


def _written(parts: Iterable[Part], *, own: bool) -> Iterable[dict[str, Any]]:
    """The blocks of an answer, thoughts first; an empty text would come back with the next request and be refused."""
    ordered = sorted(parts, key=lambda part: not isinstance(part, Reasoning)) if not own else parts
    for part in ordered:
        match part:
            case Text() | Refusal() if not own and not part.text:
                continue
            case Text() if part.citations:
                yield from (encode_block(piece, own=own) for piece in cited_pieces(part))
            case Blob() | Uri() | ToolCallResponse():
                if own:
                    yield encode_block(part)
            case Unknown(format=name) if name != FORMAT:
                continue
            case ToolCall() if not own:  # clients send back the id of a call, and nothing else that they do not know
                yield encode_block(attrs.evolve(part, id=marked_id(part.id, part.extra)), own=False)
            case _:
                yield encode_block(part, own=own)


def _source(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body)
    except JSONError as error:
        raise _not_an_answer(str(error)) from None
    if not isinstance(value, dict):
        raise _not_an_answer("it is not a JSON object")
    return value


def _not_an_answer(reason: str) -> ProviderProtocolError:
    return ProviderProtocolError(f"the answer is not a message: {reason}", retryable=True)
