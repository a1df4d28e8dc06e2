"""Requests: bytes to canonical and back, and edits patched into the bytes.

Source: Cohere API reference, "Chat (v2)".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import REMOVE, TopLevel, top
from llmgate.formats.bodies import check_editable, naming_fields, patched, read_top, written
from llmgate.formats.fields import (
    as_boolean,
    as_integer,
    as_list,
    as_number,
    as_text,
    merged,
    optional,
    rest,
)
from llmgate.spec import (
    UNKNOWN_MODEL,
    ChatRequest,
    InvalidRequestError,
    ModelFacts,
    RequestHead,
)

from .fitting import DIALECT, fitted
from .messages import decode_message, encode_messages
from .parts import FORMAT
from .thinking import decode_thinking, encode_thinking
from .tools import (
    decode_response_format,
    decode_tool,
    decode_tool_choice,
    encode_response_format,
    encode_tool_choice,
    encode_tools,
)

__all__ = ["decode_request", "encode_request", "patch_request", "peek"]

_PLAIN: Final[Mapping[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "max_output_tokens": ("max_tokens", as_integer),
    "temperature": ("temperature", as_number),
    "top_p": ("p", as_number),
    "top_k": ("k", as_integer),
    "seed": ("seed", as_integer),
    "frequency_penalty": ("frequency_penalty", as_number),
    "presence_penalty": ("presence_penalty", as_number),
}
"""Canonical fields whose value is the same in the wire format: its name there, and what it must be."""

_KNOWN: Final = frozenset(name for name, _ in _PLAIN.values()) | {
    "model", "messages", "tools", "strict_tools", "tool_choice", "response_format", "stop_sequences", "stream",
}  # fmt: skip
"""Fields with a canonical counterpart. ``thinking`` stays in ``extra`` too, since it says more than an effort."""

_UNSAID: Final = frozenset({"choice_count", "include_usage", "metadata", "parallel_tool_calls", "service_tier", "user"})
"""Canonical fields that this format has no field for. Usage always comes."""

_TOGETHER: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("messages",),
    "tools": ("tools", "strict_tools"),
    "tool_choice": ("tool_choice",),
    "output_format": ("response_format",),
    "reasoning_effort": ("thinking",),
}
"""Canonical fields that are written anew by an edit, and where each stands."""


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

    Raises:
        InvalidRequestError: something in it that cannot be left out has no counterpart in this format.
    """
    own = request.extra_format in ("", FORMAT)
    request, losses = fitted(request, facts)
    losses.check()
    value: dict[str, Any] = {"model": request.model, "messages": encode_messages(request.messages, own=own)}
    for name, (wire, _) in _PLAIN.items():
        given = getattr(request, name)
        value |= {} if given is None else {wire: given}
    value |= _encode_tools(request, own=own)
    if request.output_format is not None:
        value["response_format"] = encode_response_format(request.output_format)
    value |= {"stop_sequences": list(request.stop_sequences)} if request.stop_sequences else {}
    value |= _encode_thinking(request)
    value |= {"stream": True} if request.stream else {}
    extra = request.extra if own else {name: request.extra[name] for name in sorted(DIALECT & request.extra.keys())}
    return written(merged(value, rest(extra, frozenset({"thinking"}))))


def patch_request(body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:  # noqa: ARG001 - the interface
    """The body with canonical fields changed and every other byte left as it was.

    An edit of a field that this format does not have changes nothing.

    Raises:
        TypeError: an edit names a field that may not be edited.
        InvalidRequestError: the body is not a request, or an edit has no counterpart in this format.
    """
    return _patched(read_top(body), edits) if edits.keys() - _UNSAID else body


def _patched(read: TopLevel, edits: Mapping[str, Any]) -> bytes:
    check_editable(edits)
    said = edits.keys() - _UNSAID
    changes: dict[str, Any] = {}
    for name in sorted(said & (_PLAIN.keys() | {"model", "stream", "stop_sequences"})):
        wire, value = _PLAIN.get(name, (name, None))[0], edits[name]
        changes[wire] = REMOVE if value is None else list(value) if name == "stop_sequences" else value
    if said & _TOGETHER.keys():
        changes |= _patch_together(read, edits, said)
    return patched(read, changes)


def _patch_together(read: TopLevel, edits: Mapping[str, Any], said: frozenset[str] | set[str]) -> dict[str, Any]:
    empty: Mapping[str, Any] = {"messages": (), "tools": ()}
    chosen: dict[str, Any] = {
        name: empty.get(name) if edits[name] is None else edits[name] for name in sorted(said & _TOGETHER.keys())
    }
    written = top(encode_request(attrs.evolve(decode_request(read.body), **chosen)))
    names = dict.fromkeys(wire for name in chosen for wire in _TOGETHER[name])
    return {name: written.get(name, REMOVE) for name in names if read.has(name) or written.has(name)}


def _head(read: TopLevel) -> RequestHead:
    model, stream, messages = read.get("model"), read.get("stream"), read.get("messages")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequestError("stream must be true or false", param="stream")
    if not isinstance(messages, list):
        raise InvalidRequestError("messages must be an array of messages", param="messages")
    return RequestHead(
        model, bool(stream), bool(stream), patch=lambda edits, _: _patched(read, edits), values=read.values
    )


def _decode(source: dict[str, Any], head: RequestHead) -> ChatRequest:
    extra = rest(source, _KNOWN)
    strict = optional(source, "strict_tools", as_boolean)
    choice = decode_tool_choice(source.get("tool_choice"))
    if choice is None and source.get("tool_choice") is not None:
        extra["tool_choice"] = source["tool_choice"]
    output = None
    if source.get("response_format") is not None:
        output, more = decode_response_format(source["response_format"])
        extra |= {"response_format": more} if more else {}
    stops = optional(source, "stop_sequences", as_list) or ()
    tools = optional(source, "tools", as_list) or ()
    if strict is not None and not tools:
        extra["strict_tools"] = strict
    plain: dict[str, Any] = {name: optional(source, wire, read) for name, (wire, read) in _PLAIN.items()}
    return ChatRequest(
        model=head.model,
        messages=tuple(decode_message(one, f"messages[{i}]") for i, one in enumerate(source["messages"])),
        tools=tuple(decode_tool(tool, f"tools[{i}]", strict=strict) for i, tool in enumerate(tools)),
        tool_choice=choice,
        output_format=output,
        stop_sequences=tuple(as_text(one, f"stop_sequences[{i}]") for i, one in enumerate(stops)),
        reasoning_effort=decode_thinking(source.get("thinking")),
        stream=head.stream,
        include_usage=head.include_usage,
        extra=extra,
        extra_format=FORMAT,
        **plain,
    )


def _encode_tools(request: ChatRequest, *, own: bool) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if request.tools:
        value["tools"] = encode_tools(request.tools, own=own)
        strict = [tool.strict for tool in request.tools if tool.strict is not None]
        value |= {"strict_tools": any(strict)} if strict and (own or any(strict)) else {}
    choice = encode_tool_choice(request.tool_choice)
    return value if choice is None else {**value, "tool_choice": choice}


def _encode_thinking(request: ChatRequest) -> dict[str, Any]:
    """``thinking`` as it came while it still says the same, else anew."""
    given, effort = request.extra.get("thinking"), request.reasoning_effort
    if request.extra_format == FORMAT and given is not None and decode_thinking(given) == effort:
        return {"thinking": given}
    return {} if effort is None else {"thinking": encode_thinking(effort, request.max_output_tokens)}
