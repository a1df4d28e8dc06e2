"""What is known of a model, by its name: ``data/models.toml`` made into ``ModelFacts``, once, when first asked for."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from typing import Any

import attrs

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
    facts = next((facts for names, facts in _families() if names.match(name)), UNKNOWN_MODEL)
    abilities = next((fields for names, fields in _abilities() if names.match(name)), None)
    return facts if abilities is None else attrs.evolve(facts, **abilities)


def facts_date() -> str:
    """The ISO date of which the facts show the state."""
    date: str = read_data("models.toml")["date"]
    return date


@functools.cache
def _families() -> Sequence[tuple[re.Pattern[str], ModelFacts]]:
    return [(_pattern(one["names"]), _facts(one)) for one in read_data("models.toml")["family"]]


@functools.cache
def _abilities() -> Sequence[tuple[re.Pattern[str], Mapping[str, Any]]]:
    return [(_pattern(one["names"]), _fields(one)) for one in read_data("models.toml")["abilities"]]


def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, names)))


def _facts(family: Mapping[str, Any]) -> ModelFacts:
    return ModelFacts(**_fields(family))


def _fields(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    fields: dict[str, Any] = {name.replace("-", "_"): value for name, value in entry.items() if name != "names"}
    return fields | {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
