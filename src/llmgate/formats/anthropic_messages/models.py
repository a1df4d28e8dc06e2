"""What differs between the models that speak this format: which parameters each takes, and what it takes instead.

Until the catalogue hands these facts in, they are looked up by the model's name here. Source: Anthropic documentation,
"Models overview", "Extended thinking", "Adaptive thinking", "Effort", state of November 2026.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["DEFAULT_MAX_TOKENS", "ModelFacts", "facts_of"]

DEFAULT_MAX_TOKENS: Final = 32_000
"""``max_tokens`` for a request that sets no limit, since this format demands one; every listed model takes it."""

_TO_HIGH: Final = ("low", "medium", "high")
_TO_MAX: Final = (*_TO_HIGH, "max")
_ALL: Final = (*_TO_HIGH, "xhigh", "max")


@attrs.frozen
class ModelFacts:
    """What a model takes; the defaults are those of a server that copies the format and is lenient.

    Args:
        thinking: How reasoning is asked for: ``budget`` (a number of tokens), ``adaptive``, or ``always`` (adaptive,
            and it cannot be switched off).
        efforts: The values of ``output_config.effort``, none where it has no such field.
        sampling: Whether ``temperature``, ``top_p`` and ``top_k`` are taken.
        one_sampling: Whether ``temperature`` and ``top_p`` exclude each other.
        prefill: Whether a conversation may end with the assistant's turn.
        forced_tools: Whether ``tool_choice`` may demand a call.
        system_turns: Whether ``system`` is a role of messages.
        max_output: The largest ``max_tokens``; None where it is not known.
    """

    thinking: str = "budget"
    efforts: tuple[str, ...] = ()
    sampling: bool = True
    one_sampling: bool = False
    prefill: bool = True
    forced_tools: bool = True
    system_turns: bool = False
    max_output: int | None = None


_FIRST: Final = ModelFacts(one_sampling=True, max_output=64_000)
_SIXTH: Final = ModelFacts(thinking="adaptive", efforts=_TO_MAX, one_sampling=True, prefill=False, max_output=128_000)
_SEVENTH: Final = ModelFacts(thinking="adaptive", efforts=_ALL, sampling=False, prefill=False, max_output=128_000)
_EIGHTH: Final = attrs.evolve(_SEVENTH, system_turns=True)
_NEWEST: Final = attrs.evolve(_EIGHTH, thinking="always", forced_tools=False)

_FAMILIES: Final[Mapping[str, ModelFacts]] = {
    "claude-haiku-4-5": _FIRST,
    "claude-sonnet-4": _FIRST,
    "claude-opus-4": _FIRST,
    "claude-opus-4-5": attrs.evolve(_FIRST, efforts=_TO_HIGH),
    "claude-sonnet-4-6": _SIXTH,
    "claude-opus-4-6": _SIXTH,
    "claude-opus-4-7": _SEVENTH,
    "claude-opus-4-8": _EIGHTH,
    "claude-sonnet-5": _EIGHTH,
    "claude-opus-5": _EIGHTH,
    "claude-haiku-5-5": _EIGHTH,
    "claude-sonnet-5-5": _NEWEST,
    "claude-opus-5-5": _NEWEST,
    "claude-3": attrs.evolve(_FIRST, max_output=None),
}
"""Facts by the beginning of a name, the longest that fits; a Claude that is not listed is like the newest."""


@functools.lru_cache(maxsize=512)
def facts_of(model: str) -> ModelFacts:
    """What is known of a model, however the vendor's platforms write its name."""
    start = model.find("claude-")
    if start < 0:
        return ModelFacts()
    name = model[start:].replace(".", "-").replace("@", "-")
    found = [one for one in _FAMILIES if name == one or name.startswith(one + "-")]
    return _FAMILIES[max(found, key=len)] if found else _NEWEST
