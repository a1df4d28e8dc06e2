"""What is known of a model: which parameters it takes, and what it takes instead of those it does not."""

from __future__ import annotations

from typing import Final

import attrs

from .prices import Rates

__all__ = ["UNKNOWN_MODEL", "DescribedModel", "ListedModel", "ModelFacts"]


@attrs.frozen(cache_hash=True)
class ModelFacts:
    """What a model takes: for requests that are translated, and for the choice among models that differ.

    The defaults are those of a lenient server of which nothing is known. The catalogue fills in the rest, and formats
    get it handed in.

    Args:
        thinking: How reasoning is asked for: ``budget`` (a number of tokens), ``level`` (a word), ``adaptive`` (the
            model decides how much, within an effort), ``always`` (adaptive, and it cannot be switched off), ``none``.
        efforts: The words for how much it is to reason, from little to much; None where they are not known, empty
            where it takes none.
        budgets: The least and the largest number of tokens that may be asked for as a budget; None where not known.
        reasons: Whether it reasons unless it is told not to.
        reasons_with_tools: Whether it takes tools while it reasons.
        sampling: Whether sampling parameters are taken (while it reasons, for those that need not).
        one_sampling: Whether ``temperature`` and ``top_p`` exclude each other.
        prefill: Whether a conversation may end with the assistant's turn.
        forced_tools: Whether a call of a tool may be demanded.
        system_turns: Whether the system may speak in the midst of a conversation.
        cache_breakpoints: Whether parts of its prompt may be marked as the end of what is cached, in OpenAI's formats.
        max_output: The largest number of output tokens; None where it is not known.
        context_window: The largest number of input and output tokens together; None where it is not known.
        vision: Whether it reads images; None where it is not known.
        tools: Whether it calls tools; None where it is not known.
        structured_output: Whether its answer can be held to a JSON Schema; None where it is not known.
    """

    thinking: str = "budget"
    efforts: tuple[str, ...] | None = None
    budgets: tuple[int, int] | None = None
    reasons: bool = False
    reasons_with_tools: bool = True
    sampling: bool = True
    one_sampling: bool = False
    prefill: bool = True
    forced_tools: bool = True
    system_turns: bool = False
    cache_breakpoints: bool = False
    max_output: int | None = None
    context_window: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    structured_output: bool | None = None


@attrs.frozen
class DescribedModel:
    """A model as the operator describes it, who knows best; None where he does not say.

    Args:
        context_window: The largest number of input and output tokens together.
        max_output: The largest number of output tokens.
        vision: Whether it reads images.
        tools: Whether it calls tools.
        structured_output: Whether its answer can be held to a JSON Schema.
    """

    context_window: int | None = None
    max_output: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    structured_output: bool | None = None


@attrs.frozen
class ListedModel:
    """A model as its provider lists it; None where the list does not say.

    Args:
        id: What to ask the provider for.
        context_window: The largest number of input and output tokens together.
        max_output: The largest number of output tokens.
        modalities: What it reads: text, image, audio, video, document.
        tools: Whether it calls tools.
        rates: What it costs.
    """

    id: str
    context_window: int | None = None
    max_output: int | None = None
    modalities: tuple[str, ...] | None = None
    tools: bool | None = None
    rates: Rates | None = attrs.field(default=None, repr=False)


UNKNOWN_MODEL: Final = ModelFacts()
"""A model of which nothing is known."""
