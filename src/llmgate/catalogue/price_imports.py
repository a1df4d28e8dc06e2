"""Prices that others collect, read into ours: the files of LiteLLM and of models.dev.

Numbers are read as they are written, never as floats. What has no counterpart here (pages, pixels, characters, videos)
is left out, and so is a model all of whose prices are 0: it may be free, and is as often one whose price nobody knew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from .price_files import PricedModel, PriceFile, read_prices
from .rows import load_catalogue

__all__ = ["FORMATS", "import_prices"]

FORMATS: Final = ("litellm", "models.dev", "llmgate")
"""What ``import_prices`` reads: ``model_prices_and_context_window.json``, ``api.json``, and our own."""

_PICO: Final = 10**12
_MILLION: Final = 10**6
_HOUR: Final = 3600

_VENDORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "amazon-bedrock": "bedrock",
        "azure-ai": "azure",
        "azure-cognitive-services": "azure",
        "bedrock-converse": "bedrock",
        "cohere-chat": "cohere",
        "google-vertex": "vertex",
        "google-vertex-anthropic": "vertex",
        "moonshot": "moonshotai",
        "text-completion-openai": "openai",
        "voyage": "voyageai",
    }
)
"""Vendors by what others call them, where no alias of the provider rows says it."""

_LITELLM: Final = re.compile(
    r"(?P<base>\w+?)(?P<hour>_above_1hr)?(?:_above_(?P<above>\d+)k_tokens)?(?:_(?P<tier>batches|flex|priority))?"
)
_LITELLM_RATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input_cost_per_token": "input",
        "output_cost_per_token": "output",
        "cache_read_input_token_cost": "cache_read",
        "cache_creation_input_token_cost": "cache_write",
        "output_cost_per_reasoning_token": "reasoning",
        "input_cost_per_audio_token": "audio_input",
        "output_cost_per_audio_token": "audio_output",
        "input_cost_per_image_token": "image_input",
        "output_cost_per_image_token": "image_output",
        "cache_read_input_audio_token_cost": "cache_read_audio",
        "cache_read_input_image_token_cost": "cache_read_image",
        "input_cost_per_request": "request",
    }
)
_LITELLM_BY_MODE: Final[Mapping[tuple[str, str], tuple[str, int]]] = MappingProxyType(
    {
        ("audio_transcription", "input_cost_per_second"): ("audio_hour", _HOUR),
        ("audio_transcription", "output_cost_per_second"): ("audio_hour", _HOUR),
        ("image_generation", "output_cost_per_image"): ("image", 1),
        ("image_generation", "input_cost_per_image"): ("image", 1),
        ("rerank", "input_cost_per_query"): ("search_unit", 1),
    }
)
_TIERS: Final[Mapping[str, str]] = MappingProxyType({"batches": "batch"})

_MODELS_DEV_RATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input": "input",
        "output": "output",
        "cache_read": "cache_read",
        "cache_write": "cache_write",
        "reasoning": "reasoning",
        "input_audio": "audio_input",
        "output_audio": "audio_output",
    }
)


def import_prices(text: str, name: str, *, format: str | None, date: str) -> PriceFile:  # noqa: A002 - the option's word
    """The prices in a file.

    Args:
        text: The file's text.
        name: What the file is called.
        format: One of ``FORMATS``; None to tell by what is in it.
        date: The ISO date on which the file was fetched.

    Raises:
        ValueError: it is no file of that format, or of none that is known.
    """
    try:
        data = json.loads(text, parse_float=Decimal, parse_int=int)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from None
    found = format or _told(data)
    if found == "llmgate":
        return read_prices(text, name)
    if found is None or not isinstance(data, Mapping):
        raise ValueError(f"{name} holds no prices in a format that is known: {', '.join(FORMATS)}")
    read = _READERS[found]
    vendors: dict[str, list[PricedModel]] = {}
    for vendor, model, rows in read(data):
        if rows:
            vendors.setdefault(vendor, []).append(PricedModel(model, {"is": [model.lower()]}, rows))
    if not vendors:
        raise ValueError(f"{name} holds no prices in the format {found}")
    prices = PriceFile(f"{found} ({name})", date, {vendor: tuple(models) for vendor, models in vendors.items()})
    for models in vendors.values():
        for one in models:
            one.price(prices.source)  # what cannot be used later is refused now
    return prices


def _told(data: Any) -> str | None:
    """The format of a file by what is in it."""
    if not isinstance(data, Mapping):
        return None
    if isinstance(data.get("vendors"), Mapping):
        return "llmgate"
    entries = [one for one in data.values() if isinstance(one, Mapping)]
    if any("litellm_provider" in one for one in entries):
        return "litellm"
    return "models.dev" if any(isinstance(one.get("models"), Mapping) for one in entries) else None


def _from_litellm(data: Mapping[str, Any]) -> Iterator[tuple[str, str, Sequence[Mapping[str, Any]]]]:
    for key, entry in data.items():
        given = entry.get("litellm_provider") if isinstance(entry, Mapping) else None
        if not isinstance(given, str) or key == "sample_spec":
            continue
        vendor = "vertex" if given.startswith("vertex_ai") else _vendor(given)
        owner, slash, rest = key.partition("/")
        known = slash and (owner == given or _vendor(owner) == vendor or owner == "vertex_ai")
        yield vendor, rest if known else key, _litellm_rows(entry)


def _litellm_rows(entry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The rows of a model: those of each tier over the usual one's, with what longer input costs."""
    mode = str(entry.get("mode", ""))
    rates: dict[tuple[str, int], dict[str, int]] = {}
    for key, value in entry.items():
        read = _LITELLM.fullmatch(key)
        if read is None or not _is_price(value):
            continue
        by_mode = _LITELLM_BY_MODE.get((mode, read["base"]))
        name, units = by_mode or (_LITELLM_RATES.get(read["base"]), 1)
        if name is None:
            continue
        name = "cache_write_1h" if read["hour"] else name
        tier = _TIERS.get(read["tier"], read["tier"]) if read["tier"] else ""
        rates.setdefault((tier, int(read["above"] or 0) * 1000), {})[name] = _pico(value * units)
    search = entry.get("search_context_cost_per_query")
    medium = search.get("search_context_size_medium") if isinstance(search, Mapping) else None
    if medium is not None and _is_price(medium):
        rates.setdefault(("", 0), {})["web_search"] = _pico(medium)
    return _rows(rates)


