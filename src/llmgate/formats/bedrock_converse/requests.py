"""Requests: bytes to canonical and back, and edits patched into the bytes.

Source: Amazon Bedrock API reference, "Converse". The model and whether the answer is streamed stand in the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import REMOVE, JSONError, TopLevel, dumps, loads, top
from llmgate.formats.bodies import check_editable, naming_fields, patched, read_top, written
from llmgate.formats.fields import (
    ShapeError,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
    merged,
    optional,
    rest,
)
from llmgate.spec import (
    UNKNOWN_MODEL,
    ChatRequest,
    GatewayRequest,
    InvalidRequestError,
    ModelFacts,
    OutputFormat,
    RequestHead,
)

from .additional import decode_additional, encode_additional
from .fitting import DIALECT, fitted
from .makers import ANTHROPIC, maker_of
from .messages import decode_message, decode_system, encode_conversation
from .parts import FORMAT
from .responses import SEQUENCE
from .tools import decode_tool_config, encode_tool_config
from .turns import arranged

__all__ = ["asks_for_sequence", "decode_request", "encode_request", "patch_request", "peek"]

_INFERENCE: Final = frozenset({"maxTokens", "temperature", "topP", "stopSequences"})
_KNOWN: Final = frozenset(
    {"system", "messages", "inferenceConfig", "toolConfig", "outputConfig", "serviceTier", "requestMetadata"}
    | {"additionalModelRequestFields"}
)
"""Fields with a canonical counterpart."""

_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("system", "messages"),
    "tools": ("toolConfig",),
    "tool_choice": ("toolConfig",),
    "parallel_tool_calls": ("additionalModelRequestFields",),
    "max_output_tokens": ("inferenceConfig",),
    "temperature": ("inferenceConfig",),
    "top_p": ("inferenceConfig",),
    "stop_sequences": ("inferenceConfig",),
    "top_k": ("additionalModelRequestFields",),
    "reasoning_effort": ("additionalModelRequestFields", "outputConfig"),
    "output_format": ("outputConfig",),
    "service_tier": ("serviceTier",),
    "metadata": ("requestMetadata",),
}
"""The fields of the body in which a canonical field stands; edits of all others change nothing in it."""

_PATHS: Final = "additionalModelResponseFieldPaths"
"""What is to be told of the model's own answer. Paths that lead to nothing are passed over."""

_SEQUENCE_PATH: Final = f"/{SEQUENCE}"

_EMPTY: Final[Mapping[str, Any]] = {"messages": (), "tools": (), "stop_sequences": (), "metadata": {}}


def peek(body: bytes) -> RequestHead:
    """What one pass over the top level tells; the model and streaming are told by the address.

    Raises:
        InvalidRequestError: the body is not a request in this format.
    """
    read = read_top(body)
    messages = read.get("messages")
    if messages is not None and not isinstance(messages, list):
        raise InvalidRequestError("messages must be an array of messages", param="messages")
    return RequestHead("", patch=lambda edits, facts: _patched(read, edits, facts), values=read.values)


def decode_request(body: bytes) -> ChatRequest:
    """The canonical request; fields without a canonical counterpart are kept in ``extra``.

    Raises:
        InvalidRequestError: naming the field that is wrong.
    """
    with naming_fields():
        return _decode(read_top(body).values())


