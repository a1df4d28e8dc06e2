"""What is known of a model, by its name: ``data/models.toml`` made into ``ModelFacts``, once, when first asked for."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from typing import Any

from llmgate.spec import UNKNOWN_MODEL, ModelFacts

from .rows import read_data

__all__ = ["facts_date", "facts_of"]


@functools.lru_cache(maxsize=1024)
def facts_of(model: str) -> ModelFacts:
    """What is known of a model.

    Args:
        model: Its name at its provider, whatever stands before it (``openai/``).

    Returns:
        ``UNKNOWN_MODEL`` where no family has such a name.
    """
    name = model.rpartition("/")[2]
    return next((facts for names, facts in _families() if names.match(name)), UNKNOWN_MODEL)


def facts_date() -> str:
    """The ISO date of which the facts show the state."""
    date: str = read_data("models.toml")["date"]
    return date


@functools.cache
def _families() -> Sequence[tuple[re.Pattern[str], ModelFacts]]:
    return [(_pattern(one["names"]), _facts(one)) for one in read_data("models.toml")["family"]]


def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, names)))


def _facts(family: Mapping[str, Any]) -> ModelFacts:
    fields: dict[str, Any] = {name.replace("-", "_"): value for name, value in family.items() if name != "names"}
    fields |= {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return ModelFacts(**fields)
