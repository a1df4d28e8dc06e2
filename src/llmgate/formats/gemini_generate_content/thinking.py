"""How much a model is to think: one word in the canonical request, ``thinkingConfig`` here.

Up to 2.5 models take a number of tokens, from 3 on a level. The numbers are those of Google's own OpenAI-compatible
endpoint, so that a client of that format gets the same by either way. Source: Gemini API documentation, "Thinking" and
"OpenAI compatibility".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.formats.efforts import EFFORTS, effort_above
from llmgate.spec import ModelFacts

from .keys import camel

__all__ = ["by_level", "decode_effort", "encode_effort", "nearest_effort"]

_BUDGETS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEVELS: Final = ("minimal", "low", "medium", "high")
_DYNAMIC: Final = -1


def by_level(facts: ModelFacts) -> bool:
    """Whether a model is told a level, as those from Gemini 3 on are."""
    return facts.thinking == "level"


def decode_effort(config: Any) -> str | None:
    """The canonical effort that a ``thinkingConfig`` asks for; None where it leaves it to the model."""
    if not isinstance(config, Mapping):
        return None
    source = {camel(str(name)): value for name, value in config.items()}
    level, budget = source.get("thinkingLevel"), source.get("thinkingBudget")
    if isinstance(level, str) and level.lower() in EFFORTS:
        return level.lower()
    if isinstance(budget, bool) or not isinstance(budget, int) or budget == _DYNAMIC:
        return None
    if budget <= 0:
        return "none"
    if budget <= _BUDGETS["low"]:
        return "low"
    return "medium" if budget <= _BUDGETS["medium"] else "high"


def nearest_effort(effort: str, facts: ModelFacts) -> str:
    """The effort of the model's own that is nearest: the same, else the next above, else the highest it has."""
    efforts = _efforts(facts)
    return effort_above(effort, efforts) or efforts[0]


def encode_effort(effort: str, facts: ModelFacts) -> dict[str, Any]:
    """The ``thinkingConfig`` for an effort; thoughts are asked for, since nobody who sets an effort refuses them."""
    if by_level(facts):
        return {"thinkingLevel": nearest_effort(effort, facts), "includeThoughts": effort != "none"}
    least, largest = facts.budgets or (0, _BUDGETS["max"])
    budget = _BUDGETS.get(effort, _BUDGETS["high"])
    if budget or least:
        budget = max(least, min(budget, largest))
    return {"thinkingBudget": budget, "includeThoughts": effort != "none"}


def _efforts(facts: ModelFacts) -> Sequence[str]:
    if by_level(facts):
        return facts.efforts or _LEVELS
    return ("none", *_LEVELS) if not (facts.budgets and facts.budgets[0]) else _LEVELS
