"""A request that came in another format, made one that this format can say; and the account of what that took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.allowed_tools import narrowed
from llmgate.formats.cache_marks import breakpoints
from llmgate.formats.efforts import effort_below
from llmgate.formats.inner_losses import DETAIL, FILE_TITLE
from llmgate.formats.logprobs import logprob_fields
from llmgate.formats.losses import Losses, leave_out, with_parts
from llmgate.formats.thought_signatures import unmarked_id
from llmgate.spec import (
    ChatRequest,
    FileRef,
    Message,
    ModelFacts,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    Unknown,
)

from .parts import FORMAT

__all__ = ["FIELDS", "SHARED", "fitted"]

FIELDS: Final = {
    "model": "model",
    "messages": "messages",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls",
    "output_format": "response_format",
    "max_output_tokens": "max_completion_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "choice_count": "n",
    "reasoning_effort": "reasoning_effort",
    "user": "user",
    "service_tier": "service_tier",
    "stream": "stream",
    "include_usage": "stream_options.include_usage",
    "metadata": "metadata",
}
"""The canonical fields that this format carries, and what it calls each."""

_CARRIED: Final = FIELDS.keys() - {"top_k"}
"""What a server of this format certainly takes: ``top_k`` is an extension of some, and others refuse it."""

SHARED: Final = ("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier")
"""Fields that OpenAI's two formats have in common and nobody else has."""

_MOST_STOPS: Final = 4
_TIERS: Final = frozenset({"auto", "default", "flex", "priority", "scale"})


def fitted(request: ChatRequest, facts: ModelFacts) -> tuple[ChatRequest, Losses]:
    """The request as this format can say it, and what was lost; one that came in this format is left as it is."""
    losses = Losses()
    if request.extra_format in ("", FORMAT):
        return request, losses
    request = leave_out(
        narrowed(request), _CARRIED, _handled(request), losses, (DETAIL, FILE_TITLE, *breakpoints(request, facts))
    )
    for tool in request.tools:
        if "type" in tool.extra:
            losses.refuse("tools", f"tool {tool.name!r} is built into another vendor's models: leave it out")
    changes: dict[str, Any] = {"messages": tuple(_messages(request.messages, losses))}
    request = attrs.evolve(request, tools=tuple(tool for tool in request.tools if "type" not in tool.extra))
    if not request.tools and request.tool_choice is not None:
        changes |= {"tool_choice": None, "parallel_tool_calls": None}  # they are refused without tools
    if request.service_tier is not None and request.service_tier not in _TIERS:
        losses.report("service_tier")
        changes["service_tier"] = None
    changes["reasoning_effort"] = _effort(request, facts, losses)
    changes |= _sampling(request, facts, changes["reasoning_effort"], losses)
    return attrs.evolve(request, **changes), losses


def _handled(request: ChatRequest) -> frozenset[str]:
    """What of other formats' own fields stands in canonical ones as well."""
    config = request.extra.get("output_config")
    said = {"output_config"} if isinstance(config, dict) and config.keys() == {"effort"} else set()
    return frozenset({"thinking", *SHARED, *said}) | logprob_fields(request)


def _messages(messages: Sequence[Message], losses: Losses) -> Iterable[Message]:
    for index, message in enumerate(messages):
        parts = tuple(_parts(message, message.parts, f"messages[{index}]", losses))
        if parts or not message.parts:
            # Few servers know the developer's role, and all that do take the system's for it.
            plain = message if message.role is not Role.DEVELOPER else attrs.evolve(message, role=Role.SYSTEM)
            yield with_parts(plain, parts)


def _parts(message: Message, parts: Iterable[Part], path: str, losses: Losses) -> Iterable[Part]:
    for part in parts:
        match part:
            case ToolCallResponse():
                content = tuple(_parts(message, part.content, path, losses))
                yield attrs.evolve(part, id=unmarked_id(part.id)[0], content=content)
            case ToolCall() if unmarked_id(part.id)[1] is not None:
                yield attrs.evolve(part, id=unmarked_id(part.id)[0])
            case Text(text="") if message.role is Role.ASSISTANT:
                continue  # it says something to a vendor who has signed it only
            case Reasoning() if part.signature or "data" in part.extra:
                losses.report("messages.thinking")  # the proof binds it to the vendor who thought it
            case Unknown() if part.format != FORMAT and message.role is Role.ASSISTANT:
                losses.report("messages.content")  # what another vendor's built-in tools did; the answer is in the text
            case Unknown() if part.format != FORMAT:
                losses.refuse(path, f"{path} holds a part that only {part.format} knows: leave it out")
            case FileRef():
                losses.refuse(path, f"{path} names a file that another vendor keeps: send the file itself")
            case _:
                yield part


def _effort(request: ChatRequest, facts: ModelFacts, losses: Losses) -> str | None:
    effort = request.reasoning_effort
    active = facts.reasons if effort is None else effort != "none"
    if request.tools and active and not facts.reasons_with_tools and "none" in (facts.efforts or ()):
        if effort is not None:
            losses.adjust("reasoning_effort")
        return "none"
    if effort is None or facts.efforts is None:
        return None if effort == "none" else effort
    nearest = effort_below(effort, facts.efforts)
    if nearest != effort and not (effort == "none" and nearest is None):
        losses.adjust("reasoning_effort") if nearest else losses.report("reasoning_effort")
    return nearest


def _sampling(request: ChatRequest, facts: ModelFacts, effort: str | None, losses: Losses) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    reasons = facts.reasons if effort is None else effort != "none"
    if not facts.sampling and reasons:
        for name, default in (("temperature", 1), ("top_p", 1), ("stop_sequences", ())):
            if getattr(request, name) not in (None, default):
                losses.report(name)
            changes[name] = () if name == "stop_sequences" else None
    elif len(request.stop_sequences) > _MOST_STOPS:
        losses.adjust("stop_sequences")
        changes["stop_sequences"] = tuple(request.stop_sequences)[:_MOST_STOPS]
    return changes
