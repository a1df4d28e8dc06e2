"""Names of tools that the provider's format does not take: shortened on the way up, restored on the way down.

Anthropic takes names of 128 characters and its clients use them (tools of MCP servers); OpenAI takes 64.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

import attrs

from llmgate.spec import (
    ChatRequest,
    ChatResponse,
    ChoiceDelta,
    GatewayChunk,
    Message,
    Part,
    ToolCall,
    ToolChoice,
)

__all__ = ["restored_chunk", "restored_response", "shortened"]

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")


def shortened(request: ChatRequest, longest: int | None) -> tuple[ChatRequest, Mapping[str, str]]:
    """The request with legal names of tools, in its conversation too.

    Args:
        request: The request.
        longest: How long a name of ``[a-zA-Z0-9_-]`` may be; None where names may be anything.

    Returns:
        The request, and the names given by those sent where they differ; the same request when none does.
    """
    if longest is None:
        return request, {}
    called = (part.name for one in request.messages for part in one.parts if isinstance(part, ToolCall))
    given = dict.fromkeys([*(tool.name for tool in request.tools if "type" not in tool.extra), *called])
    sent = {name: _legal(name, longest) for name in given if len(name) > longest or _ILLEGAL.search(name)}
    if not sent:
        return request, {}
    choice = request.tool_choice
    if choice is not None and choice.name in sent:
        choice = ToolChoice(choice.mode, sent[choice.name])
    tools = tuple(attrs.evolve(tool, name=sent.get(tool.name, tool.name)) for tool in request.tools)
    messages = tuple(_renamed(message, sent) for message in request.messages)
    changed = attrs.evolve(request, tools=tools, tool_choice=choice, messages=messages)
    return changed, {short: name for name, short in sent.items()}


def restored_response(response: ChatResponse, names: Mapping[str, str]) -> ChatResponse:
    """The response with the names that the caller gave."""
    choices = (attrs.evolve(choice, message=_renamed(choice.message, names)) for choice in response.choices)
    return attrs.evolve(response, choices=tuple(choices))


def restored_chunk(chunk: GatewayChunk, names: Mapping[str, str]) -> GatewayChunk:
    """The chunk with the names that the caller gave; the same one where it names no tool."""
    if not any(call.name in names for choice in chunk.choices for call in choice.tool_calls):
        return chunk
    return attrs.evolve(chunk, choices=tuple(_restored_delta(choice, names) for choice in chunk.choices))


def _restored_delta(choice: ChoiceDelta, names: Mapping[str, str]) -> ChoiceDelta:
    calls = (attrs.evolve(call, name=names.get(call.name or "", call.name)) for call in choice.tool_calls)
    return attrs.evolve(choice, tool_calls=tuple(calls))


def _renamed(message: Message, names: Mapping[str, str]) -> Message:
    return attrs.evolve(message, parts=tuple(_renamed_parts(message.parts, names)))


def _renamed_parts(parts: Iterable[Part], names: Mapping[str, str]) -> Iterable[Part]:
    for part in parts:
        if isinstance(part, ToolCall) and part.name in names:
            yield attrs.evolve(part, name=names[part.name])
        else:
            yield part


def _legal(name: str, longest: int) -> str:
    """A legal name that tells which one it was, the same every time and different for different names."""
    mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{_ILLEGAL.sub('_', name)[: longest - 9]}_{mark}"