def _from_models_dev(data: Mapping[str, Any]) -> Iterator[tuple[str, str, Sequence[Mapping[str, Any]]]]:
    for key, provider in data.items():
        models = provider.get("models") if isinstance(provider, Mapping) else None
        for name, model in models.items() if isinstance(models, Mapping) else ():
            cost = model.get("cost") if isinstance(model, Mapping) else None
            if isinstance(cost, Mapping):
                yield _vendor(key), name, _models_dev_rows(cost)


def _models_dev_rows(cost: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    rates = {("", 0): _of_models_dev(cost)}
    tiers = cost.get("tiers")
    for one in tiers if isinstance(tiers, list) else ():
        size = one.get("tier", {}).get("size") if isinstance(one, Mapping) else None
        if isinstance(size, int):
            rates["", size] = _of_models_dev(one)
    if len(rates) == 1 and isinstance(cost.get("context_over_200k"), Mapping):  # the older way to say so
        rates["", 200_000] = _of_models_dev(cost["context_over_200k"])
    return _rows(rates)


def _of_models_dev(cost: Mapping[str, Any]) -> dict[str, int]:
    return {ours: _pico(Decimal(cost[name]) / _MILLION) for name, ours in _MODELS_DEV_RATES.items()
            if _is_price(cost.get(name))}  # fmt: skip


def _rows(rates: Mapping[tuple[str, int], dict[str, int]]) -> Sequence[Mapping[str, Any]]:
    """Rates by tier and length as rows, each whole; empty where nothing costs anything."""
    usual = rates.get(("", 0), {})
    if not any(usual.values()):
        return ()
    if not (usual.get("input") or usual.get("output")):  # what is billed by something else, with a 0 beside it
        usual = {name: rate for name, rate in usual.items() if rate}
    rows = []
    for tier in dict.fromkeys(("", *(tier for tier, _ in rates))):
        own = {**usual, **rates.get((tier, 0), {})}
        longer: list[Any] = []
        for wanted, above in sorted(rates):
            if wanted == tier and above:
                longer.append([above, {**(longer[-1][1] if longer else own), **rates[tier, above]}])
        rows.append({**({"tier": tier} if tier else {}), "rates": own, **({"longer": longer} if longer else {})})
    return rows


def _vendor(name: str) -> str:
    name = name.replace("_", "-")
    return _VENDORS.get(name) or load_catalogue().aliases.get(name, name)


def _is_price(value: Any) -> bool:
    return isinstance(value, Decimal | int) and not isinstance(value, bool) and 0 <= value <= _MILLION


def _pico(usd: Decimal | int) -> int:
    """A price in pico-USD, half to even where it is finer."""
    return int((Decimal(usd) * _PICO).to_integral_value())


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[tuple[str, str, Sequence[Mapping[str, Any]]]]]]] = (
    MappingProxyType({"litellm": _from_litellm, "models.dev": _from_models_dev})
)
