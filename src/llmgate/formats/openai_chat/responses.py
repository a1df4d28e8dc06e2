"""Whole answers: bytes to canonical and back, and what a relay needs to know of one.

Source: OpenAI API reference, "The chat completion object".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.citations import joined
from llmgate.formats.custom_tools import shown_call
from llmgate.formats.fields import ShapeError, as_integer, as_list, as_object, as_text, merged, optional, rest
from llmgate.formats.thought_signatures import signature_in, signed
from llmgate.spec import (
    Blob,
    ChatChoice,
    ChatResponse,
    ChoiceDelta,
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

from .citations import encode_annotations
from .errors import error_in
from .functions import answer_with_calls, older_answer
from .messages import decode_message, encode_turn
from .parts import FORMAT, encode_part
from .usage import decode_usage, encode_usage, service_tier

__all__ = [
    "ENDS",
    "answer_text",
    "decode_finish",
    "decode_response",
    "encode_end",
    "encode_finish",
    "encode_response",
    "finish_in",
    "finish_of",
    "native_end",
    "observe_response",
    "told_end",
]

_KNOWN: Final = frozenset({"id", "object", "created", "model", "choices", "usage"})
_CHOICE_KNOWN: Final = frozenset({"index", "message", "finish_reason"})
_SHARED: Final = ("logprobs", "native_finish_reason")
"""Fields of a choice that other formats write into ``extra`` as this one calls them."""

_FINISHES: Final[Mapping[str, FinishReason]] = {
    **{reason.value: reason for reason in FinishReason},
    "function_call": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "tool_call": FinishReason.TOOL_CALLS,
    **dict.fromkeys(
        (
            "model_length", "max_tokens", "max_output_tokens", "max_new_tokens", "token_limit", "time_limit",
            "model_context_window_exceeded",
        ),
        FinishReason.LENGTH,
    ),
    **dict.fromkeys(("eos", "eos_token", "end_turn", "complete", "completed", "done"), FinishReason.STOP),
    **dict.fromkeys(
        (
            "safety", "refusal", "content_filtered", "content-filter", "recitation", "prohibited_content", "blocklist",
            "spii", "guardrail_intervened", "error_toxic", "moderation", "sensitive",
        ),
        FinishReason.CONTENT_FILTER,
    ),
    **dict.fromkeys(("timeout", "failed", "network_error", "insufficient_system_resource"), FinishReason.ERROR),
}  # fmt: skip
"""Finish reasons of OpenAI and of the servers that speak its format, or hand on what others say.

Sources: OpenAI API reference; documentation of Mistral (``model_length``), DeepSeek (``insufficient_system_resource``),
Zhipu (``sensitive``, ``network_error``), watsonx (``time_limit``), and the vendors whose formats have folders here.
"""

ENDS: Final[Mapping[FinishReason, str]] = {
    reason: reason.value for reason in FinishReason if reason is not FinishReason.STOP_SEQUENCE
}
"""The ends that the format has a word for."""

_SEQUENCE: Final = "stop_reason"
"""Which of the request's texts ended an answer, as vLLM tells it; it may also be the number of a token."""


def decode_finish(value: Any) -> tuple[FinishReason | None, dict[str, Any]]:
    """Why an answer ended, and the server's own word for it where the canonical one says less."""
    if not isinstance(value, str) or not value:
        return None, {}
    reason = finish_of(value)
    return reason, {} if encode_finish(reason) == value else {"native_finish_reason": value}


def encode_finish(reason: FinishReason | None) -> str | None:
    """The ``finish_reason``, of which there is one for both kinds of stop; None for none."""
    return None if reason is None else ENDS.get(reason, FinishReason.STOP.value)


def finish_in(choice: Mapping[str, Any]) -> FinishReason | None:
    """Why a choice ended."""
    reason = decode_finish(choice.get("finish_reason"))[0]
    told = reason is FinishReason.STOP and isinstance(choice.get(_SEQUENCE), str)
    return FinishReason.STOP_SEQUENCE if told else reason


