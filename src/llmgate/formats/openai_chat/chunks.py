"""One chat completion chunk, to the canonical chunk and back.

Source: OpenAI API reference, "The chat completion chunk object".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.formats.custom_tools import CUSTOM
from llmgate.formats.fields import rest
from llmgate.spec import ChoiceDelta, GatewayChunk, Reasoning, Text, ToolCallDelta, Usage

from .citations import decode_annotations
from .functions import answer_with_calls, older_answer
from .messages import decode_reasoning, encode_reasoning
from .responses import encode_end, told_end
from .usage import decode_usage

__all__ = ["CallPlaces", "choices_in", "decode_chunk", "encode_choices", "is_usage_only", "usage_in"]

_DELTA: Final = frozenset({"delta"})
_CHUNK_KNOWN: Final = frozenset({"id", "object", "created", "model", "choices", "usage"})
_CHOICE_KNOWN: Final = frozenset({"index", "delta", "finish_reason"})
_DELTA_KNOWN: Final = frozenset({"role", "content", "refusal", "tool_calls"})
_CALL_KNOWN: Final = frozenset({"index", "id", "type", "function"})


class CallPlaces:
    """Tells the pieces of calls apart where a server leaves out their ``index``: by id, else by their place."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, str], int] = {}
        self._last: dict[Any, int] = {}

    def give(self, value: Mapping[str, Any]) -> None:
        """Write into a chunk the indices that it lacks."""
        for choice in choices_in(value):
            delta = choice.get("delta")
            calls = delta.get("tool_calls") if isinstance(delta, dict) else None
            if not isinstance(calls, list):
                continue
            for place, call in enumerate(calls):
                if isinstance(call, dict) and not isinstance(call.get("index"), int):
                    call["index"] = self._place(choice.get("index"), call.get("id"), place, alone=len(calls) == 1)

    def _place(self, choice: Any, call_id: Any, place: int, *, alone: bool) -> int:
        if not isinstance(call_id, str) or not call_id:
            return self._last.get(choice, place) if alone else place
        known = sum(1 for one, _ in self._known if one == choice)
        self._last[choice] = self._known.setdefault((choice, call_id), known)
        return self._last[choice]


def is_usage_only(value: Mapping[str, Any]) -> bool:
    """Whether a chunk carries usage and no choice."""
    return not value.get("choices") and isinstance(value.get("usage"), dict)


def usage_in(value: Mapping[str, Any]) -> Usage | None:
    """The usage that a chunk carries; Groq writes it into an object of its own."""
    groq = value.get("x_groq")
    return decode_usage(value.get("usage")) or (decode_usage(groq.get("usage")) if isinstance(groq, dict) else None)


def choices_in(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices of a chunk."""
    choices = value.get("choices")
    return [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []


def encode_choices(choices: Sequence[ChoiceDelta], *, functions: bool = False) -> list[dict[str, Any]]:
    """The ``choices`` of a chunk.

    Args:
        choices: What is new.
        functions: Whether the client reads calls of functions, as they were before tools.
    """
    return [older_answer(_encode_choice(choice), "delta", always=functions) for choice in choices]


def decode_chunk(value: Mapping[str, Any], raw: bytes) -> GatewayChunk:
    """A chunk of the JSON of its event."""
    response_id, model, created = value.get("id"), value.get("model"), value.get("created")
    return GatewayChunk(
        choices=tuple(_decode_choice(choice, response_id) for choice in choices_in(value)),
        id=response_id if isinstance(response_id, str) and response_id else None,
        model=model if isinstance(model, str) and model else None,
        usage=usage_in(value),
        raw=raw,
        created=int(created) if isinstance(created, int | float) and not isinstance(created, bool) else None,
        extra=rest(value, _CHUNK_KNOWN),
    )


def _decode_choice(choice: Mapping[str, Any], answer: Any) -> ChoiceDelta:
    delta = choice.get("delta")
    delta = delta if isinstance(delta, dict) else {}
    if "function_call" in delta:
        delta = answer_with_calls(delta, f"call_{answer}_{choice.get('index', 0)}")
    index, role, refusal, calls = (
        choice.get("index"),
        delta.get("role"),
        delta.get("refusal"),
        delta.get("tool_calls"),
    )
    reasoning, used = decode_reasoning(delta)
    inner = rest(delta, _DELTA_KNOWN | used)
    end = told_end(choice, _CHOICE_KNOWN)
    return ChoiceDelta(
        index=index if isinstance(index, int) else 0,
        role=role if isinstance(role, str) and role else None,
        parts=(*reasoning, *_decode_content(delta.get("content")), *_cited(delta.get("annotations"))),
        refusal=refusal if isinstance(refusal, str) and refusal else None,
        tool_calls=tuple(
            _decode_call(call, position)
            for position, call in enumerate(calls if isinstance(calls, list) else ())
            if isinstance(call, dict)
        ),
        **(end | {"extra": {**end["extra"], "delta": inner}} if inner else end),
    )


def _cited(annotations: Any) -> tuple[Text, ...]:
    """The sources that a piece tells, on no words of their own."""
    found = decode_annotations(annotations, None) if annotations else ()
    return (Text("", citations=found),) if found else ()


def _decode_content(content: Any) -> tuple[Text | Reasoning, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts: list[Text | Reasoning] = []
    for part in content if isinstance(content, list) else ():  # Mistral's reasoning models
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("text"), str):
            parts.append(Text(part["text"]))
        elif isinstance(part.get("thinking"), list):
            pieces = [piece.get("text") for piece in part["thinking"] if isinstance(piece, dict)]
            parts.append(Reasoning("".join(piece for piece in pieces if isinstance(piece, str))))
    return tuple(parts)


def _decode_call(call: Mapping[str, Any], position: int) -> ToolCallDelta:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    index, call_id, name, arguments = (
        call.get("index"),
        call.get("id"),
        function.get("name"),
        function.get("arguments"),
    )
    if isinstance(arguments, dict):
        arguments = dumps(arguments).decode()
    return ToolCallDelta(
        index=index if isinstance(index, int) else position,
        id=call_id if isinstance(call_id, str) and call_id else None,
        name=name if isinstance(name, str) and name else None,
        arguments=arguments if isinstance(arguments, str) else "",
        extra=rest(call, _CALL_KNOWN),
    )


def _encode_choice(choice: ChoiceDelta) -> dict[str, Any]:
    delta: dict[str, Any] = dict(choice.extra["delta"]) if "delta" in choice.extra else {}
    if choice.role is not None:
        delta["role"] = choice.role
    if choice.parts:
        texts = [part.text for part in choice.parts if isinstance(part, Text)]
        if texts:
            delta["content"] = "".join(texts)
        reasoning = [part for part in choice.parts if isinstance(part, Reasoning)]
        if reasoning:
            delta |= encode_reasoning(reasoning)
    if choice.refusal is not None:
        delta["refusal"] = choice.refusal
    if choice.tool_calls:
        delta["tool_calls"] = [_encode_call(call) for call in choice.tool_calls]
    more = rest(choice.extra, _DELTA) if choice.extra else choice.extra
    return {**more, "index": choice.index, "delta": delta, **encode_end(choice)}


def _encode_call(call: ToolCallDelta) -> dict[str, Any]:
    value: dict[str, Any] = {**call.extra, "index": call.index}
    if call.id is not None:
        value["id"] = call.id
    if isinstance(call.extra.get(CUSTOM), dict):
        return {**value, "type": CUSTOM}
    if call.id is not None or call.name is not None:
        value["type"] = "function"
    named = {} if call.name is None else {"name": call.name}
    value["function"] = {**named, "arguments": call.arguments}
    return value
