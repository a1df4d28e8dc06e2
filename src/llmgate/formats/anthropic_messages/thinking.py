"""How much a model is to think: one word in the canonical request, two fields and a number of tokens here.

Source: Anthropic documentation, "Extended thinking", "Adaptive thinking", "Effort". The budgets are those of LiteLLM
and agentgateway, so that a client who changes gateways gets the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.efforts import EFFORTS, effort_above
from llmgate.spec import ModelFacts

__all__ = ["decode_effort", "encode_effort"]

_BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
_LEAST: Final = 1024


def decode_effort(thinking: Any, output_config: Any) -> str | None:
    """The canonical effort that both fields together ask for; None where they ask for none."""
    effort = output_config.get("effort") if isinstance(output_config, Mapping) else None
    effort = effort if isinstance(effort, str) and effort in EFFORTS[1:] else None
    if not isinstance(thinking, Mapping):
        return effort
    match thinking.get("type"):
        case "disabled":
            return "none"
        case "adaptive":
            return effort or "high"
        case "enabled":
            return effort or _effort_of(thinking.get("budget_tokens"))
        case _:
            return effort


def encode_effort(effort: str, facts: ModelFacts, max_tokens: int) -> tuple[dict[str, Any] | None, str | None]:
    """The ``thinking`` field and ``output_config.effort``, None where one is left out.

    Args:
        effort: The canonical effort.
        facts: What the model takes.
        max_tokens: The bound of the whole output; a budget of thought must stay below it.
    """
    if effort == "none":
        if facts.thinking == "always":
            return None, facts.efforts[0] if facts.efforts else None
        return {"type": "disabled"}, None
    if facts.thinking in ("adaptive", "always"):
        return {"type": "adaptive", "display": "summarized"}, effort_above(effort, facts.efforts or ())
    budget = min(_BUDGETS.get(effort, _BUDGETS["high"]), max_tokens - 1)
    return (None if budget < _LEAST else {"type": "enabled", "budget_tokens": budget}), None


def _effort_of(budget: Any) -> str:
    if not isinstance(budget, int) or budget >= _BUDGETS["high"]:
        return "high"
    return "medium" if budget >= _BUDGETS["medium"] else "low"
