"""Whole answers: bytes to canonical and back, and what a relay needs to know of one.

Source: Gemini API reference, "GenerateContentResponse" and "Candidate".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.fields import ShapeError, as_integer, as_list, as_object, as_text, merged, optional, rest
from llmgate.formats.thought_signatures import signature_in
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
    ToolCallResponse,
    Unknown,
)

from .calls import invented_id, is_invented
from .citations import GROUNDING, encode_grounding, with_grounding
from .errors import error_in
from .finishes import block_reason, decode_finish, encode_finish, native_extra
from .keys import FORMAT
from .logprobs import decode_logprobs, encode_logprobs
from .parts import decode_parts, encode_part
from .usage import decode_usage, encode_usage, service_tier

__all__ = [
    "candidates_in",
    "decode_response",
    "encode_response",
    "is_answer",
    "observe_response",
    "parts_in",
    "written_parts",
]

_KNOWN: Final = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})
_CANDIDATE: Final = frozenset({"index", "content", "finishReason"})
_DERIVED: Final = frozenset({"logprobs", "native_finish_reason", "finishReason"})
"""What stands in a choice's ``extra`` in another format's shape, beside what it was made of."""


def decode_response(body: bytes) -> ChatResponse:
    """The canonical response.

    Raises:
        ProviderProtocolError: the body is not an answer in this format.
    """
    source = _source(body)
    try:
        candidates = optional(source, "candidates", as_list) or []
        response_id = optional(source, "responseId", as_text) or ""
        choices = [_decode_candidate(one, index, response_id) for index, one in enumerate(candidates)]
        reason = block_reason(source)
        if not choices and reason is not None:
            message = Message(Role.ASSISTANT, ())
            choices = [ChatChoice(0, message, FinishReason.CONTENT_FILTER, extra=native_extra(reason))]
        if not choices:
            raise _not_an_answer("it has neither candidates nor a reason for their absence")
        return ChatResponse(
            id=response_id,
            model=optional(source, "modelVersion", as_text) or "",
            choices=tuple(choices),
            usage=decode_usage(source.get("usageMetadata")),
            extra=rest(source, _KNOWN),
            extra_format=FORMAT,
        )
    except ShapeError as error:
        raise _not_an_answer(str(error)) from None


def encode_response(response: ChatResponse) -> bytes:
    """The response in this format. A part that only another format knows is left out."""
    own = response.extra_format in ("", FORMAT)
    value: dict[str, Any] = {}
    blocked = own and block_reason(response.extra) is not None
    if not blocked:
        value["candidates"] = [_encode_candidate(choice, own=own) for choice in response.choices]
    if response.usage is not None:
        value["usageMetadata"] = encode_usage(response.usage)
    value["modelVersion"] = response.model
    value["responseId"] = response.id
    return dumps(merged(value, response.extra) if own else value)


def observe_response(body: bytes) -> Outcome:
    """What a relay needs to know of a whole answer.

    Raises:
        ProviderProtocolError: the body is neither an answer nor an error.
    """
    source = _source(body)
    error = error_in(source)
    if error is not None:
        return Outcome(error=error)
    candidates = candidates_in(source)
    reason = block_reason(source)
    if not candidates and reason is None:
        raise _not_an_answer("it has neither candidates nor a reason for their absence")
    first: Mapping[str, Any] = next((one for one in candidates if one.get("index", 0) == 0), {})
    parts = parts_in(first)
    finish = decode_finish(first.get("finishReason"), calls=any("functionCall" in part for part in parts))
    model, response_id = source.get("modelVersion"), source.get("responseId")
    return Outcome(
        response_id=response_id if isinstance(response_id, str) else None,
        model=model if isinstance(model, str) else None,
        usage=decode_usage(source.get("usageMetadata")),
        finish_reason=FinishReason.CONTENT_FILTER if not candidates else finish,
        content=any(is_answer(part) for one in candidates for part in parts_in(one)),
        complete=True,
        service_tier=service_tier(source.get("usageMetadata")),
    )


def candidates_in(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The candidates of an answer or of an event."""
    candidates = value.get("candidates")
    return [one for one in candidates if isinstance(one, dict)] if isinstance(candidates, list) else []


