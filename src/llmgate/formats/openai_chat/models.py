"""What differs between OpenAI's own models, for requests that come from clients of other formats.

Until the catalogue hands these facts in, they are looked up by the model's name here. A client of this format knows its
model and is relayed; one of another does not know that the model behind the name takes no temperature. Source: OpenAI
documentation, "Reasoning models", model pages, state of November 2026.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["ModelFacts", "facts_of", "nearest_effort"]

_LADDER: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_CLASSIC: Final = ("low", "medium", "high")


@attrs.frozen
class ModelFacts:
    """What a model takes; the defaults are those of a compatible server of which nothing is known.

    Args:
        efforts: The values of ``reasoning_effort``; None where they are not known, none where it has no such field.
        sampling: Whether ``temperature``, ``top_p`` and ``stop`` are taken while it reasons.
        reasons: Whether it reasons unless it is told not to.
        reasons_with_tools: Whether it takes tools while it reasons.
    """

    efforts: tuple[str, ...] | None = None
    sampling: bool = True
    reasons: bool = False
    reasons_with_tools: bool = True


_PLAIN: Final = ModelFacts(efforts=())
_O_SERIES: Final = ModelFacts(efforts=_CLASSIC, sampling=False, reasons=True)
_FIVE: Final = ModelFacts(efforts=("minimal", *_CLASSIC), sampling=False, reasons=True)
_FIVE_ONE: Final = ModelFacts(efforts=("none", *_CLASSIC), sampling=False)
_FIVE_TWO: Final = attrs.evolve(_FIVE_ONE, efforts=("none", *_CLASSIC, "xhigh"))
_FIVE_FOUR: Final = attrs.evolve(_FIVE_TWO, reasons_with_tools=False)
_FIVE_FIVE: Final = attrs.evolve(_FIVE_FOUR, reasons=True)
_SIX: Final = attrs.evolve(_FIVE_FIVE, efforts=("none", *_CLASSIC, "xhigh", "max"))
_SIX_ALWAYS: Final = attrs.evolve(_SIX, efforts=(*_CLASSIC, "xhigh", "max"))

_FAMILIES: Final[Mapping[str, ModelFacts]] = {
    "gpt-3": _PLAIN,
    "gpt-4": _PLAIN,
    "chatgpt-": _PLAIN,
    "gpt-5-chat": _PLAIN,
    "o1": _O_SERIES,
    "o3": _O_SERIES,
    "o4": _O_SERIES,
    "gpt-5": _FIVE_FIVE,
    "gpt-5-": _FIVE,
    "gpt-5.1": _FIVE_ONE,
    "gpt-5.2": _FIVE_TWO,
    "gpt-5.3": _FIVE_TWO,
    "gpt-5.4": _FIVE_FOUR,
    "gpt-6": _SIX,
    "gpt-6-astra": _SIX_ALWAYS,
    "gpt-6.1-sol": _SIX_ALWAYS,
    "gpt-7": _SIX,
}
"""Facts by the beginning of a name, the longest that fits."""


@functools.lru_cache(maxsize=512)
def facts_of(model: str) -> ModelFacts:
    """What is known of a model, whatever stands before its name (``openai/``)."""
    name = model.rpartition("/")[2]
    if name == "gpt-5":
        return _FIVE
    found = [one for one in _FAMILIES if name.startswith(one)]
    return _FAMILIES[max(found, key=len)] if found else ModelFacts()


def nearest_effort(effort: str, efforts: tuple[str, ...]) -> str | None:
    """The model's own word for an effort: the same, else the next below, else the lowest; None for no word at all."""
    if effort in efforts or not efforts:
        return effort if efforts else None
    if effort not in _LADDER:
        return None
    below = [one for one in _LADDER[: _LADDER.index(effort)] if one in efforts]
    return below[-1] if below else efforts[0]
