"""A request that came in another format, made one that this format can say; and the account of what that took."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attrs

from llmgate.formats.allowed_tools import allowed_tools
from llmgate.formats.cache_marks import breakpoints
from llmgate.formats.efforts import effort_below
from llmgate.formats.inner_losses import DETAIL, FILE_TITLE
from llmgate.formats.logprobs import logprob_fields
from llmgate.formats.losses import Losses, fit_messages, leave_out
from llmgate.formats.openai_chat.fitting import SHARED
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
from .reasoning import is_own

__all__ = ["FIELDS", "fitted"]

FIELDS: Final = {
    "model": "model",
    "messages": "input",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls",
    "output_format": "text.format",
    "max_output_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "reasoning_effort": "reasoning.effort",
    "user": "user",
    "service_tier": "service_tier",
    "stream": "stream",
    "metadata": "metadata",
}
"""The canonical fields that this format carries, and what it calls each."""

_HANDLED: Final = frozenset({*SHARED, "max_completion_tokens", "max_tokens", "stream_options", "thinking", "verbosity"})
_LEAST_OUTPUT: Final = 16
_TIERS: Final = frozenset({"auto", "default", "flex", "priority", "scale"})


def fitted(request: ChatRequest, facts: ModelFacts) -> tuple[ChatRequest, Losses]:
    """The request as this format can say it, and what was lost; one that came in this format is left as it is."""
    losses = Losses()
    if request.extra_format == FORMAT:
        return request, losses
    request = leave_out(
        request, FIELDS, _handled(request), losses, (DETAIL, FILE_TITLE, *breakpoints(request, facts)), says
    )
    for tool in request.tools:
        if "type" in tool.extra:
            losses.refuse("tools", f"tool {tool.name!r} is built into another vendor's models: leave it out")
    changes: dict[str, Any] = {
        "messages": fit_messages(request.messages, losses, lambda one, path: _parts(one, one.parts, path, losses))
    }
    if not request.tools and request.tool_choice is not None:
        changes |= {"tool_choice": None, "parallel_tool_calls": None}  # they are refused without tools
    changes |= _limits(request, losses)
    changes["reasoning_effort"] = _effort(request, facts, losses)
    changes |= _sampling(request, facts, changes["reasoning_effort"], losses)
    return attrs.evolve(request, **changes), losses


def _handled(request: ChatRequest) -> frozenset[str]:
    if not request.extra_format:
        return frozenset(request.extra)  # a caller in process has written them for this format
    more = {"tool_choice"} if allowed_tools(request.extra) is not None else set()
    if request.output_format is not None:
        more.add("response_format")
    config = request.extra.get("output_config")
    if isinstance(config, dict) and config.keys() == {"effort"}:
        more.add("output_config")
    return _HANDLED | more | logprob_fields(request)


def _parts(message: Message, parts: Iterable[Part], path: str, losses: Losses) -> Iterable[Part]:
    for part in parts:
        match part:
            case ToolCallResponse():
                yield attrs.evolve(part, content=tuple(_parts(message, part.content, path, losses)))
            case Reasoning() if not is_own(part):
                losses.report("messages.reasoning")  # only whoever thought it takes it back
            case Unknown() if part.format != FORMAT and message.role is Role.ASSISTANT:
                losses.report("messages.content")  # what another vendor's built-in tools did; the answer is in the text
            case Unknown() if part.format != FORMAT:
                losses.refuse(path, f"{path} holds a part that only {part.format} knows: leave it out")
            case FileRef():
                losses.refuse(path, f"{path} names a file that another vendor keeps: send the file itself")
            case Blob() | Uri() if part.modality not in ("image", "document"):
                losses.refuse(path, f"{path} holds {part.modality}, which {FORMAT} has no place for: leave it out")
            case _:
                yield part


def _limits(request: ChatRequest, losses: Losses) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if request.max_output_tokens is not None and request.max_output_tokens < _LEAST_OUTPUT:
        losses.adjust("max_output_tokens")
        changes["max_output_tokens"] = _LEAST_OUTPUT
    if request.service_tier is not None and request.service_tier not in _TIERS:
        losses.report("service_tier")
        changes["service_tier"] = None
    return changes


def _effort(request: ChatRequest, facts: ModelFacts, losses: Losses) -> str | None:
    effort = request.reasoning_effort
    if effort is None or facts.efforts is None:
        return None if effort == "none" else effort
    nearest = effort_below(effort, facts.efforts)
    if nearest != effort and not (effort == "none" and nearest is None):
        losses.adjust("reasoning_effort") if nearest else losses.report("reasoning_effort")
    return nearest


def _sampling(request: ChatRequest, facts: ModelFacts, effort: str | None, losses: Losses) -> dict[str, Any]:
    reasons = facts.reasons if effort is None else effort != "none"
    if facts.sampling or not reasons:
        return {}
    for name in ("temperature", "top_p"):
        if getattr(request, name) not in (None, 1):
            losses.report(name)
    return {"temperature": None, "top_p": None}