def encode_request(request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
    """The request in this format.

    Raises:
        InvalidRequestError: something in it that cannot be left out has no counterpart in this format.
    """
    own = request.extra_format == FORMAT
    request, losses = fitted(request, facts)
    losses.check()
    messages = request.messages
    if not own:
        messages = arranged(messages, system_turns=facts.system_turns, prefill=facts.prefill)
    system, turns = encode_conversation(messages, own=own)
    value: dict[str, Any] = {} if system is None else {"system": system}
    value["messages"] = turns
    value |= _named("inferenceConfig", _inference(request))
    value |= _named("toolConfig", encode_tool_config(request.tools, request.tool_choice, own=own))
    additional, effort = encode_additional(request, facts, own=own)
    value |= _named("additionalModelRequestFields", additional)
    value |= _named("outputConfig", _encode_output(request.output_format, effort))
    value |= _named("serviceTier", {"type": request.service_tier} if request.service_tier else None)
    value |= _named("requestMetadata", dict(request.metadata))
    extra = request.extra if own else _dialect(request)
    return written(merged(value, rest(extra, frozenset({"thinking"}))))


def asks_for_sequence(request: GatewayRequest) -> bool:
    """Whether a client of this format wants to be told which of its texts ended the answer."""
    if request.format != FORMAT or SEQUENCE.encode("ascii") not in request.body:
        return request.format != FORMAT
    try:
        paths = top(request.body).get(_PATHS)
    except JSONError:
        return False
    return isinstance(paths, list) and _SEQUENCE_PATH in paths


def _dialect(request: ChatRequest) -> dict[str, Any]:
    """This format's own fields in a request of another; Claude is asked which text ended the answer, if one may."""
    extra = {name: request.extra[name] for name in DIALECT & request.extra.keys()}
    paths = extra.get(_PATHS, [])
    if request.stop_sequences and maker_of(request.model) == ANTHROPIC and isinstance(paths, list):
        extra[_PATHS] = list(dict.fromkeys((*paths, _SEQUENCE_PATH)))
    return extra


def patch_request(body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
    """The body with canonical fields changed and every other byte left as it was.

    An edit of a field that stands in no place of the body changes nothing.

    Raises:
        TypeError: an edit names a field that may not be edited.
        InvalidRequestError: the body is not a request, or an edit has no counterpart in this format.
    """
    return _patched(read_top(body), edits, facts) if edits.keys() & _PLACES.keys() or not _editable(edits) else body


def _editable(edits: Mapping[str, Any]) -> bool:
    check_editable(edits)
    return True


def _patched(read: TopLevel, edits: Mapping[str, Any], facts: ModelFacts) -> bytes:
    _editable(edits)
    said: dict[str, Any] = {
        name: _EMPTY.get(name) if value is None else value for name, value in edits.items() if name in _PLACES
    }
    if not said:
        return read.body
    model = edits.get("model") or ""
    written = top(encode_request(attrs.evolve(decode_request(read.body), model=model, **said), facts))
    names = dict.fromkeys(wire for name in sorted(said) for wire in _PLACES[name])
    changes = {name: written.get(name, REMOVE) for name in names if read.has(name) or written.has(name)}
    return patched(read, changes)


def _decode(source: dict[str, Any]) -> ChatRequest:
    inference = optional(source, "inferenceConfig", as_object) or {}
    output = optional(source, "outputConfig", as_object) or {}
    tier = optional(source, "serviceTier", as_object) or {}
    tools, choice, unread = decode_tool_config(source.get("toolConfig"))
    additional = decode_additional(
        optional(source, "additionalModelRequestFields", as_object) or {}, output.get("effort")
    )
    output_format, kept = _decode_output(output, said=additional.effort is not None)
    extra = rest(source, _KNOWN)
    for name, more in (
        ("inferenceConfig", rest(inference, _INFERENCE)),
        ("toolConfig", unread),
        ("outputConfig", kept),
        ("serviceTier", rest(tier, frozenset({"type"}))),
        ("additionalModelRequestFields", additional.rest),
    ):
        extra |= _named(name, more)
    extra |= {} if additional.thinking is None else {"thinking": additional.thinking}
    messages = optional(source, "messages", as_list) or ()
    stops = optional(inference, "stopSequences", as_list, "inferenceConfig") or ()
    return ChatRequest(
        model="",
        messages=(
            *decode_system(source.get("system")),
            *(decode_message(one, f"messages[{index}]") for index, one in enumerate(messages)),
        ),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=additional.parallel,
        output_format=output_format,
        max_output_tokens=optional(inference, "maxTokens", as_integer, "inferenceConfig"),
        temperature=optional(inference, "temperature", as_number, "inferenceConfig"),
        top_p=optional(inference, "topP", as_number, "inferenceConfig"),
        top_k=additional.top_k,
        stop_sequences=tuple(as_text(one, f"inferenceConfig.stopSequences[{i}]") for i, one in enumerate(stops)),
        reasoning_effort=additional.effort,
        service_tier=optional(tier, "type", as_text, "serviceTier"),
        metadata=optional(source, "requestMetadata", as_object) or {},
        extra=extra,
        extra_format=FORMAT,
    )


def _decode_output(config: Mapping[str, Any], *, said: bool) -> tuple[OutputFormat | None, dict[str, Any]]:
    """The shape of the answer, and what remains of ``outputConfig``."""
    kept = rest(config, frozenset({"textFormat", "effort"} if said else {"textFormat"}))
    match config.get("textFormat"):
        case None:
            return None, kept
        case {"type": "json_schema", "structure": {"jsonSchema": {"schema": str(schema)} as given}}:
            try:
                value = as_object(loads(schema.encode("utf-8", "replace")), "outputConfig.textFormat")
            except JSONError:
                raise ShapeError("outputConfig.textFormat.structure.jsonSchema.schema", "JSON in a string") from None
            path = "outputConfig.textFormat"
            name, description = optional(given, "name", as_text, path), optional(given, "description", as_text, path)
            return OutputFormat("json_schema", value, name, description=description), kept
        case given:
            return None, {**kept, "textFormat": given}


def _encode_output(output: OutputFormat | None, effort: str | None) -> dict[str, Any]:
    value: dict[str, Any] = {} if effort is None else {"effort": effort}
    if output is None or output.type != "json_schema":
        return value
    schema: dict[str, Any] = {"schema": dumps(output.schema or {}).decode()}
    schema |= {} if output.name is None else {"name": output.name}
    schema |= {} if output.description is None else {"description": output.description}
    return {**value, "textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _inference(request: ChatRequest) -> dict[str, Any]:
    given = {"maxTokens": request.max_output_tokens, "temperature": request.temperature, "topP": request.top_p}
    value = {name: one for name, one in given.items() if one is not None}
    return {**value, "stopSequences": list(request.stop_sequences)} if request.stop_sequences else value


def _named(name: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    """A member for a value; none for one that says nothing."""
    return {name: value} if value else {}
