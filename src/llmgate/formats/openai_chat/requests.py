"""Chat requests: bytes to canonical and back, and edits patched into the bytes.

Source: OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import REMOVE, TopLevel
from llmgate.formats.bodies import check_editable, naming_fields, output_bound, patched, read_top, written
from llmgate.formats.custom_tools import with_custom_results
from llmgate.formats.fields import (
    ShapeError,
    as_boolean,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
    merged,
    optional,
    rest,
)
from llmgate.formats.logprobs import asked_logprobs
from llmgate.formats.losses import SINGLE_CALLS
from llmgate.spec import UNKNOWN_MODEL, ChatRequest, InvalidRequestError, Message, ModelFacts, RequestHead

from .fitting import SHARED, fitted
from .functions import older_fields, older_messages, with_tools
from .messages import decode_message, encode_messages
from .parts import FORMAT
from .tools import (
    decode_output_format,
    decode_tool,
    decode_tool_choice,
    encode_output_format,
    encode_tool_choice,
    encode_tools,
)

__all__ = ["decode_request", "encode_request", "patch_request", "peek"]

_PLAIN: Final[Mapping[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "parallel_tool_calls": ("parallel_tool_calls", as_boolean),
    "temperature": ("temperature", as_number),
    "top_p": ("top_p", as_number),
    "top_k": ("top_k", as_integer),
    "seed": ("seed", as_integer),
    "frequency_penalty": ("frequency_penalty", as_number),
    "presence_penalty": ("presence_penalty", as_number),
    "choice_count": ("n", as_integer),
    "reasoning_effort": ("reasoning_effort", as_text),
    "user": ("user", as_text),
    "service_tier": ("service_tier", as_text),
}
"""Canonical fields whose value is the same in the wire format: its name there, and what it must be."""

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
"""Both names of the upper bound of output tokens: OpenAI's, and the older one that many compatible servers want."""

_KNOWN: Final = frozenset(name for name, _ in _PLAIN.values()) | {
    "model", "messages", "tools", "tool_choice", "response_format", "stop", "metadata", "stream", "stream_options",
    "max_completion_tokens",
}  # fmt: skip
"""Fields with a canonical counterpart. ``max_tokens`` stays in ``extra`` too, and tells by which name to write it."""


def peek(body: bytes) -> RequestHead:
    """What one pass over the top level tells.

    Raises:
        InvalidRequestError: the body is not a chat request.
    """
    return _head(read_top(body))


def _head(read: TopLevel) -> RequestHead:
    model = read.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
    stream = read.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequestError("stream must be true or false", param="stream")
    if not isinstance(read.get("messages"), list):
        raise InvalidRequestError("messages must be an array of messages", param="messages")
    options = read.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise InvalidRequestError("stream_options must be an object", param="stream_options")
    include_usage = options.get("include_usage") if options else None
    if include_usage is not None and not isinstance(include_usage, bool):
        raise InvalidRequestError("stream_options.include_usage must be true or false", param="stream_options")
    user = read.get("user")
    if user is not None and not isinstance(user, str):
        raise InvalidRequestError("user must be a string", param="user")
    return RequestHead(
        model,
        bool(stream),
        bool(include_usage),
        user,
        patch=lambda edits, _: _patched(read, edits),
        output_bound=lambda: output_bound(read, _LIMITS, "n"),
        values=read.values,
    )


def decode_request(body: bytes) -> ChatRequest:
    """The canonical request; fields without a canonical counterpart are kept in ``extra``.

    Raises:
        InvalidRequestError: naming the field that is wrong.
    """
    read = read_top(body)
    head = _head(read)
    with naming_fields():
        return _decode(with_tools(read.values()), head)


