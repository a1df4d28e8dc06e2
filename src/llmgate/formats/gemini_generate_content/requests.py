"""Requests: bytes to canonical and back, and edits patched into the bytes.

Source: Gemini API reference, "GenerateContent". The model and whether the answer is streamed stand in the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import REMOVE, TopLevel, top
from llmgate.formats.bodies import check_editable, naming_fields, patched, read_top, written
from llmgate.formats.fields import as_text, merged, optional, rest
from llmgate.formats.losses import BESIDE
from llmgate.spec import UNKNOWN_MODEL, ChatRequest, InvalidRequestError, ModelFacts, RequestHead

from .contents import decode_contents, decode_system, encode_conversation
from .fitting import fitted
from .generation import PLAIN, decode_generation, encode_generation
from .keys import FORMAT, as_camel, camel
from .tools import decode_tool_choice, decode_tools, encode_tool_choice, encode_tools

__all__ = ["decode_request", "encode_request", "patch_request", "peek"]

_GENERATION: Final = "generationConfig"
_CONFIG: Final = "toolConfig"
_CALLING: Final = "functionCallingConfig"
_KNOWN: Final = frozenset({"contents", "systemInstruction", "tools", _CONFIG, _GENERATION, "serviceTier", "model"})
_UNSAID: Final = frozenset({"model", "stream", "include_usage", "user", "metadata", "parallel_tool_calls"})
"""Canonical fields that the body does not hold: they stand in the address, or nowhere. Usage always comes."""

_TOGETHER: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("systemInstruction", "contents"),
    "tools": ("tools",),
    "tool_choice": (_CONFIG,),
    "service_tier": ("serviceTier",),
    **dict.fromkeys((*PLAIN, "stop_sequences", "output_format", "reasoning_effort"), (_GENERATION,)),
}
"""Where each canonical field stands in the body: these members are written anew."""


def peek(body: bytes) -> RequestHead:
    """What one pass over the top level tells; usage comes with every answer.

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
    _head(read)
    with naming_fields():
        return _decode(read.values())


def encode_request(request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
    """The request in this format.

    Raises:
        InvalidRequestError: something in it that cannot be left out has no counterpart in this format.
    """
    own = request.extra_format in ("", FORMAT)
    request, losses = fitted(request, facts)
    losses.check()
    system, contents = encode_conversation(request.messages, facts, own=own)
    value: dict[str, Any] = {} if system is None else {"systemInstruction": system}
    value["contents"] = contents
    value |= _encode_tools(request, own=own)
    generation = encode_generation(request, facts, own=own)
    value |= {_GENERATION: generation} if generation else {}
    value |= {} if request.service_tier is None else {"serviceTier": request.service_tier}
    more = _own_fields(request) if own else {}
    return written(merged(value, more))


def patch_request(body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
    """The body with canonical fields changed and every other byte left as it was.

    An edit of a field that the body does not hold changes nothing.

    Raises:
        TypeError: an edit names a field that may not be edited.
        InvalidRequestError: the body is not a request, or an edit has no counterpart in this format.
    """
    return _patched(read_top(body), edits, facts) if edits.keys() - _UNSAID else body


def _patched(read: TopLevel, edits: Mapping[str, Any], facts: ModelFacts) -> bytes:
    check_editable(edits)
    empty: Mapping[str, Any] = {"messages": (), "tools": (), "stop_sequences": ()}
    said = edits.keys() - _UNSAID
    if not said:
        return read.body
    chosen: dict[str, Any] = {name: empty.get(name) if edits[name] is None else edits[name] for name in said}
    written = top(encode_request(attrs.evolve(decode_request(read.body), **chosen), facts))
    spelled = {camel(name): name for name in read.values()}
    changes: dict[str, Any] = {}
    for name in dict.fromkeys(wire for one in sorted(chosen) for wire in _TOGETHER[one]):
        if name in spelled or written.has(name):
            changes[spelled.get(name, name)] = written.get(name, REMOVE)
    return patched(read, changes)


def _head(read: TopLevel) -> RequestHead:
    if not isinstance(read.get("contents"), list | dict):
        raise InvalidRequestError("contents must be an array of contents", param="contents")
    return RequestHead("", patch=lambda edits, facts: _patched(read, edits, facts), values=read.values)


def _decode(source: dict[str, Any]) -> ChatRequest:
    source = as_camel(source, "")
    fields, extra = decode_generation(source.get(_GENERATION))
    choice, few = None, None
    if source.get(_CONFIG) is not None:
        choice, kept, few = decode_tool_choice(source[_CONFIG])
        extra |= {_CONFIG: kept} if kept else {}
        extra |= {"tool_choice": few} if few else {}
    return ChatRequest(
        model="",
        messages=(*decode_system(source.get("systemInstruction")), *decode_contents(source["contents"])),
        tools=decode_tools(source.get("tools")),
        tool_choice=choice,
        service_tier=optional(source, "serviceTier", as_text),
        extra={**rest(source, _KNOWN), **extra},
        extra_format=FORMAT,
        **fields,
    )


def _own_fields(request: ChatRequest) -> dict[str, Any]:
    """Fields of this format that have no canonical counterpart; what a choice was written as is none of them."""
    fields = rest(request.extra, frozenset({_GENERATION, "logprobs", "top_logprobs", "tool_choice"}) | BESIDE)
    config = fields.get(_CONFIG)
    if request.tool_choice is not None and isinstance(config, dict) and isinstance(config.get(_CALLING), dict):
        calling = rest(config[_CALLING], frozenset({"mode", "allowedFunctionNames"}))
        fields[_CONFIG] = {**config, _CALLING: calling}
    return fields


def _encode_tools(request: ChatRequest, *, own: bool) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if request.tools:
        value["tools"] = encode_tools(request.tools, own=own)
    choice = request.tool_choice
    if choice is not None:
        value[_CONFIG] = encode_tool_choice(choice)
    if not own and any(tool.strict for tool in request.tools) and (choice is None or choice.mode == "auto"):
        value[_CONFIG] = {_CALLING: {"mode": "VALIDATED"}}
    return value
