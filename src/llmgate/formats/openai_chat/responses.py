"""Whole answers: bytes to canonical and back, and what a relay needs to know of one.

Source: OpenAI API reference, "The chat completion object".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.fields import ShapeError, as_integer, as_list, as_object, as_text, merged, optional, rest
from llmgate.formats.thought_signatures import signature_in, signed
from llmgate.spec import (
    Blob,
    ChatChoice,
    ChatResponse,
    FinishReason,
    Outcome,
    Part,
    ProviderProtocolError,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    Unknown,
    Uri,
)

from .errors import error_in
from .messages import decode_message, encode_turn
from .parts import FORMAT, encode_part
from .usage import decode_usage, encode_usage, service_tier

__all__ = ["answer_text", "decode_finish", "decode_response", "encode_response", "finish_of", "observe_response"]

_KNOWN: Final = frozenset({"id", "object", "created", "model", "choices", "usage"})
_CHOICE_KNOWN: Final = frozenset({"index", "message", "finish_reason"})
_SHARED: Final = ("logprobs", "native_finish_reason")
"""Fields of a choice that other formats write into ``extra`` as this one calls them."""

_FINISHES: Final[Mapping[str, FinishReason]] = {
    **{reason.value: reason for reason in FinishReason},
    "function_call": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "model_length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "eos": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "safety": FinishReason.CONTENT_FILTER,
}
"""Finish reasons of OpenAI and of the servers that speak its format."""


def decode_finish(value: Any) -> tuple[FinishReason | None, dict[str, Any]]:
    """Why an answer ended, and the server's own word for it where the canonical one says less."""
    if not isinstance(value, str) or not value:
        return None, {}
    reason = finish_of(value)
    return reason, {} if reason == value else {"native_finish_reason": value}


def finish_of(value: str) -> FinishReason:
    """Why an answer ended; a word that nobody knows is a normal end."""
    return _FINISHES.get(value) or _FINISHES.get(value.lower(), FinishReason.STOP)


def decode_response(body: bytes) -> ChatResponse:
    """The canonical response.

    Raises:
        ProviderProtocolError: the body is not a chat completion.
    """
    source = _source(body)
    try:
        choices = as_list(source.get("choices"), "choices")
        return ChatResponse(
            id=optional(source, "id", as_text) or "",
            model=optional(source, "model", as_text) or "",
            choices=tuple(_decode_choice(choice, index) for index, choice in enumerate(choices)),
            usage=decode_usage(source.get("usage")) or _groq_usage(source),
            created=_whole(source.get("created")),
            extra=rest(source, _KNOWN),
            extra_format=FORMAT,
        )
    except ShapeError as error:
        raise _not_an_answer(str(error)) from None


def encode_response(response: ChatResponse) -> bytes:
    """The response in this format. A part that only another format knows is left out."""
    own = response.extra_format in ("", FORMAT)
    value: dict[str, Any] = {"id": response.id, "object": "chat.completion"}
    if response.created is not None:
        value["created"] = response.created
    value["model"] = response.model
    value["choices"] = [_encode_choice(choice, own=own) for choice in response.choices]
    if response.usage is not None:
        value["usage"] = encode_usage(response.usage)
    return dumps(merged(value, response.extra) if own else value)


def observe_response(body: bytes) -> Outcome:
    """What a relay needs to know of a whole answer.

    Raises:
        ProviderProtocolError: the body is neither a chat completion nor an error.
    """
    source = _source(body)
    error = error_in(source)
    if error is not None:
        return Outcome(error=error)
    choices = source.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise _not_an_answer("choices must be an array of objects")
    first: dict[str, Any] = next((choice for choice in choices if choice.get("index", 0) == 0), {})
    model, response_id = source.get("model"), source.get("id")
    return Outcome(
        response_id=response_id if isinstance(response_id, str) else None,
        model=model if isinstance(model, str) else None,
        usage=decode_usage(source.get("usage")) or _groq_usage(source),
        finish_reason=decode_finish(first.get("finish_reason"))[0],
        content=any(answer_text(choice.get("message")) for choice in choices),
        complete=True,
        service_tier=service_tier(source.get("service_tier")),
    )


def answer_text(value: Any) -> bool:
    """Whether a message or a delta carries text, reasoning, a refusal, a tool call or audio."""
    if isinstance(value, dict):
        for name in _CONTENT_FIELDS:
            if value.get(name):
                return True
    return False


_CONTENT_FIELDS: Final = ("content", "tool_calls", "reasoning_content", "reasoning", "refusal", "function_call",
                          "thinking_blocks", "reasoning_details", "audio")  # fmt: skip


def _source(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body)
    except JSONError as error:
        raise _not_an_answer(str(error)) from None
    if not isinstance(value, dict):
        raise _not_an_answer("it is not a JSON object")
    return value


def _decode_choice(value: Any, index: int) -> ChatChoice:
    path = f"choices[{index}]"
    source = as_object(value, path)
    position = optional(source, "index", as_integer, path)
    message = dict(as_object(source.get("message"), f"{path}.message"))
    message["role"] = message.get("role") or Role.ASSISTANT.value
    finish, native = decode_finish(source.get("finish_reason"))
    return ChatChoice(
        index=index if position is None else position,
        message=decode_message(message, f"{path}.message"),
        finish_reason=finish,
        extra={**native, **rest(source, _CHOICE_KNOWN)},
    )


def _encode_choice(choice: ChatChoice, *, own: bool) -> dict[str, Any]:
    message = choice.message
    images = [part for part in message.parts if isinstance(part, Blob | Uri) and part.modality == "image"]
    written = encode_turn(message, _as_clients_read(message.parts), own=own)
    written.setdefault("refusal", None)
    if images:  # OpenRouter's place for them: ``content`` of an answer is a string
        written["images"] = [encode_part(part, own=own) for part in images]
    finish = choice.finish_reason.value if choice.finish_reason else None
    value = {"index": choice.index, "message": written, "finish_reason": finish}
    if own:
        return {**choice.extra, **value}
    for part in message.parts:  # Gemini's own endpoint of this format has the signature of a text on the message
        written |= signed(signature_in(part.extra)) if isinstance(part, Text) else {}
    return {**value, **{name: choice.extra[name] for name in _SHARED if name in choice.extra}}


def _as_clients_read(parts: Sequence[Part]) -> list[Part]:
    """The parts of an answer as one text: clients expect a string where requests may hold an array."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    spoken: list[Part] = [Text(text)] if any(isinstance(part, Text) for part in parts) else []
    for part in parts:
        match part:
            case Reasoning():
                spoken.append(Reasoning(part.text, part.signature, extra=rest(part.extra, frozenset({"field"}))))
            case Refusal() | ToolCall():
                spoken.append(part)
            case Unknown(format=name) if name == FORMAT:
                spoken.append(part)
            case _:
                continue
    return spoken


def _groq_usage(source: Mapping[str, Any]) -> Any:
    groq = source.get("x_groq")
    return decode_usage(groq.get("usage")) if isinstance(groq, dict) else None


def _whole(value: Any) -> int | None:
    """A time; some servers write it as a float."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _not_an_answer(reason: str) -> ProviderProtocolError:
    return ProviderProtocolError(f"the answer is not a chat completion: {reason}", retryable=True)