def encode_request(request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
    """The request in this format.

    Raises:
        InvalidRequestError: something in it has no counterpart in this format.
    """
    own = request.extra_format in ("", FORMAT)
    request, losses = fitted(request, facts)
    losses.check()
    value: dict[str, Any] = {}
    for name in _ENCODED:
        value |= _encode_field(name, getattr(request, name), own=own)
    if request.stream:
        value["stream"] = True
        if request.include_usage:
            value["stream_options"] = {"include_usage": True}
    if request.max_output_tokens is not None:
        names = [name for name in _LIMITS if own and name in request.extra] or _LIMITS[:1]
        value |= dict.fromkeys(names, request.max_output_tokens)
    dropped = frozenset(_LIMITS) if request.stream else frozenset(_LIMITS) | {"stream_options"}
    if own:
        if request.tool_choice is not None:
            value["tool_choice"] = encode_tool_choice(request.tool_choice, request.tools)
        if any(SINGLE_CALLS in tool.extra for tool in request.tools):
            value = older_fields(value)
        return written(merged(value, rest(request.extra, dropped)))
    shared = {name: request.extra[name] for name in SHARED if isinstance(request.extra.get(name), str | dict)}
    return written({**value, **shared, **asked_logprobs(request)})


def patch_request(
    body: bytes,
    edits: Mapping[str, Any],
    facts: ModelFacts = UNKNOWN_MODEL,  # noqa: ARG001 - a field is written as the caller says it
) -> bytes:
    """The body with canonical fields changed and every other byte left as it was.

    Args:
        body: The request as it came.
        edits: Fields of ``ChatRequest`` and their new values; None takes a field out.
        facts: What is known of the model.

    Raises:
        InvalidRequestError: the body is not a JSON object.
        TypeError: a name is not a field that may be edited.
    """
    return _patched(read_top(body), edits) if edits else body


def _patched(read: TopLevel, edits: Mapping[str, Any]) -> bytes:
    check_editable(edits)
    changes: dict[str, Any] = {}
    for name, value in edits.items():
        if name == "max_output_tokens":
            changes |= dict.fromkeys(_limits_in(read), REMOVE if value is None else value)
        elif name not in ("stream", "include_usage"):
            changes |= _encode_field(name, value, own=True) or {_wire_name(name): REMOVE}
    changes |= _patch_stream(read, edits)
    if changes.keys() & {"tools", "tool_choice"} and read.get("functions") and not read.get("tools"):
        changes = older_fields(changes)
    return patched(read, changes)


def _decode(source: dict[str, Any], head: RequestHead) -> ChatRequest:
    extra = rest(source, _KNOWN)
    limit = optional(source, _LIMITS[0], as_integer)
    older = optional(source, _LIMITS[1], as_integer)
    if limit is not None and older is not None and limit != older:
        raise ShapeError(_LIMITS[1], f"left out, or the same as {_LIMITS[0]}")
    choice = decode_tool_choice(source.get("tool_choice"))
    if choice is None and source.get("tool_choice") is not None:
        extra["tool_choice"] = source["tool_choice"]
    output = None
    if source.get("response_format") is not None:
        output, more = decode_output_format(source["response_format"], "response_format")
        extra |= {"response_format": more} if more else {}
    options = rest(source.get("stream_options") or {}, frozenset({"include_usage"}))
    extra |= {"stream_options": options} if options else {}
    extra |= {_LIMITS[0]: limit} if limit is not None and older is not None else {}
    return ChatRequest(
        model=head.model,
        messages=with_custom_results(
            tuple(decode_message(one, f"messages[{i}]") for i, one in enumerate(source["messages"]))
        ),
        tools=tuple(
            decode_tool(tool, f"tools[{i}]") for i, tool in enumerate(optional(source, "tools", as_list) or ())
        ),
        tool_choice=choice,
        output_format=output,
        max_output_tokens=older if limit is None else limit,
        stop_sequences=_decode_stop(source.get("stop")),
        stream=head.stream,
        include_usage=head.include_usage,
        metadata=optional(source, "metadata", as_object) or {},
        extra=extra,
        extra_format=FORMAT,
        **{name: optional(source, wire, read) for name, (wire, read) in _PLAIN.items()},
    )


def _decode_stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise ShapeError("stop", "a string or an array of strings")
    return tuple(as_text(one, f"stop[{index}]") for index, one in enumerate(value))


def _encode_field(name: str, value: Any, *, own: bool) -> dict[str, Any]:
    """One field as it stands in the body, nothing for one that says nothing."""
    if value is None or (isinstance(value, tuple | list | dict) and not value and name != "messages"):
        return {}
    encode = _ENCODED.get(name)
    return {_wire_name(name): value if encode is None else encode(value, own)}


def _encode_messages(messages: Sequence[Message], *, own: bool) -> list[dict[str, Any]]:
    written = encode_messages(messages, own=own)
    return older_messages(written) if own else written


def _wire_name(name: str) -> str:
    plain = _PLAIN.get(name)
    return plain[0] if plain else {"stop_sequences": "stop", "output_format": "response_format"}.get(name, name)


def _limits_in(read: TopLevel) -> list[str]:
    """The names by which a body bounds its output: all of them, so that a lowered bound cannot be got round."""
    return [name for name in _LIMITS if read.get(name) is not None] or list(_LIMITS[:1])


def _patch_stream(read: TopLevel, edits: Mapping[str, Any]) -> dict[str, Any]:
    """``stream`` and ``stream_options``, which is allowed beside ``"stream": true`` only."""
    changes: dict[str, Any] = {}
    if "stream" in edits:
        changes["stream"] = REMOVE if edits["stream"] is None else bool(edits["stream"])
    options = read.get("stream_options")
    options = dict(options) if isinstance(options, dict) else {}
    if edits.get("include_usage"):
        changes["stream_options"] = {**options, "include_usage": True}
    elif "stream" in edits and not edits["stream"]:
        changes["stream_options"] = REMOVE
    elif "include_usage" in edits and "include_usage" in options:
        del options["include_usage"]
        changes["stream_options"] = options or REMOVE
    return changes


_ENCODED: Final[Mapping[str, Callable[[Any, bool], Any] | None]] = {
    "model": None,
    "messages": lambda value, own: _encode_messages(value, own=own),
    "tools": lambda value, own: encode_tools(value, own=own),
    "tool_choice": lambda value, _: encode_tool_choice(value),
    "output_format": lambda value, _: encode_output_format(value),
    "stop_sequences": lambda value, _: list(value),
    "metadata": lambda value, _: dict(value),
    **dict.fromkeys(_PLAIN),
}
"""How each field is written that has a place of its own; None for the ones that are written as they are."""