def native_end(word: Any, ends: Mapping[FinishReason, str]) -> dict[str, Any]:
    """Another vendor's own word for an end, where clients of this format would not know what it means.

    Args:
        word: The word.
        ends: The words of the vendor's format that canonical ends stand for.
    """
    return {"native_finish_reason": word} if isinstance(word, str) and word and word not in ends.values() else {}


def told_end(choice: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """How a choice ended, as the fields ``finish_reason``, ``stop_sequence`` and ``extra`` of the canonical one.

    Args:
        choice: The choice, whole or a piece.
        known: Its members that have a canonical place.
    """
    reason, native = decode_finish(choice.get("finish_reason"))
    extra = {**native, **rest(choice, known)}
    if reason is not FinishReason.STOP or not isinstance(extra.get(_SEQUENCE), str):
        return {"finish_reason": reason, "extra": extra}
    return {"finish_reason": FinishReason.STOP_SEQUENCE, "stop_sequence": extra.pop(_SEQUENCE), "extra": extra}


def encode_end(choice: ChatChoice | ChoiceDelta) -> dict[str, Any]:
    """The members of a choice that tell how it ended."""
    told = {"finish_reason": encode_finish(choice.finish_reason)}
    if choice.stop_sequence is not None:
        told[_SEQUENCE] = choice.stop_sequence
    return told


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
            choices=tuple(_decode_choice(choice, index, source.get("id")) for index, choice in enumerate(choices)),
            usage=decode_usage(source.get("usage")) or _groq_usage(source),
            created=_whole(source.get("created")),
            extra=rest(source, _KNOWN),
            extra_format=FORMAT,
        )
    except ShapeError as error:
        raise _not_an_answer(str(error)) from None


def encode_response(response: ChatResponse, *, functions: bool = False, custom: Collection[str] = frozenset()) -> bytes:
    """The response in this format. A part that only another format knows is left out.

    Args:
        response: The response.
        functions: Whether the client reads calls of functions, as they were before tools.
        custom: The names of the client's custom tools.
    """
    own = response.extra_format in ("", FORMAT)
    value: dict[str, Any] = {"id": response.id, "object": "chat.completion"}
    if response.created is not None:
        value["created"] = response.created
    value["model"] = response.model
    choices = [_encode_choice(choice, own=own) for choice in response.choices]
    for choice in choices if custom else ():
        calls = choice["message"].get("tool_calls") or ()
        choice["message"] |= {"tool_calls": [shown_call(one, custom) for one in calls]} if calls else {}
    value["choices"] = [older_answer(choice, "message", always=functions) for choice in choices]
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
        finish_reason=finish_in(first),
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


def _decode_choice(value: Any, index: int, answer: Any) -> ChatChoice:
    path = f"choices[{index}]"
    source = as_object(value, path)
    position = optional(source, "index", as_integer, path)
    message = dict(answer_with_calls(as_object(source.get("message"), f"{path}.message"), f"call_{answer}_{index}"))
    message["role"] = message.get("role") or Role.ASSISTANT.value
    return ChatChoice(
        index=index if position is None else position,
        message=decode_message(message, f"{path}.message"),
        **told_end(source, _CHOICE_KNOWN),
    )


def _encode_choice(choice: ChatChoice, *, own: bool) -> dict[str, Any]:
    message = choice.message
    images = [part for part in message.parts if isinstance(part, Blob | Uri) and part.modality == "image"]
    written = encode_turn(message, _as_clients_read(message.parts), own=own)
    written.setdefault("refusal", None)
    if images:  # OpenRouter's place for them: ``content`` of an answer is a string
        written["images"] = [encode_part(part, own=own) for part in images]
    text, citations = joined(message.parts)
    if citations and "annotations" not in written:
        written["annotations"] = encode_annotations(citations, len(text))
    value = {"index": choice.index, "message": written, **encode_end(choice)}
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
