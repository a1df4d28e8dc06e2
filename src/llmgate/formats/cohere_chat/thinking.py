"""How much a model is to think: one word in the canonical request, a switch and a number of tokens here.

Source: Cohere documentation, "Reasoning": thinking is on by default for models that have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["decode_thinking", "encode_thinking"]

_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 512,
    "low": 1024,
    "medium": 2048,
    "high": 4096,
    "xhigh": 8192,
    "max": 16384,
}
_ANSWER: Final = 1000
"""How many tokens the vendor asks to leave for what follows the thought."""


def decode_thinking(value: Any) -> str | None:
    """The canonical effort; None where the field asks for nothing."""
    if not isinstance(value, Mapping):
        return None
    if value.get("type") == "disabled":
        return "none"
    if value.get("type") != "enabled":
        return None
    budget = value.get("token_budget")
    if isinstance(budget, bool) or not isinstance(budget, int):
        return "high"  # as much as it likes
    return next((word for word, most in _BUDGETS.items() if budget <= most), "max")


def encode_thinking(effort: str, max_tokens: int | None) -> dict[str, Any]:
    """The ``thinking`` of an effort.

    Args:
        effort: The canonical effort.
        max_tokens: The bound of the whole output, None for none; thought must leave room below it.
    """
    if effort == "none":
        return {"type": "disabled"}
    budget = _BUDGETS.get(effort, _BUDGETS["high"])
    if max_tokens is not None:
        budget = max(1, min(budget, max_tokens - _ANSWER))
    return {"type": "enabled", "token_budget": budget}
