"""How an answer is to be made: ``generationConfig``.

Source: Gemini API reference, "GenerationConfig".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from llmgate.formats.fields import as_boolean, as_list, as_object, as_text, optional, rest
from llmgate.formats.logprobs import asked_logprobs
from llmgate.spec import ChatRequest, ModelFacts, OutputFormat

from .keys import as_camel, as_float, as_whole
from .schemas import json_schema
from .thinking import decode_effort, encode_effort

__all__ = ["PLAIN", "decode_generation", "encode_generation"]

PLAIN: Final[Mapping[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "max_output_tokens": ("maxOutputTokens", as_whole),
    "temperature": ("temperature", as_float),
    "top_p": ("topP", as_float),
    "top_k": ("topK", as_whole),
    "seed": ("seed", as_whole),
    "frequency_penalty": ("frequencyPenalty", as_float),
    "presence_penalty": ("presencePenalty", as_float),
    "choice_count": ("candidateCount", as_whole),
}
"""Canonical fields whose value is the same in the wire format: its name there, and what it must be."""

_JSON: Final = "application/json"
_SCHEMAS: Final = ("responseJsonSchema", "_responseJsonSchema", "responseSchema")
_SCHEMA: Final = "generationConfig.schema"
_THINKING: Final = "generationConfig.thinkingConfig"
_KNOWN: Final = frozenset(name for name, _ in PLAIN.values()) | {
    "stopSequences", "responseMimeType", "responseLogprobs", "logprobs", "thinkingConfig", *_SCHEMAS,
}  # fmt: skip


def decode_generation(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The canonical fields, and what becomes of the rest: fields for the request's ``extra``.

    ``thinkingConfig`` stays in ``extra`` too, since it says more than an effort, and so does a schema in an older
    notation.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    if value is None:
        return {}, {}
    path = "generationConfig"
    source = as_camel(value, path)
    fields: dict[str, Any] = {name: optional(source, wire, read, path) for name, (wire, read) in PLAIN.items()}
    stops = optional(source, "stopSequences", as_list, path) or ()
    fields["stop_sequences"] = tuple(as_text(one, f"{path}.stopSequences[{i}]") for i, one in enumerate(stops))
    kept = rest(source, _KNOWN)
    fields["output_format"], older = _decode_output(source, kept, path)
    thinking = optional(source, "thinkingConfig", as_object, path)
    fields["reasoning_effort"] = decode_effort(thinking)
    extra: dict[str, Any] = {path: kept} if kept else {}
    extra |= {_SCHEMA: older} if older else {}
    extra |= {} if thinking is None else {_THINKING: thinking}
    if optional(source, "responseLogprobs", as_boolean, path):
        extra["logprobs"] = True
    count = optional(source, "logprobs", as_whole, path)
    if count is not None:
        extra["top_logprobs"] = count
    return fields, extra


def encode_generation(request: ChatRequest, facts: ModelFacts, *, own: bool) -> dict[str, Any]:
    """The ``generationConfig``; empty where nothing is asked for.

    Args:
        request: What is asked.
        facts: What the model takes.
        own: Whether what is in ``extra`` belongs to this format and may be written.
    """
    value: dict[str, Any] = {}
    for name, (wire, _) in PLAIN.items():
        given = getattr(request, name)
        value |= {} if given is None else {wire: given}
    if request.stop_sequences:
        value["stopSequences"] = list(request.stop_sequences)
    kept = request.extra.get("generationConfig") if own else None
    kept = dict(kept) if isinstance(kept, Mapping) else {}
    value |= _encode_output(request.output_format, request.extra.get(_SCHEMA) if own else None)
    thinking = request.extra.get(_THINKING) if own else None
    if thinking is not None and decode_effort(thinking) == request.reasoning_effort:
        value["thinkingConfig"] = thinking
    elif request.reasoning_effort is not None:
        value["thinkingConfig"] = encode_effort(request.reasoning_effort, facts)
    asked = asked_logprobs(request)
    if asked.get("logprobs") is True:
        value["responseLogprobs"] = True
    if asked.get("top_logprobs") is not None:
        value["logprobs"] = asked["top_logprobs"]
    return {**kept, **value}


def _decode_output(
    source: Mapping[str, Any], kept: dict[str, Any], path: str
) -> tuple[OutputFormat | None, dict[str, Any]]:
    """The shape of the answer, and a schema in an older notation; what is no canonical shape goes to ``kept``."""
    kind = optional(source, "responseMimeType", as_text, path)
    name = next((one for one in _SCHEMAS if source.get(one) is not None), None)
    schema = None if name is None else source[name]
    if kind not in (None, _JSON) or (kind is None and name is None) or not isinstance(schema, dict | None):
        kept |= {} if kind is None else {"responseMimeType": kind}
        kept |= {} if name is None else {name: schema}
        return None, {}
    if name is None:
        return OutputFormat("json"), {}
    older = {} if name == _SCHEMAS[0] else {name: schema}
    return OutputFormat("json_schema", schema=_translated(name, schema)), older


def _encode_output(output: OutputFormat | None, older: Any) -> dict[str, Any]:
    """The shape of the answer, in the older notation where it came so and still says the same."""
    if output is None or output.type == "text":
        return {}
    if output.schema is None:
        return {"responseMimeType": _JSON}
    for name, schema in (older or {}).items():
        if _translated(name, schema) == output.schema:
            return {"responseMimeType": _JSON, name: schema}
    return {"responseMimeType": _JSON, _SCHEMAS[0]: output.schema}


def _translated(name: str, schema: Any) -> Any:
    return json_schema(schema) if name == _SCHEMAS[-1] else schema
