"""Requests: bytes to canonical and back, and edits patched into the bytes.

Source: Anthropic API reference, "Create a Message".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import REMOVE, TopLevel, top
from llmgate.formats.bodies import check_editable, naming_fields, output_bound, patched, read_top, written
from llmgate.formats.fields import (
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
    InvalidRequestError,
    ModelFacts,
    OutputFormat,
    RequestHead,
)

from .fitting import DEFAULT_MAX_TOKENS, DIALECT, fitted
from .messages import decode_message, decode_system, encode_conversation
from .parts import FORMAT
from .thinking import decode_effort, encode_effort
from .tools import decode_tool, decode_tool_choice, encode_tool_choice, encode_tools

__all__ = ["decode_request", "encode_request", "patch_request", "peek"]

_PLAIN: Final[Mapping[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "max_output_tokens": ("max_tokens", as_integer),
    "temperature": ("temperature", as_number),
    "top_p": ("top_p", as_number),
    "top_k": ("top_k", as_integer),
    "service_tier": ("service_tier", as_text),
}
"""Canonical fields whose value is the same in the wire format: its name there, and what it must be."""

_KNOWN: Final = frozenset(name for name, _ in _PLAIN.values()) | {
    "model", "messages", "system", "tools", "tool_choice", "stop_sequences", "metadata", "stream", "output_config",
    "output_format",
}  # fmt: skip
"""Fields with a canonical counterpart. ``thinking`` stays in ``extra`` too, since it says more than an effort."""

_UNSAID: Final = frozenset(
    {"include_usage", "choice_count", "seed", "frequency_penalty", "presence_penalty", "metadata"}
)
"""Canonical fields that this format has no field for. Usage always comes."""


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
    system, turns = encode_conversation(
        request.messages, own=own, system_turns=facts.system_turns, prefill=facts.prefill
    )
    value: dict[str, Any] = {"model": request.model, "max_tokens": DEFAULT_MAX_TOKENS}
    for name, (wire, _) in _PLAIN.items():
        given = getattr(request, name)
        value |= {} if given is None else {wire: given}
    value |= {} if system is None else {"system": system}
    value |= _encode_tools(request, own=own)
    value |= {"stop_sequences": list(request.stop_sequences)} if request.stop_sequences else {}
    value |= {} if request.user is None else {"metadata": {"user_id": request.user}}
    value |= {"stream": True} if request.stream else {}
    value |= _encode_thinking(request, facts, value["max_tokens"])
    value |= _encode_output(request.output_format, value.get("output_config", {}))
    value["messages"] = turns
    return written(merged(value, _own_fields(request, own=own)))


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
    said = edits.keys() - _UNSAID
    changes: dict[str, Any] = {}
    for name in sorted(said & (_PLAIN.keys() | {"model", "stream", "stop_sequences"})):
        wire, value = _PLAIN.get(name, (name, None))[0], edits[name]
        # ``max_tokens`` is demanded: taking the limit out means the default.
        absent = DEFAULT_MAX_TOKENS if name == "max_output_tokens" else REMOVE
        changes[wire] = absent if value is None else list(value) if name == "stop_sequences" else value
    if said & _TOGETHER.keys():
        changes |= _patch_together(read, edits, facts, said)
    return patched(read, changes)


_TOGETHER: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("system", "messages"),
    "tools": ("tools",),
    "tool_choice": ("tool_choice",),
    "parallel_tool_calls": ("tool_choice",),
    "user": ("metadata",),
    "reasoning_effort": ("thinking", "output_config"),
    "output_format": ("output_config", "output_format"),
}
"""Canonical fields that share a field of the format with others, or stand in several: these are written anew."""


def _patch_together(
    read: TopLevel, edits: Mapping[str, Any], facts: ModelFacts, said: frozenset[str] | set[str]
) -> dict[str, Any]:
    empty: Mapping[str, Any] = {"messages": (), "tools": ()}
    chosen: dict[str, Any] = {
        name: empty.get(name) if edits[name] is None else edits[name] for name in said & _TOGETHER.keys()
    }
    written = top(encode_request(attrs.evolve(decode_request(read.body), **chosen), facts))
    names = dict.fromkeys(wire for name in sorted(chosen) for wire in _TOGETHER[name])
    return {name: written.get(name, REMOVE) for name in names if read.has(name) or written.has(name)}


def _head(read: TopLevel) -> RequestHead:
    model, stream, messages = read.get("model"), read.get("stream"), read.get("messages")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequestError("stream must be true or false", param="stream")
    if not isinstance(messages, list):
        raise InvalidRequestError("messages must be an array of messages", param="messages")
    metadata = read.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    user = user if isinstance(user, str) else None
    return RequestHead(
        model,
        bool(stream),
        bool(stream),
        user,
        patch=lambda edits, facts: _patched(read, edits, facts),
        output_bound=lambda: output_bound(read, ("max_tokens",)),
        values=read.values,
    )


def _decode(source: dict[str, Any], head: RequestHead) -> ChatRequest:
    extra = rest(source, _KNOWN)
    choice, parallel = None, None
    if source.get("tool_choice") is not None:
        choice, parallel, more = decode_tool_choice(source["tool_choice"])
        extra |= {"tool_choice": more} if more else {}
    metadata = optional(source, "metadata", as_object) or {}
    config = optional(source, "output_config", as_object) or {}
    extra |= {"metadata": labels} if (labels := rest(metadata, frozenset({"user_id"}))) else {}
    output, unread = _decode_output(config, source.get("output_format"))
    extra |= unread
    messages = tuple(decode_message(one, f"messages[{i}]") for i, one in enumerate(source["messages"]))
    stops = optional(source, "stop_sequences", as_list) or ()
    plain: dict[str, Any] = {name: optional(source, wire, read) for name, (wire, read) in _PLAIN.items()}
    return ChatRequest(
        model=head.model,
        messages=(*decode_system(source.get("system")), *messages),
        tools=tuple(
            decode_tool(tool, f"tools[{i}]") for i, tool in enumerate(optional(source, "tools", as_list) or ())
        ),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        output_format=output,
        stop_sequences=tuple(as_text(one, f"stop_sequences[{i}]") for i, one in enumerate(stops)),
        reasoning_effort=decode_effort(source.get("thinking"), config),
        user=optional(metadata, "user_id", as_text, "metadata"),
        stream=head.stream,
        include_usage=head.include_usage,
        extra=extra,
        extra_format=FORMAT,
        **plain,
    )


def _decode_output(config: Mapping[str, Any], older: Any) -> tuple[OutputFormat | None, dict[str, Any]]:
    """The shape of the answer, and what remains of ``output_config``; ``output_format`` is its older place."""
    given = config.get("format")
    given = older if given is None else given
    kept = rest(config, frozenset({"format"}))
    match given:
        case None:
            return None, {"output_config": kept} if kept else {}
        case {"type": "json_schema", "schema": dict(schema)}:
            return OutputFormat("json_schema", schema=schema), {"output_config": kept} if kept else {}
        case _:
            return None, {"output_config": {**kept, "format": given}}


def _encode_tools(request: ChatRequest, *, own: bool) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if request.tools:
        value["tools"] = encode_tools(request.tools, own=own)
    choice = encode_tool_choice(request.tool_choice, parallel=request.parallel_tool_calls)
    return value if choice is None else {**value, "tool_choice": choice}


def _encode_thinking(request: ChatRequest, facts: ModelFacts, max_tokens: int) -> dict[str, Any]:
    """``thinking`` and ``output_config.effort``: as they came while they still say the same, else anew."""
    thinking, config, effort = (
        request.extra.get("thinking"),
        request.extra.get("output_config"),
        request.reasoning_effort,
    )
    if request.extra_format != FORMAT and isinstance(thinking, dict):
        return {"thinking": thinking}
    if request.extra_format == FORMAT and decode_effort(thinking, config) == effort:
        kept = {"effort": config["effort"]} if isinstance(config, dict) and "effort" in config else {}
        value = {} if thinking is None else {"thinking": thinking}
        return {**value, "output_config": kept} if kept else value
    if effort is None:
        return {}
    asked, word = encode_effort(effort, facts, max_tokens)
    value = {} if asked is None else {"thinking": asked}
    return value if word is None else {**value, "output_config": {"effort": word}}


def _own_fields(request: ChatRequest, *, own: bool) -> dict[str, Any]:
    """Fields of this format that have no canonical counterpart; what an effort was written as is none of them."""
    extra = request.extra if own else {name: request.extra[name] for name in DIALECT & request.extra.keys()}
    fields = rest(extra, frozenset({"thinking"}))
    if isinstance(fields.get("output_config"), dict):
        fields["output_config"] = rest(fields["output_config"], frozenset({"effort"}))
        if not fields["output_config"]:
            del fields["output_config"]
    return fields


def _encode_output(output: OutputFormat | None, config: Mapping[str, Any]) -> dict[str, Any]:
    if output is None or output.type != "json_schema":
        return {}
    return {"output_config": {**config, "format": {"type": "json_schema", "schema": output.schema or {}}}}
