"""Requests: bytes to canonical and back, and edits patched into the bytes.

Source: Ollama, docs/api.md, "Generate a chat completion", and api/types.go, ``ChatRequest``. A request is for a stream
unless it says otherwise; one without messages only loads the model, which is answered whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from llmgate.codecs.jsons import REMOVE, TopLevel
from llmgate.formats.bodies import check_editable, naming_fields, patched, read_top, written
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
from llmgate.formats.logprobs import asked_logprobs
from llmgate.spec import UNKNOWN_MODEL, ChatRequest, InvalidRequestError, ModelFacts, RequestHead

from .fitting import DIALECT, fitted
from .messages import decode_messages, encode_messages
from .parts import FORMAT
from .thinking import decode_think, encode_think
from .tools import decode_format, decode_tool, encode_format, encode_tools

__all__ = ["decode_request", "encode_request", "patch_request", "peek"]

_OPTIONS: Final[Mapping[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "max_output_tokens": ("num_predict", as_integer),
    "temperature": ("temperature", as_number),
    "top_p": ("top_p", as_number),
    "top_k": ("top_k", as_integer),
    "seed": ("seed", as_integer),
    "frequency_penalty": ("frequency_penalty", as_number),
    "presence_penalty": ("presence_penalty", as_number),
}
"""Canonical fields that are one of the ``options``: its name there, and what it must be."""

_STOP: Final = "stop"
_NAMED: Final = frozenset(name for name, _ in _OPTIONS.values()) | {_STOP}
_KNOWN: Final = frozenset({"model", "messages", "tools", "format", "options", "stream"})
"""Fields with a canonical counterpart. ``think`` stays in ``extra`` too, since true and a word are not the same."""

_PREFIX: Final = "options."
"""What the names of options without a canonical counterpart begin with in ``extra``."""

_UNSAID: Final = frozenset(
    {"choice_count", "include_usage", "metadata", "parallel_tool_calls", "service_tier", "tool_choice", "user"}
)
"""Canonical fields that this format has no field for. Usage always comes."""


def peek(body: bytes) -> RequestHead:
    """What one pass over the top level tells.

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
    if request.tools:
        value["tools"] = encode_tools(request.tools, own=own)
    if request.output_format is not None:
        shape = encode_format(request.output_format)
        value |= {} if shape is None else {"format": shape}
    options = _encode_options(request)
    value |= {"options": options} if options else {}
    value |= _encode_thinking(request)
    value["stream"] = request.stream
    value |= {} if own else asked_logprobs(request)
    return written(merged(value, _own_fields(request, own=own)))


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
    changes: dict[str, Any] = {}
    for name in ("model", "stream"):
        if name in edits:
            changes[name] = REMOVE if edits[name] is None else edits[name]
    if edits.keys() & (_OPTIONS.keys() | {"stop_sequences"}):
        changes["options"] = _patched_options(read.get("options"), edits)
    for name, (wire, write) in _WRITTEN.items():
        if name in edits:
            value = write(edits[name]) if edits[name] is not None else None
            if name == "messages":
                changes[wire] = value or []
            else:
                changes[wire] = REMOVE if value is None or value == [] else value
    return patched(read, changes)


_WRITTEN: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "messages": ("messages", encode_messages),
    "tools": ("tools", encode_tools),
    "output_format": ("format", encode_format),
    "reasoning_effort": ("think", encode_think),
}
"""Canonical fields that are one field of the format, and how each is written."""


def _patched_options(given: Any, edits: Mapping[str, Any]) -> Any:
    options = dict(given) if isinstance(given, dict) else {}
    for name, (wire, _) in _OPTIONS.items():
        if name in edits:
            options[wire] = edits[name]
    if "stop_sequences" in edits:
        options[_STOP] = list(edits["stop_sequences"] or ()) or None
    kept = {name: value for name, value in options.items() if value is not None}
    return kept or REMOVE


def _head(read: TopLevel) -> RequestHead:
    model, stream, messages = read.get("model"), read.get("stream"), read.get("messages")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequestError("stream must be true or false", param="stream")
    if messages is not None and not isinstance(messages, list):
        raise InvalidRequestError("messages must be an array of messages", param="messages")
    streamed = bool(messages) and stream is not False
    return RequestHead(model, streamed, streamed, patch=lambda edits, _: _patched(read, edits), values=read.values)


def _decode(source: dict[str, Any], head: RequestHead) -> ChatRequest:
    options = optional(source, "options", as_object) or {}
    stops = options.get(_STOP)
    stops = [stops] if isinstance(stops, str) else optional(options, _STOP, as_list, "options") or ()
    extra = rest(source, _KNOWN) | {_PREFIX + name: value for name, value in rest(options, _NAMED).items()}
    plain: dict[str, Any] = {name: optional(options, wire, read, "options") for name, (wire, read) in _OPTIONS.items()}
    limit = plain["max_output_tokens"]
    if limit is not None and limit < 0:  # -1 is without end, -2 as much as fits
        plain["max_output_tokens"], extra[f"{_PREFIX}num_predict"] = None, limit
    tools = optional(source, "tools", as_list) or ()
    return ChatRequest(
        model=head.model,
        messages=decode_messages(source.get("messages") or ()),
        tools=tuple(decode_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)),
        output_format=decode_format(source.get("format")),
        stop_sequences=tuple(as_text(one, f"options.stop[{i}]") for i, one in enumerate(stops)),
        reasoning_effort=decode_think(source.get("think")),
        stream=head.stream,
        include_usage=head.include_usage,
        extra=extra,
        extra_format=FORMAT,
        **plain,
    )


def _encode_options(request: ChatRequest) -> dict[str, Any]:
    options = {wire: getattr(request, name) for name, (wire, _) in _OPTIONS.items()}
    options[_STOP] = list(request.stop_sequences) or None
    return {name: value for name, value in options.items() if value is not None}


def _encode_thinking(request: ChatRequest) -> dict[str, Any]:
    """``think`` as it came while it still says the same, else anew."""
    effort, given = request.reasoning_effort, request.extra.get("think")
    if given is not None and (request.extra_format != FORMAT or decode_think(given) == effort):
        return {"think": given}
    return {} if effort is None else {"think": encode_think(effort)}


def _own_fields(request: ChatRequest, *, own: bool) -> dict[str, Any]:
    """Fields of this format that have no canonical counterpart, options in their place again."""
    if not own:
        return {name: request.extra[name] for name in sorted(DIALECT & request.extra.keys())}
    options = {name.removeprefix(_PREFIX): value for name, value in request.extra.items() if name.startswith(_PREFIX)}
    fields = {name: value for name, value in request.extra.items() if not name.startswith(_PREFIX) and name != "think"}
    return {**fields, "options": options} if options else fields
