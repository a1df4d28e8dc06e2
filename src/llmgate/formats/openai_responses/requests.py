"""Requests: bytes to canonical and back, and edits patched into the bytes.

Source: OpenAI API reference, "Create a model response".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import REMOVE, TopLevel, top
from llmgate.formats.allowed_tools import allowed_tools
from llmgate.formats.bodies import check_editable, naming_fields, output_bound, patched, read_top, written
from llmgate.formats.fields import (
    as_boolean,
    as_integer,
    as_number,
    as_object,
    as_text,
    merged,
    optional,
    rest,
)
from llmgate.formats.logprobs import asked_logprobs
from llmgate.formats.losses import INCLUDED_LOGPROBS
from llmgate.formats.openai_chat.fitting import SHARED
from llmgate.spec import (
    UNKNOWN_MODEL,
    ChatRequest,
    InvalidRequestError,
    ModelFacts,
    RequestHead,
)

from .fitting import fitted
from .messages import decode_conversation, encode_conversation
from .parts import FORMAT
from .tools import (
    decode_output_format,
    decode_tool_choice,
    decode_tools,
    encode_output_format,
    encode_tool_choice,
    encode_tools,
)

__all__ = ["decode_request", "encode_request", "patch_request", "peek"]

_PLAIN: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "parallel_tool_calls": as_boolean,
    "max_output_tokens": as_integer,
    "temperature": as_number,
    "top_p": as_number,
    "user": as_text,
    "service_tier": as_text,
}
"""Canonical fields that have the same name and value in the wire format, and what each must be."""

_KNOWN: Final = frozenset(_PLAIN) | {
    "model", "instructions", "input", "tools", "tool_choice", "text", "reasoning", "stream", "metadata",
}  # fmt: skip
_UNSAID: Final = frozenset(
    {"include_usage", "choice_count", "seed", "frequency_penalty", "presence_penalty", "stop_sequences", "top_k"}
)
"""Canonical fields that this format has no field for. Usage always comes."""

_TOGETHER: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("instructions", "input"),
    "tools": ("tools",),
    "tool_choice": ("tool_choice",),
    "reasoning_effort": ("reasoning",),
    "output_format": ("text",),
}
"""Canonical fields that are only a part of a field of the format, or several: these are written anew."""

_KEPT: Final = ("previous_response_id", "conversation")
"""Fields that name what only the provider which made it has."""


def peek(body: bytes) -> RequestHead:
    """What one pass over the top level tells; usage comes at the end of every stream.

    Raises:
        InvalidRequestError: the body is not a request in this format.
    """
    return _head(read_top(body))


def decode_request(body: bytes) -> ChatRequest:
    """The canonical request; fields without a canonical counterpart are kept in ``extra``.

    Raises:
        InvalidRequestError: naming the field that is wrong.
    """
    read = read_top(body)
    with naming_fields():
        return _decode(read.values(), _head(read))


def encode_request(request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
    """The request in this format.

    One of another format is not kept by the provider, and asks for the proof of what the model thinks, since nobody
    else will have it in the next turn.

    Raises:
        InvalidRequestError: something in it that cannot be left out has no counterpart in this format.
    """
    own = request.extra_format == FORMAT
    request, losses = fitted(request, facts)
    losses.check()
    instructions, items = encode_conversation(request.messages, own=own)
    value: dict[str, Any] = {"model": request.model}
    value |= {} if instructions is None else {"instructions": instructions}
    value["input"] = items
    value |= _encode_tools(request, own=own)
    for name in _PLAIN:
        given = getattr(request, name)
        value |= {} if given is None else {name: given}
    value |= {} if request.reasoning_effort is None else {"reasoning": {"effort": request.reasoning_effort}}
    value |= _encode_text(request)
    value |= {"metadata": dict(request.metadata)} if request.metadata else {}
    value |= {"stream": True} if request.stream else {}
    if not own:
        value |= _stateless(request, facts)
    return written(merged(value, request.extra) if own or not request.extra_format else value)


def patch_request(body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
    """The body with canonical fields changed and every other byte left as it was.

    An edit of a field that this format does not have changes nothing.

    Raises:
        TypeError: an edit names a field that may not be edited.
        InvalidRequestError: the body is not a request, or an edit has no counterpart in this format.
    """
    return _patched(read_top(body), edits, facts) if edits.keys() - _UNSAID else body


def _patched(read: TopLevel, edits: Mapping[str, Any], facts: ModelFacts) -> bytes:
    check_editable(edits)
    changes: dict[str, Any] = {
        name: REMOVE if edits[name] is None else edits[name]
        for name in edits.keys() & (_PLAIN.keys() | {"model", "stream", "metadata"})
    }
    if isinstance(changes.get("metadata"), Mapping):
        changes["metadata"] = dict(changes["metadata"]) or REMOVE
    together = edits.keys() & _TOGETHER.keys()
    if together:
        changes |= _patch_together(read, {name: edits[name] for name in together}, facts)
    return patched(read, changes)


def _patch_together(read: TopLevel, edits: Mapping[str, Any], facts: ModelFacts) -> dict[str, Any]:
    empty: Mapping[str, Any] = {"messages": (), "tools": ()}
    chosen: dict[str, Any] = {name: empty.get(name) if value is None else value for name, value in edits.items()}
    written = top(encode_request(attrs.evolve(decode_request(read.body), **chosen), facts))
    names = dict.fromkeys(wire for name in sorted(chosen) for wire in _TOGETHER[name])
    return {name: written.get(name, REMOVE) for name in names if read.has(name) or written.has(name)}


def _head(read: TopLevel) -> RequestHead:
    model, stream, given, user = read.get("model"), read.get("stream"), read.get("input"), read.get("user")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequestError("stream must be true or false", param="stream")
    if not isinstance(given, str | list | None):
        raise InvalidRequestError("input must be a string or an array of items", param="input")
    if user is not None and not isinstance(user, str):
        raise InvalidRequestError("user must be a string", param="user")
    kept = next((name for name in _KEPT if read.get(name) is not None), None)
    patch = lambda edits, facts: _patched(read, edits, facts)  # noqa: E731 - what has been read is kept with it
    return RequestHead(
        model,
        bool(stream),
        bool(stream),
        user,
        bound_by=kept,
        patch=patch,
        output_bound=lambda: output_bound(read, ("max_output_tokens",)),
        values=read.values,
    )


def _decode(source: dict[str, Any], head: RequestHead) -> ChatRequest:
    extra = rest(source, _KNOWN)
    choice = decode_tool_choice(source.get("tool_choice"))
    if choice is None and source.get("tool_choice") is not None:
        extra["tool_choice"] = source["tool_choice"]
    text = optional(source, "text", as_object) or {}
    output, more = None, rest(text, frozenset({"format"}))
    if text.get("format") is not None:
        output, unread = decode_output_format(text["format"], "text.format")
        more |= {"format": unread} if unread else {}
    extra |= {"text": more} if more else {}
    reasoning = optional(source, "reasoning", as_object) or {}
    effort = reasoning.get("effort")
    effort = effort if isinstance(effort, str) else None
    unread = rest(reasoning, frozenset() if effort is None else frozenset({"effort"}))
    extra |= {"reasoning": unread} if unread else {}
    plain: dict[str, Any] = {name: optional(source, name, read) for name, read in _PLAIN.items()}
    return ChatRequest(
        model=head.model,
        messages=decode_conversation(source.get("instructions"), source.get("input")),
        tools=() if source.get("tools") is None else decode_tools(source["tools"], "tools"),
        tool_choice=choice,
        output_format=output,
        reasoning_effort=effort,
        stream=head.stream,
        include_usage=head.include_usage,
        metadata=optional(source, "metadata", as_object) or {},
        extra=extra,
        extra_format=FORMAT,
        **plain,
    )


def _encode_tools(request: ChatRequest, *, own: bool) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if request.tools:
        value["tools"] = encode_tools(request.tools, own=own)
    if request.tool_choice is not None:
        value["tool_choice"] = encode_tool_choice(request.tool_choice, request.tools, own=own)
    allowed = None if own else allowed_tools(request.extra)
    if allowed is not None and request.tools:
        named = [{"type": "function", "name": tool.name} for tool in request.tools if tool.name in allowed[1]]
        value["tool_choice"] = {"type": "allowed_tools", "mode": allowed[0].mode, "tools": named}
    return value


def _encode_text(request: ChatRequest) -> dict[str, Any]:
    text: dict[str, Any] = {}
    if request.output_format is not None:
        text["format"] = encode_output_format(request.output_format)
    if request.extra_format != FORMAT and isinstance(request.extra.get("verbosity"), str):
        text["verbosity"] = request.extra["verbosity"]
    return {"text": text} if text else {}


def _stateless(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    """What a request that came in another format says beside what it was asked."""
    value = {name: request.extra[name] for name in SHARED if isinstance(request.extra.get(name), str | dict)}
    value["store"] = False
    include = ["reasoning.encrypted_content"] if facts.reasons or request.reasoning_effort not in (None, "none") else []
    asked = asked_logprobs(request)
    if asked.get("logprobs") is True:
        include.append(INCLUDED_LOGPROBS)
        value |= {} if asked.get("top_logprobs") is None else {"top_logprobs": asked["top_logprobs"]}
    return {**value, "include": include} if include else value
