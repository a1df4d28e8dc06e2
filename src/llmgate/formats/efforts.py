"""The words for how much a model is to reason, in order, and the nearest that a model has for one that it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["EFFORTS", "effort_above", "effort_below"]

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""The canonical words, from none to all that the model can."""


def effort_below(effort: str, efforts: Sequence[str]) -> str | None:
    """A model's own word for an effort: the same, else the next below, else the lowest; None for no word at all."""
    if effort in efforts or not efforts:
        return effort if efforts else None
    if effort not in EFFORTS:
        return None
    below = [one for one in EFFORTS[: EFFORTS.index(effort)] if one in efforts]
    return below[-1] if below else efforts[0]


def effort_above(effort: str, efforts: Sequence[str]) -> str | None:
    """A model's own word for an effort: the same, else the next above, else the highest; None for no word at all."""
    if effort in efforts:
        return effort
    if not efforts or effort not in EFFORTS[1:]:
        return None
    above = [one for one in EFFORTS[EFFORTS.index(effort) :] if one in efforts]
    return above[0] if above else efforts[-1]
