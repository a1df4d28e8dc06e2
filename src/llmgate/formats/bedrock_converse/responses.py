"""Whole answers: bytes to canonical and back, and what a relay needs to know of one.

Source: Amazon Bedrock API reference, "Converse", response elements. An answer has neither an id nor the name of a
model: both stand in the exchange around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.fields import ShapeError, as_object, as_text, merged, optional, rest
from llmgate.formats.openai_chat.responses import native_end
from llmgate.formats.part_proofs import beside
from llmgate.spec import (
    Blob,
    ChatChoice,
    ChatResponse,
    ErrorDetail,
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

from .errors import detail_of
from .parts import FORMAT, decode_blocks, encode_blocks
from .usage import KNOWN as USAGE_KNOWN, decode_usage, encode_usage, service_tier

__all__ = [
    "ADDITIONAL",
    "ENDS",
    "NO_METRICS",
    "SEQUENCE",
    "decode_response",
    "decode_stop",
    "encode_response",
    "encode_stop",
    "observe_response",
    "stop_sequence_in",
]

NO_METRICS: Final[Mapping[str, Any]] = {"latencyMs": 0}
"""What stands in the place of the service's own measurement, which clients demand, in an answer of another provider."""

_KNOWN: Final = frozenset({"output", "stopReason", "usage"})

ADDITIONAL: Final = "additionalModelResponseFields"
"""What the model's own answer says beside Converse's, as far as the request asked for it."""

SEQUENCE: Final = "stop_sequence"
"""The member of it that Claude has: which of the request's texts ended the answer."""

_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "malformed_model_output": FinishReason.STOP,
    "malformed_tool_use": FinishReason.STOP,
}
ENDS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "end_turn",
    FinishReason.STOP_SEQUENCE: "stop_sequence",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "content_filtered",
}
"""The ends that the format has a word for."""


def decode_stop(value: Any) -> FinishReason | None:
    """Why an answer ended; a word that nobody knows is a normal end."""
    return _REASONS.get(value, FinishReason.STOP) if isinstance(value, str) and value else None


def encode_stop(reason: FinishReason | None, *, calls: bool, refused: bool = False) -> str:
    """The ``stopReason``. An answer that calls tools has ended for them, whatever its server says, unless cut off."""
    if calls and reason is not FinishReason.LENGTH:
        return "tool_use"
    if refused and reason in (None, FinishReason.STOP):
        return "content_filtered"
    if reason is FinishReason.TOOL_CALLS or reason is None:
        return "end_turn"  # there are no calls
    return ENDS.get(reason, "end_turn")


def decode_response(body: bytes) -> ChatResponse:
    """The canonical response.

    Raises:
        ProviderProtocolError: the body is not an answer.
    """
    source = _source(body)
    try:
        output = as_object(source.get("output"), "output")
        message = as_object(output.get("message"), "output.message")
        parts = decode_blocks(message.get("content"), "output.message.content")
        stop = optional(source, "stopReason", as_text)
    except ShapeError as error:
        raise _not_an_answer(str(error)) from None
    reason = decode_stop(stop)
    calls = any(isinstance(part, ToolCall) for part in parts)
    usual = reason is None or stop == encode_stop(reason, calls=calls)
    more = {} if usual else {"stopReason": stop, **native_end(stop, ENDS)}
    sequence = stop_sequence_in(source)
    if sequence is not None:
        source[ADDITIONAL] = rest(source[ADDITIONAL], frozenset({SEQUENCE}))
    usage = source.get("usage")
    counts = rest(usage, USAGE_KNOWN) if isinstance(usage, dict) else {}
    extra = rest(source, _KNOWN if source.get(ADDITIONAL) or sequence is None else _KNOWN | {ADDITIONAL})
    return ChatResponse(
        id="",
        model="",
        choices=(ChatChoice(0, Message(Role.ASSISTANT, parts), reason, extra=more, stop_sequence=sequence),),
        usage=decode_usage(usage),
        extra={**extra, "usage": counts} if counts else extra,
        extra_format=FORMAT,
    )


def stop_sequence_in(value: Mapping[str, Any]) -> str | None:
    """Which of the request's texts ended the answer, as an answer or ``messageStop`` tells it; None for none."""
    match value.get(ADDITIONAL):
        case {"stop_sequence": str(sequence)}:
            return sequence
        case _:
            return None


def encode_response(response: ChatResponse, *, shows_sequence: bool = True) -> bytes:
    """The response in this format: the first answer of it. A part that only another format knows is left out.

    Args:
        response: The response.
        shows_sequence: Whether the client asked which of its texts ended an answer.
    """
    own = response.extra_format == FORMAT
    choice = response.first
    parts = choice.message.parts
    stop = encode_stop(
        choice.finish_reason,
        calls=any(isinstance(part, ToolCall) for part in parts),
        refused=any(isinstance(part, Refusal) for part in parts),
    )
    value: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": encode_blocks(list(_shown(parts, own=own)), own=own)}},
        "stopReason": choice.extra.get("stopReason", stop) if own else stop,
        "usage": encode_usage(response.usage),
    }
    if choice.stop_sequence is not None and (own or shows_sequence):
        value[ADDITIONAL] = {SEQUENCE: choice.stop_sequence}
    return dumps(merged(value, response.extra) if own else {**value, "metrics": NO_METRICS})


def observe_response(body: bytes) -> Outcome:
    """What a relay needs to know of a whole answer.

    Raises:
        ProviderProtocolError: the body is neither an answer nor an error.
    """
    source = _source(body)
    output = source.get("output")
    if output is None:
        error = _error_in(source)
        if error is not None:
            return Outcome(error=error)
    message = output.get("message") if isinstance(output, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise _not_an_answer("output.message.content must be an array of blocks")
    return Outcome(
        usage=decode_usage(source.get("usage")),
        finish_reason=decode_stop(source.get("stopReason")),
        content=any(block.get("text", True) for block in content),
        complete=True,
        service_tier=service_tier(source.get("serviceTier")),
    )


def _error_in(source: Mapping[str, Any]) -> ErrorDetail | None:
    """The error that came with a success status, in the service's shape or with its class beside it."""
    named = source.get("__type") or source.get("Output", {})
    if isinstance(named, Mapping):  # what the service's front answers where nothing is served: {"Output": {"__type"}}
        named = named.get("__type", "")
    return detail_of(source, str(named))


def _shown(parts: Iterable[Part], *, own: bool) -> Iterable[Part]:
    """The parts of an answer, thoughts first; an empty text would come back with the next request and be refused."""
    ordered = parts
    if not own:
        ordered = sorted(beside(parts, texts=False), key=lambda part: not isinstance(part, Reasoning))
    for part in ordered:
        match part:
            case Text() | Refusal() if not own and not part.text:
                continue
            case Blob(modality="image") if not own:
                yield part
            case Blob() | Uri() | ToolCallResponse() if not own:
                continue
            case Unknown(format=name) if name != FORMAT:
                continue
            case _:
                yield part


def _source(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body)
    except JSONError as error:
        raise _not_an_answer(str(error)) from None
    if not isinstance(value, dict):
        raise _not_an_answer("it is not a JSON object")
    return value


def _not_an_answer(reason: str) -> ProviderProtocolError:
    return ProviderProtocolError(f"the answer is not one of Converse: {reason}", retryable=True)
