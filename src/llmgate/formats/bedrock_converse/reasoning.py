"""How much a model is to reason, where a request that came in another format says it: what the model takes of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.efforts import effort_above, effort_below
from llmgate.formats.losses import Losses
from llmgate.spec import ChatRequest, Message, ModelFacts, Reasoning, Role, ToolCall

from .makers import AMAZON, ANTHROPIC, maker_of
from .thinking import NOVA_EFFORTS, takes_effort

__all__ = ["fit_reasoning"]

_DEFAULT_MAX_TOKENS: Final = 32_000
_LEAST_BUDGET: Final = 1024


def fit_reasoning(request: ChatRequest, facts: ModelFacts, losses: Losses) -> ChatRequest:
    """The request with an effort that its model takes, and Claude's own ``thinking`` only where it fits the model."""
    request = _without_foreign_thinking(request, facts)
    effort = request.reasoning_effort
    if effort is None or isinstance(request.extra.get("thinking"), dict):
        return request
    if not takes_effort(request.model, facts):
        if effort != "none":
            losses.report("reasoning_effort")
        return attrs.evolve(request, reasoning_effort=None)
    if maker_of(request.model) != ANTHROPIC:
        return _nearest(request, effort, facts, losses)
    if effort == "none":
        if facts.thinking == "always":
            losses.adjust("reasoning_effort")
        return request
    if facts.thinking != "budget":
        nearest = effort_above(effort, facts.efforts or ())
        if nearest != effort:
            losses.adjust("reasoning_effort")
        return attrs.evolve(request, reasoning_effort=nearest or effort)
    return _by_budget(request, facts, losses)


def _nearest(request: ChatRequest, effort: str, facts: ModelFacts, losses: Losses) -> ChatRequest:
    if effort == "none":
        return request
    if maker_of(request.model) == AMAZON or not facts.efforts:
        nearest = effort_below(effort, NOVA_EFFORTS)
    else:
        nearest = effort_above(effort, facts.efforts)
    if nearest != effort:
        losses.adjust("reasoning_effort")
    return attrs.evolve(request, reasoning_effort=nearest)


def _by_budget(request: ChatRequest, facts: ModelFacts, losses: Losses) -> ChatRequest:
    """A budget of thought needs room below the bound of the output, a free choice of tools, and signed thoughts."""
    limit = request.max_output_tokens or facts.max_output or _DEFAULT_MAX_TOKENS
    forced = request.tool_choice is not None and request.tool_choice.mode in ("required", "named")
    if forced or limit <= _LEAST_BUDGET or _unsigned_tool_turn(request.messages):
        losses.report("reasoning_effort")
        return attrs.evolve(request, reasoning_effort=None)
    return attrs.evolve(request, max_output_tokens=limit)


def _without_foreign_thinking(request: ChatRequest, facts: ModelFacts) -> ChatRequest:
    """``thinking`` as Anthropic's clients write it goes to a Claude that takes it so; for others the effort is left."""
    thinking = request.extra.get("thinking")
    if thinking is None:
        return request
    if maker_of(request.model) == ANTHROPIC and isinstance(thinking, Mapping) and _suits(thinking, facts):
        return request
    extra: dict[str, Any] = {name: value for name, value in request.extra.items() if name != "thinking"}
    return attrs.evolve(request, extra=extra)


def _suits(thinking: Mapping[str, Any], facts: ModelFacts) -> bool:
    kind = thinking.get("type")
    if kind == "enabled":
        return facts.thinking == "budget"
    return kind != "disabled" or facts.thinking != "always"


def _unsigned_tool_turn(messages: Sequence[Message]) -> bool:
    """Whether the last turn called tools without the thought before it, which a model that thinks by budget demands."""
    last = next((one for one in reversed(messages) if one.role not in (Role.TOOL, Role.SYSTEM, Role.DEVELOPER)), None)
    if last is None or last.role is not Role.ASSISTANT:
        return False
    kinds = {type(part) for part in last.parts}
    return ToolCall in kinds and Reasoning not in kinds
