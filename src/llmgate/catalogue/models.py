"""Names of models: which belong together, and what one vendor can be asked for in place of another's."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from .rows import read_data

__all__ = ["default_model_mapping", "family", "mapping_date"]

_MONTH: Final = "(?:0[1-9]|1[0-2])"
_DAY: Final = "(?:0[1-9]|[12][0-9]|3[01])"
_DATE: Final = (
    rf"(?:20[2-9][0-9]-{_MONTH}-{_DAY}|20[2-9][0-9]{_MONTH}{_DAY}"  # 2024-07-18, 20240718
    rf"|{_MONTH}-20[2-9][0-9]|{_MONTH}-{_DAY}"  # 03-2025, 05-20
    rf"|{_MONTH}{_DAY}|2[3-9]{_MONTH})"  # 0613, and Mistral's 2411
)
_SUFFIX: Final = re.compile(
    rf"(?:-latest|-exp|-preview|-{_DATE}|@(?:{_DATE}|latest)|-00[1-9]"
    r"|-v[0-9]+:[0-9]+|:[A-Za-z0-9._-]+)\Z",
    re.ASCII,
)


def family(model: str) -> str:
    """The name of a model without what only tells its versions apart.

    Dates (``-2024-07-18``, ``-20240718``, ``-0613``, ``-2411``, ``-03-2025``), ``-latest``, ``-preview`` with or
    without a date, ``-exp``, Google's ``-001``, Vertex AI's ``@20251001``, Bedrock's ``-v1:0`` and the tags of Ollama
    and OpenRouter (``:3b``, ``:free``) are taken off the end, as often as they come. A fine-tuned model (``ft:…``) is
    a model of its own and stays as it is.
    """
    if model.startswith("ft:"):
        return model
    while (shorter := _SUFFIX.sub("", model)) not in {model, ""} and not shorter.endswith("/"):
        model = shorter
    return model


def default_model_mapping() -> Mapping[str, Sequence[str]]:
    """For a model asked for, what each vendor serves in its place, as ``provider/model``, the name's own vendor first.

    The keys are the names in the data and their families; the data is dated (``mapping_date``).
    """
    return _mapping()


def mapping_date() -> str:
    """The ISO date of which the mapping shows the state."""
    date: str = _data()["date"]
    return date


@functools.cache
def _data() -> Mapping[str, Any]:
    """The mapping's data as it stands in the file."""
    return read_data("model_mapping.toml")


@functools.cache
def _mapping() -> Mapping[str, Sequence[str]]:
    """The mapping, laid out name by name."""
    mapping = dict(_expanded(_data()))
    for name, equivalents in list(mapping.items()):
        mapping.setdefault(family(name), equivalents)
    return MappingProxyType(mapping)


def _expanded(data: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """Every name of every class with its equivalents."""
    retired: Mapping[str, str] = data["retired"]
    for model_class in data["class"]:
        serves: Mapping[str, str] = model_class["serves"]
        for vendor, names in model_class["asked"].items():
            others = [f"{provider}/{model}" for provider, model in serves.items() if provider != vendor]
            for name in names:
                yield name, (f"{vendor}/{retired.get(name) or retired.get(family(name), name)}", *others)
