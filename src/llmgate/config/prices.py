"""Reads what models cost: ``prices``. Prices are written in USD, those of tokens a million, and kept as integers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from llmgate.catalogue.price_files import PriceFile, read_prices
from llmgate.spec import Price, PriceRow, Rates

from .members import split_model
from .model import PricesConfig
from .quoting import quoted
from .sections import Section, is_null, read_section
from .stages import StageReader
from .tree import Entry, MapNode, ValueNode

__all__ = ["read_prices_section"]

_SOURCE: Final = "the configuration"
_PICO: Final = Decimal(10**12)
_LARGEST: Final = Decimal(10**6)
_BY_THE_PIECE: Final = frozenset({"audio-hour", "image", "search-unit", "web-search", "request"})
_MILLION: Final = 10**6


def read_prices_section(stages: StageReader, top: Section, directory: Path) -> PricesConfig:
    """What ``prices`` says.

    Args:
        stages: What reads stages.
        top: The whole configuration.
        directory: What the file is relative to.
    """
    node = top.nodes.get("prices")
    if node is None:
        return PricesConfig()
    section = read_section(stages.decoder, node, "prices", "prices", raw=("models",))
    return PricesConfig(
        enabled=section.get("enabled", True),
        models=_models(stages, section),
        imported=_imported(stages, section, directory),
    )


def _imported(stages: StageReader, section: Section, directory: Path) -> PriceFile | None:
    file = section.get("file")
    if not file:
        return None
    try:
        return read_prices((directory / file).read_text(encoding="utf-8"), file)
    except OSError as error:
        said = f"{quoted(file)} cannot be read: {error.strerror}"
    except ValueError as error:
        said = str(error)[:300]
    stages.decoder.problems.add(section.nodes["file"].where, f"{said}: write it with `llmgate prices import`")
    return None


def _models(stages: StageReader, section: Section) -> Mapping[str, Price]:
    node = section.nodes.get("models")
    if node is None:
        return {}
    if not isinstance(node, MapNode):
        stages.decoder.problems.add(node.where, "'prices.models' must be a mapping of models")
        return {}
    return {entry.key: Price((PriceRow(_rates(stages, entry)),), _SOURCE) for entry in node}


def _rates(stages: StageReader, entry: Entry) -> Rates:
    problems = stages.decoder.problems
    if split_model(entry.key) is None:
        problems.add(entry.where, f"{quoted(entry.key)} is no model here: write provider/model")
    if is_null(entry.node):
        problems.add(entry.where, f"{quoted(entry.key)} has no price: write input and output, in USD a million tokens")
        return Rates()
    written = read_section(stages.decoder, entry.node, "prices.models.<priced>", quoted(entry.key))
    rates = {}
    for key, inner in written.nodes.items():
        if key not in written.values or not isinstance(inner, ValueNode):
            continue  # noted
        try:
            rates[key.replace("-", "_")] = _rate(key, inner.text)
        except ValueError as error:
            problems.add(inner.where, f"{key!r} {error}")
    return Rates(**rates)


def _rate(key: str, text: str) -> int:
    """A price in pico-USD a unit.

    Raises:
        ValueError: it is none; the message says why, and follows the key.
    """
    try:
        price = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"must be a number of USD, not {quoted(text)}") from None
    if not 0 <= price <= _LARGEST:
        raise ValueError(f"must be a price from 0 to {_LARGEST} USD, not {quoted(text)}")
    pico = price * _PICO if key in _BY_THE_PIECE else price * _PICO / _MILLION
    if pico != int(pico):
        raise ValueError(f"is {quoted(text)}, finer than a millionth of a millionth of a USD a unit: round it")
    return int(pico)
