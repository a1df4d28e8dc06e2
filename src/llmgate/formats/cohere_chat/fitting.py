"""A request that came in another format, made one that this format can say; and the account of what that took."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from llmgate.formats.allowed_tools import narrowed
from llmgate.formats.inner_losses import DETAIL
from llmgate.formats.losses import Losses, fit_messages, leave_out
from llmgate.spec import (
    Blob,
    ChatRequest,
    FileRef,
    Message,
    ModelFacts,
    Part,
    Reasoning,
    Role,
    ToolCallResponse,
    Unknown,
    Uri,
)

from .citations import says
from .parts import FORMAT

__all__ = ["DIALECT", "FIELDS", "fitted"]

FIELDS: Final = {
    "model": "model",
    "messages": "messages",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "output_format": "response_format",
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "stop_sequences": "stop_sequences",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "reasoning_effort": "thinking",
    "stream": "stream",
}
"""The canonical fields that this format carries, and what it calls each."""

DIALECT: Final = frozenset({"citation_options", "documents", "priority", "safety_mode"})
"""This format's own fields that clients of other formats may write into their requests, as LiteLLM's clients do."""

_HANDLED: Final = DIALECT | {"max_tokens", "max_completion_tokens", "stream_options", "thinking", "output_config"}
_RANGES: Final = {
    "temperature": (0, 1),
    "top_p": (0.01, 0.99),
    "top_k": (0, 500),
    "frequency_penalty": (0, 1),
    "presence_penalty": (0, 1),
}
"""The least and the largest value of each number."""

_MOST_STOPS: Final = 5
_NEVER_WITHOUT: Final = "leave it out or choose another model"


def fitted(request: ChatRequest, facts: ModelFacts) -> tuple[ChatRequest, Losses]:
    """The request as this format can say it, and what was lost; one that came in this format is left as it is."""
    losses = Losses()
    if request.extra_format == FORMAT:
        return request, losses
    if request.parallel_tool_calls is False and request.tools:
        losses.report("parallel_tool_calls")
    request = leave_out(narrowed(request), FIELDS, _handled(request), losses, (DETAIL,), says)
    changes: dict[str, Any] = {
        "messages": fit_messages(request.messages, losses, lambda one, path: _parts(one, one.parts, path, losses))
    }
    changes |= _tools(request, facts, losses)
    changes |= _limits(request, facts, losses)
    changes["reasoning_effort"] = _effort(request, facts, losses)
    return attrs.evolve(request, **changes), losses


def _handled(request: ChatRequest) -> frozenset[str]:
    """Own fields of other formats that stand in canonical ones as well."""
    config = request.extra.get("output_config")
    plain = not isinstance(config, dict) or config.keys() <= {"effort"}
    return _HANDLED if plain else _HANDLED - {"output_config"}


def _parts(message: Message, parts: Iterable[Part], path: str, losses: Losses) -> Iterable[Part]:
    for part in parts:
        match part:
            case ToolCallResponse():
                yield attrs.evolve(part, content=tuple(_parts(message, part.content, path, losses)))
            case Reasoning() if part.signature or "data" in part.extra:
                losses.report("messages.thinking")  # the proof binds it to the vendor who thought it
            case Unknown() if part.format != FORMAT and message.role is Role.ASSISTANT:
                losses.report("messages.content")  # what another vendor's built-in tools did; the answer is in the text
            case Unknown() | FileRef() | Uri() | Blob():
                _check_media(part, path, losses)
                yield part
            case _:
                yield part


def _check_media(part: Unknown | FileRef | Uri | Blob, path: str, losses: Losses) -> None:
    match part:
        case Unknown():
            losses.refuse(path, f"{path} holds a part that only {part.format} knows: {_NEVER_WITHOUT}")
        case FileRef():
            losses.refuse(path, f"{path} names a file that another vendor keeps: send the file itself")
        case Blob(modality="document", media_type="text/plain"):
            pass  # written as text
        case Uri() | Blob() if part.modality != "image":
            losses.refuse(path, f"{path} holds {part.modality}, which the model does not take: {_NEVER_WITHOUT}")
        case Uri() if urlsplit(part.uri[:64]).scheme.lower() not in ("http", "https"):
            losses.refuse(path, f"{path} holds an address that is neither http nor a base64 data URL")


def _tools(request: ChatRequest, facts: ModelFacts, losses: Losses) -> dict[str, Any]:
    tools, choice = tuple(request.tools), request.tool_choice
    for tool in tools:
        if "type" in tool.extra:
            losses.refuse("tools", f"tool {tool.name!r} is built into another vendor's models: {_NEVER_WITHOUT}")
    strict = {bool(tool.strict) for tool in tools}
    if len(strict) == 2:
        losses.adjust("tools.strict")  # one switch for all of them
    if not tools or choice is None or choice.mode == "auto":
        return {"tool_choice": None}
    if choice.mode == "named":
        tools = tuple(tool for tool in tools if tool.name == choice.name) or tools
    if choice.mode != "none" and not facts.forced_tools:
        losses.adjust("tool_choice")
        choice = None
    return {"tools": tools, "tool_choice": choice}


def _limits(request: ChatRequest, facts: ModelFacts, losses: Losses) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, (least, most) in _RANGES.items():
        value = getattr(request, name)
        if value is not None and not least <= value <= most:
            changes[name] = min(max(value, least), most)
            if (name, value) != ("top_p", 1):  # which asks for nothing
                losses.adjust(name)
            else:
                changes[name] = None
    if (
        request.max_output_tokens is not None
        and facts.max_output is not None
        and request.max_output_tokens > facts.max_output
    ):
        changes["max_output_tokens"] = facts.max_output
        losses.adjust("max_output_tokens")
    if len(request.stop_sequences) > _MOST_STOPS:
        changes["stop_sequences"] = tuple(request.stop_sequences)[:_MOST_STOPS]
        losses.adjust("stop_sequences")
    return changes


def _effort(request: ChatRequest, facts: ModelFacts, losses: Losses) -> str | None:
    effort = request.reasoning_effort
    if effort is not None and facts.thinking == "none":
        if effort != "none":
            losses.report("reasoning_effort")
        return None
    return effort
