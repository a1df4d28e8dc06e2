"""Whole answers: bytes to canonical and back, and what a relay needs to know of one.

Source: Ollama, docs/api.md, and api/types.go, ``ChatResponse``. An answer has no id and its calls had none for long:
the canonical ones are made of its time and content, so that the same answer always gets the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.fields import ShapeError, as_list, as_object, as_text, merged, optional, rest
from llmgate.formats.logprobs import choice_logprobs, tokens_in
from llmgate.formats.openai_chat.responses import finish_of
from llmgate.formats.part_proofs import with_proved_ids
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
)

from .errors import error_in
from .messages import decode_calls, encode_turn
from .parts import FORMAT, decode_media
from .usage import decode_usage, encode_usage

__all__ = [
    "ENDS",
    "answer_id",
    "call_ids",
    "created_text",
    "decode_done",
    "decode_parts",
    "decode_response",
    "encode_done",
    "encode_response",
    "is_answer",
    "observe_response",
    "seconds_in",
]

_KNOWN: Final = frozenset({"model", "created_at", "message", "done", "done_reason", "prompt_eval_count", "eval_count"})
_MESSAGE_KNOWN: Final = frozenset({"role", "content", "thinking", "images", "tool_calls"})
_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
}
ENDS: Final[Mapping[FinishReason, str]] = {
    **{reason: word for word, reason in _REASONS.items()},
    FinishReason.TOOL_CALLS: "stop",
}
"""The ends that the format tells apart; that an answer calls tools is to be seen in itself."""

_EPOCH: Final = "1970-01-01T00:00:00Z"


def decode_done(value: Any, *, calls: bool) -> FinishReason | None:
    """Why an answer ended; the format has no word for calls of tools, and one that nobody knows is a normal end."""
    if not isinstance(value, str) or not value:
        return None
    reason = _REASONS.get(value) or finish_of(value)
    return FinishReason.TOOL_CALLS if calls and reason is FinishReason.STOP else reason


def encode_done(reason: FinishReason | None) -> str:
    """The ``done_reason``."""
    return "stop" if reason is None else ENDS.get(reason, "stop")


def decode_response(body: bytes) -> ChatResponse:
    """The canonical response.

    Raises:
        ProviderProtocolError: the body is not a chat answer.
    """
    source = _source(body)
    try:
        message = as_object(source.get("message"), "message")
        created = optional(source, "created_at", as_text) or ""
        parts = decode_parts(message, call_ids(source))
        done = optional(source, "done_reason", as_text)
        reason = decode_done(done, calls=any(isinstance(part, ToolCall) for part in parts))
        said = Message(Role.ASSISTANT, tuple(parts), extra=rest(message, _MESSAGE_KNOWN))
        native = {} if done is None or reason is None or encode_done(reason) == done else {"done_reason": done}
        return ChatResponse(
            id=answer_id(source),
            model=optional(source, "model", as_text) or "",
            choices=(ChatChoice(0, said, reason, extra={**native, **choice_logprobs(source.get("logprobs"))}),),
            usage=decode_usage(source),
            created=seconds_in(created),
            extra=rest(source, _KNOWN) | ({"created_at": created} if created else {}),
            extra_format=FORMAT,
        )
    except ShapeError as error:
        raise _not_an_answer(str(error)) from None


def encode_response(response: ChatResponse) -> bytes:
    """The response in this format: the first answer of it. A part that only another format knows is left out."""
    own = response.extra_format in ("", FORMAT)
    choice = response.first
    parts = choice.message.parts if own else with_proved_ids(choice.message.parts)
    message = {"role": Role.ASSISTANT.value, **encode_turn(_sayable(parts))}
    done = choice.extra.get("done_reason") if own else None
    given = response.extra.get("created_at") if own else None
    value: dict[str, Any] = {
        "model": response.model,
        "created_at": given
        if given is not None and seconds_in(given) == response.created
        else created_text(response.created),
        "message": {**choice.message.extra, **message} if own else message,
        "done": True,
        "done_reason": done or encode_done(choice.finish_reason),
        **encode_usage(response.usage),
    }
    tokens = () if own else tokens_in(choice.extra)
    value |= {"logprobs": list(tokens)} if tokens else {}
    return dumps(merged(value, response.extra) if own else value)


def observe_response(body: bytes) -> Outcome:
    """What a relay needs to know of a whole answer.

    Raises:
        ProviderProtocolError: the body is neither a chat answer nor an error.
    """
    source = _source(body)
    error = error_in(source)
    if error is not None:
        return Outcome(error=error)
    message, model = source.get("message"), source.get("model")
    if not isinstance(message, dict) or source.get("done") is False:
        raise _not_an_answer("it has no message, or is a part of a stream")
    return Outcome(
        model=model if isinstance(model, str) else None,
        usage=decode_usage(source),
        finish_reason=decode_done(source.get("done_reason"), calls=bool(message.get("tool_calls"))),
        content=is_answer(message),
        complete=True,
    )


def decode_parts(message: Mapping[str, Any], ids: str) -> list[Part]:
    """What a message, or a piece of one, says.

    Args:
        message: The message.
        ids: What the ids of its calls begin with where they have none.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    thinking, text = optional(message, "thinking", as_text, "message"), optional(message, "content", as_text, "message")
    calls = message.get("tool_calls")
    images = optional(message, "images", as_list, "message") or ()
    parts: list[Part] = [Reasoning(thinking)] if thinking else []
    parts += [Text(text)] if text else []
    parts += [decode_media(as_text(one, f"message.images[{i}]")) for i, one in enumerate(images)]
    return parts if calls is None else [*parts, *decode_calls(calls, "message.tool_calls", ids)]


def is_answer(message: Any) -> bool:
    """Whether a message, or a piece of one, carries text, thought, a picture or a call."""
    return isinstance(message, dict) and any(
        message.get(name) for name in ("content", "thinking", "tool_calls", "images")
    )


def answer_id(value: Mapping[str, Any]) -> str:
    """An id for an answer, which has none of its own: made of its first line, or of all of it."""
    return f"chat-{_mark(value)}"


def call_ids(value: Mapping[str, Any]) -> str:
    """What the ids of an answer's calls begin with where they have none."""
    return f"call_{_mark(value)}"


def seconds_in(created_at: Any) -> int | None:
    """Seconds since the epoch of a time as RFC 3339 has it, with any number of digits after the second."""
    if not isinstance(created_at, str):
        return None
    date, point, rest_ = created_at.partition(".")
    zone = rest_.lstrip("0123456789") if point else ""
    try:
        moment = datetime.fromisoformat(date + zone)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def created_text(created: int | None) -> str:
    """A time as this format writes it, which demands one."""
    if created is None:
        return _EPOCH
    try:
        return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return _EPOCH


def _mark(value: Mapping[str, Any]) -> str:
    """Twelve digits that tell one answer from another."""
    seed = dumps([value.get("model"), value.get("created_at"), value.get("message")])
    return hashlib.sha256(seed).hexdigest()[:12]


def _sayable(parts: Sequence[Part]) -> list[Part]:
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, Reasoning):
            kept += [attrs.evolve(part, signature=None)] if part.text else []
        elif isinstance(part, Text | Refusal | ToolCall) or (isinstance(part, Blob) and part.modality == "image"):
            kept.append(part)
    text = "".join(part.text for part in kept if isinstance(part, Text | Refusal))
    said: list[Part] = [Text(text)] if text else []
    return [*said, *(part for part in kept if not isinstance(part, Text | Refusal))]


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
