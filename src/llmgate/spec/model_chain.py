"""What a caller may write in place of a model: several in order of trial, and providers that are not wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

__all__ = ["ModelChain", "read_model_chain"]

_NOT: Final = "!"


@attrs.frozen
class ModelChain:
    """What a model's name asks for.

    Args:
        models: The models in order of trial; one where nothing else is written.
        without: Names of providers that are not to be asked, and of models at providers (``provider/model``).
    """

    models: Sequence[str]
    without: frozenset[str] = frozenset()


def read_model_chain(text: str) -> ModelChain:
    """The models and the providers that a name asks for: ``openai/gpt-4o,anthropic/claude-sonnet-4-5,!azure``.

    The grammar is that of Helicone's AI Gateway (https://docs.helicone.ai/gateway/provider-routing): commas between
    models, ``!`` before a provider that is left out. White space around them and empty parts count for nothing.

    Args:
        text: What stands in the place of the model.
    """
    if "," not in text and not text.startswith(_NOT):
        return ModelChain((text,))
    parts = [part for part in map(str.strip, text.split(",")) if part]
    models = dict.fromkeys(part for part in parts if not part.startswith(_NOT))
    without = frozenset(name for part in parts if part.startswith(_NOT) and (name := part.removeprefix(_NOT).strip()))
    return ModelChain(tuple(models), without)