def parts_in(candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of a candidate."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [one for one in parts if isinstance(one, dict)] if isinstance(parts, list) else []


def is_answer(part: Mapping[str, Any]) -> bool:
    """Whether a part carries something already: a text that is not empty, or anything but text and its signature."""
    return bool(part.get("text")) or bool(part.keys() - {"text", "thought", "thoughtSignature"})


def written_parts(parts: Iterable[Part], *, own: bool) -> list[dict[str, Any]]:
    """The parts of an answer as clients of this format read them."""
    written: list[dict[str, Any]] = []
    for part in parts:
        match part:
            case Text() | Refusal() | Reasoning() if not own and not _says_something(part):
                continue
            case Unknown(format=name) if name != FORMAT:
                continue
            case ToolCallResponse():
                continue
            case ToolCall() if own and is_invented(part.id):
                written.append(encode_part(attrs.evolve(part, id="")))
            case _:
                written.append(encode_part(part, own=own))
    return written


def _says_something(part: Text | Refusal | Reasoning) -> bool:
    if part.text:
        return True
    if isinstance(part, Reasoning) and (part.signature or "data" in part.extra):
        return True
    return not isinstance(part, Refusal) and signature_in(part.extra) is not None


def _decode_candidate(value: Any, position: int, response_id: str) -> ChatChoice:
    path = f"candidates[{position}]"
    source = as_object(value, path)
    content = optional(source, "content", as_object, path) or {}
    given = parts_in(source)
    parts = tuple(_with_ids(decode_parts(content.get("parts"), f"{path}.content.parts"), response_id, position))
    parts = tuple(with_grounding(parts, source))
    calls = any(isinstance(part, ToolCall) for part in parts)
    index = optional(source, "index", as_integer, path)
    finish = source.get("finishReason")
    told = frozenset({GROUNDING}) if source.get(GROUNDING) == _grounding_of(parts, given) else frozenset()
    extra = {**rest(source, _CANDIDATE | told), **native_extra(finish)}
    logprobs = decode_logprobs(source.get("logprobsResult"))
    extra |= {"logprobs": logprobs} if logprobs is not None else {}
    if isinstance(finish, str) and finish != encode_finish(decode_finish(finish, calls=calls)):
        extra["finishReason"] = finish
    message = Message(Role.ASSISTANT, parts, extra=rest(content, frozenset({"role", "parts"})))
    return ChatChoice(position if index is None else index, message, decode_finish(finish, calls=calls), extra=extra)


def _with_ids(parts: Sequence[Part], response_id: str, position: int) -> Iterable[Part]:
    """Calls without an id get one that this answer would give them again, and no other answer gives."""
    for number, part in enumerate(parts):
        if isinstance(part, ToolCall) and not part.id:
            given = invented_id(response_id, position, number, part.name, "" if response_id else part.arguments)
            yield attrs.evolve(part, id=given)
        else:
            yield part


def _encode_candidate(choice: ChatChoice, *, own: bool) -> dict[str, Any]:
    parts = choice.message.parts
    content: dict[str, Any] = {"role": "model", "parts": written_parts(parts, own=own)}
    refused = any(isinstance(part, Refusal) for part in parts)
    value: dict[str, Any] = {"content": {**choice.message.extra, **content} if own else content}
    grounding = _grounding_of(parts, content["parts"])
    if grounding is not None and not (own and choice.extra.keys() & {GROUNDING, "citationMetadata"}):
        value[GROUNDING] = grounding
    finish = encode_finish(choice.finish_reason, refused=refused)
    if own:
        value["finishReason"] = choice.extra.get("finishReason", finish)
        if choice.finish_reason is None and "finishReason" not in choice.extra:
            del value["finishReason"]
        value["index"] = choice.index
        return {**rest(choice.extra, _DERIVED), **value}
    logprobs = encode_logprobs(choice.extra.get("logprobs"))
    more = {} if logprobs is None else {"logprobsResult": logprobs}
    return {**value, "finishReason": finish, "index": choice.index, **more}


def _grounding_of(parts: Sequence[Part], written: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The ``groundingMetadata`` of parts as they are written; None where no source stands behind them."""
    cited = [part for part in parts if isinstance(part, Text) and part.citations]
    if not cited:
        return None
    said = [one.get("text") if not one.get("thought") else None for one in written]
    return encode_grounding((said.index(part.text), part) for part in cited if part.text in said)


def _source(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body)
    except JSONError as error:
        raise _not_an_answer(str(error)) from None
    if isinstance(value, list) and len(value) == 1:  # errors of some endpoints come so
        value = value[0]
    if not isinstance(value, dict):
        raise _not_an_answer("it is not a JSON object")
    return value


def _not_an_answer(reason: str) -> ProviderProtocolError:
    return ProviderProtocolError(f"the answer is not one of generateContent: {reason}", retryable=True)
