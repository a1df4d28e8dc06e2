"""A request that came in another format, made one that this format can say; and the account of what that took."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attrs

from llmgate.formats.allowed_tools import narrowed
from llmgate.formats.logprobs import logprob_fields
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

from .parts import FORMAT
from .thinking import encode_think

__all__ = ["DIALECT", "FIELDS", "fitted"]

FIELDS: Final = {
    "model": "model",
    "messages": "messages",
    "tools": "tools",
    "output_format": "format",
    "max_output_tokens": "options.num_predict",
    "temperature": "options.temperature",
    "top_p": "options.top_p",
    "top_k": "options.top_k",
    "stop_sequences": "options.stop",
    "seed": "options.seed",
    "frequency_penalty": "options.frequency_penalty",
    "presence_penalty": "options.presence_penalty",
    "reasoning_effort": "think",
    "stream": "stream",
}
"""The canonical fields that this format carries, and what it calls each."""

_CHOICE: Final = {"tool_choice"}
"""What the format has no field for but this module finds another way to say."""

DIALECT: Final = frozenset({"keep_alive", "options", "shift", "think", "truncate"})
"""This format's own fields that clients of other formats may write into their requests, as LiteLLM's clients do."""

_HANDLED: Final = DIALECT | {"max_tokens", "max_completion_tokens", "stream_options", "thinking", "output_config"}
_NEVER_WITHOUT: Final = "leave it out or choose another model"


def fitted(request: ChatRequest, facts: ModelFacts) -> tuple[ChatRequest, Losses]:
    """The request as this format can say it, and what was lost; one that came in this format is left as it is."""
    losses = Losses()
    if request.extra_format == FORMAT:
        return request, losses
    if request.parallel_tool_calls is False and request.tools:
        losses.report("parallel_tool_calls")
    request = leave_out(narrowed(request), FIELDS.keys() | _CHOICE, _handled(request), losses)
    changes: dict[str, Any] = {
        "messages": fit_messages(request.messages, losses, lambda one, path: _parts(one, one.parts, path, losses))
    }
    changes |= _tools(request, losses)
    changes["reasoning_effort"] = _effort(request, facts, losses)
    return attrs.evolve(request, **changes), losses


def _handled(request: ChatRequest) -> frozenset[str]:
    """Own fields of other formats that stand in canonical ones as well."""
    config = request.extra.get("output_config")
    plain = not isinstance(config, dict) or config.keys() <= {"effort"}
    return (_HANDLED if plain else _HANDLED - {"output_config"}) | logprob_fields(request)


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
                yield _media(part, path, losses)
            case _:
                yield part


def _media(part: Unknown | FileRef | Uri | Blob, path: str, losses: Losses) -> Part:
    match part:
        case Unknown():
            losses.refuse(path, f"{path} holds a part that only {part.format} knows: {_NEVER_WITHOUT}")
        case FileRef():
            losses.refuse(path, f"{path} names a file that another vendor keeps: send the file itself")
        case Uri():
            losses.refuse(
                path, f"{path} holds an address, which the server does not follow: send the {part.modality} itself"
            )
        case Blob(modality=kind, media_type=media_type) if (
            kind not in ("image", "audio") and media_type != "text/plain"
        ):
            losses.refuse(path, f"{path} holds {part.modality}, which the model does not take: {_NEVER_WITHOUT}")
    return part


def _tools(request: ChatRequest, losses: Losses) -> dict[str, Any]:
    """The tools that the model may call. It is free to call them or not, so that a demand is only a hint to it."""
    tools, choice = tuple(request.tools), request.tool_choice
    for tool in tools:
        if "type" in tool.extra:
            losses.refuse("tools", f"tool {tool.name!r} is built into another vendor's models: {_NEVER_WITHOUT}")
        elif tool.strict:
            losses.report("tools.strict")
    if choice is not None and tools and choice.mode != "auto":
        if choice.mode == "none":
            tools = ()  # what is not declared cannot be called
        else:
            losses.adjust("tool_choice")
            tools = tuple(tool for tool in tools if choice.mode != "named" or tool.name == choice.name) or tools
    return {"tools": tools, "tool_choice": None}


def _effort(request: ChatRequest, facts: ModelFacts, losses: Losses) -> str | None:
    effort = request.reasoning_effort
    if effort is None:
        return None
    if facts.thinking == "none":  # such a model is refused by the server with a ``think`` beside it
        if effort != "none":
            losses.report("reasoning_effort")
        return None
    if encode_think(effort) not in (False, effort):
        losses.adjust("reasoning_effort")
    return effort
